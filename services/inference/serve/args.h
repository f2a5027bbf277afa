/* args.h — `model serve DIR`: a node without a scheduler, as flags of the service. */
#ifndef INFER_SERVE_ARGS_H
#define INFER_SERVE_ARGS_H

#include <stdbool.h>

#include "base/arena.h"

/* True when the arguments are `serve ...` or `model serve ...`; then *out_argv (in the arena) are
 * the service's flags they stand for, or *out_argc is 0 after a usage text on stderr, -1 after one
 * on stdout that was asked for. */
bool infer_serve_args(int argc, char **argv, struct cap_arena *arena, int *out_argc,
                      char ***out_argv);

#endif
