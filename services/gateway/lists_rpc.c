/* Lists: the board, the queue, nodes, tasks, events. Each is one call of a service for one page of
 * an order that does not change under the reader; docs/api.md says which. */
#include <string.h>

#include "moecap/v1/common.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"
#include "table.h"
#include "wire/json.h"

enum { ROWS_MAX = 1000 };

bool gate_query_page(struct cap_http_request *http, int64_t rows_max, int64_t fallback,
                     uint32_t *out_limit, struct cap_err *err)
{
    static const char *const formats[] = {"json", "csv", NULL};
    int64_t limit;
    char *format;

    if (!gate_query_word(http, "format", formats, &format, err) ||
        !gate_query_int(http, "limit", 1, rows_max, fallback, &limit, err))
        return false;
    *out_limit = (uint32_t)limit;
    return true;
}

static void answer(struct cap_http_request *http, bool ok, const struct gate_table *table,
                   const ProtobufCMessage *reply, const struct cap_err *err)
{
    if (ok)
        gate_reply_table(http, table, "", reply);
    else
        gate_reply_error(http, err);
}

/* ---- the board ---- */

static const struct gate_column board_columns[] = {
    {"run_id", "run_id"},
    {"evaluation_id", "evaluation_id"},
    {"task", "task"},
    {"repeat", "repeat"},
    {"state", "state"},
    {"reason", "reason"},
    {"node", "node"},
    {"model", "spec.model"},
    {"revision", "spec.revision"},
    {"engine", "spec.engine"},
    {"precision", "spec.precision"},
    {"hardware", "spec.hardware.description"},
    {"tensor_parallel", "spec.parallelism.tensor"},
    {"pipeline_parallel", "spec.parallelism.pipeline"},
    {"data_parallel", "spec.parallelism.data"},
    {"expert_parallel", "spec.parallelism.expert"},
    {"concurrency", "spec.load.concurrency"},
    {"rate_per_s", "spec.load.rate_per_s"},
    {"max_tokens", "spec.generation.max_tokens"},
    {"temperature", "spec.generation.temperature"},
    {"num_fewshot", "spec.num_fewshot"},
    {"limit", "spec.limit"},
    {"sampling", "spec.sampling"},
    {"seed", "spec.seed"},
    {"prompt_format", "spec.prompt_format"},
    {"submitter", "spec.submitter"},
    {"note", "spec.note"},
    {"queued_at_ms", "queued_at_ms"},
    {"ended_at_ms", "ended_at_ms"},
    {"config_hash", "config_hash"},
    {"headline_metric", "headline_metric"},
};

/* A figure beyond its physical limit is never shown as a result: its reason stands alone. */
static const struct gate_group figures = {"figures",
                                          "id",
                                          {{"", "value", "invalid"},
                                           {"_low", "low", "invalid"},
                                           {"_high", "high", "invalid"},
                                           {"_basis", "basis", NULL},
                                           {"_reason", "reason", NULL}}};

static const struct gate_table board_table = {"board", "rows", board_columns,
                                              CAP_COUNT_OF(board_columns), &figures};

/* "queued" -> RUN_STATE_QUEUED */
static bool query_state(struct cap_http_request *http, Moecap__V1__RunState *out,
                        struct cap_err *err)
{
    char *word;

    *out = MOECAP__V1__RUN_STATE__RUN_STATE_UNSPECIFIED; /* any */
    if (!gate_query_word(http, "state", run_state_words, &word, err))
        return false;
    run_state_from_word(word, out);
    return true;
}

static bool query_figures(struct cap_http_request *http, Moecap__V1__BoardRequest *request)
{
    char *list = cap_arena_strdup(cap_http_arena(http), gate_query_text(http, "figures"));

    request->figures = cap_arena_array(cap_http_arena(http), strlen(list) + 1, sizeof list);
    while (request->figures && list && *list)
        request->figures[request->n_figures++] = strsep(&list, ";");
    return request->figures != NULL;
}

static bool read_board(struct cap_http_request *http, Moecap__V1__BoardRequest *request,
                       struct cap_err *err)
{
    int64_t all, report;

    if (!gate_query_page(http, ROWS_MAX, ROWS_MAX, &request->limit, err) ||
        !gate_query_int(http, "all", 0, 1, 0, &all, err) ||
        !gate_query_int(http, "report", 0, 1, 1, &report, err) ||
        !query_state(http, &request->state, err))
        return false;
    request->model = gate_query_text(http, "model");
    request->task = gate_query_text(http, "task");
    request->engine = gate_query_text(http, "engine");
    request->precision = gate_query_text(http, "precision");
    request->evaluation_id = gate_query_text(http, "evaluation");
    request->after = gate_query_text(http, "after");
    request->with_unfinished = all == 1;
    request->without_report = report == 0;
    return query_figures(http, request) ||
           cap_fail_field(err, CAP_INVALID_ARGUMENT, "figures", "figures names too many");
}

void gate_board(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {
        "model", "task",  "engine",  "precision", "evaluation", "state", "all",
        "limit", "after", "figures", "report",    "format",     NULL};
    struct gate_service *service = self;
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *reply = NULL;
    struct cap_err err = {0};

    if (!gate_accept(http, parameters))
        return;
    if (read_board(http, &request, &err) &&
        store_rpc_board(service->store, NULL, &request, cap_http_arena(http), &reply, &err))
        gate_reply_table(http, &board_table, gate_query_text(http, "figures"), &reply->base);
    else
        gate_reply_error(http, &err);
}

/* ---- the queue ---- */

static const struct gate_column queue_columns[] = {
    {"run_id", "run.run_id"},
    {"evaluation_id", "run.evaluation_id"},
    {"position", "position"},
    {"state", "run.state"},
    {"task", "run.task"},
    {"repeat", "run.repeat"},
    {"model", "run.model"},
    {"engine", "run.engine"},
    {"precision", "run.precision"},
    {"concurrency", "run.concurrency"},
    {"submitter", "submitter"},
    {"priority", "priority"},
    {"node", "run.node"},
    {"phase", "run.phase"},
    {"waiting_for", "waiting_for"},
    {"reason", "run.reason"},
    {"samples_total", "run.samples_total"},
    {"samples_answered", "run.samples_answered"},
    {"samples_graded", "run.samples_graded"},
    {"output_tokens_per_s", "run.output_tokens_per_s"},
    {"attempts", "run.attempts"},
    {"queued_at_ms", "run.queued_at_ms"},
    {"started_at_ms", "run.started_at_ms"},
};

static const struct gate_table queue_table = {"queue", "entries", queue_columns,
                                              CAP_COUNT_OF(queue_columns), NULL};

void gate_queue(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"limit", "after", "order", "format", NULL};
    static const char *const orders[] = {"arrival", "position", NULL};
    struct gate_service *service = self;
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply = NULL;
    struct cap_err err = {0};
    char *order;
    bool ok;

    if (!gate_accept(http, parameters))
        return;
    ok = gate_query_page(http, ROWS_MAX, ROWS_MAX, &request.limit, &err) &&
         gate_query_word(http, "order", orders, &order, &err);
    if (ok) {
        request.by_arrival = strcmp(order, "position") != 0;
        request.after = gate_query_text(http, "after");
        ok = scheduler_rpc_list_queue(service->scheduler, NULL, &request, cap_http_arena(http),
                                      &reply, &err);
    }
    answer(http, ok, &queue_table, ok ? &reply->base : NULL, &err);
}

/* ---- nodes ---- */

static const struct gate_column node_columns[] = {
    {"node_id", "node_id"},
    {"name", "hello.name"},
    {"version", "hello.version"},
    {"run_id", "run_id"},
    {"peer", "peer"},
    {"endpoint", "hello.endpoint"},
    {"connected_at_ms", "connected_at_ms"},
    {"last_beat_ms_ago", "last_beat_ms_ago"},
    {"engines", "hello.engines"},
    {"precisions", "hello.precisions"},
    {"cpu", "hello.hardware.cpu"},
    {"cores", "hello.hardware.cores"},
    {"memory_bytes", "hello.hardware.memory_bytes"},
    {"devices", "hello.hardware.devices"},
    {"device_memory_bytes", "hello.hardware.device_memory_bytes"},
    {"read_bandwidth_gb_s", "hello.hardware.read_bandwidth_gb_s"},
};

static const struct gate_table node_table = {"nodes", "nodes", node_columns,
                                             CAP_COUNT_OF(node_columns), NULL};

void gate_nodes(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"limit", "after", "format", NULL};
    struct gate_service *service = self;
    Moecap__V1__ListNodesRequest request = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *reply = NULL;
    struct cap_err err = {0};
    bool ok;

    if (!gate_accept(http, parameters))
        return;
    request.after = gate_query_text(http, "after");
    ok = gate_query_page(http, ROWS_MAX, ROWS_MAX, &request.limit, &err) &&
         scheduler_rpc_list_nodes(service->scheduler, NULL, &request, cap_http_arena(http), &reply,
                                  &err);
    answer(http, ok, &node_table, ok ? &reply->base : NULL, &err);
}

/* ---- tasks ---- */

static const struct gate_column task_columns[] = {
    {"name", "name"},
    {"version", "version"},
    {"output_type", "output_type"},
    {"split", "split"},
    {"samples", "samples"},
    {"num_fewshot", "num_fewshot"},
    {"fewshot_samples", "fewshot_samples"},
    {"metrics", "metrics"},
    {"description", "description"},
    {"samples_file", "samples_file"},
    {"fewshot_file", "fewshot_file"},
    {"definition_sha256", "definition_sha256"},
    {"data_sha256", "data_sha256"},
};

static const struct gate_table task_table = {"tasks", "tasks", task_columns,
                                             CAP_COUNT_OF(task_columns), NULL};

void gate_tasks(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"limit", "after", "definition", "format", NULL};
    struct gate_service *service = self;
    Moecap__V1__ListTasksRequest request = MOECAP__V1__LIST_TASKS_REQUEST__INIT;
    Moecap__V1__ListTasksReply *reply = NULL;
    struct cap_err err = {0};
    int64_t definition;
    bool ok;

    if (!gate_accept(http, parameters))
        return;
    ok = gate_query_page(http, ROWS_MAX, ROWS_MAX, &request.limit, &err) &&
         gate_query_int(http, "definition", 0, 1, 1, &definition, &err);
    if (ok) {
        request.after = gate_query_text(http, "after");
        request.without_definition = definition == 0;
        ok = store_rpc_list_tasks(service->store, NULL, &request, cap_http_arena(http), &reply,
                                  &err);
    }
    answer(http, ok, &task_table, ok ? &reply->base : NULL, &err);
}

/* ---- events ---- */

static const struct gate_column event_columns[] = {
    {"id", "id"}, {"at_ms", "at_ms"}, {"run_id", "run_id"}, {"kind", "kind"}, {"text", "text"},
};

static const struct gate_table event_table = {"events", "events", event_columns,
                                              CAP_COUNT_OF(event_columns), NULL};

void gate_reply_events(struct cap_http_request *http, struct gate_service *service, char *run_id)
{
    Moecap__V1__ListEventsRequest request = MOECAP__V1__LIST_EVENTS_REQUEST__INIT;
    Moecap__V1__ListEventsReply *reply = NULL;
    struct cap_err err = {0};
    int64_t after;
    bool ok = gate_query_page(http, ROWS_MAX, 100, &request.limit, &err) &&
              gate_query_int(http, "after", 0, INT64_MAX, 0, &after, &err);

    if (ok) {
        request.run_id = run_id;
        request.after_id = (uint64_t)after;
        ok = store_rpc_list_events(service->store, NULL, &request, cap_http_arena(http), &reply,
                                   &err);
    }
    answer(http, ok, &event_table, ok ? &reply->base : NULL, &err);
}

void gate_events(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"run", "limit", "after", "format", NULL};

    if (gate_accept(http, parameters))
        gate_reply_events(http, self, gate_query_text(http, "run"));
}
