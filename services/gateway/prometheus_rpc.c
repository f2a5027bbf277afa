/* GET /metrics: the counters of every program, as Prometheus reads them. A program that does not
 * answer is left out and counted as down: moecap_up is the first thing to alert on. */
#include <string.h>

#include "moecap/v1/admin.rpc.h"
#include "service.h"

enum { TEXT_BYTES_MAX = 4 << 20, ASK_MS = 2000 };

static void add_program(struct cap_http_request *http, const char *name,
                        struct cap_rpc_channel *channel, struct cap_buf *out)
{
    const struct cap_rpc_options options = {.timeout_ms = ASK_MS};
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ShowMetricsReply *reply;
    struct cap_err err = {0};
    bool up =
        admin_rpc_show_metrics(channel, &options, &request, cap_http_arena(http), &reply, &err);

    if (up)
        cap_buf_add_str(out, reply->prometheus_text);
    cap_buf_printf(out, "moecap_up{program=\"%s\"} %d\n", name, up);
}

void gate_prometheus(struct cap_http_request *http, void *self)
{
    struct gate_service *service = self;
    CAP_AUTO_BUF(text, TEXT_BYTES_MAX);

    cap_metrics_text(gate_metrics(), &text);
    add_program(http, "scheduler", service->scheduler, &text);
    add_program(http, "store", service->store, &text);
    add_program(http, "evaluator", service->evaluator, &text);
    cap_http_reply(http, 200, "text/plain; version=0.0.4", text.data, text.length);
}
