/* inside.h — OpenAI's JSON in both directions, for this folder's own files: request.c reads a body,
 * reply.c writes what the endpoint says, endpoint.c calls the first before the queue and the second
 * after it. Pure: no socket, no lock; any thread.
 */
#ifndef INFER_SERVE_INSIDE_H
#define INFER_SERVE_INSIDE_H

#include "base/arena.h"
#include "node/models.h"
#include "serve/queue.h"

/* ==== a request body, checked and turned into what an engine takes ==== */

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

/* ==== what the endpoint says, as OpenAI writes it ====
 *
 * Structs in, JSON text out.
 */

/* What all parts of one reply share. */
struct infer_serve_reply {
    const struct infer_serve_request *request;
    const char *id, *model;
    int64_t created_s;
};

/* The whole reply. Each prompt has the served request that generated, its text, and the served
 * request that scored the prompt (meaningful if the client wants logprobs). */
void infer_serve_reply_whole(const struct infer_serve_reply *reply,
                             const struct infer_served *served, const struct infer_served *scorers,
                             const struct cap_buf *texts, struct cap_buf *out);
/* Events of a stream: "data: {...}" and a blank line each. */
void infer_serve_reply_role(const struct infer_serve_reply *reply, struct cap_buf *out);
void infer_serve_reply_piece(const struct infer_serve_reply *reply, const char *text,
                             struct cap_buf *out);
/* Finish reason, usage if it was asked for, and the end mark; or the failure. */
void infer_serve_reply_end(const struct infer_serve_reply *reply, const struct infer_served *served,
                           struct cap_buf *out);
/* {"error": {...}} */
void infer_serve_reply_error(const struct cap_err *err, const char *param, struct cap_buf *out);
/* One entry, or the list of all when name is NULL; false when there is no such model. */
bool infer_serve_reply_models(const struct infer_models *models, const char *name,
                              struct cap_buf *out);

#endif
