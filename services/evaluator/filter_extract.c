/* The filters that extract by pattern: regex, first_match, remove, multi_choice_regex, and
 * moecap_number.
 *
 * All but the last do what the harness's filters of that name do, with Python's findall and its
 * groups. moecap_number is the number that MoE-CAP 2026 takes from an answer (docs/graders.md):
 * five forms of an explicit answer are searched for everywhere, a sixth (a line that only says
 * "answer", and the number below it) in the last three lines; of all that is found, the number that
 * ends last counts. Only where nothing is found do the last three lines get a second look: one with
 * a word such as "total" gives its last number, one that is just a number gives itself. Decimals
 * are not read. */
#include "graders.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "keys.h"

enum { PATTERNS_MAX = 32, SELECT_MAX = 255 };

static const char default_pattern[] = "#### (\\-?[0-9\\.\\,]+)";

/* ---- one pattern and which of its matches counts ---- */

struct extractor {
    struct eval_regex *regex;
    long select; /* 0 = first match, -1 = last */
};

static bool open_extractor(struct extractor *e, const json_t *options, struct cap_err *err)
{
    struct eval_text pattern = eval_text_of(default_pattern);

    return eval_key_text(options, "regex_pattern", &pattern, err) &&
           eval_key_int(options, "group_select", -SELECT_MAX, SELECT_MAX, &e->select, err) &&
           (e->regex = eval_regex_open(pattern, err));
}

/* What findall gives for the match just found: the whole, the only group, or of several groups the
 * first that is not empty. */
static struct eval_text matched_text(const struct extractor *e, const struct eval_regex_work *work,
                                     struct eval_text text)
{
    unsigned groups = eval_regex_group_count(e->regex);
    struct eval_text found = eval_regex_group(work, text, groups ? 1 : 0);

    for (unsigned g = 2; g <= groups && found.length == 0; g++)
        found = eval_regex_group(work, text, g);
    return found;
}

/* Python's findall()[select]; *out_found says whether there was such a match with any text in it
 * (a single empty group is a match with an empty text). */
static bool extract(const struct extractor *e, struct eval_regex_work *work, struct eval_text text,
                    struct eval_text *out_text, bool *out_found)
{
    struct eval_regex_cursor cursor = {0};
    struct eval_text last[SELECT_MAX + 1];
    size_t keep = e->select < 0 ? (size_t)-e->select : (size_t)e->select + 1, count = 0;
    enum eval_regex_found found = EVAL_REGEX_NONE;

    assert(keep > 0 && keep <= CAP_COUNT_OF(last));
    while ((e->select < 0 || count < keep) &&
           (found = eval_regex_find(e->regex, work, text, &cursor)) == EVAL_REGEX_FOUND)
        last[count++ % keep] = matched_text(e, work, text);
    if (found == EVAL_REGEX_GAVE_UP)
        return false;
    *out_found = count >= keep;
    if (!*out_found)
        return true;
    *out_text = last[e->select < 0 ? count % keep : keep - 1];
    if (eval_regex_group_count(e->regex) > 1 && out_text->length == 0)
        *out_found = false;
    *out_text = eval_text_strip(*out_text);
    return true;
}

/* ---- regex ---- */

struct regex_state {
    struct extractor extractor;
    struct eval_text fallback; /* owned */
};

static struct eval_text copy_text(struct eval_text text)
{
    char *copy = malloc(text.length + 1);

    if (!copy)
        abort();
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    return (struct eval_text){copy, text.length};
}

static bool read_fallback(const json_t *options, struct eval_text *out, struct cap_err *err)
{
    struct eval_text text = eval_text_of("[invalid]");

    if (!eval_key_text(options, "fallback", &text, err))
        return false;
    *out = copy_text(text);
    return true;
}

static void free_regex(void *state)
{
    struct regex_state *s = state;

    eval_regex_free(s->extractor.regex);
    free((char *)s->fallback.data);
    free(s);
}

static void *open_regex(const json_t *options, struct cap_err *err)
{
    struct regex_state *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    if (open_extractor(&s->extractor, options, err) && read_fallback(options, &s->fallback, err))
        return s;
    free_regex(s);
    return NULL;
}

static void miss(struct eval_response *r, struct eval_text fallback)
{
    r->text = fallback;
    r->missing = true;
}

static bool apply_regex(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    const struct regex_state *s = state;

    for (size_t i = 0; i < f->count; i++) {
        struct eval_response *r = &f->responses[i];
        bool found = false;

        if (!extract(&s->extractor, f->work, r->text, &r->text, &found))
            return eval_filter_fail_effort(err);
        if (!found)
            miss(r, s->fallback);
    }
    return true;
}

static const char *const regex_keys[] = {"regex_pattern", "group_select", "fallback", NULL};

const struct eval_filter_ops eval_filter_regex = {"regex", regex_keys, open_regex, apply_regex,
                                                  free_regex};

/* ---- first_match: ours; the first of several patterns that finds something ---- */

struct first_match_state {
    struct extractor extractors[PATTERNS_MAX];
    size_t count;
    struct eval_text fallback; /* owned */
};

static void free_first_match(void *state)
{
    struct first_match_state *s = state;

    for (size_t i = 0; i < s->count; i++)
        eval_regex_free(s->extractors[i].regex);
    free((char *)s->fallback.data);
    free(s);
}

static bool read_extractors(struct first_match_state *s, const json_t *patterns,
                            struct cap_err *err)
{
    static const char *const keys[] = {"regex_pattern", "group_select", NULL};
    json_t *options;
    size_t i;

    if (!json_is_array(patterns) || json_array_size(patterns) == 0 ||
        json_array_size(patterns) > PATTERNS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "patterns must be a list of 1 to %d patterns",
                        PATTERNS_MAX);
    json_array_foreach((json_t *)patterns, i, options)
    {
        if (!json_is_string(json_object_get(options, "regex_pattern")))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "pattern %zu has no regex_pattern", i + 1);
        if (!eval_keys_known(options, keys, err) ||
            !open_extractor(&s->extractors[s->count], options, err))
            return false;
        s->count++;
    }
    return true;
}

static void *open_first_match(const json_t *options, struct cap_err *err)
{
    struct first_match_state *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    if (read_extractors(s, json_object_get(options, "patterns"), err) &&
        read_fallback(options, &s->fallback, err))
        return s;
    free_first_match(s);
    return NULL;
}

static bool apply_first_match(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    const struct first_match_state *s = state;

    for (size_t i = 0; i < f->count; i++) {
        struct eval_response *r = &f->responses[i];
        struct eval_text found_text = r->text;
        bool found = false;

        for (size_t p = 0; p < s->count && !found; p++)
            if (!extract(&s->extractors[p], f->work, r->text, &found_text, &found))
                return eval_filter_fail_effort(err);
        r->text = found_text;
        if (!found)
            miss(r, s->fallback);
    }
    return true;
}

static const char *const first_match_keys[] = {"patterns", "fallback", NULL};

const struct eval_filter_ops eval_filter_first_match = {
    "first_match", first_match_keys, open_first_match, apply_first_match, free_first_match};

/* ---- lists of patterns whose matches are deleted ---- */

struct removals {
    struct eval_regex *regexes[PATTERNS_MAX];
    size_t count;
};

static void done_removals(struct removals *r)
{
    for (size_t i = 0; i < r->count; i++)
        eval_regex_free(r->regexes[i]);
}

static bool read_removals(struct removals *r, const json_t *list, const char *key,
                          struct cap_err *err)
{
    json_t *pattern;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) > PATTERNS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s must be a list of at most %d patterns", key,
                        PATTERNS_MAX);
    json_array_foreach((json_t *)list, i, pattern)
    {
        if (!json_is_string(pattern))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "%s: entry %zu is not a text", key, i + 1);
        if (!(r->regexes[r->count] = eval_regex_open(eval_json_text(pattern), err)))
            return cap_fail_in(err, "%s", key);
        r->count++;
    }
    return true;
}

static bool apply_removals(const struct removals *r, const struct eval_filtering *f,
                           struct eval_text *io_text, struct cap_err *err)
{
    for (size_t i = 0; i < r->count; i++)
        if (!eval_regex_remove(r->regexes[i], f->work, f->arena, *io_text, io_text))
            return eval_filter_fail_effort(err);
    return true;
}

/* ---- remove: ours ---- */

static void free_remove(void *state)
{
    done_removals(state);
    free(state);
}

static void *open_remove(const json_t *options, struct cap_err *err)
{
    struct removals *r = calloc(1, sizeof *r);

    if (!r)
        abort();
    if (read_removals(r, json_object_get(options, "regex_patterns"), "regex_patterns", err))
        return r;
    free_remove(r);
    return NULL;
}

static bool apply_remove(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    for (size_t i = 0; i < f->count; i++)
        if (!apply_removals(state, f, &f->responses[i].text, err))
            return false;
    return true;
}

static const char *const remove_keys[] = {"regex_patterns", NULL};

const struct eval_filter_ops eval_filter_remove = {"remove", remove_keys, open_remove, apply_remove,
                                                   free_remove};

/* ---- multi_choice_regex ---- */

/* A letter in parentheses by the task's own pattern; else one of the document's choices found in
 * the text, as its letter; else a bare letter after a colon. */
struct multi_choice_state {
    struct extractor extractor;
    struct eval_text fallback; /* owned */
    struct removals ignore;
    bool ignore_case, ignore_punctuation;
};

static void free_multi_choice(void *state)
{
    struct multi_choice_state *s = state;

    eval_regex_free(s->extractor.regex);
    free((char *)s->fallback.data);
    done_removals(&s->ignore);
    free(s);
}

static void *open_multi_choice(const json_t *options, struct cap_err *err)
{
    struct multi_choice_state *s = calloc(1, sizeof *s);
    const json_t *ignore = json_object_get(options, "regexes_to_ignore");

    if (!s)
        abort();
    if (open_extractor(&s->extractor, options, err) && read_fallback(options, &s->fallback, err) &&
        eval_key_bool(options, "ignore_case", &s->ignore_case, err) &&
        eval_key_bool(options, "ignore_punctuation", &s->ignore_punctuation, err) &&
        (!ignore || json_is_null(ignore) ||
         read_removals(&s->ignore, ignore, "regexes_to_ignore", err)))
        return s;
    free_multi_choice(s);
    return NULL;
}

static bool drop_ignored(const struct multi_choice_state *s, const struct eval_filtering *f,
                         struct eval_text *io_text, struct cap_err *err)
{
    if (!apply_removals(&s->ignore, f, io_text, err))
        return false;
    if (s->ignore_case)
        *io_text = eval_text_lower(f->arena, *io_text);
    if (s->ignore_punctuation && io_text->data)
        *io_text = eval_text_drop_punctuation(f->arena, *io_text);
    return io_text->data ? true : eval_filter_fail_effort(err);
}

/* The two patterns that depend on the document. */
struct choice_patterns {
    struct extractor by_text, by_letter;
    struct eval_text *texts; /* the choices as they are searched for */
};

static void done_patterns(struct choice_patterns *p)
{
    eval_regex_free(p->by_text.regex);
    eval_regex_free(p->by_letter.regex);
}

static struct eval_regex *open_built(const struct cap_buf *pattern, struct cap_err *err)
{
    return eval_regex_open((struct eval_text){pattern->data, pattern->length}, err);
}

/* The texts as alternatives, the longest pattern first: one that begins as another must not hide
 * it. Of equally long ones the first of the document comes first. */
static bool add_longest_first(const struct eval_text *texts, size_t count, struct cap_arena *arena,
                              struct cap_buf *out)
{
    struct eval_text *patterns = cap_arena_array(arena, count, sizeof *patterns);

    if (!patterns)
        return false;
    for (size_t i = 0; i < count; i++) {
        CAP_AUTO_BUF(escaped, 1 << 20);
        size_t at = i;

        eval_regex_escape(texts[i], &escaped);
        for (size_t length = eval_text_count((struct eval_text){escaped.data, escaped.length});
             at > 0 && eval_text_count(patterns[at - 1]) < length; at--)
            patterns[at] = patterns[at - 1];
        patterns[at] = (struct eval_text){cap_arena_strndup(arena, escaped.data, escaped.length),
                                          escaped.length};
        if (!patterns[at].data)
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        cap_buf_add_str(out, i ? "|" : "");
        cap_buf_add(out, patterns[i].data, patterns[i].length);
    }
    return true;
}

static bool open_patterns(const struct multi_choice_state *s, const struct eval_filtering *f,
                          struct choice_patterns *p, struct cap_err *err)
{
    CAP_AUTO_BUF(texts, 1 << 20);
    CAP_AUTO_BUF(letters, 1 << 10);

    if (f->choice_count == 0 || f->choice_count > 26)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "multi_choice_regex needs 1 to 26 choices, the document has %zu",
                        f->choice_count);
    if (!(p->texts = cap_arena_array(f->arena, f->choice_count, sizeof *p->texts)))
        return eval_filter_fail_effort(err);
    cap_buf_add_str(&letters, ":[\\s]*(");
    for (size_t i = 0; i < f->choice_count; i++) {
        p->texts[i] = eval_text_strip(f->choices[i]);
        if (!drop_ignored(s, f, &p->texts[i], err))
            return false;
        cap_buf_printf(&letters, "%s%c", i ? "|" : "", (char)('A' + i));
    }
    if (!add_longest_first(p->texts, f->choice_count, f->arena, &texts))
        return eval_filter_fail_effort(err);
    cap_buf_add_char(&letters, ')');
    p->by_text.select = p->by_letter.select = s->extractor.select;
    return (p->by_text.regex = open_built(&texts, err)) &&
           (p->by_letter.regex = open_built(&letters, err));
}

static struct eval_text letter_text(struct cap_arena *arena, size_t index)
{
    const char *text = cap_arena_printf(arena, "(%c)", (char)('A' + index));

    return text ? eval_text_of(text) : EVAL_TEXT_NONE;
}

static bool find_choice(const struct multi_choice_state *s, const struct choice_patterns *p,
                        struct eval_filtering *f, struct eval_response *r, struct cap_err *err)
{
    struct eval_text plain = r->text, match = r->text;
    bool found = false;

    assert(p->texts);
    if (!extract(&s->extractor, f->work, r->text, &match, &found))
        return eval_filter_fail_effort(err);
    if (!found || match.length == 0) {
        if (!drop_ignored(s, f, &plain, err))
            return false;
        if (!extract(&p->by_text, f->work, plain, &match, &found))
            return eval_filter_fail_effort(err);
        /* A dict in the reference: of equal texts the last letter stands. */
        for (size_t i = f->choice_count; found && match.length && i-- > 0;)
            if (eval_text_equal(match, p->texts[i])) {
                match = letter_text(f->arena, i);
                break;
            }
    }
    if (!found || match.length == 0) {
        if (!extract(&p->by_letter, f->work, r->text, &match, &found))
            return eval_filter_fail_effort(err);
        if (found && match.length)
            match = letter_text(f->arena, (size_t)(match.data[0] - 'A'));
    }
    if (found && match.length)
        r->text = match;
    else
        miss(r, s->fallback);
    return true;
}

static bool apply_multi_choice(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    struct choice_patterns patterns = {0};
    bool ok = open_patterns(state, f, &patterns, err);

    for (size_t i = 0; ok && i < f->count; i++)
        ok = find_choice(state, &patterns, f, &f->responses[i], err);
    done_patterns(&patterns);
    return ok;
}

static const char *const multi_choice_keys[] = {
    "regex_pattern",      "group_select",      "fallback", "ignore_case",
    "ignore_punctuation", "regexes_to_ignore", NULL};

const struct eval_filter_ops eval_filter_multi_choice_regex = {
    "multi_choice_regex", multi_choice_keys, open_multi_choice, apply_multi_choice,
    free_multi_choice};

/* ---- moecap_number ---- */

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
