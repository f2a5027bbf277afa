/* Whether an evaluation can be right, as far as it says so itself: for each knob its range, length
 * and words by the table, then the rule of its row. What exists (tasks, models, nodes) the
 * scheduler checks after this (services/scheduler/admit.c).
 *
 * Every fault is collected; a knob has one at most, but for the list of tasks. */
#include "spec/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/near.h"
#include "base/python_json.h"
#include "base/utf8.h"
#include "http/url.h"
#include "load/arrivals.h"

enum {
    NAMES_SHOWN_MAX = 12,
    LIST_BYTES_MAX = 4096,       /* of known names in a sentence, */
    SENTENCES_BYTES_MAX = 65536, /* of all sentences; a struct cap_err holds fewer */
};

/* ---- faults ---- */

void cap_spec_blame(struct cap_spec_faults *io_faults, enum cap_code code, const char *field,
                    const char *fmt, ...)
{
    struct cap_spec_fault *fault = &io_faults->items[io_faults->count];
    struct cap_err text = {0}; /* for its sake the sentence is UTF-8, whatever it quotes */
    va_list args;

    if (io_faults->count == CAP_SPEC_FAULTS_MAX)
        return;
    va_start(args, fmt);
    cap_fail_v(&text, code, fmt, args);
    va_end(args);
    *fault = (struct cap_spec_fault){.code = code};
    snprintf(fault->field, sizeof fault->field, "spec.%s", field);
    memcpy(fault->sentence, text.text, sizeof fault->sentence);
    io_faults->count++;
}

static void add_range(const struct cap_knob *knob, struct cap_buf *out)
{
    if (knob->kind == CAP_KNOB_WHOLE)
        cap_buf_printf(out, "from %lld to %lld", (long long)knob->min, (long long)knob->max);
    else if (knob->above_low)
        cap_buf_printf(out, "above %g and up to %g", knob->low, knob->high);
    else if (knob->kind == CAP_KNOB_REAL)
        cap_buf_printf(out, "from %g to %g", knob->low, knob->high);
}

void cap_spec_blame_kind(struct cap_spec_faults *io_faults, const struct cap_knob *knob,
                         const char *shown)
{
    static const char *const kinds[] = {[CAP_KNOB_TEXT] = "a text",
                                        [CAP_KNOB_NAME] = "a name",
                                        [CAP_KNOB_WORD] = "a word",
                                        [CAP_KNOB_CHOICE] = "a word",
                                        [CAP_KNOB_WHOLE] = "a whole number ",
                                        [CAP_KNOB_REAL] = "a number ",
                                        [CAP_KNOB_SWITCH] = "true or false",
                                        [CAP_KNOB_LIST] = "a list of names",
                                        [CAP_KNOB_FILE] = "a text"};
    bool has_example = knob->example && knob->kind != CAP_KNOB_FILE;
    CAP_AUTO_BUF(range, 128);

    if (io_faults->count == CAP_SPEC_FAULTS_MAX)
        return;
    add_range(knob, &range);
    cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s %s is not %s%s%s%s", knob->path,
                   shown, kinds[knob->kind], range.data, has_example ? ", e.g. " : "",
                   has_example ? knob->example : "");
    io_faults->items[io_faults->count - 1].unreadable = true;
}

void cap_spec_blame_range(struct cap_spec_faults *io_faults, const struct cap_knob *knob,
                          const char *shown)
{
    CAP_AUTO_BUF(range, 128);

    add_range(knob, &range);
    cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s %s is not %s", knob->path,
                   shown, range.data);
}

static const char *near_miss(const char *name, struct cap_words known)
{
    struct cap_near near = {.word = name};

    for (size_t i = 0; i < known.count; i++)
        cap_near_try(&near, known.items[i]);
    return near.best;
}

void cap_spec_blame_unknown(struct cap_spec_faults *io_faults, const char *field, const char *what,
                            const char *name, struct cap_words known)
{
    const char *near = near_miss(name, known);
    CAP_AUTO_BUF(list, LIST_BYTES_MAX);

    for (size_t i = 0; i < known.count && i < NAMES_SHOWN_MAX; i++)
        cap_buf_printf(&list, "%s%s", i ? ", " : "", known.items[i]);
    if (known.count > NAMES_SHOWN_MAX)
        cap_buf_printf(&list, " and %zu more", known.count - NAMES_SHOWN_MAX);
    cap_spec_blame(io_faults, CAP_NOT_FOUND, field, "%s \"%.200s\" is unknown%s%s%s known: %s",
                   what, name, near ? ", did you mean \"" : "", near ? near : "",
                   near ? "\"?" : ";", list.length ? list.data : "none");
}

void cap_spec_blame_field(struct cap_spec_faults *io_faults, const ProtobufCMessageDescriptor *type,
                          const char *path, const char *name)
{
    struct cap_near near = {.word = name};

    for (unsigned i = 0; i < type->n_fields; i++)
        cap_near_try(&near, type->fields[i].name);
    cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, path, "spec.%s: unknown field%s%s%s", path,
                   near.best ? ", did you mean \"" : "", near.best ? near.best : "",
                   near.best ? "\"?" : "");
}

bool cap_spec_is_blamed(const struct cap_spec_faults *faults, const char *field)
{
    for (size_t i = 0; i < faults->count; i++)
        if (strcmp(faults->items[i].field, field) == 0)
            return true;
    return false;
}

void cap_spec_add_told(struct cap_spec_faults *io_faults, enum cap_code code, const char *field,
                       const char *sentence)
{
    struct cap_spec_fault *fault = &io_faults->items[io_faults->count];

    if (cap_spec_is_blamed(io_faults, field) || io_faults->count == CAP_SPEC_FAULTS_MAX)
        return;
    cap_spec_blame(io_faults, code, "", "%s", sentence);
    snprintf(fault->field, sizeof fault->field, "%s", field);
}

bool cap_spec_faults_fail(const struct cap_spec_faults *faults, struct cap_err *err)
{
    CAP_AUTO_BUF(text, SENTENCES_BYTES_MAX);

    for (size_t i = 0; i < faults->count; i++)
        cap_buf_printf(&text, "%s%s", i ? "; " : "", faults->items[i].sentence);
    return faults->count == 0 ||
           cap_fail_field(err, faults->items[0].code, faults->items[0].field, "%s", text.data);
}

/* The knob whose path begins the text, where the path is a word of its own; NULL without one.
 * Within a sentence only paths with a dot are meant: "limit" is also a word. */
static const struct cap_knob *knob_at(const char *text, bool at_start)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz_.");
    char path[64];

    if (length > 0 && text[length - 1] == '.')
        length--;
    if (length == 0 || length >= sizeof path)
        return NULL;
    snprintf(path, sizeof path, "%.*s", (int)length, text);
    return at_start || strchr(path, '.') ? cap_knob_find(path) : NULL;
}

void cap_spec_as_options(const char *sentence, struct cap_buf *out)
{
    for (const char *p = sentence; *p;) {
        bool at_start = p == sentence;
        const struct cap_knob *knob = at_start || p[-1] == ' ' ? knob_at(p, at_start) : NULL;

        if (knob)
            cap_buf_printf(out, "--%s", knob->flag);
        else
            cap_buf_add(out, p, 1);
        p += knob ? strlen(knob->path) : 1;
    }
}

/* ---- the rules of rows ---- */

bool cap_spec_applies(const Moecap__V1__EvaluationSpec *spec, enum cap_knob_when when)
{
    const char *word = *spec->engine ? spec->engine : cap_knobs[CAP_KNOB_engine].preset;
    const struct cap_engine *engine = cap_engine_find(word);
    bool is_open =
        cap_spec_get(spec, CAP_KNOB_rate).is_set || cap_spec_get(spec, CAP_KNOB_replay).is_set;

    switch (when) {
    case CAP_WHEN_NATIVE:
        return strcmp(word, "native") == 0;
    case CAP_WHEN_SERVER:
        return engine && engine->server;
    case CAP_WHEN_CLOSED_LOOP:
        return !is_open;
    case CAP_WHEN_OPEN_LOOP:
        return is_open;
    case CAP_WHEN_ALWAYS:
        break;
    }
    return true;
}

CAP_SPEC_CHECK(model)
{
    (void)spec;
    if (!value->is_set)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "model is empty: name a model or a directory on the node");
}

CAP_SPEC_CHECK(tasks)
{
    char field[32];

    (void)spec;
    if (value->count == 0)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "tasks is empty: name at least one task");
    for (size_t i = 0; i < value->count && i < (size_t)knob->max; i++) {
        if (strcmp(value->items[i], CAP_TASK_FIXED) == 0 &&
            !cap_spec_get(spec, CAP_KNOB_input_tokens).is_set) {
            snprintf(field, sizeof field, "tasks[%zu]", i);
            cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, field,
                           "task \"" CAP_TASK_FIXED
                           "\" needs load.input_tokens and load.output_tokens");
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(value->items[i], value->items[k]) != 0)
                continue;
            snprintf(field, sizeof field, "tasks[%zu]", i);
            cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, field,
                           "task \"%s\" is named twice; use repeats", value->items[i]);
            break;
        }
    }
}

/* People know more precisions than our engine computes in. */
CAP_SPEC_CHECK(precision)
{
    struct cap_words computed = cap_precision_computed();
    const char *word = cap_precision_from(value->text);
    CAP_AUTO_BUF(list, 256);

    if (!cap_spec_applies(spec, knob->words_when) || !word || cap_words_has(computed, word))
        return;
    for (size_t i = 0; i < computed.count; i++)
        cap_buf_printf(&list, "%s%s", i ? ", " : "", computed.items[i]);
    cap_spec_blame(io_faults, CAP_NOT_FOUND, knob->path,
                   "precision \"%s\" is not one that engine \"native\" computes in; known: %s",
                   value->text, list.data);
}

/* Our own engine must do what it is asked for; what a server does is declared. */
CAP_SPEC_CHECK(one_device)
{
    if (value->whole > 1 && cap_spec_applies(spec, CAP_WHEN_NATIVE))
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "%s %lld: engine \"native\" runs on one device", knob->path,
                       (long long)value->whole);
}

/* Results are public, so an address holds no secret; and it has one meaning, for us, for the node
 * and for libcurl. */
CAP_SPEC_CHECK(url)
{
    const struct cap_engine *engine = cap_engine_find(spec->engine);
    struct cap_err err = {0};

    if (!engine || (!value->is_set && (engine->started || !engine->server)))
        return;
    if (!engine->server)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "engine \"%s\" takes no external.url", spec->engine);
    else if (!value->is_set)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "engine \"%s\" needs external.url, e.g. %s", spec->engine, knob->example);
    else if (!cap_url_check_base(value->text, &err))
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "external.url %s", err.text);
}

/* What is not JSON is told here, not by a node after a wait in the queue. JSON as Python writes it:
 * config files of models hold Infinity. */
CAP_SPEC_CHECK(json)
{
    json_error_t where;
    size_t length = 0;
    CAP_AUTO_MEM char *strict =
        value->is_set ? cap_python_json(value->text, strlen(value->text), &length) : NULL;
    json_t *json = strict ? json_loadb(strict, length, 0, &where) : NULL;

    (void)spec;
    if (strict && !json)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s is not JSON: line %d: %s",
                       knob->path, where.line, where.text);
    json_decref(json);
}

/* What is named is sent to the submitter's URL, so only what the node's owner set aside for that.
 */
CAP_SPEC_CHECK(key)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    const char *name = value->text;

    (void)spec;
    if (value->is_set &&
        (strncmp(name, "MOECAP_KEY_", 11) != 0 || strspn(name, letters) != strlen(name)))
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "%s \"%.64s\" is not the name of a variable for keys, such as %s",
                       knob->path, name, knob->example);
}

CAP_SPEC_CHECK(burstiness)
{
    const char *arrivals = cap_spec_get(spec, CAP_KNOB_arrivals).text;

    if (value->is_set && *arrivals && strcmp(arrivals, "gamma") != 0)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "%s is of gamma arrivals, not of %.64s ones", knob->path, arrivals);
}

/* Prompts of random text have no right answer: they are a task of their own. */
CAP_SPEC_CHECK(fixed)
{
    bool is_fixed = spec->n_tasks == 1 && strcmp(spec->tasks[0], CAP_TASK_FIXED) == 0;

    if (value->is_set && spec->n_tasks > 0 && !is_fixed)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "%s is of the task \"" CAP_TASK_FIXED
                       "\" alone: its prompts are random text",
                       knob->path);
    else if (value->is_set && cap_spec_get(spec, CAP_KNOB_max_tokens).is_set)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "%s excludes generation.max_tokens: the length is load.output_tokens",
                       knob->path);
}

size_t cap_spec_replay_times(const Moecap__V1__EvaluationSpec *spec)
{
    struct cap_knob_value replay = cap_spec_get(spec, CAP_KNOB_replay);
    CAP_AUTO_MEM double *times = NULL;
    struct cap_err err = {0};
    size_t count = 0;

    return replay.is_set && cap_replay_read(replay.text, &times, &count, &err) ? count : 0;
}

CAP_SPEC_CHECK(replay)
{
    CAP_AUTO_MEM double *times = NULL;
    struct cap_err err = {0};
    size_t count;

    (void)spec;
    if (value->is_set && !cap_replay_read(value->text, &times, &count, &err))
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s: %s", knob->path, err.text);
}

/* ---- the columns ---- */

static void check_text(const struct cap_knob *knob, const char *text,
                       struct cap_spec_faults *io_faults)
{
    size_t length = strlen(text);

    if (length > (size_t)knob->max)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "%s has %zu bytes, more than %lld", knob->path, length,
                       (long long)knob->max);
    else if (cap_utf8_bad(text, length) < length)
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s is not UTF-8", knob->path);
}

static void check_word(const struct cap_knob *knob, const char *word,
                       struct cap_spec_faults *io_faults)
{
    struct cap_words words = knob->words();
    CAP_AUTO_BUF(list, 256);

    if (cap_words_has(words, word))
        return;
    if (knob->kind == CAP_KNOB_NAME) {
        cap_spec_blame_unknown(io_faults, knob->path, knob->path, word, words);
        return;
    }
    for (size_t i = 0; i + 1 < words.count; i++)
        cap_buf_printf(&list, "%s%s", i ? ", " : "", words.items[i]);
    cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s \"%.64s\" is neither %s nor %s",
                   knob->path, word, list.data, words.items[words.count - 1]);
}

/* A knob that means nothing without another. */
static void check_needs(const Moecap__V1__EvaluationSpec *spec, const struct cap_knob *knob,
                        struct cap_spec_faults *io_faults)
{
    for (size_t i = 0; i < CAP_COUNT_OF(knob->needs); i++)
        if (knob->needs[i] && !cap_spec_get(spec, knob->needs[i]).is_set)
            cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path, "%s needs %s", knob->path,
                           cap_knobs[knob->needs[i]].path);
}

static void check_range(const struct cap_knob *knob, const struct cap_knob_value *value,
                        struct cap_spec_faults *io_faults)
{
    bool is_low = knob->above_low ? value->real <= knob->low : value->real < knob->low, is_out;
    char shown[32];

    if (knob->kind == CAP_KNOB_REAL) {
        snprintf(shown, sizeof shown, "%g", value->real);
        is_out = is_low || !(value->real <= knob->high); /* NaN is in no range */
    } else {
        is_out = value->whole < knob->min || value->whole > knob->max;
        snprintf(shown, sizeof shown, knob->max == INT64_MAX ? "%llu" : "%lld",
                 (long long)value->whole); /* a seed is unsigned */
    }
    if (is_out)
        cap_spec_blame_range(io_faults, knob, shown);
}

static void check_columns(const struct cap_knob *knob, const struct cap_knob_value *value,
                          bool words_bind, struct cap_spec_faults *io_faults)
{
    size_t before = io_faults->count;

    switch (knob->kind) {
    case CAP_KNOB_WHOLE:
    case CAP_KNOB_REAL:
        if (value->is_set)
            check_range(knob, value, io_faults);
        break;
    case CAP_KNOB_LIST:
        if (value->count > (size_t)knob->max)
            cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                           "%s has %zu names, more than %lld", knob->path, value->count,
                           (long long)knob->max);
        break;
    case CAP_KNOB_SWITCH:
        break;
    default:
        check_text(knob, value->text, io_faults);
        if (knob->words && words_bind && value->is_set && io_faults->count == before)
            check_word(knob, value->text, io_faults);
    }
}

static void check_knob(const Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id,
                       struct cap_spec_faults *io_faults)
{
    const struct cap_knob *knob = &cap_knobs[id];
    struct cap_knob_value value = cap_spec_get(spec, id);
    size_t before = io_faults->count;
    char field[72];

    snprintf(field, sizeof field, "spec.%s", knob->path);
    if (cap_spec_is_blamed(io_faults, field)) /* it could not even be read */
        return;
    if (knob->check)
        knob->check(spec, knob, &value, io_faults);
    if (value.is_set)
        check_needs(spec, knob, io_faults);
    if (io_faults->count == before)
        check_columns(knob, &value, cap_spec_applies(spec, knob->words_when), io_faults);
}

void cap_spec_check(const Moecap__V1__EvaluationSpec *spec, struct cap_spec_faults *io_faults)
{
    for (int id = 0; id < CAP_KNOB_COUNT; id++)
        check_knob(spec, (enum cap_knob_id)id, io_faults);
}

void cap_spec_check_group(const Moecap__V1__EvaluationSpec *spec, enum cap_knob_group group,
                          struct cap_spec_faults *io_faults)
{
    for (int id = 0; id < CAP_KNOB_COUNT; id++)
        if (cap_knobs[id].group == group)
            check_knob(spec, (enum cap_knob_id)id, io_faults);
}
