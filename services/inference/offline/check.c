/* engine check URL: what a server can do, before somebody submits an evaluation of it.
 *
 * A series of trials. Each is one request through the engine that an evaluation would open, so that
 * an evaluation meets what is reported here. A trial that fails is a finding with its reason, not
 * an error. In this file: the trials, what they found as text for people, and the verb. */
#include "offline/offline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/exit.h"
#include "external/external.h"
#include "external/server.h"
#include "http/client.h"

enum {
    REPLY_BYTES_MAX = 32 << 20,
    TRIAL_MS = 120000,
    TOKENS = 16,
    MODELS_SHOWN_MAX = 32,
    TEXT_BYTES = 200,
    REFUSED_MS = 2000,
    LOADING_MS = 600000,
};

struct check {
    const struct infer_engine_options *options;
    struct infer_server server; /* of the kind openai until the guess */
    struct infer_engine *engine;
    json_t *out, *problems;
};

/* ---- one trial ---- */

struct trial {
    struct infer_event end; /* DONE or FAILED */
    char finish[INFER_FINISH_REASON_BYTES], text[TEXT_BYTES];
    int chunks, reasoning_chunks;
    int64_t first_ns; /* from submit to the first token; 0 = none */
    struct infer_score score;
};

static void take(struct trial *trial, const struct infer_event *event, int64_t start_ns)
{
    if (event->kind == INFER_TOKENS) {
        size_t length = strlen(trial->text);

        trial->chunks++;
        trial->reasoning_chunks += event->reasoning_piece != NULL;
        if (trial->first_ns == 0)
            trial->first_ns = event->at_ns - start_ns;
        snprintf(trial->text + length, sizeof trial->text - length, "%s", event->piece);
        return;
    }
    if (event->kind == INFER_DONE && event->piece) {
        size_t length = strlen(trial->text);

        snprintf(trial->text + length, sizeof trial->text - length, "%s", event->piece);
    }
    trial->end = *event;
    snprintf(trial->finish, sizeof trial->finish, "%s",
             event->finish_reason ? event->finish_reason : "");
    if (event->score_count > 0)
        trial->score = event->scores[0];
}

static void fail_trial(struct trial *trial, const struct cap_err *err)
{
    trial->end = (struct infer_event){.kind = INFER_FAILED, .failure = *err};
}

static void run_trial(struct check *check, const struct infer_request *request, struct trial *out)
{
    const struct infer_engine_ops *ops = check->engine->ops;
    int64_t start_ns = cap_clock_ns(cap_clock_system());
    struct infer_event event = {.kind = INFER_TOKENS};
    struct cap_err err = {0};

    *out = (struct trial){0};
    if (!ops->submit(check->engine, request, &err)) {
        fail_trial(out, &err);
        return;
    }
    while (event.kind != INFER_DONE && event.kind != INFER_FAILED) {
        if (ops->wait(check->engine, 100, &event, &err)) {
            take(out, &event, start_ns);
        } else if (err.code != CAP_OK ||
                   cap_clock_ns(cap_clock_system()) - start_ns > (int64_t)TRIAL_MS * 1000000) {
            if (err.code == CAP_OK)
                cap_fail(&err, CAP_DEADLINE_EXCEEDED, "no end within %d s", TRIAL_MS / 1000);
            ops->cancel(check->engine, request->id);
            fail_trial(out, &err);
            return;
        }
    }
}

static struct infer_request plain_request(void)
{
    return (struct infer_request){
        .id = 1, .text = "One, two, three, four, five, six,", .max_tokens = TOKENS, .top_p = 1};
}

static json_t *count_json(int count)
{
    return count >= 0 ? json_integer(count) : json_null();
}

static json_t *failure_json(const struct trial *trial)
{
    return json_pack("{s:b, s:s%}", "works", 0, "reason", trial->end.failure.text,
                     strlen(trial->end.failure.text));
}

/* ---- the trials ---- */

static json_t *stream_json(const struct trial *trial)
{
    if (trial->end.kind != INFER_DONE)
        return failure_json(trial);
    return json_pack("{s:b, s:i, s:o, s:o, s:o, s:o, s:b, s:f}", "works", 1, "chunks",
                     trial->chunks, "output_tokens", count_json(trial->end.output_tokens),
                     "prompt_tokens", count_json(trial->end.prompt_tokens), "cached_tokens",
                     count_json(trial->end.cached_tokens), "finish_reason",
                     *trial->finish ? json_string(trial->finish) : json_null(), "reasoning",
                     trial->reasoning_chunks > 0, "first_token_ms", (double)trial->first_ns / 1e6);
}

static bool try_completions(struct check *check)
{
    struct infer_request request = plain_request();
    struct trial trial;

    run_trial(check, &request, &trial); /* a server may be slow the first time */
    run_trial(check, &request, &trial);
    json_object_set_new(check->out, "completions", stream_json(&trial));
    json_object_set_new(check->out, "usage",
                        json_boolean(trial.end.kind == INFER_DONE && trial.end.output_tokens >= 0));
    return trial.end.kind == INFER_DONE;
}

static bool try_chat(struct check *check)
{
    const struct infer_message message = {"user", "Count to six."};
    struct infer_request request = plain_request();
    struct trial trial;

    request.text = NULL;
    request.messages = &message;
    request.message_count = 1;
    run_trial(check, &request, &trial);
    json_object_set_new(check->out, "chat", stream_json(&trial));
    return trial.end.kind == INFER_DONE;
}

static void try_exact_length(struct check *check)
{
    struct infer_request request = plain_request();
    struct trial trial;
    json_t *found;

    request.ignore_eos = true;
    request.max_tokens = 2 * TOKENS;
    run_trial(check, &request, &trial);
    if (trial.end.kind != INFER_DONE)
        found = failure_json(&trial);
    else
        found = json_pack("{s:b, s:i, s:o}", "works", trial.end.output_tokens == request.max_tokens,
                          "asked", request.max_tokens, "got", count_json(trial.end.output_tokens));
    json_object_set_new(check->out, "exact_length", found);
}

static void try_scoring(struct check *check)
{
    static const char *const continuations[] = {" seven"};
    struct infer_request request = plain_request();
    struct trial trial;

    request.continuations = continuations;
    request.continuation_count = 1;
    run_trial(check, &request, &trial);
    json_object_set_new(check->out, "scoring",
                        trial.end.kind == INFER_DONE
                            ? json_pack("{s:b, s:f, s:i}", "works", 1, "log_likelihood",
                                        trial.score.log_likelihood, "tokens", trial.score.tokens)
                            : failure_json(&trial));
}

/* Sampled twice with one seed, and nothing else running. */
static void try_seed(struct check *check)
{
    struct infer_request request = plain_request();
    struct trial first, second;

    request.temperature = 1;
    request.seed = 42;
    run_trial(check, &request, &first);
    run_trial(check, &request, &second);
    if (first.end.kind != INFER_DONE || second.end.kind != INFER_DONE)
        json_object_set_new(check->out, "seed",
                            failure_json(first.end.kind == INFER_FAILED ? &first : &second));
    else
        json_object_set_new(check->out, "seed",
                            json_pack("{s:b}", "works", strcmp(first.text, second.text) == 0));
}

static void try_metrics(struct check *check)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(REPLY_BYTES_MAX);
    struct cap_http_reply reply;
    struct cap_err err = {0};
    json_t *found;

    if (!infer_server_get(&check->server, "/metrics", arena, &reply, &err))
        found = json_pack("{s:b, s:s%}", "works", 0, "reason", err.text, strlen(err.text));
    else if (reply.status != 200 || !strstr(reply.body, "# TYPE"))
        found =
            json_pack("{s:b, s:s}", "works", 0, "reason", "it has none, or they are turned off");
    else
        found = json_pack("{s:b, s:i}", "works", 1, "bytes", (int)reply.length);
    json_object_set_new(check->out, "metrics", found);
}

/* ---- which kind is it? ---- */

static void list_models(struct check *check, const json_t *models)
{
    json_t *names = json_array();
    const json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(models, "data"), i, entry)
    {
        if (i < MODELS_SHOWN_MAX && json_is_string(json_object_get(entry, "id")))
            json_array_append(names, json_object_get(entry, "id"));
    }
    json_object_set_new(check->out, "models", names);
    json_object_set_new(check->out, "model_count",
                        json_integer((json_int_t)json_array_size(json_object_get(models, "data"))));
}

/* The kind and the model that the trials use. */
static void choose(struct check *check, const json_t *models, struct infer_engine_options *out)
{
    const json_t *first = json_array_get(json_object_get(models, "data"), 0);
    struct infer_guess guess = {.kind = NULL};

    infer_guess_kind(&check->server, models, &guess);
    *out = *check->options;
    json_object_set_new(check->out, "guess", json_string(guess.kind->name));
    json_object_set_new(check->out, "guess_reason", json_string(guess.why));
    if (!out->kind)
        out->kind = guess.kind->name;
    if (!out->model)
        out->model = json_string_value(json_object_get(first, "id"));
    if (!out->model)
        out->model = "";
    out->concurrency = 1;
    json_object_set_new(check->out, "kind", json_string(out->kind));
    json_object_set_new(check->out, "model", json_string(out->model));
}

static void report(struct check *check)
{
    struct infer_engine_report report;
    json_t *context;

    check->engine->ops->report(check->engine, &report);
    context = report.context_tokens_max > 0 ? json_integer(report.context_tokens_max) : json_null();
    json_object_set_new(check->out, "version",
                        report.version ? json_string(report.version) : json_null());
    json_object_set_new(check->out, "context_tokens_max", context);
    json_object_set_new(check->out, "routing",
                        report.routing_unknown
                            ? json_pack("{s:b, s:s}", "works", 0, "reason", report.routing_unknown)
                            : json_pack("{s:b}", "works", 1));
}

static void add_problem(struct check *check, const char *text)
{
    json_array_append_new(check->problems, json_string(text));
}

static void try_all(struct check *check)
{
    bool completions = try_completions(check), chat = try_chat(check);

    if (!completions && !chat)
        add_problem(check, "neither completions nor chat can be streamed");
    if (completions) {
        try_exact_length(check);
        try_scoring(check);
        try_seed(check);
    }
    try_metrics(check);
    report(check);
}

static bool run_check(struct check *check, struct cap_err *err)
{
    struct infer_engine_options options;
    json_t *models = infer_server_models(&check->server, err);

    if (!models)
        return false;
    list_models(check, models);
    choose(check, models, &options);
    check->engine = infer_external_find(options.kind)->open(&options, err);
    if (check->engine)
        try_all(check);
    json_decref(models);
    return check->engine != NULL;
}

json_t *infer_check(const struct infer_engine_options *options, struct cap_err *err)
{
    struct infer_engine_options start = *options;
    struct check check = {.options = options, .out = json_object(), .problems = json_array()};
    bool ok;

    start.model = options->model ? options->model : "";
    json_object_set_new(check.out, "problems", check.problems);
    json_object_set_new(check.out, "url", json_string(options->url));
    ok = infer_server_init(&check.server, &infer_kind_openai, &start, err) &&
         infer_server_wait(&check.server, &start, err) && run_check(&check, err);
    if (check.engine)
        check.engine->ops->free(check.engine);
    infer_server_done(&check.server);
    if (ok)
        return check.out;
    json_decref(check.out);
    return NULL;
}

/* ---- as text ---- */

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

static bool works(const json_t *finding)
{
    return json_is_true(json_object_get(finding, "works"));
}

static void print_models(const json_t *found, FILE *out)
{
    const json_t *names = json_object_get(found, "models"), *name;
    size_t i;

    fprintf(out, "models        ");
    json_array_foreach(names, i, name)
        fprintf(out, "%s%s", i > 0 ? ", " : "", json_string_value(name));
    fprintf(out, "\ntried         %s", text(found, "model"));
    if (json_is_integer(json_object_get(found, "context_tokens_max")))
        fprintf(out, ", context of %lld tokens",
                (long long)json_integer_value(json_object_get(found, "context_tokens_max")));
    fputc('\n', out);
}

/* Whether a chunk is a token, which decides about gaps. */
static void print_stream(const json_t *found, const char *key, FILE *out)
{
    const json_t *stream = json_object_get(found, key);
    const json_t *tokens = json_object_get(stream, "output_tokens");

    if (!works(stream)) {
        fprintf(out, "%-13s no: %s\n", key, text(stream, "reason"));
        return;
    }
    fprintf(out, "%-13s yes: ", key);
    if (json_is_integer(tokens))
        fprintf(out, "%lld tokens", (long long)json_integer_value(tokens));
    else
        fprintf(out, "tokens unknown (no usage)");
    fprintf(out, " in %lld chunks, the first after %.0f ms, finish %s%s\n",
            (long long)json_integer_value(json_object_get(stream, "chunks")),
            json_number_value(json_object_get(stream, "first_token_ms")),
            *text(stream, "finish_reason") ? text(stream, "finish_reason") : "reason not given",
            json_is_true(json_object_get(stream, "reasoning")) ? ", with reasoning" : "");
}

static void print_length(const json_t *found, FILE *out)
{
    const json_t *length = json_object_get(found, "exact_length");

    if (!length)
        return;
    if (*text(length, "reason"))
        fprintf(out, "exact length  no: %s\n", text(length, "reason"));
    else if (!json_is_integer(json_object_get(length, "got")))
        fprintf(out, "exact length  unknown, without usage\n");
    else
        fprintf(out, "exact length  %s: %lld tokens, asked for %lld\n",
                works(length) ? "yes" : "no",
                (long long)json_integer_value(json_object_get(length, "got")),
                (long long)json_integer_value(json_object_get(length, "asked")));
}

static void print_finding(const json_t *found, const char *key, const char *label, const char *no,
                          FILE *out)
{
    const json_t *finding = json_object_get(found, key);
    const char *reason = *text(finding, "reason") ? text(finding, "reason") : no;

    if (!finding)
        return;
    if (works(finding))
        fprintf(out, "%-13s yes\n", label);
    else
        fprintf(out, "%-13s no: %s\n", label, reason);
}

/* People paste the command, and the name in it is the server's. */
static void print_word(const char *word, FILE *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./:@+,=%";

    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (const char[]){*word, '\0'}, out);
    fputc('\'', out);
}

static void print_command(const json_t *found, FILE *out)
{
    fprintf(out, "\nmoecap submit --engine %s --url ", text(found, "kind"));
    print_word(text(found, "url"), out);
    fputs(" --model ", out);
    print_word(text(found, "model"), out);
    fputs(" --task gsm-mini\n", out);
}

static void print_end(const json_t *found, FILE *out)
{
    const json_t *problem;
    size_t i;

    json_array_foreach(json_object_get(found, "problems"), i, problem)
        fprintf(out, "problem       %s\n", json_string_value(problem));
    if (i == 0)
        print_command(found, out);
}

static void print_all(const json_t *found, FILE *out)
{
    const char *version = text(found, "version");
    bool chosen = strcmp(text(found, "kind"), text(found, "guess")) != 0;

    fprintf(out, "kind          %s, %s%s%s\n", text(found, "kind"),
            chosen ? "as asked; it looks like " : "for ", chosen ? text(found, "guess") : "",
            chosen ? "" : text(found, "guess_reason"));
    fprintf(out, "version       %s\n", *version ? version : "unknown");
    print_models(found, out);
    print_stream(found, "completions", out);
    print_stream(found, "chat", out);
    fprintf(out, "usage         %s\n",
            json_is_true(json_object_get(found, "usage")) ? "yes"
                                                          : "no: token counts will be unknown");
    print_length(found, out);
    print_finding(found, "scoring", "scoring", "", out);
    print_finding(found, "seed", "seed", "the same seed gave another text", out);
    print_finding(found, "metrics", "metrics", "", out);
    print_finding(found, "routing", "routing", "", out);
    print_end(found, out);
}

/* What a server says must not move a terminal's cursor or colours. */
static void make_plain(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            *at++ = '?'; /* U+0080 to U+009F: a terminal may take the second byte alone */
        else if ((*at >= ' ' || *at == '\n') && *at != 0x7f)
            continue;
        *at = '?';
    }
}

static void print_text(const json_t *found, FILE *out)
{
    char *text = NULL;
    size_t length;
    FILE *memory = open_memstream(&text, &length);

    if (!memory)
        abort();
    print_all(found, memory);
    fclose(memory);
    make_plain(text);
    fputs(text, out);
    free(text);
}

/* ---- the verb ---- */

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
        print_text(plain, stdout);
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
