/* config.h — settings as a table: a row gives struct member, parser, --help, sample file and docs.
 *
 * A program lists its settings in config.def, one row each:
 *
 *     CONF(queue_depth_max, int, 4096, 1, 1000000, "batches", "Batches waiting at most.")
 *     CONF(postgres,        str, "",   0, 1024,    "URI",     "The database; empty = embedded.")
 *
 * (for str: least and most bytes; for bool: 0, 1) and makes of it
 *
 *     struct store_config {
 *     #define CONF(name, type, ...) CAP_CONF_MEMBER_##type(name)
 *     #include "config.def"
 *     #undef CONF
 *     };
 *     static const struct cap_config_row rows[] = {
 *     #define CONF(name, type, ...) CAP_CONF_ROW(struct store_config, name, type, __VA_ARGS__)
 *     #include "config.def"
 *     #undef CONF
 *     };
 *
 * Order: flag (--queue-depth-max 9 or --queue-depth-max=9; a bool may stand alone), environment
 * (MOECAP_STORE_QUEUE_DEPTH_MAX), file (--config; `queue_depth_max = 9`, # comments), default. Read
 * once, at start, by one thread. Strings live in the arena given.
 */
#ifndef CAP_CONFIG_H
#define CAP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* `bool` is a macro in C17: it arrives here as itself or as _Bool, so both spellings exist. */
enum cap_config_type {
    CAP_CONFIG_int,
    CAP_CONFIG_double,
    CAP_CONFIG_bool,
    CAP_CONFIG__Bool = CAP_CONFIG_bool,
    CAP_CONFIG_str
};
enum cap_config_source {
    CAP_CONFIG_DEFAULT,
    CAP_CONFIG_FILE,
    CAP_CONFIG_ENVIRONMENT,
    CAP_CONFIG_FLAG
};

struct cap_config_row {
    const char *name;
    enum cap_config_type type;
    const char *fallback; /* as one would write it */
    double min, max;
    const char *unit, *help;
    size_t offset;
};

#define CAP_CONF_MEMBER_int(name) int64_t name;
#define CAP_CONF_MEMBER_double(name) double name;
#define CAP_CONF_MEMBER_bool(name) bool name;
#define CAP_CONF_MEMBER__Bool(name) bool name;
#define CAP_CONF_MEMBER_str(name) const char *name;
#define CAP_CONF_FALLBACK_int(value) #value
#define CAP_CONF_FALLBACK_double(value) #value
#define CAP_CONF_FALLBACK_bool(value) CAP_CONF_BOOL_TEXT(value)
#define CAP_CONF_FALLBACK__Bool(value) CAP_CONF_BOOL_TEXT(value)
#define CAP_CONF_FALLBACK_str(value) value
#define CAP_CONF_BOOL_TEXT(value) ((value) ? "true" : "false")
#define CAP_CONF_ROW(owner, name, type, fallback, min, max, unit, help)                            \
    {#name,         CAP_CONFIG_##type,    CAP_CONF_FALLBACK_##type(fallback),                      \
     (double)(min), (double)(max),        unit,                                                    \
     help,          offsetof(owner, name)},

struct cap_config {
    const char *program; /* "store": the environment's prefix is MOECAP_STORE_ */
    const struct cap_config_row *rows;
    size_t row_count;
};

/* Where settings go. */
struct cap_config_target {
    void *values;                    /* the table's struct */
    struct cap_arena *arena;         /* for texts */
    enum cap_config_source *sources; /* one entry a row; NULL = nobody asks */
};

/* The words of a command line, without the program's name. */
struct cap_config_words {
    char **items;
    int count;
};

/* Reads all settings. Those on the command line are taken out of `words`, the others stay. */
bool cap_config_read(const struct cap_config *config, const struct cap_config_target *target,
                     struct cap_config_words *words, struct cap_err *err);

void cap_config_help(const struct cap_config *config, struct cap_buf *out);
void cap_config_sample(const struct cap_config *config,
                       struct cap_buf *out); /* a commented .conf */
void cap_config_markdown(const struct cap_config *config, struct cap_buf *out);
/* The value now, as one would write it. */
void cap_config_value(const struct cap_config_row *row, const void *values, struct cap_buf *out);
/* The same for other eyes: in a setting whose unit is "URI", *** stands for passwords. */
void cap_config_shown(const struct cap_config_row *row, const void *values, struct cap_buf *out);
const char *cap_config_source_name(enum cap_config_source source);

#endif
