/* What every program that serves tells and is asked; see service.h. The counters of a node travel
 * with its beats in the same form. */

#include "grpc/health/v1/health.rpc.h"
#include "log/log.h"
#include "moecap/v1/admin.rpc.h"
#include "service/service.h"

enum { TEXT_BYTES_MAX = 1 << 20 };

static Moecap__V1__ConfigValue *describe_row(struct cap_arena *arena, const struct cap_admin *admin,
                                             size_t index)
{
    const struct cap_config_row *row = &admin->spec->config.rows[index];
    Moecap__V1__ConfigValue *value = cap_arena_alloc(arena, sizeof *value);
    CAP_AUTO_BUF(text, TEXT_BYTES_MAX);

    if (!value)
        return NULL;
    moecap__v1__config_value__init(value);
    cap_config_shown(row, admin->spec->values, &text);
    value->name = (char *)row->name;
    value->value = cap_arena_strdup(arena, text.data);
    value->source = (char *)cap_config_source_name(admin->sources[index]);
    value->help = (char *)row->help;
    return value->value ? value : NULL;
}

static bool show_config(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                        Moecap__V1__ShowConfigReply *reply, struct cap_err *err)
{
    const struct cap_admin *admin = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);
    size_t count = admin->spec->config.row_count;

    (void)request;
    reply->program = (char *)admin->spec->name;
    reply->version = MOECAP_VERSION;
    reply->values = cap_arena_array(arena, count, sizeof(void *));
    for (size_t i = 0; reply->values && i < count; i++)
        if (!(reply->values[reply->n_values++] = describe_row(arena, admin, i)))
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the settings do not fit one reply");
    return true;
}

static bool show_metrics(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                         Moecap__V1__ShowMetricsReply *reply, struct cap_err *err)
{
    const struct cap_admin *admin = cap_rpc_self(call);
    CAP_AUTO_BUF(text, TEXT_BYTES_MAX);

    (void)request;
    if (admin->spec->metrics)
        cap_metrics_text(admin->spec->metrics, &text);
    reply->prometheus_text = cap_arena_strdup(cap_rpc_arena(call), text.data);
    return (reply->prometheus_text &&
            (!admin->spec->metrics || cap_metrics_to_wire(admin->spec->metrics, cap_rpc_arena(call),
                                                          &reply->metrics, &reply->n_metrics))) ||
           cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the counters do not fit one reply");
}

static bool set_log_level(struct cap_rpc_call *call, const Moecap__V1__SetLogLevelRequest *request,
                          Moecap__V1__Empty *reply, struct cap_err *err)
{
    (void)call;
    (void)reply;
    return cap_log_set_levels(request->levels, err);
}

void cap_admin_add(struct cap_rpc_server *server, struct cap_admin *admin)
{
    static const struct admin_rpc_handlers handlers = {show_config, show_metrics, set_log_level};

    cap_rpc_server_add(server, &admin_rpc_service, &handlers, admin);
}

/* ---- counters as messages ---- */

static Moecap__V1__Metric *one_to_wire(const struct cap_metrics *metrics, int row,
                                       struct cap_arena *arena)
{
    static const char *const kinds[] = {"counter", "gauge"};
    Moecap__V1__Metric *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__metric__init(wire);
    wire->name = cap_arena_printf(arena, "moecap_%s_%s", metrics->program, metrics->rows[row].name);
    wire->kind = (char *)kinds[metrics->rows[row].kind];
    wire->help = (char *)metrics->rows[row].help;
    wire->value = cap_metric_get(metrics, row);
    return wire->name ? wire : NULL;
}

bool cap_metrics_to_wire(const struct cap_metrics *metrics, struct cap_arena *arena,
                         Moecap__V1__Metric ***out_list, size_t *out_count)
{
    Moecap__V1__Metric **list = cap_arena_array(arena, metrics->row_count + 1, sizeof(void *));

    for (size_t i = 0; list && i < metrics->row_count; i++)
        if (!(list[i] = one_to_wire(metrics, (int)i, arena)))
            return false;
    *out_list = list;
    *out_count = list ? metrics->row_count : 0;
    return list != NULL;
}

/* ---- is a program well ---- */

enum { CHECK_MS_MAX = 3000, ARENA_BYTES = 1 << 16 };

static bool ask(struct cap_rpc_channel *channel, struct cap_arena *arena, struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = CHECK_MS_MAX};
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    Grpc__Health__V1__HealthCheckResponse *reply;

    if (!cap_rpc_channel_wait(channel, CHECK_MS_MAX, err) ||
        !health_rpc_check(channel, &options, &request, arena, &reply, err))
        return false;
    return reply->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING ||
           cap_fail(err, CAP_FAILED_PRECONDITION, "it is ending");
}

bool cap_check_health(const char *address, struct cap_err *err)
{
    bool ok;

    cap_rpc_init();
    {
        CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES);
        CAP_AUTO(cap_rpc_channel) channel = cap_rpc_channel_new(address, NULL);
        ok = ask(channel, arena, err) || cap_fail_in(err, "%s", address);
    }
    cap_rpc_shutdown();
    return ok;
}
