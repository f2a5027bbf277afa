/* The program: a verb that needs no service (offline/), `model serve DIR`, or the service itself.
 *
 * `model serve DIR` is a node without a scheduler: its arguments become flags of the service.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "counters.h"
#include "node/node.h"
#include "offline/offline.h"
#include "service/service.h"

/* ---- `model serve DIR` ---- */

static const char usage[] =
    "usage: moecap model serve DIR [flags]\n\n"
    "Serves a model over HTTP as OpenAI does, without a scheduler: /v1/completions,\n"
    "/v1/chat/completions, /v1/models.\n\n"
    "  --port N          default 7870; 0 = any free one\n"
    "  --host ADDRESS    default 127.0.0.1\n"
    "  --precision P     f32, bf16 (default), int8\n"
    "  --concurrency N   requests in flight, default 8\n"
    "  and every flag of moecap-inference --help\n\n"
    "  moecap model serve models/moecap-tiny --precision int8\n"
    "  curl http://127.0.0.1:7870/v1/completions -H 'Content-Type: application/json' \\\n"
    "    -d '{\"prompt\": \"2 + 2 =\", \"max_tokens\": 4}'\n";

/* Short names of settings, for this verb only. */
static const struct {
    const char *written, *setting;
} names[] = {
    {"--port", "--openai-port"},
    {"--host", "--openai-host"},
    {"--precision", "--serve-precision"},
    {"--concurrency", "--serve-concurrency"},
};

/* "--port" and "--port=N" become the setting's flag; everything else stays. */
static char *translate(char *argument, struct cap_arena *arena)
{
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        size_t length = strlen(names[i].written);

        if (strncmp(argument, names[i].written, length) == 0 &&
            (argument[length] == '\0' || argument[length] == '='))
            return cap_arena_printf(arena, "%s%s", names[i].setting, argument + length);
    }
    return argument;
}

/* True when the arguments are `serve ...` or `model serve ...`; then *out_argv (in the arena) are
 * the service's flags they stand for, or *out_argc is 0 after a usage text on stderr, -1 after one
 * on stdout that was asked for. */
static bool serve_args(int argc, char **argv, struct cap_arena *arena, int *out_argc,
                       char ***out_argv)
{
    int words = argc > 1 && strcmp(argv[1], "serve") == 0                                    ? 1
                : argc > 2 && strcmp(argv[1], "model") == 0 && strcmp(argv[2], "serve") == 0 ? 2
                                                                                             : 0;
    char **list = cap_arena_array(arena, (size_t)argc + 8, sizeof *list);
    int count = 0;

    if (words == 0)
        return false;
    *out_argc = 0;
    *out_argv = list;
    if (argc < words + 2 || argv[words + 1][0] == '-') {
        bool asked = argc > words + 1 && strcmp(argv[words + 1], "--help") == 0;
        fputs(usage, asked ? stdout : stderr);
        *out_argc = asked ? -1 : 0;
        return true;
    }
    list[count++] = argv[0];
    list[count++] = "--scheduler=";
    list[count++] = "--openai-port=7870";
    list[count++] = "--serve-model";
    list[count++] = argv[words + 1];
    for (int i = words + 2; i < argc; i++)
        list[count++] = translate(argv[i], arena);
    *out_argc = count;
    return true;
}

/* ---- the service ---- */

static bool start(struct cap_service *service, struct cap_err *err)
{
    service->state = infer_node_start(service->spec->values, err);
    return service->state != NULL;
}

static void stop(struct cap_service *service)
{
    infer_node_free(service->state);
}

int main(int argc, char **argv)
{
    static struct infer_config values;
    struct cap_service_spec spec = {
        .name = "inference",
        .summary =
            "a node: runs models, serves them over HTTP (verbs: model, engine, profile, tokenize)",
        .default_listen = "127.0.0.1:0",
        .config = infer_config_table,
        .values = &values,
        .metrics = &infer_counters,
        .start = start,
        .stop = stop,
    };
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    int status;

    if (serve_args(argc, argv, arena, &argc, &argv)) {
        if (argc <= 0)
            return argc < 0 ? 0 : CAP_EXIT_USAGE;
    } else if (infer_offline(argc, argv, &status)) {
        return status;
    }
    return cap_service_main(&spec, argc, argv);
}
