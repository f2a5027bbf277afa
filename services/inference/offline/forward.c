/* model forward DIR: one sequence of token ids through the native engine, without a service and
 * without text. Logits of every position, the experts that every token was sent to, and a greedy
 * continuation: what tests compare with a reference. */
#include "offline/offline.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/exit.h"
#include "base/file.h"
#include "native/inside.h"

enum {
    TOKENS_FILE_BYTES_MAX = 64 << 20,
    ROWS_MAX = 512,
    LOGITS_ROWS_MAX = 64,
    GREEDY_MAX = 1 << 20,
    PROGRESS_MS = 5000 /* a line on stderr that often: two million tokens take hours */
};

static const char usage[] =
    "usage: moecap model forward DIR --tokens FILE.json [options]\n"
    "\n"
    "Runs one sequence of token ids through the native engine: logits of every position, the\n"
    "experts every token was sent to, and a greedy continuation.\n"
    "\n"
    "  --tokens FILE.json   {\"tokens\": [1, 2, 3]} or [1, 2, 3]\n"
    "  --precision NAME     f32 (default), bf16 or int8\n"
    "  --backend NAME       cpu (default)\n"
    "  --threads N          default: every core\n"
    "  --logits OUT.npy     float32, [tokens, vocabulary]\n"
    "  --experts OUT.json   {\"layers\": [null | {\"experts\": [[..]], \"weights\": [[..]]}],\n"
    "                        \"greedy\": [..]}\n"
    "  --greedy N           continue with N tokens, the likeliest each time\n"
    "  --json               the summary as one JSON object\n"
    "\n"
    "How far it is goes to stderr every 5 seconds.\n"
    "\n"
    "  moecap model forward models/moecap-tiny --tokens tokens.json --greedy 8\n";

static const char verb[] = "model forward";

struct forward_options {
    const char *dir, *tokens, *logits, *experts;
    struct native_model_options model;
    int greedy;
};

/* What one run needs; `layers` is the JSON of --experts. */
struct run {
    struct native_model *model;
    struct native_forward *forward;
    struct native_kv *kv;
    struct native_sequence sequence;
    int32_t *tokens; /* the prompt, then what was generated */
    int prompt_count, count;
    float *logits; /* [LOGITS_ROWS_MAX][vocab] */
    FILE *npy;
    json_t *layers;
    int total; /* tokens to be fed, greedy ones included */
    int64_t started_ms, told_ms;
};

/* ---- progress ---- */

/* True with a line when the last one is PROGRESS_MS ago. The time left is not told: attention makes
 * later tokens slower. */
static bool make_progress(struct run *run, int64_t now_ms, char *out, size_t size)
{
    if (now_ms - run->told_ms < PROGRESS_MS)
        return false;
    run->told_ms = now_ms;
    snprintf(out, size, "model forward: %d of %d tokens in %lld s", run->sequence.length,
             run->total, (long long)(now_ms - run->started_ms) / 1000);
    return true;
}

static void tell_progress(struct run *run)
{
    char line[96];
    if (make_progress(run, cap_clock_ms(cap_clock_system()), line, sizeof(line)))
        fprintf(stderr, "%s\n", line);
}

/* ---- the run ---- */

static void watch_experts(void *context, int layer, const int32_t *ids, const float *weights,
                          int rows, int top_k)
{
    json_t *to = json_array_get(context, (size_t)layer);
    for (int row = 0; row < rows; row++) {
        json_t *chosen = json_array(), *shares = json_array();
        for (int i = row * top_k; i < (row + 1) * top_k; i++) {
            json_array_append_new(chosen, json_integer(ids[i]));
            json_array_append_new(shares, json_real((double)weights[i]));
        }
        json_array_append_new(json_object_get(to, "experts"), chosen);
        json_array_append_new(json_object_get(to, "weights"), shares);
    }
}

static json_t *empty_layers(const struct native_model *model)
{
    json_t *layers = json_array();
    for (int i = 0; i < model->shape->layer_count; i++)
        json_array_append_new(layers, model->layers[i].router
                                          ? json_pack("{s:[],s:[]}", "experts", "weights")
                                          : json_null());
    return layers;
}

/* Logits of the last `rows` rows of the pass into run->logits, written out as far as asked for.
 * Only the last LOGITS_ROWS_MAX stay in memory. */
static bool take_logits(struct run *run, int rows, struct cap_err *err)
{
    int vocab = run->model->shape->vocab;
    for (int from = run->npy ? 0 : rows - 1; from < rows; from += LOGITS_ROWS_MAX) {
        int32_t pick[LOGITS_ROWS_MAX];
        int count = rows - from < LOGITS_ROWS_MAX ? rows - from : LOGITS_ROWS_MAX;
        for (int i = 0; i < count; i++)
            pick[i] = from + i;
        if (!native_forward_logits(run->forward, pick, count, run->logits, err))
            return false;
        if (run->npy && fwrite(run->logits, sizeof(float) * (size_t)vocab, (size_t)count,
                               run->npy) != (size_t)count)
            return cap_fail(err, CAP_UNAVAILABLE, "could not write the logits: %s",
                            strerror(errno));
        if (from + count == rows) /* the last row first, where the sampler looks */
            memmove(run->logits, run->logits + (size_t)(count - 1) * (size_t)vocab,
                    sizeof(float) * (size_t)vocab);
    }
    return true;
}

/* Tokens from the cache's length up to `end`. */
static bool feed(struct run *run, int end, struct cap_err *err)
{
    struct native_sequence *sequence = &run->sequence;
    sequence->rope_length = end;
    while (sequence->length < end) {
        int32_t positions[ROWS_MAX], sequence_of[ROWS_MAX] = {0};
        int count = end - sequence->length < ROWS_MAX ? end - sequence->length : ROWS_MAX;
        for (int i = 0; i < count; i++)
            positions[i] = sequence->length + i;
        if (!native_kv_grow(run->kv, sequence, sequence->length + count))
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for the KV cache");
        struct native_rows rows = {.count = count,
                                   .ids = run->tokens + sequence->length,
                                   .positions = positions,
                                   .sequence_of = sequence_of,
                                   .sequences = &sequence,
                                   .sequence_count = 1};
        if (!native_forward_run(run->forward, run->kv, &rows, err) || !take_logits(run, count, err))
            return false;
        sequence->length += count;
        tell_progress(run);
    }
    return true;
}

/* Dynamic rope turns all positions again once the sequence outgrows the training length: then the
 * cache is of no use for the next token. */
static void forget_if_turned(struct run *run)
{
    const struct cap_rope *rope = &run->model->shape->rope;
    if (rope->kind == CAP_ROPE_DYNAMIC && run->count > rope->original)
        native_kv_drop(run->kv, &run->sequence);
}

static bool generate(struct run *run, int greedy, struct cap_err *err)
{
    for (int i = 0; i < greedy; i++) {
        run->tokens[run->count++] = native_sample_greedy(run->logits, run->model->shape->vocab);
        if (i + 1 == greedy)
            return true;
        forget_if_turned(run);
        if (!feed(run, run->count, err))
            return false;
    }
    return true;
}

/* ---- files ---- */

static bool read_tokens(const char *path, struct run *run, int greedy, struct cap_err *err)
{
    size_t length;
    CAP_AUTO_MEM char *text = cap_file_read(path, TOKENS_FILE_BYTES_MAX, &length, err);
    if (!text)
        return false;
    json_error_t why;
    json_t *root = json_loadb(text, length, 0, &why);
    const json_t *list = json_is_object(root) ? json_object_get(root, "tokens") : root;
    size_t count = json_array_size(list);
    bool ok = count > 0 && count <= INT32_MAX - GREEDY_MAX;
    run->tokens = calloc(count + (size_t)greedy + 1, sizeof(*run->tokens));
    for (size_t i = 0; ok && run->tokens && i < count; i++) {
        const json_t *id = json_array_get(list, i);
        ok = json_is_integer(id) && json_integer_value(id) >= 0 &&
             json_integer_value(id) <= INT32_MAX;
        run->tokens[i] = (int32_t)json_integer_value(id);
    }
    run->prompt_count = run->count = (int)count;
    bool parsed = root != NULL;
    json_decref(root);
    if (!parsed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is not JSON: line %d: %s", path,
                        why.line, why.text);
    return (ok && run->tokens) ||
           cap_fail(err, CAP_INVALID_ARGUMENT,
                    "\"%s\" must hold {\"tokens\": [...]} or [...], at least one id", path);
}

/* NumPy's format 1.0: a dictionary in a header that ends at a multiple of 64 bytes. */
static bool open_npy(const char *path, struct run *run, struct cap_err *err)
{
    char text[128], header[256];
    snprintf(text, sizeof(text), "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }",
             run->prompt_count, run->model->shape->vocab);
    int width = (10 + (int)strlen(text) + 1 + 63) / 64 * 64 - 10;
    snprintf(header, sizeof(header), "%-*s\n", width - 1, text);
    unsigned char head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    head[8] = (unsigned char)(width & 255);
    head[9] = (unsigned char)(width >> 8);
    run->npy = fopen(path, "wbe");
    if (!run->npy || fwrite(head, sizeof(head), 1, run->npy) != 1 ||
        fwrite(header, (size_t)width, 1, run->npy) != 1)
        return cap_fail(err, CAP_UNAVAILABLE, "could not write \"%s\": %s", path, strerror(errno));
    return true;
}

static bool close_npy(const char *path, struct run *run, struct cap_err *err)
{
    int failed = run->npy ? fclose(run->npy) : 0;
    run->npy = NULL;
    return failed == 0 ||
           cap_fail(err, CAP_UNAVAILABLE, "could not write \"%s\": %s", path, strerror(errno));
}

static json_t *greedy_json(const struct run *run)
{
    json_t *greedy = json_array();
    for (int i = run->prompt_count; i < run->count; i++)
        json_array_append_new(greedy, json_integer(run->tokens[i]));
    return greedy;
}

static bool write_experts(const char *path, const struct run *run, struct cap_err *err)
{
    json_t *root = json_pack("{s:O,s:o}", "layers", run->layers, "greedy", greedy_json(run));
    int failed = json_dump_file(root, path, JSON_REAL_PRECISION(9));
    json_decref(root);
    return failed == 0 ||
           cap_fail(err, CAP_UNAVAILABLE, "could not write \"%s\": %s", path, strerror(errno));
}

/* ---- the verb ---- */

/* Positions past context_max are only less well trained; the user asked for them. */
static bool check_tokens(const struct run *run, struct cap_err *err)
{
    const struct cap_model *shape = run->model->shape;
    for (int i = 0; i < run->count; i++)
        if (run->tokens[i] >= shape->vocab)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "token id %d is outside the vocabulary of %d", run->tokens[i],
                            shape->vocab);
    return true;
}

static bool open_run(struct run *run, const struct forward_options *options, struct cap_err *err)
{
    run->model = native_model_open(options->dir, &options->model, err);
    if (!run->model || !read_tokens(options->tokens, run, options->greedy, err) ||
        !check_tokens(run, err))
        return false;
    int total = run->count + options->greedy;
    run->kv = native_kv_open(run->model, native_kv_pages_for(total), err);
    if (run->kv)
        run->forward = native_forward_open(run->model, ROWS_MAX, LOGITS_ROWS_MAX, total, err);
    if (!run->forward)
        return false;
    run->logits = calloc((size_t)LOGITS_ROWS_MAX * (size_t)run->model->shape->vocab, sizeof(float));
    if (!run->logits)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for logits");
    return !options->logits || open_npy(options->logits, run, err);
}

static bool run_forward(struct run *run, const struct forward_options *options, struct cap_err *err)
{
    if (!open_run(run, options, err))
        return false;
    run->layers = empty_layers(run->model);
    run->total = run->count + options->greedy;
    run->started_ms = run->told_ms = cap_clock_ms(cap_clock_system());
    if (options->experts)
        native_forward_watch(run->forward, watch_experts, run->layers);
    if (!feed(run, run->count, err) || !close_npy(options->logits, run, err))
        return false;
    native_forward_watch(run->forward, NULL, NULL); /* the prompt's choices are what is asked for */
    return generate(run, options->greedy, err) &&
           (!options->experts || write_experts(options->experts, run, err));
}

static void close_run(struct run *run)
{
    if (run->kv)
        native_kv_drop(run->kv, &run->sequence);
    native_forward_free(run->forward);
    native_kv_free(run->kv);
    native_model_free(run->model);
    if (run->npy)
        fclose(run->npy);
    json_decref(run->layers);
    free(run->tokens);
    free(run->logits);
}

static void print_summary(const struct run *run, bool as_json)
{
    if (as_json) {
        json_t *summary = json_pack("{s:i, s:i, s:o}", "tokens", run->prompt_count, "vocabulary",
                                    run->model->shape->vocab, "greedy", greedy_json(run));
        infer_say_json(summary);
        json_decref(summary);
        return;
    }
    printf("tokens %d, vocabulary %d\n", run->prompt_count, run->model->shape->vocab);
    for (int i = run->prompt_count; i < run->count; i++)
        printf("%s%d%s", i == run->prompt_count ? "greedy " : " ", run->tokens[i],
               i + 1 == run->count ? "\n" : "");
}

static bool read_count(const char *text, int max, int *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > max)
        return false;
    *out = (int)value;
    return true;
}

/* -1 to go on, else the exit status. */
static int read_arguments(int argc, char **argv, bool as_json, struct forward_options *o)
{
    static const struct option longs[] = {{"tokens", 1, NULL, 't'},  {"precision", 1, NULL, 'p'},
                                          {"backend", 1, NULL, 'b'}, {"logits", 1, NULL, 'l'},
                                          {"experts", 1, NULL, 'e'}, {"greedy", 1, NULL, 'g'},
                                          {"threads", 1, NULL, 'n'}, {"help", 0, NULL, 'h'},
                                          {"json", 0, NULL, 'j'},    {0}};
    int c;
    bool ok = true;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 't':
            o->tokens = optarg;
            break;
        case 'p':
            ok = native_precision_from_name(optarg, &o->model.precision);
            break;
        case 'b':
            o->model.backend = optarg;
            break;
        case 'l':
            o->logits = optarg;
            break;
        case 'e':
            o->experts = optarg;
            break;
        case 'g':
            ok = read_count(optarg, GREEDY_MAX, &o->greedy);
            break;
        case 'n':
            ok = read_count(optarg, MOE_THREADS_MAX, &o->model.threads);
            break;
        case 'j':
            break;
        case 'h':
            fputs(usage, stdout);
            return CAP_EXIT_OK;
        default:
            return infer_say_usage(as_json, verb, usage, "\"%s\" is not accepted here",
                                   argv[optind - 1]);
        }
        if (!ok)
            return infer_say_usage(as_json, verb, usage, "\"%s\" is not accepted here", optarg);
    }
    if (optind != argc - 1 || !o->tokens)
        return infer_say_usage(as_json, verb, usage, "a model directory and --tokens are needed");
    o->dir = argv[optind];
    return -1;
}

int infer_cmd_forward(int argc, char **argv)
{
    bool as_json = infer_says_json(argc, argv);
    struct forward_options options = {.model = {.precision = NATIVE_F32}};
    int status = read_arguments(argc, argv, as_json, &options);
    if (status >= 0)
        return status;
    struct cap_err err = {0};
    struct run run = {0};
    bool ok = run_forward(&run, &options, &err);
    if (ok)
        print_summary(&run, as_json);
    else
        infer_say_failure(as_json, verb, &err);
    close_run(&run);
    return (int)cap_exit_of_input(err.code);
}
