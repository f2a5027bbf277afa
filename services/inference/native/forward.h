/* forward.h — one forward pass over rows of any mixture of sequences.
 *
 * A row is one token at one position of one sequence; its keys and values go to the sequence's
 * pages, which must be there (native_kv_grow). Rows of a sequence come in order of position and
 * attend to everything before them, earlier rows of the same pass included. One thread, the
 * model's.
 *
 *     native_forward_run(fw, kv, &rows, err) && native_forward_logits(fw, pick, n, logits, err);
 *
 * A pass over many rows of a large model takes seconds. So the forward pass asks
 * between two layers whether it is still wanted (native_forward_ask), and ends there when it is
 * not: CANCELLED. What its rows wrote to their pages is then of no use.
 */
#ifndef NATIVE_FORWARD_H
#define NATIVE_FORWARD_H

#include "native/kv.h"

struct native_forward;

struct native_rows {
    int count;
    const int32_t *ids, *positions;           /* [count] */
    const int32_t *sequence_of;               /* [count] index into `sequences` */
    struct native_sequence *const *sequences; /* [sequence_count] */
    int sequence_count;
};

/* Told the router's final choices of every MoE layer of a pass: ids and weights [rows][top_k]. */
typedef void (*native_experts_fn)(void *context, int layer, const int32_t *ids,
                                  const float *weights, int rows, int top_k);

/* Room for passes of rows_max rows and for the logits of logits_max rows at once. */
struct native_forward *native_forward_open(const struct native_model *model, int rows_max,
                                           int logits_max, int context_max, struct cap_err *err);
void native_forward_free(struct native_forward *fw);
CAP_DEFINE_AUTO(native_forward)

void native_forward_watch(struct native_forward *fw, native_experts_fn fn, void *context);
/* `unwanted` is asked before each layer, and before the head; NULL = never. */
void native_forward_ask(struct native_forward *fw, bool (*unwanted)(void *arg), void *arg);

/* Fails when the device does, or with CANCELLED. Does not move the sequences' lengths. */
bool native_forward_run(struct native_forward *fw, struct native_kv *kv,
                        const struct native_rows *rows, struct cap_err *err);

/* Logits [count][vocab] of rows `pick` of the last pass; count <= logits_max. */
bool native_forward_logits(struct native_forward *fw, const int32_t *pick, int count, float *out,
                           struct cap_err *err);

/* Selections of the last pass: [moe_layers][experts]. */
const uint32_t *native_forward_counts(const struct native_forward *fw);
/* What the rows of the last pass chose in a MoE layer, counted without the dense ones:
 * [rows][top_k of the layer]. */
const int32_t *native_forward_chosen(const struct native_forward *fw, int moe_layer);

#endif
