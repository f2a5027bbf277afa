/* rows.h — what a batch of answers holds, from the worker's structs to the bytes that the store
 * keeps: answers, forward passes, how often each expert was chosen, the report of the shard.
 *
 * Nothing here has a lock: all of it belongs to the worker's thread.
 */
#ifndef INFER_ROWS_H
#define INFER_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "engine.h"
#include "moecap/v1/inference.pb-c.h"
#include "node/hardware.h"
#include "node/self.h"
#include "power/power.h"

/* ---- what a node reports ----
 *
 * Times are microseconds since the shard's clock started; -1 = unknown. Token counts: -1 = unknown.
 * Everything is borrowed from the code that fills it in; nothing here owns memory.
 */

struct infer_answer {
    uint32_t ordinal;
    const char *uid;
    const char *error;  /* NULL = completed */
    const char *prompt; /* the text the model saw; NULL = unknown */
    const char *text, *reasoning;
    const char *finish_reason;
    int prompt_tokens, output_tokens, cached_tokens;
    int first_chunk_tokens; /* output tokens that came with the first chunk; -1 = unknown */
    const uint32_t *output_ids;
    size_t output_id_count;
    const struct infer_score *scores;
    int score_count;
    int64_t submitted_us, first_us, last_us, ended_us;
    int64_t sent_us, started_us; /* handed to the engine; taken up by it */
    const uint32_t *itl_us;
    size_t itl_count;
    const struct infer_routing *routing; /* NULL = unknown */
};

/* As AnswerCheck of inference.proto. */
struct infer_answer_check {
    int completed, blank, counted, thin, routed, short_routing;
};

enum { INFER_PROBES_MAX = 8 };

/* A request of the audit (audit.h), as AuditProbe of inference.proto; -1 = unknown. */
struct infer_probe {
    const char *kind;
    uint32_t ordinal;
    char error[200]; /* "" = it completed */
    int64_t first_us, first_gap_us;
    double pace_us, timed_pace_us, same;
    int chunks, prompt_tokens, output_tokens, cached_tokens, counted_tokens;
};

struct infer_shard_report {
    const struct infer_engine_report *engine;
    const struct infer_hardware *hardware;
    const char *model_sha256;
    int64_t started_wall_ms, ended_us;
    double load_average; /* negative = unknown */
    struct infer_self_report self;
    int64_t held_arrivals; /* by the limit of requests in flight */
    int retries;           /* requests sent again before their first byte */
    const char *const *notes;
    int note_count;
    const char *counts_unknown;  /* why token counts of answers are unknown; NULL = they are not */
    const char *routing_unknown; /* why answers have no routing; NULL = they have */
    const char *routing_source;  /* whose choices it is, words/words.h; NULL = there is none */
    const struct infer_energy *energy;
    int energy_count;
    const struct infer_probe *probes; /* [probe_count] of the audit */
    int probe_count;
    const char *audit_unknown; /* why there was none; NULL = there was, or none is due */
    const struct infer_answer_check *check; /* NULL = answers are only scored */
};

/* ---- as bytes ----
 *
 * Protocol Buffers define the concatenation of two packed messages as their merge, so each row is
 * packed as one AnswerRows and appended: a batch is never held twice, and its bytes are
 * final the moment they are written.
 */

/* Limits of one answer, so that no batch passes the 2 MiB of the wire. A longer text fails the
 * sample; a longer prompt, or ids past the limit, are left out of its row. */
enum {
    INFER_ROWS_FLUSH_BYTES = 512 << 10, /* a batch this large goes out */
    INFER_ROWS_BYTES_MAX = 2 << 20,
    INFER_TEXT_BYTES_MAX = 512 << 10, /* answer and reasoning together */
    INFER_PROMPT_BYTES_MAX = 256 << 10,
    INFER_OUTPUT_IDS_MAX = 65536,
    INFER_ROUTING_BYTES_MAX = 256 << 10, /* packed; 61 layers of 256 experts have up to 94 KiB */
};

struct infer_rows {
    struct cap_buf bytes;
    uint32_t answers, completed;
    bool routing_left_out; /* of an answer, ever: it was past its limit */
    bool routing_seen;     /* an answer came with its routing, ever */
};

void infer_rows_init(struct infer_rows *rows);
void infer_rows_done(struct infer_rows *rows);
void infer_rows_answer(struct infer_rows *rows, const struct infer_answer *answer);
void infer_rows_pass(struct infer_rows *rows, const struct infer_pass *pass, int64_t started_us,
                     bool warm_up);
void infer_rows_experts(struct infer_rows *rows, enum infer_phase phase, int layer,
                        uint32_t batch_bucket, const uint64_t *counts, int experts);
/* `at_us` counts from the shard's start. */
void infer_rows_power(struct infer_rows *rows, const struct infer_power_row *row, int64_t at_us);
void infer_rows_report(struct infer_rows *rows, const struct infer_shard_report *report);

/* ---- the machine as a message: for the hello and for a shard's report ---- */

struct infer_hardware_message {
    Moecap__V1__NodeHardware message;
    char *isa[16], *devices[INFER_DEVICES_MAX];
    Moecap__V1__PowerSource power[INFER_POWER_SOURCES_MAX], *power_at[INFER_POWER_SOURCES_MAX];
    Moecap__V1__ComputeRate rates[NATIVE_PRECISION_COUNT], *rate_rows[NATIVE_PRECISION_COUNT];
};

/* Fills *out, whose strings are borrowed from `hardware`; returns its message. */
Moecap__V1__NodeHardware *infer_hardware_to_wire(const struct infer_hardware *hardware,
                                                 struct infer_hardware_message *out);

/* ---- how often the router chose each expert, summed between two batches ----
 *
 * Sums are kept per phase, batch bucket (sequences in the pass rounded up to a power of two), MoE
 * layer and expert, and made only for buckets that occur.
 */

/* Buckets 1, 2, 4, ... 2^20: more sequences in one pass count into the last. */
enum { INFER_EXPERT_BUCKETS = 21, INFER_EXPERT_NO_BUCKET = INFER_EXPERT_BUCKETS };

struct infer_expert_sums {
    int moe_layers, experts;
    int *layer_ids; /* [moe_layers] */
    /* [phase - 1][log2 bucket, or NO_BUCKET]: [moe_layers][experts] */
    uint64_t *of[2][INFER_EXPERT_BUCKETS + 1];
    bool touched[2][INFER_EXPERT_BUCKETS + 1];
};

void infer_expert_sums_done(struct infer_expert_sums *sums); /* {0} has no sums */
/* A pass without expert counts adds nothing. */
void infer_expert_sums_pass(struct infer_expert_sums *sums, const struct infer_pass *pass);
/* A request's experts, of an engine that has no passes to show: nobody knows what else ran with it,
 * so they are counted in a bucket of their own, 0 on the wire. */
void infer_expert_sums_routing(struct infer_expert_sums *sums, const struct infer_routing *routing);
/* Writes the sums since the last flush as rows, and begins again at 0. Calls `full`, which must
 * empty the rows, whenever they have grown to INFER_ROWS_FLUSH_BYTES: of a large model the sums
 * alone can be more than a batch holds. */
void infer_expert_sums_flush(struct infer_expert_sums *sums, struct infer_rows *rows,
                             void (*full)(void *arg), void *arg);

#endif
