/* reply.h — what the endpoint says, as OpenAI writes it. Pure: structs in, JSON text out. */
#ifndef INFER_SERVE_REPLY_H
#define INFER_SERVE_REPLY_H

#include "base/buf.h"
#include "node/models.h"
#include "serve/queue.h"
#include "serve/request.h"

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
