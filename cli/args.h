/* args.h — options of a command as a table, from which come the parser, --help, man page and
 * completion.
 *
 * One thread; values are borrowed from argv.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_INT, CLI_REAL, CLI_LIST };

enum { CLI_LIST_MAX = 64, CLI_WORDS_MAX = 256, CLI_OPTION_BYTES = 64 };

struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t count;
};

struct cli_option {
    const char *name;  /* "batch-size": written --batch-size */
    const char *alias; /* another spelling, or NULL */
    enum cli_kind kind;
    const char *value; /* name of the value in help: "N" */
    const char *help;
    size_t offset; /* bool, const char *, int64_t, double or struct cli_list; */
    size_t given;  /* offset of a bool that tells whether it was given; 0 = none */
};

struct cli_words {
    const char *items[CLI_WORDS_MAX];
    int count;
};

/* Fills `values`; other words go to out_words; "--" ends the options; -h is --help. Several
 * tables may be tried in turn. */
struct cli_table {
    const struct cli_option *options;
    size_t count;
    void *values;
};
bool cli_parse(const struct cli_table *tables, size_t table_count, int argc, char **argv,
               struct cli_words *out_words, struct cap_err *err);

#endif
