/* One service becomes a struct of handlers, a table of methods with trampolines of the exact types
 * (calling through a cast pointer would be undefined), and typed client functions. */
#include <string.h>

#include "gen.h"

struct names {
    const char *service; /* store_rpc */
    const char *method;  /* put_task */
    const char *request; /* Moecap__V1__PutTaskRequest */
    const char *reply;
    bool client_streams, server_streams;
};

static struct names name_method(struct cap_arena *a, const gen_service *service,
                                const gen_method *method)
{
    return (struct names){
        .service = cap_arena_printf(a, "%s_rpc", gen_snake(a, service->name)),
        .method = gen_snake(a, method->name),
        .request = gen_c_type(a, method->input_type),
        .reply = gen_c_type(a, method->output_type),
        .client_streams = method->client_streaming,
        .server_streams = method->server_streaming,
    };
}

static const char *kind_name(const struct names *n)
{
    if (n->client_streams)
        return n->server_streams ? "CAP_RPC_BIDI" : "CAP_RPC_CLIENT_STREAM";
    return n->server_streams ? "CAP_RPC_SERVER_STREAM" : "CAP_RPC_UNARY";
}

static void write_handler_member(struct cap_buf *h, const struct names *n)
{
    cap_buf_printf(h, "    bool (*%s)(struct cap_rpc_call *call", n->method);
    if (!n->client_streams)
        cap_buf_printf(h, ",\n        const %s *request", n->request);
    if (!n->server_streams)
        cap_buf_printf(h, ",\n        %s *reply", n->reply);
    cap_buf_add_str(h, ",\n        struct cap_err *err);\n");
}

static void write_trampoline(struct cap_buf *c, const struct names *n)
{
    cap_buf_printf(
        c,
        "static bool call_%s_%s(const void *handlers, struct cap_rpc_call *call,\n"
        "    const ProtobufCMessage *request, ProtobufCMessage *reply, struct cap_err *err)\n"
        "{\n"
        "    const struct %s_handlers *h = handlers;\n\n"
        "    (void)request;\n"
        "    (void)reply;\n"
        "    if (!h->%s)\n"
        "        return cap_fail(err, CAP_UNIMPLEMENTED, \"%s is not offered here\");\n"
        "    return h->%s(call",
        n->service, n->method, n->service, n->method, n->method, n->method);
    if (!n->client_streams)
        cap_buf_printf(c, ", (const %s *)request", n->request);
    if (!n->server_streams)
        cap_buf_printf(c, ", (%s *)reply", n->reply);
    cap_buf_add_str(c, ", err);\n}\n\n");
}

static void write_unary_client(struct cap_buf *h, const struct names *n, size_t index)
{
    cap_buf_printf(
        h,
        "static inline bool %s_%s(struct cap_rpc_channel *channel,\n"
        "    const struct cap_rpc_options *options, const %s *request,\n"
        "    struct cap_arena *arena, %s **out_reply, struct cap_err *err)\n"
        "{\n"
        "    ProtobufCMessage *reply;\n\n"
        "    if (!cap_rpc_unary(channel, &%s_service.methods[%zu], options, &request->base,\n"
        "                       arena, &reply, err))\n"
        "        return false;\n"
        "    *out_reply = (%s *)reply;\n"
        "    return true;\n"
        "}\n\n",
        n->service, n->method, n->request, n->reply, n->service, index, n->reply);
}

static void write_open(struct cap_buf *h, const struct names *n, size_t index)
{
    cap_buf_printf(
        h,
        "static inline struct cap_rpc_call *%s_%s_open(struct cap_rpc_channel *channel,\n"
        "    const struct cap_rpc_options *options",
        n->service, n->method);
    if (!n->client_streams)
        cap_buf_printf(h, ", const %s *request", n->request);
    cap_buf_printf(
        h,
        ")\n{\n"
        "    return cap_rpc_open(channel, &%s_service.methods[%zu], options, %s);\n}\n\n",
        n->service, index, n->client_streams ? "NULL" : "&request->base");
}

static void write_send(struct cap_buf *h, const struct names *n, const char *what, const char *type)
{
    cap_buf_printf(h,
                   "static inline bool %s_%s_send_%s(struct cap_rpc_call *call,\n"
                   "    const %s *message)\n"
                   "{\n    return cap_rpc_send(call, &message->base);\n}\n\n",
                   n->service, n->method, what, type);
}

static void write_next(struct cap_buf *h, const struct names *n, const char *what, const char *type)
{
    cap_buf_printf(h,
                   "static inline %s *%s_%s_next_%s(struct cap_rpc_call *call)\n"
                   "{\n    return (%s *)cap_rpc_receive(call);\n}\n\n",
                   type, n->service, n->method, what, type);
}

static void write_client(struct cap_buf *h, const struct names *n, size_t index)
{
    if (!n->client_streams && !n->server_streams) {
        write_unary_client(h, n, index);
        return;
    }
    write_open(h, n, index);
    if (n->client_streams) {
        write_send(h, n, "request", n->request);
        write_next(h, n, "request", n->request);
    }
    write_next(h, n, "reply", n->reply);
    if (n->server_streams)
        write_send(h, n, "reply", n->reply);
}

static void write_service(struct cap_arena *a, const gen_file *file, const gen_service *service,
                          struct cap_buf *h, struct cap_buf *c)
{
    const char *prefix = cap_arena_printf(a, "%s_rpc", gen_snake(a, service->name));
    const char *full = gen_full_name(a, file, service->name);
    const char *file_ident = gen_ident(a, gen_stem(a, file->name));

    cap_buf_printf(h, "/* service %s */\nextern const struct cap_rpc_service %s_service;\n\n", full,
                   prefix);
    cap_buf_printf(h, "struct %s_handlers {\n", prefix);
    for (size_t i = 0; i < service->n_method; i++) {
        struct names n = name_method(a, service, service->method[i]);

        write_handler_member(h, &n);
        write_trampoline(c, &n);
    }
    cap_buf_add_str(h, "};\n\n");
    cap_buf_printf(c, "static const struct cap_rpc_method %s_methods[] = {\n", prefix);
    for (size_t i = 0; i < service->n_method; i++) {
        const gen_method *method = service->method[i];
        struct names n = name_method(a, service, method);

        write_client(h, &n, i);
        cap_buf_printf(
            c, "    {\"/%s/%s\", %s,\n     &%s__descriptor, &%s__descriptor, call_%s_%s},\n", full,
            method->name, kind_name(&n), gen_c_lower(a, method->input_type),
            gen_c_lower(a, method->output_type), n.service, n.method);
    }
    cap_buf_printf(c,
                   "};\n\nconst struct cap_rpc_service %s_service = {\"%s\", %zu, %s_methods, "
                   "&%s_rpc_file};\n\n",
                   prefix, full, service->n_method, prefix, file_ident);
}

void gen_stubs(struct cap_arena *a, const gen_file *file, struct cap_buf *header,
               struct cap_buf *source)
{
    for (size_t i = 0; i < file->n_service; i++)
        write_service(a, file, file->service[i], header, source);
}
