/* One shard on one engine, from the warm-up to the last batch.
 *
 * The order matters and is the same for every engine, because times are compared between them:
 *   1. Warm-up: the first prompt runs once, alone, for at most WARM_UP_TOKENS. A reason that would
 *      hold for every request (is_hopeless) fails the shard here, before any sample fails with it.
 *   2. The clock starts. From now on every time is in microseconds since then.
 *   3. turn() over and over: start the requests that are due, take one event or wait a little,
 *      send a batch if one is due, tell progress to people.
 *   4. A server is audited (audit.h): a few requests more, in no figure. What the report says of
 *      the timed part is taken before.
 *   5. The last batch carries the report.
 *
 * What is guaranteed:
 *   - Each prompt gets exactly one answer: completed, or failed with its reason. A request that
 *     cannot be submitted is answered at once.
 *   - An answer's row is written when the request ends, and its bytes do not change after that.
 *   - Times of tokens are the engine's stamps; this file only says when a request was submitted:
 *     in a closed loop when the engine got it, in an open loop when it was due.
 *   - No request starts while answers wait beyond the outbox's limit; the report then says that
 *     the load paused, for its times are not those of the engine alone.
 *   - It returns within one event or WAIT_MS after the lease is no longer wanted.
 *   - An engine that says nothing for silence_ms_max, while it has requests, is lost.
 *
 * Everything here belongs to the worker's thread. Sums of expert counts are flushed with each
 * batch, before its last row, so that a batch holds the counts of the passes that made its
 * answers; passes of requests still in flight are in it, too, so sums over the batches of an
 * interrupted run are not those of its finished samples. */
#include "node/shard.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "node/audit.h"
#include "words/words.h"

enum {
    WARM_UP_TOKENS = 8,
    BATCH_ANSWERS = 64, /* a batch goes out with this many answers, */
    BATCH_AGE_MS = 500, /* or when its first row is this old */
    PROGRESS_MS = 500,
    WAIT_MS = 100, /* a stop is noticed within this and one step of the engine */
    LARGE_ANSWER_BYTES = 256 << 10,
    NOTES_MAX = 8,
    POWER_ROWS = 16,
    ALL_NOTES_MAX = 32, /* the engine's too */
};

struct shard {
    const struct infer_shard_setup *setup;
    const struct infer_assignment *assignment;
    struct infer_engine *engine;
    struct infer_engine_report engine_report;
    struct infer_load load;
    struct infer_self self;
    int64_t pass_started_ns, pass_ended_ns; /* the last one */
    struct infer_in_flight *
        *in_flights; /* [prompt_count], by the prompt's index; NULL = not in flight */
    int next_prompt;
    int64_t start_ns, start_wall_ms, ended_ns;
    int64_t heard_ns; /* the engine's last event, or when it was last idle */

    struct infer_rows rows; /* the batch being filled */
    int64_t rows_since_ns;  /* 0 = it has no row */
    uint64_t seq;
    struct infer_expert_sums sums;
    bool answered; /* a sample, not only failures */

    int64_t progress_ns;
    const char *phase; /* last told */
    /* Generated until now and at the last progress. A chunk that cannot be counted passes for one
     * token until its request ends and the server says how many there were. */
    int64_t tokens, tokens_then;
    const char *notes[NOTES_MAX];
    int note_count;
    char routing_unknown[96];
    struct infer_energy energy[INFER_POWER_DEVICES_MAX];
    int energy_count;
    struct infer_audit *audit; /* NULL = there is none */
    struct infer_answer_check check;
};

static int64_t now_ns(const struct shard *shard)
{
    return cap_clock_ns(shard->setup->clock);
}

static bool is_wanted(const struct shard *shard)
{
    return infer_work_wanted(shard->setup->work, &shard->assignment->lease);
}

static void note(struct shard *shard, const char *text)
{
    for (int i = 0; i < shard->note_count; i++)
        if (shard->notes[i] == text)
            return;
    if (shard->note_count < NOTES_MAX)
        shard->notes[shard->note_count++] = text;
}

/* ---- batches ---- */

static void put_rows(struct shard *shard, bool last)
{
    struct infer_batch batch = {.seq = shard->seq++, .last = last};

    batch.answers = shard->rows.answers;
    batch.completed = shard->rows.completed;
    batch.length = shard->rows.bytes.length;
    cap_sha256(shard->rows.bytes.data, batch.length, batch.sha256);
    batch.rows = (uint8_t *)cap_buf_take(&shard->rows.bytes);
    infer_work_put_batch(shard->setup->work, &shard->assignment->lease, &batch);
    shard->rows.answers = shard->rows.completed = 0;
    shard->rows_since_ns = 0;
}

static void put_full_rows(void *shard)
{
    put_rows(shard, false);
}

static void put_batch(struct shard *shard, bool last)
{
    infer_expert_sums_flush(&shard->sums, &shard->rows, put_full_rows, shard);
    put_rows(shard, last);
}

static void note_row(struct shard *shard)
{
    if (!shard->rows_since_ns)
        shard->rows_since_ns = now_ns(shard);
}

static void put_batch_if_due(struct shard *shard)
{
    bool old = shard->rows_since_ns &&
               now_ns(shard) - shard->rows_since_ns >= (int64_t)BATCH_AGE_MS * 1000000;

    if (old || shard->rows.answers >= BATCH_ANSWERS ||
        shard->rows.bytes.length >= INFER_ROWS_FLUSH_BYTES)
        put_batch(shard, false);
}

/* About what it takes: most counts are below 2^14, two bytes. */
static size_t routing_bytes(const struct infer_answer *answer)
{
    const struct infer_routing *routing = answer->routing;

    return routing ? 4 * (size_t)routing->moe_layers * (size_t)routing->experts : 0;
}

static void put_answer(struct shard *shard, const struct infer_answer *answer)
{
    size_t bytes = strlen(answer->text) + strlen(answer->reasoning) +
                   4 * (answer->output_id_count + answer->itl_count) + routing_bytes(answer);

    if (bytes > LARGE_ANSWER_BYTES && shard->rows_since_ns)
        put_batch(shard, false);
    note_row(shard);
    infer_rows_answer(&shard->rows, answer);
    if (shard->rows.routing_left_out)
        note(shard, "the routing of an answer is left out: it is larger than 256 KiB");
}

/* ---- progress, for people ---- */

static void put_progress(struct shard *shard, const char *phase)
{
    int64_t now = now_ns(shard);
    struct infer_progress progress = {.phase = phase, .in_flight = shard->load.in_flight};

    if (phase == shard->phase && now - shard->progress_ns < (int64_t)PROGRESS_MS * 1000000)
        return;
    shard->phase = phase;
    if (shard->progress_ns && shard->tokens > shard->tokens_then)
        progress.output_tokens_per_s =
            (double)(shard->tokens - shard->tokens_then) * 1e9 / (double)(now - shard->progress_ns);
    shard->progress_ns = now;
    shard->tokens_then = shard->tokens;
    infer_work_put_progress(shard->setup->work, &shard->assignment->lease, &progress);
}

/* ---- power ---- */

static void put_power(struct shard *shard)
{
    struct infer_power_row rows[POWER_ROWS];
    int count = shard->setup->power ? infer_power_rows(shard->setup->power, rows, POWER_ROWS) : 0;

    for (int i = 0; i < count; i++) {
        note_row(shard);
        infer_rows_power(&shard->rows, &rows[i], (rows[i].at_ns - shard->start_ns) / 1000);
    }
}

/* The window of the energy is that of the requests: without the warm-up, without what comes after
 * the last one. */
static void end_power(struct shard *shard)
{
    shard->ended_ns = now_ns(shard);
    if (shard->setup->power)
        shard->energy_count = infer_power_end(shard->setup->power, shard->energy);
    put_power(shard);
}

/* ---- one request ---- */

static int index_of(const struct shard *shard, uint64_t id)
{
    assert(id >= 1 && id <= (uint64_t)shard->assignment->prompt_count);
    return (int)id - 1;
}

/* The request has ended: `done` is its event, or NULL with why it failed. */
static void end_request(struct shard *shard, int index, const struct infer_event *done,
                        const char *error, int64_t ended_ns)
{
    CAP_AUTO(infer_in_flight) in_flight = cap_take(shard->in_flights[index]);
    struct infer_answer answer;

    infer_in_flight_answer(in_flight, done, error, shard->start_ns, ended_ns, &answer);
    if (done && done->output_tokens >= 0)
        shard->tokens += done->output_tokens - in_flight->shown;
    shard->answered = shard->answered || !error;
    if (answer.routing && strcmp(answer.routing->source, "engine") != 0)
        infer_expert_sums_routing(&shard->sums, answer.routing); /* no pass will tell it */
    infer_audit_check(&shard->check, &answer, &shard->engine_report);
    if (shard->audit)
        infer_audit_keep(shard->audit, index, in_flight, &answer);
    if (!in_flight->ids_complete && in_flight->id_count)
        note(shard, "an answer has no token ids or gaps: it is longer than 65536 tokens");
    put_answer(shard, &answer);
    infer_load_ended(&shard->load);
}

static void start_request(struct shard *shard, int64_t due_ns)
{
    int index = shard->next_prompt++;
    const struct infer_prompt *prompt = &shard->assignment->prompts[index];
    struct cap_err err = {0};
    int64_t now = now_ns(shard);
    bool ok;

    if (shard->load.in_flight == 0)
        shard->heard_ns = now;
    shard->in_flights[index] = infer_in_flight_new(
        prompt, due_ns,
        infer_load_sent_ns(due_ns, now, shard->pass_started_ns, shard->pass_ended_ns));
    infer_load_started(&shard->load);
    infer_self_out(&shard->self);
    ok = shard->engine->ops->submit(shard->engine, &prompt->request, &err);
    infer_self_back(&shard->self);
    if (!ok)
        end_request(shard, index, NULL, err.text, now_ns(shard));
}

static void start_due_requests(struct shard *shard)
{
    int64_t due_ns;

    while (shard->next_prompt < shard->assignment->prompt_count && is_wanted(shard) &&
           infer_load_due(&shard->load, now_ns(shard), &due_ns)) {
        if (!infer_work_has_room(shard->setup->work)) {
            note(shard, "the load paused while answers waited to be stored");
            return;
        }
        start_request(shard, due_ns);
        put_batch_if_due(shard);
        put_progress(shard, "running");
    }
}

static void cancel_requests(struct shard *shard)
{
    for (int i = 0; i < shard->next_prompt; i++)
        if (shard->in_flights[i]) {
            shard->engine->ops->cancel(shard->engine, (uint64_t)i + 1);
            infer_in_flight_free(cap_take(shard->in_flights[i]));
        }
}

/* ---- events ---- */

static void take_tokens(struct shard *shard, const struct infer_event *event)
{
    int index = index_of(shard, event->id);

    shard->tokens += event->tokens ? event->tokens : 1;
    shard->in_flights[index]->shown += event->tokens ? event->tokens : 1;
    if (infer_in_flight_tokens(shard->in_flights[index], event))
        return;
    shard->engine->ops->cancel(shard->engine, event->id);
    end_request(shard, index, NULL, "the answer is longer than 512 KiB", event->at_ns);
}

static void take_pass(struct shard *shard, const struct infer_pass *pass)
{
    note_row(shard);
    shard->pass_started_ns = pass->started_ns;
    shard->pass_ended_ns = now_ns(shard);
    infer_rows_pass(&shard->rows, pass, (pass->started_ns - shard->start_ns) / 1000, false);
    infer_expert_sums_pass(&shard->sums, pass);
}

static void take_event(struct shard *shard, const struct infer_event *event)
{
    shard->heard_ns = now_ns(shard);
    switch (event->kind) {
    case INFER_TOKENS:
        take_tokens(shard, event);
        break;
    case INFER_PASS:
        take_pass(shard, &event->pass);
        break;
    case INFER_DONE:
        end_request(shard, index_of(shard, event->id), event, NULL, event->at_ns);
        break;
    case INFER_FAILED:
        end_request(shard, index_of(shard, event->id), NULL, event->failure.text, event->at_ns);
        break;
    }
}

/* ---- warm-up ---- */

/* A warm-up pass, kept until the clock has started and its time can be told. */
struct kept_pass {
    struct infer_pass pass;
    uint32_t *distinct_experts;
};

struct kept_passes {
    struct kept_pass list[64]; /* of a longer warm-up the first ones */
    int count;
};

static void keep_pass(struct kept_passes *kept, const struct infer_pass *pass)
{
    struct kept_pass *slot = &kept->list[kept->count];
    size_t layers = pass->distinct_experts ? (size_t)pass->moe_layers : 0;

    if ((size_t)kept->count == CAP_COUNT_OF(kept->list))
        return;
    kept->count++;
    slot->pass = *pass;
    slot->distinct_experts = calloc(layers + 1, sizeof(uint32_t));
    assert(slot->distinct_experts);
    if (layers)
        memcpy(slot->distinct_experts, pass->distinct_experts, layers * sizeof(uint32_t));
    slot->pass.distinct_experts = layers ? slot->distinct_experts : NULL;
}

static void put_kept_passes(struct shard *shard, struct kept_passes *kept)
{
    for (int i = 0; i < kept->count; i++) {
        struct kept_pass *slot = &kept->list[i];

        note_row(shard);
        infer_rows_pass(&shard->rows, &slot->pass, (slot->pass.started_ns - shard->start_ns) / 1000,
                        true);
        free(slot->distinct_experts);
    }
}

static bool fail_silent(const struct shard *shard, struct cap_err *err)
{
    return cap_fail(err, CAP_UNAVAILABLE, "the engine has not said anything for %d s",
                    shard->setup->silence_ms_max / 1000);
}

static bool is_silent(const struct shard *shard)
{
    return now_ns(shard) - shard->heard_ns > (int64_t)shard->setup->silence_ms_max * 1000000;
}

/* What fails so for one request fails so for all of them. */
static bool is_hopeless(enum cap_code code)
{
    return code == CAP_UNAVAILABLE || code == CAP_UNIMPLEMENTED || code == CAP_NOT_FOUND ||
           code == CAP_PERMISSION_DENIED;
}

/* Being ready does not mean being able: this request may be the first that a server computes. What
 * fails for this prompt alone says nothing, its sample will. */
static bool judge_warm_up(const struct infer_event *event, struct cap_err *err)
{
    if (event->kind == INFER_DONE || !is_hopeless(event->failure.code))
        return true;
    *err = event->failure;
    return cap_fail_in(err, "the warm-up request failed");
}

/* False = the engine is lost, or will fail every request. */
static bool wait_warm_up(struct shard *shard, const struct infer_request *request,
                         struct kept_passes *kept, struct cap_err *err)
{
    struct infer_event event;

    shard->heard_ns = now_ns(shard);
    while (is_wanted(shard)) {
        if (shard->engine->ops->wait(shard->engine, WAIT_MS, &event, err)) {
            shard->heard_ns = now_ns(shard);
            if (event.kind == INFER_PASS)
                keep_pass(kept, &event.pass);
            else if (event.kind != INFER_TOKENS)
                return judge_warm_up(&event, err);
        } else if (err->code != CAP_OK) {
            return false;
        } else if (is_silent(shard)) {
            return fail_silent(shard, err);
        }
    }
    shard->engine->ops->cancel(shard->engine, request->id);
    return true;
}

static bool warm_up(struct shard *shard, struct kept_passes *kept, struct cap_err *err)
{
    struct infer_request request;
    struct cap_err refused = {0};

    if (shard->assignment->prompt_count == 0)
        return true;
    request = shard->assignment->prompts[0].request;
    if (request.max_tokens > WARM_UP_TOKENS || request.max_tokens == 0)
        request.max_tokens = WARM_UP_TOKENS;
    if (!shard->engine->ops->submit(shard->engine, &request, &refused)) {
        if (is_hopeless(refused.code))
            *err = refused;
        return !is_hopeless(refused.code);
    }
    return wait_warm_up(shard, &request, kept, err);
}

/* ---- the shard ---- */

static int wait_ms(const struct shard *shard)
{
    int64_t left_ms = infer_load_wait_ns(&shard->load, now_ns(shard)) / 1000000;

    if (shard->next_prompt == shard->assignment->prompt_count || left_ms > WAIT_MS)
        return WAIT_MS;
    return (int)left_ms;
}

/* Nothing is in flight: to the moment when the next request is due, but no longer than a stop may
 * take to be noticed. */
static void sleep_until_due(struct shard *shard)
{
    int64_t left_ns = infer_load_wait_ns(&shard->load, now_ns(shard));
    int64_t most_ns = (int64_t)WAIT_MS * 1000000;

    if (shard->next_prompt == shard->assignment->prompt_count)
        return;
    if (left_ns == 0)
        left_ns = 1000000; /* due, but there is no room for its answer yet */
    infer_self_out(&shard->self);
    cap_sleep_ns(left_ns < most_ns ? left_ns : most_ns);
    infer_self_back(&shard->self);
}

static bool wait_event(struct shard *shard, struct infer_event *out_event, struct cap_err *err)
{
    int most_ms = wait_ms(shard);
    bool came;

    infer_self_out(&shard->self);
    came = shard->engine->ops->wait(shard->engine, most_ms, out_event, err);
    infer_self_back(&shard->self);
    return came;
}

/* One turn: start what is due, then one event, or a short wait. */
static bool turn(struct shard *shard, struct cap_err *err)
{
    struct infer_event event;

    start_due_requests(shard);
    infer_self_look(&shard->self);
    if (shard->load.in_flight == 0)
        sleep_until_due(shard);
    else if (wait_event(shard, &event, err))
        take_event(shard, &event);
    else if (err->code != CAP_OK)
        return false;
    else if (is_silent(shard))
        return fail_silent(shard, err);
    put_power(shard);
    put_batch_if_due(shard);
    put_progress(shard, "running");
    return true;
}

/* NULL when answers have their routing, or there was none that could have it. */
static const char *why_no_routing(struct shard *shard)
{
    if (shard->rows.routing_seen || shard->rows.routing_left_out ||
        shard->assignment->prompt_count == 0)
        return NULL;
    if (shard->engine_report.routing_unknown)
        return shard->engine_report.routing_unknown;
    if (!shard->answered)
        return "no sample was answered";
    snprintf(shard->routing_unknown, sizeof shard->routing_unknown,
             "the %.32s engine reports no routing", shard->engine->ops->name);
    return shard->routing_unknown;
}

static bool is_server(const struct shard *shard)
{
    const char *boundary = shard->engine_report.timing_boundary;

    return boundary && strcmp(boundary, "http") == 0;
}

/* NULL when there is no routing. */
static const char *routing_source(struct shard *shard)
{
    const struct infer_engine_report *engine = &shard->engine_report;

    if (engine->weights == INFER_WEIGHTS_NONE)
        return CAP_ROUTING_SIMULATED;
    if (engine->moe_layers <= 0 || why_no_routing(shard))
        return NULL;
    return engine->weights == INFER_WEIGHTS_RANDOM    ? CAP_ROUTING_WEIGHTS
           : shard->assignment->spec.input_tokens > 0 ? CAP_ROUTING_TEXT
           : is_server(shard)                         ? CAP_ROUTING_SERVER
                                                      : CAP_ROUTING_REAL;
}

/* NULL when it is audited, or is no server. */
static const char *why_no_audit(const struct shard *shard)
{
    if (!is_server(shard) || shard->audit)
        return NULL;
    return shard->assignment->spec.no_audit ? "the submission asked for no audit"
                                            : "answers that are only scored are not audited";
}

/* What this shard saw and what the engine has to say; how many. */
static int gather_notes(const struct shard *shard, const char *out[ALL_NOTES_MAX])
{
    const struct infer_engine_report *engine = &shard->engine_report;
    int count = 0;

    for (int i = 0; i < shard->note_count; i++)
        out[count++] = shard->notes[i];
    for (int i = 0; i < engine->note_count && count < ALL_NOTES_MAX; i++)
        out[count++] = engine->notes[i];
    return count;
}

static bool shard_is_wanted(void *shard)
{
    return is_wanted(shard);
}

static void run_audit(struct shard *shard)
{
    const struct infer_audit_setup setup = {.engine = shard->engine,
                                            .clock = shard->setup->clock,
                                            .wanted = shard_is_wanted,
                                            .wanted_arg = shard};

    if (!shard->audit)
        return;
    if (shard->rows_since_ns) /* what is answered need not wait */
        put_batch(shard, false);
    put_progress(shard, "auditing");
    infer_audit_run(shard->audit, &setup);
}

/* Asked again: a server may have told its version only with its answers. What the report says of
 * the timed part is taken before the audit. */
static void put_last_batch(struct shard *shard)
{
    struct infer_shard_report report;
    const char *notes[ALL_NOTES_MAX];
    double load_average;

    shard->engine->ops->report(shard->engine, &shard->engine_report);
    report = (struct infer_shard_report){
        .engine = &shard->engine_report,
        .hardware = shard->setup->hardware,
        .model_sha256 = shard->engine_report.model_sha256 ? shard->engine_report.model_sha256
                                                          : shard->setup->model_sha256,
        .started_wall_ms = shard->start_wall_ms,
        .ended_us = (shard->ended_ns - shard->start_ns) / 1000,
        .load_average = getloadavg(&load_average, 1) == 1 ? load_average : -1,
        .held_arrivals = shard->load.held_count,
        .retries = shard->engine_report.retries,
        .notes = notes,
        .note_count = gather_notes(shard, notes),
        .counts_unknown = shard->engine_report.counts_unknown,
        .routing_unknown = why_no_routing(shard),
        .routing_source = routing_source(shard),
        .energy = shard->energy,
        .energy_count = shard->energy_count,
        .audit_unknown = why_no_audit(shard),
        .check = shard->check.completed > 0 ? &shard->check : NULL,
    };
    infer_self_report(&shard->self, &report.self);
    run_audit(shard);
    report.probes = infer_audit_probes(shard->audit, &report.probe_count);
    infer_rows_report(&shard->rows, &report);
    put_batch(shard, true);
}

static bool is_in_process(const struct shard *shard)
{
    const char *boundary = shard->engine_report.timing_boundary;

    return boundary && strcmp(boundary, "engine") == 0;
}

static void start_clock(struct shard *shard)
{
    const struct infer_spec *spec = &shard->assignment->spec;

    if (shard->engine->ops->begin)
        shard->engine->ops->begin(shard->engine);
    if (shard->setup->power)
        infer_power_begin(shard->setup->power, shard->setup->power_scope);
    shard->start_ns = now_ns(shard);
    shard->start_wall_ms = cap_clock_wall_ms(shard->setup->clock);
    infer_self_start(&shard->self, shard->setup->clock, is_in_process(shard));
    if (spec->concurrency > 0)
        infer_load_closed(&shard->load, spec->concurrency);
    else
        infer_load_open(&shard->load, &shard->assignment->arrivals,
                        shard->setup->open_loop_in_flight_max, spec->seed, shard->start_ns);
}

static enum infer_shard_outcome run(struct shard *shard, struct cap_err *err)
{
    struct kept_passes kept = {.count = 0};
    bool ok;

    put_progress(shard, "warming up");
    ok = warm_up(shard, &kept, err);
    start_clock(shard);
    put_kept_passes(shard, &kept);
    while (ok && is_wanted(shard) &&
           (shard->next_prompt < shard->assignment->prompt_count || shard->load.in_flight > 0))
        ok = turn(shard, err);
    end_power(shard);
    if (!is_wanted(shard)) {
        cap_err_clear(err);
        return INFER_SHARD_UNWANTED;
    }
    if (ok)
        put_last_batch(shard);
    else if (shard->rows_since_ns)
        put_batch(shard, false);
    return ok ? INFER_SHARD_DONE : INFER_SHARD_FAILED;
}

static bool check_scores(const struct shard *shard, struct cap_err *err)
{
    for (int i = 0; i < shard->assignment->prompt_count && !shard->engine_report.can_score; i++)
        if (shard->assignment->prompts[i].request.continuation_count)
            return cap_fail(err, CAP_FAILED_PRECONDITION,
                            "the engine %s cannot score continuations, which this task needs",
                            shard->engine->ops->name);
    return true;
}

static bool check_arrivals(const struct shard *shard, struct cap_err *err)
{
    const struct cap_arrivals_form *arrivals = &shard->assignment->arrivals;
    int prompts = shard->assignment->prompt_count;

    return !arrivals->times_s || arrivals->time_count >= (size_t)prompts ||
           cap_fail(err, CAP_FAILED_PRECONDITION,
                    "the load's replay has %zu times for %d samples; take fewer samples",
                    arrivals->time_count, prompts);
}

enum infer_shard_outcome infer_shard_run(const struct infer_shard_setup *setup, struct cap_err *err)
{
    struct shard shard = {.setup = setup,
                          .assignment = setup->assignment,
                          .engine = setup->engine,
                          .seq = setup->assignment->seq_next};
    enum infer_shard_outcome outcome = INFER_SHARD_FAILED;

    shard.engine->ops->report(shard.engine, &shard.engine_report);
    shard.in_flights =
        calloc((size_t)setup->assignment->prompt_count + 1, sizeof(struct infer_in_flight *));
    assert(shard.in_flights);
    infer_rows_init(&shard.rows);
    if (is_server(&shard) && !setup->assignment->spec.no_audit)
        shard.audit = infer_audit_new(setup->assignment, shard.engine_report.context_tokens_max);
    if (check_scores(&shard, err) && check_arrivals(&shard, err))
        outcome = run(&shard, err);
    cancel_requests(&shard);
    infer_rows_done(&shard.rows);
    infer_expert_sums_done(&shard.sums);
    infer_audit_free(shard.audit);
    free(shard.in_flights);
    return outcome;
}
