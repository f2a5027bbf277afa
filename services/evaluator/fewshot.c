/* The pool and the draws, as fewshot.h promises them.
 *
 * A pool is written by one thread, then read by many: only the examples' texts are made later,
 * under the pool's lock, each once. Two documents are equal when their JSON with sorted keys is the
 * same text; its digest is kept, so that no document has to be parsed to be compared.
 *
 * A draw repeats history: the generator is seeded once, and each document below the one that is
 * asked for draws as it would have drawn, with its own content left out where that counts. The
 * earlier documents themselves are not at hand, but where the pool is what is evaluated they stand
 * in it, at their ordinals. */
#include "fewshot.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "text/pyrandom.h"

struct entry {
    const char *uid, *json;
    size_t length;
    struct eval_doc_key key;
    bool made;
    struct eval_example example;
};

struct eval_pool {
    const struct eval_task *task;
    struct entry *entries;
    size_t count, room, bytes;
    struct cap_arena *documents;
    struct cap_digest *digest;
    char sha256[CAP_SHA256_HEX_BYTES];
    pthread_mutex_t lock;       /* guards what follows, and made and example of the entries */
    struct cap_arena *examples; /* their texts */
};

/* ---- the content of a document ---- */

static bool key_of(const json_t *json, struct eval_doc_key *out, struct cap_err *err)
{
    char *text = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17));

    if (!text)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the document cannot be compared");
    cap_sha256(text, strlen(text), out->bytes);
    free(text);
    return true;
}

bool eval_doc_key(const char *json, size_t length, struct eval_doc_key *out, struct cap_err *err)
{
    json_t *parsed = eval_doc_parse(json, length, err);
    bool ok = parsed && key_of(parsed, out, err);

    json_decref(parsed);
    return ok;
}

/* ---- the pool ---- */

struct eval_pool *eval_pool_new(const struct eval_task *task)
{
    struct eval_pool *pool = calloc(1, sizeof *pool);

    if (!pool)
        abort();
    pool->task = task;
    pool->documents = cap_arena_new(2 * (size_t)EVAL_POOL_BYTES_MAX);
    pool->examples = cap_arena_new(EVAL_EXAMPLES_BYTES_MAX);
    pool->digest = cap_digest_new();
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void eval_pool_free(struct eval_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_destroy(&pool->lock);
    cap_digest_free(pool->digest);
    cap_arena_free(pool->documents);
    cap_arena_free(pool->examples);
    free(pool->entries);
    free(pool);
}

static struct entry *next_entry(struct eval_pool *pool)
{
    if (pool->count == pool->room) {
        pool->room = pool->room ? 2 * pool->room : 64;
        pool->entries = realloc(pool->entries, pool->room * sizeof *pool->entries);
        if (!pool->entries)
            abort();
    }
    memset(&pool->entries[pool->count], 0, sizeof *pool->entries);
    return &pool->entries[pool->count];
}

void eval_pool_digest_add(struct cap_digest *digest, const char *json)
{
    size_t length = strlen(json);

    /* the lengths keep two documents from looking like one */
    cap_digest_add(digest, &length, sizeof length);
    cap_digest_add(digest, json, length);
}

static bool add_document(struct eval_pool *pool, const char *uid, const char *json,
                         struct cap_err *err)
{
    struct entry *entry = next_entry(pool);
    size_t length = strlen(json);

    if (pool->count == EVAL_POOL_DOCS_MAX || pool->bytes + length > EVAL_POOL_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "a few-shot pool has at most %d documents and %d MiB", EVAL_POOL_DOCS_MAX,
                        EVAL_POOL_BYTES_MAX >> 20);
    if (!eval_doc_key(json, length, &entry->key, err))
        return false;
    entry->uid = cap_arena_strdup(pool->documents, uid);
    entry->json = cap_arena_strndup(pool->documents, json, length);
    if (!entry->uid || !entry->json)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the few-shot pool needs too much memory");
    entry->length = length;
    eval_pool_digest_add(pool->digest, json);
    pool->bytes += length;
    pool->count++;
    return true;
}

bool eval_pool_add(struct eval_pool *pool, const char *uid, const char *json, struct cap_err *err)
{
    return add_document(pool, uid, json, err) ||
           cap_fail_in(err, "few-shot document %zu (\"%s\")", pool->count + 1, uid);
}

bool eval_pool_add_samples(struct eval_pool *pool, struct cap_err *err)
{
    const json_t *samples = pool->task->shots.samples;
    bool ok = true;

    for (size_t i = 0; ok && i < json_array_size(samples); i++) {
        char *text = json_dumps(json_array_get(samples, i), JSON_COMPACT);

        ok = text && eval_pool_add(pool, "fewshot_config.samples", text, err);
        free(text);
    }
    return ok;
}

const char *eval_pool_end(struct eval_pool *pool)
{
    uint8_t bytes[CAP_SHA256_BYTES];

    if (pool->count > 0 && !*pool->sha256) {
        cap_digest_end(pool->digest, bytes);
        cap_hex(bytes, sizeof bytes, pool->sha256);
    }
    return pool->sha256;
}

size_t eval_pool_count(const struct eval_pool *pool)
{
    return pool->count;
}

size_t eval_pool_bytes(struct eval_pool *pool)
{
    size_t bytes = cap_arena_used(pool->documents) + pool->room * sizeof *pool->entries;

    pthread_mutex_lock(&pool->lock);
    bytes += cap_arena_used(pool->examples);
    pthread_mutex_unlock(&pool->lock);
    return bytes;
}

/* ---- examples ---- */

static bool copy_example(struct cap_arena *arena, const struct eval_example *from,
                         struct eval_example *out)
{
    struct eval_example copy = *from;

    copy.question.data = eval_text_c(arena, from->question);
    copy.prefix.data = eval_text_c(arena, from->prefix);
    copy.answer.data = eval_text_c(arena, from->answer);
    if (!copy.question.data || !copy.prefix.data || !copy.answer.data)
        return false;
    *out = copy;
    return true;
}

/* Where the pool's memory for examples is full, this one lives in the caller's arena and is made
 * again the next time. */
static bool make_example_locked(struct eval_pool *pool, struct entry *entry,
                                struct cap_arena *arena, struct eval_example *out,
                                struct cap_err *err)
{
    struct eval_example example;
    struct eval_doc doc;
    bool ok;

    if (!eval_doc_open(&doc, pool->task, &pool->task->shots.form, entry->json, entry->length, arena,
                       err))
        return false;
    ok = eval_doc_text(&doc, &example.question, err) &&
         eval_doc_prefix(&doc, &example.prefix, err) &&
         eval_doc_shown_target(&doc, &example.answer, err);
    if (ok) {
        entry->made = copy_example(pool->examples, &example, &entry->example);
        ok = entry->made || copy_example(arena, &example, out) ||
             cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the examples need too much memory");
        if (entry->made)
            *out = entry->example;
    }
    eval_doc_done(&doc);
    return ok;
}

bool eval_pool_example(struct eval_pool *pool, size_t index, struct cap_arena *arena,
                       struct eval_example *out, struct cap_err *err)
{
    struct entry *entry = &pool->entries[index];
    bool ok = true;

    pthread_mutex_lock(&pool->lock);
    if (entry->made)
        *out = entry->example;
    else
        ok = make_example_locked(pool, entry, arena, out, err);
    pthread_mutex_unlock(&pool->lock);
    return ok || cap_fail_in(err, "few-shot document %zu (\"%s\")", index + 1, entry->uid);
}

/* ---- which examples ---- */

bool eval_draw_needs_key(const struct eval_draw *draw)
{
    const struct eval_shots *rules = &draw->task->shots;

    return draw->shots > 0 && (rules->draws_one_more || rules->same_documents);
}

static bool is_own(const struct eval_draw *draw, size_t index, const struct eval_doc_key *own)
{
    return own && memcmp(&draw->pool->entries[index].key, own, sizeof *own) == 0;
}

/* Drops from `indices` those that equal the document; returns how many are left. */
static size_t drop_own(const struct eval_draw *draw, const struct eval_doc_key *own,
                       size_t *indices, size_t count)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        if (!is_own(draw, indices[i], own))
            indices[left++] = indices[i];
    return left;
}

static bool fail_few(const struct eval_draw *draw, struct cap_err *err)
{
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "task \"%s\" cannot show %zu examples: its few-shot pool has %zu%s",
                    draw->task->name, draw->shots, draw->pool->count,
                    eval_draw_needs_key(draw) ? ", and a document is not its own example" : "");
}

/* Draws from a pool without the document, after a draw that left too few. */
static bool draw_from_others(struct eval_draw *draw, const struct eval_doc_key *own,
                             struct cap_err *err)
{
    size_t *others = malloc((draw->pool->count + 1) * sizeof *others), count = 0;

    if (!others)
        abort();
    for (size_t i = 0; i < draw->pool->count; i++)
        if (!is_own(draw, i, own))
            others[count++] = i;
    if (count >= draw->shots) {
        eval_pyrandom_sample(draw->random, count, draw->shots, draw->chosen);
        for (size_t i = 0; i < draw->shots; i++)
            draw->chosen[i] = others[draw->chosen[i]];
    }
    free(others);
    return count >= draw->shots || fail_few(draw, err);
}

static bool draw_one(struct eval_draw *draw, const struct eval_doc_key *own, struct cap_err *err)
{
    size_t wanted = draw->shots + draw->task->shots.draws_one_more;

    if (wanted > draw->pool->count)
        return fail_few(draw, err);
    eval_pyrandom_sample(draw->random, draw->pool->count, wanted, draw->chosen);
    return drop_own(draw, own, draw->chosen, wanted) >= draw->shots ||
           draw_from_others(draw, own, err);
}

/* The first of the pool that are not the document. */
static bool take_first(struct eval_draw *draw, const struct eval_doc_key *own, struct cap_err *err)
{
    size_t taken = 0;

    for (size_t i = 0; i < draw->pool->count && taken < draw->shots; i++)
        if (!is_own(draw, i, own))
            draw->chosen[taken++] = i;
    return taken == draw->shots || fail_few(draw, err);
}

/* The key of a document that was drawn for before: where the pool is what is evaluated, its place
 * there. A pool of another split never equals one, but for a document that stands in both. */
static const struct eval_doc_key *earlier_key(const struct eval_draw *draw, uint64_t ordinal)
{
    return draw->task->shots.same_documents && ordinal < draw->pool->count
               ? &draw->pool->entries[ordinal].key
               : NULL;
}

bool eval_draw_choose(struct eval_draw *draw, uint32_t ordinal, const struct eval_doc_key *own,
                      struct cap_err *err)
{
    if (draw->shots == 0)
        return true;
    if (draw->shots > EVAL_FEWSHOT_MAX || draw->shots > draw->pool->count)
        return fail_few(draw, err);
    if (!eval_draw_needs_key(draw))
        own = NULL;
    if (draw->task->shots.first)
        return take_first(draw, own, err);
    if (!draw->random && !(draw->random = malloc(sizeof *draw->random)))
        abort();
    if (draw->drawn_to == 0 || ordinal < draw->drawn_to) {
        eval_pyrandom_seed(draw->random, draw->seed ? draw->seed : EVAL_FEWSHOT_SEED);
        draw->drawn_to = 0;
    }
    while (draw->drawn_to <= ordinal) {
        if (!draw_one(draw, draw->drawn_to == ordinal ? own : earlier_key(draw, draw->drawn_to),
                      err))
            return false;
        draw->drawn_to++;
    }
    return true;
}

void eval_draw_done(struct eval_draw *draw)
{
    free(draw->random);
    draw->random = NULL;
}
