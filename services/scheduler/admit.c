#include "admit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/near.h"
#include "base/utf8.h"

enum {
    NAMES_SHOWN_MAX = 12,
    NAME_BYTES_MAX = 64,
    PRECISION_BYTES_MAX = 32,
    HARDWARE_BYTES_MAX = 256,
    LIST_BYTES_MAX = 4096,       /* of known names in a sentence, */
    SENTENCES_BYTES_MAX = 65536, /* of all sentences; a struct cap_err holds fewer */
};

void sched_spec_fill(struct sched_spec *spec)
{
    if (!*spec->engine)
        spec->engine = "native";
    if (!*spec->precision && strcmp(spec->engine, "native") == 0)
        spec->precision = "bf16";
    if (!*spec->prompt_format)
        spec->prompt_format = "text";
    if (!*spec->submitter)
        spec->submitter = "anonymous";
    if (!spec->has_load)
        spec->concurrency = 1;
    if (spec->repeats == 0)
        spec->repeats = 1;
    spec->tensor = spec->tensor ? spec->tensor : 1;
    spec->pipeline = spec->pipeline ? spec->pipeline : 1;
    spec->data = spec->data ? spec->data : 1;
    spec->expert = spec->expert ? spec->expert : 1;
}

/* ---- complaints: every wrong field gets its sentence ---- */

struct complaints {
    struct cap_buf text; /* all sentences */
    enum cap_code code;  /* of the first */
    struct sched_faults *faults;
};

static void complain(struct complaints *c, enum cap_code code, const char *field, const char *fmt,
                     ...) __attribute__((format(printf, 4, 5)));

/* `field` as the specification has it: "load.concurrency". */
static void complain(struct complaints *c, enum cap_code code, const char *field, const char *fmt,
                     ...)
{
    struct sched_faults *faults = c->faults;
    va_list args;

    if (c->text.length > 0)
        cap_buf_add_str(&c->text, "; ");
    if (c->code == CAP_OK)
        c->code = code;
    va_start(args, fmt);
    if (faults->count < SCHED_FAULTS_MAX) {
        struct sched_fault *fault = &faults->items[faults->count++];

        snprintf(fault->field, sizeof fault->field, "spec.%s", field);
        vsnprintf(fault->sentence, sizeof fault->sentence, fmt, args);
        va_end(args);
        va_start(args, fmt);
    }
    cap_buf_vprintf(&c->text, fmt, args);
    va_end(args);
}

static const char *near_miss(const char *name, struct cap_words names)
{
    struct cap_near near = {.word = name};

    for (size_t i = 0; i < names.count; i++)
        cap_near_try(&near, names.items[i]);
    return near.best;
}

/* `task "gsm-mni" is unknown, did you mean "gsm-mini"? known: a, b, c` */
static void complain_unknown(struct complaints *c, const char *field, const char *what,
                             const char *name, struct cap_words names)
{
    const char *near = near_miss(name, names);
    CAP_AUTO_BUF(list, LIST_BYTES_MAX);

    for (size_t i = 0; i < names.count && i < NAMES_SHOWN_MAX; i++)
        cap_buf_printf(&list, "%s%s", i ? ", " : "", names.items[i]);
    if (names.count > NAMES_SHOWN_MAX)
        cap_buf_printf(&list, " and %zu more", names.count - NAMES_SHOWN_MAX);
    complain(c, CAP_NOT_FOUND, field, "%s \"%.200s\" is unknown%s%s%s; known: %s", what, name,
             near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "",
             list.length ? list.data : "none");
}

static void check_range(struct complaints *c, const char *field, int64_t value, int64_t min,
                        int64_t max)
{
    if (value < min || value > max)
        complain(c, CAP_INVALID_ARGUMENT, field, "%s %lld is not from %lld to %lld", field,
                 (long long)value, (long long)min, (long long)max);
}

static void check_real(struct complaints *c, const char *field, double value, double min,
                       double max)
{
    if (!(value >= min && value <= max))
        complain(c, CAP_INVALID_ARGUMENT, field, "%s %g is not from %g to %g", field, value, min,
                 max);
}

static void check_text(struct complaints *c, const char *field, const char *text, size_t max)
{
    if (strlen(text) > max)
        complain(c, CAP_INVALID_ARGUMENT, field, "%s has %zu bytes, more than %zu", field,
                 strlen(text), max);
    else if (cap_utf8_bad(text, strlen(text)) < strlen(text))
        complain(c, CAP_INVALID_ARGUMENT, field, "%s is not UTF-8", field);
}

/* ---- the fields ---- */

static void check_model(struct complaints *c, const struct sched_spec *spec,
                        const struct sched_known *known)
{
    check_text(c, "model", spec->model, SCHED_MODEL_NAME_BYTES_MAX);
    if (!*spec->model) {
        complain(c, CAP_INVALID_ARGUMENT, "model",
                 "model is empty: name a model or a directory on the node");
        return;
    }
    /* a path, a server's model and the null engine's are nobody's to announce; with no node
     * connected nothing can be known yet */
    if (*spec->model == '/' || strcmp(spec->engine, "native") != 0 || known->nodes == 0 ||
        cap_words_has(known->models, spec->model))
        return;
    if (*spec->model == '.' || *spec->model == '~')
        complain(c, CAP_INVALID_ARGUMENT, "model",
                 "model \"%.200s\" is no name; give a directory on the node by its absolute path",
                 spec->model);
    else
        complain_unknown(c, "model", "model", spec->model, known->models);
}

static void check_tasks(struct complaints *c, const struct sched_spec *spec,
                        const struct sched_known *known)
{
    if (spec->task_count == 0)
        complain(c, CAP_INVALID_ARGUMENT, "tasks", "tasks is empty: name at least one task");
    if (spec->task_count > SCHED_TASKS_MAX)
        complain(c, CAP_INVALID_ARGUMENT, "tasks", "tasks has %zu names, more than %d",
                 spec->task_count, SCHED_TASKS_MAX);
    for (size_t i = 0; i < spec->task_count && i < SCHED_TASKS_MAX; i++) {
        char field[32];

        snprintf(field, sizeof field, "tasks[%zu]", i);
        if (!cap_words_has(known->tasks, spec->tasks[i]))
            complain_unknown(c, field, "task", spec->tasks[i], known->tasks);
        for (size_t k = 0; k < i; k++)
            if (strcmp(spec->tasks[i], spec->tasks[k]) == 0)
                complain(c, CAP_INVALID_ARGUMENT, field, "task \"%s\" is named twice; use repeats",
                         spec->tasks[i]);
    }
}

static bool is_base(const char *url)
{
    for (; *url; url++)
        if ((unsigned char)*url <= ' ' || *url == 0x7f || strchr("?#\\", *url))
            return false;
    return true;
}

/* Who reads a result reads its address. What is asked for is put behind it, and a blank or a
 * backslash is read in one way here and in another there. */
static void check_url_parts(struct complaints *c, const char *url)
{
    const char *host = strstr(url, "://") + 3;
    const char *at = memchr(host, '@', strcspn(host, "/?#"));

    if (at)
        complain(c, CAP_INVALID_ARGUMENT, "external.url",
                 "external.url holds a user or a password, which every reader would see; keys are "
                 "in variables of the node: external.api_key_env");
    else if (!is_base(url))
        complain(c, CAP_INVALID_ARGUMENT, "external.url",
                 "external.url \"%.200s\" holds a query, a blank or a backslash; it is the base of "
                 "the addresses that are asked",
                 url);
}

static void check_url(struct complaints *c, const struct sched_spec *spec)
{
    const struct cap_engine *engine = cap_engine_find(spec->engine);
    bool external = engine && engine->server;
    const char *rest = strstr(spec->url, "://");

    if (!*spec->url && engine && engine->started)
        return;
    if (!external && *spec->url)
        complain(c, CAP_INVALID_ARGUMENT, "external.url", "engine \"%s\" takes no external.url",
                 spec->engine);
    else if (external &&
             ((strncmp(spec->url, "http://", 7) != 0 && strncmp(spec->url, "https://", 8) != 0) ||
              !rest[3]))
        complain(c, CAP_INVALID_ARGUMENT, "external.url",
                 "engine \"%s\" needs external.url, e.g. http://127.0.0.1:8000; it is \"%.200s\"",
                 spec->engine, spec->url);
    else if (external)
        check_url_parts(c, spec->url);
}

/* What is named is sent to the submitter's URL, so only what the node's owner set aside for that.
 */
static void check_key_name(struct complaints *c, const char *name)
{
    if (!*name ||
        (strlen(name) <= NAME_BYTES_MAX && strncmp(name, "MOECAP_KEY_", 11) == 0 &&
         strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
             strlen(name)))
        return;
    complain(c, CAP_INVALID_ARGUMENT, "external.api_key_env",
             "external.api_key_env \"%.64s\" is not the name of a variable for keys, such as "
             "MOECAP_KEY_VLLM",
             name);
}

static void check_external(struct complaints *c, const struct sched_spec *spec)
{
    check_url(c, spec);
    check_text(c, "external.url", spec->url, SCHED_URL_BYTES_MAX);
    check_text(c, "external.served_model", spec->served_model, SCHED_MODEL_NAME_BYTES_MAX);
    check_text(c, "external.model_config", spec->model_config, SCHED_CONFIG_BYTES_MAX);
    check_key_name(c, spec->api_key_env);
}

/* Our own engine must do what it is asked for; what a server does is declared. */
static void check_native(struct complaints *c, const struct sched_spec *spec)
{
    if (!cap_words_has(cap_precision_computed(), spec->precision))
        complain_unknown(c, "precision", "precision", spec->precision, cap_precision_computed());
    if (spec->tensor * spec->pipeline * spec->data * spec->expert != 1)
        complain(c, CAP_INVALID_ARGUMENT, "parallelism",
                 "parallelism %lld x %lld x %lld x %lld (tensor, pipeline, data, expert): engine "
                 "\"native\" runs on one device, 1 x 1 x 1 x 1",
                 (long long)spec->tensor, (long long)spec->pipeline, (long long)spec->data,
                 (long long)spec->expert);
    if (*spec->device && strcmp(spec->device, "cpu") != 0 && strcmp(spec->device, "cuda") != 0)
        complain(c, CAP_INVALID_ARGUMENT, "hardware.device",
                 "hardware.device \"%.64s\" is neither cpu nor cuda", spec->device);
}

static void check_engine(struct complaints *c, const struct sched_spec *spec)
{
    if (!cap_words_has(cap_engine_words(), spec->engine))
        complain_unknown(c, "engine", "engine", spec->engine, cap_engine_words());
    else if (strcmp(spec->engine, "native") == 0)
        check_native(c, spec);
    check_external(c, spec);
    check_text(c, "precision", spec->precision, PRECISION_BYTES_MAX);
    check_text(c, "hardware.description", spec->hardware, HARDWARE_BYTES_MAX);
    check_text(c, "hardware.device", spec->device, NAME_BYTES_MAX);
    check_range(c, "hardware.device_count", spec->device_count, 0, SCHED_DEVICE_COUNT_MAX);
}

static void check_load(struct complaints *c, const struct sched_spec *spec)
{
    if (spec->open_loop)
        check_real(c, "load.rate_per_s", spec->rate_per_s, 1e-6, SCHED_RATE_PER_S_MAX);
    else
        check_range(c, "load.concurrency", spec->concurrency, 1, SCHED_CONCURRENCY_MAX);
    check_range(c, "repeats", spec->repeats, 1, SCHED_REPEATS_MAX);
    if (spec->has_sampling && !(spec->sampling > 0 && spec->sampling <= 1))
        complain(c, CAP_INVALID_ARGUMENT, "sampling", "sampling %g is not above 0 and up to 1",
                 spec->sampling);
    if (spec->has_fewshot)
        check_range(c, "num_fewshot", spec->num_fewshot, 0, SCHED_FEWSHOT_MAX);
}

/* What a node would find out with the first prompt is said now. */
static void check_fewshot(struct complaints *c, const struct sched_spec *spec,
                          const struct sched_known *known)
{
    for (size_t i = 0; spec->has_fewshot && i < spec->task_count && i < SCHED_TASKS_MAX; i++) {
        size_t at = cap_words_find(known->tasks, spec->tasks[i]);

        if (at < known->tasks.count && spec->num_fewshot > known->task_pools[at])
            complain(c, CAP_INVALID_ARGUMENT, "num_fewshot",
                     "num_fewshot %lld is more than task \"%s\" has examples, %u",
                     (long long)spec->num_fewshot, spec->tasks[i], known->task_pools[at]);
    }
}

/* A prompt has one token at least. */
static void check_context(struct complaints *c, const struct sched_spec *spec,
                          const struct sched_known *known)
{
    size_t at = cap_words_find(known->models, spec->model);
    uint32_t context = at < known->models.count ? known->model_contexts[at] : 0;

    if (strcmp(spec->engine, "native") == 0 && context > 0 && spec->max_tokens >= context)
        complain(c, CAP_INVALID_ARGUMENT, "generation.max_tokens",
                 "generation.max_tokens %lld never fits: the context of model \"%.200s\" is %u "
                 "tokens, the prompt's included",
                 (long long)spec->max_tokens, spec->model, context);
}

static void check_generation(struct complaints *c, const struct sched_spec *spec)
{
    check_range(c, "generation.max_tokens", spec->max_tokens, 0, SCHED_MAX_TOKENS_MAX);
    check_range(c, "generation.top_k", spec->top_k, 0, SCHED_TOP_K_MAX);
    if (spec->has_temperature)
        check_real(c, "generation.temperature", spec->temperature, 0, SCHED_TEMPERATURE_MAX);
    if (spec->has_top_p)
        check_real(c, "generation.top_p", spec->top_p, 1e-6, 1);
    if (strcmp(spec->prompt_format, "text") != 0 && strcmp(spec->prompt_format, "chat") != 0)
        complain(c, CAP_INVALID_ARGUMENT, "prompt_format",
                 "prompt_format \"%s\" is neither text nor chat", spec->prompt_format);
}

static void check_rest(struct complaints *c, const struct sched_spec *spec)
{
    check_range(c, "priority", spec->priority, SCHED_PRIORITY_MIN, SCHED_PRIORITY_MAX);
    if (spec->seed > INT64_MAX)
        complain(c, CAP_INVALID_ARGUMENT, "seed", "seed %llu is above %lld",
                 (unsigned long long)spec->seed, (long long)INT64_MAX);
    check_text(c, "submitter", spec->submitter, SCHED_SUBMITTER_BYTES_MAX);
    check_text(c, "revision", spec->revision, SCHED_REVISION_BYTES_MAX);
    check_text(c, "note", spec->note, SCHED_NOTE_BYTES_MAX);
    check_range(c, "parallelism.tensor", spec->tensor, 1, SCHED_PARALLELISM_MAX);
    check_range(c, "parallelism.pipeline", spec->pipeline, 1, SCHED_PARALLELISM_MAX);
    check_range(c, "parallelism.data", spec->data, 1, SCHED_PARALLELISM_MAX);
    check_range(c, "parallelism.expert", spec->expert, 1, SCHED_PARALLELISM_MAX);
}

bool sched_admit(const struct sched_spec *spec, const struct sched_known *known,
                 struct sched_faults *out_faults, struct cap_err *err)
{
    struct complaints c = {.code = CAP_OK, .faults = out_faults};

    out_faults->count = 0;
    cap_buf_init(&c.text, SENTENCES_BYTES_MAX);
    check_engine(&c, spec);
    check_model(&c, spec, known);
    check_tasks(&c, spec, known);
    check_load(&c, spec);
    check_fewshot(&c, spec, known);
    check_generation(&c, spec);
    check_context(&c, spec, known);
    check_rest(&c, spec);
    if (c.code != CAP_OK)
        cap_fail_field(err, c.code, out_faults->items[0].field, "%s", c.text.data);
    cap_buf_done(&c.text);
    return err->code == CAP_OK;
}

/* ---- the canonical form ---- */

static json_t *optional(bool has, double value)
{
    return has ? json_real(value) : json_null();
}

static json_t *spec_object(const struct sched_spec *s)
{
    json_t *tasks = json_array();

    for (size_t i = 0; i < s->task_count; i++)
        json_array_append_new(tasks, json_string(s->tasks[i]));
    return json_pack(
        "{s:s,s:s,s:s,s:s, s:{s:s,s:s,s:I}, s:{s:I,s:I,s:I,s:I}, s:o, s:{s:I,s:f},"
        " s:{s:I,s:o,s:o,s:I,s:b}, s:o, s:I, s:o, s:I, s:I, s:s, s:{s:s,s:s,s:s,s:s}}",
        "model", s->model, "revision", s->revision, "engine", s->engine, "precision", s->precision,
        "hardware", "description", s->hardware, "device", s->device, "device_count",
        (json_int_t)s->device_count, "parallelism", "tensor", (json_int_t)s->tensor, "pipeline",
        (json_int_t)s->pipeline, "data", (json_int_t)s->data, "expert", (json_int_t)s->expert,
        "tasks", tasks, "load", "concurrency", (json_int_t)(s->open_loop ? 0 : s->concurrency),
        "rate_per_s", s->open_loop ? s->rate_per_s : 0.0, "generation", "max_tokens",
        (json_int_t)s->max_tokens, "temperature", optional(s->has_temperature, s->temperature),
        "top_p", optional(s->has_top_p, s->top_p), "top_k", (json_int_t)s->top_k, "ignore_eos",
        s->ignore_eos, "num_fewshot", s->has_fewshot ? json_integer(s->num_fewshot) : json_null(),
        "limit", (json_int_t)s->limit, "sampling", optional(s->has_sampling, s->sampling),
        "repeats", (json_int_t)s->repeats, "seed", (json_int_t)s->seed, "prompt_format",
        s->prompt_format, "external", "url", s->url, "served_model", s->served_model,
        "model_config", s->model_config, "api_key_env", s->api_key_env);
}

const char *sched_spec_json(const struct sched_spec *spec, struct cap_arena *arena,
                            struct cap_err *err)
{
    json_t *object = spec_object(spec);
    char *text = object ? json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    const char *copy = text ? cap_arena_strdup(arena, text) : NULL;

    json_decref(object);
    free(text);
    if (!copy)
        cap_fail(err, CAP_INVALID_ARGUMENT, "the evaluation holds text that is not UTF-8");
    return copy;
}
