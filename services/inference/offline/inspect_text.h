/* inspect_text.h — what `model inspect` found, as text for people. */
#ifndef INFER_INSPECT_TEXT_H
#define INFER_INSPECT_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* `found` is the object that --json prints. */
void infer_inspect_print(const json_t *found, FILE *out);

#endif
