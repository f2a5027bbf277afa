/* log.h — one logfmt line per fact, to stderr.
 *
 *     cap_log(INFO, "run_queued", "run=%s samples=%d", id, n);
 *     ts=2026-11-25T07:20:31.120Z level=info svc=scheduler mod=queue event=run_queued run=…
 * samples=…
 *
 * The event is a stable word one can grep and test; the format gives the fields. Values with blanks
 * or quotes are passed through CAP_LOG_Q, which quotes. Libraries log at debug only: the code that
 * decides what to do about an error logs it, once. Any thread; a line is written whole.
 */
#ifndef CAP_LOG_H
#define CAP_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum cap_log_level {
    CAP_LOG_DEBUG,
    CAP_LOG_INFO,
    CAP_LOG_WARN,
    CAP_LOG_ERROR,
    CAP_LOG_LEVEL_COUNT
};

/* Once, at start; `service` is borrowed. Before it, lines carry svc=-. */
void cap_log_init(const char *service);
/* "info", or with modules: "info,queue:debug,rpc:error". Module = source file without .c. */
bool cap_log_set_levels(const char *levels, struct cap_err *err);

#define cap_log(level, event, ...)                                                                 \
    do {                                                                                           \
        if (cap_log_on(CAP_LOG_##level, __FILE_NAME__))                                            \
            cap_log_write(CAP_LOG_##level, __FILE_NAME__, event, __VA_ARGS__);                     \
    } while (0)

bool cap_log_on(enum cap_log_level level, const char *file_name);
void cap_log_write(enum cap_log_level level, const char *file_name, const char *event,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* `text` in double quotes with escapes, in one of a few per-thread buffers: use it in the same
 * call. */
const char *cap_log_quoted(const char *text);
#define CAP_LOG_Q(text) cap_log_quoted(text)

/* For lines that a peer can cause as often as it likes: a limited number in a period, the others
 * are counted and told with the next one. {0} is a new one. Guarded by the caller.
 *
 *     if (cap_log_may(&limit, now_ms, &untold))
 *         cap_log(INFO, "stop", "... untold=%d", untold);
 */
enum { CAP_LOG_LIMIT_LINES = 10, CAP_LOG_LIMIT_MS = 60000 };
struct cap_log_limit {
    int64_t since_ms;
    int lines, untold;
};
bool cap_log_may(struct cap_log_limit *limit, int64_t now_ms, int *out_untold);

/* Fields that every line of this thread carries, e.g. "call=7f3a run=run-abc"; NULL clears. Copied.
 */
void cap_log_context(const char *fields);

#endif
