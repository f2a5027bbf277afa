/* chunk.h — one event of a completions or chat stream, taken apart. Pure.
 *
 * A chunk is not a token: it may hold several, or half a character, or nothing. What is counted is
 * usage, in the last chunk with a choice or in one of its own, or nowhere.
 */
#ifndef INFER_CHUNK_H
#define INFER_CHUNK_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct infer_chunk {
    json_t *json;     /* owns the strings below */
    bool has_choice;  /* a choice that is not only a chat's role */
    bool is_closing;  /* it only says that the answer has ended: a token, or none */
    const char *text; /* "" when there is none */
    size_t text_length;
    const char *reasoning;      /* NULL when there is none */
    const char *finish_reason;  /* NULL while it goes on */
    const char *id;             /* the server's name of the request; NULL */
    const char *fingerprint;    /* of the server's build; NULL */
    const char *routed_experts; /* SGLang: base64; NULL */
    size_t routed_length;
    bool has_usage;
    int prompt_tokens, output_tokens, cached_tokens; /* -1 = not told */
};

/* False with the server's own words when it is an error object, or a sentence when it is no JSON.
 */
bool infer_chunk_read(const char *data, size_t length, struct infer_chunk *out,
                      struct cap_err *err);
void infer_chunk_done(struct infer_chunk *chunk);

#endif
