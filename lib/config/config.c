/* Settings from four sources. Every row begins with its default; then the file, the environment and
 * the flags are put over it in this order, each value through put(), which checks its type and
 * range and notes where it came from. The same rows print the help, the sample file and
 * docs/config.md. */
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { CONFIG_FILE_BYTES_MAX = 1 << 20 };

static const char *const type_names[] = {"int", "double", "bool", "str"};
static const char *const source_names[] = {"default", "file", "environment", "flag"};

const char *cap_config_source_name(enum cap_config_source source)
{
    return source_names[source];
}

/* ---- one value ---- */

static bool fail_range(const struct cap_config_row *row, const char *text, struct cap_err *err)
{
    if (row->type == CAP_CONFIG_str)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "%s: \"%.80s\" has %zu bytes; %.0f to %.0f are accepted", row->name, text,
                        strlen(text), row->min, row->max);
    return cap_fail(err, CAP_INVALID_ARGUMENT, "%s: \"%s\" is not a number from %.15g to %.15g%s%s",
                    row->name, text, row->min, row->max, *row->unit ? " " : "", row->unit);
}

static bool set_int(const struct cap_config_row *row, const char *text, void *slot,
                    struct cap_err *err)
{
    long long value;
    char *end;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || end == text || *end || (double)value < row->min || (double)value > row->max)
        return fail_range(row, text, err);
    *(int64_t *)slot = value;
    return true;
}

static bool set_double(const struct cap_config_row *row, const char *text, void *slot,
                       struct cap_err *err)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (errno || end == text || *end || !(value >= row->min && value <= row->max))
        return fail_range(row, text, err);
    *(double *)slot = value;
    return true;
}

static bool set_bool(const struct cap_config_row *row, const char *text, void *slot,
                     struct cap_err *err)
{
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || strcmp(text, "yes") == 0;
    bool no = strcmp(text, "false") == 0 || strcmp(text, "0") == 0 || strcmp(text, "no") == 0;

    if (!yes && !no)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s: \"%s\" is neither true nor false",
                        row->name, text);
    *(bool *)slot = yes;
    return true;
}

static bool set_value(const struct cap_config_row *row, const char *text, void *values,
                      struct cap_arena *arena, struct cap_err *err)
{
    void *slot = (char *)values + row->offset;

    switch (row->type) {
    case CAP_CONFIG_int:
        return set_int(row, text, slot, err);
    case CAP_CONFIG_double:
        return set_double(row, text, slot, err);
    case CAP_CONFIG_bool:
        return set_bool(row, text, slot, err);
    case CAP_CONFIG_str:
        if ((double)strlen(text) < row->min || (double)strlen(text) > row->max)
            return fail_range(row, text, err);
        *(const char **)slot = cap_arena_strdup(arena, text);
        return true;
    }
    return false;
}

void cap_config_value(const struct cap_config_row *row, const void *values, struct cap_buf *out)
{
    const void *slot = (const char *)values + row->offset;

    switch (row->type) {
    case CAP_CONFIG_int:
        cap_buf_printf(out, "%lld", (long long)*(const int64_t *)slot);
        break;
    case CAP_CONFIG_double:
        cap_buf_printf(out, "%.15g", *(const double *)slot);
        break;
    case CAP_CONFIG_bool:
        cap_buf_add_str(out, *(const bool *)slot ? "true" : "false");
        break;
    case CAP_CONFIG_str:
        cap_buf_add_str(out, *(const char *const *)slot);
        break;
    }
}

/* ---- where values come from ---- */

struct reader {
    const struct cap_config *config;
    const struct cap_config_target *to;
};

static bool put(const struct reader *r, size_t row, const char *text, enum cap_config_source source,
                struct cap_err *err)
{
    if (!set_value(&r->config->rows[row], text, r->to->values, r->to->arena, err))
        return false;
    if (r->to->sources)
        r->to->sources[row] = source;
    return true;
}

/* Row with that name, in which '-' and '_' are the same; row_count when there is none. */
static size_t find_row(const struct cap_config *config, const char *name, size_t length)
{
    for (size_t i = 0; i < config->row_count; i++) {
        const char *row = config->rows[i].name;
        size_t k = 0;

        if (strlen(row) != length)
            continue;
        while (k < length && (row[k] == name[k] || (row[k] == '_' && name[k] == '-')))
            k++;
        if (k == length)
            return i;
    }
    return config->row_count;
}

static bool read_defaults(const struct reader *r, struct cap_err *err)
{
    for (size_t i = 0; i < r->config->row_count; i++)
        if (!put(r, i, r->config->rows[i].fallback, CAP_CONFIG_DEFAULT, err))
            return cap_fail_in(err, "default");
    return true;
}

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

static bool read_line(const struct reader *r, char *line, struct cap_err *err)
{
    char *text = trim(line), *equals = strchr(text, '=');
    size_t row;

    if (*text == '\0' || *text == '#')
        return true;
    if (!equals)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is not NAME = VALUE", text);
    *equals = '\0';
    text = trim(text);
    row = find_row(r->config, text, strlen(text));
    if (row == r->config->row_count)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "unknown setting \"%s\"", text);
    return put(r, row, trim(equals + 1), CAP_CONFIG_FILE, err);
}

static bool read_file(const struct reader *r, const char *path, struct cap_err *err)
{
    CAP_AUTO_MEM char *text = cap_file_read(path, CONFIG_FILE_BYTES_MAX, NULL, err);
    int number = 0;

    if (!text)
        return false;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        number++;
        if (!read_line(r, line, err))
            return cap_fail_in(err, "%s:%d", path, number);
    }
    return true;
}

static const char *variable_name(const struct cap_config *config, const char *setting, char *out,
                                 size_t size)
{
    snprintf(out, size, "MOECAP_%s_%s", config->program, setting);
    for (char *p = out; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return out;
}

static bool read_environment(const struct reader *r, struct cap_err *err)
{
    char name[128];

    for (size_t i = 0; i < r->config->row_count; i++) {
        const char *value =
            getenv(variable_name(r->config, r->config->rows[i].name, name, sizeof name));

        if (value && !put(r, i, value, CAP_CONFIG_ENVIRONMENT, err))
            return cap_fail_in(err, "environment %s", name);
    }
    return true;
}

struct flag {
    size_t row;
    const char *value; /* NULL when it is the next argument */
};

static bool match_flag(const struct cap_config *config, const char *argument, struct flag *out)
{
    const char *equals;
    size_t length;

    if (strncmp(argument, "--", 2) != 0)
        return false;
    equals = strchr(argument, '=');
    length = equals ? (size_t)(equals - argument) : strlen(argument);
    out->row = find_row(config, argument + 2, length - 2);
    out->value = equals ? equals + 1 : NULL;
    return out->row < config->row_count;
}

static bool is_bool_word(const char *text)
{
    return text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0);
}

/* Takes the settings out of the words. */
static bool read_flags(const struct reader *r, struct cap_config_words *words, struct cap_err *err)
{
    int kept = 0;

    for (int i = 0; i < words->count; i++) {
        const char *next = i + 1 < words->count ? words->items[i + 1] : NULL;
        struct flag flag;

        if (!match_flag(r->config, words->items[i], &flag)) {
            words->items[kept++] = words->items[i];
            continue;
        }
        if (!flag.value && r->config->rows[flag.row].type == CAP_CONFIG_bool && !is_bool_word(next))
            flag.value = "true";
        if (!flag.value && !next)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "%s needs a value", words->items[i]);
        if (!flag.value) {
            flag.value = next;
            i++;
        }
        if (!put(r, flag.row, flag.value, CAP_CONFIG_FLAG, err))
            return false;
    }
    words->count = kept;
    return true;
}

/* The --config argument, wherever it stands; NULL when there is none. */
static bool find_file_flag(const struct cap_config_words *words, const char **out_path,
                           struct cap_err *err)
{
    *out_path = NULL;
    for (int i = 0; i < words->count; i++) {
        if (strncmp(words->items[i], "--config=", 9) == 0) {
            *out_path = words->items[i] + 9;
        } else if (strcmp(words->items[i], "--config") == 0) {
            if (i + 1 == words->count)
                return cap_fail(err, CAP_INVALID_ARGUMENT, "--config needs a value");
            *out_path = words->items[++i];
        }
    }
    return true;
}

static void drop_file_flag(struct cap_config_words *words)
{
    int kept = 0;

    for (int i = 0; i < words->count; i++) {
        if (strcmp(words->items[i], "--config") == 0)
            i++;
        else if (strncmp(words->items[i], "--config=", 9) != 0)
            words->items[kept++] = words->items[i];
    }
    words->count = kept;
}

bool cap_config_read(const struct cap_config *config, const struct cap_config_target *target,
                     struct cap_config_words *words, struct cap_err *err)
{
    const struct reader r = {config, target};
    const char *path;

    if (!find_file_flag(words, &path, err) || !read_defaults(&r, err) ||
        (path && !read_file(&r, path, err)) || !read_environment(&r, err) ||
        !read_flags(&r, words, err))
        return false;
    drop_file_flag(words);
    return true;
}

/* ---- what people read ---- */

static void add_flag_name(const struct cap_config_row *row, struct cap_buf *out)
{
    for (const char *p = row->name; *p; p++)
        cap_buf_add_char(out, *p == '_' ? '-' : *p);
}

static void add_range(const struct cap_config_row *row, struct cap_buf *out)
{
    if (row->type == CAP_CONFIG_int || row->type == CAP_CONFIG_double)
        cap_buf_printf(out, "%.15g to %.15g%s%s", row->min, row->max, *row->unit ? " " : "",
                       row->unit);
    else if (row->type == CAP_CONFIG_bool)
        cap_buf_add_str(out, "true or false");
    else
        cap_buf_printf(out, "%s, at most %.0f bytes", *row->unit ? row->unit : "text", row->max);
}

void cap_config_help(const struct cap_config *config, struct cap_buf *out)
{
    for (size_t i = 0; i < config->row_count; i++) {
        const struct cap_config_row *row = &config->rows[i];

        cap_buf_add_str(out, "  --");
        add_flag_name(row, out);
        cap_buf_printf(out, " %s\n      %s\n      ", type_names[row->type], row->help);
        add_range(row, out);
        cap_buf_printf(out, "; default \"%s\"\n", row->fallback);
    }
}

void cap_config_sample(const struct cap_config *config, struct cap_buf *out)
{
    cap_buf_printf(out, "# Settings of moecap-%s, at their defaults. Uncomment what you change.\n",
                   config->program);
    for (size_t i = 0; i < config->row_count; i++) {
        const struct cap_config_row *row = &config->rows[i];

        cap_buf_printf(out, "\n# %s\n# (", row->help);
        add_range(row, out);
        cap_buf_printf(out, ")\n# %s = %s\n", row->name, row->fallback);
    }
}

void cap_config_markdown(const struct cap_config *config, struct cap_buf *out)
{
    char variable[128];

    cap_buf_printf(out,
                   "## moecap-%s\n\n| setting | default | accepted | what it does | environment |\n"
                   "|---|---|---|---|---|\n",
                   config->program);
    for (size_t i = 0; i < config->row_count; i++) {
        const struct cap_config_row *row = &config->rows[i];

        cap_buf_printf(out, "| `%s` | `%s` | ", row->name, row->fallback);
        add_range(row, out);
        cap_buf_printf(out, " | %s | `%s` |\n", row->help,
                       variable_name(config, row->name, variable, sizeof variable));
    }
}

/* ==== passwords, hidden from other eyes ====
 *
 * In what libpq takes: "scheme://user:PASSWORD@host/db?password=PASSWORD" and
 * "host=h password='PASSWORD'". Generous: what merely looks like one is hidden, too.
 */

static const char hidden[] = "***";

static bool is_uri(const char *text)
{
    return strstr(text, "://") != NULL;
}

/* The credentials' password: from the first ':' to the last '@' before the path. */
static const char *copy_credentials(const char *text, struct cap_buf *out)
{
    const char *begin = strstr(text, "://") + 3, *end = begin + strcspn(begin, "/"), *at = end;
    size_t user = strcspn(begin, ":@");

    while (at > begin && *at != '@')
        at--;
    if (*at != '@' || begin[user] != ':') {
        cap_buf_add(out, text, (size_t)(begin - text));
        return begin;
    }
    cap_buf_printf(out, "%.*s:%s", (int)(begin + user - text), text, hidden);
    return at;
}

/* Bytes of a value: a URI's end at '&', a list's at a blank, unless they are in quotes. */
static size_t value_length(const char *value, bool uri)
{
    size_t n = 1;

    if (*value == '\0')
        return 0;
    if (uri)
        return strcspn(value, "&#");
    if (*value != '\'')
        return strcspn(value, " \t\r\n");
    while (value[n] && value[n] != '\'')
        n += value[n] == '\\' && value[n + 1] ? 2 : 1;
    return n + (value[n] == '\'');
}

static void copy_hiding_values(const char *text, bool uri, struct cap_buf *out)
{
    static const char key[] = "password";
    const char *value;

    while ((value = strstr(text, key)) != NULL) {
        value += strlen(key);
        value += strspn(value, " \t");
        if (*value == '=') {
            value += 1 + strspn(value + 1, " \t");
            cap_buf_add(out, text, (size_t)(value - text));
            cap_buf_add_str(out, hidden);
            value += value_length(value, uri);
        } else {
            cap_buf_add(out, text, (size_t)(value - text));
        }
        text = value;
    }
    cap_buf_add_str(out, text);
}

void cap_config_shown(const struct cap_config_row *row, const void *values, struct cap_buf *out)
{
    const char *text;

    if (row->type != CAP_CONFIG_str || strcmp(row->unit, "URI") != 0) {
        cap_config_value(row, values, out);
        return;
    }
    text = *(const char *const *)((const char *)values + row->offset);
    copy_hiding_values(is_uri(text) ? copy_credentials(text, out) : text, is_uri(text), out);
}
