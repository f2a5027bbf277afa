/* The power of GPUs as a server's exporter tells it: NVIDIA's DCGM, in Prometheus' text format.
 *
 *     DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-...",modelName="NVIDIA H200"} 412.113     watts
 *     DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",...} 1.1230998e+10                 millijoules
 *
 * So the power of a machine without a node is known. The exporter renews its values by its
 * own clock (every 30 s unless it is set otherwise): the meter sees that in the counter, and says
 * so. Lines of MIG instances repeat those of their board; the first of a board counts. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "http/client.h"
#include "http/url.h"
#include "power/source.h"

enum {
    FETCH_MS_MAX = 2000,
    REPLY_BYTES_MAX = 8 << 20,
    ASKED_EVERY_MS = 500,
    RENEWED_EVERY_MS = 1000,
    NAME_BYTES = 64,
};

static const char energy_metric[] = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION";
static const char power_metric[] = "DCGM_FI_DEV_POWER_USAGE";
static const char limit_metric[] = "DCGM_FI_DEV_POWER_MGMT_LIMIT";

struct exporter {
    struct infer_power_source base;
    struct cap_arena *arena;
    char *url;
    char ids[INFER_POWER_SOURCE_DEVICES_MAX][NAME_BYTES]; /* UUID, or number where there is none */
};

/* ---- the text ---- */

static void keep(char *out, size_t room, const char *from, size_t length)
{
    snprintf(out, room, "%.*s", (int)length, from);
}

/* One label, `name="value"`, at `at`; behind it and its comma, NULL when it is none. */
static const char *read_label(const char *at, struct infer_prometheus_sample *out)
{
    const char *name = at + strspn(at, " ,"), *equals = strpbrk(name, "=\n"), *end;
    size_t length;

    if (!equals || equals[0] != '=' || equals[1] != '"')
        return NULL;
    for (end = equals + 2; *end != '"'; end++) {
        if (*end == '\\' && end[1])
            end++;
        if (*end == '\0' || *end == '\n')
            return NULL;
    }
    length = (size_t)(equals - name);
#define LABEL(label, field)                                                                        \
    if (length == sizeof label - 1 && strncmp(name, label, length) == 0)                           \
    keep(out->field, sizeof out->field, equals + 2, (size_t)(end - equals - 2))
    LABEL("gpu", gpu);
    LABEL("UUID", uuid);
    LABEL("modelName", model);
    LABEL("GPU_I_ID", instance);
#undef LABEL
    return end + 1;
}

/* Labels and value behind the metric's name. */
static bool read_sample(const char *at, struct infer_prometheus_sample *out)
{
    char *end;

    *out = (struct infer_prometheus_sample){0};
    if (*at == '{') {
        at++;
        while (*at != '}')
            if (!(at = read_label(at, out)))
                return false;
            else
                at += strspn(at, " ,");
        at++;
    }
    at += strspn(at, " \t");
    out->value = strtod(at, &end);
    return end != at && isfinite(out->value);
}

bool infer_prometheus_next(const char **io_at, const char *metric,
                           struct infer_prometheus_sample *out)
{
    size_t length = strlen(metric);

    while (**io_at) {
        const char *line = *io_at;

        *io_at += strcspn(line, "\n");
        *io_at += **io_at == '\n';
        if (strncmp(line, metric, length) == 0 && (line[length] == '{' || line[length] == ' ') &&
            read_sample(line + length, out))
            return true;
    }
    return false;
}

/* ---- the source ---- */

static void close_exporter(struct infer_power_source *source)
{
    struct exporter *exporter = (struct exporter *)source;

    cap_arena_free(exporter->arena);
    free(exporter->url);
    free(exporter);
}

/* In the exporter's arena, until the next fetch; NULL on failure. */
static const char *fetch(struct exporter *exporter, struct cap_err *err)
{
    struct cap_http_reply reply;
    struct cap_http_ask ask = {.url = exporter->url,
                               .deadline_ms = FETCH_MS_MAX,
                               .connect_ms_max = FETCH_MS_MAX,
                               .reply_bytes_max = REPLY_BYTES_MAX};

    cap_arena_reset(exporter->arena);
    if (!cap_http_fetch(&ask, exporter->arena, &reply, err)) {
        cap_fail_in(err, "power_url");
        return NULL;
    }
    if (reply.status == 200)
        return reply.body;
    cap_fail(err,
             reply.status == 401 || reply.status == 403 ? CAP_PERMISSION_DENIED : CAP_NOT_FOUND,
             "power_url answers with %d; a DCGM exporter answers at http://HOST:9400/metrics",
             reply.status);
    return NULL;
}

static int find(const struct exporter *exporter, const struct infer_prometheus_sample *sample)
{
    const char *id = *sample->uuid ? sample->uuid : sample->gpu;

    for (int i = 0; i < exporter->base.device_count; i++)
        if (strcmp(exporter->ids[i], id) == 0)
            return i;
    return -1;
}

static void add_board(struct exporter *exporter, const struct infer_prometheus_sample *sample,
                      const char *gpus)
{
    int at = exporter->base.device_count;
    struct infer_power_device *device = &exporter->base.devices[at];

    if (at == INFER_POWER_SOURCE_DEVICES_MAX || find(exporter, sample) >= 0 ||
        !infer_power_gpu_counts(gpus, (int)strtol(sample->gpu, NULL, 10), sample->uuid))
        return;
    *device = (struct infer_power_device){.kind = INFER_POWER_GPU, .renew_ms = RENEWED_EVERY_MS};
    snprintf(device->name, sizeof device->name, "gpu%s", sample->gpu);
    snprintf(device->model, sizeof device->model, "%s", sample->model);
    keep(exporter->ids[at], NAME_BYTES, *sample->uuid ? sample->uuid : sample->gpu, NAME_BYTES);
    exporter->base.device_count++;
}

static void add_boards(struct exporter *exporter, const char *text, const char *gpus)
{
    static const char *const metrics[] = {energy_metric, power_metric};
    struct infer_prometheus_sample sample;

    for (size_t i = 0; i < CAP_COUNT_OF(metrics); i++)
        for (const char *at = text; infer_prometheus_next(&at, metrics[i], &sample);)
            add_board(exporter, &sample, gpus);
    for (const char *at = text; infer_prometheus_next(&at, limit_metric, &sample);)
        if (find(exporter, &sample) >= 0)
            exporter->base.devices[find(exporter, &sample)].limit_watts = sample.value;
}

static struct infer_power_source *open_exporter(const struct infer_power_options *options,
                                                struct cap_err *err)
{
    struct exporter *exporter;
    const char *text;

    if (!*options->url) {
        cap_fail(err, CAP_NOT_FOUND, "power_url is not set");
        return NULL;
    }
    if (!cap_url_check_base(options->url, err)) { /* no password: reasons are for every reader */
        cap_fail_in(err, "power_url");
        return NULL;
    }
    exporter = calloc(1, sizeof *exporter);
    if (!exporter)
        abort();
    exporter->arena = cap_arena_new(2 * REPLY_BYTES_MAX);
    exporter->url = strdup(options->url);
    if (!exporter->url)
        abort();
    if ((text = fetch(exporter, err)) != NULL) {
        add_boards(exporter, text, options->gpus);
        if (exporter->base.device_count > 0)
            return &exporter->base;
        cap_fail(err, CAP_NOT_FOUND, "power_url reports neither %s nor %s of a GPU that counts",
                 energy_metric, power_metric);
    }
    close_exporter(&exporter->base);
    return NULL;
}

static bool read_exporter(struct infer_power_source *source, struct infer_power_value *out_values,
                          struct cap_err *err)
{
    struct exporter *exporter = (struct exporter *)source;
    struct infer_prometheus_sample sample;
    const char *text = fetch(exporter, err);

    for (int i = 0; i < source->device_count; i++)
        out_values[i] = (struct infer_power_value){NAN, NAN};
    if (!text)
        return false;
    for (const char *at = text; infer_prometheus_next(&at, energy_metric, &sample);) {
        int i = find(exporter, &sample);
        if (i >= 0 && isnan(out_values[i].joules))
            out_values[i].joules = sample.value / 1e3;
    }
    for (const char *at = text; infer_prometheus_next(&at, power_metric, &sample);) {
        int i = find(exporter, &sample);
        if (i >= 0 && isnan(out_values[i].watts))
            out_values[i].watts = sample.value;
    }
    return true;
}

const struct infer_power_source_ops infer_power_prometheus = {
    .name = "prometheus",
    .kinds = {[INFER_POWER_GPU] = true},
    .elsewhere = true,
    .interval_ms = ASKED_EVERY_MS,
    .open = open_exporter,
    .read = read_exporter,
    .close = close_exporter,
};
