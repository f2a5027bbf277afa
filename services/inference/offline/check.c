/* engine check URL: what a server can do, before somebody submits an evaluation of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/exit.h"
#include "external/check.h"
#include "external/kind.h"
#include "external/reply.h"
#include "http/client.h"
#include "offline/offline.h"

enum { REFUSED_MS = 2000, LOADING_MS = 600000 };

static const char verb[] = "engine check";

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
    "Exit status 0: it can be evaluated; 1: it cannot, and the problems say why; 3: it is another\n"
    "kind of server; 4: no server answers at the URL.\n"
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

/* False when the arguments are wrong; err has words for what help does not say. */
static bool read_arguments(int argc, char **argv, struct arguments *out, struct cap_err *err)
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
            out->options.api_key = getenv(value);
            if (!out->options.api_key)
                return cap_fail(err, CAP_INVALID_ARGUMENT, "there is no variable \"%s\"", value);
        } else if (argv[i][0] != '-' && !out->options.url)
            out->options.url = argv[i];
        else
            return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is not accepted here", argv[i]);
    }
    return out->options.url || cap_fail(err, CAP_INVALID_ARGUMENT, "a URL is needed");
}

static bool check_kind(const char *kind, struct cap_err *err)
{
    CAP_AUTO_BUF(names, 512);

    if (!kind || infer_kind_find(kind))
        return true;
#define KIND(id, name) cap_buf_printf(&names, " %s", name);
#include "external/kinds.def"
#undef KIND
    return cap_fail(err, CAP_NOT_FOUND, "there is no kind \"%s\"; there are%s", kind, names.data);
}

static int print_found(const json_t *found, bool as_json)
{
    json_t *plain = infer_plain_json(found);

    if (as_json)
        infer_say_json(found);
    else
        infer_check_print(plain, stdout);
    json_decref(plain);
    return json_array_size(json_object_get(found, "problems")) > 0 ? CAP_EXIT_FAILED : CAP_EXIT_OK;
}

int infer_cmd_engine_check(int argc, char **argv)
{
    struct arguments arguments;
    bool as_json = infer_says_json(argc, argv);
    struct cap_err err = {0};
    json_t *found = NULL;
    int status;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return CAP_EXIT_OK;
    }
    if (!read_arguments(argc, argv, &arguments, &err))
        return infer_say_usage(as_json, verb, help, "%s", err.text);
    cap_http_allow_link_local(true); /* the person who types the address may ask it */
    if (check_kind(arguments.options.kind, &err))
        found = infer_check(&arguments.options, &err);
    if (!found) {
        infer_say_failure(as_json, verb, &err);
        return cap_exit_of(err.code);
    }
    status = print_found(found, as_json);
    json_decref(found);
    return status;
}
