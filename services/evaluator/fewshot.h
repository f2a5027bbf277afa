/* fewshot.h — few-shot examples: the pool of a task, and which of them a document is shown.
 *
 * A pool is filled once, checked while it is filled, and immutable afterwards, but for the
 * examples' texts: each is made when it is first shown, under the pool's lock. Any number of
 * threads then.
 *
 * Choices are those of lm-evaluation-harness 0.4.13. One generator (Python's random.Random) serves
 * the whole task, in the order of its documents: what the document at `ordinal` is shown is found
 * by choosing for all documents before it, so that any replica gives the same prompt for any batch.
 * Where the pool's split is the evaluated one, one more example than needed is drawn, and those
 * that equal the document are dropped; where that leaves too few, the draw is repeated from a pool
 * without them. A document never is its own example: that also holds where the harness does not
 * look, because the pool is what is evaluated under another name. A draw has one user at a time.
 *
 *     struct eval_draw draw = {.pool = pool, .shots = 5, .seed = 1234};
 *     ok = eval_draw_choose(&draw, ordinal, key, err) &&
 *          eval_pool_example(pool, draw.chosen[0], arena, &example, err);
 *     eval_draw_done(&draw);
 */
#ifndef EVAL_FEWSHOT_H
#define EVAL_FEWSHOT_H

#include <stdint.h>

#include "digest/digest.h"
#include "doc.h"

struct eval_pool;
struct eval_pyrandom;

enum {
    EVAL_POOL_BYTES_MAX = 64 << 20,
    EVAL_POOL_DOCS_MAX = 1000 * 1000,
    EVAL_EXAMPLES_BYTES_MAX = 128 << 20, /* of the texts of a pool's examples */
    EVAL_FEWSHOT_SEED = 1234,            /* lm-eval's, where none is asked for */
};

/* The content of a document, for comparing: two are equal where Python says that they are. */
struct eval_doc_key {
    uint8_t bytes[CAP_SHA256_BYTES];
};

bool eval_doc_key(const char *json, size_t length, struct eval_doc_key *out, struct cap_err *err);

/* An example as it is shown. */
struct eval_example {
    struct eval_text question, prefix, answer; /* no answer: the example has none to show */
};

/* The task is borrowed. */
struct eval_pool *eval_pool_new(const struct eval_task *task);
void eval_pool_free(struct eval_pool *pool);
CAP_DEFINE_AUTO(eval_pool)

/* Adds the next document, copied. */
bool eval_pool_add(struct eval_pool *pool, const char *uid, const char *json, struct cap_err *err);
/* Adds the examples that the task's definition itself holds. */
bool eval_pool_add_samples(struct eval_pool *pool, struct cap_err *err);
/* The digest of the documents, "" of none. Nothing is added afterwards. */
const char *eval_pool_end(struct eval_pool *pool);

/* The same of documents that are in no pool yet, without looking into them: to ask whether such a
 * pool is at hand. Begin with cap_digest_new(). */
void eval_pool_digest_add(struct cap_digest *digest, const char *json);

size_t eval_pool_count(const struct eval_pool *pool);
size_t eval_pool_bytes(struct eval_pool *pool); /* of memory; grows with the examples made */
/* The example's texts live with the pool or in `arena`. */
bool eval_pool_example(struct eval_pool *pool, size_t index, struct cap_arena *arena,
                       struct eval_example *out, struct cap_err *err);

struct eval_draw {
    const struct eval_task *task;
    const struct eval_pool *pool;
    size_t shots;
    uint64_t seed;
    size_t chosen[EVAL_FEWSHOT_MAX + 1]; /* the first `shots` count */
    struct eval_pyrandom *random;        /* NULL while nothing is drawn */
    uint64_t drawn_to;                   /* choices made: those of the documents below this */
};

/* Whether the key of the asking document matters to its choice. */
bool eval_draw_needs_key(const struct eval_draw *draw);
/* Fails where the pool has too few examples. `own` may be NULL where it does not matter. */
bool eval_draw_choose(struct eval_draw *draw, uint32_t ordinal, const struct eval_doc_key *own,
                      struct cap_err *err);
void eval_draw_done(struct eval_draw *draw);

#endif
