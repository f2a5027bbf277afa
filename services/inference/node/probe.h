/* probe.h — what this machine attains: reading main memory, and multiplying matrices with the
 * kernels of each precision. What a run used of the machine is told by these, beside the data
 * sheet.
 *
 * A machine that does something else meanwhile gives less: the best of several rounds is kept, and
 * the load when it began is told. Under 1.5 seconds; one thread calls, at start or on demand. */
#ifndef INFER_PROBE_H
#define INFER_PROBE_H

#include "node/hardware.h"

/* Fills the measured part of *io_hardware, of which cores, memory and caches are known. */
void infer_probe(struct infer_hardware *io_hardware);

#endif
