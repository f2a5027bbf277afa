/* moecap-evaluator: the service, and the verbs that need none. Order of life in
 * lib/service/service.h. */
#include <stdio.h>
#include <string.h>

#include "kept.h"
#include "measure.h"
#include "service.h"
#include "service/service.h"

struct eval_config {
#define CONF(name, type, ...) CAP_CONF_MEMBER_##type(name)
#include "config.def"
#undef CONF
};

static const struct cap_config_row config_rows[] = {
#define CONF(name, type, ...) CAP_CONF_ROW(struct eval_config, name, type, __VA_ARGS__)
#include "config.def"
#undef CONF
};

static struct eval_config config;
static struct eval_service evaluator;

static bool start(struct cap_service *service, struct cap_err *err)
{
    (void)err;
    evaluator.batch_max = (size_t)config.batch_max;
    evaluator.kept =
        eval_kept_new((size_t)config.kept_mib_max << 20, (size_t)config.kept_tasks_max);
    eval_service_add(&evaluator, service->server);
    return true;
}

static void stop(struct cap_service *service)
{
    (void)service;
    eval_kept_free(evaluator.kept);
}

/* The table of figures, for docs/metrics.md. */
static int print_measures(void)
{
    CAP_AUTO_BUF(text, 1 << 20);

    eval_measure_markdown(&text);
    fputs(text.data, stdout);
    return CAP_EXIT_OK;
}

int main(int argc, char **argv)
{
    const struct cap_service_spec spec = {
        .name = "evaluator",
        .summary =
            "prompts, grades and figures, as pure functions (verbs: grade, render, measures)",
        .default_listen = "127.0.0.1:7863",
        .config = {"evaluator", config_rows, CAP_COUNT_OF(config_rows)},
        .values = &config,
        .metrics = eval_counters(),
        .counts_calls = true,
        .calls_row = EVAL_COUNTER_calls_total,
        .failed_calls_row = EVAL_COUNTER_calls_failed_total,
        .server_options = {.arena_bytes_max = (size_t)512 << 20},
        .start = start,
        .stop = stop,
    };

    if (argc > 1 && strcmp(argv[1], "grade") == 0)
        return eval_cmd_grade(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "render") == 0)
        return eval_cmd_render(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "measures") == 0)
        return print_measures();
    return cap_service_main(&spec, argc, argv);
}
