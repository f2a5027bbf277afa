/* external.h — servers that the user runs: one client, and a row for each kind in kinds.def.
 *
 * What a server can tell: text, the times at which chunks arrive (boundary "http"), token counts by
 * its `usage`, finish reasons; some also log-likelihoods, load and routing. What it cannot is
 * unknown: forward passes never are seen. When a request is sent again, fails alone, or makes the
 * server count as lost is told in call.c.
 */
#ifndef INFER_EXTERNAL_H
#define INFER_EXTERNAL_H

#include "engine.h"

/* NULL when there is no such kind. */
const struct infer_engine_ops *infer_external_find(const char *kind);
/* The kinds as rows of engine.c; NULL past the end. */
const struct infer_engine_ops *infer_external_ops_at(int index);

#endif
