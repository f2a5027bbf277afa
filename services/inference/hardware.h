/* hardware.h — what this machine is: processor, memory, instruction sets, how fast it reads. Cores
 * and memory are those that this process may use (allowed.h): a container's, not its host's. */
#ifndef INFER_HARDWARE_H
#define INFER_HARDWARE_H

#include "answer.h"

/* Never fails; what cannot be found out is empty, 0 or unknown. With `probe`, the read bandwidth of
 * main memory is measured with all cores, for well under a second. One thread, at start. */
void infer_hardware_read(struct infer_hardware *out, bool probe);

#endif
