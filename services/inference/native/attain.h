/* attain.h — what matrix multiplication attains on this machine, by precision, with the very
 * kernels that a model of that precision runs on. One thread; the backend brings its own workers.
 */
#ifndef NATIVE_ATTAIN_H
#define NATIVE_ATTAIN_H

#include "native/weights.h"

/* 10^9 operations a second for each precision, 0 where it could not be measured: the best of as
 * many rounds as fit into `budget_ms` for each, at least three. `threads` as in
 * native_model_options. */
void native_attain(int threads, int budget_ms, double out_gflop_s[NATIVE_PRECISION_COUNT]);

#endif
