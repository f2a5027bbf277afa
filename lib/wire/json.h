/* json.h — messages as JSON, by their descriptors, in both directions.
 *
 * Field names are those of the .proto. Out: what is unknown is left out (a oneof that holds
 * nothing, a field of unknown.def that is zero), any other zero is a zero; bytes are hexadecimal,
 * enum values are words ("queued"), NaN is null. In: an unknown field, a wrong kind or a number out
 * of range is refused with the field's path, in the sentence and in err->field. Pure; any thread.
 */
#ifndef CAP_WIRE_JSON_H
#define CAP_WIRE_JSON_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

void cap_wire_write(const ProtobufCMessage *message, struct cap_buf *out);
/* The same as a tree: the caller's reference. */
json_t *cap_wire_to_json(const ProtobufCMessage *message);
/* One field of a message as text, a text without quotes; false when it is not there. */
bool cap_wire_write_field(const ProtobufCMessage *message, const char *name, struct cap_buf *out);

/* Page by page: puts the reply's next_after into the request's field `cursor`, a text in the arena;
 * false when the reply has none. */
bool cap_wire_follow(const ProtobufCMessage *reply, ProtobufCMessage *request, const char *cursor,
                     struct cap_arena *arena);

/* The headline metric of a run under a name that is the same for every task. */
#define CAP_WIRE_ACCURACY "accuracy"
struct Moecap__V1__BoardRow;
/* Adds it, in the arena, unless it is there or the run has none. */
void cap_wire_add_accuracy(struct Moecap__V1__BoardRow *row, struct cap_arena *arena);

/* A message in the arena; NULL with INVALID_ARGUMENT, e.g. `spec.limit: expected a whole number`.
 */
ProtobufCMessage *cap_wire_from_json(const json_t *json, const ProtobufCMessageDescriptor *type,
                                     struct cap_arena *arena, struct cap_err *err);

/* "RUN_STATE_QUEUED" of RunState -> "queued"; NULL for a number without a name. `out` has room
 * for 64. */
const char *cap_wire_enum_word(const ProtobufCEnumDescriptor *type, int value, char out[64]);

#endif
