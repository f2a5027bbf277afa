/* fixture.h — what the tests of the native engine share: golden checkpoints, copies of them with
 * something changed, and a session run to its end. */
#ifndef TEST_NATIVE_FIXTURE_H
#define TEST_NATIVE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "native/inside.h"
#include "native/session.h"

struct golden {
    char dir[512];
    int32_t tokens[64];
    int count, vocab;
    float *logits; /* [count][vocab] */
    double logits_std;
    json_t *expected;
};

void golden_open(struct golden *g, const char *name);
void golden_close(struct golden *g);

/* A new folder under the test's scratch that holds the golden checkpoint; config.json has the keys
 * of `changes` (JSON text, may be NULL) replaced. Returns its path, valid until the next call. */
const char *golden_copy(const char *name, const char *changes);
/* Overwrites bytes of the copy's tensor data: `offset` numbers of 2 bytes into the named tensor. */
void golden_poke(const char *dir, const char *tensor, size_t offset, uint16_t bits);

/* The pass of a step: its first event. */
static inline const struct infer_pass *pass_of(const struct native_step *step)
{
    assert_int_equal(step->events[0].kind, INFER_PASS);
    return &step->events[0].pass;
}

struct native_model *model_open(const char *dir, enum native_precision precision, const char *isa);
/* Calls `test` for each ISA level of this machine; the others are skipped aloud. */
void each_isa(void (*test)(const char *isa));

/* The next `count` greedy tokens after a prompt, alone in a session of its own. */
void greedy_alone(struct native_model *model, const int32_t *prompt, int prompt_count, int count,
                  int32_t *out);

#endif
