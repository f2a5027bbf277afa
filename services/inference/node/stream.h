/* stream.h — this node's stream to the scheduler: dials, says hello, carries, dials again.
 *
 * One thread receives and, for each connection, one sends; what they carry is work.h's. When the
 * stream ends, for whatever reason, the next one is tried after a pause. The scheduler's address is
 * the only one that a node must know.
 */
#ifndef INFER_STREAM_H
#define INFER_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "node/models.h"
#include "node/rows.h"
#include "node/work.h"

/* Everything is borrowed and outlives the client. */
struct infer_hello {
    const char *name;
    const char *const *precisions; /* of the native engine; NULL-terminated */
    struct infer_models *models;
    const struct infer_hardware *hardware;
    const char *endpoint;                        /* "" = none */
    const struct infer_server_command *commands; /* [command_count] that start servers */
    int command_count;
    bool any_model_path, link_local;
};

struct infer_work_client;

/* A scheduler that has not answered the hello for this long is dialled again. */
enum { INFER_WELCOME_MS_MAX = 60000 };

/* welcome_ms_max 0: the default above. */
struct infer_work_client *infer_work_client_start(struct infer_work *work, const char *scheduler,
                                                  const struct infer_hello *hello,
                                                  int welcome_ms_max);
/* After infer_work_close: ends the stream and waits for the threads. */
void infer_work_client_free(struct infer_work_client *client);
CAP_DEFINE_AUTO(infer_work_client)

/* ---- when to dial again, and whether the reason is worth a line in the log ----
 *
 * What may pass by itself (nobody listens, the stream broke) is tried again soon. A refusal that
 * only an operator can end (a bad name, another version) is tried less and less often, but for
 * ever: the node need not be restarted when the cause is mended. A stream that ends at once counts
 * as none, or a scheduler that welcomes and hangs up would be dialled without a pause. Pure; one
 * thread.
 *
 *     struct infer_redial redial = {0};
 *     if (infer_redial_ended(&redial, welcomed_ms, &err)) log(&err);
 *     sleep(redial.pause_ms);
 */

enum {
    INFER_REDIAL_MS_MIN = 200,
    INFER_REDIAL_MS_MAX = 5000,
    INFER_REDIAL_REFUSED_MS_MAX = 300000, /* refused for good */
    INFER_REDIAL_STREAM_MS_MIN = 5000,    /* one that lived this long counts as a stream */
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
