/* refusal.h — what a server means when it says no. Pure.
 *
 * Servers write errors in four shapes: OpenAI's nested object, a flat one, FastAPI's detail (a text
 * or a list that names fields), plain text. Status and words are kept; the code tells what to do:
 * OUT_OF_RANGE the prompt is too long, NOT_FOUND no such model, INVALID_ARGUMENT a field that it
 * does not like, PERMISSION_DENIED the key, RESOURCE_EXHAUSTED it is overloaded, UNAVAILABLE it has
 * died, FAILED_PRECONDITION anything else.
 */
#ifndef INFER_REFUSAL_H
#define INFER_REFUSAL_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/* The reason in a body, whatever its shape; at most `room` bytes into out. */
void infer_refusal_text(const char *body, size_t length, char *out, size_t room);
/* As a failure. `out` is clean. */
void infer_refusal_explain(int status, const char *body, size_t length, struct cap_err *out);

#endif
