/* Passwords in what libpq takes, hidden: "scheme://user:PASSWORD@host/db?password=PASSWORD" and
 * "host=h password='PASSWORD'". Generous: what merely looks like one is hidden, too. */
#include <string.h>

#include "config/config.h"

static const char hidden[] = "***";

static bool is_uri(const char *text)
{
    return strstr(text, "://") != NULL;
}

/* The credentials' password: from the first ':' to the last '@' before the path. */
static const char *copy_credentials(const char *text, struct cap_buf *out)
{
    const char *begin = strstr(text, "://") + 3, *end = begin + strcspn(begin, "/"), *at = end;
    size_t user = strcspn(begin, ":@");

    while (at > begin && *at != '@')
        at--;
    if (*at != '@' || begin[user] != ':') {
        cap_buf_add(out, text, (size_t)(begin - text));
        return begin;
    }
    cap_buf_printf(out, "%.*s:%s", (int)(begin + user - text), text, hidden);
    return at;
}

/* Bytes of a value: a URI's end at '&', a list's at a blank, unless they are in quotes. */
static size_t value_length(const char *value, bool uri)
{
    size_t n = 1;

    if (*value == '\0')
        return 0;
    if (uri)
        return strcspn(value, "&#");
    if (*value != '\'')
        return strcspn(value, " \t\r\n");
    while (value[n] && value[n] != '\'')
        n += value[n] == '\\' && value[n + 1] ? 2 : 1;
    return n + (value[n] == '\'');
}

static void copy_hiding_values(const char *text, bool uri, struct cap_buf *out)
{
    static const char key[] = "password";
    const char *value;

    while ((value = strstr(text, key)) != NULL) {
        value += strlen(key);
        value += strspn(value, " \t");
        if (*value == '=') {
            value += 1 + strspn(value + 1, " \t");
            cap_buf_add(out, text, (size_t)(value - text));
            cap_buf_add_str(out, hidden);
            value += value_length(value, uri);
        } else {
            cap_buf_add(out, text, (size_t)(value - text));
        }
        text = value;
    }
    cap_buf_add_str(out, text);
}

void cap_config_shown(const struct cap_config_row *row, const void *values, struct cap_buf *out)
{
    const char *text;

    if (row->type != CAP_CONFIG_str || strcmp(row->unit, "URI") != 0) {
        cap_config_value(row, values, out);
        return;
    }
    text = *(const char *const *)((const char *)values + row->offset);
    copy_hiding_values(is_uri(text) ? copy_credentials(text, out) : text, is_uri(text), out);
}
