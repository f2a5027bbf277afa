/* answer.h — the columns of an answer, of a verdict and of figures, and their readers. */
#ifndef STORE_ANSWER_H
#define STORE_ANSWER_H

#include "base/arena.h"
#include "rows.h"

/* Of `sample s`. The bare form leaves out texts and token ids. */
#define STORE_ANSWER_HEAD "s.ordinal, s.uid, s.fence, s.escaped, s.completed, s.finish_reason, "
#define STORE_ANSWER_TAIL                                                                          \
    ", s.prompt_tokens, s.output_tokens, s.cached_tokens, s.score_logs, s.score_tokens,"           \
    " s.score_greedy, s.submitted_us, s.first_token_us, s.last_token_us, s.ended_us, s.itl_us,"    \
    " s.first_chunk_tokens"
#define STORE_ANSWER_COLUMNS                                                                       \
    STORE_ANSWER_HEAD "s.error, s.prompt, s.text, s.reasoning, s.output_ids" STORE_ANSWER_TAIL
#define STORE_ANSWER_BARE_COLUMNS STORE_ANSWER_HEAD "s.error, '', '', '', '{}'" STORE_ANSWER_TAIL
enum { STORE_ANSWER_COLUMN_COUNT = 23 };

/* False when the arena is full. */
bool store_answer_read(const struct store_rows *rows, size_t row, int column,
                       struct cap_arena *arena, struct store_answer *out_answer);

/* Of `verdict v`. */
#define STORE_VERDICT_COLUMNS                                                                      \
    "v.ordinal, v.metric, v.version, v.kind, v.extracted, v.reason, v.score, v.unanswered,"        \
    " v.truncated"
bool store_verdict_read(const struct store_rows *rows, size_t row, int column,
                        struct cap_arena *arena, struct store_verdict *out_verdict);

#endif
