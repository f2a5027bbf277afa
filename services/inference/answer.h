/* answer.h — what a node reports about a shard, as plain structs; rows_wire.c packs them.
 *
 * Times are microseconds since the shard's clock started; -1 = unknown. Token counts: -1 = unknown.
 * Everything is borrowed from whoever fills it in; nothing here owns memory.
 */
#ifndef INFER_ANSWER_H
#define INFER_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

struct infer_answer {
    uint32_t ordinal;
    const char *uid;
    const char *error;  /* NULL = completed */
    const char *prompt; /* the text the model saw; NULL = unknown */
    const char *text, *reasoning;
    const char *finish_reason;
    int prompt_tokens, output_tokens, cached_tokens;
    const uint32_t *output_ids;
    size_t output_id_count;
    const struct infer_score *scores;
    int score_count;
    int64_t submitted_us, first_us, last_us, ended_us;
    const uint32_t *itl_us;
    size_t itl_count;
    const struct infer_routing *routing; /* NULL = unknown */
};

struct infer_hardware {
    char cpu[128], kernel[96], governor[32];
    int cores;
    uint64_t memory_bytes;
    const char *isa[16]; /* literals */
    int isa_count;
    double read_bandwidth_gb_s; /* 0 = not probed */
};

struct infer_shard_report {
    const struct infer_engine_report *engine;
    const struct infer_hardware *hardware;
    const char *model_sha256;
    int64_t started_wall_ms, ended_us;
    double load_average; /* negative = unknown */
    int retries;         /* requests sent again before their first byte */
    const char *const *notes;
    int note_count;
    const char *routing_unknown; /* why answers have no routing; NULL = they have */
};

#endif
