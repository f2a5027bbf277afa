/* Usage, help, Markdown, man page and completion: all from the rows in commands.c. */
#include <stdio.h>
#include <string.h>

#include "command.h"

static void print_option(const struct cli_option *o)
{
    char left[64];

    snprintf(left, sizeof left, "--%s%s%s%s%s", o->name, o->alias ? ", --" : "",
             o->alias ? o->alias : "", o->value ? " " : "", o->value ? o->value : "");
    printf("  %-30s %s\n", left, o->help);
}

void cli_print_usage(void)
{
    printf("moecap %s: cost, accuracy and performance of mixture-of-experts models, on one run\n\n"
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

void cli_print_help(const struct cli_command *c)
{
    printf("moecap %s: %s\n\nusage: moecap %s%s%s%s\n\n%s", c->name, c->summary, c->name,
           c->option_count ? " [options]" : "", *c->words ? " " : "", c->words, c->text);
    if (c->option_count)
        printf("\noptions:\n");
    for (size_t i = 0; i < c->option_count; i++)
        print_option(&c->options[i]);
    printf("\nMore in docs/cli.md; exit statuses too.\n");
}

static const char *const exit_texts[][2] = {
    {"0", "it worked"},
    {"1",
     "it worked, and the answer is no: a run failed or was cancelled, a check found something"},
    {"2", "the command line is wrong"},
    {"3", "the input is refused: an unknown name, a bad value, a thing that does not exist"},
    {"4", "no suite is running, or a part of it does not answer"},
    {"5", "an error of our own; the log has more"},
    {"130", "interrupted"},
};

void cli_print_markdown(void)
{
    printf("# The command line\n\n"
           "Made from the table of commands by `tools/generate-docs.sh`; do not edit.\n\n"
           "`moecap` finds the suite by `--server`, then `MOECAP_SERVER`, then the file that "
           "`moecap up` "
           "writes into its state folder.\nEvery command takes `--json`.\n\n"
           "## Exit statuses\n\n| status | meaning |\n|---|---|\n");
    for (size_t i = 0; i < sizeof exit_texts / sizeof *exit_texts; i++)
        printf("| %s | %s |\n", exit_texts[i][0], exit_texts[i][1]);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];

        printf("\n## moecap %s\n\n%s.\n\n```\nmoecap %s%s%s%s\n```\n\n```text\n%s```\n", c->name,
               c->summary, c->name, c->option_count ? " [options]" : "", *c->words ? " " : "",
               c->words, c->text);
        if (c->option_count)
            printf("\n| option | what it does |\n|---|---|\n");
        for (size_t k = 0; k < c->option_count; k++)
            printf("| `--%s%s%s` | %s |\n", c->options[k].name, c->options[k].value ? " " : "",
                   c->options[k].value ? c->options[k].value : "", c->options[k].help);
    }
}

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

void cli_print_man(void)
{
    printf(
        ".TH MOECAP 1 \"\" \"moecap %s\" \"User Commands\"\n.SH NAME\nmoecap \\- evaluate sparse "
        "mixture\\-of\\-experts models\n.SH SYNOPSIS\n.B moecap\n[options] COMMAND ...\n"
        ".SH COMMANDS\n",
        MOECAP_VERSION);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];

        printf(".SS \"moecap %s %s\"\n", c->name, c->words);
        print_roff(c->summary);
        printf("\n.PP\n.nf\n");
        print_roff(c->text);
        printf(".fi\n");
        for (size_t k = 0; k < c->option_count; k++) {
            printf(".TP\n.B ");
            print_roff("--");
            print_roff(c->options[k].name);
            printf("\n");
            print_roff(c->options[k].help);
            printf("\n");
        }
    }
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof exit_texts / sizeof *exit_texts; i++)
        printf(".TP\n.B %s\n%s\n", exit_texts[i][0], exit_texts[i][1]);
}

void cli_print_completion(void)
{
    printf(
        "# bash completion of moecap; made from its table of commands\n"
        "_moecap() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} first=${COMP_WORDS[1]} second=${COMP_WORDS[2]}\n"
        "    local globals=\"");
    for (size_t i = 0; i < cli_global_option_count; i++)
        printf("--%s ", cli_global_options[i].name);
    printf("\"\n    case \"$first $second\" in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];
        bool two = strchr(c->name, ' ') != NULL;

        printf("    \"%s\"%s) COMPREPLY=($(compgen -f -W \"$globals ", c->name, two ? "" : "*");
        for (size_t k = 0; k < c->option_count; k++)
            printf("--%s ", c->options[k].name);
        printf("\" -- \"$word\")) ;;\n");
    }
    printf("    *) COMPREPLY=($(compgen -W \"$globals ");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("%s ", cli_commands[i]->name);
    printf("\" -- \"$word\")) ;;\n    esac\n}\ncomplete -F _moecap moecap\n");
}
