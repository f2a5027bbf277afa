/* The standard health service. A watcher is a blocked handler; it looks again every WATCH_MS, so
 * that a client that went away does not hold its worker for long. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "grpc/health/v1/health.rpc.h"
#include "rpc/inside.h"

enum { WATCH_MS = 200 };

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct rpc_health {
    pthread_mutex_t lock; /* guards the two below */
    pthread_cond_t changed;
    struct cap_map *serving; /* service -> &yes or &no */
    bool draining;
};

static char yes, no;

struct rpc_health *rpc_health_new(void)
{
    struct rpc_health *health = calloc(1, sizeof *health);

    if (!health)
        abort();
    pthread_mutex_init(&health->lock, NULL);
    pthread_cond_init(&health->changed, NULL);
    health->serving = cap_map_new();
    return health;
}

void rpc_health_free(struct rpc_health *health)
{
    cap_map_free(health->serving);
    pthread_mutex_destroy(&health->lock);
    pthread_cond_destroy(&health->changed);
    free(health);
}

void rpc_health_set(struct rpc_health *health, const char *service, bool serving)
{
    pthread_mutex_lock(&health->lock);
    cap_map_put(health->serving, service, serving ? &yes : &no);
    pthread_cond_broadcast(&health->changed);
    pthread_mutex_unlock(&health->lock);
}

void rpc_health_drain(struct rpc_health *health)
{
    pthread_mutex_lock(&health->lock);
    health->draining = true;
    pthread_cond_broadcast(&health->changed);
    pthread_mutex_unlock(&health->lock);
}

static int status_locked(const struct rpc_health *health, const char *service)
{
    const char *entry = cap_map_get(health->serving, service);

    if (!entry)
        return STATUS(SERVICE_UNKNOWN);
    return entry == &yes && !health->draining ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static bool check(struct cap_rpc_call *call, const Grpc__Health__V1__HealthCheckRequest *request,
                  Grpc__Health__V1__HealthCheckResponse *reply, struct cap_err *err)
{
    struct rpc_health *health = cap_rpc_self(call);
    int status;

    pthread_mutex_lock(&health->lock);
    status = status_locked(health, request->service);
    pthread_mutex_unlock(&health->lock);
    if (status == STATUS(SERVICE_UNKNOWN))
        return cap_fail(err, CAP_NOT_FOUND, "unknown service \"%s\"", request->service);
    reply->status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return true;
}

/* Waits until the status is not `last`; false when the stream should end. */
static bool wait_for_news(struct rpc_health *health, struct cap_rpc_call *call, const char *service,
                          int last, int *out_status)
{
    bool news;

    pthread_mutex_lock(&health->lock);
    while (!(news = (*out_status = status_locked(health, service)) != last) && !health->draining &&
           !cap_rpc_cancelled(call))
        cap_wait_ms(&health->changed, &health->lock, WATCH_MS);
    pthread_mutex_unlock(&health->lock);
    return news;
}

static bool watch(struct cap_rpc_call *call, const Grpc__Health__V1__HealthCheckRequest *request,
                  struct cap_err *err)
{
    struct rpc_health *health = cap_rpc_self(call);
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    int last = -1, status;

    while (wait_for_news(health, call, request->service, last, &status)) {
        last = status;
        reply.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
        if (!health_rpc_watch_send_reply(call, &reply))
            break;
    }
    return cap_fail(err, CAP_UNAVAILABLE, "the server is going away");
}

void rpc_health_add(struct rpc_health *health, struct cap_rpc_server *server)
{
    static const struct health_rpc_handlers handlers = {check, watch};

    cap_rpc_server_add(server, &health_rpc_service, &handlers, health);
    cap_rpc_server_inline(server, "/grpc.health.v1.Health/Check");
}
