/* Unit processes, and the time at which a ramp expects so many arrivals. */
#include "load/arrivals.h"

#include "base/auto.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool cap_arrivals_process(const char *word, double burstiness, struct cap_arrivals_form *io_form,
                          struct cap_err *err)
{
    static const char *const words[] = {[CAP_ARRIVALS_POISSON] = "poisson",
                                        [CAP_ARRIVALS_CONSTANT] = "constant",
                                        [CAP_ARRIVALS_GAMMA] = "gamma"};

    io_form->burstiness = burstiness > 0 ? burstiness : 1;
    io_form->process = burstiness > 0 ? CAP_ARRIVALS_GAMMA : CAP_ARRIVALS_POISSON;
    if (!*word)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) {
            io_form->process = (enum cap_arrival_process)i;
            return true;
        }
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "arrivals \"%.64s\" are neither poisson, constant nor gamma", word);
}

void cap_arrivals_start(struct cap_arrivals *arrivals, const struct cap_arrivals_form *form,
                        uint64_t seed)
{
    assert(form->times_s || form->rate_per_s > 0);
    *arrivals = (struct cap_arrivals){.form = *form};
    cap_rand_seed(&arrivals->rand, seed);
}

/* ---- gaps of mean 1 ---- */

static double draw_exponential(struct cap_rand *rand)
{
    return -log(1.0 - cap_rand_unit(rand));
}

/* Marsaglia's polar method. */
static double draw_normal(struct cap_rand *rand)
{
    for (;;) {
        double x = 2 * cap_rand_unit(rand) - 1, y = 2 * cap_rand_unit(rand) - 1;
        double s = x * x + y * y;

        if (s > 0 && s < 1)
            return x * sqrt(-2 * log(s) / s);
    }
}

/* Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; scale 1. A shape
 * below 1 is drawn as one higher and scaled. */
static double draw_gamma(struct cap_rand *rand, double shape)
{
    double boost = 1, d, c;

    if (shape < 1) {
        boost = pow(1.0 - cap_rand_unit(rand), 1 / shape);
        shape += 1;
    }
    d = shape - 1.0 / 3;
    c = 1 / sqrt(9 * d);
    for (;;) {
        double x = draw_normal(rand), v = 1 + c * x;
        double u = 1.0 - cap_rand_unit(rand);

        v = v * v * v;
        if (v > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return boost * d * v;
    }
}

static double draw_gap(struct cap_arrivals *arrivals)
{
    double shape = arrivals->form.burstiness;

    switch (arrivals->form.process) {
    case CAP_ARRIVALS_CONSTANT:
        return 1;
    case CAP_ARRIVALS_GAMMA:
        return draw_gamma(&arrivals->rand, shape) / shape;
    case CAP_ARRIVALS_POISSON:
        break;
    }
    return draw_exponential(&arrivals->rand);
}

/* ---- from a count to a time ---- */

/* When `count` arrivals are expected. During a ramp from a to b within T they are
 * a t + (b - a) t^2 / (2 T); the root is written so that it also holds where a = b. */
static double time_of(const struct cap_arrivals_form *form, double count)
{
    double a = form->rate_per_s, b = form->ramp_to_per_s, ramp_s = form->ramp_s;
    double in_ramp = (a + b) / 2 * ramp_s;

    if (ramp_s <= 0)
        return count / a;
    if (count >= in_ramp)
        return ramp_s + (count - in_ramp) / b;
    return 2 * count / (a + sqrt(a * a + 2 * count * (b - a) / ramp_s));
}

double cap_arrivals_next_s(struct cap_arrivals *arrivals)
{
    const struct cap_arrivals_form *form = &arrivals->form;

    if (form->times_s)
        return arrivals->given < form->time_count ? form->times_s[arrivals->given++] : INFINITY;
    arrivals->given++;
    arrivals->expected += draw_gap(arrivals);
    return time_of(form, arrivals->expected);
}

/* ---- a file of times ---- */

/* The next number; false at the end of the text, or with err at what is none. */
static bool next_number(const char **io_at, int *io_line, double *out, struct cap_err *err)
{
    const char *at = *io_at;
    char *end;

    for (; *at && strchr(" \t\r\n,#", *at); at++) {
        if (*at == '#')
            at += strcspn(at, "\n") - 1;
        *io_line += *at == '\n';
    }
    *out = strtod(at, &end);
    *io_at = end;
    if (!*at)
        return false;
    return (end != at && isfinite(*out) && (!*end || strchr(" \t\r\n,#", *end))) ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "line %d: \"%.*s\" is not a time in seconds",
                    *io_line, (int)strcspn(at, " \t\r\n,#"), at);
}

bool cap_replay_read(const char *text, double **out_times_s, size_t *out_count, struct cap_err *err)
{
    CAP_AUTO_MEM double *times = malloc(CAP_REPLAY_TIMES_MAX * sizeof *times);
    double time, before = -INFINITY;
    size_t count = 0;
    int line = 1;

    assert(times);
    while (next_number(&text, &line, &time, err)) {
        if (time < before)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "line %d: %g comes after %g: times go back",
                            line, time, before);
        if (count == CAP_REPLAY_TIMES_MAX)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "more than %d times", CAP_REPLAY_TIMES_MAX);
        times[count++] = before = time;
    }
    if (err->code != CAP_OK)
        return false;
    if (count == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "no time in it");
    for (size_t i = count; i-- > 0;)
        times[i] -= times[0];
    *out_times_s = cap_take(times);
    *out_count = count;
    return true;
}
