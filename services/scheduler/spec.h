/* spec.h — an evaluation as the scheduler's logic sees it: plain, with every default filled in.
 *
 * Made from the wire by spec_wire.c into an arena; immutable afterwards.
 */
#ifndef SCHED_SPEC_H
#define SCHED_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sched_spec {
    const char *model, *revision, *engine, *precision;
    const char *hardware, *device; /* description and kind wished for; "" = any */
    int64_t device_count;
    int64_t tensor, pipeline, data, expert; /* parallelism, at least 1 */
    const char *const *tasks;
    size_t task_count;
    bool has_load, open_loop;
    int64_t concurrency; /* closed loop */
    double rate_per_s;   /* open loop */
    int64_t max_tokens;  /* 0 = the task's */
    bool has_temperature, has_top_p, has_fewshot, has_sampling;
    double temperature, top_p, sampling;
    int64_t top_k, num_fewshot, limit, repeats;
    bool ignore_eos;
    uint64_t seed;
    const char *prompt_format; /* "text" or "chat" */
    const char *url, *served_model, *model_config, *api_key_env;
    const char *submitter, *note;
    int64_t priority;
};

#endif
