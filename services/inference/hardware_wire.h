/* hardware_wire.h — a node's hardware as a message; for the hello and for a shard's report. */
#ifndef INFER_HARDWARE_WIRE_H
#define INFER_HARDWARE_WIRE_H

#include "answer.h"
#include "moecap/v1/inference.pb-c.h"

struct infer_hardware_message {
    Moecap__V1__NodeHardware message;
    char *isa[16];
};

/* Fills *out, whose strings are borrowed from `hardware`; returns its message. */
Moecap__V1__NodeHardware *infer_hardware_to_wire(const struct infer_hardware *hardware,
                                                 struct infer_hardware_message *out);

#endif
