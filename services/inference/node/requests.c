/* A shard's requests: arrivals, time stamps, and what an answer is made of. Pure. */
#include "node/shard.h"

#include <assert.h>
#include <stdlib.h>

/* ---- when the next request may start ---- */

void infer_load_closed(struct infer_load *load, int concurrency)
{
    assert(concurrency > 0);
    *load = (struct infer_load){.in_flight_max = concurrency};
}

/* 104 days are never. */
static void set_next_due(struct infer_load *load)
{
    double due_ns = cap_arrivals_next_s(&load->arrivals) * 1e9;

    load->next_due_ns = due_ns < 9e15 ? load->start_ns + (int64_t)due_ns : INT64_MAX;
    load->is_held = false;
}

void infer_load_open(struct infer_load *load, const struct cap_arrivals_form *form,
                     int in_flight_max, uint64_t seed, int64_t now_ns)
{
    assert(in_flight_max > 0);
    *load =
        (struct infer_load){.in_flight_max = in_flight_max, .is_open = true, .start_ns = now_ns};
    cap_arrivals_start(&load->arrivals, form, seed);
    set_next_due(load);
}

bool infer_load_due(struct infer_load *load, int64_t now_ns, int64_t *out_due_ns)
{
    if (load->is_open && now_ns < load->next_due_ns)
        return false;
    if (load->in_flight >= load->in_flight_max) {
        load->held_count += load->is_open && !load->is_held;
        load->is_held = true;
        return false;
    }
    *out_due_ns = load->is_open ? load->next_due_ns : now_ns;
    return true;
}

void infer_load_started(struct infer_load *load)
{
    load->in_flight++;
    if (load->is_open)
        set_next_due(load);
}

int64_t infer_load_sent_ns(int64_t due_ns, int64_t now_ns, int64_t pass_started_ns,
                           int64_t pass_ended_ns)
{
    bool waited_for_pass = due_ns >= pass_started_ns && due_ns < pass_ended_ns;

    return waited_for_pass ? due_ns + (now_ns - pass_ended_ns) : now_ns;
}

void infer_load_ended(struct infer_load *load)
{
    assert(load->in_flight > 0);
    load->in_flight--;
}

int64_t infer_load_wait_ns(const struct infer_load *load, int64_t now_ns)
{
    if (load->in_flight >= load->in_flight_max)
        return INT64_MAX;
    if (!load->is_open || load->next_due_ns <= now_ns)
        return 0;
    return load->next_due_ns - now_ns;
}

/* ---- when its tokens became visible ---- */

void infer_timing_start(struct infer_timing *timing, int64_t submitted_ns, int64_t sent_ns)
{
    *timing = (struct infer_timing){
        .submitted_ns = submitted_ns, .sent_ns = sent_ns, .chunks_are_tokens = true};
}

static void add_gap(struct infer_timing *timing, int64_t gap_ns)
{
    int64_t us = (gap_ns + 500) / 1000;

    if (timing->gap_count == INFER_GAPS_MAX) {
        timing->chunks_are_tokens = false;
        return;
    }
    if (timing->gap_count == timing->gap_capacity) {
        timing->gap_capacity = timing->gap_capacity ? 2 * timing->gap_capacity : 64;
        timing->gaps_us = realloc(timing->gaps_us, timing->gap_capacity * sizeof *timing->gaps_us);
        assert(timing->gaps_us);
    }
    timing->gaps_us[timing->gap_count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void infer_timing_tokens(struct infer_timing *timing, int64_t at_ns, int tokens)
{
    if (tokens > 1)
        timing->chunks_are_tokens = false;
    if (tokens == 0)
        timing->uncounted = true;
    if (timing->first_ns == 0) {
        timing->first_ns = at_ns;
        timing->first_tokens = tokens;
    } else if (timing->chunks_are_tokens)
        add_gap(timing, at_ns - timing->last_ns);
    timing->before_last_ns = timing->last_ns;
    timing->last_ns = at_ns;
    timing->events++;
}

void infer_timing_closing(struct infer_timing *timing)
{
    timing->is_closed = timing->events > 1;
}

static size_t apart(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

/* The event that only said "ended" was no token. */
static void drop_last(struct infer_timing *timing)
{
    timing->last_ns = timing->before_last_ns;
    timing->events--;
    if (timing->gap_count > 0)
        timing->gap_count--;
}

void infer_timing_end(struct infer_timing *timing, int output_tokens)
{
    size_t tokens = output_tokens > 0 ? (size_t)output_tokens : 0;

    if (!timing->uncounted)
        return;
    if (timing->is_closed && tokens > 0 &&
        apart(timing->events - 1, tokens) < apart(timing->events, tokens))
        drop_last(timing);
    if (tokens == 0 || apart(timing->events, tokens) * 100 > tokens * INFER_CHUNKS_APART_PERCENT)
        timing->chunks_are_tokens = false;
}

int infer_timing_first_tokens(const struct infer_timing *timing)
{
    if (timing->first_ns > 0 && timing->first_tokens == 0 && timing->chunks_are_tokens)
        return 1;
    return timing->first_tokens;
}

size_t infer_timing_gaps(const struct infer_timing *timing, const uint32_t **out_gaps_us)
{
    *out_gaps_us = timing->gaps_us;
    return timing->chunks_are_tokens ? timing->gap_count : 0;
}

void infer_timing_done(struct infer_timing *timing)
{
    free(timing->gaps_us);
    *timing = (struct infer_timing){0};
}

/* ---- a request in flight ---- */

struct infer_in_flight *infer_in_flight_new(const struct infer_prompt *prompt, int64_t submitted_ns,
                                            int64_t sent_ns)
{
    struct infer_in_flight *in_flight = calloc(1, sizeof *in_flight);

    assert(in_flight);
    in_flight->prompt = prompt;
    in_flight->ids_complete = true;
    infer_timing_start(&in_flight->timing, submitted_ns, sent_ns);
    cap_buf_init(&in_flight->text, INFER_TEXT_BYTES_MAX);
    cap_buf_init(&in_flight->reasoning, INFER_TEXT_BYTES_MAX);
    return in_flight;
}

void infer_in_flight_free(struct infer_in_flight *in_flight)
{
    if (!in_flight)
        return;
    infer_timing_done(&in_flight->timing);
    cap_buf_done(&in_flight->text);
    cap_buf_done(&in_flight->reasoning);
    free(in_flight->ids);
    free(in_flight);
}

static void add_ids(struct infer_in_flight *in_flight, const uint32_t *ids, size_t count)
{
    if (!ids || in_flight->id_count + count > INFER_OUTPUT_IDS_MAX)
        in_flight->ids_complete = false;
    if (!in_flight->ids_complete)
        return;
    if (in_flight->id_count + count > in_flight->id_capacity) {
        in_flight->id_capacity = 2 * (in_flight->id_count + count);
        in_flight->ids = realloc(in_flight->ids, in_flight->id_capacity * sizeof *in_flight->ids);
        assert(in_flight->ids);
    }
    for (size_t i = 0; i < count; i++)
        in_flight->ids[in_flight->id_count++] = ids[i];
}

bool infer_in_flight_tokens(struct infer_in_flight *in_flight, const struct infer_event *event)
{
    infer_timing_tokens(&in_flight->timing, event->at_ns, event->tokens);
    if (event->is_closing)
        infer_timing_closing(&in_flight->timing);
    in_flight->tokens += event->tokens;
    add_ids(in_flight, event->token_ids, (size_t)event->tokens);
    if (event->piece)
        cap_buf_add_str(&in_flight->text, event->piece);
    if (event->reasoning_piece)
        cap_buf_add_str(&in_flight->reasoning, event->reasoning_piece);
    return in_flight->text.length + in_flight->reasoning.length < INFER_TEXT_BYTES_MAX;
}

static int64_t us_since(int64_t at_ns, int64_t start_ns)
{
    return (at_ns - start_ns) / 1000;
}

/* Where it cannot be, the server's last count says so: then it is as unknown as the count. */
static int first_chunk_tokens(const struct infer_in_flight *in_flight, int output_tokens)
{
    int tokens = infer_timing_first_tokens(&in_flight->timing);

    return tokens > 0 && tokens <= output_tokens ? tokens : -1;
}

static void set_times(const struct infer_in_flight *in_flight, int64_t start_ns, int64_t ended_ns,
                      struct infer_answer *out)
{
    const struct infer_timing *timing = &in_flight->timing;

    out->submitted_us = us_since(timing->submitted_ns, start_ns);
    out->sent_us = us_since(timing->sent_ns, start_ns);
    out->ended_us = us_since(ended_ns, start_ns);
    out->first_us = timing->first_ns ? us_since(timing->first_ns, start_ns) : -1;
    out->last_us = timing->first_ns ? us_since(timing->last_ns, start_ns) : -1;
    out->itl_count = infer_timing_gaps(timing, &out->itl_us);
}

void infer_in_flight_answer(struct infer_in_flight *in_flight, const struct infer_event *done,
                            const char *error, int64_t start_ns, int64_t ended_ns,
                            struct infer_answer *out_answer)
{
    *out_answer = (struct infer_answer){
        .ordinal = in_flight->prompt->ordinal,
        .uid = in_flight->prompt->uid,
        .error = error,
        .prompt = in_flight->prompt->request.text,
        .text = in_flight->text.data,
        .reasoning = in_flight->reasoning.data,
        .finish_reason = "error",
        .prompt_tokens = -1,
        .output_tokens = in_flight->tokens ? in_flight->tokens : -1,
        .cached_tokens = -1,
        .first_chunk_tokens = -1,
        .started_us = -1,
        .output_ids = in_flight->ids,
        .output_id_count = in_flight->ids_complete ? in_flight->id_count : 0,
    };
    if (done && done->piece) {
        cap_buf_add_str(&in_flight->text, done->piece);
        out_answer->text = in_flight->text.data;
    }
    infer_timing_end(&in_flight->timing, done ? done->output_tokens : -1);
    if (done && done->output_tokens == 0 &&
        in_flight->text.length + in_flight->reasoning.length == 0)
        in_flight->timing.first_ns = 0; /* what came only said "ended": no token ever did */
    set_times(in_flight, start_ns, ended_ns, out_answer);
    if (!done)
        return;
    if (done->prompt)
        out_answer->prompt = done->prompt;
    if (done->started_ns)
        out_answer->started_us = us_since(done->started_ns, start_ns);
    out_answer->finish_reason = done->finish_reason;
    out_answer->prompt_tokens = done->prompt_tokens;
    out_answer->output_tokens = done->output_tokens;
    out_answer->cached_tokens = done->cached_tokens;
    out_answer->first_chunk_tokens = first_chunk_tokens(in_flight, done->output_tokens);
    out_answer->scores = done->scores;
    out_answer->score_count = done->score_count;
    out_answer->routing = done->routing;
}
