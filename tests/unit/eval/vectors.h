/* vectors.h — JSONL files of vectors: ours in tests/golden, others' where MOECAP_SHARED says. */
#ifndef EVAL_TEST_VECTORS_H
#define EVAL_TEST_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static inline const char *source_dir(void)
{
    const char *dir = getenv("MOECAP_SOURCE_DIR");

    return dir ? dir : ".";
}

static inline json_t *load_rows(const char *path)
{
    FILE *file = fopen(path, "r");
    json_t *rows = json_array();
    char *line = NULL;
    size_t room = 0;

    if (!file) {
        json_decref(rows);
        return NULL;
    }
    while (getline(&line, &room, file) > 0)
        json_array_append_new(rows, json_loads(line, JSON_ALLOW_NUL, NULL));
    free(line);
    fclose(file);
    return rows;
}

/* Rows of a file of ours; there must be some. */
static inline json_t *load_golden(const char *name)
{
    char path[8192];
    json_t *rows;

    snprintf(path, sizeof path, "%s/tests/golden/graders/%s", source_dir(), name);
    rows = load_rows(path);
    assert_non_null(rows);
    assert_true(json_array_size(rows) > 0);
    return rows;
}

/* Rows of a file that is not in the repository; skips the test aloud without it. */
static inline json_t *load_shared(const char *name)
{
    const char *shared = getenv("MOECAP_SHARED");
    char path[8192], beside[4096];
    json_t *rows;

    snprintf(beside, sizeof beside, "%s/../shared", source_dir());
    snprintf(path, sizeof path, "%s/data/graders/%s", shared ? shared : beside, name);
    rows = load_rows(path);
    if (!rows) {
        printf("skip: %s not found; set MOECAP_SHARED\n", path);
        skip();
    }
    return rows;
}

static inline const char *text_at(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

#endif
