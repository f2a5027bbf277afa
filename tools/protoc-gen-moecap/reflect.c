/* What a file says about itself, packed, with the names it defines and the files it imports. */
#include <string.h>

#include "gen.h"

static void write_bytes(struct cap_arena *a, gen_file *file, struct cap_buf *source)
{
    Google__Protobuf__SourceCodeInfo *comments = file->source_code_info;
    uint8_t *bytes;
    size_t length;

    file->source_code_info = NULL; /* comments are of no use to a client */
    length = google__protobuf__file_descriptor_proto__get_packed_size(file);
    bytes = cap_arena_alloc(a, length);
    google__protobuf__file_descriptor_proto__pack(file, bytes);
    file->source_code_info = comments;
    cap_buf_add_str(source, "static const uint8_t file_bytes[] = {");
    for (size_t i = 0; i < length; i++)
        cap_buf_printf(source, "%s%u,", i % 24 ? "" : "\n    ", bytes[i]);
    cap_buf_add_str(source, "\n};\n\n");
}

static void write_message_symbols(struct cap_arena *a, const char *scope,
                                  const gen_message *message, struct cap_buf *source)
{
    const char *name = *scope ? cap_arena_printf(a, "%s.%s", scope, message->name) : message->name;

    cap_buf_printf(source, "    \"%s\",\n", name);
    for (size_t i = 0; i < message->n_nested_type; i++)
        write_message_symbols(a, name, message->nested_type[i], source);
    for (size_t i = 0; i < message->n_enum_type; i++)
        cap_buf_printf(source, "    \"%s.%s\",\n", name, message->enum_type[i]->name);
}

static void write_symbols(struct cap_arena *a, const gen_file *file, struct cap_buf *source)
{
    cap_buf_add_str(source, "static const char *const file_symbols[] = {\n");
    for (size_t i = 0; i < file->n_message_type; i++)
        write_message_symbols(a, file->package ? file->package : "", file->message_type[i], source);
    for (size_t i = 0; i < file->n_enum_type; i++)
        cap_buf_printf(source, "    \"%s\",\n", gen_full_name(a, file, file->enum_type[i]->name));
    for (size_t i = 0; i < file->n_service; i++) {
        const char *service = gen_full_name(a, file, file->service[i]->name);

        cap_buf_printf(source, "    \"%s\",\n", service);
        for (size_t k = 0; k < file->service[i]->n_method; k++)
            cap_buf_printf(source, "    \"%s.%s\",\n", service, file->service[i]->method[k]->name);
    }
    cap_buf_add_str(source, "    NULL,\n};\n\n");
}

void gen_reflection(struct cap_arena *a, gen_file *file, struct cap_buf *header,
                    struct cap_buf *source)
{
    const char *ident = gen_ident(a, gen_stem(a, file->name));

    cap_buf_printf(header, "extern const struct cap_rpc_file %s_rpc_file;\n\n", ident);
    write_bytes(a, file, source);
    write_symbols(a, file, source);
    for (size_t i = 0; i < file->n_dependency; i++)
        cap_buf_printf(source, "extern const struct cap_rpc_file %s_rpc_file;\n",
                       gen_ident(a, gen_stem(a, file->dependency[i])));
    cap_buf_add_str(source, "static const struct cap_rpc_file *const file_imports[] = {\n");
    for (size_t i = 0; i < file->n_dependency; i++)
        cap_buf_printf(source, "    &%s_rpc_file,\n",
                       gen_ident(a, gen_stem(a, file->dependency[i])));
    cap_buf_printf(source,
                   "    NULL,\n};\n\nconst struct cap_rpc_file %s_rpc_file = {\n    \"%s\", "
                   "file_bytes, sizeof file_bytes, file_symbols, file_imports};\n\n",
                   ident, file->name);
}
