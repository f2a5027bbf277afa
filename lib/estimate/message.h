/* message.h — an estimate as messages: for the evaluator's call and for the command line, which
 * needs no evaluator. */
#ifndef CAP_ESTIMATE_MESSAGE_H
#define CAP_ESTIMATE_MESSAGE_H

#include "base/arena.h"
#include "base/err.h"
#include "moecap/v1/evaluator.pb-c.h"

/* Fills the reply, in the arena. err->field is the field of the request to blame. */
bool cap_estimate_answer(const Moecap__V1__EstimateRequest *request, struct cap_arena *arena,
                         Moecap__V1__EstimateReply *out, struct cap_err *err);

#endif
