/* The table of backends: a row is all that the rest of the tree needs. A test that wants another
 * one links a table of its own in its place. */
#include "cpu/cpu.h"

const struct moe_backend *const moe_backends[] = {
    &moe_backend_cpu,
    NULL,
};
