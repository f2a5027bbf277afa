/* machine_rpc.h — how the commands that show a machine say what it attains. */
#ifndef CLI_MACHINE_RPC_H
#define CLI_MACHINE_RPC_H

#include "base/buf.h"
#include "moecap/v1/inference.pb-c.h"

/* "34.1 GB/s; f32 262, bf16 1017, int8 644 GFLOP/s", or that the node did not measure it. */
void cli_add_attained(struct cap_buf *out, const Moecap__V1__NodeHardware *hardware);

/* The sources of power that work, "nvml, rapl"; "none". */
void cli_add_power(struct cap_buf *out, const Moecap__V1__NodeHardware *hardware);
/* A line for each that does not, with the reason. */
void cli_say_no_power(const char *node, const Moecap__V1__NodeHardware *hardware);
/* A line for each device whose energy a run has, or for each kind why not. */
void cli_say_energy(const Moecap__V1__ShardReport *report);

#endif
