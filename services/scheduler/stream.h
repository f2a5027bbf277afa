/* stream.h — the stream to a connected node, which others may send on while it lives.
 *
 * Made by the handler that serves the stream; found by node id; sched_stream_close waits until
 * nobody uses it any more, so that the handler may return. Any thread.
 *
 * What is sent while the order is held is seen by the node in that order. Whoever assigns asks,
 * with the order held, whether the run is still wanted: so no Stop overtakes its assignment.
 */
#ifndef SCHED_STREAM_H
#define SCHED_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/rand.h"

struct cap_rpc_call;
struct sched_streams;
struct sched_stream;

struct sched_streams *sched_streams_new(void);
void sched_streams_free(struct sched_streams *streams);

/* `hello` (packed, copied) is what the node said of itself. */
struct sched_stream *sched_stream_open(struct sched_streams *streams, struct cap_rpc_call *call,
                                       const void *hello, size_t hello_bytes,
                                       char out_node_id[CAP_ID_BYTES]);
void sched_stream_close(struct sched_streams *streams, struct sched_stream *stream);

/* The node's stream, which stays alive until sched_stream_done; NULL when it is not connected. */
struct sched_stream *sched_stream_use(struct sched_streams *streams, const char *node_id);
void sched_stream_done(struct sched_streams *streams, struct sched_stream *stream);

struct cap_rpc_call *sched_stream_call(const struct sched_stream *stream);
const void *sched_stream_hello(const struct sched_stream *stream, size_t *out_bytes);
/* The packed NodeBeat that came last, copied; sched_stream_beat's copy is in the arena, NULL when
 * none has come or the arena is full. */
void sched_stream_note_beat(struct sched_stream *stream, const void *beat, size_t bytes);
const void *sched_stream_beat(struct sched_stream *stream, struct cap_arena *arena,
                              size_t *out_bytes);
/* Changes when a node comes or goes. */
uint64_t sched_streams_version(struct sched_streams *streams);
int64_t sched_stream_since_ms(const struct sched_stream *stream); /* Unix time */
/* Held while something is sent. A node that does not read makes its sender wait: see
 * sched_streams_drop_stuck. */
void sched_stream_hold_order(struct sched_stream *stream);
void sched_stream_let_go(struct sched_stream *stream);
/* False when a Stop waits to be sent already; sched_stream_end_stop when it has been. */
bool sched_stream_begin_stop(struct sched_stream *stream);
void sched_stream_end_stop(struct sched_stream *stream);

/* Whether a line about what this node does may be logged now (cap_log_may). */
bool sched_stream_may_log(struct sched_streams *streams, struct sched_stream *stream,
                          int *out_untold);

/* Cancels the stream of one node, of each node that has not read what was sent for longer than
 * that, or every stream: the program ends. None waits for a node. */
void sched_streams_drop(struct sched_streams *streams, const char *node_id);
void sched_streams_drop_stuck(struct sched_streams *streams, int64_t sending_ms_max);
void sched_streams_cancel(struct sched_streams *streams);

#endif
