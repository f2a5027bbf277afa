/* request.h — an OpenAI request body, checked and turned into what an engine takes. */
#ifndef INFER_SERVE_REQUEST_H
#define INFER_SERVE_REQUEST_H

#include "base/arena.h"
#include "engine.h"

enum { INFER_SERVE_PROMPTS_MAX = 128 };

/* Strings and arrays live in the arena given to the parser. */
struct infer_serve_request {
    bool chat;
    const char *model; /* NULL = the request names none */
    bool stream, include_usage;
    bool echo;
    int logprobs;                  /* -1 = not wanted; else how many alternatives a token */
    struct infer_request *prompts; /* [prompt_count] */
    int prompt_count;
};

/* False with a sentence; *out_param then names the field, or is NULL. */
bool infer_serve_parse(const char *body, size_t length, bool chat, struct cap_arena *arena,
                       struct infer_serve_request *out, const char **out_param,
                       struct cap_err *err);

#endif
