/* Opening what is wanted: which engine, which model directory, which key a server may be sent,
 * which command starts one. What a submission may ask for is narrowed here to what the node's
 * owner set aside for it: keys are variables MOECAP_KEY_..., tied to URLs where the owner tied
 * them, and commands come from the node's own settings alone. */
#include "node/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "counters.h"
#include "log/log.h"

#define KEY_PREFIX "MOECAP_KEY_"

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static char *make_key(const struct infer_engine_choice *choice)
{
    char *key = NULL;
    int length = asprintf(&key, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s", choice->engine, choice->model,
                          or_empty(choice->precision), or_empty(choice->device),
                          or_empty(choice->url), or_empty(choice->served_model),
                          or_empty(choice->api_key_env), or_empty(choice->model_config));

    assert(length >= 0);
    return key;
}

bool infer_engine_slot_fits(const struct infer_engine_slot *slot,
                            const struct infer_engine_choice *choice)
{
    CAP_AUTO_MEM char *key = make_key(choice);

    if (choice->url && *choice->url)
        return false; /* another server may answer there now: it is asked again */
    return slot->engine && choice->concurrency <= slot->concurrency && strcmp(slot->key, key) == 0;
}

void infer_engine_slot_close(struct infer_engine_slot *slot)
{
    if (slot->engine)
        slot->engine->ops->free(slot->engine);
    free(slot->key);
    free(slot->model_path);
    *slot = (struct infer_engine_slot){0};
}

static void list_engines(struct cap_buf *out)
{
    const struct infer_engine_ops *ops;

    for (int i = 0; (ops = infer_engine_at(i)) != NULL; i++)
        cap_buf_printf(out, "%s%s", i ? ", " : "", ops->name);
}

static const struct infer_engine_ops *find_engine(const char *name, struct cap_err *err)
{
    const struct infer_engine_ops *ops = infer_engine_find(name);
    CAP_AUTO_BUF(names, 256);

    if (ops)
        return ops;
    list_engines(&names);
    cap_fail(err, CAP_UNIMPLEMENTED, "this node has no engine \"%.64s\"; it has: %s", name,
             names.data);
    return NULL;
}

/* "http://host:80" does not begin "http://host:8000", nor "http://host:80@other". */
static bool begins_url(const char *url, const char *beginning)
{
    size_t length = strlen(beginning);

    if (strncmp(url, beginning, length) != 0)
        return false;
    if (strstr(url + length, "..") || strcasestr(url + length, "%2e"))
        return false; /* libcurl or the server would leave what it begins with */
    return length == 0 || beginning[length - 1] == '/' || strchr("/?#", url[length]) != NULL;
}

/* MOECAP_KEY_X_URL, if the node has it, is where MOECAP_KEY_X may go. */
static bool check_tie(const char *name, const char *url, struct cap_err *err)
{
    char tie_name[128];
    const char *tie;

    snprintf(tie_name, sizeof tie_name, "%.100s_URL", name);
    tie = getenv(tie_name);
    if (!tie || (*tie && begins_url(or_empty(url), tie)))
        return true;
    return cap_fail(err, CAP_PERMISSION_DENIED,
                    "the node sends %.64s only to URLs that begin with \"%.200s\"", name, tie);
}

/* The key goes to a URL that the submitter chose, so nobody may ask for any other variable. */
static bool find_key(const char *name, const char *url, const char **out, struct cap_err *err)
{
    size_t length = name ? strlen(name) : 0;

    *out = NULL;
    if (!name || !*name)
        return true;
    if (strncmp(name, KEY_PREFIX, sizeof KEY_PREFIX - 1) != 0)
        return cap_fail(err, CAP_PERMISSION_DENIED,
                        "the node gives out no variable \"%.64s\": keys are in " KEY_PREFIX "...",
                        name);
    if (length >= 4 && strcmp(name + length - 4, "_URL") == 0)
        return cap_fail(err, CAP_PERMISSION_DENIED,
                        "%.64s does not hold a key; it says to which URL one may be sent", name);
    if (!check_tie(name, url, err))
        return false;
    *out = getenv(name);
    return *out != NULL || cap_fail(err, CAP_FAILED_PRECONDITION,
                                    "the node has no environment variable %.64s", name);
}

/* From the node's own settings: a submission cannot name a command. */
static const char *find_command(const struct infer_server_rules *rules, const char *kind)
{
    for (int i = 0; i < rules->command_count; i++)
        if (strcmp(rules->commands[i].kind, kind) == 0 && *rules->commands[i].command)
            return rules->commands[i].command;
    return NULL;
}

static void set_options(const struct infer_engine_choice *choice,
                        const struct infer_engine_ops *ops, const char *model, const char *api_key,
                        struct infer_engine_options *out)
{
    *out = (struct infer_engine_options){
        .kind = ops->name,
        .model = model,
        .precision = or_empty(choice->precision),
        .device = or_empty(choice->device),
        .concurrency = choice->concurrency,
        .threads = choice->threads,
        .url = choice->url,
        .served_model = choice->served_model,
        .api_key = api_key,
        .model_config = choice->model_config,
        .refused_ms_max = choice->rules.refused_ms_max,
        .loading_ms_max = choice->rules.loading_ms_max,
        .first_token_ms_max = choice->rules.first_token_ms_max,
        .silence_ms_max = choice->rules.silence_ms_max,
        .request_ms_max = choice->rules.request_ms_max,
        .routing_again = choice->rules.routing_again,
        .command = find_command(&choice->rules, ops->name),
        .log_dir = choice->rules.log_dir,
        .unwanted = choice->unwanted,
        .unwanted_arg = choice->unwanted_arg,
    };
}

bool infer_engine_slot_open(struct infer_engine_slot *slot, const struct infer_models *models,
                            bool any_model_path, const struct infer_engine_choice *choice,
                            struct cap_err *err)
{
    const struct infer_engine_ops *ops = find_engine(choice->engine, err);
    const char *model = choice->model, *api_key = NULL;
    struct infer_engine_options options;
    int64_t started_ms = cap_clock_ms(cap_clock_system());

    infer_engine_slot_close(slot);
    if (!ops || !find_key(choice->api_key_env, choice->url, &api_key, err) ||
        (ops->wants_directory &&
         !(model = infer_models_resolve(models, choice->model, any_model_path, err))))
        return false;
    set_options(choice, ops, model, api_key, &options);
    slot->engine = ops->open(&options, err);
    if (!slot->engine)
        return cap_fail_in(err, "engine %s", ops->name);
    slot->key = make_key(choice);
    slot->model_path = ops->wants_directory ? strdup(model) : NULL;
    slot->concurrency = choice->concurrency;
    infer_count(INFER_M_engines_opened_total, 1);
    cap_log(INFO, "engine_opened", "engine=%s model=%s precision=%s concurrency=%d ms=%lld",
            ops->name, CAP_LOG_Q(model), options.precision, choice->concurrency,
            (long long)(cap_clock_ms(cap_clock_system()) - started_ms));
    return true;
}
