/* probe.h — what this machine attains: reading main memory, and multiplying matrices with the
 * kernels of each precision. Utilisation is a share of these, and of the data sheet.
 *
 * A machine that does something else meanwhile gives less: the best of several rounds is kept, and
 * the load at its start is kept. Under 1.5 seconds; one thread calls, at start or on demand. */
#ifndef INFER_PROBE_H
#define INFER_PROBE_H

#include "node/hardware.h"

/* Fills the measured part of *io_hardware, of which cores, memory and caches are known. */
void infer_probe(struct infer_hardware *io_hardware);

#endif
