/* Lists: the board, samples, experts, events, the queue, nodes, tasks. Each has an order that does
 * not change under the reader (docs/api.md says which) and is answered page by page, one call of a
 * service for one page:
 *
 *     JSON    the reply as the service gives it, and the next page as a Link header
 *     CSV     the same page when the query has a limit; otherwise the whole list, page after page,
 *             because nobody looks for the Link header of a file
 *
 * A list is a row of data: its table (lib/wire/table.h), its request, the request's field that
 * takes next_after, and the call. What the query may hold is checked before anything is asked;
 * a wrong value is a 400 that names the parameter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "moecap/v1/common.rpc.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"
#include "wire/json.h"
#include "wire/table.h"
#include "words/words.h"

enum {
    ROWS_MAX = 1000,
    SAMPLES_MAX = 500,
    COUNTS_MAX = 20000,
    PAGE_ARENA_BYTES = 256 << 20,
    CSV_BYTES_MAX = 256 << 20,
    LINK_BYTES_MAX = 16 << 10,
};

struct list {
    const struct cap_table *table;
    ProtobufCMessage *request;
    const char *cursor; /* its field for the next_after of the page before */
    bool whole;         /* CSV without a limit: all pages */
    bool (*ask)(const struct gate_service *service, const ProtobufCMessage *request,
                struct cap_arena *arena, ProtobufCMessage **out_reply, struct cap_err *err);
    char *const *figures; /* the group's items that are wanted; none = those that the rows have */
    size_t figure_count;
};

#define ASK(name, channel, rpc, Request, Reply)                                                    \
    static bool ask_##name(const struct gate_service *service, const ProtobufCMessage *request,    \
                           struct cap_arena *arena, ProtobufCMessage **out_reply,                  \
                           struct cap_err *err)                                                    \
    {                                                                                              \
        Reply *reply;                                                                              \
                                                                                                   \
        if (!rpc(service->channel, NULL, (const Request *)request, arena, &reply, err))            \
            return false;                                                                          \
        *out_reply = &reply->base;                                                                 \
        return true;                                                                               \
    }

ASK(samples, store, store_rpc_list_samples, Moecap__V1__ListSamplesRequest,
    Moecap__V1__ListSamplesReply)
ASK(experts, store, store_rpc_get_expert_counts, Moecap__V1__GetExpertCountsRequest,
    Moecap__V1__GetExpertCountsReply)
ASK(events, store, store_rpc_list_events, Moecap__V1__ListEventsRequest,
    Moecap__V1__ListEventsReply)
ASK(queue, scheduler, scheduler_rpc_list_queue, Moecap__V1__ListQueueRequest,
    Moecap__V1__ListQueueReply)
ASK(nodes, scheduler, scheduler_rpc_list_nodes, Moecap__V1__ListNodesRequest,
    Moecap__V1__ListNodesReply)
ASK(tasks, store, store_rpc_list_tasks, Moecap__V1__ListTasksRequest, Moecap__V1__ListTasksReply)

/* ---- the reply ---- */

static void add_escaped(struct cap_buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text; text++)
        if (strchr(plain, *text))
            cap_buf_add_char(out, *text);
        else
            cap_buf_printf(out, "%%%02X", (unsigned char)*text);
}

static bool add_other_parameter(void *arg, const char *name, const char *value, size_t length)
{
    struct cap_buf *link = arg;

    (void)length;
    if (strcmp(name, "after") == 0)
        return true;
    add_escaped(link, name);
    cap_buf_add_char(link, '=');
    add_escaped(link, value);
    cap_buf_add_char(link, '&');
    return true;
}

/* The same request with the next place, for those whose body has no room for it. */
static void link_next(struct cap_http_request *http, const ProtobufCMessage *reply)
{
    CAP_AUTO_BUF(link, LINK_BYTES_MAX);
    CAP_AUTO_BUF(place, LINK_BYTES_MAX);

    if (!cap_wire_write_field(reply, "next_after", &place))
        return;
    cap_buf_printf(&link, "<%s?", cap_http_path(http));
    cap_http_query_each(http, add_other_parameter, &link);
    cap_buf_add_str(&link, "after=");
    add_escaped(&link, place.data);
    cap_buf_add_str(&link, ">; rel=\"next\"");
    if (!link.overflowed)
        cap_http_reply_header(http, "Link", link.data);
}

/* Reads the pages of a list for its table. */
struct reader {
    struct cap_http_request *http;
    const struct gate_service *service;
    struct list *list;
    ProtobufCMessage *first; /* the request of the first page */
    bool more, linked;
};

static json_t *next_page(void *arg, bool first, struct cap_err *err)
{
    struct reader *reader = arg;
    struct list *list = reader->list;
    CAP_AUTO(cap_arena) arena = NULL;
    ProtobufCMessage *reply;

    if (first)
        memcpy(list->request, reader->first, list->request->descriptor->sizeof_message);
    if ((!first && !reader->more) || cap_http_gone(reader->http))
        return NULL;
    arena = cap_arena_new(PAGE_ARENA_BYTES);
    if (!list->ask(reader->service, list->request, arena, &reply, err))
        return NULL;
    if (!list->whole && !reader->linked)
        link_next(reader->http, reply);
    reader->linked = true;
    reader->more = list->whole && cap_wire_follow(reply, list->request, list->cursor,
                                                  cap_http_arena(reader->http));
    return cap_wire_to_json(reply);
}

static void reply_csv(struct cap_http_request *http, const struct gate_service *service,
                      struct list *list)
{
    CAP_AUTO_BUF(text, CSV_BYTES_MAX);
    size_t size = list->request->descriptor->sizeof_message;
    struct reader reader = {.http = http,
                            .service = service,
                            .list = list,
                            .first = cap_arena_alloc(cap_http_arena(http), size)};
    struct cap_err err = {0};
    char disposition[96];

    if (!reader.first)
        abort();
    memcpy(reader.first, list->request, size);
    if (!cap_table_write(list->table, list->figures, list->figure_count, next_page, &reader, &text,
                         &err)) {
        gate_reply_error(http, &err);
        return;
    }
    snprintf(disposition, sizeof disposition, "attachment; filename=\"moecap-%s.csv\"",
             list->table->name);
    cap_http_reply_header(http, "Content-Disposition", disposition);
    gate_reply_made(http, 200, "text/csv; charset=utf-8; header=present", &text);
}

static void reply_list(struct cap_http_request *http, const struct gate_service *service,
                       struct list *list)
{
    ProtobufCMessage *reply;
    struct cap_err err = {0};

    if (strcmp(gate_query_text(http, "format"), "csv") == 0) {
        reply_csv(http, service, list);
    } else if (list->ask(service, list->request, cap_http_arena(http), &reply, &err)) {
        link_next(http, reply);
        gate_reply_message(http, 200, reply);
    } else {
        gate_reply_error(http, &err);
    }
}

/* The parameters `limit` and `format`, which every list has. */
static bool query_page(struct cap_http_request *http, int64_t rows_max, int64_t fallback,
                       uint32_t *out_limit, bool *out_whole, struct cap_err *err)
{
    static const char *const formats[] = {"json", "csv", NULL};
    int64_t limit;
    char *format;

    if (!gate_query_word(http, "format", formats, &format, err) ||
        !gate_query_int(http, "limit", 1, rows_max, fallback, &limit, err))
        return false;
    *out_whole = strcmp(format, "csv") == 0 && !cap_http_query(http, "limit");
    *out_limit = (uint32_t)(*out_whole ? rows_max : limit);
    return true;
}

/* ---- the board ---- */

/* Every row of a page has the headline metric under a name that does not depend on its task. */
static bool ask_board(const struct gate_service *service, const ProtobufCMessage *request,
                      struct cap_arena *arena, ProtobufCMessage **out_reply, struct cap_err *err)
{
    const Moecap__V1__BoardRequest *board = (const Moecap__V1__BoardRequest *)request;
    bool wanted = board->n_figures == 0;
    Moecap__V1__BoardReply *reply;

    for (size_t i = 0; i < board->n_figures && board->figures; i++)
        wanted = wanted || strcmp(board->figures[i], CAP_WIRE_ACCURACY) == 0;
    if (!store_rpc_board(service->store, NULL, board, arena, &reply, err))
        return false;
    for (size_t i = 0; wanted && i < reply->n_rows; i++)
        cap_wire_add_accuracy(reply->rows[i], arena);
    *out_reply = &reply->base;
    return true;
}

/* The store refuses a name that is not a figure. */
static bool query_figures(struct cap_http_request *http, Moecap__V1__BoardRequest *request,
                          struct cap_err *err)
{
    struct cap_arena *arena = cap_http_arena(http);
    char *list = cap_arena_strdup(arena, gate_query_text(http, "figures"));

    request->figures = list ? cap_arena_array(arena, strlen(list) + 1, sizeof list) : NULL;
    if (!request->figures)
        return cap_fail_field(err, CAP_RESOURCE_EXHAUSTED, "figures", "figures names too many");
    while (list && *list)
        request->figures[request->n_figures++] = strsep(&list, ";");
    return true;
}

/* "a,b" -> two values; a comma within one has a backslash in front, as in the page's address. */
static bool query_any(struct cap_http_request *http, const char *name, char ***out, size_t *n_out,
                      struct cap_err *err)
{
    struct cap_arena *arena = cap_http_arena(http);
    char *text = cap_arena_strdup(arena, gate_query_text(http, name)), *to = text;
    char **values = text ? cap_arena_array(arena, strlen(text) + 1, sizeof *values) : NULL;
    size_t count = 0;

    if (!values)
        return cap_fail_field(err, CAP_RESOURCE_EXHAUSTED, name, "%s names too many", name);
    for (const char *from = text; *from; count++) {
        values[count] = to;
        for (; *from && *from != ','; *to++ = *from++)
            from += *from == '\\' && from[1] != '\0';
        from += *from == ',';
        *to++ = '\0';
    }
    *out = values;
    *n_out = count;
    return true;
}

static bool read_board(struct cap_http_request *http, Moecap__V1__BoardRequest *request,
                       bool *out_whole, struct cap_err *err)
{
    int64_t all, report, counts;
    char *state;

    if (!query_page(http, ROWS_MAX, ROWS_MAX, &request->limit, out_whole, err) ||
        !gate_query_int(http, "all", 0, 1, 0, &all, err) ||
        !gate_query_int(http, "report", 0, 1, 1, &report, err) ||
        !gate_query_word(http, "state", run_state_words, &state, err) ||
        !gate_query_int(http, "counts", 0, 1, 0, &counts, err) ||
        !query_any(http, "model", &request->models, &request->n_models, err) ||
        !query_any(http, "task", &request->tasks, &request->n_tasks, err) ||
        !query_any(http, "engine", &request->engines, &request->n_engines, err) ||
        !query_any(http, "precision", &request->precisions, &request->n_precisions, err))
        return false;
    request->state = MOECAP__V1__RUN_STATE__RUN_STATE_UNSPECIFIED; /* any */
    run_state_from_word(state, &request->state);
    request->question = gate_query_text(http, "question");
    request->with_counts = counts == 1;
    request->evaluation_id = gate_query_text(http, "evaluation");
    request->after = gate_query_text(http, "after");
    request->with_unfinished = all == 1;
    request->without_report = report == 0;
    return query_figures(http, request, err);
}

void gate_board(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {
        "model", "task",    "engine", "precision", "evaluation", "state",  "all", "limit",
        "after", "figures", "report", "format",    "question",   "counts", NULL};
    struct gate_service *service = self;
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    struct list list = {
        .table = &cap_board_table, .request = &request.base, .cursor = "after", .ask = ask_board};
    struct cap_err err = {0};

    if (!gate_accept(http, parameters))
        return;
    if (!read_board(http, &request, &list.whole, &err)) {
        gate_reply_error(http, &err);
        return;
    }
    list.figures = request.figures;
    list.figure_count = request.n_figures;
    reply_list(http, service, &list);
}

/* ---- the queue ---- */

static const struct cap_table_column queue_columns[] = {
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

static const struct cap_table queue_table = {"queue", "entries", queue_columns,
                                             CAP_COUNT_OF(queue_columns), NULL};

void gate_queue(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"limit", "after", "order", "format", NULL};
    static const char *const orders[] = {"arrival", "position", NULL};
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    struct list list = {
        .table = &queue_table, .request = &request.base, .cursor = "after", .ask = ask_queue};
    struct cap_err err = {0};
    char *order;

    if (!gate_accept(http, parameters))
        return;
    if (!query_page(http, ROWS_MAX, ROWS_MAX, &request.limit, &list.whole, &err) ||
        !gate_query_word(http, "order", orders, &order, &err)) {
        gate_reply_error(http, &err);
        return;
    }
    request.by_arrival = strcmp(order, "position") != 0;
    request.after = gate_query_text(http, "after");
    reply_list(http, self, &list);
}

/* ---- nodes ---- */

static const struct cap_table_column node_columns[] = {
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
    {"compute", "hello.hardware.compute"},
    {"sockets", "hello.hardware.sockets"},
    {"numa_nodes", "hello.hardware.numa_nodes"},
    {"last_level_cache_bytes", "hello.hardware.last_level_cache_bytes"},
    {"known_as", "hello.hardware.known_as"},
};

static const struct cap_table node_table = {"nodes", "nodes", node_columns,
                                            CAP_COUNT_OF(node_columns), NULL};

void gate_nodes(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"limit", "after", "format", NULL};
    Moecap__V1__ListNodesRequest request = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    struct list list = {
        .table = &node_table, .request = &request.base, .cursor = "after", .ask = ask_nodes};
    struct cap_err err = {0};

    if (!gate_accept(http, parameters))
        return;
    request.after = gate_query_text(http, "after");
    if (query_page(http, ROWS_MAX, ROWS_MAX, &request.limit, &list.whole, &err))
        reply_list(http, self, &list);
    else
        gate_reply_error(http, &err);
}

/* ---- tasks ---- */

static const struct cap_table_column task_columns[] = {
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

static const struct cap_table task_table = {"tasks", "tasks", task_columns,
                                            CAP_COUNT_OF(task_columns), NULL};

void gate_tasks(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"limit", "after", "definition", "format", NULL};
    Moecap__V1__ListTasksRequest request = MOECAP__V1__LIST_TASKS_REQUEST__INIT;
    struct list list = {
        .table = &task_table, .request = &request.base, .cursor = "after", .ask = ask_tasks};
    struct cap_err err = {0};
    int64_t definition;

    if (!gate_accept(http, parameters))
        return;
    if (!query_page(http, ROWS_MAX, ROWS_MAX, &request.limit, &list.whole, &err) ||
        !gate_query_int(http, "definition", 0, 1, 1, &definition, &err)) {
        gate_reply_error(http, &err);
        return;
    }
    request.after = gate_query_text(http, "after");
    request.without_definition = definition == 0;
    reply_list(http, self, &list);
}

/* ---- events ---- */

static const struct cap_table_column event_columns[] = {
    {"id", "id"}, {"at_ms", "at_ms"}, {"run_id", "run_id"}, {"kind", "kind"}, {"text", "text"},
};

static const struct cap_table event_table = {"events", "events", event_columns,
                                             CAP_COUNT_OF(event_columns), NULL};

void gate_run_events(struct cap_http_request *http, struct gate_service *service, char *run_id)
{
    Moecap__V1__ListEventsRequest request = MOECAP__V1__LIST_EVENTS_REQUEST__INIT;
    struct list list = {
        .table = &event_table, .request = &request.base, .cursor = "after_id", .ask = ask_events};
    struct cap_err err = {0};
    int64_t after;

    if (!query_page(http, ROWS_MAX, 100, &request.limit, &list.whole, &err) ||
        !gate_query_int(http, "after", 0, INT64_MAX, 0, &after, &err)) {
        gate_reply_error(http, &err);
        return;
    }
    request.run_id = run_id;
    request.after_id = (uint64_t)after;
    reply_list(http, service, &list);
}

void gate_events(struct cap_http_request *http, void *self)
{
    static const char *const parameters[] = {"run", "limit", "after", "format", NULL};

    if (gate_accept(http, parameters))
        gate_run_events(http, self, gate_query_text(http, "run"));
}

/* ---- experts ---- */

static const struct cap_table_column count_columns[] = {
    {"phase", "phase"},
    {"layer", "layer"},
    {"batch_bucket", "batch_bucket"},
    {"counts", "counts"},
};

static const struct cap_table count_table = {"experts", "counts", count_columns,
                                             CAP_COUNT_OF(count_columns), NULL};

void gate_run_experts(struct cap_http_request *http, struct gate_service *service, char *run_id)
{
    Moecap__V1__GetExpertCountsRequest request = MOECAP__V1__GET_EXPERT_COUNTS_REQUEST__INIT;
    struct list list = {
        .table = &count_table, .request = &request.base, .cursor = "after", .ask = ask_experts};
    struct cap_err err = {0};

    request.run_id = run_id;
    request.after = gate_query_text(http, "after");
    if (query_page(http, COUNTS_MAX, COUNTS_MAX, &request.limit, &list.whole, &err))
        reply_list(http, service, &list);
    else
        gate_reply_error(http, &err);
}

/* ---- samples ---- */

static const struct cap_table_column sample_columns[] = {
    {"ordinal", "answer.ordinal"},
    {"uid", "answer.uid"},
    {"status", "answer.status"},
    {"error", "answer.error"},
    {"finish_reason", "answer.finish_reason"},
    {"prompt_tokens", "answer.prompt_tokens"},
    {"output_tokens", "answer.output_tokens"},
    {"cached_tokens", "answer.cached_tokens"},
    {"submitted_us", "answer.timing.submitted_us"},
    {"first_token_us", "answer.timing.first_token_us"},
    {"last_token_us", "answer.timing.last_token_us"},
    {"ended_us", "answer.timing.ended_us"},
    {"fence", "fence"},
    {"prompt", "answer.prompt"},
    {"text", "answer.text"},
    {"reasoning", "answer.reasoning"},
    {"doc_json", "doc_json"},
    {"sent_us", "answer.timing.sent_us"},
    {"started_us", "answer.timing.started_us"},
};

static const struct cap_table_group verdict_group = {"verdicts",
                                                     "metric",
                                                     {{"", "kind", NULL},
                                                      {"_score", "score", NULL},
                                                      {"_extracted", "extracted", NULL},
                                                      {"_reason", "reason", NULL},
                                                      {"_version", "version", NULL}}};

static const struct cap_table sample_table = {"samples", "samples", sample_columns,
                                              CAP_COUNT_OF(sample_columns), &verdict_group};

static bool read_samples(struct cap_http_request *http, Moecap__V1__ListSamplesRequest *request,
                         bool *out_whole, struct cap_err *err)
{
    static const char *const statuses[] = {"completed", "failed", NULL};
    int64_t after, routing;

    if (!query_page(http, SAMPLES_MAX, 100, &request->limit, out_whole, err) ||
        !gate_query_int(http, "after", 0, UINT32_MAX, -1, &after, err) ||
        !gate_query_int(http, "routing", 0, 1, 0, &routing, err) ||
        !gate_query_word(http, "verdict", verdict_kind_words, &request->verdict, err) ||
        !gate_query_word(http, "status", statuses, &request->status, err))
        return false;
    request->search = gate_query_text(http, "search");
    request->with_texts = request->with_gold = true; /* gold: once the run has ended */
    request->with_routing = routing == 1;
    if (after >= 0) {
        request->opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
        request->after_ordinal = (uint32_t)after;
    }
    return true;
}

void gate_run_samples(struct cap_http_request *http, struct gate_service *service, char *run_id)
{
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    struct list list = {.table = &sample_table,
                        .request = &request.base,
                        .cursor = "after_ordinal",
                        .ask = ask_samples};
    struct cap_err err = {0};

    request.run_id = run_id;
    if (read_samples(http, &request, &list.whole, &err))
        reply_list(http, service, &list);
    else
        gate_reply_error(http, &err);
}
