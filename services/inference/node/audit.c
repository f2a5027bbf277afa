/* What is asked after the timed part, in which order, and what of each reply is kept.
 *
 * Three prompts of the shard, drawn by its seed, are asked again ("repeat"). Their words in another
 * order, behind a word that nobody ever sent, are prompts of the same length that no cache holds:
 * of two of them, one for as long an answer ("fresh") and one for one token ("short"). Last,
 * answers of the timed part are sent as a prompt ("count"): the server counts their tokens once
 * more, without knowing for what. Each is alone on the server, so that nothing but the server
 * explains its times. The order of the first seven is drawn, too. */
#include "node/audit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/rand.h"

enum {
    ORIGINS_MAX = 3, /* prompts of the shard that the audit's are made of */
    PROBE_TOKENS = 32,
    LONG_CHUNKS = 8, /* fewer say little of the gaps between them */
    WAIT_MS = 100,
    REQUEST_MS_MAX = 60000, /* one that takes longer ends the audit, */
    AUDIT_MS_MAX = 120000,  /* and so does this: meanwhile nothing is delivered */
    PROMPTS_BYTES_MAX = 16 << 20,
    COUNT_TEXT_BYTES = 16 << 10, /* of answers that are counted; of each at least: */
    COUNT_TOKENS_MIN = 16,
    COUNT_TOKENS = 1024, /* of all, where the context is not known to hold more; else half of it */
    STRANGE_LETTERS = 8,
};

/* A prompt of the shard, and what is kept of its timed answer. */
struct origin {
    int index;
    bool has_answer;
    char *text;
    double pace_us;
};

struct infer_audit {
    const struct infer_assignment *assignment;
    struct cap_rand rand;
    struct cap_arena *arena; /* of prompts that are made */
    struct origin origins[ORIGINS_MAX];
    int origin_count;
    struct cap_buf counted;
    int counted_tokens, count_tokens_max;
    int64_t ends_ns;
    struct infer_probe probes[INFER_PROBES_MAX];
    int probe_count;
};

/* ---- the timed part ---- */

static bool is_drawn(const struct infer_audit *audit, int index)
{
    for (int i = 0; i < audit->origin_count; i++)
        if (audit->origins[i].index == index)
            return true;
    return false;
}

struct infer_audit *infer_audit_new(const struct infer_assignment *assignment, int context_tokens)
{
    int count = assignment->prompt_count;
    struct infer_audit *audit;

    if (count == 0 || assignment->prompts[0].request.continuation_count > 0)
        return NULL;
    audit = calloc(1, sizeof *audit);
    assert(audit);
    audit->assignment = assignment;
    audit->count_tokens_max = context_tokens > 0 ? context_tokens / 2 : COUNT_TOKENS;
    audit->arena = cap_arena_new(PROMPTS_BYTES_MAX);
    cap_rand_seed(&audit->rand, assignment->spec.seed ^ UINT64_C(0x6d6f656361706175));
    cap_buf_init(&audit->counted, COUNT_TEXT_BYTES);
    while (audit->origin_count < ORIGINS_MAX && audit->origin_count < count) {
        int index = (int)cap_rand_below(&audit->rand, (uint64_t)count);

        if (!is_drawn(audit, index))
            audit->origins[audit->origin_count++] = (struct origin){.index = index};
    }
    return audit;
}

void infer_audit_free(struct infer_audit *audit)
{
    if (!audit)
        return;
    for (int i = 0; i < audit->origin_count; i++)
        free(audit->origins[i].text);
    cap_buf_done(&audit->counted);
    cap_arena_free(audit->arena);
    free(audit);
}

static char *join(const char *reasoning, const char *text)
{
    char *out = NULL;

    if (asprintf(&out, "%s%s", reasoning ? reasoning : "", text ? text : "") < 0)
        abort();
    return out;
}

/* Long answers only: the ends of many short ones would be most of what is counted. */
static void keep_for_count(struct infer_audit *audit, const struct infer_answer *answer)
{
    CAP_AUTO_MEM char *text = join(answer->reasoning, answer->text);

    if (answer->output_tokens < COUNT_TOKENS_MIN ||
        audit->counted_tokens + answer->output_tokens > audit->count_tokens_max ||
        audit->counted.length + strlen(text) + 1 >= COUNT_TEXT_BYTES)
        return;
    cap_buf_add_str(&audit->counted, text);
    cap_buf_add_str(&audit->counted, "\n");
    audit->counted_tokens += answer->output_tokens;
}

void infer_audit_keep(struct infer_audit *audit, int index, const struct infer_in_flight *in_flight,
                      const struct infer_answer *answer)
{
    const struct infer_timing *timing = &in_flight->timing;

    if (answer->error)
        return;
    keep_for_count(audit, answer);
    for (int i = 0; i < audit->origin_count; i++) {
        struct origin *origin = &audit->origins[i];

        if (origin->index != index || origin->has_answer)
            continue;
        origin->has_answer = true;
        origin->text = join(answer->reasoning, answer->text);
        origin->pace_us = timing->events > 1 ? (double)(timing->last_ns - timing->first_ns) / 1e3 /
                                                   (double)(timing->events - 1)
                                             : -1;
    }
}

/* ---- what the answers hold ---- */

static bool is_blank_text(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

static int64_t selections(const uint32_t *counts, int experts)
{
    int64_t total = 0;

    for (int i = 0; counts && i < experts; i++)
        total += counts[i];
    return total;
}

/* Every token of the prompt that was computed, and every one of the answer but the last, chooses
 * top_k experts in each layer. A server need not tell how much of a prompt was cached: then only
 * the answer's tokens count. */
static bool lacks_experts(const struct infer_answer *answer,
                          const struct infer_engine_report *engine)
{
    const struct infer_routing *routing = answer->routing;
    bool in_node = engine->timing_boundary && strcmp(engine->timing_boundary, "engine") == 0;
    bool knows_cached = in_node || answer->cached_tokens >= 0;
    int64_t top_k = engine->top_k > 0 ? engine->top_k : routing->top_k;
    int64_t tokens = answer->output_tokens > 0 ? answer->output_tokens - 1 : 0;

    if (knows_cached)
        tokens += answer->prompt_tokens - (answer->cached_tokens > 0 ? answer->cached_tokens : 0);
    for (int layer = 0; layer < routing->moe_layers; layer++) {
        size_t at = (size_t)layer * (size_t)routing->experts;
        const uint32_t *decode = routing->decode ? routing->decode + at : NULL;
        const uint32_t *prefill = routing->prefill ? routing->prefill + at : NULL;
        int64_t found = selections(decode, routing->experts);

        if (knows_cached)
            found += selections(prefill, routing->experts);
        if (found < top_k * tokens)
            return true;
    }
    return false;
}

void infer_audit_check(struct infer_answer_check *check, const struct infer_answer *answer,
                       const struct infer_engine_report *engine)
{
    bool is_blank_answer;

    if (answer->error || answer->score_count > 0)
        return;
    is_blank_answer = is_blank_text(answer->text) && is_blank_text(answer->reasoning);
    check->completed++;
    check->blank += is_blank_answer;
    if (!is_blank_answer && answer->output_tokens >= 0) {
        check->counted++;
        check->thin +=
            strlen(answer->text) + strlen(answer->reasoning) + 2 < (size_t)answer->output_tokens;
    }
    if (answer->routing && answer->prompt_tokens >= 0 && answer->output_tokens >= 0) {
        check->routed++;
        check->short_routing += lacks_experts(answer, engine);
    }
}

/* ---- prompts that nobody has asked ---- */

static uint64_t below(struct infer_audit *audit, size_t bound)
{
    return cap_rand_below(&audit->rand, bound);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

struct word {
    const char *at;
    size_t length;
};

static size_t split(const char *text, struct word *out)
{
    size_t count = 0;

    while (*text) {
        const char *end = text;

        while (*end && !is_blank(*end))
            end++;
        if (out && end > text)
            out[count] = (struct word){text, (size_t)(end - text)};
        count += end > text;
        text = *end ? end + 1 : end;
    }
    return count;
}

/* The words in another order, with the blanks between them where they were. NULL when full. */
static const char *scramble(struct infer_audit *audit, const char *text)
{
    size_t length = strlen(text), count = split(text, NULL), next = 0;
    struct word *words = cap_arena_array(audit->arena, count + 1, sizeof *words);
    char *out = cap_arena_alloc(audit->arena, length + STRANGE_LETTERS + 2), *to = out;

    if (!words || !out)
        return NULL;
    split(text, words);
    cap_rand_shuffle(&audit->rand, words, count, sizeof *words);
    for (int i = 0; i < STRANGE_LETTERS; i++)
        *to++ = (char)('a' + below(audit, 26));
    *to++ = ' ';
    for (const char *from = text; *from;) {
        if (is_blank(*from)) {
            *to++ = *from++;
            continue;
        }
        memcpy(to, words[next].at, words[next].length);
        to += words[next++].length;
        while (*from && !is_blank(*from))
            from++;
    }
    *to = '\0';
    return out;
}

static const uint32_t *scramble_ids(struct infer_audit *audit, const uint32_t *ids, int count)
{
    uint32_t *out = cap_arena_array(audit->arena, (size_t)count, sizeof *out);

    if (!out)
        return NULL;
    memcpy(out, ids, (size_t)count * sizeof *out);
    cap_rand_shuffle(&audit->rand, out, (size_t)count, sizeof *out);
    return out;
}

static bool scramble_messages(struct infer_audit *audit, struct infer_request *request)
{
    struct infer_message *out =
        cap_arena_array(audit->arena, (size_t)request->message_count, sizeof *out);

    for (int i = 0; out && i < request->message_count; i++) {
        out[i] = request->messages[i];
        if (!(out[i].content = scramble(audit, request->messages[i].content)))
            return false;
    }
    request->messages = out;
    return out != NULL;
}

static bool make_fresh(struct infer_audit *audit, struct infer_request *request)
{
    if (request->prompt_id_count > 0) {
        request->prompt_ids = scramble_ids(audit, request->prompt_ids, request->prompt_id_count);
        return request->prompt_ids != NULL;
    }
    if (request->message_count > 0)
        return scramble_messages(audit, request);
    request->text = scramble(audit, request->text ? request->text : "");
    return request->text != NULL;
}

/* ---- one request ---- */

struct asking {
    const struct infer_audit_setup *setup;
    struct infer_probe *probe;
    struct cap_buf text;
    int64_t sent_ns, first_ns, second_ns, last_ns, audit_ends_ns;
};

static void take_chunk(struct asking *a, const struct infer_event *event)
{
    const char *piece = event->piece ? event->piece : "";
    const char *reasoning = event->reasoning_piece ? event->reasoning_piece : "";

    cap_buf_add_str(&a->text, reasoning);
    cap_buf_add_str(&a->text, piece);
    if (event->is_closing && !*piece && !*reasoning)
        return;
    a->probe->chunks++;
    a->last_ns = event->at_ns;
    if (a->probe->chunks == 1)
        a->first_ns = event->at_ns;
    else if (a->probe->chunks == 2)
        a->second_ns = event->at_ns;
}

static void take_end(struct asking *a, const struct infer_event *event)
{
    struct infer_probe *probe = a->probe;

    if (event->kind == INFER_FAILED) {
        snprintf(probe->error, sizeof probe->error, "%.180s", event->failure.text);
        return;
    }
    if (event->piece)
        cap_buf_add_str(&a->text, event->piece);
    probe->prompt_tokens = event->prompt_tokens;
    probe->output_tokens = event->output_tokens;
    probe->cached_tokens = event->cached_tokens;
    if (probe->chunks > 0)
        probe->first_us = (a->first_ns - a->sent_ns) / 1000;
    if (probe->chunks > 1)
        probe->first_gap_us = (a->second_ns - a->first_ns) / 1000;
    if (probe->chunks > 2)
        probe->pace_us = (double)(a->last_ns - a->second_ns) / 1e3 / (probe->chunks - 2);
}

/* False: nobody waits for more, or nothing answers. */
static bool await(struct asking *a, uint64_t id)
{
    const struct infer_audit_setup *setup = a->setup;
    int64_t until_ns = a->sent_ns + (int64_t)REQUEST_MS_MAX * 1000000;
    bool is_last = a->audit_ends_ns < until_ns;
    struct infer_event event;
    struct cap_err err = {0};

    while (setup->wanted(setup->wanted_arg) &&
           cap_clock_ns(setup->clock) < (is_last ? a->audit_ends_ns : until_ns)) {
        if (setup->engine->ops->wait(setup->engine, WAIT_MS, &event, &err)) {
            if (event.kind == INFER_TOKENS)
                take_chunk(a, &event);
            if (event.kind == INFER_DONE || event.kind == INFER_FAILED) {
                take_end(a, &event);
                return true;
            }
        } else if (err.code != CAP_OK) {
            snprintf(a->probe->error, sizeof a->probe->error, "%.180s", err.text);
            return false;
        }
    }
    setup->engine->ops->cancel(setup->engine, id);
    snprintf(a->probe->error, sizeof a->probe->error, "%s did not end within %d s",
             is_last ? "the audit" : "it", (is_last ? AUDIT_MS_MAX : REQUEST_MS_MAX) / 1000);
    return false;
}

/* The share of the shorter text after which the two differ; 1: they do not. */
static double share_until_different(const char *a, const char *b)
{
    size_t same = 0, length = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

    if (length == 0)
        return *a == *b; /* both are empty, or one of them */
    while (same < length && a[same] == b[same])
        same++;
    return (double)same / (double)length;
}

/* False: no further request makes sense. */
static bool ask(struct infer_audit *audit, const struct infer_audit_setup *setup,
                struct infer_request *request, struct infer_probe *probe, const char *timed_text)
{
    struct asking a = {.setup = setup, .probe = probe, .audit_ends_ns = audit->ends_ns};
    struct cap_err err = {0};
    bool goes_on = true;

    request->id = (uint64_t)audit->probe_count;
    a.sent_ns = cap_clock_ns(setup->clock);
    cap_buf_init(&a.text, INFER_TEXT_BYTES_MAX);
    if (setup->engine->ops->submit(setup->engine, request, &err))
        goes_on = await(&a, request->id);
    else
        snprintf(probe->error, sizeof probe->error, "%.180s", err.text);
    if (!*probe->error && timed_text && request->temperature == 0)
        probe->same = share_until_different(timed_text, a.text.data ? a.text.data : "");
    cap_buf_done(&a.text);
    return goes_on;
}

/* ---- the plan ---- */

static struct infer_probe *new_probe(struct infer_audit *audit, const char *kind, uint32_t ordinal)
{
    struct infer_probe *probe = &audit->probes[audit->probe_count++];

    *probe = (struct infer_probe){.kind = kind,
                                  .ordinal = ordinal,
                                  .first_us = -1,
                                  .first_gap_us = -1,
                                  .pace_us = -1,
                                  .timed_pace_us = -1,
                                  .same = -1,
                                  .prompt_tokens = -1,
                                  .output_tokens = -1,
                                  .cached_tokens = -1,
                                  .counted_tokens = -1};
    return probe;
}

struct step {
    const char *kind;
    int origin;
};

static bool take_step(struct infer_audit *audit, const struct infer_audit_setup *setup,
                      const struct step *step)
{
    const struct origin *origin = &audit->origins[step->origin % audit->origin_count];
    const struct infer_prompt *prompt = &audit->assignment->prompts[origin->index];
    struct infer_request request = prompt->request;
    bool is_repeat = strcmp(step->kind, "repeat") == 0;
    struct infer_probe *probe;

    if (request.max_tokens == 0 || request.max_tokens > PROBE_TOKENS)
        request.max_tokens = PROBE_TOKENS;
    if (strcmp(step->kind, "short") == 0)
        request.max_tokens = 1;
    if ((is_repeat && step->origin >= audit->origin_count) ||
        (!is_repeat && !make_fresh(audit, &request)))
        return true;
    probe = new_probe(audit, step->kind, prompt->ordinal);
    if (is_repeat && origin->has_answer)
        probe->timed_pace_us = origin->pace_us;
    return ask(audit, setup, &request, probe,
               is_repeat && origin->has_answer ? origin->text : NULL);
}

static bool count_tokens(struct infer_audit *audit, const struct infer_audit_setup *setup)
{
    const struct infer_prompt *first = &audit->assignment->prompts[audit->origins[0].index];
    const struct infer_message message = {"user", audit->counted.data};
    struct infer_request request = first->request;
    struct infer_probe *probe;

    if (audit->counted.length == 0)
        return true;
    request.prompt_ids = NULL;
    request.prompt_id_count = 0;
    request.max_tokens = 1;
    if (request.message_count > 0) {
        request.messages = &message;
        request.message_count = 1;
    } else {
        request.text = audit->counted.data;
    }
    probe = new_probe(audit, "count", first->ordinal);
    probe->counted_tokens = audit->counted_tokens;
    return ask(audit, setup, &request, probe, NULL);
}

static bool is_useful(const struct infer_probe *probe)
{
    return !*probe->error && (strcmp(probe->kind, "fresh") != 0 || probe->chunks >= LONG_CHUNKS);
}

/* One that fails, or that a model has nothing to say to, may be bad luck; a second time it is not.
 * It is made again: the server has seen the first one. */
static bool take_twice(struct infer_audit *audit, const struct infer_audit_setup *setup,
                       const struct step *step)
{
    int before = audit->probe_count;

    for (int times = 0; times < 2; times++) {
        audit->probe_count = before;
        if (!(step ? take_step(audit, setup, step) : count_tokens(audit, setup)))
            return false;
        if (audit->probe_count == before || is_useful(&audit->probes[before]))
            return true;
    }
    return true;
}

void infer_audit_run(struct infer_audit *audit, const struct infer_audit_setup *setup)
{
    struct step steps[] = {{"repeat", 0}, {"repeat", 1}, {"repeat", 2}, {"fresh", 0},
                           {"fresh", 1},  {"short", 0},  {"short", 1}};
    size_t count = CAP_COUNT_OF(steps);

    audit->ends_ns = cap_clock_ns(setup->clock) + (int64_t)AUDIT_MS_MAX * 1000000;
    cap_rand_shuffle(&audit->rand, steps, count, sizeof *steps);
    for (size_t i = 0; i < count; i++)
        if (!take_twice(audit, setup, &steps[i]))
            return;
    take_twice(audit, setup, NULL);
}

const struct infer_probe *infer_audit_probes(const struct infer_audit *audit, int *out_count)
{
    *out_count = audit ? audit->probe_count : 0;
    return audit ? audit->probes : NULL;
}
