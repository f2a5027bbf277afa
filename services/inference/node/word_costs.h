/* word_costs.h — how many tokens of a server a word is, learned from its usage.
 *
 * A server shows no tokenizer, but counts every prompt. What a word costs does not depend on its
 * neighbours, as tokenizers cut text at its blanks first. So two requests, a list of words once and
 * twice, tell what stands around every prompt (BOS, chat template), and what the list costs. Where
 * each of its words is a token, that is all there is to know. Where the vocabulary is small, the
 * list is halved, and its halves, down to the words.
 *
 * A text of a length is then words drawn until their costs make it. A few more requests, of such
 * texts, correct what the sum of words did not foresee.
 */
#ifndef INFER_WORD_COSTS_H
#define INFER_WORD_COSTS_H

#include "base/buf.h"
#include "node/fixed.h"

enum { INFER_WORD_COSTS_MAX = 256 };

struct infer_word_costs {
    int count; /* 0: the server does not say its usage */
    const char *words[INFER_WORD_COSTS_MAX];
    int costs[INFER_WORD_COSTS_MAX];
    int around; /* tokens of a prompt without words */
    int target; /* tokens of its words */
    bool *can;  /* [n]: words can cost n together; n up to the target */
};

/* `word_count` words, the first ones those that most vocabularies have. False with the reason when
 * a request fails, or when no prompt can be so short. The words stay the caller's. */
bool infer_word_costs_learn(const struct infer_fixed *fixed, const char *const *words,
                            int word_count, struct infer_word_costs *out, struct cap_err *err);
void infer_word_costs_done(struct infer_word_costs *costs);

/* Appends what the seed draws, of the target's length. */
void infer_word_costs_text(const struct infer_word_costs *costs, uint64_t seed,
                           struct cap_buf *out);

#endif
