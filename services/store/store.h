/* store.h — what the store can do: one function for each RPC, over its messages.
 *
 *     bool store_<verb>(pg, request, arena, reply, err)
 *
 * `reply` is initialised by the caller; what it points to lies in `arena` or is static, so both
 * live as long as the reply is used. Failed, it may hold anything. Any thread; each call is one or
 * more transactions of its own. proto/moecap/v1/store.proto says what each promises and which codes
 * it fails with.
 *
 *     struct store_service service = {.pg = pg};
 *     store_service_add(&service, server);   // before the server starts
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "moecap/v1/store.pb-c.h"

struct cap_metrics;
struct cap_rpc_server;
struct store_pg;

/* ---- limits ---- */

enum {
    /* tasks */
    STORE_TASK_NAME_BYTES_MAX = 128,
    STORE_TASK_METRICS_MAX = 64,
    STORE_TASK_DOCS_MAX = 1000000,
    STORE_TASK_BYTES_MAX = 256 << 20,     /* of all documents of a task */
    STORE_FEWSHOT_BYTES_MAX = 64 << 20,   /* of its few-shot pool; the evaluator keeps as much */
    STORE_POOL_WHOLE_BYTES_MAX = 6 << 20, /* of a pool in GetTask's reply; a message holds 8 MiB */
    STORE_POOL_PIECE_BYTES = 4 << 20,
    STORE_DEFINITION_BYTES_MAX = 1 << 20,
    STORE_DOC_BYTES_MAX = 1 << 20,
    STORE_DOCS_READ_MAX = 256,
    STORE_TASKS_MAX = 10000,
    STORE_TASKS_BYTES_MAX = 4 << 20, /* of a list, roughly; a message holds 8 MiB */
    STORE_UID_BYTES_MAX = 128,
    STORE_CHUNK_DOCS_MAX = 512, /* of one message of PutTask */
    /* the queue */
    STORE_RUNS_MAX = 6400, /* of an evaluation: 64 tasks, 100 repeats */
    STORE_RUN_SAMPLES_MAX = 1000000,
    STORE_RUN_SHARDS_MAX = 1,    /* what a scheduler takes */
    STORE_ACTIVE_PAGE_MAX = 100, /* evaluations read at a time by ListActive */
    STORE_REASON_BYTES_MAX = 4096,
    /* leases */
    STORE_LEASE_MS_MAX = 3600000,
    STORE_RENEW_MAX = 4096,
    STORE_SWEEP_MAX = 1000,
    STORE_NODE_BYTES_MAX = 256, /* of a node's id, and of its name */
    /* evidence */
    STORE_BATCH_BYTES_MAX = 2 << 20,
    STORE_ROUTING_BYTES_MAX = 256 << 10, /* of a sample */
    STORE_EXPERTS_MAX = 65536,           /* in a row of expert counts */
    STORE_UNGRADED_MAX = 256,
    STORE_UNGRADED_BYTES_MAX = 4 << 20, /* texts and documents of one reply */
    STORE_VERDICTS_MAX = 16384,         /* a call: 256 samples of 64 metrics */
    STORE_FIGURES_MAX = 512,
    STORE_HISTOGRAMS_MAX = 64,
    STORE_MARKS_MAX = 64,
    STORE_MARK_ID_BYTES_MAX = 64,
    STORE_MARK_TEXT_BYTES_MAX = 1024,
    STORE_BUCKETS_MAX = 4096,
    STORE_CURVES_MAX = 64,
    STORE_POINTS_MAX = 4096,          /* of a curve */
    STORE_EVIDENCE_ANSWERS_MAX = 200, /* read at a time */
    STORE_EVIDENCE_ROWS_MAX = 2000,   /* of anything else */
    /* reads */
    STORE_BOARD_ROWS_MAX = 1000,
    STORE_BOARD_BYTES_MAX = 6 << 20, /* of a reply, roughly; a message holds 8 MiB */
    STORE_BOARD_FIGURES_MAX = 256,
    STORE_BOARD_FILTER_MAX = 64,             /* values of a filter */
    STORE_BOARD_FILTER_BYTES_MAX = 64 << 10, /* together */
    STORE_BOARD_COUNTS_MAX = 10000,
    STORE_BOARD_FIGURES_BYTES_MAX = 64 << 10, /* of their names together */
    STORE_SAMPLES_DEFAULT = 100,
    STORE_SAMPLES_MAX = 500,
    STORE_SAMPLES_BYTES_MAX = 4 << 20,
    STORE_COUNTS_MAX = 20000,         /* (phase, layer, batch bucket) of a run */
    STORE_COUNTS_BYTES_MAX = 4 << 20, /* of a page, roughly */
    STORE_SEARCH_BYTES_MAX = 256,
    STORE_EVENTS_DEFAULT = 100,
    STORE_EVENTS_MAX = 1000,
    STORE_EVENTS_BYTES_MAX = 6 << 20, /* of a page, roughly */
    /* what a call of store_prune forgets */
    STORE_PRUNE_RUNS_MAX = 4,
    STORE_PRUNE_EVENTS_MAX = 1000, /* of the suite */
};

/* ---- the verbs: X(verb, request, reply) ---- */

#define STORE_PLAIN_VERBS(X)                                                                       \
    /* task.c */                                                                                   \
    X(list_tasks, ListTasksRequest, ListTasksReply)                                                \
    X(get_task, GetTaskRequest, GetTaskReply)                                                      \
    X(read_docs, ReadDocsRequest, ReadDocsReply)                                                   \
    /* queue.c */                                                                                  \
    X(enqueue, EnqueueRequest, EnqueueReply)                                                       \
    /* run.c */                                                                                    \
    X(move_run, MoveRunRequest, Empty)                                                             \
    /* lease.c */                                                                                  \
    X(renew, RenewRequest, RenewReply)                                                             \
    X(release, ReleaseRequest, Empty)                                                              \
    /* grade.c */                                                                                  \
    X(read_ungraded, ReadUngradedRequest, ReadUngradedReply)                                       \
    X(put_verdicts, PutVerdictsRequest, PutVerdictsReply)                                          \
    /* board.c */                                                                                  \
    X(board, BoardRequest, BoardReply)                                                             \
    X(get_run, GetRunRequest, GetRunReply)                                                         \
    /* pair.c, samples.c */                                                                        \
    X(pair_verdicts, PairVerdictsRequest, PairVerdictsReply)                                       \
    X(list_samples, ListSamplesRequest, ListSamplesReply)                                          \
    X(get_expert_counts, GetExpertCountsRequest, GetExpertCountsReply)                             \
    /* event.c */                                                                                  \
    X(put_node, PutNodeRequest, Empty)                                                             \
    X(list_events, ListEventsRequest, ListEventsReply)

/* The service counts something beside: lease.c, append.c, grade.c. */
#define STORE_COUNTED_VERBS(X)                                                                     \
    X(lease, LeaseRequest, LeaseReply)                                                             \
    X(sweep, Empty, SweepReply)                                                                    \
    X(append, AppendRequest, AppendReply)                                                          \
    X(finish_run, FinishRunRequest, Empty)

#define STORE_VERB(verb, request_type, reply_type)                                                 \
    bool store_##verb(struct store_pg *pg, const Moecap__V1__##request_type *request,              \
                      struct cap_arena *arena, Moecap__V1__##reply_type *reply,                    \
                      struct cap_err *err);
STORE_PLAIN_VERBS(STORE_VERB)
STORE_COUNTED_VERBS(STORE_VERB)

/* ---- streams ---- */

/* Takes one message of a reply; false ends the call. */
typedef bool store_sink(void *arg, const ProtobufCMessage *message, struct cap_err *err);

/* ActiveEvaluation after ActiveEvaluation. queue.c */
bool store_list_active(struct store_pg *pg, store_sink *sink, void *arg, struct cap_err *err);
/* Evidence: the header, then answers, verdicts, passes, expert counts, power. evidence.c */
bool store_read_evidence(struct store_pg *pg, const char *run_id, store_sink *sink, void *arg,
                         struct cap_err *err);

/* A task on its way in: open, add each document, end. task_put.c */
struct store_task_put;
/* Copies `task` and checks it. */
struct store_task_put *store_task_put_open(const Moecap__V1__TaskInfo *task, struct cap_err *err);
void store_task_put_free(struct store_task_put *put);
CAP_DEFINE_AUTO(store_task_put)
bool store_task_put_add(struct store_task_put *put, bool fewshot, const char *json,
                        struct cap_err *err);
bool store_task_put_end(struct store_task_put *put, struct store_pg *pg, struct cap_arena *arena,
                        Moecap__V1__PutTaskReply *reply, struct cap_err *err);

/* ---- forgetting ---- */

struct store_pruned {
    int64_t runs, events, ledger_rows;
};
/* Events of the suite that are older than `days` > 0; of runs that ended longer ago their events,
 * and the ledger's rows but the last of each attempt. Never evidence, attempts, figures, or
 * anything of a run that has not ended. Called with each sweep, so each call is bounded. event.c */
bool store_prune(struct store_pg *pg, int days, struct store_pruned *out_pruned,
                 struct cap_err *err);

/* ---- the service ---- */

struct store_service {
    struct store_pg *pg; /* borrowed */
    int retention_days;  /* 0 = keep all */
};

enum store_metric {
#define METRIC(name, kind, help) STORE_METRIC_##name,
#include "metrics.def"
#undef METRIC
    STORE_METRIC_COUNT
};

/* The program's counters; any thread. */
struct cap_metrics *store_metrics(void);

/* Handlers run on the server's workers. `service` is borrowed for the server's life. */
void store_service_add(struct store_service *service, struct cap_rpc_server *server);

#endif
