/* gen.h — parts of the protoc plugin that writes the typed stubs of lib/rpc.
 *
 * For a/b.proto it writes a/b.rpc.h and a/b.rpc.c. One process, one thread; strings come from one
 * arena that lives until exit. What the output looks like: lib/rpc/rpc.h.
 */
#ifndef GEN_H
#define GEN_H

#include <google/protobuf/compiler/plugin.pb-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest gen_request;
typedef Google__Protobuf__FileDescriptorProto gen_file;
typedef Google__Protobuf__DescriptorProto gen_message;
typedef Google__Protobuf__FieldDescriptorProto gen_field;
typedef Google__Protobuf__EnumDescriptorProto gen_enum;
typedef Google__Protobuf__ServiceDescriptorProto gen_service;
typedef Google__Protobuf__MethodDescriptorProto gen_method;

/* names.c: how protobuf-c and we spell things */
const char *gen_snake(struct cap_arena *a, const char *camel);      /* ListTasks -> list_tasks */
const char *gen_c_type(struct cap_arena *a, const char *full_name); /* .a.v1.B -> A__V1__B */
const char *gen_c_lower(struct cap_arena *a,
                        const char *full_name);                   /* .a.v1.BigB -> a__v1__big_b */
const char *gen_stem(struct cap_arena *a, const char *file_name); /* a/b.proto -> a/b */
const char *gen_ident(struct cap_arena *a, const char *text);     /* a/b -> a_b */
const char *gen_full_name(struct cap_arena *a, const gen_file *file, const char *name);

/* stubs.c: the handlers struct, the client's functions, the tables of every service in the file */
void gen_stubs(struct cap_arena *a, const gen_file *file, struct cap_buf *header,
               struct cap_buf *source);

/* enums.c: the words of every enum of the file, "queued" of RUN_STATE_QUEUED */
void gen_enums(struct cap_arena *a, const gen_file *file, struct cap_buf *header,
               struct cap_buf *source);

/* reflect.c: the file's own description, for gRPC reflection */
void gen_reflection(struct cap_arena *a, gen_file *file, struct cap_buf *header,
                    struct cap_buf *source);
/* check.c: refuses what a C server cannot take safely: recursive messages, proto3 `optional`. */
bool gen_check(struct cap_arena *a, const gen_request *request, const gen_file *file,
               struct cap_err *err);

#endif
