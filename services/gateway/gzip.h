/* gzip.h — replies packed for those who take it. Any thread. */
#ifndef GATE_GZIP_H
#define GATE_GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Whether an Accept-Encoding header (NULL: none) takes gzip. */
bool gate_takes_gzip(const char *accept_encoding);

/* At most 4 GiB of text, packed into the empty `out`; false when out's limit is less: send the text
 * as it is. */
bool gate_gzip(const char *text, size_t length, struct cap_buf *out);

#endif
