/* append_rows.h — a batch's rows as COPY lines and parameters: what append_sql.c sends. */
#ifndef STORE_APPEND_ROWS_H
#define STORE_APPEND_ROWS_H

#include "append.h"
#include "copy.h"

#define STORE_SAMPLE_COLUMNS                                                                       \
    "run_no, shard, fence, ordinal, uid, completed, escaped, error, prompt, text, reasoning,"      \
    " finish_reason, prompt_tokens, output_tokens, cached_tokens, output_ids, score_logs,"         \
    " score_tokens, score_greedy, submitted_us, first_token_us, last_token_us, ended_us, itl_us,"  \
    " routing, first_chunk_tokens"
#define STORE_PASS_COLUMNS                                                                         \
    "run_no, shard, fence, seq, item, phase, sequences, tokens, context_sum, duration_ns,"         \
    " started_us, distinct_experts, weight_bytes, kv_bytes, flops, warm_up"
#define STORE_POWER_COLUMNS "run_no, shard, fence, seq, item, at_us, device, watts"

void store_append_samples(struct store_copy *copy, int64_t run_no, const struct store_batch *batch);
void store_append_passes(struct store_copy *copy, int64_t run_no, const struct store_batch *batch);
void store_append_power(struct store_copy *copy, int64_t run_no, const struct store_batch *batch);
/* {1,5,9} of the answers' ordinals */
void store_append_ordinals(struct cap_buf *literal, const struct store_batch *batch);

#endif
