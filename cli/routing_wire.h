/* routing_wire.h — the routing of a sample in a few words. */
#ifndef CLI_ROUTING_WIRE_H
#define CLI_ROUTING_WIRE_H

#include <stdbool.h>

#include "moecap/v1/inference.pb-c.h"

enum { CLI_ROUTING_LAYERS_MAX = 1024 };

/* Medians over the layers, prefill and decode together. */
struct cli_routing {
    bool known;           /* there is a layer in which something was chosen */
    double distinct;      /* experts that were chosen */
    double busiest_share; /* selections that went to the busiest expert, 0..1 */
    uint32_t experts;     /* of the model */
};

/* `routing` may be NULL. Of more than CLI_ROUTING_LAYERS_MAX layers the first count. */
struct cli_routing cli_routing_of(const Moecap__V1__SampleRouting *routing);

#endif
