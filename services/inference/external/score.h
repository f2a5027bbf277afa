/* score.h — log-likelihoods of continuations over HTTP, by servers that score prompts.
 *
 * A call that scores is several requests, one after the other: the context alone, whose usage says
 * how many tokens it has, then context and each continuation with the log-probabilities of the
 * prompt. A continuation's tokens are those behind the context's own (the rule of encode.h, so that
 * figures can be compared); one token is generated each time, for few servers generate none. Pure.
 */
#ifndef INFER_EXTERNAL_SCORE_H
#define INFER_EXTERNAL_SCORE_H

#include "external/call.h"

/* The request that the call's stage wants; free() it. NULL when a text is not UTF-8. */
char *infer_score_body(const struct infer_server *server, const struct infer_call *call);
/* Its reply, of status 200; the call is in its next stage. False with a sentence: UNIMPLEMENTED
 * when the server told no log-probabilities of the prompt. */
bool infer_score_take(const struct infer_server *server, struct infer_call *call, const char *body,
                      size_t length, struct cap_err *err);
bool infer_score_is_done(const struct infer_call *call);

#endif
