/* The server is a list of requests, each with the moments of its pieces, made when it comes; the next
 * event is the earliest of them, and the clock jumps to it. A token is a word of four letters and a
 * blank. */
#include "server_model.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rand.h"
#include "inference/node/audit.h"
#include "measure.h"

enum {
    IN_FLIGHT_MAX = 64,
    TOKENS_MAX = 256,
    WORD = 5,
    SEEN_MAX = 256,
    LAYERS = 2,
    EXPERTS = 16,
    TOP_K = 8,
};

struct request {
    const struct infer_request *asked; /* NULL = the slot is free */
    char words[TOKENS_MAX * WORD + 1];
    int tokens, said_tokens, prompt_tokens, cached;
    int chunks, chunk;
    int64_t at_ns[TOKENS_MAX + 1]; /* of each chunk */
    int ends[TOKENS_MAX + 1];      /* tokens with it and before */
    bool fails;
    uint32_t prefill[LAYERS * EXPERTS], decode[LAYERS * EXPERTS];
};

struct server {
    struct infer_engine base;
    struct cap_clock clock;
    int64_t now_ns;
    struct server_model model;
    struct cap_rand rand;
    uint64_t seed;
    struct request requests[IN_FLIGHT_MAX];
    int in_flight, taken, event_slot;
    uint64_t seen[SEEN_MAX];
    int seen_count;
    char piece[TOKENS_MAX * WORD + 1];
};

static int64_t read_ns(const struct cap_clock *clock)
{
    return ((const struct server *)((const char *)clock - offsetof(struct server, clock)))->now_ns;
}

static int64_t read_wall_ms(const struct cap_clock *clock)
{
    return 1700000000000 + read_ns(clock) / 1000000;
}

static void must(bool ok, const struct cap_err *err)
{
    if (ok)
        return;
    fprintf(stderr, "server_model: %s\n", err ? err->text : "it did not work");
    abort();
}

/* ---- chance ---- */

static bool happens(struct server *s, double chance)
{
    return cap_rand_unit(&s->rand) < chance;
}

/* About 1, never far below and sometimes well above: how times of servers scatter. */
static double scatter(struct server *s)
{
    double u = cap_rand_unit(&s->rand), v = cap_rand_unit(&s->rand);

    return exp(s->model.jitter * sqrt(-2 * log(u + 1e-12)) * cos(6.283185307179586 * v));
}

static uint64_t hash_of(const char *text, uint64_t seed)
{
    uint64_t hash = seed ^ UINT64_C(1469598103934665603);

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

static int words_of(const char *text)
{
    int count = 0;

    for (bool inside = false; *text; text++) {
        bool blank = *text == ' ' || *text == '\n';

        count += !blank && !inside;
        inside = !blank;
    }
    return count;
}

/* ---- a request ---- */

static bool is_timed(const struct server *s)
{
    return s->model.timed_requests > 0 && s->taken <= s->model.timed_requests + 1; /* warm-up */
}

static void write_answer(struct server *s, struct request *r, uint64_t hash)
{
    struct cap_rand words;
    double share = is_timed(s) ? s->model.experts : 1;
    int length, changes_at;

    cap_rand_seed(&words, hash);
    length = 24 + (int)cap_rand_below(&words, 72);
    if (r->asked->ignore_eos || length > r->asked->max_tokens)
        length = r->asked->max_tokens;
    if (r->asked->ignore_eos)
        length = (int)ceil(length * s->model.shown);
    changes_at = share < 1 ? (int)cap_rand_below(&s->rand, 3) : TOKENS_MAX;
    if (share == 1 && s->in_flight > 1 && happens(s, s->model.diverges))
        changes_at = (int)cap_rand_below(&s->rand, (uint64_t)length);
    for (int i = 0; i < length; i++) {
        if (i == changes_at)
            cap_rand_seed(&words, cap_rand_u64(&s->rand));
        for (int j = 0; j < WORD - 1; j++)
            r->words[i * WORD + j] = (char)('a' + cap_rand_below(&words, 26));
        r->words[i * WORD + WORD - 1] = ' ';
    }
    if (r->asked->max_tokens > 1 && !r->asked->ignore_eos &&
        happens(s, s->model.blank + s->model.blank_for_failures))
        length = 0;
    r->words[length * WORD] = '\0';
    r->tokens = length;
    r->said_tokens = r->asked->ignore_eos && s->model.shown < 1
                         ? r->asked->max_tokens
                         : (int)(length * s->model.counts_times);
}

static bool was_seen(struct server *s, uint64_t hash)
{
    for (int i = 0; i < s->seen_count; i++)
        if (s->seen[i] == hash)
            return true;
    if (s->seen_count < SEEN_MAX)
        s->seen[s->seen_count++] = hash;
    return false;
}

static void set_times(struct server *s, struct request *r, bool cached)
{
    const struct server_model *m = &s->model;
    double load = 1 + m->per_neighbour * s->in_flight;
    double pace = m->pace_us * (is_timed(s) ? m->experts : 1) * load;
    double first = m->base_us + m->prefill_us * (cached ? 1 : r->prompt_tokens) * load;
    double at = (double)s->now_ns / 1e3 + first * scatter(s);
    int per_chunk = m->tokens_per_chunk;
    double end;

    r->chunks = 0;
    if (m->starts_early && r->tokens > 1) {
        r->ends[0] = 0;
        r->at_ns[r->chunks++] = s->now_ns + (int64_t)(m->base_us * 500);
    }
    for (int token = 0; token < r->tokens; token += per_chunk) {
        int upto = token + per_chunk < r->tokens ? token + per_chunk : r->tokens;

        at += token == 0 ? 0 : pace * (upto - token) * scatter(s);
        r->ends[r->chunks] = upto;
        r->at_ns[r->chunks++] = (int64_t)(at * 1e3);
    }
    end = at * 1e3;
    if (m->held_bursts > 0) /* each heap comes when its last token is there */
        for (int i = 0; i < r->chunks; i++) {
            int size = (r->chunks + m->held_bursts - 1) / m->held_bursts;
            int last = (i / size + 1) * size - 1;

            if (last >= r->chunks)
                last = r->chunks - 1;
            if (i != last)
                r->at_ns[i] = r->at_ns[last] > (int64_t)end ? (int64_t)end : r->at_ns[last];
            r->at_ns[i] += i * 20000;
        }
    if (r->chunks == 0)
        r->at_ns[0] = (int64_t)(at * 1e3); /* it only ends */
}

static void route(const struct server *s, struct request *r)
{
    int top_k = (int)(TOP_K * (is_timed(s) ? s->model.experts : 1));

    memset(r->prefill, 0, sizeof r->prefill);
    memset(r->decode, 0, sizeof r->decode);
    for (int layer = 0; layer < LAYERS; layer++)
        for (int k = 0; k < top_k; k++) {
            r->prefill[layer * EXPERTS + k] = (uint32_t)(r->prompt_tokens - r->cached);
            r->decode[layer * EXPERTS + k] = (uint32_t)(r->tokens > 0 ? r->tokens - 1 : 0);
        }
}

static bool submit(struct infer_engine *engine, const struct infer_request *asked,
                   struct cap_err *err)
{
    struct server *s = (struct server *)engine;
    uint64_t hash = hash_of(asked->text, s->seed);
    struct request *r = s->requests;
    bool seen, cached;

    while (r->asked)
        r++;
    assert(r < s->requests + IN_FLIGHT_MAX);
    (void)err;
    s->taken++;
    s->in_flight++;
    *r = (struct request){.asked = asked, .prompt_tokens = words_of(asked->text) + 1};
    seen = was_seen(s, hash) || (s->model.knows_prompts && strncmp(asked->text, "Ask ", 4) == 0);
    cached = seen && (s->model.caches || s->model.caches_and_tells || s->model.knows_prompts);
    r->cached = cached && s->model.caches_and_tells ? r->prompt_tokens - 1 : 0;
    r->fails = happens(s, s->model.fails);
    write_answer(s, r, hash);
    set_times(s, r, cached);
    route(s, r);
    return true;
}

/* ---- events ---- */

static struct request *next_of(struct server *s)
{
    struct request *next = NULL;

    for (struct request *r = s->requests; r < s->requests + IN_FLIGHT_MAX; r++)
        if (r->asked && (!next || r->at_ns[r->chunk] < next->at_ns[next->chunk]))
            next = r;
    return next;
}

static void give_piece(struct server *s, struct request *r, struct infer_event *out)
{
    int from = r->chunk > 0 ? r->ends[r->chunk - 1] : 0, upto = r->ends[r->chunk];

    snprintf(s->piece, sizeof s->piece, "%.*s", (upto - from) * WORD, r->words + from * WORD);
    out->kind = INFER_TOKENS;
    out->piece = s->piece;
    r->chunk++;
    if (r->chunk == r->chunks)
        r->at_ns[r->chunk] = out->at_ns; /* the end follows at once */
}

static const int layer_ids[LAYERS] = {0, 1};

static void give_end(struct server *s, struct request *r, struct infer_event *out)
{
    static struct infer_routing routing;

    routing = (struct infer_routing){.source = "server per request",
                                     .moe_layers = LAYERS,
                                     .experts = EXPERTS,
                                     .top_k = TOP_K,
                                     .moe_layer_ids = layer_ids,
                                     .prefill = r->prefill,
                                     .decode = r->decode};
    out->kind = r->fails ? INFER_FAILED : INFER_DONE;
    if (r->fails)
        cap_fail(&out->failure, CAP_INTERNAL, "overloaded");
    out->finish_reason = r->tokens == r->asked->max_tokens ? "length" : "stop";
    out->prompt_tokens = r->prompt_tokens;
    out->output_tokens = r->said_tokens;
    out->cached_tokens = s->model.caches_and_tells ? r->cached : -1;
    if (s->model.tells_routing)
        out->routing = &routing;
    s->in_flight--;
    r->asked = NULL;
}

static bool wait_event(struct infer_engine *engine, int wait_ms, struct infer_event *out,
                       struct cap_err *err)
{
    struct server *s = (struct server *)engine;
    struct request *r = next_of(s);
    int64_t until_ns = s->now_ns + (int64_t)wait_ms * 1000000;

    (void)err;
    if (!r || r->at_ns[r->chunk] > until_ns) {
        s->now_ns = until_ns;
        return false;
    }
    if (r->at_ns[r->chunk] > s->now_ns)
        s->now_ns = r->at_ns[r->chunk];
    *out = (struct infer_event){.id = r->asked->id, .at_ns = s->now_ns};
    if (r->chunk < r->chunks && !r->fails)
        give_piece(s, r, out);
    else
        give_end(s, r, out);
    return true;
}

static void cancel(struct infer_engine *engine, uint64_t id)
{
    struct server *s = (struct server *)engine;

    for (struct request *r = s->requests; r < s->requests + IN_FLIGHT_MAX; r++)
        if (r->asked && r->asked->id == id) {
            r->asked = NULL;
            s->in_flight--;
        }
}

static void report(struct infer_engine *engine, struct infer_engine_report *out)
{
    struct server *s = (struct server *)engine;

    *out = (struct infer_engine_report){.version = "1",
                                        .timing_boundary = "http",
                                        .moe_layers = LAYERS,
                                        .experts = EXPERTS,
                                        .top_k = TOP_K,
                                        .threads = -1,
                                        .parameters = -1,
                                        .active_parameters = -1,
                                        .server_says = s->model.says};
}

static const struct infer_engine_ops ops = {
    .name = "openai", .report = report, .submit = submit, .wait = wait_event, .cancel = cancel};

/* ---- the run ---- */

static struct infer_assignment *assign(struct infer_work *work, const struct run_model *run,
                                       uint64_t seed, const struct infer_lease *lease)
{
    const struct infer_spec spec = {
        .engine = "openai", .model = "m", .concurrency = run->concurrency, .seed = seed};
    struct infer_assignment *assignment = NULL;
    struct cap_rand rand;

    cap_rand_seed(&rand, seed);
    infer_work_assign(work, lease, &spec, 1, run->samples, false);
    for (int i = 0; i < run->samples; i++) {
        char uid[32], text[1024];
        int words = 20 + (int)cap_rand_below(&rand, 60), length;
        struct infer_prompt prompt = {.ordinal = (uint32_t)i, .uid = uid};

        snprintf(uid, sizeof uid, "sample-%d", i);
        length = snprintf(text, sizeof text, "Ask %d:", i);
        for (int w = 0; w < words; w++)
            length += snprintf(text + length, sizeof text - (size_t)length, " w%d",
                               (int)cap_rand_below(&rand, 1000));
        prompt.request =
            (struct infer_request){.text = text,
                                   .max_tokens = run->fixed_tokens ? run->fixed_tokens : 128,
                                   .ignore_eos = run->fixed_tokens > 0,
                                   .temperature = run->temperature,
                                   .top_p = 1};
        infer_work_prompt(work, lease->run_id, lease->shard, &prompt);
    }
    infer_work_prompts_end(work, lease->run_id, lease->shard);
    must(infer_work_take(work, 1000, &assignment), NULL);
    return assignment;
}

static void add_rows(struct eval_evidence *e, Moecap__V1__AnswerRows *rows,
                     const struct run_model *run, int *dropped)
{
    for (size_t i = 0; i < rows->n_answers; i++) {
        Moecap__V1__Verdict verdict = MOECAP__V1__VERDICT__INIT;
        bool drop = *dropped < run->answers_dropped;

        verdict.metric = (char *)"exact_match";
        verdict.kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
        verdict.ordinal = rows->answers[i]->ordinal + (run->grades_others ? 1000 : 0);
        *dropped += drop;
        if (drop)
            continue;
        eval_evidence_add_answer(e, rows->answers[i]);
        eval_evidence_add_verdict(e, &verdict);
    }
}

/* What the evaluator would be sent: the header with the report first, then the rows. */
static struct eval_evidence *read_batches(struct infer_work *work, uint64_t generation,
                                          const struct run_model *run, struct cap_arena *arena)
{
    char *metrics[] = {"exact_match"};
    Moecap__V1__EvidenceHeader header = MOECAP__V1__EVIDENCE_HEADER__INIT;
    Moecap__V1__TaskInfo task = MOECAP__V1__TASK_INFO__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__Generation generation_spec = MOECAP__V1__GENERATION__INIT;
    Moecap__V1__AnswerRows *batches[64] = {NULL};
    struct eval_evidence *e;
    struct eval_run known;
    struct cap_err err = {0};
    size_t count = 0;
    bool last = false;
    int dropped = 0;

    while (!last) {
        struct infer_outgoing out = {0};

        must(infer_work_next(work, generation, &out) && count < CAP_COUNT_OF(batches), NULL);
        if (out.kind == INFER_SEND_BATCH) {
            last = out.batch.last;
            batches[count++] =
                moecap__v1__answer_rows__unpack(NULL, out.batch.length, out.batch.rows);
        }
        infer_outgoing_done(&out);
    }
    generation_spec.ignore_eos = run->fixed_tokens > 0;
    generation_spec.max_tokens = (uint32_t)run->fixed_tokens;
    spec.engine = (char *)"openai";
    spec.generation = &generation_spec;
    task.output_type = (char *)"generate_until";
    task.metrics = metrics;
    task.n_metrics = 1;
    header.spec = &spec;
    header.task = &task;
    header.attempted = (uint32_t)run->samples;
    header.attempts = 1;
    header.report = batches[count - 1]->report;
    must(eval_run_read(&header, arena, &known, &err), &err);
    e = eval_evidence_new(&known);
    for (size_t i = 0; i < count; i++) {
        add_rows(e, batches[i], run, &dropped);
        moecap__v1__answer_rows__free_unpacked(batches[i], NULL);
    }
    return e;
}

Moecap__V1__Summary *run_on(const struct server_model *server, const struct run_model *run,
                            uint64_t seed, struct cap_arena *arena)
{
    CAP_AUTO_MEM struct server *s = calloc(1, sizeof *s);
    const struct infer_lease lease = {.run_id = "run-1", .fence = 1};
    static const struct infer_hardware hardware;
    Moecap__V1__Summary *summary = cap_arena_alloc(arena, sizeof *summary);
    struct cap_err err = {0};

    assert(s && summary);
    s->base.ops = &ops;
    s->clock = (struct cap_clock){read_ns, read_wall_ms};
    s->now_ns = 1000000000;
    s->model = *server;
    s->seed = seed;
    cap_rand_seed(&s->rand, seed * 7919 + 1);
    CAP_AUTO(infer_work) work = infer_work_new(&s->clock, 1 << 24, 1 << 24);
    uint64_t generation = infer_work_connected(work, 1000000, 0);
    CAP_AUTO(infer_assignment) assignment = assign(work, run, seed, &lease);
    const struct infer_shard_setup setup = {.work = work,
                                            .assignment = assignment,
                                            .engine = &s->base,
                                            .hardware = &hardware,
                                            .clock = &s->clock,
                                            .open_loop_in_flight_max = 16,
                                            .silence_ms_max = 600000};
    must(infer_shard_run(&setup, &err) == INFER_SHARD_DONE, &err);
    CAP_AUTO(eval_evidence) e = read_batches(work, generation, run, arena);
    must(eval_measure(e, arena, summary), NULL);
    return summary;
}

/* ---- honest ones ---- */

static double between(struct cap_rand *rand, double low, double high)
{
    return low * pow(high / low, cap_rand_unit(rand));
}

void draw_honest(uint64_t seed, struct server_model *server, struct run_model *run)
{
    static const int batch_sizes[] = {1, 2, 4, 8, 16};
    struct cap_rand rand;

    cap_rand_seed(&rand, seed ^ UINT64_C(0xa5a5a5a5));
    *server = (struct server_model){
        .base_us = between(&rand, 1000, 80000),
        .prefill_us = between(&rand, 200, 4000),
        .pace_us = between(&rand, 2000, 60000),
        .jitter = between(&rand, 0.01, 0.15),
        .per_neighbour = between(&rand, 0.001, 0.1),
        .tokens_per_chunk = cap_rand_below(&rand, 4) == 0 ? 2 : 1,
        .diverges = cap_rand_unit(&rand) * 0.2,
        .blank = cap_rand_unit(&rand) * 0.01,
        .fails = cap_rand_unit(&rand) * 0.01,
        .tells_routing = cap_rand_below(&rand, 3) == 0,
        .caches_and_tells = cap_rand_below(&rand, 3) == 0,
        .counts_times = 1,
        .shown = 1,
        .experts = 1,
    };
    *run = (struct run_model){
        .samples = 24 + (int)cap_rand_below(&rand, 40),
        .concurrency = batch_sizes[cap_rand_below(&rand, CAP_COUNT_OF(batch_sizes))],
        .fixed_tokens = cap_rand_below(&rand, 4) == 0 ? 48 : 0,
        .temperature = cap_rand_below(&rand, 4) == 0 ? 0.7 : 0,
    };
}
