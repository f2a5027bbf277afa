/* Words of --sweep and --slo to knobs and values. The order of a sweep is drawn by the seed: what
 * drifts with time, such as a machine that gets warm, must not look like an effect of the knob. */
#include "sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/rand.h"

/* ---- the sweep ---- */

static bool can_be_swept(const struct cap_knob *knob)
{
    return knob->kind != CAP_KNOB_LIST && knob->kind != CAP_KNOB_SWITCH &&
           knob->kind != CAP_KNOB_CHOICE && knob->kind != CAP_KNOB_FILE;
}

/* By its option: --batch-size, --concurrency, --rate. Evaluations that differ in what is not in the
 * config hash would all be the first. */
static bool find_knob(const char *option, const char *name, enum cap_knob_id *out,
                      struct cap_err *err)
{
    for (int i = 0; i < CAP_KNOB_COUNT; i++) {
        const struct cap_knob *knob = &cap_knobs[i];

        if (strcmp(knob->flag, name) != 0 && !(knob->alias && strcmp(knob->alias, name) == 0))
            continue;
        *out = (enum cap_knob_id)i;
        if (knob->hash == CAP_NOT_HASHED)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "--%s cannot change --%s: it changes nothing of what is run", option,
                            name);
        return can_be_swept(knob) ||
               cap_fail(err, CAP_INVALID_ARGUMENT, "--%s cannot sweep --%s: it has no values",
                        option, name);
    }
    return cap_fail(
        err, CAP_INVALID_ARGUMENT, "--%s \"%.64s\" is not an option of submit; try %s", option,
        name, strcmp(option, "sweep") == 0 ? "concurrency=1,2,4 or rate=1,2,4" : "rate=1..64");
}

static bool add_value(struct cli_sweep *sweep, const char *value, struct cap_err *err)
{
    if (!*value)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--sweep has an empty value");
    for (int i = 0; i < sweep->count; i++)
        if (strcmp(sweep->values[i], value) == 0)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "--sweep has the value %.64s twice", value);
    if (sweep->count == CLI_SWEEP_VALUES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--sweep has more than %d values",
                        CLI_SWEEP_VALUES_MAX);
    sweep->values[sweep->count++] = value;
    return true;
}

/* Fisher and Yates. */
static void shuffle(struct cli_sweep *sweep, uint64_t seed)
{
    struct cap_rand rand;

    cap_rand_seed(&rand, seed);
    cap_rand_shuffle(&rand, sweep->values, (size_t)sweep->count, sizeof *sweep->values);
}

bool cli_sweep_read(const char *text, uint64_t seed, struct cap_arena *arena, struct cli_sweep *out,
                    struct cap_err *err)
{
    size_t name_length = strcspn(text, "=");
    struct cli_sweep sweep = {.count = 0};

    if (!text[name_length])
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--sweep \"%.64s\" has no values; try concurrency=1,2,4 or rate=1,2,4",
                        text);
    if (!find_knob("sweep", cap_arena_strndup(arena, text, name_length), &sweep.knob, err))
        return false;
    for (text += name_length + 1;; text++) {
        size_t length = strcspn(text, ",");

        if (!add_value(&sweep, cap_arena_strndup(arena, text, length), err))
            return false;
        text += length;
        if (!*text)
            break;
    }
    shuffle(&sweep, seed);
    *out = sweep;
    return true;
}

/* ---- the search ---- */

static bool is_whole(const struct cli_search *search)
{
    return cap_knobs[search->knob].kind == CAP_KNOB_WHOLE;
}

static bool read_number(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return end != text && !*end && *out > 0 && isfinite(*out);
}

bool cli_search_read(const char *text, struct cap_arena *arena, struct cli_search *out,
                     struct cap_err *err)
{
    size_t name_length = strcspn(text, "=");
    const char *range = text[name_length] ? text + name_length + 1 : "";
    const char *dots = strstr(range, "..");
    struct cli_search search = {.runs = 0};

    if (!find_knob("search", cap_arena_strndup(arena, text, name_length), &search.knob, err))
        return false;
    if (search.knob != CAP_KNOB_rate && search.knob != CAP_KNOB_concurrency)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--search %.64s is neither a rate nor a concurrency", text);
    if (!dots ||
        !read_number(cap_arena_strndup(arena, range, (size_t)(dots - range)), &search.low) ||
        !read_number(dots + 2, &search.high) || search.low >= search.high)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--search \"%.64s\" has no range such as rate=1..64", text);
    *out = search;
    return true;
}

bool cli_search_next(const struct cli_search *search, double *out_value)
{
    double between = sqrt(search->low * search->high);

    if (search->runs >= CLI_SEARCH_RUNS_MAX)
        return false;
    if (!search->low_met) {
        *out_value = search->low;
        return !search->high_failed; /* else the lower bound failed: there is nothing below it */
    }
    if (!search->high_failed) {
        *out_value = search->high;
        return search->high > search->low; /* else the upper bound met it */
    }
    *out_value = is_whole(search) ? floor(between) : between;
    if (is_whole(search) && *out_value <= search->low)
        *out_value = search->low + 1;
    return is_whole(search) ? *out_value < search->high : search->high > 1.1 * search->low;
}

void cli_search_told(struct cli_search *io_search, double value, bool met)
{
    io_search->runs++;
    if (met) {
        io_search->low = value;
        io_search->low_met = true;
    } else {
        io_search->high = value;
        io_search->high_failed = true;
    }
}

/* ---- the service level ---- */

static const struct {
    const char *name;
    enum cap_knob_id knob;
} slo_parts[] = {
    {"ttft", CAP_KNOB_slo_ttft}, {"tpot", CAP_KNOB_slo_tpot}, {"e2e", CAP_KNOB_slo_e2e}};

/* "500ms", "0.5s", "500" */
static bool read_ms(const char *text, double *out_ms)
{
    char *end;
    double value = strtod(text, &end);
    double unit = *end == '\0' || strcmp(end, "ms") == 0 ? 1
                  : strcmp(end, "s") == 0                ? 1000
                  : strcmp(end, "us") == 0               ? 0.001
                                                         : 0;

    *out_ms = value * unit;
    return end != text && unit > 0 && value > 0;
}

struct slo_target {
    Moecap__V1__EvaluationSpec *spec;
    struct cap_arena *arena;
    struct cap_spec_faults *faults;
};

static bool set_part(const char *part, bool io_set[CAP_COUNT_OF(slo_parts)], struct slo_target *to,
                     struct cap_err *err)
{
    size_t length = strcspn(part, "=");
    double ms;

    for (size_t i = 0; i < CAP_COUNT_OF(slo_parts); i++) {
        if (strlen(slo_parts[i].name) != length || strncmp(part, slo_parts[i].name, length) != 0)
            continue;
        if (!part[length] || !read_ms(part + length + 1, &ms))
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "--slo %.64s is not a time such as %s=500ms or %s=2s", part,
                            slo_parts[i].name, slo_parts[i].name);
        if (io_set[i])
            return cap_fail(err, CAP_INVALID_ARGUMENT, "--slo has %s twice", slo_parts[i].name);
        io_set[i] = true;
        cap_spec_set_text(to->spec, slo_parts[i].knob, cap_arena_printf(to->arena, "%.17g", ms),
                          to->arena, to->faults);
        return true;
    }
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "--slo \"%.64s\" is not one of ttft, tpot and e2e: ttft=500ms,tpot=50ms", part);
}

bool cli_slo_set(const char *text, Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena,
                 struct cap_spec_faults *io_faults, struct cap_err *err)
{
    struct slo_target to = {spec, arena, io_faults};
    bool set[CAP_COUNT_OF(slo_parts)] = {false};

    for (;; text++) {
        size_t length = strcspn(text, ",");

        if (!set_part(cap_arena_strndup(arena, text, length), set, &to, err))
            return false;
        text += length;
        if (!*text)
            return true;
    }
}
