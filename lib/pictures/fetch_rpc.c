/* What a picture is made of, from the store: the runs, and the counts of experts, page by page. */
#include <assert.h>

#include "moecap/v1/store.rpc.h"
#include "pictures/pictures.h"
#include "wire/json.h"

static bool fetch_counts(struct cap_rpc_channel *store, struct cap_arena *arena,
                         struct cap_picture_ask *out, struct cap_err *err)
{
    Moecap__V1__GetExpertCountsRequest request = MOECAP__V1__GET_EXPERT_COUNTS_REQUEST__INIT;
    Moecap__V1__ExpertCount **all =
        cap_arena_array(arena, CAP_PICTURE_COUNTS_MAX, sizeof(Moecap__V1__ExpertCount *));
    Moecap__V1__GetExpertCountsReply *page = NULL;

    if (!all)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the run has too many counts to be drawn");
    request.run_id = out->runs[0]->row->run_id;
    do {
        if (!store_rpc_get_expert_counts(store, NULL, &request, arena, &page, err))
            return false;
        if (page->n_counts > CAP_PICTURE_COUNTS_MAX - out->count_count)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the run has more than %d rows of counts",
                            CAP_PICTURE_COUNTS_MAX);
        for (size_t i = 0; i < page->n_counts; i++)
            all[out->count_count++] = page->counts[i];
        request.after = page->next_after;
    } while (page->opt_next_case);
    out->counts = all;
    return true;
}

bool cap_picture_fetch(const struct cap_picture *picture, const struct cap_picture_source *source,
                       struct cap_arena *arena, struct cap_picture_ask *out, struct cap_err *err)
{
    Moecap__V1__GetRunReply **runs =
        cap_arena_array(arena, source->count + 1, sizeof(Moecap__V1__GetRunReply *));

    if (!runs)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "too many runs");
    if (!cap_picture_check(picture, source->count, err))
        return false;
    for (size_t i = 0; i < source->count; i++) {
        Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;

        request.run_id = (char *)source->ids[i];
        if (!store_rpc_get_run(source->store, NULL, &request, arena, &runs[i], err))
            return false;
        assert(runs[i] && runs[i]->row); /* the store fills both */
        cap_wire_add_accuracy(runs[i]->row, arena);
    }
    out->runs = runs;
    out->run_count = source->count;
    return !picture->needs_counts || fetch_counts(source->store, arena, out, err);
}
