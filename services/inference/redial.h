/* redial.h — when a node dials its scheduler again, and whether that is worth a line in the log.
 *
 * What may pass by itself (nobody listens, the stream broke) is tried again soon; a refusal that
 * only an operator can end (a bad name, another version) ever more rarely, but for ever: whoever
 * mends it need not restart the node. A stream that ends at once counts as no stream, or a
 * scheduler that welcomes and hangs up would be dialled without a pause. Pure; one thread.
 *
 *     struct infer_redial redial = {0};
 *     if (infer_redial_ended(&redial, welcomed_ms, &err)) log(&err);
 *     sleep(redial.pause_ms);
 */
#ifndef INFER_REDIAL_H
#define INFER_REDIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    INFER_REDIAL_MS_MIN = 200,
    INFER_REDIAL_MS_MAX = 5000,
    INFER_REDIAL_REFUSED_MS_MAX = 300000, /* refused for good */
    INFER_REDIAL_STREAM_MS_MIN = 5000,    /* a stream that lived so long was one */
};

/* The reason of a stream that the scheduler ended without one. */
#define INFER_REDIAL_HUNG_UP "the scheduler ended the stream"

struct infer_redial {
    int64_t pause_ms;                    /* before the next call */
    char reason[CAP_ERR_TEXT_BYTES_MAX]; /* told last */
    int untold;                          /* ends with that reason since */
};

/* The stream has ended, `welcomed_ms` after its welcome (-1: there was none), for this reason. Sets
 * the pause; true when the reason is to be logged: it is not the one that was logged last. */
bool infer_redial_ended(struct infer_redial *redial, int64_t welcomed_ms,
                        const struct cap_err *reason);

#endif
