/* body.h — a request as the JSON that is posted. Pure. */
#ifndef INFER_BODY_H
#define INFER_BODY_H

#include "external/server.h"

/* A streamed request; free() it. NULL when the prompt is not UTF-8. */
char *infer_body_generate(const struct infer_server *server, const struct infer_request *request);

/* False, with a sentence, for what this server cannot be asked; before anything is sent. */
bool infer_body_check(const struct infer_server *server, const struct infer_request *request,
                      struct cap_err *err);

#endif
