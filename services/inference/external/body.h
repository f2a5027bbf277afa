/* body.h — a request as the JSON that is posted. Pure. */
#ifndef INFER_BODY_H
#define INFER_BODY_H

#include "external/server.h"

enum infer_body_way {
    INFER_BODY_STREAM,
    INFER_BODY_STREAM_ROUTED, /* and the experts, in a chunk of their own */
    INFER_BODY_WHOLE,         /* one reply */
};

/* A request that generates; free() it. NULL when the prompt is not UTF-8. */
char *infer_body_generate(const struct infer_server *server, const struct infer_request *request,
                          enum infer_body_way way);

/* False, with a sentence, for what this server cannot be asked; before anything is sent. */
bool infer_body_check(const struct infer_server *server, const struct infer_request *request,
                      struct cap_err *err);

#endif
