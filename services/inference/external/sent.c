#include "external/sent.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Every value but the first of a list stands behind a comma, and every first one behind a bracket
 * or a brace. */
static size_t count_values(const char *text, size_t length)
{
    size_t count = 1;
    bool quoted = false;

    for (size_t i = 0; i < length; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted)
            count += text[i] == ',' || text[i] == '[' || text[i] == '{';
    }
    return count;
}

json_t *infer_sent_json(const char *text, size_t length)
{
    if (count_values(text, length) > INFER_SENT_VALUES_MAX)
        return NULL;
    return json_loadb(text, length, JSON_ALLOW_NUL, NULL);
}

/* Length of the control character at `at`; 0 = it is none. U+0080 to U+009F are controls, too. */
static size_t control_length(const char *at)
{
    unsigned char first = (unsigned char)at[0], second = first ? (unsigned char)at[1] : 0;

    if (first == 0xc2 && second >= 0x80 && second < 0xa0)
        return 2;
    return first < 0x20 || first == 0x7f;
}

void infer_sent_words(char *out, size_t room, const char *text)
{
    char *to = out;

    snprintf(out, room, "%s", text ? text : "");
    cap_utf8_tidy(out);
    for (const char *from = out; *from;) {
        size_t length = control_length(from);

        *to++ = length ? ' ' : *from;
        from += length ? length : 1;
    }
    *to = '\0';
}
