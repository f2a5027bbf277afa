#include "counters.h"
#include "node/node.h"
#include "offline/offline.h"
#include "serve/args.h"
#include "service/service.h"

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
        .summary = "a node: runs models, serves them over HTTP (verbs: model, engine, tokenize)",
        .default_listen = "127.0.0.1:0",
        .config = infer_config_table,
        .values = &values,
        .metrics = &infer_counters,
        .start = start,
        .stop = stop,
    };
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    int status;

    if (infer_serve_args(argc, argv, arena, &argc, &argv)) {
        if (argc <= 0)
            return argc < 0 ? 0 : CAP_EXIT_USAGE;
    } else if (infer_offline(argc, argv, &status)) {
        return status;
    }
    return cap_service_main(&spec, argc, argv);
}
