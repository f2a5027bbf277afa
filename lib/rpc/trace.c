/* One id for a chain of calls: made where it enters the suite, sent along with every call that a
 * handler makes, and in each line that the handler's thread logs. grep it in all logs at once. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "log/log.h"
#include "rpc/internal.h"

static _Thread_local char trace[CAP_RPC_TRACE_BYTES];

const char *cap_rpc_trace(void)
{
    return trace;
}

/* It goes into our logs, and on: nothing but letters, digits and dashes, and not without end. */
static bool is_trace(const char *id)
{
    size_t length = strlen(id);

    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)id[i]) && id[i] != '-')
            return false;
    return length > 0 && length < CAP_RPC_TRACE_BYTES;
}

void rpc_trace_begin(struct cap_rpc_call *call)
{
    const char *id = cap_rpc_metadata(call, RPC_TRACE_KEY, NULL);
    char made[CAP_ID_BYTES], fields[CAP_RPC_TRACE_BYTES + 8];

    if (!id || !is_trace(id)) {
        cap_rand_id("c", made);
        id = made;
    }
    snprintf(trace, sizeof trace, "%s", id);
    snprintf(fields, sizeof fields, "call=%s", trace);
    cap_log_context(fields);
}

void rpc_trace_end(void)
{
    trace[0] = '\0';
    cap_log_context(NULL);
}

void rpc_trace_send(struct cap_rpc_call *call)
{
    if (*trace)
        rpc_metadata_add(&call->headers, RPC_TRACE_KEY, trace, strlen(trace));
}
