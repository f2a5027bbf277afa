#include "base/arena.h"
#include "grpc/health/v1/health.rpc.h"
#include "rpc/rpc.h"
#include "service/check.h"

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
