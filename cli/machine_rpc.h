/* machine_rpc.h — how the commands that show a machine say what it attains. */
#ifndef CLI_MACHINE_RPC_H
#define CLI_MACHINE_RPC_H

#include "base/buf.h"
#include "moecap/v1/inference.pb-c.h"

/* "34.1 GB/s; f32 262, bf16 1017, int8 644 GFLOP/s", or that the node did not measure it. */
void cli_add_attained(struct cap_buf *out, const Moecap__V1__NodeHardware *hardware);

#endif
