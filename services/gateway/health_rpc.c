/* What those ask who watch over the suite.
 *
 * GET /healthz: we live. GET /readyz: which of the services that we need answer, each asked for
 * something that it must look up. Without the scheduler or the store there is nothing we can do:
 * 503.
 *
 * GET /metrics: the counters of every program, as Prometheus reads them. Programs are told apart by
 * the label service, nodes by the label node; a node's are those of its last beat, asked from the
 * scheduler, because a node has no address that we must be able to reach. A program that does not
 * answer is left out and counted as down: moecap_up is the first thing to alert on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "moecap/v1/admin.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"
#include "service/service.h"

enum { TEXT_BYTES_MAX = 16 << 20, ASK_MS = 2000, SERIES_MAX = 1 << 16, LABELS_BYTES_MAX = 512 };

static const struct cap_rpc_options soon = {.timeout_ms = ASK_MS};
static const char *const no_parameters[] = {NULL};

void gate_health(struct cap_http_request *http, void *self)
{
    (void)self;
    if (gate_accept(http, no_parameters))
        gate_reply_json(http, 200,
                        json_pack("{s:s,s:s}", "status", "serving", "version", MOECAP_VERSION));
}

static bool ask_scheduler(const struct gate_service *service, struct cap_arena *arena,
                          struct cap_err *err)
{
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply;

    request.limit = 1;
    return scheduler_rpc_list_queue(service->scheduler, &soon, &request, arena, &reply, err);
}

static bool ask_store(const struct gate_service *service, struct cap_arena *arena,
                      struct cap_err *err)
{
    Moecap__V1__ListTasksRequest request = MOECAP__V1__LIST_TASKS_REQUEST__INIT;
    Moecap__V1__ListTasksReply *reply;

    request.limit = 1;
    request.without_definition = true;
    return store_rpc_list_tasks(service->store, &soon, &request, arena, &reply, err);
}

static bool ask_evaluator(const struct gate_service *service, struct cap_arena *arena,
                          struct cap_err *err)
{
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ShowMetricsReply *reply;

    return admin_rpc_show_metrics(service->evaluator, &soon, &request, arena, &reply, err);
}

void gate_ready(struct cap_http_request *http, void *self)
{
    static const struct {
        const char *name;
        bool needed;
        bool (*ask)(const struct gate_service *service, struct cap_arena *arena,
                    struct cap_err *err);
    } neighbours[] = {
        {"scheduler", true, ask_scheduler},
        {"store", true, ask_store},
        {"evaluator", false, ask_evaluator},
    };
    json_t *list = json_array();
    bool ready = true;

    if (!gate_accept(http, no_parameters)) {
        json_decref(list);
        return;
    }
    for (size_t i = 0; i < CAP_COUNT_OF(neighbours); i++) {
        struct cap_err err = {0};
        bool ok = neighbours[i].ask(self, cap_http_arena(http), &err);

        ready = ready && (ok || !neighbours[i].needed);
        json_array_append_new(list,
                              json_pack("{s:s,s:b,s:b,s:s}", "name", neighbours[i].name, "needed",
                                        neighbours[i].needed, "answers", ok, "reason", err.text));
    }
    gate_reply_json(
        http, ready ? 200 : 503,
        json_pack("{s:s,s:o}", "status", ready ? "ready" : "not ready", "services", list));
}

/* ---- counters: gathering ---- */

struct series {
    const Moecap__V1__Metric *metric;
    const char *labels;
    size_t order; /* of being added */
};

struct exposition {
    struct cap_arena *arena;
    struct series *list;
    size_t count;
};

/* What a node says is not ours: a name, kind or text that would break the format is left out. */
static bool is_sound(const Moecap__V1__Metric *metric)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    return strncmp(metric->name, "moecap_", 7) == 0 &&
           strspn(metric->name, plain) == strlen(metric->name) &&
           (strcmp(metric->kind, "counter") == 0 || strcmp(metric->kind, "gauge") == 0) &&
           !strpbrk(metric->help, "\\\r\n") &&
           cap_utf8_bad(metric->help, strlen(metric->help)) == strlen(metric->help);
}

static void add_all(struct exposition *all, Moecap__V1__Metric *const *metrics, size_t count,
                    const char *labels)
{
    for (size_t i = 0; labels && i < count && all->count < SERIES_MAX; i++)
        if (is_sound(metrics[i])) {
            all->list[all->count] = (struct series){metrics[i], labels, all->count};
            all->count++;
        }
}

static void add_up(struct exposition *all, const char *labels, bool up)
{
    Moecap__V1__Metric *metric = cap_arena_alloc(all->arena, sizeof *metric);

    if (!metric)
        return;
    moecap__v1__metric__init(metric);
    metric->name = "moecap_up";
    metric->kind = "gauge";
    metric->help = "1 while the program answers.";
    metric->value = up;
    add_all(all, &metric, 1, labels);
}

static void add_program(struct exposition *all, const char *name, struct cap_rpc_channel *channel)
{
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ShowMetricsReply *reply;
    struct cap_err err = {0};
    const char *labels = cap_arena_printf(all->arena, "service=\"%s\"", name);
    bool up = admin_rpc_show_metrics(channel, &soon, &request, all->arena, &reply, &err);

    if (up)
        add_all(all, reply->metrics, reply->n_metrics, labels);
    add_up(all, labels, up);
}

static void add_ourselves(struct exposition *all)
{
    static const char labels[] = "service=\"gateway\"";
    Moecap__V1__Metric **metrics;
    size_t count;

    if (cap_metrics_to_wire(gate_metrics(), all->arena, &metrics, &count))
        add_all(all, metrics, count, labels);
    add_up(all, labels, true);
}

static void add_label_text(struct cap_buf *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\n')
            cap_buf_add_str(out, "\\n");
        else
            cap_buf_printf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
}

/* Names of nodes are told apart by their ids where they are the same. */
static const char *node_labels(struct exposition *all, const Moecap__V1__NodeMetricsReply *reply,
                               size_t index)
{
    const Moecap__V1__NodeMetrics *node = reply->nodes[index];
    CAP_AUTO_BUF(labels, LABELS_BYTES_MAX);

    cap_buf_add_str(&labels, "service=\"inference\",node=\"");
    add_label_text(&labels, node->name);
    if (index > 0 && strcmp(reply->nodes[index - 1]->name, node->name) == 0) /* sorted by name */
        cap_buf_printf(&labels, " (%s)", node->node_id);
    cap_buf_add_char(&labels, '"');
    return labels.overflowed ? NULL : cap_arena_strdup(all->arena, labels.data);
}

static void add_nodes(struct exposition *all, struct cap_rpc_channel *scheduler)
{
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__NodeMetricsReply *reply;
    struct cap_err err = {0};

    if (!scheduler_rpc_node_metrics(scheduler, &soon, &request, all->arena, &reply, &err))
        return;
    for (size_t i = 0; i < reply->n_nodes; i++) {
        const char *labels = node_labels(all, reply, i);

        add_all(all, reply->nodes[i]->metrics, reply->nodes[i]->n_metrics, labels);
        add_up(all, labels, true);
    }
}

/* ---- the text: all series of a name together, after its HELP and TYPE ---- */

static int by_name(const void *left, const void *right)
{
    const struct series *a = left, *b = right;
    int names = strcmp(a->metric->name, b->metric->name);

    return names ? names : a->order < b->order ? -1 : 1;
}

static void write_text(struct exposition *all, struct cap_buf *out)
{
    const char *name = "";

    qsort(all->list, all->count, sizeof *all->list, by_name);
    for (size_t i = 0; i < all->count; i++) {
        const Moecap__V1__Metric *metric = all->list[i].metric;

        if (strcmp(name, metric->name) != 0)
            cap_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
                           metric->name, metric->kind);
        cap_buf_printf(out, "%s{%s} %lld\n", metric->name, all->list[i].labels,
                       (long long)metric->value);
        name = metric->name;
    }
}

void gate_prometheus(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    struct exposition all = {
        .arena = cap_http_arena(http),
        .list = cap_arena_array(cap_http_arena(http), SERIES_MAX, sizeof *all.list)};
    CAP_AUTO_BUF(text, TEXT_BYTES_MAX);

    if (!gate_accept(http, no_parameters))
        return;
    if (!all.list)
        abort();
    add_ourselves(&all);
    add_program(&all, "scheduler", service->scheduler);
    add_program(&all, "store", service->store);
    add_program(&all, "evaluator", service->evaluator);
    add_nodes(&all, service->scheduler);
    write_text(&all, &text);
    cap_http_reply(http, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.length);
}
