/* fixed.h — prompts of an exact length, of random words.
 *
 * The task `fixed` has samples without a text: their prompts are made here, once the engine is
 * open, of words that are one token each in the model's own vocabulary. Each prompt is counted as
 * the engine will count it, chat template and BOS included, and words are added or taken away until
 * the count is right; so it holds for any tokenizer, also one that does not give back what it got.
 *
 * An engine without a tokenizer, a server, counts by its usage: requests before the shard's clock
 * starts tell what each word costs, word_costs.h. The evaluator judges by the counts that come
 * back.
 *
 * A prompt's words depend on its seed alone (of evaluation, repeat and sample). They are drawn anew
 * for each place, so that neither a prompt nor two of them repeat a stretch of text, which a prefix
 * cache could serve and a router would see twice.
 */
#ifndef INFER_FIXED_H
#define INFER_FIXED_H

#include "base/buf.h"
#include "node/work.h"

enum { INFER_FIXED_BYTES_MAX = 64 << 20 }; /* of one prompt */

struct infer_fixed {
    struct infer_engine *engine;
    struct infer_assignment *assignment; /* its prompts get their texts, in its arena */
    bool (*unwanted)(void *arg);         /* ends the waiting for a server; NULL = never */
    void *unwanted_arg;
    int silence_ms_max; /* a server that says nothing for this long is lost */
};

/* False when no prompt of that length can be made, with the reason. */
bool infer_fixed_fill(const struct infer_fixed *fixed, struct cap_err *err);

/* The first `count` of the words that the seed draws, as one text. */
void infer_fixed_text(const char *const *words, int word_count, uint64_t seed, int count,
                      struct cap_buf *out);

/* The request with another text, as the task's last message or as its only text. `messages` is room
 * for a copy of them. */
void infer_fixed_set_text(const struct infer_request *request, const char *text,
                          struct infer_message *messages, struct infer_request *out);

#endif
