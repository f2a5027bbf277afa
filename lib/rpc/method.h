/* method.h — the tables that protoc-gen-moecap writes and lib/rpc reads.
 *
 * All of it is constant data in generated files; nothing is owned, any thread may read. Services
 * include their moecap/v1/NAME.rpc.h, which brings this along by way of rpc/rpc.h.
 */
#ifndef CAP_RPC_METHOD_H
#define CAP_RPC_METHOD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct cap_rpc_call;

enum cap_rpc_kind { CAP_RPC_UNARY, CAP_RPC_SERVER_STREAM, CAP_RPC_CLIENT_STREAM, CAP_RPC_BIDI };

/* A generated trampoline with the handler's exact type. */
typedef bool cap_rpc_thunk(const void *handlers, struct cap_rpc_call *call,
                           const ProtobufCMessage *request, ProtobufCMessage *reply,
                           struct cap_err *err);

struct cap_rpc_method {
    const char *path; /* "/moecap.v1.Store/Append" */
    enum cap_rpc_kind kind;
    const ProtobufCMessageDescriptor *request, *reply;
    cap_rpc_thunk *call;
};

/* A .proto file for reflection: its packed descriptor, the symbols in it, the files it imports. */
struct cap_rpc_file {
    const char *name;
    const uint8_t *bytes;
    size_t length;
    const char *const *symbols;                /* NULL-terminated */
    const struct cap_rpc_file *const *imports; /* NULL-terminated */
};

struct cap_rpc_service {
    const char *name; /* "moecap.v1.Store" */
    size_t method_count;
    const struct cap_rpc_method *methods;
    const struct cap_rpc_file *file;
};

#endif
