/* What an evaluation asks other than its task would by itself, in words for people.
 *
 * Two runs answer the same question when they take the same samples of the same task and these
 * words are the same. A value that is the task's own, given or left out, has none; nor has a knob
 * that changes nothing: one of sampling where no answer is written. */
#include "spec/spec.h"

#include <stdio.h>
#include <string.h>

static bool is_own(enum cap_knob_id id, const struct cap_knob_value *value,
                   const struct cap_spec_own *own)
{
    const struct cap_knob *knob = &cap_knobs[id];

    if (!value->is_set || (knob->group == CAP_GROUP_GENERATION && !own->generates) ||
        (own->whole && (id == CAP_KNOB_limit || id == CAP_KNOB_sampling)))
        return true;
    if (knob->kind == CAP_KNOB_WHOLE)
        return (double)value->whole == own->number[id];
    if (knob->kind == CAP_KNOB_REAL)
        return value->real == own->number[id];
    return knob->preset && strcmp(value->text, knob->preset) == 0;
}

void cap_spec_setting(const Moecap__V1__EvaluationSpec *spec, const struct cap_spec_own *own,
                      struct cap_buf *out)
{
    size_t before = out->length;

    for (int i = 0; i < CAP_KNOB_COUNT; i++) {
        const char *words = cap_knobs[i].setting, *at = words ? strstr(words, "%s") : NULL;
        struct cap_knob_value value = cap_spec_get(spec, (enum cap_knob_id)i);
        char number[32];

        if (!words || is_own((enum cap_knob_id)i, &value, own))
            continue;
        if (cap_knobs[i].kind == CAP_KNOB_REAL)
            snprintf(number, sizeof number, "%.7g", value.real);
        else
            snprintf(number, sizeof number, "%lld", (long long)value.whole);
        if (out->length > before)
            cap_buf_add_char(out, '\n');
        if (!at)
            cap_buf_add_str(out, words);
        else
            cap_buf_printf(out, "%.*s%s%s", (int)(at - words), words,
                           *value.text ? value.text : number, at + 2);
    }
}
