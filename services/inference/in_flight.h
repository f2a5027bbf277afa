/* in_flight.h — one request of a shard between its start and its answer. The worker's thread only. */
#ifndef INFER_IN_FLIGHT_H
#define INFER_IN_FLIGHT_H

#include "answer.h"
#include "base/auto.h"
#include "base/buf.h"
#include "job.h"
#include "timing.h"

struct infer_in_flight {
    const struct infer_prompt *prompt;
    struct infer_timing timing;
    struct cap_buf text, reasoning;
    uint32_t *ids;
    size_t id_count, id_capacity;
    int tokens;        /* seen in events */
    bool ids_complete; /* every token came with its id */
};

struct infer_in_flight *infer_in_flight_new(const struct infer_prompt *prompt, int64_t submitted_ns);
void infer_in_flight_free(struct infer_in_flight *flight);
CAP_DEFINE_AUTO(infer_in_flight)

/* Adds an INFER_TOKENS event. False when the answer has become too long to be kept. */
bool infer_in_flight_tokens(struct infer_in_flight *flight, const struct infer_event *event);
/* The answer as it stands at `ended_ns`; borrows from flight. `done` is the INFER_DONE event, or
 * NULL with `error`. Times count from start_ns. */
void infer_in_flight_answer(struct infer_in_flight *flight, const struct infer_event *done,
                         const char *error, int64_t start_ns, int64_t ended_ns,
                         struct infer_answer *out_answer);

#endif
