/* protobuf-c unpacks by recursion and has no limit to it, so a message that can hold itself lets a
 * peer overflow the stack with a few kilobytes. Such types are refused when the stubs are made. */
#include <stdlib.h>

#include "base/map.h"
#include "gen.h"

struct type {
    const char *name; /* a.v1.B */
    const gen_message *message;
    enum { UNSEEN, ON_PATH, SAFE } state;
};

static void index_message(struct cap_arena *a, struct cap_map *types, const char *scope,
                          const gen_message *message)
{
    struct type *type = cap_arena_alloc(a, sizeof *type);

    type->message = message;
    type->name = *scope ? cap_arena_printf(a, "%s.%s", scope, message->name) : message->name;
    cap_map_put(types, type->name, type);
    for (size_t i = 0; i < message->n_nested_type; i++)
        index_message(a, types, type->name, message->nested_type[i]);
}

static void index_types(struct cap_arena *a, struct cap_map *types, const gen_request *request)
{
    for (size_t i = 0; i < request->n_proto_file; i++) {
        const gen_file *file = request->proto_file[i];

        for (size_t k = 0; k < file->n_message_type; k++)
            index_message(a, types, file->package ? file->package : "", file->message_type[k]);
    }
}

static struct type *type_of(const struct cap_map *types, const gen_field *field)
{
    /* fully qualified, ".a.v1.B"; enums are not in the map */
    return field->type_name && *field->type_name ? cap_map_get(types, field->type_name + 1) : NULL;
}

static bool check_recursion(const struct cap_map *types, struct type *type, struct cap_err *err)
{
    type->state = ON_PATH;
    for (size_t i = 0; i < type->message->n_field; i++) {
        const gen_field *field = type->message->field[i];
        struct type *next = type_of(types, field);

        if (!next || next->state == SAFE)
            continue;
        if (next->state == ON_PATH)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "message %s can hold itself through %s.%s; a peer could overflow the "
                            "stack with it",
                            next->name, type->name, field->name);
        if (!check_recursion(types, next, err))
            return false;
    }
    type->state = SAFE;
    return true;
}

static bool check_presence(const struct type *type, struct cap_err *err)
{
    for (size_t i = 0; i < type->message->n_field; i++) {
        const gen_field *field = type->message->field[i];

        if (field->has_proto3_optional && field->proto3_optional)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "field %s.%s is `optional`, which protobuf-c cannot do; write oneof "
                            "opt_%s { ... }",
                            type->name, field->name, field->name);
    }
    return true;
}

static bool check_message(const struct cap_map *types, const char *scope,
                          const gen_message *message, struct cap_arena *a, struct cap_err *err)
{
    const char *name = *scope ? cap_arena_printf(a, "%s.%s", scope, message->name) : message->name;
    struct type *type = cap_map_get(types, name);

    if (!check_presence(type, err) || !check_recursion(types, type, err))
        return false;
    for (size_t i = 0; i < message->n_nested_type; i++)
        if (!check_message(types, name, message->nested_type[i], a, err))
            return false;
    return true;
}

bool gen_check(struct cap_arena *a, const gen_request *request, const gen_file *file,
               struct cap_err *err)
{
    CAP_AUTO(cap_map) types = cap_map_new();
    const char *package = file->package ? file->package : "";

    index_types(a, types, request);
    for (size_t i = 0; i < file->n_message_type; i++)
        if (!check_message(types, package, file->message_type[i], a, err))
            return cap_fail_in(err, "%s", file->name);
    return true;
}
