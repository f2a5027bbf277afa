/* Usage, help, Markdown, man page and completion: all from the rows in commands.c. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "command.h"
#include "words/words.h"

enum { WIDTH = 80, OPTION_COLUMN = 26 };

/* ---- text of at most WIDTH characters a line ---- */

/* A paragraph from column `at` on; its other lines begin at `indent`. */
static void print_paragraph(const char *text, size_t length, size_t at, size_t indent)
{
    while (length > 0) {
        size_t word = strcspn(text, " \n"), skipped;

        word = word < length ? word : length;
        if (at > indent && at + 1 + word > WIDTH) {
            printf("\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)word, text);
        at += word;
        skipped = word + strspn(text + word, " \n");
        skipped = skipped < length ? skipped : length;
        text += skipped;
        length -= skipped;
    }
    putchar('\n');
}

/* Lines that begin with a blank are examples and stay; others are paragraphs. */
static void print_text(const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");

        if (length == 0 || *text == ' ') {
            printf("%.*s\n", (int)length, text);
            text += length + (text[length] == '\n');
            continue;
        }
        length = 0;
        while (text[length] && text[length] != ' ' && text[length] != '\n')
            length += strcspn(text + length, "\n") + 1;
        print_paragraph(text, length - 1, 0, 0);
        text += length;
    }
}

static void print_option(const struct cli_option *o)
{
    char left[80];
    int width = snprintf(left, sizeof left, "  --%s%s%s%s%s", o->name, o->alias ? ", --" : "",
                         o->alias ? o->alias : "", o->value ? " " : "", o->value ? o->value : "");

    printf("%-*s", OPTION_COLUMN, left);
    if (width >= OPTION_COLUMN)
        printf("\n%*s", OPTION_COLUMN, "");
    print_paragraph(o->help, strlen(o->help), OPTION_COLUMN, OPTION_COLUMN);
}

void cli_print_usage(void)
{
    printf("moecap %s: cost, accuracy and performance of mixture-of-experts models\n\n"
           "usage: moecap [options] COMMAND ...\n\ncommands:\n",
           MOECAP_VERSION);
    for (size_t i = 0; i < cli_command_count; i++)
        printf("  %-14s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    printf("\noptions of every command:\n");
    for (size_t i = 0; i < cli_global_option_count; i++)
        print_option(&cli_global_options[i]);
    printf("\nmoecap COMMAND --help shows a command with examples. A first session:\n\n"
           "  moecap up --detach\n"
           "  moecap submit --model moecap-tiny --task gsm-mini --batch-size 4 --watch\n"
           "  moecap board\n"
           "  moecap down\n");
}

/* Whether an option above it is of the same group. */
static bool has_heading(const struct cli_command *c, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (c->group_of(c->options[i].name) == c->group_of(c->options[at].name))
            return true;
    return false;
}

/* A command with many options has them in groups, in the order of their first ones. */
static void print_options(const struct cli_command *c)
{
    if (!c->group_of && c->option_count)
        printf("\noptions:\n");
    for (size_t i = 0; i < c->option_count; i++) {
        if (!c->group_of) {
            print_option(&c->options[i]);
            continue;
        }
        if (has_heading(c, i))
            continue;
        printf("\n%s:\n", c->group_of(c->options[i].name));
        for (size_t k = i; k < c->option_count; k++)
            if (c->group_of(c->options[k].name) == c->group_of(c->options[i].name))
                print_option(&c->options[k]);
    }
}

void cli_print_help(const struct cli_command *c)
{
    printf("moecap %s: %s\n\nusage: moecap %s%s%s%s\n\n", c->name, c->summary, c->name,
           c->option_count ? " [options]" : "", *c->words ? " " : "", c->words);
    print_text(c->text);
    print_options(c);
    printf("\nMore in docs/cli.md; exit statuses too.\n");
}

bool cli_print_group(const char *word)
{
    size_t length = strlen(word), found = 0;

    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i]->name;

        if (strncmp(name, word, length) != 0 || name[length] != ' ')
            continue;
        if (found++ == 0)
            printf("usage: moecap %s COMMAND ...\n\ncommands:\n", word);
        printf("  %-14s %s\n", name, cli_commands[i]->summary);
    }
    if (found > 0)
        printf("\nRun a command with --help for its options and examples.\n");
    return found > 0;
}

/* ---- the same for programs ---- */

static json_t *options_json(const struct cli_option *options, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s,s:s*,s:s*,s:s}", "name", options[i].name,
                                              "alias", options[i].alias, "value", options[i].value,
                                              "help", options[i].help));
    return list;
}

json_t *cli_help_json(const char *name)
{
    json_t *list = json_array();

    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];
        size_t length = strlen(name);

        if (strncmp(c->name, name, length) == 0 &&
            (!length || !c->name[length] || c->name[length] == ' '))
            json_array_append_new(list,
                                  json_pack("{s:s,s:s,s:s,s:s,s:o}", "name", c->name, "words",
                                            c->words, "summary", c->summary, "text", c->text,
                                            "options", options_json(c->options, c->option_count)));
    }
    return json_pack("{s:o,s:o}", "commands", list, "options",
                     options_json(cli_global_options, cli_global_option_count));
}

/* ---- documents ---- */

static const char *const exit_texts[][2] = {
    {"0", "it worked"},
    {"1",
     "it worked, and the answer is no: a run failed or was cancelled, a check found something"},
    {"2", "the command line is wrong"},
    {"3", "the input is refused: an unknown name, a bad value, a thing that does not exist"},
    {"4", "no suite is running, or a part of it does not answer"},
    {"5", "an error inside moecap; the log has more"},
    {"130", "interrupted"},
};

static const char *const variable_texts[][2] = {
    {"MOECAP_SERVER", "address of the scheduler, when --server is not given"},
    {"MOECAP_STATE", "state folder of the local suite, when --state is not given"},
    {"XDG_STATE_HOME", "where it is otherwise: in moecap/ there, else ~/.local/state/moecap, for "
                       "root /var/lib/moecap"},
    {"MOECAP_UP_POSTGRES",
     "URI for up, when --postgres is not given; arguments can be read by all"},
    {"MOECAP_LOG", "what programs log, e.g. info,dispatcher:debug"},
};

static const char *const file_texts[][2] = {
    {"runtime.json", "what runs: addresses, process ids and their start times"},
    {"logs/NAME.log", "what each program says; NAME.log.1 is an older one of more than 64 MiB"},
    {"postgres/", "the private PostgreSQL: all results are in it"},
    {"ready/, lock, node-N/", "used while the suite runs; a node's folder may be deleted"},
};

static void print_two_columns(const char *title, const char *left, const char *const (*rows)[2],
                              size_t count, bool code)
{
    printf("\n## %s\n\n| %s | meaning |\n|---|---|\n", title, left);
    for (size_t i = 0; i < count; i++)
        printf("| %s%s%s | %s |\n", code ? "`" : "", rows[i][0], code ? "`" : "", rows[i][1]);
}

static void print_option_rows(const struct cli_option *options, size_t count)
{
    if (count > 0)
        printf("\n| option | what it does |\n|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *o = &options[i];

        printf("| `--%s%s", o->name, o->value ? " " : "");
        for (const char *p = o->value ? o->value : ""; *p; p++)
            printf("%s%c", *p == '|' ? "\\" : "", *p);
        if (o->alias)
            printf("`, `--%s", o->alias);
        printf("` | %s |\n", o->help);
    }
}

static void print_command_section(const struct cli_command *c)
{
    printf("\n## moecap %s\n\n%s.\n\n```\nmoecap %s%s%s%s\n```\n\n```text\n", c->name, c->summary,
           c->name, c->option_count ? " [options]" : "", *c->words ? " " : "", c->words);
    print_text(c->text);
    printf("```\n");
    print_option_rows(c->options, c->option_count);
}

void cli_print_markdown(void)
{
    printf("# The command line\n\n"
           "Made from the table of commands by `tools/generate-docs.sh`; do not edit.\n\n"
           "`moecap` finds the suite by `--server`, then `MOECAP_SERVER`, then the file that "
           "`moecap up` writes into its state folder.\n\n## Options of every command\n");
    print_option_rows(cli_global_options, cli_global_option_count);
    print_two_columns("Exit statuses", "status", exit_texts, CAP_COUNT_OF(exit_texts), false);
    printf("\nA failure is one sentence on stderr, then a line `hint: ...` with what to do next; "
           "with `--json` one object\n`{\"error\": {\"code\", \"message\", \"hint\"}}`. The codes "
           "are gRPC's, in lower case.\n`model`, `engine`, `tokenize` and `grade`, which need no "
           "suite, have the same statuses and give no hint.\n");
    print_two_columns("Environment", "variable", variable_texts, CAP_COUNT_OF(variable_texts),
                      true);
    print_two_columns("Files in the state folder", "file", file_texts, CAP_COUNT_OF(file_texts),
                      true);
    for (size_t i = 0; i < cli_command_count; i++)
        print_command_section(cli_commands[i]);
}

/* ---- the man page ---- */

/* roff takes a line that begins with '.' or an apostrophe for a request, and '-' for a hyphen. */
static void print_roff(const char *text)
{
    bool line_start = true;

    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\\\", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        line_start = *text == '\n';
    }
}

/* Paragraphs are filled by roff, examples stay as they are. */
static void print_man_text(const char *text)
{
    bool example = false;

    printf("\n.PP\n");
    while (*text) {
        size_t length = strcspn(text, "\n");
        char line[512];

        if ((*text == ' ') != example) {
            example = *text == ' ';
            printf(example ? ".nf\n" : ".fi\n.PP\n");
        }
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        if (length > 0)
            print_roff(line);
        printf(length > 0 ? "\n" : example ? "\n" : "");
        text += length + (text[length] == '\n');
    }
    if (example)
        printf(".fi\n");
}

static void print_tagged(const char *tag, const char *value, const char *text)
{
    printf(".TP\n.B ");
    print_roff(tag);
    if (value) {
        printf(" \\fI");
        print_roff(value);
        printf("\\fR");
    }
    printf("\n");
    print_roff(text);
    printf("\n");
}

static void print_man_options(const struct cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char tag[80];

        snprintf(tag, sizeof tag, "--%s", options[i].name);
        print_tagged(tag, options[i].value, options[i].help);
    }
}

static void print_man_rows(const char *title, const char *const (*rows)[2], size_t count)
{
    printf(".SH %s\n", title);
    for (size_t i = 0; i < count; i++)
        print_tagged(rows[i][0], NULL, rows[i][1]);
}

void cli_print_man(void)
{
    printf(".TH MOECAP 1 \"\" \"moecap %s\" \"User Commands\"\n.SH NAME\nmoecap \\- evaluate "
           "sparse mixture\\-of\\-experts models\n.SH SYNOPSIS\n.B moecap\n[options] COMMAND ...\n"
           ".SH DESCRIPTION\nMeasures accuracy, performance and cost of a model on one run: "
           "evaluations are queued, run by nodes, graded, stored, and shown on a board. "
           "\\fBmoecap up\\fR starts a suite on this machine; every other command talks to one.\n"
           ".SH OPTIONS\n",
           MOECAP_VERSION);
    print_man_options(cli_global_options, cli_global_option_count);
    printf(".SH COMMANDS\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];

        printf(".SS \"moecap %s %s\"\n", c->name, c->words);
        print_roff(c->summary);
        print_man_text(c->text);
        print_man_options(c->options, c->option_count);
    }
    print_man_rows("EXIT STATUS", exit_texts, CAP_COUNT_OF(exit_texts));
    print_man_rows("ENVIRONMENT", variable_texts, CAP_COUNT_OF(variable_texts));
    print_man_rows("FILES", file_texts, CAP_COUNT_OF(file_texts));
}

/* ---- completion for bash ---- */

/* Their value is a path. */
static bool takes_path(const struct cli_option *o)
{
    return o->value && (strstr(o->value, "DIR") || strstr(o->value, "FILE"));
}

static bool takes_other(const struct cli_option *o)
{
    return o->value && !takes_path(o) && !strchr(o->value, '|');
}

static void print_names(const struct cli_option *options, size_t count,
                        bool (*which)(const struct cli_option *))
{
    for (size_t i = 0; i < count; i++)
        if (which(&options[i]))
            printf(" | --%s", options[i].name);
}

/* One case for all options of a kind; the first pattern is there for the bars between. */
static void print_value_case(bool (*which)(const struct cli_option *), const char *reply)
{
    printf("    --=");
    print_names(cli_global_options, cli_global_option_count, which);
    for (size_t i = 0; i < cli_command_count; i++)
        print_names(cli_commands[i]->options, cli_commands[i]->option_count, which);
    printf(") COMPREPLY=(%s); return ;;\n", reply);
}

/* Options whose values come from a table, or from the suite. */
static void print_known_values(void)
{
    const struct {
        const char *option;
        struct cap_words words;
    } rows[] = {{"engine", cap_engine_words()}, {"precision", cap_precision_words()}};

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        printf("    --%s) COMPREPLY=($(compgen -W \"", rows[i].option);
        for (size_t k = 0; k < rows[i].words.count; k++)
            printf("%s%s", k ? " " : "", rows[i].words.items[k]);
        printf("\" -- \"$word\")); return ;;\n");
    }
    printf("    --task) COMPREPLY=($(compgen -W \"$(_moecap_tasks)\" -- \"$word\")); return ;;\n"
           "    --model) COMPREPLY=($(compgen -f -W \"$(_moecap_models)\" -- \"$word\"));"
           " return ;;\n");
}

/* "default|auto": one of these. */
static void print_choice_cases(const struct cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *o = &options[i];

        if (!o->value || takes_path(o) || !strchr(o->value, '|'))
            continue;
        printf("    --%s) COMPREPLY=($(compgen -W \"", o->name);
        for (const char *p = o->value; *p; p++)
            putchar(*p == '|' ? ' ' : *p);
        printf("\" -- \"$word\")); return ;;\n");
    }
}

/* "task" alone: its verbs. The first row of each group prints for all of it. */
static void print_group_case(size_t index)
{
    const char *name = cli_commands[index]->name;
    size_t length = strcspn(name, " ");

    for (size_t i = 0; i < index; i++)
        if (strncmp(cli_commands[i]->name, name, length + 1) == 0)
            return;
    printf("    \"%.*s \"*) words=\"", (int)length, name);
    for (size_t i = index; i < cli_command_count; i++)
        if (strncmp(cli_commands[i]->name, name, length + 1) == 0)
            printf("%s ", cli_commands[i]->name + length + 1);
    printf("\" ;;\n");
}

/* "inspect|forward|serve DIR ...": the length of the verbs; 0 when it begins with something else.
 */
static size_t verbs_length(const struct cli_command *c)
{
    size_t length = strcspn(c->words, " ");

    return c->raw && strspn(c->words, "abcdefghijklmnopqrstuvwxyz|") >= length ? length : 0;
}

/* What may follow the command's name, besides its options. */
static void print_operands(const struct cli_command *c)
{
    if (strcmp(c->name, "help") == 0)
        for (size_t i = 0; i < cli_command_count; i++)
            printf(" %s", cli_commands[i]->name);
    else if (strstr(c->words, "RUN"))
        printf(" $(_moecap_runs 1)");
    else if (strstr(c->words, "ID"))
        printf(" $(_moecap_runs 1,2)");
    else if (strcmp(c->words, "TASK") == 0)
        printf(" $(_moecap_tasks)");
    else if (strstr(c->words, "PROGRAM"))
        printf(" scheduler store evaluator node-1");
}

static void print_command_case(const struct cli_command *c)
{
    size_t verbs = verbs_length(c);

    if (verbs > 0) {
        printf("    \"%s \") words=\"--help ", c->name);
        for (size_t i = 0; i < verbs; i++)
            putchar(c->words[i] == '|' ? ' ' : c->words[i]);
        printf("\" ;;\n");
    }
    printf("    \"%s\"%s) words=\"%s", c->name, strchr(c->name, ' ') ? "" : "\\ *",
           c->raw ? "--help --json" : "$globals");
    for (size_t k = 0; k < c->option_count; k++)
        printf(" --%s", c->options[k].name);
    print_operands(c);
    printf("\"%s ;;\n", strstr(c->words, "DIR") || strstr(c->words, "FILE") ? "; files=-f" : "");
}

static void print_first_words(void)
{
    printf("    *) words=\"$globals --version");
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i]->name;
        size_t length = strcspn(name, " ");

        if (i == 0 || strncmp(cli_commands[i - 1]->name, name, length) != 0 ||
            strcspn(cli_commands[i - 1]->name, " ") != length)
            printf(" %.*s", (int)length, name);
    }
    printf("\" ;;\n");
}

/* The command is the first word that is not an option, and the next one. */
void cli_print_completion(void)
{
    printf("# bash completion of moecap; made from its table of commands\n"
           "_moecap_tasks() { moecap task list 2>/dev/null | awk 'NR > 1 { print $1 }'; }\n"
           "_moecap_models() {\n"
           "    moecap node list 2>/dev/null |\n"
           "        awk -F '  +' 'NR > 1 && NF > 4 { print $4 }' | tr , '\\n'\n"
           "}\n"
           "_moecap_runs() {\n"
           "    moecap board --all --limit 100 --csv 2>/dev/null | cut -d, -f\"$1\" |\n"
           "        tr , '\\n' | grep -E '^(run|eval)-' | sort -u\n"
           "}\n"
           "_moecap() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local globals=\"");
    for (size_t i = 0; i < cli_global_option_count; i++)
        printf("%s--%s", i ? " " : "", cli_global_options[i].name);
    printf("\" words= files= i names=()\n    case $previous in\n");
    print_known_values(); /* first: a model is a name or a path */
    print_value_case(takes_path, "$(compgen -f -- \"$word\")");
    print_value_case(takes_other, "");
    for (size_t i = 0; i < cli_command_count; i++)
        print_choice_cases(cli_commands[i]->options, cli_commands[i]->option_count);
    printf("    esac\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n"
           "        --server | --state) i=$((i + 1)) ;;\n"
           "        -*) ;;\n"
           "        *) names+=(\"${COMP_WORDS[i]}\") ;;\n"
           "        esac\n"
           "    done\n"
           "    case \"${names[0]} ${names[1]}\" in\n");
    for (size_t i = 0; i < cli_command_count; i++)
        print_command_case(cli_commands[i]);
    for (size_t i = 0; i < cli_command_count; i++)
        if (strchr(cli_commands[i]->name, ' '))
            print_group_case(i);
    print_first_words();
    printf("    esac\n"
           "    COMPREPLY=($(compgen $files -W \"$words\" -- \"$word\"))\n"
           "}\n"
           "complete -o filenames -F _moecap moecap\n");
}
