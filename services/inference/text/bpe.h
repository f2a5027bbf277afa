/* bpe.h — byte-pair encoding of one word: a vocabulary of byte strings and ranked merges.
 *
 * The merge of lowest rank goes first, the leftmost of equals. A heap of candidate pairs keeps a
 * word of n bytes at O(n log n), whatever is in it. Immutable once read; a scratch has one user.
 */
#ifndef INFER_BPE_H
#define INFER_BPE_H

#include <jansson.h>

#include "text/tokenizer.h"

struct infer_bpe;
struct infer_bpe_scratch;

/* `model` is the object of that name in tokenizer.json. */
struct infer_bpe *infer_bpe_open(const json_t *model, struct cap_err *err);
void infer_bpe_free(struct infer_bpe *bpe);
CAP_DEFINE_AUTO(infer_bpe)

struct infer_bpe_scratch *infer_bpe_scratch_new(void);
void infer_bpe_scratch_free(struct infer_bpe_scratch *scratch);
CAP_DEFINE_AUTO(infer_bpe_scratch)

void infer_bpe_encode(const struct infer_bpe *bpe, struct infer_bpe_scratch *scratch,
                      const char *word, size_t length, struct infer_tokens *out);

/* The id of the vocabulary's entry that is written so: as a key, not as bytes. -1 = none. */
int64_t infer_bpe_id_of_text(const struct infer_bpe *bpe, const char *text, size_t length);
/* Bytes of the token, NULL when the vocabulary has none with that id. */
const char *infer_bpe_bytes(const struct infer_bpe *bpe, uint32_t id, size_t *out_length);
uint32_t infer_bpe_id_count(const struct infer_bpe *bpe); /* largest id + 1 */
size_t infer_bpe_vocabulary(const struct infer_bpe *bpe);
size_t infer_bpe_merges(const struct infer_bpe *bpe);
int infer_bpe_bytes_without_token(const struct infer_bpe *bpe);

#endif
