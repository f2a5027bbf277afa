/* sent.h — what a server sent, before anything of ours relies on it. Pure.
 *
 * A server chooses every byte of a reply. JSON of a few MiB may be parsed into gigabytes, so its
 * values are counted first; words of it are stored and shown, so they are cut to their room as
 * UTF-8 and without control characters, which would move the cursor of whoever reads them.
 */
#ifndef INFER_SENT_H
#define INFER_SENT_H

#include <jansson.h>
#include <stddef.h>

enum { INFER_SENT_VALUES_MAX = 2000000 }; /* some 300 MiB when all are empty lists */

/* NULL when it is no JSON, or of more than INFER_SENT_VALUES_MAX values. Strings may hold NULs. */
json_t *infer_sent_json(const char *text, size_t length);

/* At most room - 1 bytes; '?' for what is no character, a blank for a control character. NULL is
 * "". */
void infer_sent_words(char *out, size_t room, const char *text);

#endif
