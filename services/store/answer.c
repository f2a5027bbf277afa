#include "answer.h"

#include <string.h>

#include "grade.h"

static bool read_text(const struct store_rows *rows, size_t row, int column,
                      struct cap_arena *arena, struct store_bytes *out_text)
{
    char *text = store_rows_text_copy(rows, row, column, arena);

    if (!text)
        return false;
    *out_text = (struct store_bytes){(const uint8_t *)text, strlen(text)};
    return true;
}

bool store_answer_read(const struct store_rows *rows, size_t row, int column,
                       struct cap_arena *arena, struct store_answer *out_answer)
{
    struct store_answer a = {
        .ordinal = store_rows_u32(rows, row, column),
        .uid = store_rows_text_copy(rows, row, column + 1, arena),
        .fence = (uint64_t)store_rows_int(rows, row, column + 2),
        .escaped = store_rows_bool(rows, row, column + 3),
        .completed = store_rows_bool(rows, row, column + 4),
        .finish_reason = store_rows_text_copy(rows, row, column + 5, arena),
        .prompt_tokens = store_rows_opt_int(rows, row, column + 11),
        .output_tokens = store_rows_opt_int(rows, row, column + 12),
        .cached_tokens = store_rows_opt_int(rows, row, column + 13),
        .timed = !store_rows_null(rows, row, column + 17),
        .submitted_us = store_rows_int(rows, row, column + 17),
        .first_token_us = store_rows_opt_int(rows, row, column + 18),
        .last_token_us = store_rows_opt_int(rows, row, column + 19),
        .ended_us = store_rows_int(rows, row, column + 20),
        .first_chunk_tokens = store_rows_opt_int(rows, row, column + 22),
    };

    if (!a.uid || !a.finish_reason || !read_text(rows, row, column + 6, arena, &a.error) ||
        !read_text(rows, row, column + 7, arena, &a.prompt) ||
        !read_text(rows, row, column + 8, arena, &a.text) ||
        !read_text(rows, row, column + 9, arena, &a.reasoning) ||
        !store_rows_u32s(rows, row, column + 10, arena, &a.output_ids) ||
        !store_rows_reals(rows, row, column + 14, arena, &a.score_logs) ||
        !store_rows_u32s(rows, row, column + 15, arena, &a.score_tokens) ||
        !store_rows_u32s(rows, row, column + 16, arena, &a.score_greedy) ||
        !store_rows_u32s(rows, row, column + 21, arena, &a.itl_us))
        return false;
    *out_answer = a;
    return true;
}

static const char *const kind_names[STORE_VERDICT_KIND_COUNT] = {"", "correct", "wrong",
                                                                 "undecided"};

const char *store_verdict_kind_name(enum store_verdict_kind kind)
{
    return kind < STORE_VERDICT_KIND_COUNT ? kind_names[kind] : "";
}

enum store_verdict_kind store_verdict_kind_from_name(const char *name)
{
    for (int i = 1; i < STORE_VERDICT_KIND_COUNT; i++)
        if (strcmp(kind_names[i], name) == 0)
            return (enum store_verdict_kind)i;
    return STORE_VERDICT_NONE;
}

bool store_verdict_read(const struct store_rows *rows, size_t row, int column,
                        struct cap_arena *arena, struct store_verdict *out_verdict)
{
    struct store_verdict v = {
        .ordinal = store_rows_u32(rows, row, column),
        .metric = store_rows_text_copy(rows, row, column + 1, arena),
        .version = store_rows_text_copy(rows, row, column + 2, arena),
        .kind = store_verdict_kind_from_name(store_rows_text(rows, row, column + 3)),
        .extracted = store_rows_text_copy(rows, row, column + 4, arena),
        .reason = store_rows_text_copy(rows, row, column + 5, arena),
        .score = store_rows_real(rows, row, column + 6),
        .unanswered = store_rows_bool(rows, row, column + 7),
        .truncated = store_rows_bool(rows, row, column + 8),
    };

    if (!v.metric || !v.version || !v.extracted || !v.reason)
        return false;
    *out_verdict = v;
    return true;
}
