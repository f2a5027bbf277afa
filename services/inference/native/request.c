#include "native/request.h"

#include <stdlib.h>
#include <string.h>

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
        active->scores[i] =
            (struct native_score){.tokens = from->count,
                                  .greedy = true,
                                  .each = active->token_scores + (to - active->tokens)};
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
