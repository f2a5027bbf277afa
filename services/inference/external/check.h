/* check.h — `engine check`: what a server can do, tried with the client that evaluates it. */
#ifndef INFER_CHECK_H
#define INFER_CHECK_H

#include <jansson.h>
#include <stdio.h>

#include "engine.h"

/* The object that --json prints: kind, version, models, what each trial gave, problems. The
 * caller's reference; NULL with err when the server cannot be reached or is none. options->kind and
 * options->model may be NULL: guessed, and the first of its list. */
json_t *infer_check(const struct infer_engine_options *options, struct cap_err *err);
/* The same as text for people. */
void infer_check_print(const json_t *found, FILE *out);

#endif
