/* tokenizer.json as a whole, in the order of Hugging Face's library: added tokens that are not
 * normalized are cut out of the raw text; the rest is normalized; added tokens that are normalized
 * are cut out of that; what remains is cut into words, and each word is encoded. */
#include "text/tokenizer.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "base/python_json.h"
#include "base/utf8.h"
#include "text/inside.h"

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
    const char *notes[INFER_TOKENIZER_NOTES_MAX];
    size_t note_count;
};

/* The first of them only: one file may hold thousands of the same kind. */
static void add_note(struct infer_tokenizer *t, const char *note)
{
    if (note && t->note_count < INFER_TOKENIZER_NOTES_MAX)
        t->notes[t->note_count++] = note;
}

/* ---- reading: added tokens, from all files ---- */

/* Files of a model that hold tokens. The first one is the tokenizer itself, and the only one that
 * must exist. Where tokenizer_config.json has a token again, its flags count, as in Transformers,
 * which adds the tokens of that file a second time. */
enum file { TOKENIZER, CONFIG, ADDED, SPECIALS, FILE_COUNT };

static const char *const file_names[FILE_COUNT] = {"tokenizer.json", "tokenizer_config.json",
                                                   "added_tokens.json", "special_tokens_map.json"};

/* NULL = there is no such file. */
struct files {
    const json_t *json[FILE_COUNT];
};

/* Special tokens by their roles, in tokenizer_config.json and special_tokens_map.json. */
static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};

struct reading {
    struct infer_tokenizer *t;
    struct cap_map *by_content; /* content -> the token, which knows its file by `files` */
    struct cap_map *without_id; /* contents that have a role and no id */
    enum file *files;           /* [added_count] where each token was read */
    size_t capacity;
};

/* A token as one file says it. */
struct said {
    const char *content;
    size_t length;
    int64_t id;
    enum file file;
};

static bool fail_disagree(const struct said *said, const char *what, enum file other,
                          struct cap_err *err)
{
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "%s and %s disagree: \"%.60s\" is token %lld in %s, but %s", file_names[other],
                    file_names[said->file], said->content, (long long)said->id,
                    file_names[said->file], what);
}

/* The token, said by a file other than tokenizer.json, against what the vocabulary has. */
static bool check_vocabulary(const struct reading *r, const struct said *said, struct cap_err *err)
{
    int64_t own = infer_bpe_id_of_text(r->t->bpe, said->content, said->length);
    size_t bytes_length = 0;
    const char *bytes = infer_bpe_bytes(r->t->bpe, (uint32_t)said->id, &bytes_length);
    char what[160];

    if (own == said->id || (own < 0 && !bytes))
        return true;
    if (own >= 0)
        snprintf(what, sizeof what, "token %d in the vocabulary of tokenizer.json", (int)own);
    else
        snprintf(what, sizeof what, "that token is \"%.*s\" in the vocabulary of tokenizer.json",
                 bytes_length > 60 ? 60 : (int)bytes_length, bytes);
    return fail_disagree(said, what, TOKENIZER, err);
}

/* True when the token is known already, or when it is new and may be added; false with err set when
 * another file says otherwise. */
static bool check_token(const struct reading *r, const struct said *said, bool *out_known,
                        struct cap_err *err)
{
    const struct infer_added_token *same =
        cap_map_get_n(r->by_content, said->content, said->length);
    const struct infer_added_token *other = same && same->id != said->id ? same : NULL;
    const char *file;
    char what[160];

    *out_known = same != NULL;
    for (size_t i = 0; !same && !other && i < r->t->added_count; i++)
        if (r->t->added[i].id == said->id)
            other = &r->t->added[i];
    if (!other)
        return same || check_vocabulary(r, said, err);
    file = file_names[r->files[other - r->t->added]];
    if (same)
        snprintf(what, sizeof what, "token %u in %s", same->id, file);
    else
        snprintf(what, sizeof what, "that token is \"%.60s\" in %s", other->content, file);
    return fail_disagree(said, what, r->files[other - r->t->added], err);
}

static void read_flag(const json_t *flags, const char *name, bool *out)
{
    const json_t *flag = json_object_get(flags, name);

    if (flag)
        *out = json_is_true(flag);
}

static void read_flags(const json_t *flags, struct infer_added_token *out)
{
    read_flag(flags, "special", &out->special);
    read_flag(flags, "lstrip", &out->lstrip);
    read_flag(flags, "rstrip", &out->rstrip);
    read_flag(flags, "single_word", &out->single_word);
    read_flag(flags, "normalized", &out->normalized);
}

/* `flags` may hold special, lstrip, rstrip, single_word and normalized. */
static bool add_token(struct reading *r, const json_t *content, int64_t id, const json_t *flags,
                      enum file file, struct cap_err *err)
{
    struct infer_tokenizer *t = r->t;
    struct infer_added_token *token = &t->added[t->added_count];
    const struct said said = {json_string_value(content), json_string_length(content), id, file};
    bool known = false;

    if (!json_is_string(content) || said.length == 0 || id < 0 || id >= INFER_TOKENIZER_IDS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "added token %zu needs a content and an id below %d", t->added_count,
                        INFER_TOKENIZER_IDS_MAX) ||
               cap_fail_in(err, "%s", file_names[file]);
    if (file != TOKENIZER && !check_token(r, &said, &known, err))
        return false;
    if (known)
        return true;
    assert(t->added_count < r->capacity);
    token->length = said.length;
    token->content = cap_arena_strndup(t->arena, said.content, token->length);
    if (!token->content)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the added tokens take too much memory");
    token->id = (uint32_t)id;
    read_flags(flags, token);
    if (token->id >= t->id_count)
        t->id_count = token->id + 1;
    r->files[t->added_count++] = file;
    cap_map_put_n(r->by_content, token->content, token->length, token);
    return true;
}

/* "added_tokens": [{"id": 1, "content": "<s>", ...}] */
static bool read_list(struct reading *r, const json_t *list, struct cap_err *err)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        const json_t *id = json_object_get(item, "id");

        if (!add_token(r, json_object_get(item, "content"),
                       json_is_integer(id) ? json_integer_value(id) : -1, item, TOKENIZER, err))
            return false;
    }
    return true;
}

/* "added_tokens_decoder": {"1": {"content": "<s>", ...}} */
static bool read_decoder(struct reading *r, const json_t *decoder, struct cap_err *err)
{
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)decoder, key, item)
    {
        char *end;
        long id = strtol(key, &end, 10);
        const char *content = json_string_value(json_object_get(item, "content"));
        struct infer_added_token *known = content ? cap_map_get(r->by_content, content) : NULL;

        if (!add_token(r, json_object_get(item, "content"), *key && !*end ? id : -1, item, CONFIG,
                       err))
            return false;
        if (known)
            read_flags(item, known);
    }
    return true;
}

/* {"<s>": 1}: without flags; what no role names is looked for after normalizing. */
static bool read_map(struct reading *r, const json_t *map, struct cap_err *err)
{
    json_t *plain = json_pack("{s:b}", "normalized", 1);
    const char *key;
    json_t *id;
    bool ok = true;

    json_object_foreach((json_t *)map, key, id)
    {
        json_t *content = json_string(key);

        ok = add_token(r, content, json_is_integer(id) ? json_integer_value(id) : -1, plain, ADDED,
                       err);
        json_decref(content);
        if (!ok)
            break;
    }
    json_decref(plain);
    return ok;
}

/* Transformers would give it the next id that is free, for which the model has no row. */
static void note_without_id(struct reading *r, const char *content, size_t length, enum file file)
{
    if (!cap_map_put_n(r->without_id, content, length, r)) /* once, whoever says it again */
        add_note(r->t,
                 cap_arena_printf(r->t->arena, "token \"%.60s\" of %s has no id: it stays text",
                                  content, file_names[file]));
}

/* A token that only has a role: its id is that of the vocabulary's entry. One that the vocabulary
 * lacks is not a token of this model. */
static bool read_role(struct reading *r, const json_t *value, enum file file, struct cap_err *err)
{
    const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
    const char *text = json_string_value(content);
    size_t length = json_string_length(content);
    json_t *flags;
    int64_t id;
    bool ok;

    if (!text || length == 0 || cap_map_get_n(r->by_content, text, length))
        return true;
    id = infer_bpe_id_of_text(r->t->bpe, text, length);
    if (id < 0) {
        note_without_id(r, text, length, file);
        return true;
    }
    flags = json_is_object(value) ? json_copy((json_t *)value) : json_object();
    json_object_set_new(flags, "special", json_true());
    ok = add_token(r, content, id, flags, file, err);
    json_decref(flags);
    return ok;
}

static bool read_roles(struct reading *r, const json_t *json, enum file file, struct cap_err *err)
{
    const json_t *more = json_object_get(json, "additional_special_tokens");
    json_t *item;
    size_t i;

    for (i = 0; i < CAP_COUNT_OF(roles); i++)
        if (!read_role(r, json_object_get(json, roles[i]), file, err))
            return false;
    json_array_foreach(more, i, item)
    {
        if (!read_role(r, item, file, err))
            return false;
    }
    return true;
}

static size_t count_tokens(const struct files *files)
{
    size_t count = json_array_size(json_object_get(files->json[TOKENIZER], "added_tokens")) +
                   json_object_size(json_object_get(files->json[CONFIG], "added_tokens_decoder")) +
                   json_object_size(files->json[ADDED]);

    for (int file = CONFIG; file < FILE_COUNT; file++)
        count += CAP_COUNT_OF(roles) +
                 json_array_size(json_object_get(files->json[file], "additional_special_tokens"));
    return count;
}

static bool read_tokens(struct reading *r, const struct files *files, struct cap_err *err)
{
    const json_t *config = files->json[CONFIG];

    return read_list(r, json_object_get(files->json[TOKENIZER], "added_tokens"), err) &&
           read_decoder(r, json_object_get(config, "added_tokens_decoder"), err) &&
           read_map(r, files->json[ADDED], err) && read_roles(r, config, CONFIG, err) &&
           read_roles(r, files->json[SPECIALS], SPECIALS, err);
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

static bool read_all_added(struct infer_tokenizer *t, const struct files *files,
                           struct cap_err *err)
{
    struct reading r = {.t = t, .capacity = count_tokens(files)};
    bool ok;

    if (r.capacity > INFER_ADDED_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "more than %d added tokens", INFER_ADDED_MAX);
    t->id_count = infer_bpe_id_count(t->bpe);
    t->added = calloc(r.capacity + 1, sizeof *t->added);
    r.files = calloc(r.capacity + 1, sizeof *r.files);
    r.by_content = cap_map_new();
    r.without_id = cap_map_new();
    if (!t->added || !r.files)
        abort();
    ok = read_tokens(&r, files, err);
    cap_map_free(r.by_content);
    cap_map_free(r.without_id);
    free(r.files);
    t->added_by_id = calloc((size_t)t->id_count + 1, sizeof *t->added_by_id);
    if (!t->added_by_id)
        abort();
    for (size_t i = 0; ok && i < t->added_count; i++)
        ok = place_added(t, &t->added[i], err);
    return ok;
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

/* Whether a part (a pre-tokenizer, normalizer or decoder) is of that type or has one that is. */
static bool has_type(const json_t *part, const char *type)
{
    static const char *const lists[] = {"pretokenizers", "normalizers", "decoders"};
    const char *own = json_string_value(json_object_get(part, "type"));
    json_t *item;
    size_t i;

    if (own && strcmp(own, type) == 0)
        return true;
    for (size_t k = 0; k < CAP_COUNT_OF(lists); k++)
        json_array_foreach(json_object_get(part, lists[k]), i, item)
        {
            const char *inner = json_string_value(json_object_get(item, "type"));

            if (inner && strcmp(inner, type) == 0)
                return true;
        }
    return false;
}

/* Another kind of BPE works on characters with a mark for blanks: as one of ours it would fail
 * somewhere, with a reason that is not the true one. */
static bool check_sentencepiece(const json_t *json, struct cap_err *err)
{
    const json_t *before = json_object_get(json, "pre_tokenizer");
    bool metaspace = has_type(before, "Metaspace");
    bool prepend = has_type(json_object_get(json, "normalizer"), "Prepend");
    bool fallback = json_is_true(json_object_get(json_object_get(json, "model"), "byte_fallback"));
    const char *type = json_string_value(json_object_get(json_object_get(json, "model"), "type"));

    if ((type && strcmp(type, "BPE") != 0) || has_type(before, "ByteLevel") ||
        !(metaspace || prepend || fallback))
        return true;
    return cap_fail(err, CAP_UNIMPLEMENTED,
                    "this is a SentencePiece-style BPE (%s%s%s), which is not supported; "
                    "supported: byte-level BPE (pre-tokenizer ByteLevel)",
                    metaspace ? "pre-tokenizer Metaspace"
                    : prepend ? "normalizer Prepend"
                              : "",
                    (metaspace || prepend) && fallback ? ", " : "",
                    fallback ? "byte_fallback" : "");
}

/* Tokens become text by joining their bytes: a decoder that does more would show other texts. */
static bool check_decoder(const json_t *json, struct cap_err *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    json_t *item;
    size_t i;

    if (!json || json_is_null(json))
        return true;
    if (!type || strcmp(type, "Sequence") != 0)
        return (type && (strcmp(type, "ByteLevel") == 0 || strcmp(type, "Fuse") == 0)) ||
               cap_fail(err, CAP_UNIMPLEMENTED,
                        "decoder \"%.40s\" is not supported; supported: ByteLevel",
                        type ? type : "(no type)");
    json_array_foreach(json_object_get(json, "decoders"), i, item)
    {
        const char *inner = json_string_value(json_object_get(item, "type"));

        if (inner && strcmp(inner, "Sequence") == 0)
            return cap_fail(err, CAP_UNIMPLEMENTED, "decoder is a Sequence in a Sequence");
        if (!check_decoder(item, err))
            return false;
    }
    return true;
}

static bool read_parts(struct infer_tokenizer *t, const json_t *json, struct cap_err *err)
{
    if (!check_sentencepiece(json, err))
        return false;
    t->bpe = infer_bpe_open(json_object_get(json, "model"), err);
    if (t->bpe && infer_bpe_double(t->bpe) >= 0)
        add_note(t,
                 cap_arena_printf(t->arena,
                                  "the vocabulary has token %lld twice or more: it is written as "
                                  "the last of its texts",
                                  (long long)infer_bpe_double(t->bpe)));
    if (!t->bpe || !infer_normalizer_read(json_object_get(json, "normalizer"), &t->normalizer, err))
        return false;
    t->pretokenizer = infer_pretokenizer_open(json_object_get(json, "pre_tokenizer"), err);
    return t->pretokenizer && check_decoder(json_object_get(json, "decoder"), err) &&
           (read_post(t, json_object_get(json, "post_processor"), 4, err) ||
            cap_fail_in(err, "post_processor"));
}

static struct infer_tokenizer *parse(const struct files *files, struct cap_err *err)
{
    CAP_AUTO(infer_tokenizer) t = calloc(1, sizeof *t);

    if (!t)
        abort();
    t->arena = cap_arena_new(ARENA_BYTES_MAX);
    t->raw = infer_added_new();
    t->normalized = infer_added_new();
    for (int file = 0; file < FILE_COUNT; file++)
        if ((file == TOKENIZER || files->json[file]) && !json_is_object(files->json[file])) {
            cap_fail(err, CAP_INVALID_ARGUMENT, "%s: it is not a JSON object", file_names[file]);
            return NULL;
        }
    if (!read_parts(t, files->json[TOKENIZER], err)) {
        cap_fail_in(err, "%s", file_names[TOKENIZER]);
        return NULL;
    }
    return read_all_added(t, files, err) ? cap_take(t) : NULL;
}

struct infer_tokenizer *infer_tokenizer_parse(const json_t *json, struct cap_err *err)
{
    return parse(&(struct files){{[TOKENIZER] = json}}, err);
}

/* NULL with err clean when there is no such file, but for tokenizer.json. */
static json_t *read_file(const char *dir, enum file file, struct cap_err *err)
{
    char path[PATH_MAX];
    CAP_AUTO_MEM char *text = NULL, *strict = NULL;
    json_error_t why;
    json_t *json;
    size_t length;

    if (snprintf(path, sizeof path, "%s/%s", dir, file_names[file]) >= (int)sizeof path) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "path \"%.80s...\" is too long", dir);
        return NULL;
    }
    if (file != TOKENIZER && !cap_file_exists(path))
        return NULL;
    text = cap_file_read_regular(path, INFER_TOKENIZER_FILE_BYTES_MAX, &length, err);
    if (!text)
        return NULL;
    strict = cap_python_json(text, length, &length);
    json = json_loadb(strict, length, JSON_ALLOW_NUL, &why);
    if (!json)
        cap_fail(err, CAP_INVALID_ARGUMENT, "file \"%s\", line %d: %.200s", path, why.line,
                 why.text);
    return json;
}

/* A model may bring its tokenizer in another form only. */
static void tell_other_form(const char *dir, struct cap_err *err)
{
    static const char *const forms[] = {"tokenizer.model", "tiktoken.model", "vocab.json",
                                        "vocab.txt"};
    char path[PATH_MAX];

    for (size_t i = 0; i < CAP_COUNT_OF(forms) && err->code == CAP_NOT_FOUND; i++) {
        if (snprintf(path, sizeof path, "%s/%s", dir, forms[i]) >= (int)sizeof path ||
            !cap_file_exists(path))
            continue;
        cap_err_clear(err);
        cap_fail(err, CAP_UNIMPLEMENTED,
                 "model \"%s\" has its tokenizer in %s only; supported: tokenizer.json, which "
                 "transformers writes (AutoTokenizer.from_pretrained(...).save_pretrained(...))",
                 dir, forms[i]);
    }
}

struct infer_tokenizer *infer_tokenizer_open(const char *dir, struct cap_err *err)
{
    struct infer_tokenizer *t = NULL;
    json_t *json[FILE_COUNT] = {NULL};
    struct files files = {0};

    for (int file = 0; file < FILE_COUNT && err->code == CAP_OK; file++)
        files.json[file] = json[file] = read_file(dir, (enum file)file, err);
    tell_other_form(dir, err);
    if (err->code == CAP_OK && !(t = parse(&files, err)))
        cap_fail_in(err, "model \"%s\"", dir);
    for (int file = 0; file < FILE_COUNT; file++)
        json_decref(json[file]);
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
        .notes = tokenizer->notes,
        .note_count = tokenizer->note_count,
    };
    for (size_t i = 0; i < tokenizer->added_count; i++)
        out->specials += tokenizer->added[i].special;
}

/* ---- ids back to text: bytes wait until they are a whole character ---- */

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
