/* json_why.h — what jansson says of a text that is not JSON, for those who wrote the text.
 *
 * Two things in its words are not for them: the name of a flag of its own, and the bytes beside the
 * fault, which may be anything that a peer sent. */
#ifndef CAP_JSON_WHY_H
#define CAP_JSON_WHY_H

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* "line 1, column 12: invalid token"; into `out`, which is returned. */
static inline const char *cap_json_why(const json_error_t *error, char *out, size_t room)
{
    const char *text = error->text, *near = strstr(text, " near ");

    if (json_error_code(error) == json_error_null_character)
        text = "a text that holds \\u0000", near = NULL;
    snprintf(out, room, "line %d, column %d: %.*s", error->line, error->column,
             near ? (int)(near - text) : (int)strlen(text), text);
    return out;
}

#endif
