/* tokenizer.json as a whole, in the order of Hugging Face's library: added tokens that are not
 * normalized are cut out of the raw text; the rest is normalized; added tokens that are normalized
 * are cut out of that; what remains is cut into words, and each word is encoded. */
#include "text/tokenizer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/utf8.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/normalize.h"
#include "text/pretokenize.h"

enum { AROUND_MAX = 64 };
static const size_t ARENA_BYTES_MAX = (size_t)1 << 30;

struct infer_tokenizer {
    struct cap_arena *arena; /* the added tokens' texts */
    struct infer_bpe *bpe;
    struct infer_normalizer normalizer;
    struct infer_pretokenizer *pretokenizer;
    struct infer_added_token *added; /* [added_count] */
    size_t added_count;
    const struct infer_added_token **added_by_id; /* [id_count] */
    uint32_t id_count;
    struct infer_added *raw, *normalized;            /* by where they are looked for */
    uint32_t before[AROUND_MAX], behind[AROUND_MAX]; /* the post-processor's specials */
    int before_count, behind_count;
};

/* ---- reading: added tokens ---- */

static bool read_added(struct infer_tokenizer *t, const json_t *item, struct cap_err *err)
{
    const json_t *content = json_object_get(item, "content"), *id = json_object_get(item, "id");
    struct infer_added_token *token = &t->added[t->added_count];

    if (!json_is_string(content) || json_string_length(content) == 0 || !json_is_integer(id) ||
        json_integer_value(id) < 0 || json_integer_value(id) >= INFER_TOKENIZER_IDS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "added token %zu needs a content and an id below %d", t->added_count,
                        INFER_TOKENIZER_IDS_MAX);
    token->length = json_string_length(content);
    token->content = cap_arena_strndup(t->arena, json_string_value(content), token->length);
    if (!token->content)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the added tokens take too much memory");
    token->id = (uint32_t)json_integer_value(id);
    token->special = json_is_true(json_object_get(item, "special"));
    token->lstrip = json_is_true(json_object_get(item, "lstrip"));
    token->rstrip = json_is_true(json_object_get(item, "rstrip"));
    token->single_word = json_is_true(json_object_get(item, "single_word"));
    token->normalized = json_is_true(json_object_get(item, "normalized"));
    if (token->id >= t->id_count)
        t->id_count = token->id + 1;
    t->added_count++;
    return true;
}

/* Where the token is looked for, and as which text. */
static bool place_added(struct infer_tokenizer *t, const struct infer_added_token *token,
                        struct cap_err *err)
{
    const char *text = token->content;
    size_t length = token->length;

    if (token->normalized && !infer_normalize(&t->normalizer, t->arena, &text, &length, err))
        return false;
    infer_added_put(token->normalized ? t->normalized : t->raw, token, text, length);
    t->added_by_id[token->id] = token;
    return true;
}

static bool read_all_added(struct infer_tokenizer *t, const json_t *json, struct cap_err *err)
{
    json_t *list = json_object_get(json, "added_tokens"), *item;
    size_t count = json_array_size(list), i;

    if (count > INFER_ADDED_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "more than %d added tokens", INFER_ADDED_MAX);
    t->id_count = infer_bpe_id_count(t->bpe);
    t->added = calloc(count + 1, sizeof *t->added);
    if (!t->added)
        abort();
    json_array_foreach(list, i, item)
    {
        if (!read_added(t, item, err))
            return false;
    }
    t->added_by_id = calloc(t->id_count, sizeof *t->added_by_id);
    if (!t->added_by_id)
        abort();
    for (i = 0; i < t->added_count; i++)
        if (!place_added(t, &t->added[i], err))
            return false;
    return true;
}

/* ---- reading: the post-processor ---- */

static bool add_around(struct infer_tokenizer *t, bool before, const json_t *ids,
                       struct cap_err *err)
{
    uint32_t *list = before ? t->before : t->behind;
    int *count = before ? &t->before_count : &t->behind_count;

    if (json_array_size(ids) == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a special token has no ids");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_int_t id = json_integer_value(json_array_get(ids, i));

        if (*count == AROUND_MAX || id < 0 || id >= INFER_TOKENIZER_IDS_MAX)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "more than %d special tokens, or an id that is none", AROUND_MAX);
        list[(*count)++] = (uint32_t)id;
    }
    return true;
}

/* "single": special tokens around one Sequence. */
static bool read_template(struct infer_tokenizer *t, const json_t *json, struct cap_err *err)
{
    const json_t *known = json_object_get(json, "special_tokens");
    json_t *item;
    bool before = true;
    size_t i;

    json_array_foreach(json_object_get(json, "single"), i, item)
    {
        const char *name =
            json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));

        if (json_object_get(item, "Sequence"))
            before = false;
        else if (!name)
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "a part is neither Sequence nor SpecialToken");
        else if (!add_around(t, before, json_object_get(json_object_get(known, name), "ids"), err))
            return cap_fail_in(err, "%.60s", name);
    }
    return true;
}

static bool read_post(struct infer_tokenizer *t, const json_t *json, int depth, struct cap_err *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    json_t *item;
    size_t i;

    if (!json || json_is_null(json) || (type && strcmp(type, "ByteLevel") == 0))
        return true; /* ByteLevel moves offsets only */
    if (type && strcmp(type, "TemplateProcessing") == 0)
        return read_template(t, json, err);
    if (!type || strcmp(type, "Sequence") != 0 || depth == 0)
        return cap_fail(err, CAP_UNIMPLEMENTED,
                        "\"%.40s\" is not supported; supported: TemplateProcessing, ByteLevel",
                        type ? type : "(no type)");
    json_array_foreach(json_object_get(json, "processors"), i, item)
    {
        if (!read_post(t, item, depth - 1, err))
            return false;
    }
    return true;
}

/* ---- reading: the whole ---- */

static bool read_all(struct infer_tokenizer *t, const json_t *json, struct cap_err *err)
{
    t->bpe = infer_bpe_open(json_object_get(json, "model"), err);
    if (!t->bpe || !infer_normalizer_read(json_object_get(json, "normalizer"), &t->normalizer, err))
        return false;
    t->pretokenizer = infer_pretokenizer_open(json_object_get(json, "pre_tokenizer"), err);
    return t->pretokenizer && read_all_added(t, json, err) &&
           (read_post(t, json_object_get(json, "post_processor"), 4, err) ||
            cap_fail_in(err, "post_processor"));
}

struct infer_tokenizer *infer_tokenizer_parse(const json_t *json, struct cap_err *err)
{
    CAP_AUTO(infer_tokenizer) t = calloc(1, sizeof *t);

    if (!t)
        abort();
    t->arena = cap_arena_new(ARENA_BYTES_MAX);
    t->raw = infer_added_new();
    t->normalized = infer_added_new();
    if (!json_is_object(json))
        cap_fail(err, CAP_INVALID_ARGUMENT, "it is not a JSON object");
    else if (read_all(t, json, err))
        return cap_take(t);
    cap_fail_in(err, "tokenizer.json");
    return NULL;
}

struct infer_tokenizer *infer_tokenizer_open(const char *dir, struct cap_err *err)
{
    char path[PATH_MAX];
    struct infer_tokenizer *t;
    CAP_AUTO_MEM char *text = NULL;
    json_error_t why;
    json_t *json;
    size_t length;

    if (snprintf(path, sizeof path, "%s/tokenizer.json", dir) >= (int)sizeof path) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "path \"%.80s...\" is too long", dir);
        return NULL;
    }
    text = cap_file_read_regular(path, INFER_TOKENIZER_FILE_BYTES_MAX, &length, err);
    if (!text)
        return NULL;
    json = json_loadb(text, length, JSON_ALLOW_NUL, &why);
    if (!json) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "file \"%s\", line %d: %.200s", path, why.line,
                 why.text);
        return NULL;
    }
    t = infer_tokenizer_parse(json, err);
    json_decref(json);
    if (!t)
        cap_fail_in(err, "model \"%s\"", dir);
    return t;
}

void infer_tokenizer_free(struct infer_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    infer_bpe_free(tokenizer->bpe);
    infer_pretokenizer_free(tokenizer->pretokenizer);
    infer_added_free(tokenizer->raw);
    infer_added_free(tokenizer->normalized);
    free(tokenizer->added);
    free(tokenizer->added_by_id);
    cap_arena_free(tokenizer->arena);
    free(tokenizer);
}

/* ---- encoding ---- */

struct encoding {
    const struct infer_tokenizer *tokenizer;
    struct cap_arena *arena;
    struct infer_bpe_scratch *scratch;
    struct infer_words words;
    struct infer_tokens *out;
};

static bool encode_words(struct encoding *e, const char *text, size_t length, struct cap_err *err)
{
    if (!infer_pretokenize(e->tokenizer->pretokenizer, e->arena, text, length, &e->words, err))
        return false;
    for (size_t i = 0; i < e->words.count; i++)
        infer_bpe_encode(e->tokenizer->bpe, e->scratch, e->words.items[i].text,
                         e->words.items[i].length, e->out);
    return true;
}

static bool encode_normalized(struct encoding *e, const char *text, size_t length,
                              struct cap_err *err)
{
    struct infer_added_cursor cursor;
    struct infer_added_piece piece;

    if (!infer_normalize(&e->tokenizer->normalizer, e->arena, &text, &length, err))
        return false;
    cursor = (struct infer_added_cursor){.text = text, .length = length};
    while (infer_added_next(e->tokenizer->normalized, &cursor, &piece))
        if (piece.token)
            infer_tokens_add(e->out, piece.token->id);
        else if (!encode_words(e, piece.text, piece.length, err))
            return false;
    return true;
}

static bool encode_raw(struct encoding *e, const char *text, size_t length, struct cap_err *err)
{
    struct infer_added_cursor cursor = {.text = text, .length = length};
    struct infer_added_piece piece;

    while (infer_added_next(e->tokenizer->raw, &cursor, &piece))
        if (piece.token)
            infer_tokens_add(e->out, piece.token->id);
        else if (!encode_normalized(e, piece.text, piece.length, err))
            return false;
    return true;
}

static bool check_text(const char *text, size_t length, struct cap_err *err)
{
    size_t bad;

    if (length > INFER_TOKENIZER_TEXT_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the text has %zu bytes, more than %d", length,
                        INFER_TOKENIZER_TEXT_BYTES_MAX);
    bad = cap_utf8_bad(text, length);
    if (bad < length)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the text is not UTF-8 at byte %zu", bad);
    return true;
}

bool infer_tokenizer_encode(const struct infer_tokenizer *tokenizer, const char *text,
                            size_t length, enum infer_specials specials,
                            struct infer_tokens *tokens, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES_MAX);
    CAP_AUTO(infer_bpe_scratch) scratch = infer_bpe_scratch_new();
    struct encoding e = {tokenizer, arena, scratch, {0}, tokens};
    size_t count = tokens->count;
    bool around = specials == INFER_WITH_SPECIALS, ok;

    if (!check_text(text, length, err))
        return false;
    for (int i = 0; around && i < tokenizer->before_count; i++)
        infer_tokens_add(tokens, tokenizer->before[i]);
    ok = encode_raw(&e, text, length, err);
    for (int i = 0; around && i < tokenizer->behind_count; i++)
        infer_tokens_add(tokens, tokenizer->behind[i]);
    infer_words_done(&e.words);
    if (!ok)
        tokens->count = count;
    return ok;
}

void infer_tokens_add(struct infer_tokens *tokens, uint32_t id)
{
    if (tokens->count == tokens->capacity) {
        tokens->capacity = tokens->capacity ? 2 * tokens->capacity : 64;
        tokens->ids = realloc(tokens->ids, tokens->capacity * sizeof *tokens->ids);
        if (!tokens->ids)
            abort();
    }
    tokens->ids[tokens->count++] = id;
}

void infer_tokens_done(struct infer_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (struct infer_tokens){0};
}

/* ---- questions ---- */

static const struct infer_added_token *find_added(const struct infer_tokenizer *t, uint32_t id)
{
    return id < t->id_count ? t->added_by_id[id] : NULL;
}

const char *infer_tokenizer_bytes(const struct infer_tokenizer *tokenizer, uint32_t id,
                                  size_t *out_length)
{
    const struct infer_added_token *added = find_added(tokenizer, id);

    if (!added)
        return infer_bpe_bytes(tokenizer->bpe, id, out_length);
    *out_length = added->length;
    return added->content;
}

bool infer_tokenizer_is_special(const struct infer_tokenizer *tokenizer, uint32_t id)
{
    const struct infer_added_token *added = find_added(tokenizer, id);

    return added && added->special;
}

int64_t infer_tokenizer_added_id(const struct infer_tokenizer *tokenizer, const char *content)
{
    for (size_t i = 0; i < tokenizer->added_count; i++)
        if (strcmp(tokenizer->added[i].content, content) == 0)
            return tokenizer->added[i].id;
    return -1;
}

void infer_tokenizer_describe(const struct infer_tokenizer *tokenizer,
                              struct infer_tokenizer_facts *out)
{
    *out = (struct infer_tokenizer_facts){
        .ids = tokenizer->id_count,
        .vocabulary = infer_bpe_vocabulary(tokenizer->bpe),
        .merges = infer_bpe_merges(tokenizer->bpe),
        .added = tokenizer->added_count,
        .bytes_without_token = infer_bpe_bytes_without_token(tokenizer->bpe),
        .adds_specials = tokenizer->before_count + tokenizer->behind_count > 0,
    };
    for (size_t i = 0; i < tokenizer->added_count; i++)
        out->specials += tokenizer->added[i].special;
}

/* ---- ids back to text: a token may end inside a character, so bytes wait until they are one ---- */

void infer_detokenizer_init(struct infer_detokenizer *d, const struct infer_tokenizer *tokenizer,
                            enum infer_skip skip)
{
    *d = (struct infer_detokenizer){.tokenizer = tokenizer, .skip = skip};
}

void infer_detokenizer_add(struct infer_detokenizer *d, uint32_t id, struct cap_buf *out)
{
    size_t length = 0;
    const char *bytes = infer_tokenizer_bytes(d->tokenizer, id, &length);

    if (!bytes || (d->skip == INFER_SKIP_SPECIAL && infer_tokenizer_is_special(d->tokenizer, id)))
        return;
    cap_utf8_mend(&d->mender, bytes, length, out);
}

void infer_detokenizer_end(struct infer_detokenizer *d, struct cap_buf *out)
{
    cap_utf8_mend_end(&d->mender, out);
}

void infer_tokenizer_decode(const struct infer_tokenizer *tokenizer, const uint32_t *ids,
                            size_t count, enum infer_skip skip, struct cap_buf *out)
{
    struct infer_detokenizer d;

    infer_detokenizer_init(&d, tokenizer, skip);
    for (size_t i = 0; i < count; i++)
        infer_detokenizer_add(&d, ids[i], out);
    infer_detokenizer_end(&d, out);
}
