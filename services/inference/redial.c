#include "redial.h"

#include <stdio.h>
#include <string.h>

static bool is_final(const struct cap_err *reason)
{
    switch (reason->code) {
    case CAP_INVALID_ARGUMENT:
    case CAP_FAILED_PRECONDITION:
    case CAP_NOT_FOUND:
    case CAP_PERMISSION_DENIED:
    case CAP_UNAUTHENTICATED:
    case CAP_UNIMPLEMENTED:
    case CAP_OUT_OF_RANGE:
        return true;
    default:
        return false;
    }
}

static int64_t within(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

bool infer_redial_ended(struct infer_redial *redial, int64_t welcomed_ms,
                        const struct cap_err *reason)
{
    bool lived = welcomed_ms >= INFER_REDIAL_STREAM_MS_MIN;
    const char *text = reason->code == CAP_OK ? INFER_REDIAL_HUNG_UP : reason->text;
    int64_t most = is_final(reason) ? INFER_REDIAL_REFUSED_MS_MAX : INFER_REDIAL_MS_MAX;

    redial->pause_ms =
        lived ? INFER_REDIAL_MS_MIN : within(2 * redial->pause_ms, INFER_REDIAL_MS_MIN, most);
    if (!lived && strcmp(redial->reason, text) == 0) {
        redial->untold++;
        return false;
    }
    snprintf(redial->reason, sizeof redial->reason, "%s", text);
    redial->untold = 0;
    return true;
}
