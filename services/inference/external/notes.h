/* notes.h — what a reader of a run must know about the server that it ran on.
 *
 * Counted while a shard runs, turned into sentences for its report. The worker's thread only.
 */
#ifndef INFER_NOTES_H
#define INFER_NOTES_H

#include <stdint.h>

#include "external/declared.h"
#include "external/reply.h"
#include "external/server.h"

/* ---- the server's own counters ----
 *
 * Prometheus text, read once a second at most while a shard runs. What is kept are extremes and
 * differences of a few series; a series that is missing is unknown, not 0. Several label sets of a
 * name are summed, but of a share the largest is taken. */

struct infer_scrape {
    int samples;
    double running_max, waiting_max, kv_share_max; /* NAN = unknown */
    double cached_first, cached_last, preempted_first, preempted_last;
};

void infer_scrape_begin(struct infer_scrape *scrape);
/* NUL-terminated text. */
void infer_scrape_take(struct infer_scrape *scrape, const struct infer_series *series,
                       const char *text);
/* As a sentence; false when nothing was seen. */
bool infer_scrape_tell(const struct infer_scrape *scrape, char *out, size_t room);

/* The value of a series in Prometheus text; NAN when it is not there. */
double infer_scrape_value(const char *text, const char *name, bool largest);

/* ---- notes ---- */

enum { INFER_NOTES_MAX = 16, INFER_NOTE_BYTES = 240 };

struct infer_notes {
    /* of the shard's answers */
    int answers, without_usage, without_reason, other_length;
    int impossible; /* their counts cannot be; the first time because: */
    char why_impossible[INFER_NOTE_BYTES];
    int unmarked; /* streams that ended without the mark that servers of this kind send */
    int64_t prompt_tokens, cached_tokens;
    /* sentences */
    int count;
    const char *list[INFER_NOTES_MAX];
    char texts[INFER_NOTES_MAX][INFER_NOTE_BYTES];
};

/* A shard begins. */
void infer_notes_begin(struct infer_notes *notes);
/* A request has been answered, with these counts. `impossible` says why the server's own could not
 * be; NULL = they could. */
void infer_notes_answer(struct infer_notes *notes, const struct infer_request *request,
                        const struct infer_counts *counts, bool has_reason, const char *impossible);
/* Makes the sentences. */
void infer_notes_write(struct infer_notes *notes, const struct infer_server *server,
                       const struct infer_declared *declared);
/* Why token counts of answers are unknown, as a sentence in out; false when all are known. */
bool infer_notes_counts_unknown(const struct infer_notes *notes, char *out, size_t room);
/* One more; past INFER_NOTES_MAX it is left out. */
void infer_notes_add(struct infer_notes *notes, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
