#include "in_flight.h"

#include <assert.h>
#include <stdlib.h>

#include "rows_wire.h"

struct infer_in_flight *infer_in_flight_new(const struct infer_prompt *prompt, int64_t submitted_ns)
{
    struct infer_in_flight *flight = calloc(1, sizeof *flight);

    assert(flight);
    flight->prompt = prompt;
    flight->ids_complete = true;
    infer_timing_start(&flight->timing, submitted_ns);
    cap_buf_init(&flight->text, INFER_TEXT_BYTES_MAX);
    cap_buf_init(&flight->reasoning, INFER_TEXT_BYTES_MAX);
    return flight;
}

void infer_in_flight_free(struct infer_in_flight *flight)
{
    if (!flight)
        return;
    infer_timing_done(&flight->timing);
    cap_buf_done(&flight->text);
    cap_buf_done(&flight->reasoning);
    free(flight->ids);
    free(flight);
}

static void add_ids(struct infer_in_flight *flight, const uint32_t *ids, size_t count)
{
    if (!ids || flight->id_count + count > INFER_OUTPUT_IDS_MAX)
        flight->ids_complete = false;
    if (!flight->ids_complete)
        return;
    if (flight->id_count + count > flight->id_capacity) {
        flight->id_capacity = 2 * (flight->id_count + count);
        flight->ids = realloc(flight->ids, flight->id_capacity * sizeof *flight->ids);
        assert(flight->ids);
    }
    for (size_t i = 0; i < count; i++)
        flight->ids[flight->id_count++] = ids[i];
}

bool infer_in_flight_tokens(struct infer_in_flight *flight, const struct infer_event *event)
{
    infer_timing_tokens(&flight->timing, event->at_ns, event->tokens);
    if (event->is_closing)
        infer_timing_closing(&flight->timing);
    flight->tokens += event->tokens;
    add_ids(flight, event->token_ids, (size_t)event->tokens);
    if (event->piece)
        cap_buf_add_str(&flight->text, event->piece);
    if (event->reasoning_piece)
        cap_buf_add_str(&flight->reasoning, event->reasoning_piece);
    return flight->text.length + flight->reasoning.length < INFER_TEXT_BYTES_MAX;
}

static int64_t us_since(int64_t at_ns, int64_t start_ns)
{
    return (at_ns - start_ns) / 1000;
}

static void set_times(const struct infer_in_flight *flight, int64_t start_ns, int64_t ended_ns,
                      struct infer_answer *out)
{
    const struct infer_timing *timing = &flight->timing;

    out->submitted_us = us_since(timing->submitted_ns, start_ns);
    out->ended_us = us_since(ended_ns, start_ns);
    out->first_us = timing->first_ns ? us_since(timing->first_ns, start_ns) : -1;
    out->last_us = timing->first_ns ? us_since(timing->last_ns, start_ns) : -1;
    out->itl_count = infer_timing_gaps(timing, &out->itl_us);
}

void infer_in_flight_answer(struct infer_in_flight *flight, const struct infer_event *done,
                         const char *error, int64_t start_ns, int64_t ended_ns,
                         struct infer_answer *out_answer)
{
    *out_answer = (struct infer_answer){
        .ordinal = flight->prompt->ordinal,
        .uid = flight->prompt->uid,
        .error = error,
        .prompt = flight->prompt->request.text,
        .text = flight->text.data,
        .reasoning = flight->reasoning.data,
        .finish_reason = "error",
        .prompt_tokens = -1,
        .output_tokens = flight->tokens ? flight->tokens : -1,
        .cached_tokens = -1,
        .output_ids = flight->ids,
        .output_id_count = flight->ids_complete ? flight->id_count : 0,
    };
    infer_timing_settle(&flight->timing, done ? done->output_tokens : -1);
    set_times(flight, start_ns, ended_ns, out_answer);
    if (!done)
        return;
    if (done->prompt)
        out_answer->prompt = done->prompt;
    out_answer->finish_reason = done->finish_reason;
    out_answer->prompt_tokens = done->prompt_tokens;
    out_answer->output_tokens = done->output_tokens;
    out_answer->cached_tokens = done->cached_tokens;
    out_answer->scores = done->scores;
    out_answer->score_count = done->score_count;
    out_answer->routing = done->routing;
}
