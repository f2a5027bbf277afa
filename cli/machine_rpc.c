/* What a node's probe measured, in one line. */
#include "machine_rpc.h"

void cli_add_attained(struct cap_buf *out, const Moecap__V1__NodeHardware *hardware)
{
    bool read = hardware->opt_read_bandwidth_case ==
                MOECAP__V1__NODE_HARDWARE__OPT_READ_BANDWIDTH_READ_BANDWIDTH_GB_S;

    if (read)
        cap_buf_printf(out, "%.3g GB/s", hardware->read_bandwidth_gb_s);
    for (size_t i = 0; i < hardware->n_compute; i++)
        cap_buf_printf(out, "%s%.16s %.4g", i > 0 ? ", " : (read ? "; " : ""),
                       hardware->compute[i]->precision, hardware->compute[i]->gflop_per_s);
    if (hardware->n_compute > 0)
        cap_buf_add_str(out, " GFLOP/s");
    else if (!read)
        cap_buf_add_str(out, "not measured");
}
