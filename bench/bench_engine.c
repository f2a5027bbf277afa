/* Speed of the native engine on one model: decode at several batch sizes, prefill, and the share of
 * the memory's read rate that decode reaches. Prints one line a measurement, for bench/engine.sh:
 *
 *     isa avx2 threads 2
 *     probe <GB/s>                                  before each precision
 *     decode <precision> <batch> <tokens/s> <GB/s>  medians over steps
 *     prefill <precision> <tokens> <tokens/s> <GFLOP/s>
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "native/session.h"
#include "probe.h"

struct bench_options {
    const char *dir, *precisions, *batches;
    int threads, prefill, context, steps, rounds;
};

enum { SAMPLES_MAX = 4096 };

struct samples {
    double tokens_per_s[SAMPLES_MAX], rate[SAMPLES_MAX];
    int count;
};

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), by_value);
    return count ? values[count / 2] : 0;
}

static void die(const struct cap_err *err)
{
    fprintf(stderr, "bench-engine: %s\n", err->text);
    exit(1);
}

static void submit(struct native_session *session, uint64_t id, int tokens, int answer)
{
    struct cap_err err = {0};
    int32_t *prompt = calloc((size_t)tokens, sizeof(*prompt));
    struct cap_rand rand;
    cap_rand_seed(&rand, id);
    for (int i = 0; prompt && i < tokens; i++)
        prompt[i] = (int32_t)(3 + cap_rand_below(&rand, 1000));
    if (!native_session_submit(
            session,
            &(struct native_request){
                .id = id, .prompt = {prompt, tokens}, .max_tokens = answer, .ignore_eos = true},
            &err))
        die(&err);
    free(prompt);
}

static void take(struct samples *samples, const struct infer_pass *pass, bool decode)
{
    if ((pass->phase == INFER_DECODE) != decode || samples->count == SAMPLES_MAX)
        return;
    double seconds = (double)pass->duration_ns / 1e9;
    double work = decode ? (double)(pass->weight_bytes + pass->kv_bytes) : pass->flops;
    samples->tokens_per_s[samples->count] = pass->tokens / seconds;
    samples->rate[samples->count++] = work / seconds / 1e9;
}

/* Passes of one kind over a few rounds of `batch` requests. */
static void measure(struct native_model *model, const struct bench_options *o, int batch,
                    int tokens, int answer, bool decode, struct samples *out)
{
    struct cap_err err = {0};
    struct native_session_options options = {.concurrency = batch,
                                             .context_tokens_max = tokens + answer + 1};
    CAP_AUTO(native_session) session = native_session_open(model, &options, &err);
    if (!session)
        die(&err);
    out->count = 0;
    for (int round = 0; round < o->rounds; round++) {
        for (int i = 0; i < batch; i++)
            submit(session, (uint64_t)(round * batch + i), tokens, answer);
        struct native_step step;
        while (native_session_step(session, &step, &err))
            take(out, &step.events[0].pass, decode);
        if (err.code != CAP_OK)
            die(&err);
    }
}

static void bench_precision(const struct bench_options *o, const char *name)
{
    static struct samples samples;
    struct cap_err err = {0};
    struct native_model_options options = {.threads = o->threads};
    if (!native_precision_from_name(name, &options.precision)) {
        fprintf(stderr, "bench-engine: there is no precision \"%s\"\n", name);
        exit(2);
    }
    CAP_AUTO(native_model) model = native_model_open(o->dir, &options, &err);
    if (!model)
        die(&err);
    struct moe_info info;
    model->backend->info(model->dev, &info);
    printf("isa %s threads %d\n", info.isa, info.threads);
    printf("probe %.2f\n", bench_probe_read_gbs(info.threads));
    char *list = strdup(o->batches), *at = NULL;
    for (char *word = strtok_r(list, ",", &at); word; word = strtok_r(NULL, ",", &at)) {
        int batch = (int)strtol(word, NULL, 10);
        measure(model, o, batch, o->context, o->steps, true, &samples);
        printf("decode %s %d %.2f %.2f\n", name, batch, median(samples.tokens_per_s, samples.count),
               median(samples.rate, samples.count));
    }
    free(list);
    measure(model, o, 1, o->prefill, 1, false, &samples);
    printf("prefill %s %d %.2f %.2f\n", name, o->prefill,
           median(samples.tokens_per_s, samples.count), median(samples.rate, samples.count));
    fflush(stdout);
}

static int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 0 || value > 1 << 20) {
        fprintf(stderr, "bench-engine: \"%s\" is not a number that can be used here\n", text);
        exit(2);
    }
    return (int)value;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"precisions", 1, NULL, 'p'}, {"batches", 1, NULL, 'b'},
                                          {"threads", 1, NULL, 't'},    {"prefill", 1, NULL, 'f'},
                                          {"context", 1, NULL, 'c'},    {"steps", 1, NULL, 's'},
                                          {"rounds", 1, NULL, 'r'},     {0}};
    struct bench_options o = {.precisions = "bf16,int8",
                              .batches = "1,4",
                              .prefill = 512,
                              .context = 64,
                              .steps = 32,
                              .rounds = 3};
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'p':
            o.precisions = optarg;
            break;
        case 'b':
            o.batches = optarg;
            break;
        case 't':
            o.threads = number(optarg);
            break;
        case 'f':
            o.prefill = number(optarg);
            break;
        case 'c':
            o.context = number(optarg);
            break;
        case 's':
            o.steps = number(optarg);
            break;
        case 'r':
            o.rounds = number(optarg);
            break;
        default:
            return 2;
        }
    }
    if (optind != argc - 1) {
        fprintf(stderr,
                "usage: bench-engine DIR [--precisions bf16,int8] [--batches 1,4] [--threads N] "
                "[--prefill N] [--context N] [--steps N] [--rounds N]\n");
        return 2;
    }
    o.dir = argv[optind];
    char *list = strdup(o.precisions), *at = NULL;
    for (char *word = strtok_r(list, ",", &at); word; word = strtok_r(NULL, ",", &at))
        bench_precision(&o, word);
    free(list);
    return 0;
}
