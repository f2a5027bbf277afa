/* node probe: what a node on this machine would say of it, measured now. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/exit.h"
#include "node/hardware.h"
#include "node/node.h"
#include "offline/offline.h"

static const char verb[] = "node probe";

static const char help[] =
    "usage: moecap node probe [--json]\n"
    "\n"
    "Measures this machine as a node does when it starts: what its memory gives, and what matrix\n"
    "multiplication attains in each precision, with the kernels that models run on. The best of\n"
    "several rounds, in about a second; a machine that does something else meanwhile gives less,\n"
    "so the load is said, too. Nothing is kept: a node measures at its own start.\n"
    "Says also who could tell what the machine draws, and why others cannot (docs/energy.md),\n"
    "by the settings of a node in the environment: MOECAP_INFERENCE_POWER_URL and the like.\n";

/* As a node would find them: the environment holds its settings. */
static bool read_power(struct infer_hardware *h, struct cap_err *err)
{
    static struct infer_config config;
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    CAP_AUTO(infer_power) power = NULL;
    const struct cap_config_target settings = {.values = &config, .arena = arena};
    struct cap_config_words none = {NULL, 0};

    if (!cap_config_read(&infer_config_table, &settings, &none, err))
        return false;
    power = infer_node_power(&config, false);
    h->power_count = infer_power_states(power, h->power);
    return true;
}

static json_t *power_json(const struct infer_hardware *h)
{
    json_t *list = json_array();

    for (int i = 0; i < h->power_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:s, s:s}", "source", h->power[i].source,
                                              "works", h->power[i].works, "devices",
                                              h->power[i].devices, "reason", h->power[i].why));
    return list;
}

static json_t *to_json(const struct infer_hardware *h)
{
    json_t *rates = json_object();
    json_t *json = json_pack("{s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:s}", "cpu", h->cpu, "known_as",
                             h->known_as, "cores", h->cores, "sockets", h->topology.sockets,
                             "numa_nodes", h->topology.numa_nodes, "last_level_cache_bytes",
                             (json_int_t)h->topology.cache_bytes, "memory_bytes",
                             (json_int_t)h->memory_bytes, "governor", h->governor);

    json_object_set_new(json, "throttle_events",
                        h->topology.has_throttled ? json_integer((json_int_t)h->topology.throttled)
                                                  : json_null());
    json_object_set_new(json, "probe_load",
                        h->has_probe_load ? json_real(h->probe_load) : json_null());
    json_object_set_new(json, "read_bandwidth_gb_s",
                        h->read_bandwidth_gb_s > 0 ? json_real(h->read_bandwidth_gb_s)
                                                   : json_null());
    for (int i = 0; i < NATIVE_PRECISION_COUNT; i++)
        json_object_set_new(rates, native_precision_name((enum native_precision)i),
                            h->gflop_s[i] > 0 ? json_real(h->gflop_s[i]) : json_null());
    json_object_set_new(json, "gflop_per_s", rates);
    json_object_set_new(json, "power", power_json(h));
    return json;
}

static void say(const struct infer_hardware *h)
{
    printf("processor   %s, %d cores", *h->cpu ? h->cpu : "unknown", h->cores);
    if (h->topology.sockets > 0)
        printf(", %d socket%s, %d NUMA node%s", h->topology.sockets,
               h->topology.sockets > 1 ? "s" : "", h->topology.numa_nodes,
               h->topology.numa_nodes > 1 ? "s" : "");
    printf("\ntable       %s\n", *h->known_as ? h->known_as : "not in it (moecap hardware)");
    if (h->topology.cache_bytes > 0)
        printf("cache       %.4g MB, last level\n", (double)h->topology.cache_bytes / 1e6);
    printf("governor    %s\n", *h->governor ? h->governor : "not known");
    if (h->topology.has_throttled)
        printf("throttled   %llu times since the machine started\n",
               (unsigned long long)h->topology.throttled);
    if (h->read_bandwidth_gb_s > 0)
        printf("memory      %.4g GB/s read, attained\n", h->read_bandwidth_gb_s);
    else
        printf("memory      not measured: there is too little free\n");
    for (int i = 0; i < NATIVE_PRECISION_COUNT; i++)
        if (h->gflop_s[i] > 0)
            printf("%-11s %.4g GFLOP/s, attained\n",
                   native_precision_name((enum native_precision)i), h->gflop_s[i]);
    if (h->has_probe_load && h->probe_load > 0.5)
        printf("load        %.2f when it began: an idle machine may attain more\n", h->probe_load);
    for (int i = 0; i < h->power_count; i++)
        printf("power       %s: %s\n", h->power[i].source,
               h->power[i].works ? h->power[i].devices : h->power[i].why);
}

int infer_cmd_probe(int argc, char **argv)
{
    bool as_json = infer_says_json(argc, argv);
    struct infer_hardware hardware;
    struct cap_err err = {0};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return CAP_EXIT_OK;
        }
        if (strcmp(argv[i], "--json") != 0)
            return infer_say_usage(as_json, verb, help, "unknown argument \"%s\"", argv[i]);
    }
    infer_hardware_read(&hardware, true);
    if (!read_power(&hardware, &err))
        return infer_say_usage(as_json, verb, help, "%s", err.text);
    if (as_json) {
        json_t *json = to_json(&hardware);

        infer_say_json(json);
        json_decref(json);
    } else {
        say(&hardware);
    }
    return CAP_EXIT_OK;
}
