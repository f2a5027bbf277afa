/* The load generator measured by itself: whether requests were sent when they were due, how long
 * they waited for the engine, and whether client or host are part of what was measured. */
#include "measure.h"

/* Own overhead above this share of a latency is part of the latency. */
static const double own_share_max = 0.02;

static void none_from_to(struct eval_figures *f, unsigned first, unsigned last, const char *reason)
{
    for (unsigned id = first; id <= last; id++)
        eval_figure_none(f, id, reason);
}

/* ---- the schedule ---- */

/* Of all requests, failed ones and the warm-up too: the client sent them. */
struct schedule {
    size_t sent;
    int64_t first_due_us, last_due_us, first_sent_us, last_sent_us;
    double longest_us;
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct schedule schedule_of(struct eval_evidence *e)
{
    struct schedule s = {.first_due_us = INT64_MAX, .first_sent_us = INT64_MAX};

    e->schedule_delay.count = 0;
    for (size_t i = 0; i < e->requests.count; i++) {
        const struct eval_request *r = &e->requests.items[i];
        double delay_us = (double)(r->sent_us - r->submitted_us);

        if (r->sent_us < 0)
            continue;
        s.sent++;
        s.first_due_us = earlier(s.first_due_us, r->submitted_us);
        s.last_due_us = later(s.last_due_us, r->submitted_us);
        s.first_sent_us = earlier(s.first_sent_us, r->sent_us);
        s.last_sent_us = later(s.last_sent_us, r->sent_us);
        s.longest_us = delay_us > s.longest_us ? delay_us : s.longest_us;
        eval_values_add(&e->schedule_delay, delay_us);
    }
    return s;
}

static const char *why_no_schedule(const struct eval_evidence *e, const struct schedule *s)
{
    if (!e->run.is_open)
        return "closed loop: nothing was due at a time";
    if (eval_timing_problem(e))
        return eval_timing_problem(e);
    return s->sent == 0 ? "the node did not say when requests were sent" : NULL;
}

static void set_rate(struct eval_figures *f, enum eval_figure_id id, const struct schedule *s,
                     int64_t span_us)
{
    if (s->sent < 2)
        eval_figure_none(f, id, "not enough samples");
    else if (span_us <= 0)
        eval_figure_none(f, id, "all at the same time");
    else
        eval_figure_set(f, id, (double)(s->sent - 1) / ((double)span_us / 1e6));
}

static void measure_schedule(struct eval_evidence *e, struct eval_figures *f)
{
    const struct schedule s = schedule_of(e);
    const char *problem = why_no_schedule(e, &s);

    if (problem) {
        none_from_to(f, EVAL_FIGURE_rate_asked, EVAL_FIGURE_schedule_delay_ms_max, problem);
        return;
    }
    set_rate(f, EVAL_FIGURE_rate_asked, &s, s.last_due_us - s.first_due_us);
    set_rate(f, EVAL_FIGURE_rate_achieved, &s, s.last_sent_us - s.first_sent_us);
    eval_measure_duration(e, &e->schedule_delay, EVAL_FIGURE_schedule_delay_ms_mean, problem, f);
    eval_figure_set(f, EVAL_FIGURE_schedule_delay_ms_max, s.longest_us / 1000);
}

/* ---- the engine's queue ---- */

static const char *why_no_queue(const struct eval_evidence *e)
{
    if (e->completed == 0)
        return "no completed samples";
    return e->run.reported && !e->run.in_engine ? "the server does not say when it began"
                                                : "the engine does not say when it began";
}

/* ---- the client ---- */

static void set_client(struct eval_figures *f, enum eval_figure_id id, double value)
{
    if (value < 0)
        eval_figure_none(f, id, "the node did not measure it");
    else
        eval_figure_set(f, id, value);
}

/* The mean of the delay against that of the time to first token, or of the whole answer where there
 * is none. */
static double delay_share(const struct eval_figures *f)
{
    enum eval_figure_id latency = eval_figure_has(f, EVAL_FIGURE_ttft_ms_mean)
                                      ? EVAL_FIGURE_ttft_ms_mean
                                      : EVAL_FIGURE_e2e_ms_mean;

    if (!eval_figure_has(f, EVAL_FIGURE_schedule_delay_ms_mean) || !eval_figure_has(f, latency) ||
        eval_figure_value(f, latency) <= 0)
        return 0;
    return eval_figure_value(f, EVAL_FIGURE_schedule_delay_ms_mean) / eval_figure_value(f, latency);
}

static void mark(const struct eval_evidence *e, struct eval_figures *f)
{
    const struct eval_client *client = &e->run.client;

    if (delay_share(f) > own_share_max)
        eval_mark(f, "client-bound", true,
                  "requests were sent %.3g ms late on average, %.1f %% of the latency",
                  eval_figure_value(f, EVAL_FIGURE_schedule_delay_ms_mean), 100 * delay_share(f));
    else if (client->busy_share > own_share_max)
        eval_mark(f, "client-bound", true,
                  "the load generator was busy with its own work for %.1f %% of the time, which is "
                  "part of the latencies",
                  100 * client->busy_share);
    if (client->held_arrivals > 0)
        eval_mark(f, "load-limited", true,
                  "%u requests were due and waited: the node allows no more in flight "
                  "(open_loop_in_flight_max)",
                  client->held_arrivals);
    if (client->host_cores > 0 && client->host_load > client->host_cores)
        eval_mark(f, "noisy-host", true,
                  "%.1f threads on average wanted the %u cores of the node's host",
                  client->host_load, client->host_cores);
}

/* Of the task fixed. */
static void mark_lengths(const struct eval_evidence *e, struct eval_figures *f)
{
    if (e->run.exact_input == 0)
        return;
    eval_mark(
        f, "random-text", false,
        "prompts are random words: no answer is right or wrong, and experts are chosen as for "
        "no real text");
    if (e->without_prompt_tokens > 0)
        eval_mark(
            f, "lengths-unknown", true,
            "the server did not count the tokens of %llu prompts: whether they have %u is not "
            "known",
            (unsigned long long)e->without_prompt_tokens, e->run.exact_input);
    else if (e->input_apart_max > 0 && e->other_input == 0)
        eval_mark(f, "lengths-about", false,
                  "prompts have %u tokens, give or take %u: the server's usage counts them",
                  e->run.exact_input, e->input_apart_max);
}

void eval_measure_load(struct eval_evidence *e, struct eval_figures *f)
{
    measure_schedule(e, f);
    eval_measure_duration(e, &e->queue, EVAL_FIGURE_queue_ms_mean, why_no_queue(e), f);
    eval_measure_duration(e, &e->service_ttft, EVAL_FIGURE_service_ttft_ms_mean, why_no_queue(e),
                          f);
    set_client(f, EVAL_FIGURE_client_cpu_share, e->run.client.cpu_share);
    set_client(f, EVAL_FIGURE_client_busy_share, e->run.client.busy_share);
    set_client(f, EVAL_FIGURE_host_load, e->run.client.host_load);
    mark_lengths(e, f);
    if (!eval_timing_problem(e))
        mark(e, f);
}
