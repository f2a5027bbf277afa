/* engine check URL: what a server can do, before anyone submits an evaluation of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "external/check.h"
#include "external/kind.h"
#include "external/reply.h"
#include "offline/offline.h"

enum { REFUSED_MS = 2000, LOADING_MS = 600000 };

static const char help[] =
    "usage: moecap engine check URL [--kind KIND] [--model NAME] [--api-key-env VAR] [--json]\n"
    "\n"
    "Asks a server what it can do, with the client that evaluates it: its kind and version, "
    "models,\n"
    "streams, usage, exact lengths, log-likelihoods, seeds, metrics, routing. Sends about ten "
    "short\n"
    "requests; a server that is loading is waited for.\n"
    "\n"
    "  --kind KIND         take it for this kind instead of guessing: openai, vllm, sglang, ...\n"
    "  --model NAME        the model to try (the first that it lists)\n"
    "  --api-key-env VAR   the variable that holds its key\n"
    "  --json              one JSON object instead of text\n"
    "\n"
    "Exit status 0: it can be evaluated; 1: it cannot, and the problems say why; 3: it is no such\n"
    "server; 4: nobody answers at the URL.\n"
    "\n"
    "  moecap engine check http://127.0.0.1:8000\n";

struct arguments {
    struct infer_engine_options options;
    bool json;
};

/* The option's value; NULL when it is another option, or the last word. */
static const char *value_of(const char *name, int argc, char **argv, int *at)
{
    if (strcmp(argv[*at], name) != 0 || *at + 1 >= argc || !argv[*at + 1])
        return NULL;
    return argv[++*at];
}

static bool read_key(const char *name, struct arguments *out)
{
    out->options.api_key = getenv(name);
    if (!out->options.api_key)
        fprintf(stderr, "moecap engine check: there is no variable \"%s\"\n", name);
    return out->options.api_key != NULL;
}

/* False when the arguments are wrong. */
static bool read_arguments(int argc, char **argv, struct arguments *out)
{
    *out =
        (struct arguments){.options = {.refused_ms_max = REFUSED_MS, .loading_ms_max = LOADING_MS}};
    for (int i = 1; i < argc && argv[i]; i++) {
        const char *value;

        if (strcmp(argv[i], "--json") == 0)
            out->json = true;
        else if ((value = value_of("--kind", argc, argv, &i)))
            out->options.kind = value;
        else if ((value = value_of("--model", argc, argv, &i)))
            out->options.model = value;
        else if ((value = value_of("--api-key-env", argc, argv, &i))) {
            if (!read_key(value, out))
                return false;
        } else if (argv[i][0] != '-' && !out->options.url)
            out->options.url = argv[i];
        else
            return false;
    }
    return out->options.url != NULL;
}

static int print_found(const json_t *found, bool as_json)
{
    if (as_json) {
        json_dumpf(found, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        infer_check_print(found, stdout);
    }
    return json_array_size(json_object_get(found, "problems")) > 0 ? CAP_EXIT_FAILED : CAP_EXIT_OK;
}

int infer_cmd_engine_check(int argc, char **argv)
{
    struct arguments arguments;
    struct cap_err err = {0};
    char words[CAP_ERR_TEXT_BYTES_MAX];
    json_t *found;
    int status;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return CAP_EXIT_OK;
    }
    if (!read_arguments(argc, argv, &arguments)) {
        fputs(help, stderr);
        return CAP_EXIT_USAGE;
    }
    if (arguments.options.kind && !infer_kind_find(arguments.options.kind)) {
        fprintf(stderr, "moecap engine check: there is no kind \"%s\"; there are",
                arguments.options.kind);
#define KIND(id, name) fprintf(stderr, " %s", name);
#include "external/kinds.def"
#undef KIND
        fputc('\n', stderr);
        return CAP_EXIT_REFUSED;
    }
    found = infer_check(&arguments.options, &err);
    if (!found) {
        infer_reply_words(words, sizeof words, err.text); /* it may quote the server */
        fprintf(stderr, "moecap engine check: %s\n", words);
        return cap_exit_of(err.code);
    }
    status = print_found(found, arguments.json);
    json_decref(found);
    return status;
}
