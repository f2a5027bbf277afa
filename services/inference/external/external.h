/* external.h — servers that the user runs: one client, and a row for each kind in kinds.def.
 *
 * What a server can tell: text, the times at which chunks arrive (boundary "http"), token counts by
 * its `usage`, finish reasons; some also log-likelihoods, load and routing. What it cannot is
 * unknown: forward passes never are seen. Requests are tried again only while no byte of the reply
 * has come: connection failures, 429 and 503, with a pause that doubles, and are counted. A request
 * whose connection breaks later fails alone; LOST_MAX of them in a row and the server is lost.
 */
#ifndef INFER_EXTERNAL_H
#define INFER_EXTERNAL_H

#include "engine.h"

/* The kinds as rows of engine.c; NULL past the end. */
const struct infer_engine_ops *infer_external_ops_at(int index);

#endif
