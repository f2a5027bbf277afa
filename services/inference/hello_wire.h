/* hello_wire.h — what this node is, as the message that opens its stream. */
#ifndef INFER_HELLO_WIRE_H
#define INFER_HELLO_WIRE_H

#include "moecap/v1/scheduler.pb-c.h"
#include "work_rpc.h"

/* In the arena, with strings borrowed from `hello`. */
Moecap__V1__NodeHello *infer_hello_to_wire(const struct infer_hello *hello,
                                           struct cap_arena *arena);

#endif
