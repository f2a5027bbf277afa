/* What happens to text before BPE sees it: Unicode forms, then cutting into words.
 *
 * Forms are utf8proc's. It is slow and most text is plain, so only stretches that may change go
 * through it. Cutting goes by the steps of pre_tokenizer: each step cuts every word of the one
 * before it. Patterns are compiled once, matched with limits, and never fail silently. */
#include "text/inside.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/buf.h"

/* ---- the normalizer ---- */

enum { NORMALIZED_BYTES_MAX = 1 << 30 };

static const struct {
    const char *name;
    int options;
} forms[] = {
    {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
    {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
    {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
    {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
};

static bool add_step(const json_t *json, struct infer_normalizer *out, struct cap_err *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));

    if (out->step_count == INFER_NORMALIZE_STEPS_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "normalizer has more than %d steps",
                        INFER_NORMALIZE_STEPS_MAX);
    for (size_t i = 0; type && i < CAP_COUNT_OF(forms); i++)
        if (strcmp(type, forms[i].name) == 0) {
            out->steps[out->step_count++] = forms[i].options;
            return true;
        }
    return cap_fail(err, CAP_UNIMPLEMENTED,
                    "normalizer \"%.40s\" is not supported; supported: NFC, NFD, NFKC, NFKD",
                    type ? type : "(no type)");
}

bool infer_normalizer_read(const json_t *json, struct infer_normalizer *out, struct cap_err *err)
{
    struct infer_normalizer n = {0};
    const char *type = json_string_value(json_object_get(json, "type"));
    const json_t *list = json_object_get(json, "normalizers");
    bool sequence = type && strcmp(type, "Sequence") == 0;

    if (json && !json_is_null(json) && !sequence && !add_step(json, &n, err))
        return false;
    for (size_t i = 0; sequence && i < json_array_size(list); i++)
        if (!add_step(json_array_get(list, i), &n, err))
            return false;
    *out = n;
    return true;
}

/* Characters below it never change and never join with what is before them, in the form. */
static const char *skip_plain(const char *at, const char *end, bool nfc)
{
    /* NFC: all below U+0300 are composed starters; their first bytes are below 0xcc */
    unsigned char limit = nfc ? 0xcc : 0x80;

    while (at < end && (unsigned char)*at < limit)
        at++;
    return at;
}

static const char *skip_other(const char *at, const char *end, bool nfc)
{
    unsigned char limit = nfc ? 0xcc : 0x80;

    while (at < end && ((unsigned char)*at >= limit || ((unsigned char)*at & 0xc0) == 0x80))
        at++;
    return at;
}

/* utf8proc is slow, and most text is plain: only the other stretches go through it, each with the
 * plain character before it, which may take accents. */
static bool normalize_stretch(const char *at, const char *end, int options, struct cap_buf *out,
                              struct cap_err *err)
{
    utf8proc_uint8_t *form = NULL;
    utf8proc_ssize_t bytes =
        utf8proc_map((const utf8proc_uint8_t *)at, end - at, &form, (utf8proc_option_t)options);

    if (bytes < 0)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not normalize the text: %s",
                        utf8proc_errmsg(bytes));
    cap_buf_add(out, form, (size_t)bytes);
    free(form);
    return true;
}

static bool apply_form(int options, const char *text, size_t length, struct cap_buf *out,
                       struct cap_err *err)
{
    bool nfc = options == forms[0].options;
    const char *end = text + length;

    for (const char *at = text; at < end;) {
        const char *other = skip_plain(at, end, nfc), *start = other;

        if (other == end) {
            cap_buf_add(out, at, (size_t)(end - at));
            break;
        }
        while (start > at && ((unsigned char)*--start & 0xc0) == 0x80)
            ;
        cap_buf_add(out, at, (size_t)(start - at));
        at = skip_other(other, end, nfc);
        if (!normalize_stretch(start, at, options, out, err))
            return false;
    }
    return true;
}

bool infer_normalize(const struct infer_normalizer *normalizer, struct cap_arena *arena,
                     const char **text, size_t *length, struct cap_err *err)
{
    for (int i = 0; i < normalizer->step_count; i++) {
        bool nfc = normalizer->steps[i] == forms[0].options;
        CAP_AUTO_BUF(form, NORMALIZED_BYTES_MAX);

        if (skip_plain(*text, *text + *length, nfc) == *text + *length)
            continue;
        if (!apply_form(normalizer->steps[i], *text, *length, &form, err))
            return false;
        *text = cap_arena_strndup(arena, form.data, form.length);
        *length = form.length;
        if (!*text || form.overflowed)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                            "could not normalize the text: it takes too much memory");
    }
    return true;
}

/* ---- the pre-tokenizer ---- */

enum {
    STEPS_MAX = 16,
    PATTERN_BYTES_MAX = 1 << 14,
    MATCH_LIMIT = 100000000,
    HEAP_LIMIT_KIB = 1 << 18
};

/* What happens to the stretches that match. */
enum behavior { REMOVED, ISOLATED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };

static const char *const behavior_names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                             "MergedWithNext", "Contiguous"};

struct step {
    pcre2_code *code; /* NULL: the words stay as they are */
    enum behavior behavior;
    bool invert; /* the stretches between matches are the ones meant */
    bool add_prefix_space;
};

struct infer_pretokenizer {
    struct step steps[STEPS_MAX];
    int step_count;
    bool byte_level;
};

/* GPT-2's own pattern, which ByteLevel uses when told to. */
static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* ---- patterns ---- */

#define WHITE_SPACE                                                                                \
    "\\t-\\r\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}" \
    "\\x{3000}"

/* PCRE2's \s also counts U+180E, which is not white space. */
static bool pin_white_space(const char *pattern, size_t length, struct cap_buf *out)
{
    bool in_class = false;

    for (size_t i = 0; i < length; i++) {
        char c = pattern[i], next = i + 1 < length ? pattern[i + 1] : '\0';

        if (c == '\\' && next == 's') {
            cap_buf_add_str(out, in_class ? WHITE_SPACE : "[" WHITE_SPACE "]");
            i++;
        } else if (c == '\\' && next == 'S' && !in_class) {
            cap_buf_add_str(out, "[^" WHITE_SPACE "]");
            i++;
        } else if (c == '\\' && i + 1 < length) {
            cap_buf_add(out, pattern + i, 2);
            i++;
        } else {
            if (c == '[' && in_class)
                cap_buf_add_char(out, '\\');
            in_class = c == '[' || (in_class && c != ']');
            cap_buf_add_char(out, c);
        }
    }
    return !out->overflowed;
}

static bool compile(const char *pattern, size_t length, bool literal, struct step *step,
                    struct cap_err *err)
{
    uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK |
                       (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_DOLLAR_ENDONLY);
    PCRE2_UCHAR why[128];
    PCRE2_SIZE at;
    int code;
    CAP_AUTO_BUF(pinned, PATTERN_BYTES_MAX);

    if (!literal && !pin_white_space(pattern, length, &pinned))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "pattern is longer than %d bytes",
                        PATTERN_BYTES_MAX);
    if (literal)
        cap_buf_add(&pinned, pattern, length);
    step->code = pcre2_compile((PCRE2_SPTR)pinned.data, pinned.length, options, &code, &at, NULL);
    if (!step->code) {
        pcre2_get_error_message(code, why, sizeof why);
        return cap_fail(err, CAP_INVALID_ARGUMENT, "pattern \"%.100s\": %s", pattern,
                        (const char *)why);
    }
    pcre2_jit_compile(step->code, PCRE2_JIT_COMPLETE); /* faster where it exists */
    return true;
}

/* ---- reading ---- */

static bool read_behavior(const json_t *json, struct step *step, struct cap_err *err)
{
    const char *name = json_string_value(json_object_get(json, "behavior"));

    for (size_t i = 0; name && i < CAP_COUNT_OF(behavior_names); i++)
        if (strcasecmp(name, behavior_names[i]) == 0) {
            step->behavior = (enum behavior)i;
            return true;
        }
    return cap_fail(err, CAP_INVALID_ARGUMENT, "Split has the behavior \"%.40s\"",
                    name ? name : "(none)");
}

static bool read_split(const json_t *json, struct step *step, struct cap_err *err)
{
    const json_t *pattern = json_object_get(json, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *text = regex ? regex : json_object_get(pattern, "String");

    if (!json_is_string(text))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "Split has no pattern");
    step->invert = json_is_true(json_object_get(json, "invert"));
    return read_behavior(json, step, err) &&
           compile(json_string_value(text), json_string_length(text), !regex, step, err);
}

static bool read_digits(const json_t *json, struct step *step, struct cap_err *err)
{
    bool each = json_is_true(json_object_get(json, "individual_digits"));

    step->behavior = each ? ISOLATED : CONTIGUOUS;
    return compile("\\p{N}", 5, false, step, err);
}

static bool read_byte_level(const json_t *json, struct step *step, struct cap_err *err)
{
    const json_t *use_regex = json_object_get(json, "use_regex");

    step->behavior = ISOLATED;
    step->add_prefix_space = !json_is_false(json_object_get(json, "add_prefix_space"));
    return json_is_false(use_regex) ||
           compile(gpt2_pattern, sizeof gpt2_pattern - 1, false, step, err);
}

static bool read_step(struct infer_pretokenizer *p, const json_t *json, struct cap_err *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    struct step *step = &p->steps[p->step_count];

    if (p->step_count == STEPS_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "pre_tokenizer has more than %d steps",
                        STEPS_MAX);
    p->step_count++;
    if (type && strcmp(type, "Split") == 0)
        return read_split(json, step, err);
    if (type && strcmp(type, "Digits") == 0)
        return read_digits(json, step, err);
    if (type && strcmp(type, "ByteLevel") == 0) {
        p->byte_level = true;
        return read_byte_level(json, step, err);
    }
    return cap_fail(err, CAP_UNIMPLEMENTED,
                    "pre-tokenizer \"%.40s\" is not supported; supported: Split, Digits, ByteLevel",
                    type ? type : "(no type)");
}

static bool read_steps(struct infer_pretokenizer *p, const json_t *json, int depth,
                       struct cap_err *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    json_t *item;
    size_t i;

    if (!json || json_is_null(json))
        return true;
    if (!type || strcmp(type, "Sequence") != 0)
        return read_step(p, json, err);
    if (depth == 0)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "pre_tokenizer is nested too deep");
    json_array_foreach(json_object_get(json, "pretokenizers"), i, item)
    {
        if (!read_steps(p, item, depth - 1, err))
            return false;
    }
    return true;
}

struct infer_pretokenizer *infer_pretokenizer_open(const json_t *json, struct cap_err *err)
{
    CAP_AUTO(infer_pretokenizer) p = calloc(1, sizeof *p);

    if (!p)
        abort();
    if (!read_steps(p, json, 4, err))
        return NULL;
    if (!p->byte_level) {
        cap_fail(err, CAP_UNIMPLEMENTED,
                 "pre_tokenizer has no ByteLevel step; supported: byte-level BPE");
        return NULL;
    }
    return cap_take(p);
}

void infer_pretokenizer_free(struct infer_pretokenizer *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->step_count; i++)
        pcre2_code_free(p->steps[i].code);
    free(p);
}

/* ---- cutting ---- */

void infer_words_done(struct infer_words *words)
{
    free(words->items);
    *words = (struct infer_words){0};
}

static void add_word(struct infer_words *words, const char *text, size_t length)
{
    if (length == 0)
        return;
    if (words->count == words->capacity) {
        words->capacity = words->capacity ? 2 * words->capacity : 64;
        words->items = realloc(words->items, words->capacity * sizeof *words->items);
        if (!words->items)
            abort();
    }
    words->items[words->count++] = (struct infer_word){text, length};
}

/* One word being cut. Stretches come in order; `marked` are those that the step is about. */
struct cut {
    const struct step *step;
    struct infer_words *out;
    size_t first;     /* index in out of this word's first part */
    bool last_marked; /* the stretch before */
    bool open_next;   /* MERGED_WITH_NEXT: the last part waits for what follows */
};

static void join_or_add(struct cut *cut, bool join, const char *text, size_t length)
{
    if (join && cut->out->count > cut->first)
        cut->out->items[cut->out->count - 1].length += length;
    else
        add_word(cut->out, text, length);
}

static void add_stretch(struct cut *cut, const char *text, size_t length, bool marked)
{
    bool starts = cut->out->count == cut->first;

    if (length == 0)
        return;
    switch (cut->step->behavior) {
    case REMOVED:
        if (!marked)
            add_word(cut->out, text, length);
        break;
    case ISOLATED:
        add_word(cut->out, text, length);
        break;
    case CONTIGUOUS:
        join_or_add(cut, !starts && marked == cut->last_marked, text, length);
        break;
    case MERGED_WITH_PREVIOUS:
        join_or_add(cut, marked && !cut->last_marked, text, length);
        break;
    case MERGED_WITH_NEXT:
        join_or_add(cut, cut->open_next && !marked, text, length);
        cut->open_next = marked;
        break;
    }
    cut->last_marked = marked;
}

struct matcher {
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    pcre2_match_data *data;
};

static struct matcher open_matcher(void)
{
    struct matcher m = {.context = pcre2_match_context_create(NULL),
                        .stack = pcre2_jit_stack_create(32 << 10, 8 << 20, NULL),
                        .data = pcre2_match_data_create(1, NULL)};

    if (!m.context || !m.data)
        abort();
    pcre2_set_match_limit(m.context, MATCH_LIMIT);
    pcre2_set_heap_limit(m.context, HEAP_LIMIT_KIB);
    if (m.stack)
        pcre2_jit_stack_assign(m.context, NULL, m.stack);
    return m;
}

static void close_matcher(struct matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
}

static bool cut_word(const struct step *step, const struct matcher *m, struct infer_word word,
                     struct infer_words *out, struct cap_err *err)
{
    struct cut cut = {.step = step, .out = out, .first = out->count};
    size_t done = 0, from = 0;

    while (from <= word.length) {
        int found = pcre2_match(step->code, (PCRE2_SPTR)word.text, word.length, from,
                                PCRE2_NO_UTF_CHECK, m->data, m->context);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(m->data);

        if (found == PCRE2_ERROR_NOMATCH)
            break;
        if (found < 0)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                            "the tokenizer's pattern does not end on this text (error %d)", found);
        add_stretch(&cut, word.text + done, span[0] - done, step->invert);
        add_stretch(&cut, word.text + span[0], span[1] - span[0], !step->invert);
        done = span[1];
        from = span[1];
        if (span[1] == span[0]) /* an empty match: one character on */
            do
                from++;
            while (from < word.length && ((unsigned char)word.text[from] & 0xc0) == 0x80);
    }
    add_stretch(&cut, word.text + done, word.length - done, step->invert);
    return true;
}

/* In front of every word that does not begin with one. */
static bool prefix_space(struct cap_arena *arena, struct infer_words *words, struct cap_err *err)
{
    for (size_t i = 0; i < words->count; i++) {
        struct infer_word *word = &words->items[i];
        char *copy;

        if (word->text[0] == ' ')
            continue;
        copy = cap_arena_alloc(arena, word->length + 2);
        if (!copy)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the text takes too much memory");
        copy[0] = ' ';
        memcpy(copy + 1, word->text, word->length);
        *word = (struct infer_word){copy, word->length + 1};
    }
    return true;
}

static bool apply_step(const struct step *step, const struct matcher *m, struct cap_arena *arena,
                       struct infer_words *words, struct infer_words *spare, struct cap_err *err)
{
    struct infer_words cut;

    if (step->add_prefix_space && !prefix_space(arena, words, err))
        return false;
    if (!step->code)
        return true;
    spare->count = 0;
    for (size_t i = 0; i < words->count; i++)
        if (!cut_word(step, m, words->items[i], spare, err))
            return false;
    cut = *spare;
    *spare = *words;
    *words = cut;
    return true;
}

bool infer_pretokenize(const struct infer_pretokenizer *p, struct cap_arena *arena,
                       const char *text, size_t length, struct infer_words *out,
                       struct cap_err *err)
{
    struct infer_words spare = {0};
    struct matcher m = open_matcher();
    bool ok = true;

    out->count = 0;
    add_word(out, text, length);
    for (int i = 0; ok && i < p->step_count; i++)
        ok = apply_step(&p->steps[i], &m, arena, out, &spare, err);
    close_matcher(&m);
    infer_words_done(&spare);
    return ok;
}
