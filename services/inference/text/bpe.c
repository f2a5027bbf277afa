/* Byte-pair encoding.
 *
 * tokenizer.json spells bytes as printable characters (GPT-2's table); reading turns every entry
 * back into its bytes, so that encoding works on bytes alone. A word starts as one symbol per
 * byte. Each pair of neighbours that may merge is a candidate in a heap; the best one is taken, if
 * both its symbols are still there, and brings in up to two new candidates. */
#include "text/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"

enum { ENTRY_BYTES_MAX = 1 << 16 };
static const uint32_t NO_ID = UINT32_MAX;
static const size_t ARENA_BYTES_MAX = (size_t)1 << 30;

struct merge {
    uint64_t pair; /* left id << 32 | right id; NO_PAIR = empty slot */
    uint32_t rank, id;
};

static const uint64_t NO_PAIR = UINT64_MAX;

struct token {
    const char *bytes; /* NULL = no such id */
    size_t length;
    bool raw; /* the entry is spelled as it is, not in GPT-2's characters */
};

struct infer_bpe {
    struct cap_arena *arena; /* the tokens' bytes */
    struct cap_map *ids;     /* bytes -> id + 1, as a pointer */
    struct token *tokens;    /* [token_count] by id */
    uint32_t token_count;
    size_t vocabulary;
    int64_t double_id;      /* of the first two entries with one id; -1 = there are none */
    uint32_t byte_ids[256]; /* NO_ID = dropped */
    struct merge *merges;   /* open addressing, power of two */
    size_t merge_slots, merge_count;
    bool ignore_merges; /* a word that is a token is not taken apart */
    uint32_t unknown;   /* for a byte that has no token; NO_ID = it is dropped */
    bool fuse_unknown;  /* one for several such bytes */
};

/* ---- looking up ---- */

static uint32_t find_id(const struct infer_bpe *bpe, const char *bytes, size_t length)
{
    return (uint32_t)(uintptr_t)cap_map_get_n(bpe->ids, bytes, length) - 1;
}

static size_t slot_of(const struct infer_bpe *bpe, uint64_t pair)
{
    uint64_t hash = pair * UINT64_C(0x9e3779b97f4a7c15);
    size_t slot = (size_t)(hash ^ hash >> 32) & (bpe->merge_slots - 1);

    while (bpe->merges[slot].pair != pair && bpe->merges[slot].pair != NO_PAIR)
        slot = (slot + 1) & (bpe->merge_slots - 1);
    return slot;
}

static const struct merge *find_merge(const struct infer_bpe *bpe, uint32_t left, uint32_t right)
{
    const struct merge *merge = &bpe->merges[slot_of(bpe, (uint64_t)left << 32 | right)];

    return merge->pair == NO_PAIR ? NULL : merge;
}

/* ---- GPT-2's table of printable characters for the 256 bytes ---- */

/* The byte that a character stands for; -1 = none. Printable bytes stand for themselves; the
 * others, in order (0 to 0x20, 0x7f to 0xa0, 0xad), are U+0100 to U+0143. */
static int byte_of(unsigned character)
{
    bool itself = (character >= 0x21 && character <= 0x7e) ||
                  (character >= 0xa1 && character <= 0xff && character != 0xad);

    if (itself)
        return (int)character;
    if (character < 0x100 || character > 0x143)
        return -1;
    if (character <= 0x120)
        return (int)character - 0x100;
    return character <= 0x142 ? 0x7f + (int)character - 0x121 : 0xad;
}

/* A vocabulary entry as bytes; `out` holds `length` bytes. An entry with a character outside the
 * table stands for its own UTF-8, which *out_raw tells. Returns how many bytes. */
static size_t bytes_from_text(const char *text, size_t length, char *out, bool *out_raw)
{
    const unsigned char *t = (const unsigned char *)text;
    size_t count = 0;

    *out_raw = false;
    for (size_t i = 0; i < length;) {
        bool two = (t[i] & 0xe0) == 0xc0 && i + 1 < length;
        int byte = t[i] < 0x80 ? byte_of(t[i])
                   : two       ? byte_of((t[i] & 0x1fu) << 6 | (t[i + 1] & 0x3fu))
                               : -1;

        if (byte < 0) {
            memcpy(out, text, length);
            *out_raw = true;
            return length;
        }
        out[count++] = (char)byte;
        i += two ? 2 : 1;
    }
    return count;
}

/* ---- reading ---- */

static bool keep_entry(struct infer_bpe *bpe, const char *name, const json_t *value,
                       struct cap_err *err)
{
    json_int_t id = json_integer_value(value);
    char bytes[ENTRY_BYTES_MAX];
    size_t length = strlen(name);
    struct token *token;

    if (!json_is_integer(value) || id < 0 || id >= INFER_TOKENIZER_IDS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "vocabulary entry \"%.60s\" has an id that is not a number below %d", name,
                        INFER_TOKENIZER_IDS_MAX);
    if (length >= sizeof bytes)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "vocabulary entry \"%.60s...\" is too long",
                        name);
    token = &bpe->tokens[id];
    if (token->bytes && bpe->double_id < 0)
        bpe->double_id = id;
    length = bytes_from_text(name, length, bytes, &token->raw);
    token->bytes = cap_arena_strndup(bpe->arena, bytes, length);
    token->length = length;
    if (!token->bytes)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the vocabulary takes too much memory");
    cap_map_put_n(bpe->ids, bytes, length, (void *)(uintptr_t)(id + 1));
    if ((uint32_t)id >= bpe->token_count)
        bpe->token_count = (uint32_t)id + 1;
    return true;
}

static bool read_vocabulary(struct infer_bpe *bpe, const json_t *model, struct cap_err *err)
{
    json_t *vocabulary = json_object_get(model, "vocab"), *value;
    const char *name;

    if (json_object_size(vocabulary) == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the model has no vocabulary");
    bpe->double_id = -1;
    bpe->tokens = calloc(INFER_TOKENIZER_IDS_MAX, sizeof *bpe->tokens); /* pages come when used */
    if (!bpe->tokens)
        abort();
    json_object_foreach(vocabulary, name, value)
    {
        if (!keep_entry(bpe, name, value, err))
            return false;
    }
    bpe->vocabulary = json_object_size(vocabulary);
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;

        bpe->byte_ids[b] = find_id(bpe, &byte, 1);
    }
    return true;
}

/* "a b" or ["a", "b"] */
static bool split_merge(const json_t *item, const char **out_left, size_t *out_left_length,
                        const char **out_right)
{
    const char *text = json_string_value(item), *blank = text ? strchr(text, ' ') : NULL;

    if (blank) {
        *out_left = text;
        *out_left_length = (size_t)(blank - text);
        *out_right = blank + 1;
        return *out_left_length > 0 && blank[1] && !strchr(blank + 1, ' ');
    }
    *out_left = json_string_value(json_array_get(item, 0));
    *out_right = json_string_value(json_array_get(item, 1));
    if (json_array_size(item) != 2 || !*out_left || !*out_right)
        return false;
    *out_left_length = strlen(*out_left);
    return *out_left_length > 0 && **out_right;
}

static bool keep_merge(struct infer_bpe *bpe, const json_t *item, size_t rank, struct cap_err *err)
{
    const char *left, *right;
    size_t left_length, left_bytes, right_length, right_bytes;
    char bytes[2 * ENTRY_BYTES_MAX];
    uint32_t left_id, right_id, id;
    struct merge *slot;
    bool raw;

    if (!split_merge(item, &left, &left_length, &right))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "merge %zu is not a pair of texts", rank);
    right_length = strlen(right);
    if (left_length + right_length > ENTRY_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "merge %zu is too long", rank);
    left_bytes = bytes_from_text(left, left_length, bytes, &raw);
    right_bytes = bytes_from_text(right, right_length, bytes + left_bytes, &raw);
    left_id = find_id(bpe, bytes, left_bytes);
    right_id = find_id(bpe, bytes + left_bytes, right_bytes);
    id = find_id(bpe, bytes, left_bytes + right_bytes);
    if (left_id == NO_ID || right_id == NO_ID || id == NO_ID)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "merge %zu (\"%.*s\" and \"%.60s\") needs a token that the vocabulary "
                        "does not have",
                        rank, left_length > 60 ? 60 : (int)left_length, left, right);
    slot = &bpe->merges[slot_of(bpe, (uint64_t)left_id << 32 | right_id)];
    if (slot->pair == NO_PAIR) /* the first of two equal merges counts */
        *slot = (struct merge){(uint64_t)left_id << 32 | right_id, (uint32_t)rank, id};
    return true;
}

static bool read_merges(struct infer_bpe *bpe, const json_t *model, struct cap_err *err)
{
    json_t *merges = json_object_get(model, "merges"), *item;
    size_t count = json_array_size(merges), rank;

    if (count == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the tokenizer has no merges; supported: byte-level BPE with merges");
    if (count > INFER_TOKENIZER_IDS_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the tokenizer has more than %d merges",
                        INFER_TOKENIZER_IDS_MAX);
    for (bpe->merge_slots = 16; bpe->merge_slots < 2 * count;)
        bpe->merge_slots *= 2;
    bpe->merges = malloc(bpe->merge_slots * sizeof *bpe->merges);
    if (!bpe->merges)
        abort();
    for (size_t i = 0; i < bpe->merge_slots; i++)
        bpe->merges[i].pair = NO_PAIR;
    json_array_foreach(merges, rank, item)
    {
        if (!keep_merge(bpe, item, rank, err))
            return false;
    }
    bpe->merge_count = count;
    return true;
}

/* Kinds of BPE that would need other code. */
static bool check_kind(const json_t *model, struct cap_err *err)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = json_string_value(json_object_get(model, "type"));

    if (!json_is_object(model))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"model\" is missing");
    if (type ? strcmp(type, "BPE") != 0 : !json_object_get(model, "merges"))
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "tokenizer model \"%.40s\" is not supported; supported: byte-level BPE",
                        type ? type : "of no type and without merges");
    for (size_t i = 0; i < CAP_COUNT_OF(affixes); i++) {
        const char *affix = json_string_value(json_object_get(model, affixes[i]));

        if (affix && affix[0])
            return cap_fail(err, CAP_UNIMPLEMENTED, "\"%s\" is \"%.40s\"; supported: none",
                            affixes[i], affix);
    }
    return true;
}

/* What stands for bytes that the vocabulary lacks. */
static bool read_unknown(struct infer_bpe *bpe, const json_t *model, struct cap_err *err)
{
    const char *text = json_string_value(json_object_get(model, "unk_token"));
    int64_t id = text ? infer_bpe_id_of_text(bpe, text, strlen(text)) : -1;

    bpe->unknown = id < 0 ? NO_ID : (uint32_t)id;
    bpe->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    return !text || id >= 0 || infer_bpe_bytes_without_token(bpe) == 0 ||
           cap_fail(err, CAP_INVALID_ARGUMENT,
                    "the vocabulary does not have its unk_token \"%.60s\"", text);
}

struct infer_bpe *infer_bpe_open(const json_t *model, struct cap_err *err)
{
    CAP_AUTO(infer_bpe) bpe = calloc(1, sizeof *bpe);

    if (!bpe)
        abort();
    bpe->arena = cap_arena_new(ARENA_BYTES_MAX);
    bpe->ids = cap_map_new();
    bpe->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    if (!check_kind(model, err) || !read_vocabulary(bpe, model, err) ||
        !read_unknown(bpe, model, err) || !read_merges(bpe, model, err))
        return NULL;
    return cap_take(bpe);
}

void infer_bpe_free(struct infer_bpe *bpe)
{
    if (!bpe)
        return;
    cap_arena_free(bpe->arena);
    cap_map_free(bpe->ids);
    free(bpe->tokens);
    free(bpe->merges);
    free(bpe);
}

/* ---- encoding ---- */

struct symbol {
    uint32_t id; /* NO_ID = merged into its left neighbour */
    int32_t prev, next;
};

struct candidate {
    uint32_t rank, id;
    int32_t at; /* left symbol */
    uint32_t left_id, right_id;
};

struct infer_bpe_scratch {
    struct symbol *symbols;
    size_t symbol_capacity;
    struct candidate *heap;
    size_t heap_count, heap_capacity;
};

struct infer_bpe_scratch *infer_bpe_scratch_new(void)
{
    struct infer_bpe_scratch *scratch = calloc(1, sizeof *scratch);

    if (!scratch)
        abort();
    return scratch;
}

void infer_bpe_scratch_free(struct infer_bpe_scratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->symbols);
    free(scratch->heap);
    free(scratch);
}

static bool comes_first(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct infer_bpe_scratch *s, struct candidate c)
{
    size_t at = s->heap_count++;

    if (s->heap_count > s->heap_capacity) {
        s->heap_capacity = s->heap_capacity ? 2 * s->heap_capacity : 64;
        s->heap = realloc(s->heap, s->heap_capacity * sizeof *s->heap);
        if (!s->heap)
            abort();
    }
    for (; at > 0 && comes_first(&c, &s->heap[(at - 1) / 2]); at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = c;
}

static struct candidate heap_pop(struct infer_bpe_scratch *s)
{
    struct candidate first = s->heap[0], last = s->heap[--s->heap_count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < s->heap_count) {
        if (child + 1 < s->heap_count && comes_first(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!comes_first(&s->heap[child], &last))
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return first;
}

static void push_pair(const struct infer_bpe *bpe, struct infer_bpe_scratch *s, int32_t at)
{
    const struct symbol *left = &s->symbols[at];
    const struct merge *merge;

    if (left->next < 0)
        return;
    merge = find_merge(bpe, left->id, s->symbols[left->next].id);
    if (merge)
        heap_push(
            s, (struct candidate){merge->rank, merge->id, at, left->id, s->symbols[left->next].id});
}

/* One symbol per byte; bytes that the vocabulary lacks become unk_token, or are left out. Returns
 * how many. */
static int32_t load_word(const struct infer_bpe *bpe, struct infer_bpe_scratch *s, const char *word,
                         size_t length)
{
    bool was_unknown = false;
    int32_t count = 0;

    if (length > s->symbol_capacity) {
        s->symbol_capacity = 2 * length;
        s->symbols = realloc(s->symbols, s->symbol_capacity * sizeof *s->symbols);
        if (!s->symbols)
            abort();
    }
    for (size_t i = 0; i < length; i++) {
        uint32_t id = bpe->byte_ids[(unsigned char)word[i]];

        if (id == NO_ID && (bpe->unknown == NO_ID || (bpe->fuse_unknown && was_unknown)))
            continue;
        was_unknown = id == NO_ID;
        if (was_unknown)
            id = bpe->unknown;
        s->symbols[count] = (struct symbol){id, count - 1, count + 1};
        count++;
    }
    if (count > 0)
        s->symbols[count - 1].next = -1;
    return count;
}

static void apply_merge(const struct infer_bpe *bpe, struct infer_bpe_scratch *s,
                        const struct candidate *c)
{
    struct symbol *left = &s->symbols[c->at], *right;

    if (left->id != c->left_id || left->next < 0)
        return;
    right = &s->symbols[left->next];
    if (right->id != c->right_id)
        return;
    left->id = c->id;
    right->id = NO_ID;
    left->next = right->next;
    if (left->next >= 0)
        s->symbols[left->next].prev = c->at;
    if (left->prev >= 0)
        push_pair(bpe, s, left->prev);
    push_pair(bpe, s, c->at);
}

void infer_bpe_encode(const struct infer_bpe *bpe, struct infer_bpe_scratch *scratch,
                      const char *word, size_t length, struct infer_tokens *out)
{
    uint32_t whole = bpe->ignore_merges ? find_id(bpe, word, length) : NO_ID;
    int32_t count;

    if (whole != NO_ID) {
        infer_tokens_add(out, whole);
        return;
    }
    count = load_word(bpe, scratch, word, length);
    scratch->heap_count = 0;
    for (int32_t i = 0; i < count; i++)
        push_pair(bpe, scratch, i);
    while (scratch->heap_count > 0) {
        struct candidate best = heap_pop(scratch);

        apply_merge(bpe, scratch, &best);
    }
    for (int32_t i = count > 0 ? 0 : -1; i >= 0; i = scratch->symbols[i].next)
        infer_tokens_add(out, scratch->symbols[i].id);
}

/* ---- questions ---- */

int64_t infer_bpe_id_of_text(const struct infer_bpe *bpe, const char *text, size_t length)
{
    char bytes[ENTRY_BYTES_MAX];
    uint32_t id;
    bool raw;

    if (length > sizeof bytes)
        return -1;
    id = find_id(bpe, bytes, bytes_from_text(text, length, bytes, &raw));
    if (id == NO_ID)
        return -1;
    assert(bpe->tokens);
    return bpe->tokens[id].raw == raw ? (int64_t)id : -1;
}

const char *infer_bpe_bytes(const struct infer_bpe *bpe, uint32_t id, size_t *out_length)
{
    if (id >= bpe->token_count || !bpe->tokens[id].bytes)
        return NULL;
    *out_length = bpe->tokens[id].length;
    return bpe->tokens[id].bytes;
}

int64_t infer_bpe_double(const struct infer_bpe *bpe)
{
    return bpe->double_id;
}

uint32_t infer_bpe_id_count(const struct infer_bpe *bpe)
{
    return bpe->token_count;
}

size_t infer_bpe_vocabulary(const struct infer_bpe *bpe)
{
    return bpe->vocabulary;
}

size_t infer_bpe_merges(const struct infer_bpe *bpe)
{
    return bpe->merge_count;
}

int infer_bpe_bytes_without_token(const struct infer_bpe *bpe)
{
    int count = 0;

    for (int b = 0; b < 256; b++)
        count += bpe->byte_ids[b] == NO_ID;
    return count;
}
