/* notes.h — what a reader of a run must know about the server that it ran on.
 *
 * Counted while a shard runs, turned into sentences for its report. The worker's thread only.
 */
#ifndef INFER_NOTES_H
#define INFER_NOTES_H

#include <stdint.h>

#include "external/call.h"
#include "external/declared.h"

enum { INFER_NOTES_MAX = 16, INFER_NOTE_BYTES = 240 };

struct infer_notes {
    /* of the shard's answers */
    int answers, without_usage, other_length;
    int64_t prompt_tokens, cached_tokens;
    /* sentences */
    int count;
    const char *list[INFER_NOTES_MAX];
    char texts[INFER_NOTES_MAX][INFER_NOTE_BYTES];
};

/* A shard begins. */
void infer_notes_begin(struct infer_notes *notes);
/* A call has been answered. */
void infer_notes_answer(struct infer_notes *notes, const struct infer_call *call);
/* Makes the sentences anew. */
void infer_notes_write(struct infer_notes *notes, const struct infer_server *server,
                       const struct infer_declared *declared);
/* One more; past INFER_NOTES_MAX it is left out. */
void infer_notes_add(struct infer_notes *notes, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
