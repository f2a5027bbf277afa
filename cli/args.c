/* Options from argv by their rows: a row says where its value goes and of what kind it is, so a
 * command that gets an option needs no code for it. Words and options may be mixed. */
#include "args.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"

static const struct cli_option *find(const struct cli_table *tables, size_t table_count,
                                     const char *name, size_t length, void **out_values)
{
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct cli_option *o = &tables[t].options[i];

            if ((strlen(o->name) == length && memcmp(o->name, name, length) == 0) ||
                (o->alias && strlen(o->alias) == length && memcmp(o->alias, name, length) == 0)) {
                *out_values = tables[t].values;
                return o;
            }
        }
    }
    return NULL;
}

static bool set_int(const struct cli_option *o, const char *text, void *slot, struct cap_err *err)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s: \"%s\" is not a whole number", o->name,
                        text);
    *(int64_t *)slot = value;
    return true;
}

static bool set_real(const struct cli_option *o, const char *text, void *slot, struct cap_err *err)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s: \"%s\" is not a number", o->name, text);
    *(double *)slot = value;
    return true;
}

static bool add_item(const struct cli_option *o, const char *text, void *slot, struct cap_err *err)
{
    struct cli_list *list = slot;

    if (list->count == CLI_LIST_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s may be given %d times at most", o->name,
                        CLI_LIST_MAX);
    list->items[list->count++] = text;
    return true;
}

static bool set(const struct cli_option *o, const char *text, void *values, struct cap_err *err)
{
    void *slot = (char *)values + o->offset;

    if (o->given)
        *(bool *)((char *)values + o->given) = true;
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)slot = true;
        return true;
    case CLI_TEXT:
        *(const char **)slot = text;
        return true;
    case CLI_INT:
        return set_int(o, text, slot, err);
    case CLI_REAL:
        return set_real(o, text, slot, err);
    case CLI_LIST:
        return add_item(o, text, slot, err);
    }
    return false;
}

static bool refuse_unknown(const struct cli_table *tables, size_t table_count, const char *name,
                           size_t length, struct cap_err *err)
{
    char word[CLI_OPTION_BYTES];
    struct cap_near near = {.word = word};

    snprintf(word, sizeof word, "%.*s", (int)length, name);
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            cap_near_try(&near, tables[t].options[i].name);
    return cap_fail(err, CAP_INVALID_ARGUMENT, "unknown option --%s%s%s%s", word,
                    near.best ? "; did you mean --" : "", near.best ? near.best : "",
                    near.best ? "?" : "");
}

/* An option at argv[*io_index], with its value. */
static bool take(const struct cli_table *tables, size_t table_count, int argc, char **argv,
                 int *io_index, struct cap_err *err)
{
    const char *argument = argv[*io_index] + 2, *equals = strchr(argument, '='), *value = NULL;
    size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
    void *values = NULL;
    const struct cli_option *o = find(tables, table_count, argument, length, &values);

    if (!o)
        return refuse_unknown(tables, table_count, argument, length, err);
    if (o->kind == CLI_FLAG && equals)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s takes no value", o->name);
    if (equals)
        value = equals + 1;
    else if (o->kind != CLI_FLAG && *io_index + 1 == argc)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s needs a value: %s", o->name, o->value);
    else if (o->kind != CLI_FLAG)
        value = argv[++*io_index];
    return set(o, value, values, err);
}

bool cli_parse(const struct cli_table *tables, size_t table_count, int argc, char **argv,
               struct cli_words *out_words, struct cap_err *err)
{
    bool options = true;

    out_words->count = 0;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strcmp(argv[i], "-h") == 0) {
            if (!take(tables, table_count, 1, (char *[]){"--help"}, &(int){0}, err))
                return false;
        } else if (options && argv[i][0] == '-' && isalpha((unsigned char)argv[i][1])) {
            return cap_fail(err, CAP_INVALID_ARGUMENT, "unknown option %s", argv[i]);
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (!take(tables, table_count, argc, argv, &i, err))
                return false;
        } else if (out_words->count == CLI_WORDS_MAX) {
            return cap_fail(err, CAP_INVALID_ARGUMENT, "more than %d arguments", CLI_WORDS_MAX);
        } else {
            out_words->items[out_words->count++] = argv[i];
        }
    }
    return true;
}
