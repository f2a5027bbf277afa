/* Log lines. A line is put together in its thread and written at once, so that lines of several
 * threads do not mix. The levels by module are one table under a read-write lock; Admin.SetLogLevel
 * replaces it whole while the program runs. */
#include "log/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/plain.h"

enum { MODULES_MAX = 32, MODULE_BYTES = 32, LINE_BYTES_MAX = 4096, QUOTED_SLOTS = 4 };

struct module_level {
    char name[MODULE_BYTES];
    enum cap_log_level level;
};

static const char *const level_names[CAP_LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};

static const char *service_name = "-";
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER; /* guards the three below */
static enum cap_log_level default_level = CAP_LOG_INFO;
static struct module_level modules[MODULES_MAX];
static int module_count;

static _Thread_local char context[256];

void cap_log_init(const char *service)
{
    service_name = service;
}

static bool find_level(const char *name, size_t length, enum cap_log_level *out_level)
{
    for (int i = 0; i < CAP_LOG_LEVEL_COUNT; i++) {
        if (strlen(level_names[i]) == length && memcmp(level_names[i], name, length) == 0) {
            *out_level = (enum cap_log_level)i;
            return true;
        }
    }
    return false;
}

/* One item of the list: "info" or "queue:debug". */
static bool parse_item(const char *item, size_t length, enum cap_log_level *io_default,
                       struct module_level *list, int *io_count, struct cap_err *err)
{
    const char *colon = memchr(item, ':', length);
    size_t name = colon ? (size_t)(colon - item) : 0;
    enum cap_log_level level;

    if (!find_level(colon ? colon + 1 : item, colon ? length - name - 1 : length, &level))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "log level \"%.*s\" is not [module:]debug, info, warn or error",
                        (int)length, item);
    if (!colon) {
        *io_default = level;
        return true;
    }
    if (name >= MODULE_BYTES || *io_count == MODULES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "log levels name too much at \"%.*s\"",
                        (int)length, item);
    snprintf(list[*io_count].name, MODULE_BYTES, "%.*s", (int)name, item);
    list[(*io_count)++].level = level;
    return true;
}

bool cap_log_set_levels(const char *levels, struct cap_err *err)
{
    enum cap_log_level level = CAP_LOG_INFO;
    struct module_level list[MODULES_MAX];
    int count = 0;

    for (const char *item = levels; *item;) {
        size_t length = strcspn(item, ",");

        if (!parse_item(item, length, &level, list, &count, err))
            return false;
        item += length + (item[length] == ',');
    }
    pthread_rwlock_wrlock(&lock);
    default_level = level;
    memcpy(modules, list, sizeof list);
    module_count = count;
    pthread_rwlock_unlock(&lock);
    return true;
}

static size_t module_length(const char *file_name)
{
    const char *dot = strrchr(file_name, '.');

    return dot ? (size_t)(dot - file_name) : strlen(file_name);
}

bool cap_log_on(enum cap_log_level level, const char *file_name)
{
    size_t length = module_length(file_name);
    enum cap_log_level wanted;

    pthread_rwlock_rdlock(&lock);
    wanted = default_level;
    for (int i = 0; i < module_count; i++)
        if (strlen(modules[i].name) == length && memcmp(modules[i].name, file_name, length) == 0)
            wanted = modules[i].level;
    pthread_rwlock_unlock(&lock);
    return level >= wanted;
}

void cap_log_write(enum cap_log_level level, const char *file_name, const char *event,
                   const char *fmt, ...)
{
    CAP_AUTO_BUF(line, LINE_BYTES_MAX - 1);
    char time_text[CAP_TIME_TEXT_BYTES];
    char fields[LINE_BYTES_MAX - 512];
    va_list args;

    cap_time_text(cap_clock_wall_ms(cap_clock_system()), time_text);
    va_start(args, fmt);
    vsnprintf(fields, sizeof fields, fmt, args);
    va_end(args);
    cap_buf_printf(&line, "ts=%s level=%s svc=%s mod=%.*s event=%s", time_text, level_names[level],
                   service_name, (int)module_length(file_name), file_name, event);
    if (*context)
        cap_buf_printf(&line, " %s", context);
    if (*fields) { /* may hold names that peers chose: none may begin a line or steer a terminal */
        cap_buf_add_char(&line, ' ');
        cap_plain_add(&line, fields);
    }
    cap_buf_add_char(&line, '\n');
    /* one write, so that lines of several threads and programs do not mix */
    if (write(STDERR_FILENO, line.data, line.length) < 0)
        return;
}

const char *cap_log_quoted(const char *text)
{
    static _Thread_local char slots[QUOTED_SLOTS][1024];
    static _Thread_local int next;
    char *out = slots[next], *o = out, *end = out + sizeof slots[0] - 3;

    next = (next + 1) % QUOTED_SLOTS;
    *o++ = '"';
    for (const char *p = text ? text : ""; *p && o < end; p++) {
        unsigned char c = (unsigned char)*p;

        if (c == '"' || c == '\\')
            *o++ = '\\';
        *o++ = c < ' ' ? ' ' : (char)c;
    }
    *o++ = '"';
    *o = '\0';
    return out;
}

void cap_log_context(const char *fields)
{
    snprintf(context, sizeof context, "%s", fields ? fields : "");
}

bool cap_log_may(struct cap_log_limit *limit, int64_t now_ms, int *out_untold)
{
    if (limit->lines == 0 || now_ms - limit->since_ms >= CAP_LOG_LIMIT_MS) {
        limit->since_ms = now_ms;
        limit->lines = 0;
    }
    if (limit->lines == CAP_LOG_LIMIT_LINES) {
        limit->untold++;
        return false;
    }
    limit->lines++;
    *out_untold = limit->untold;
    limit->untold = 0;
    return true;
}
