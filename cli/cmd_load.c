/* load: when the requests of an open loop would be due, without a suite.
 *
 * The same function makes the schedule on the node (load/arrivals.h), so this is what a run will
 * do, to the last bit: for a look at a distribution, and to compare two machines. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "cmd.h"
#include "load/arrivals.h"
#include "out.h"

enum { SPEC_ARENA_BYTES = 4 << 20, REQUESTS_DEFAULT = 20, REQUESTS_MAX = 10 * 1000 * 1000 };

struct cli_load_options cli_load_options;

/* The options are knobs of a submission, and judged as such. */
static bool read_spec(const struct cli_load_options *o, struct cap_arena *arena,
                      Moecap__V1__EvaluationSpec *spec, struct cap_spec_faults *io_faults,
                      struct cap_err *err)
{
    CAP_AUTO_MEM char *replay = NULL;
    const struct {
        enum cap_knob_id knob;
        const char *text;
    } knobs[] = {{CAP_KNOB_model, "none"},         {CAP_KNOB_tasks, "none"},
                 {CAP_KNOB_engine, "null"},        {CAP_KNOB_rate, o->rate},
                 {CAP_KNOB_arrivals, o->arrivals}, {CAP_KNOB_burstiness, o->burstiness},
                 {CAP_KNOB_ramp_to, o->ramp_to},   {CAP_KNOB_ramp_s, o->ramp_s},
                 {CAP_KNOB_seed, o->seed}};

    if (!o->rate && !o->replay)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "load needs --rate or --replay");
    if (o->replay &&
        !(replay = cap_file_read_text(o->replay, (size_t)cap_knobs[CAP_KNOB_replay].max, err)))
        return cap_fail_in(err, "--replay");
    for (size_t i = 0; i < CAP_COUNT_OF(knobs); i++)
        if (knobs[i].text)
            cap_spec_set_text(spec, knobs[i].knob, knobs[i].text, arena, io_faults);
    if (replay)
        cap_spec_set_text(spec, CAP_KNOB_replay, replay, arena, io_faults);
    cap_spec_check(spec, io_faults);
    return true;
}

static void print_due(const struct cli_context *context, long long request, double due_s)
{
    if (context->globals.json)
        printf("{\"request\": %lld, \"due_s\": %.17g}\n", request, due_s);
    else
        printf("%.9f\n", due_s);
}

static bool print_schedule(const struct cli_context *context,
                           const Moecap__V1__EvaluationSpec *spec, int64_t requests,
                           struct cap_err *err)
{
    CAP_AUTO_MEM double *times = NULL;
    struct cap_arrivals_form form = {.rate_per_s = cap_spec_get(spec, CAP_KNOB_rate).real,
                                     .ramp_to_per_s = cap_spec_get(spec, CAP_KNOB_ramp_to).real,
                                     .ramp_s = cap_spec_get(spec, CAP_KNOB_ramp_s).real};
    struct cap_arrivals arrivals;
    struct cap_knob_value replay = cap_spec_get(spec, CAP_KNOB_replay);
    double due_s;

    if (!cap_arrivals_process(cap_spec_get(spec, CAP_KNOB_arrivals).text,
                              cap_spec_get(spec, CAP_KNOB_burstiness).real, &form, err) ||
        (replay.is_set && !cap_replay_read(replay.text, &times, &form.time_count, err)))
        return false;
    form.times_s = times;
    cap_arrivals_start(&arrivals, &form, spec->seed);
    for (int64_t i = 1; i <= requests && isfinite(due_s = cap_arrivals_next_s(&arrivals)); i++)
        print_due(context, (long long)i, due_s);
    return true;
}

int cli_cmd_load(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    const struct cli_load_options *o = &cli_load_options;
    int64_t requests = o->has_requests ? o->requests : REQUESTS_DEFAULT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    struct cap_spec_faults faults = {.count = 0};
    CAP_AUTO(cap_arena) arena = cap_arena_new(SPEC_ARENA_BYTES);

    (void)words;
    if (requests < 1 || requests > REQUESTS_MAX) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "--requests %lld is not from 1 to %d",
                 (long long)requests, REQUESTS_MAX);
        return CLI_USAGE;
    }
    if (!read_spec(o, arena, &spec, &faults, err))
        return CLI_USAGE;
    if (faults.count > 0)
        return cli_refuse(context, &faults, err);
    return print_schedule(context, &spec, requests, err) ? CLI_OK : cli_exit_of(err->code);
}
