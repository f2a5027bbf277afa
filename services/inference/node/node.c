/* The parts of the program put together, and taken apart in the opposite order. */
#include "node/node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "counters.h"
#include "http/client.h"
#include "log/log.h"
#include "native/weights.h"
#include "node/hardware.h"
#include "node/stream.h"
#include "node/worker.h"
#include "serve/endpoint.h"
#include "serve/queue.h"

enum { MIB = 20, STARTED_KINDS = 4 };

static const struct cap_config_row rows[] = {
#define CONF(name, type, ...) CAP_CONF_ROW(struct infer_config, name, type, __VA_ARGS__)
#include "config.def"
#undef CONF
};

const struct cap_config infer_config_table = {
    .program = "inference", .rows = rows, .row_count = CAP_COUNT_OF(rows)};

static const struct cap_metric_row counter_rows[] = {
#define METRIC(name, kind, help) {#name, CAP_METRIC_##kind, help},
#include "metrics.def"
#undef METRIC
};

static _Atomic int64_t counts[INFER_M_COUNT];

struct cap_metrics infer_counters = {
    .program = "inference", .rows = counter_rows, .values = counts, .row_count = INFER_M_COUNT};

struct infer_node {
    const struct infer_config *config;
    struct infer_hardware hardware;
    struct infer_models *models;
    struct infer_work *work;
    struct infer_queue *queue;
    struct infer_power *power;
    struct infer_worker *worker;
    struct infer_serve *serve;
    struct infer_hello hello;
    const char *precisions[NATIVE_PRECISION_COUNT + 1];
    struct infer_work_client *client;
    char name[65], endpoint[300];
    struct infer_server_command commands[STARTED_KINDS];
    char *serve_path;        /* NULL: serve_model is a name */
    const char *serve_model; /* "" = none */
};

static void wake_worker(void *arg)
{
    infer_work_poke(arg);
}

static void choose_name(struct infer_node *node)
{
    if (*node->config->name)
        snprintf(node->name, sizeof node->name, "%s", node->config->name);
    else if (gethostname(node->name, sizeof node->name - 1) != 0)
        snprintf(node->name, sizeof node->name, "node");
}

static void list_commands(struct infer_node *node)
{
    const struct infer_config *config = node->config;
    const struct infer_server_command commands[STARTED_KINDS] = {
        {"ktransformers", config->external_command_ktransformers},
        {"moe-infinity", config->external_command_moe_infinity},
        {"moe-gen", config->external_command_moe_gen},
        {"tensorrt-llm", config->external_command_tensorrt_llm},
    };

    memcpy(node->commands, commands, sizeof commands);
}

struct infer_power *infer_node_power(const struct infer_config *config, bool by_thread)
{
    struct infer_power_options options = {.rapl = config->power_rapl,
                                          .nvml = config->power_nvml,
                                          .url = config->power_url,
                                          .gpus = config->power_gpus,
                                          .interval_ms =
                                              by_thread ? (int)config->power_interval_ms : 0,
                                          .idle_ms = (int)config->power_idle_s * 1000,
                                          .dev = "/dev",
                                          .clock = cap_clock_system()};

    return infer_power_open(&options);
}

static void open_power(struct infer_node *node)
{
    int works = 0;

    node->power = infer_node_power(node->config, true);
    node->hardware.power_count = infer_power_states(node->power, node->hardware.power);
    for (int i = 0; i < node->hardware.power_count; i++) {
        const struct infer_power_state *state = &node->hardware.power[i];

        works += state->works;
        cap_log(INFO, "power_source", "source=%s works=%d devices=%s reason=%s", state->source,
                state->works, CAP_LOG_Q(state->devices), CAP_LOG_Q(state->why));
    }
    cap_metric_set(&infer_counters, INFER_M_power_sources, works);
}

static void start_worker(struct infer_node *node)
{
    const struct infer_config *config = node->config;
    struct infer_worker_options options = {
        .work = node->work,
        .queue = node->queue,
        .models = node->models,
        .hardware = &node->hardware,
        .any_model_path = config->any_model_path,
        .threads = config->threads ? (int)config->threads : node->hardware.cores,
        .open_loop_in_flight_max = (int)config->open_loop_in_flight_max,
        .silence_ms_max = (int)config->silence_s_max * 1000,
        .power = node->power,
        .server_rules = {.refused_ms_max = (int)config->external_refused_s_max * 1000,
                         .loading_ms_max = (int)config->external_loading_s_max * 1000,
                         .first_token_ms_max = (int)config->external_first_token_s_max * 1000,
                         .silence_ms_max = (int)config->external_silence_s_max * 1000,
                         .request_ms_max = (int)config->external_request_s_max * 1000,
                         .routing_again = config->external_routing_again,
                         .commands = node->commands,
                         .command_count = STARTED_KINDS,
                         .log_dir = config->state},
        .serve_engine = config->serve_engine,
        .serve_model = node->serve_model,
        .serve_precision = config->serve_precision,
        .serve_concurrency = (int)config->serve_concurrency,
    };

    node->worker = infer_worker_start(&options);
}

static bool start_endpoint(struct infer_node *node, struct cap_err *err)
{
    const struct infer_config *config = node->config;
    struct infer_serve_options options = {
        .host = config->openai_host,
        .port = (int)config->openai_port,
        .queue = node->queue,
        .models = node->models,
        .model = node->serve_model,
        .any_model = strcmp(config->serve_engine, "null") == 0,
        .allowed_hosts = config->openai_allowed_hosts,
        .concurrency = (int)config->serve_concurrency,
        .waiting_max = (int)config->serve_waiting_max,
    };
    bool v6 = strchr(config->openai_host, ':') != NULL;
    int port;

    if (config->openai_port < 0)
        return true;
    node->serve = infer_serve_start(&options, &port, err);
    if (!node->serve)
        return false;
    snprintf(node->endpoint, sizeof node->endpoint, "http://%s%s%s:%d", v6 ? "[" : "",
             config->openai_host, v6 ? "]" : "", port);
    cap_log(INFO, "endpoint", "url=%s", node->endpoint);
    return true;
}

/* A served model that was given as a directory is offered like the others. */
static void open_models(struct infer_node *node)
{
    const struct infer_config *config = node->config;
    CAP_AUTO_BUF(dirs, 8192);

    cap_buf_add_str(&dirs, config->models);
    node->serve_path = realpath(config->serve_model, NULL);
    if (node->serve_path)
        cap_buf_printf(&dirs, ":%s", node->serve_path);
    node->models =
        infer_models_open(dirs.data, config->state, (uint64_t)config->digest_mib_max << MIB);
}

/* The name by which the endpoint knows its default model. */
static bool choose_serve_model(struct infer_node *node, struct cap_err *err)
{
    const char *wanted = node->serve_path ? node->serve_path : node->config->serve_model;
    const struct infer_model *model;

    node->serve_model = "";
    if (!*wanted)
        return true;
    if (!node->serve_path && strchr(wanted, '/')) /* a folder, not a name */
        return cap_fail(err, CAP_NOT_FOUND, "there is no \"%s\"", wanted);
    model = infer_models_find(node->models, wanted, err);
    if (!model)
        return cap_fail_in(err, "serve_model");
    node->serve_model = model->name;
    return true;
}

static void dial(struct infer_node *node)
{
    for (int i = 0; i < NATIVE_PRECISION_COUNT; i++)
        node->precisions[i] = native_precision_name((enum native_precision)i);
    node->hello = (struct infer_hello){
        .name = node->name,
        .precisions = node->precisions,
        .models = node->models,
        .hardware = &node->hardware,
        .endpoint = node->endpoint,
        .any_model_path = node->config->any_model_path,
        .commands = node->commands,
        .command_count = STARTED_KINDS,
        .link_local = node->config->link_local,
    };
    if (*node->config->scheduler)
        node->client =
            infer_work_client_start(node->work, node->config->scheduler, &node->hello, 0);
}

struct infer_node *infer_node_start(const struct infer_config *config, struct cap_err *err)
{
    struct infer_node *node = calloc(1, sizeof *node);

    assert(node);
    cap_http_allow_link_local(config->link_local);
    node->config = config;
    choose_name(node);
    infer_hardware_read(&node->hardware, config->probe);
    cap_log(INFO, "hardware", "cpu=%s cores=%d memory_mib=%llu read_gb_s=%.1f",
            CAP_LOG_Q(node->hardware.cpu), node->hardware.cores,
            (unsigned long long)(node->hardware.memory_bytes >> MIB),
            node->hardware.read_bandwidth_gb_s);
    open_models(node);
    if (!choose_serve_model(node, err)) {
        infer_node_free(node);
        return NULL;
    }
    node->work = infer_work_new(cap_clock_system(), (size_t)config->prompt_mib_max << MIB,
                                (size_t)config->spool_mib_max << MIB);
    node->queue = infer_queue_new((int)config->serve_waiting_max, wake_worker, node->work);
    list_commands(node);
    open_power(node);
    start_worker(node);
    if (!start_endpoint(node, err)) {
        infer_node_free(node);
        return NULL;
    }
    dial(node);
    return node;
}

void infer_node_free(struct infer_node *node)
{
    if (!node)
        return;
    if (node->work)
        infer_work_close(node->work);
    infer_work_client_free(node->client);
    infer_serve_free(node->serve);
    infer_worker_free(node->worker);
    infer_power_free(node->power);
    infer_queue_free(node->queue);
    infer_work_free(node->work);
    infer_models_free(node->models);
    free(node->serve_path);
    free(node);
}
