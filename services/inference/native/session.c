/* Life cycle, submit, cancel, and one step: plan, forward pass, outputs, record.
 *
 * A request waits, runs, and is retired. It runs while it holds pages. Retired ones are kept until
 * the next step, because the events of the last one point into them. Everything belongs to the one
 * thread that owns the session; nothing here locks.
 */
#include "native/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "native/inside.h"

enum { LOGITS_ROWS_MIN = 64 };

/* ---- a request ---- */

static size_t token_count(const struct native_request *request)
{
    size_t count = (size_t)request->prompt.count;
    for (int i = 0; i < request->continuation_count; i++)
        count += (size_t)request->continuations[i].count;
    return count;
}

static bool copy_tokens(struct native_active *active, const struct native_request *request)
{
    int n = request->continuation_count;
    active->tokens = calloc(token_count(request), sizeof(int32_t));
    active->continuations = calloc((size_t)n + 1, sizeof(*active->continuations));
    active->scores = calloc((size_t)n + 1, sizeof(*active->scores));
    active->token_scores = calloc(token_count(request), sizeof(*active->token_scores));
    if (!active->tokens || !active->continuations || !active->scores || !active->token_scores)
        return false;
    active->prompt = active->tokens;
    int32_t *to = active->tokens + active->prompt_count;
    memcpy(active->prompt, request->prompt.ids, (size_t)active->prompt_count * sizeof(int32_t));
    for (int i = 0; i < n; i++) {
        const struct native_tokens *from = &request->continuations[i];
        memcpy(to, from->ids, (size_t)from->count * sizeof(int32_t));
        active->continuations[i] = (struct native_continuation){.ids = to, .count = from->count};
        active->scores[i] = (struct infer_score){.tokens = from->count, .greedy = true};
        to += from->count;
    }
    return true;
}

struct native_active *native_active_new(const struct native_request *request, int context_max)
{
    CAP_AUTO(native_active) active = calloc(1, sizeof(*active));
    if (!active)
        return NULL;
    int room = context_max - request->prompt.count;
    *active = (struct native_active){
        .id = request->id,
        .prompt_count = request->prompt.count,
        .output_max =
            request->max_tokens > 0 && request->max_tokens < room ? request->max_tokens : room,
        .ignore_eos = request->ignore_eos,
        .sampling = request->sampling,
        .continuation_count = request->continuation_count};
    if (!copy_tokens(active, request))
        return NULL;
    active->sequence.rope_length = active->prompt_count;
    cap_rand_seed(&active->rand, request->sampling.seed);
    return cap_take(active);
}

void native_active_free(struct native_active *active)
{
    if (!active)
        return;
    free(active->tokens);
    free(active->continuations);
    free(active->scores);
    free(active->token_scores);
    free(active->chosen);
    free(active);
}

int native_active_pages(const struct native_active *active)
{
    if (!native_active_scores(active))
        return native_kv_pages_for(active->prompt_count + active->output_max);
    int longest = 0;
    for (int i = 0; i < active->continuation_count; i++)
        if (active->continuations[i].count > longest)
            longest = active->continuations[i].count;
    /* the fork has its own copy of the prompt's last page */
    return native_kv_pages_for(active->prompt_count + longest) + 1;
}

/* ---- life cycle ---- */

static bool open_kv(struct native_session *s, uint64_t bytes_max, struct cap_err *err)
{
    uint64_t page = native_kv_page_bytes(s->model);
    uint64_t most = (bytes_max ? bytes_max : native_model_memory(s->model) / 2) / page;
    uint64_t one = (uint64_t)native_kv_pages_for(s->context_max) + 1;
    uint64_t wanted = one * (uint64_t)s->concurrency;
    if (one > most)
        return cap_fail(
            err, CAP_RESOURCE_EXHAUSTED,
            "a context of %d tokens needs %.2f GiB of KV cache, %.2f GiB may be used; ask "
            "for a shorter context or raise kv_bytes_max",
            s->context_max, (double)(one * page) / (1 << 30), (double)(most * page) / (1 << 30));
    uint64_t pages = wanted < most ? wanted : most;
    s->kv = native_kv_open(s->model, pages < INT32_MAX ? (int)pages : INT32_MAX, err);
    s->pages_unreserved = s->kv ? s->kv->pages : 0;
    return s->kv != NULL;
}

static bool alloc_arrays(struct native_session *s)
{
    size_t rows = (size_t)s->rows_max + 1, vocab = (size_t)s->model->shape->vocab + 1;
    size_t layers = (size_t)s->model->moe_layers + 1;
    s->items = calloc(rows, sizeof(*s->items));
    s->ids = calloc(rows, sizeof(*s->ids));
    s->positions = calloc(rows, sizeof(*s->positions));
    s->sequence_of = calloc(rows, sizeof(*s->sequence_of));
    s->pick = calloc(rows, sizeof(*s->pick));
    s->sequences = calloc(rows, sizeof(*s->sequences));
    s->logits = calloc((size_t)s->logits_max * vocab + 1, sizeof(*s->logits));
    s->candidates = calloc(vocab, sizeof(*s->candidates));
    size_t events = 1 + 2 * (size_t)s->concurrency;
    s->events = calloc(events, sizeof(*s->events));
    s->token_ids = calloc(events, sizeof(*s->token_ids));
    s->distinct = calloc(layers, sizeof(*s->distinct));
    s->moe_layer_ids = calloc(layers, sizeof(*s->moe_layer_ids));
    return s->items && s->ids && s->positions && s->sequence_of && s->pick && s->sequences &&
           s->logits && s->candidates && s->events && s->token_ids && s->distinct &&
           s->moe_layer_ids;
}

static void name_moe_layers(struct native_session *s)
{
    int at = 0;
    for (int i = 0; i < s->model->shape->layer_count; i++)
        if (s->model->layers[i].router)
            s->moe_layer_ids[at++] = i;
}

static bool take_options(struct native_session *s, const struct native_session_options *options,
                         struct cap_err *err)
{
    int model_max = s->model->shape->context_max;
    s->concurrency = options->concurrency > 0 ? options->concurrency : 1;
    s->context_max = options->context_tokens_max > 0 ? options->context_tokens_max : model_max;
    if (s->concurrency > NATIVE_CONCURRENCY_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "concurrency %d: at most %d requests can run",
                        s->concurrency, NATIVE_CONCURRENCY_MAX);
    if (s->context_max > model_max)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "context of %d tokens: the model has %d positions", s->context_max,
                        model_max);
    s->rows_max =
        s->concurrency > NATIVE_PREFILL_TOKENS_MAX ? s->concurrency : NATIVE_PREFILL_TOKENS_MAX;
    s->logits_max = s->concurrency > LOGITS_ROWS_MIN ? s->concurrency : LOGITS_ROWS_MIN;
    s->logits_max =
        s->logits_max < NATIVE_PREFILL_TOKENS_MAX ? s->logits_max : NATIVE_PREFILL_TOKENS_MAX;
    return true;
}

struct native_session *native_session_open(struct native_model *model,
                                           const struct native_session_options *options,
                                           struct cap_err *err)
{
    CAP_AUTO(native_session) s = calloc(1, sizeof(*s));
    if (!s) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory");
        return NULL;
    }
    s->model = model;
    if (!take_options(s, options, err) || !open_kv(s, options->kv_bytes_max, err))
        return NULL;
    s->forward = native_forward_open(model, s->rows_max, s->logits_max, s->context_max, err);
    if (!s->forward)
        return NULL;
    if (!alloc_arrays(s)) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for %d requests at once",
                 s->concurrency);
        return NULL;
    }
    name_moe_layers(s);
    return cap_take(s);
}

static void free_list(struct native_active *active)
{
    while (active) {
        struct native_active *next = active->next;
        native_active_free(active);
        active = next;
    }
}

void native_session_free(struct native_session *s)
{
    if (!s)
        return;
    while (s->running.first) {
        struct native_active *active = s->running.first;
        native_plan_remove(s, active);
        native_active_free(active);
    }
    free_list(s->waiting.first);
    free_list(s->retired);
    native_forward_free(s->forward);
    native_kv_free(s->kv);
    free(s->items);
    free(s->ids);
    free(s->positions);
    free(s->sequence_of);
    free(s->pick);
    free(s->sequences);
    free(s->logits);
    free(s->candidates);
    free(s->events);
    free(s->token_ids);
    free(s->distinct);
    free(s->moe_layer_ids);
    free(s);
}

int native_session_context_max(const struct native_session *session)
{
    return session->context_max;
}

/* ---- submit and cancel ---- */

static bool check_ids(const struct native_session *s, const struct native_tokens *tokens,
                      struct cap_err *err)
{
    for (int i = 0; i < tokens->count; i++)
        if (tokens->ids[i] < 0 || tokens->ids[i] >= s->model->shape->vocab)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "token id %d is outside the vocabulary of %d", tokens->ids[i],
                            s->model->shape->vocab);
    return true;
}

static bool check_continuations(const struct native_session *s, const struct native_request *r,
                                struct cap_err *err)
{
    if (r->continuation_count > NATIVE_CONTINUATIONS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%d continuations: at most %d can be scored",
                        r->continuation_count, NATIVE_CONTINUATIONS_MAX);
    for (int i = 0; i < r->continuation_count; i++) {
        const struct native_tokens *c = &r->continuations[i];
        if (c->count < 1)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "continuation %d has no tokens", i);
        if (c->count > s->context_max - r->prompt.count)
            return cap_fail(
                err, CAP_INVALID_ARGUMENT,
                "prompt of %d tokens and continuation of %d do not fit the context of %d",
                r->prompt.count, c->count, s->context_max);
        if (!check_ids(s, c, err))
            return false;
    }
    return true;
}

static bool check_request(const struct native_session *s, const struct native_request *r,
                          struct cap_err *err)
{
    if (r->prompt.count < 1)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the prompt has no tokens");
    if (r->prompt.count >= s->context_max)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a prompt of %d tokens leaves no room in the context of %d",
                        r->prompt.count, s->context_max);
    if (s->waiting.count >= NATIVE_WAITING_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%d requests are waiting already",
                        s->waiting.count);
    return check_ids(s, &r->prompt, err) && check_continuations(s, r, err);
}

bool native_session_submit(struct native_session *s, const struct native_request *request,
                           struct cap_err *err)
{
    if (!check_request(s, request, err))
        return false;
    struct native_active *active = native_active_new(request, s->context_max);
    if (!active)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for a request");
    native_list_push(&s->waiting, active);
    return true;
}

static struct native_active *find(const struct native_list *list, uint64_t id)
{
    for (struct native_active *a = list->first; a; a = a->next)
        if (a->id == id)
            return a;
    return NULL;
}

void native_session_cancel(struct native_session *s, uint64_t id)
{
    struct native_active *active = find(&s->running, id);
    if (active) {
        native_retire(s, active);
        return;
    }
    active = find(&s->waiting, id);
    if (active)
        native_list_remove(&s->waiting, active);
    native_active_free(active);
}

const struct infer_routing *native_session_routing(const struct native_session *s, uint64_t id)
{
    return native_routing_of(find(&s->running, id));
}

/* ---- one step ---- */

void native_session_ask(struct native_session *session, bool (*unwanted)(void *arg), void *arg)
{
    native_forward_ask(session->forward, unwanted, arg);
}

/* Nobody waits for anything here. What the pass left half done goes with its requests. */
static void forget_all(struct native_session *s)
{
    while (s->running.first)
        native_retire(s, s->running.first);
    while (s->waiting.first) {
        struct native_active *active = s->waiting.first;
        native_list_remove(&s->waiting, active);
        native_active_free(active);
    }
}

bool native_session_step(struct native_session *s, struct native_step *out_step,
                         struct cap_err *err)
{
    free_list(s->retired);
    s->retired = NULL;
    s->event_count = 1; /* the pass */
    int64_t started_ns = cap_clock_ns(cap_clock_system());
    if (!native_plan(s, err))
        return false;
    for (int i = 0; i < s->item_count; i++)
        if (!s->items[i].active->started_ns)
            s->items[i].active->started_ns = started_ns;
    struct native_rows rows = {.count = s->row_count,
                               .ids = s->ids,
                               .positions = s->positions,
                               .sequence_of = s->sequence_of,
                               .sequences = s->sequences,
                               .sequence_count = s->item_count};
    if (!native_forward_run(s->forward, s->kv, &rows, err) || !native_record_routing(s, err) ||
        !native_outputs(s, err)) {
        if (err->code == CAP_CANCELLED) {
            forget_all(s);
            cap_err_clear(err);
        }
        return false;
    }
    s->events[0] = (struct infer_event){.kind = INFER_PASS};
    native_record_pass(s, started_ns, &s->events[0].pass);
    for (int i = 0; i < s->event_count; i++)
        s->events[i].at_ns = started_ns + s->events[0].pass.duration_ns;
    *out_step = (struct native_step){.events = s->events, .event_count = s->event_count};
    return true;
}
