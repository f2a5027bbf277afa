/* The config hash of every specification stays what it was: results of the same configuration meet
 * by it, in state folders of any age.
 *
 * tests/golden/spec/specifications.jsonl has a line for each specification, as a client writes it,
 * with the canonical form and the hash that commit 8aaa9f4 made of it. A line is never edited; a new
 * knob must leave all of them as they are, and comes with lines of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/auto.h"
#include "digest/digest.h"
#include "spec/spec.h"

enum { SPECIFICATIONS_MIN = 75, ARENA_BYTES = 8 << 20 };

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));

    assert_non_null(text);
    return text;
}

/* What Submit does between the request and the hash. */
static const char *canonical_of(const json_t *line, struct cap_arena *arena)
{
    struct cap_spec_faults faults = {.count = 0};
    struct cap_err err = {0};
    Moecap__V1__EvaluationSpec *spec =
        cap_spec_from_json(json_object_get(line, "spec"), arena, &faults);

    assert_non_null(spec);
    assert_int_equal(faults.count, 0);
    assert_true(cap_spec_fill(spec, arena));
    return cap_spec_canonical(spec, arena, &err);
}

static bool is_as_before(const json_t *line)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES);
    const char *name = text_of(line, "name"), *canonical = canonical_of(line, arena);
    char hash[CAP_SHA256_HEX_BYTES];

    assert_non_null(canonical);
    cap_sha256_hex(canonical, strlen(canonical), hash);
    if (strcmp(canonical, text_of(line, "canonical")) == 0 &&
        strcmp(hash, text_of(line, "config_hash")) == 0)
        return true;
    print_error("%s:\n  is  %s\n  was %s\n", name, canonical, text_of(line, "canonical"));
    return false;
}

static void every_specification_keeps_its_canonical_form_and_its_hash(void **state)
{
    int lines = 0, changed = 0;
    CAP_AUTO_MEM char *text = NULL;
    size_t room = 0;
    char path[512];
    FILE *file;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/golden/spec/specifications.jsonl",
             getenv("MOECAP_SOURCE_DIR"));
    assert_non_null(file = fopen(path, "r"));
    while (getline(&text, &room, file) > 0) {
        json_t *line = json_loads(text, 0, NULL);

        assert_non_null(line);
        changed += !is_as_before(line);
        lines++;
        json_decref(line);
    }
    fclose(file);
    assert_true(lines >= SPECIFICATIONS_MIN);
    assert_int_equal(changed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_specification_keeps_its_canonical_form_and_its_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
