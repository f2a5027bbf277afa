/* openai_chunk.h — one event of a completions or chat stream, taken apart. Pure. */
#ifndef INFER_OPENAI_CHUNK_H
#define INFER_OPENAI_CHUNK_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct infer_openai_chunk {
    json_t *json;              /* owns the strings below */
    bool has_choice;           /* a choice that is not only a chat's role */
    const char *text;          /* "" when there is none */
    const char *reasoning;     /* NULL when there is none */
    const char *finish_reason; /* NULL while it goes on */
    bool has_usage;
    int prompt_tokens, output_tokens, cached_tokens; /* -1 = not told */
};

/* False with the server's own words when it is an error object, or a sentence when it is no JSON.
 */
bool infer_openai_chunk_read(const char *data, size_t length, struct infer_openai_chunk *out,
                             struct cap_err *err);
void infer_openai_chunk_done(struct infer_openai_chunk *chunk);

/* The reason in the body of a refused request, whatever its shape: OpenAI's nested error, a flat
 * one, a detail text or list, plain text. At most `room` bytes into out. */
void infer_openai_error_text(const char *body, size_t length, char *out, size_t room);

#endif
