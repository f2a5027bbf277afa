/* protoc-gen-moecap: reads a CodeGeneratorRequest on stdin, writes the response on stdout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"

enum { REQUEST_BYTES_MAX = 64 << 20, OUTPUT_BYTES_MAX = 64 << 20 };

typedef Google__Protobuf__Compiler__CodeGeneratorResponse response_type;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File output_type;

static gen_request *read_request(void)
{
    CAP_AUTO_BUF(input, REQUEST_BYTES_MAX);
    char chunk[65536];
    size_t n;

    while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        cap_buf_add(&input, chunk, n);
    return google__protobuf__compiler__code_generator_request__unpack(NULL, input.length,
                                                                      (uint8_t *)input.data);
}

static gen_file *find_file(const gen_request *request, const char *name)
{
    for (size_t i = 0; i < request->n_proto_file; i++)
        if (strcmp(request->proto_file[i]->name, name) == 0)
            return request->proto_file[i];
    return NULL;
}

static void add_output(struct cap_arena *a, response_type *response, const char *stem,
                       const char *suffix, struct cap_buf *content)
{
    output_type *file = cap_arena_alloc(a, sizeof *file);

    google__protobuf__compiler__code_generator_response__file__init(file);
    file->name = cap_arena_printf(a, "%s.rpc.%s", stem, suffix);
    file->content = cap_arena_strndup(a, content->data, content->length);
    response->file[response->n_file++] = file;
}

static bool write_file(struct cap_arena *a, const gen_request *request, response_type *response,
                       gen_file *file, struct cap_err *err)
{
    const char *stem = gen_stem(a, file->name), *guard = gen_ident(a, stem);
    CAP_AUTO_BUF(header, OUTPUT_BYTES_MAX);
    CAP_AUTO_BUF(source, OUTPUT_BYTES_MAX);

    if (!gen_check(a, request, file, err))
        return false;
    cap_buf_printf(&header,
                   "/* Made from %s by protoc-gen-moecap; do not edit. */\n"
                   "#ifndef %s_RPC_H\n#define %s_RPC_H\n\n#include \"rpc/rpc.h\"\n"
                   "#include \"%s.pb-c.h\"\n\n",
                   file->name, guard, guard, stem);
    cap_buf_printf(&source,
                   "/* Made from %s by protoc-gen-moecap; do not edit. */\n"
                   "#include \"%s.rpc.h\"\n\n#include <string.h>\n\n",
                   file->name, stem);
    gen_reflection(a, file, &header, &source);
    gen_enums(a, file, &header, &source);
    gen_stubs(a, file, &header, &source);
    cap_buf_add_str(&header, "#endif\n");
    add_output(a, response, stem, "h", &header);
    add_output(a, response, stem, "c", &source);
    return true;
}

static void write_response(const response_type *response)
{
    size_t length = google__protobuf__compiler__code_generator_response__get_packed_size(response);
    uint8_t *bytes = malloc(length + 1);

    if (!bytes)
        abort();
    google__protobuf__compiler__code_generator_response__pack(response, bytes);
    if (fwrite(bytes, 1, length, stdout) != length)
        exit(1);
    free(bytes);
}

int main(void)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(REQUEST_BYTES_MAX + OUTPUT_BYTES_MAX);
    gen_request *request = read_request();
    response_type response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    struct cap_err err = {0};

    if (!request) {
        fputs("protoc-gen-moecap: cannot read the request on stdin; protoc runs this program\n",
              stderr);
        return 1;
    }
    response.has_supported_features = 1;
    response.supported_features = 1; /* so that gen_check may say it, instead of protoc */
    response.file = cap_arena_array(arena, request->n_file_to_generate * 2 + 1, sizeof(void *));
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        gen_file *file = find_file(request, request->file_to_generate[i]);

        if (file && !write_file(arena, request, &response, file, &err)) {
            response.error = err.text;
            response.n_file = 0;
            break;
        }
    }
    write_response(&response);
    google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
    return 0;
}
