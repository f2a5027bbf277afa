#include "append_rows.h"

static void add_place(struct store_copy *copy, int64_t run_no, const struct store_batch *batch)
{
    store_copy_int(copy, run_no);
    store_copy_uint(copy, batch->lease.shard);
    store_copy_uint(copy, batch->lease.fence);
}

static bool fits(struct store_bytes text)
{
    return store_text_fits((const char *)text.data, text.length);
}

static void add_text(struct store_copy *copy, struct store_bytes text)
{
    store_copy_text(copy, (const char *)text.data, text.length);
}

static void add_scores(struct store_copy *copy, const struct store_answer *answer)
{
    if (answer->score_logs.count == 0) {
        store_copy_null(copy);
        store_copy_null(copy);
        store_copy_null(copy);
        return;
    }
    store_copy_reals(copy, answer->score_logs.items, answer->score_logs.count);
    store_copy_u32s(copy, answer->score_tokens.items, answer->score_tokens.count);
    store_copy_u32s(copy, answer->score_greedy.items, answer->score_greedy.count);
}

static void add_timing(struct store_copy *copy, const struct store_answer *answer)
{
    if (!answer->timed) {
        for (int i = 0; i < 5; i++)
            store_copy_null(copy);
        return;
    }
    store_copy_int(copy, answer->submitted_us);
    store_copy_opt_int(copy, answer->first_token_us);
    store_copy_opt_int(copy, answer->last_token_us);
    store_copy_int(copy, answer->ended_us);
    store_copy_u32s(copy, answer->itl_us.items, answer->itl_us.count);
}

static void add_sample(struct store_copy *copy, const struct store_answer *answer)
{
    store_copy_uint(copy, answer->ordinal);
    store_copy_str(copy, answer->uid);
    store_copy_bool(copy, answer->completed);
    store_copy_bool(copy, !(fits(answer->error) && fits(answer->prompt) && fits(answer->text) &&
                            fits(answer->reasoning)));
    add_text(copy, answer->error);
    add_text(copy, answer->prompt);
    add_text(copy, answer->text);
    add_text(copy, answer->reasoning);
    store_copy_str(copy, answer->finish_reason);
    store_copy_opt_int(copy, answer->prompt_tokens);
    store_copy_opt_int(copy, answer->output_tokens);
    store_copy_opt_int(copy, answer->cached_tokens);
    store_copy_u32s(copy, answer->output_ids.items, answer->output_ids.count);
    add_scores(copy, answer);
    add_timing(copy, answer);
    store_copy_bytes(copy, answer->routing);
    store_copy_opt_int(copy, answer->first_chunk_tokens);
}

void store_append_samples(struct store_copy *copy, int64_t run_no, const struct store_batch *batch)
{
    for (size_t i = 0; i < batch->answers.count; i++) {
        add_place(copy, run_no, batch);
        add_sample(copy, &batch->answers.items[i]);
        store_copy_end_row(copy);
    }
}

static void add_pass(struct store_copy *copy, const struct store_pass *pass)
{
    store_copy_uint(copy, pass->phase);
    store_copy_uint(copy, pass->sequences);
    store_copy_uint(copy, pass->tokens);
    store_copy_uint(copy, pass->context_sum);
    store_copy_uint(copy, pass->duration_ns);
    store_copy_int(copy, pass->started_us);
    store_copy_u32s(copy, pass->distinct_experts.items, pass->distinct_experts.count);
    store_copy_opt_int(copy, pass->weight_bytes);
    store_copy_opt_int(copy, pass->kv_bytes);
    store_copy_opt_real(copy, pass->flops);
    store_copy_bool(copy, pass->warm_up);
}

void store_append_passes(struct store_copy *copy, int64_t run_no, const struct store_batch *batch)
{
    for (size_t i = 0; i < batch->passes.count; i++) {
        add_place(copy, run_no, batch);
        store_copy_uint(copy, batch->seq);
        store_copy_uint(copy, i);
        add_pass(copy, &batch->passes.items[i]);
        store_copy_end_row(copy);
    }
}

void store_append_power(struct store_copy *copy, int64_t run_no, const struct store_batch *batch)
{
    for (size_t i = 0; i < batch->power.count; i++) {
        const struct store_power *power = &batch->power.items[i];
        add_place(copy, run_no, batch);
        store_copy_uint(copy, batch->seq);
        store_copy_uint(copy, i);
        store_copy_int(copy, power->at_us);
        store_copy_str(copy, power->device);
        store_copy_real(copy, power->watts);
        store_copy_end_row(copy);
    }
}

void store_append_ordinals(struct cap_buf *literal, const struct store_batch *batch)
{
    cap_buf_add_char(literal, '{');
    for (size_t i = 0; i < batch->answers.count; i++)
        cap_buf_printf(literal, i ? ",%u" : "%u", batch->answers.items[i].ordinal);
    cap_buf_add_char(literal, '}');
}
