/* moecap-tables: the tables of lib/spec, lib/words and the enums of the wire as one JSON object, in
 * the form of a TypeScript module. `tools/generate-docs.sh` writes it to web/src/lib/tables.ts,
 * from which the page makes its form and its types, and tools/openapi/generate.py the limits in
 * docs/openapi.json.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "hardware/hardware.h"
#include "moecap/v1/common.rpc.h"
#include "moecap/v1/evaluator.rpc.h"
#include "spec/spec.h"
#include "words/words.h"

static json_t *words_json(struct cap_words words)
{
    json_t *list = json_array();

    for (size_t i = 0; i < words.count; i++)
        json_array_append_new(list, json_string(words.items[i]));
    return list;
}

static json_t *enum_json(const char *const *words)
{
    size_t count = 0;

    while (words[count])
        count++;
    return words_json((struct cap_words){words, count});
}

static json_t *engines_json(void)
{
    struct cap_words words = cap_engine_words();
    json_t *list = json_array();

    for (size_t i = 0; i < words.count; i++) {
        const struct cap_engine *engine = cap_engine_find(words.items[i]);

        json_array_append_new(list, json_pack("{s:s,s:b,s:b,s:s}", "word", engine->word, "server",
                                              engine->server, "started", engine->started, "about",
                                              engine->about));
    }
    return list;
}

static json_t *devices_json(void)
{
    size_t count;
    const struct cap_device *devices = cap_hardware_devices(&count);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(devices[i].name));
    return list;
}

/* "1 to 4096", "above 0, up to 1"; a text's limit is not worth saying. */
static json_t *range_json(const struct cap_knob *knob)
{
    if (knob->kind == CAP_KNOB_WHOLE)
        return json_sprintf("%lld to %lld", (long long)knob->min, (long long)knob->max);
    if (knob->kind == CAP_KNOB_REAL && knob->above_low)
        return json_sprintf("above %.7g, up to %.7g", knob->low, knob->high);
    if (knob->kind == CAP_KNOB_REAL)
        return json_sprintf("%.7g to %.7g", knob->low, knob->high);
    return NULL;
}

static void add_text(json_t *row, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(row, key, json_string(text));
}

static void add_limits(json_t *row, const struct cap_knob *knob)
{
    json_t *range = range_json(knob);

    if (range)
        json_object_set_new(row, "range", range);
    if (knob->kind == CAP_KNOB_REAL) {
        json_object_set_new(row, "low", json_real(knob->low));
        json_object_set_new(row, "high", json_real(knob->high));
        if (knob->above_low)
            json_object_set_new(row, "above_low", json_true());
    } else if (knob->kind != CAP_KNOB_SWITCH) {
        json_object_set_new(row, "min", json_integer(knob->min));
        json_object_set_new(row, "max", json_integer(knob->max));
    }
}

static json_t *knob_json(enum cap_knob_id id)
{
    static const Moecap__V1__EvaluationSpec none = MOECAP__V1__EVALUATION_SPEC__INIT;
    const struct cap_knob *knob = &cap_knobs[id];
    json_t *row = json_object();
    char one[2] = {(char)('0' + knob->preset_in_hash), '\0'};

    add_text(row, "id", knob->id);
    add_text(row, "path", knob->path);
    add_text(row, "kind", cap_knob_kind_word(knob->kind));
    add_text(row, "flag", knob->flag);
    add_text(row, "label", knob->label);
    add_text(row, "help", knob->help);
    add_text(row, "unset", knob->unset);
    add_text(row, "group", cap_knob_group_title(knob->group));
    add_text(row, "unit", knob->unit);
    add_text(row, "example", knob->example);
    add_text(row, "when", cap_knob_when_word(knob->when));
    add_text(row, "preset", knob->preset_in_hash ? one : knob->preset);
    add_limits(row, knob);
    if (knob->words) {
        json_object_set_new(row, "words", words_json(knob->words()));
        add_text(row, "words_when", cap_knob_when_word(knob->words_when));
    }
    if (cap_spec_get(&none, id).tells_zero)
        json_object_set_new(row, "tells_zero", json_true());
    json_object_set_new(row, "hashed", json_boolean(knob->hash != CAP_NOT_HASHED));
    return row;
}

/* A row a line, so that a change of the table is a change of its line. */
static void print_table(const char *name, json_t *rows, bool is_last)
{
    const json_t *row;
    size_t i;

    printf(" \"%s\": [\n", name);
    json_array_foreach(rows, i, row)
    {
        CAP_AUTO_MEM char *text = json_dumps(row, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));

        printf("  %s%s\n", text, i + 1 < json_array_size(rows) ? "," : "");
    }
    printf(" ]%s\n", is_last ? "" : ",");
    json_decref(rows);
}

int main(void)
{
    json_t *knobs = json_array(), *groups = json_array();

    for (int i = 0; i < CAP_KNOB_COUNT; i++)
        json_array_append_new(knobs, knob_json((enum cap_knob_id)i));
    for (int i = 0; i < CAP_GROUP_COUNT; i++)
        json_array_append_new(groups, json_string(cap_knob_group_title((enum cap_knob_group)i)));
    printf("// Made from the tables by `tools/generate-docs.sh`; do not edit.\n"
           "export const tables = {\n");
    print_table("run_states", enum_json(run_state_words), false);
    print_table("phases", enum_json(phase_words), false);
    print_table("verdict_kinds", enum_json(verdict_kind_words), false);
    print_table("precisions", words_json(cap_precision_words()), false);
    print_table("devices", devices_json(), false);
    print_table("engines", engines_json(), false);
    print_table("figures", words_json(cap_figure_words()), false);
    print_table("groups", groups, false);
    print_table("knobs", knobs, true);
    printf("} as const;\n");
    return 0;
}
