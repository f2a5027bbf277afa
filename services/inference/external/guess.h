/* guess.h — which kind of server is it? By what it says, in an order that asks little. Blocks. */
#ifndef INFER_GUESS_H
#define INFER_GUESS_H

#include <jansson.h>

#include "external/server.h"

struct infer_guess {
    const struct infer_external_kind *kind;
    char why[200];
};

/* `models` is the reply of /v1/models. "openai" when nothing speaks for another. */
void infer_guess_kind(const struct infer_server *server, const json_t *models,
                      struct infer_guess *out);

#endif
