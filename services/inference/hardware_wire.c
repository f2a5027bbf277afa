#include "hardware_wire.h"

Moecap__V1__NodeHardware *infer_hardware_to_wire(const struct infer_hardware *hardware,
                                                 struct infer_hardware_message *out)
{
    Moecap__V1__NodeHardware *message = &out->message;

    moecap__v1__node_hardware__init(message);
    for (int i = 0; i < hardware->isa_count; i++)
        out->isa[i] = (char *)hardware->isa[i];
    message->cpu = (char *)hardware->cpu;
    message->kernel = (char *)hardware->kernel;
    message->governor = (char *)hardware->governor;
    message->cores = (uint32_t)hardware->cores;
    message->memory_bytes = hardware->memory_bytes;
    message->isa = out->isa;
    message->n_isa = (size_t)hardware->isa_count;
    if (hardware->read_bandwidth_gb_s > 0) {
        message->opt_read_bandwidth_case =
            MOECAP__V1__NODE_HARDWARE__OPT_READ_BANDWIDTH_READ_BANDWIDTH_GB_S;
        message->read_bandwidth_gb_s = hardware->read_bandwidth_gb_s;
    }
    return message;
}
