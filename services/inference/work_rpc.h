/* work_rpc.h — this node's stream to the scheduler: dials, says hello, carries, dials again.
 *
 * One thread receives and, per connection, one sends; what they carry is work.h's. When the stream
 * ends, for whatever reason, the next one is tried after a pause (redial.h). The channel is the
 * node's only address to know.
 */
#ifndef INFER_WORK_RPC_H
#define INFER_WORK_RPC_H

#include "answer.h"
#include "base/auto.h"
#include "models.h"
#include "work.h"

/* Everything is borrowed and outlives the client. */
struct infer_hello {
    const char *name;
    const char *const *precisions; /* of the native engine; NULL-terminated */
    struct infer_models *models;
    const struct infer_hardware *hardware;
    const char *endpoint; /* "" = none */
    bool any_model_path;
};

struct infer_work_client;

/* A scheduler that has not answered the hello for so long is dialled anew. */
enum { INFER_WELCOME_MS_MAX = 60000 };

/* welcome_ms_max 0: the default above. */
struct infer_work_client *infer_work_client_start(struct infer_work *work, const char *scheduler,
                                                  const struct infer_hello *hello,
                                                  int welcome_ms_max);
/* After infer_work_close: ends the stream and waits for the threads. */
void infer_work_client_free(struct infer_work_client *client);
CAP_DEFINE_AUTO(infer_work_client)

#endif
