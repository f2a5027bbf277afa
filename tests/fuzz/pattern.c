/* A task's pattern from a stranger, on a text from a model: the first line is the pattern, the rest
 * the text. Found or not, nothing may be read outside, and every span lies in the text, in order.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "text/regex.h"

enum { MATCHES_MAX = 1000 };

static void check_group(const struct eval_regex_work *work, struct eval_text text, unsigned group)
{
    struct eval_text found = eval_regex_group(work, text, group);

    assert(found.data >= text.data && found.data + found.length <= text.data + text.length);
}

static void find_all(const struct eval_regex *regex, struct eval_regex_work *work,
                     struct eval_text text)
{
    struct eval_regex_cursor cursor = {0};
    size_t before = 0;

    for (int i = 0; i < MATCHES_MAX; i++) {
        if (eval_regex_find(regex, work, text, &cursor) != EVAL_REGEX_FOUND)
            return;
        assert(cursor.at >= before && cursor.at <= text.length);
        before = cursor.at;
        for (unsigned g = 0; g <= eval_regex_group_count(regex); g++)
            check_group(work, text, g);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(8 << 20);
    struct eval_text all = eval_text_valid(arena, size ? (const char *)data : "", size), text, out;
    size_t at = eval_text_find(all, eval_text_of("\n"));
    struct cap_err err = {0};
    CAP_AUTO(eval_regex) regex = NULL;
    CAP_AUTO(eval_regex_work) work = eval_regex_work_new();

    if (at > all.length)
        return 0;
    text = (struct eval_text){all.data + at + 1, all.length - at - 1};
    regex = eval_regex_open((struct eval_text){all.data, at}, &err);
    if (!regex)
        return 0;
    find_all(regex, work, text);
    if (eval_regex_remove(regex, work, arena, text, &out))
        assert(out.length <= text.length);
    eval_text_lower(arena, text);
    eval_text_upper(arena, text);
    eval_text_drop_punctuation(arena, eval_text_strip(text));
    return 0;
}
