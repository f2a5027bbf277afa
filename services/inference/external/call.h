/* call.h — one request on its way: being sent, waiting to be tried again, or streaming.
 *
 * The client (client.h) owns the sockets and tells a call what came; the call says which event of
 * the engine that is. The worker's thread only.
 */
#ifndef INFER_CALL_H
#define INFER_CALL_H

#include "external/chunk.h"
#include "external/server.h"
#include "text/output.h"

enum {
    INFER_CALL_TRIES_MAX = 6,
    INFER_CALL_ID_BYTES = 96,
};

/* What the request under way is for. */
enum infer_stage {
    INFER_STAGE_GENERATE,
    INFER_STAGE_CONTEXT,      /* scoring: how many tokens has the context? */
    INFER_STAGE_CONTINUATION, /* scoring: context and continuation [continuation] */
    INFER_STAGE_ROUTING,      /* the answer is there; once more, not streamed, for its experts */
};

struct infer_call {
    const struct infer_request *request; /* NULL = the slot is free */
    enum infer_stage stage;
    char *body;
    int tries;
    int64_t due_ns; /* when to try again; 0 = on its way */
    bool began;     /* a byte of the reply has come: no second try */
    int prompt_tokens, output_tokens, cached_tokens;
    char finish_reason[32];
    char server_id[INFER_CALL_ID_BYTES]; /* the server's name of the request; "" */
    struct infer_output_text flow;
    int continuation, context_tokens;
    struct infer_score *scores; /* [request->continuation_count] */
    char *routed;               /* base64, as the server wrote it; NULL = it told none */
    size_t routed_length;
    struct cap_buf text; /* the answer as the server wrote it */
    int64_t ended_ns;    /* of the answer; the call may go on for its routing */
};

void infer_call_start(struct infer_call *call, const struct infer_request *request);
/* The next request of the call; takes the body. */
void infer_call_set_body(struct infer_call *call, char *body);
void infer_call_keep_routed(struct infer_call *call, const char *base64, size_t length);
/* Frees what it holds; the slot is free. */
void infer_call_end(struct infer_call *call);

/* True: it is to be sent again at call->due_ns. Only while nothing of the reply has been seen. */
bool infer_call_plan_retry(struct infer_call *call, int64_t now_ns, int retry_after_s);
/* A chunk came; true when it is an event. The event's strings belong to chunk and call. */
bool infer_call_take_chunk(struct infer_call *call, const struct infer_chunk *chunk, int64_t at_ns,
                           struct infer_event *out);
/* The stream has ended; false, with why, when not as it should. `marked` = with [DONE]. */
bool infer_call_check_end(struct infer_call *call, bool marked, struct cap_err *err);

#endif
