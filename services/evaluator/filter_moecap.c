/* moecap_number: the number that MoE-CAP 2026 takes from an answer (docs/graders.md).
 *
 * Five forms of an explicit answer are searched for everywhere, a sixth (a line that only says
 * "answer", and the number below it) in the last three lines; of all that is found, the number that
 * ends last counts. Only where nothing is found do the last three lines get a second look: one with
 * a word such as "total" gives its last number, one that is just a number gives itself. Decimals
 * are not read. The work is done with patterns, which are compiled once. */
#include <stdlib.h>
#include <string.h>

#include "filter.h"

#define NUMBER "(?<![\\d.])(-?\\d[\\d,]*)"

enum { FORMS = 5, LAST_LINES = 3 };

static const char *const form_patterns[FORMS] = {
    "(?im)####\\s*\\$?\\s*" NUMBER,
    "(?im)\\\\boxed\\{\\s*\\\\?\\$?\\s*" NUMBER "\\s*(?:\\\\?%)?[^}]*\\}",
    "(?im)(?:\\bthe\\s+)?(?:final\\s+)?\\banswer\\s*(?:is|=|:)[^\\n\\d-]{0,100}(?:\\\\?\\$)"
    "?" NUMBER,
    "(?im)=\\s*\\*{0,2}\\s*(?:\\\\?\\$)?\\s*" NUMBER "(?:\\.\\d+)?\\s*\\$?\\s*\\*{0,2}\\s*"
    "(?:%|[A-Za-z][A-Za-z /-]{0,40})?\\s*\\.?\\s*$",
    "(?im)\\*\\*\\s*(?:\\\\?\\$)?\\s*" NUMBER "(?:\\s*[^*\\n]{0,80})?\\*\\*",
};
static const char label_pattern[] = "(?i)\\A[\\s*#>\\u2705]*(?:final[\\s*#>\\u2705]+)?answer"
                                    "[\\s*#>\\u2705]*:?[\\s*#>\\u2705]*\\Z";
static const char cue_pattern[] =
    "(?i)\\b(?:answer|result|total|profit|earnings?|salary|cost|price|value|amount|time|distance|"
    "speed|rate|age|percentage|percent|remaining|left|required|needed)\\b";
static const char bare_pattern[] = "\\A\\s*\\$?\\s*" NUMBER "\\s*\\.?\\s*\\Z";

struct moecap {
    struct eval_regex *forms[FORMS], *label, *cue, *bare, *number;
};

static void free_moecap(void *state)
{
    struct moecap *m = state;

    for (size_t i = 0; i < FORMS; i++)
        eval_regex_free(m->forms[i]);
    eval_regex_free(m->label);
    eval_regex_free(m->cue);
    eval_regex_free(m->bare);
    eval_regex_free(m->number);
    free(m);
}

static void *open_moecap(const json_t *options, struct cap_err *err)
{
    struct moecap *m = calloc(1, sizeof *m);
    bool ok = true;

    (void)options;
    if (!m)
        abort();
    for (size_t i = 0; ok && i < FORMS; i++)
        ok = (m->forms[i] = eval_regex_open(eval_text_of(form_patterns[i]), err));
    ok = ok && (m->label = eval_regex_open(eval_text_of(label_pattern), err)) &&
         (m->cue = eval_regex_open(eval_text_of(cue_pattern), err)) &&
         (m->bare = eval_regex_open(eval_text_of(bare_pattern), err)) &&
         (m->number = eval_regex_open(eval_text_of(NUMBER), err));
    if (ok)
        return m;
    free_moecap(m);
    return NULL;
}

/* ---- searching ---- */

struct search {
    struct eval_regex_work *work;
    bool gave_up;
    struct eval_text best; /* the number that ends last; data NULL: none yet */
};

/* The last number that the pattern's group holds; NULL: none. */
static struct eval_text last_number(struct search *s, const struct eval_regex *regex,
                                    struct eval_text text)
{
    struct eval_regex_cursor cursor = {0};
    struct eval_text last = EVAL_TEXT_NONE;
    enum eval_regex_found found;

    while ((found = eval_regex_find(regex, s->work, text, &cursor)) == EVAL_REGEX_FOUND)
        last = eval_regex_group(s->work, text, 1);
    s->gave_up |= found == EVAL_REGEX_GAVE_UP;
    return last;
}

static bool matches(struct search *s, const struct eval_regex *regex, struct eval_text text)
{
    struct eval_regex_cursor cursor = {0};
    enum eval_regex_found found = eval_regex_find(regex, s->work, text, &cursor);

    s->gave_up |= found == EVAL_REGEX_GAVE_UP;
    return found == EVAL_REGEX_FOUND;
}

static void offer(struct search *s, struct eval_text number)
{
    if (number.data &&
        (!s->best.data || number.data + number.length > s->best.data + s->best.length))
        s->best = number;
}

/* The last three lines that are not blank, the last one first; returns how many. */
static size_t last_lines(struct eval_text text, struct eval_text out[LAST_LINES])
{
    size_t count = 0, end = text.length;

    while (count < LAST_LINES && end > 0) {
        const char *newline = memrchr(text.data, '\n', end);
        size_t begin = newline ? (size_t)(newline - text.data) + 1 : 0;
        struct eval_text line = {text.data + begin, end - begin};

        if (eval_text_strip(line).length > 0)
            out[count++] = line;
        end = newline ? begin - 1 : 0;
    }
    return count;
}

static struct eval_text find_number(const struct moecap *m, struct search *s, struct eval_text text)
{
    struct eval_text lines[LAST_LINES];
    size_t count = last_lines(text, lines);

    for (size_t i = 0; i < FORMS; i++)
        offer(s, last_number(s, m->forms[i], text));
    for (size_t i = count; i-- > 1;)
        if (matches(s, m->label, lines[i]))
            offer(s, last_number(s, m->number, lines[i - 1]));
    for (size_t i = 0; i < count && !s->best.data; i++) {
        if (matches(s, m->cue, lines[i]))
            offer(s, last_number(s, m->number, lines[i]));
        if (!s->best.data)
            offer(s, last_number(s, m->bare, lines[i]));
    }
    return s->best;
}

/* ---- the step ---- */

static struct eval_text drop_commas(struct cap_arena *arena, struct eval_text number)
{
    char *out = cap_arena_alloc(arena, number.length + 1);
    size_t length = 0;

    for (size_t i = 0; out && i < number.length; i++)
        if (number.data[i] != ',')
            out[length++] = number.data[i];
    return (struct eval_text){out, length};
}

static bool apply_moecap(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    for (size_t i = 0; i < f->count; i++) {
        struct search s = {.work = f->work};
        struct eval_text number = find_number(state, &s, f->responses[i].text);

        f->responses[i].missing |= !number.data;
        f->responses[i].text = number.data ? drop_commas(f->arena, number) : eval_text_of("");
        if (s.gave_up || !f->responses[i].text.data)
            return eval_filter_fail_effort(err);
    }
    return true;
}

static const char *const no_keys[] = {NULL};

const struct eval_filter_ops eval_filter_moecap_number = {"moecap_number", no_keys, open_moecap,
                                                          apply_moecap, free_moecap};
