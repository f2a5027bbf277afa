/* command.h — a command of `moecap`: a row in commands.c, with its options as rows, from which come
 * the parser, --help, man page and completion.
 *
 * run() gets the words that follow the command's name, after its options were parsed into
 * `values`. It returns an exit status; on failure it fills err, which main prints with a hint.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/exit.h"

/* ---- options and words; one thread, values are borrowed from argv ---- */

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

/* ---- commands ---- */

/* docs/cli.md explains them; scripts rely on them. */
enum cli_exit {
    CLI_OK = CAP_EXIT_OK,
    CLI_NEGATIVE = CAP_EXIT_FAILED, /* a run failed, a check found something */
    CLI_USAGE = CAP_EXIT_USAGE,
    CLI_REFUSED = CAP_EXIT_REFUSED,
    CLI_UNREACHABLE = CAP_EXIT_UNREACHABLE,
    CLI_INTERNAL = CAP_EXIT_INTERNAL,
    CLI_INTERRUPTED = CAP_EXIT_INTERRUPTED,
};

/* Options that every command has. */
struct cli_globals {
    const char *server, *state;
    bool json, help;
};

struct cli_context {
    struct cli_globals globals;
    const char *program_dir; /* where the other programs are, or "" */
};

struct cli_command {
    const char *name;        /* "run show" */
    const char *words;       /* "RUN", for usage; "" = none */
    const char *summary;     /* one line */
    const char *text;        /* paragraphs and examples */
    const char *hint;        /* what to do when the input was refused; may be NULL */
    const char *hint_values; /* instead, when a value and not a name was; NULL: `hint` */
    const struct cli_option *options;
    size_t option_count;
    void *values;
    const char *(*group_of)(const char *option); /* a heading of its help; NULL: it has no groups */
    int words_min, words_max;
    int (*run)(struct cli_context *context, const struct cli_words *words, struct cap_err *err);
    bool raw; /* arguments go to another program as they are */
    int (*run_raw)(struct cli_context *context, int argc, char **argv, struct cap_err *err);
};

extern const struct cli_command *const cli_commands[];
extern const size_t cli_command_count;
extern const struct cli_option cli_global_options[];
extern const size_t cli_global_option_count;

#define CLI_OPTION(owner, field, name, alias, kind, value, help)                                   \
    {                                                                                              \
        name, alias, kind, value, help, offsetof(owner, field), 0                                  \
    }
#define CLI_OPTION_GIVEN(owner, field, given_field, name, kind, value, help)                       \
    {                                                                                              \
        name, NULL, kind, value, help, offsetof(owner, field), offsetof(owner, given_field)        \
    }

/* dispatch.c */
int cli_dispatch(struct cli_context *context, int argc, char **argv); /* without argv[0] */
/* NULL when there is none; where it begins and how many words its name has. */
const struct cli_command *cli_find_command(int argc, char **argv, int *out_first, int *out_used);
int cli_exit_of(enum cap_code code);
/* What to do next; `command` and the answer may be NULL. */
const char *cli_hint_of(const struct cli_command *command, int status, enum cap_code code);

/* help.c: from the same rows */
void cli_print_usage(void);
void cli_print_help(const struct cli_command *command);
bool cli_print_group(const char *word); /* "task": its commands; false when there are none */
/* Every command whose name begins with these words, "" = all. The caller's reference. */
json_t *cli_help_json(const char *name);
void cli_print_markdown(void);
void cli_print_man(void);
void cli_print_completion(void);

#endif
