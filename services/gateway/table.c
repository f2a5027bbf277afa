#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"
#include "wire/json.h"

enum { CSV_BYTES_MAX = 256 << 20, LINK_BYTES_MAX = 16 << 10, ITEMS_MAX = 1024 };

/* ---- cells ---- */

static void add_text(struct cap_buf *out, const char *text)
{
    bool formula = *text && strchr("=+-@\t\r", *text),
         quoted = formula || strpbrk(text, ",\"\r\n") || *text == ' ';

    if (!quoted) {
        cap_buf_add_str(out, text);
        return;
    }
    cap_buf_add_str(out, formula ? "\"'" : "\"");
    for (; *text; text++) {
        if (*text == '"')
            cap_buf_add_char(out, '"');
        cap_buf_add_char(out, *text);
    }
    cap_buf_add_char(out, '"');
}

/* As short as it can be without becoming another number. */
static void add_real(struct cap_buf *out, double value)
{
    char text[32];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    cap_buf_add_str(out, text);
}

static void add_cell(struct cap_buf *out, const json_t *value)
{
    CAP_AUTO_MEM char *text = NULL;

    if (!value || json_is_null(value))
        return;
    if (json_is_string(value))
        add_text(out, json_string_value(value));
    else if (json_is_real(value))
        add_real(out, json_real_value(value));
    else if (json_is_integer(value))
        cap_buf_printf(out, "%lld", (long long)json_integer_value(value));
    else if ((text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY)))
        add_text(out, text);
}

static const json_t *member(const json_t *row, const char *path)
{
    for (;;) {
        size_t length = strcspn(path, ".");
        const json_t *value = json_object_getn(row, path, length);

        if (!value || !path[length])
            return value;
        row = value;
        path += length + 1;
    }
}

static void add_column(struct cap_buf *out, const json_t *row, const struct gate_column *column)
{
    if (!column->unless || !json_is_true(member(row, column->unless)))
        add_cell(out, member(row, column->path));
}

/* ---- groups: the items that become columns ---- */

struct items {
    const char *names[ITEMS_MAX];
    size_t count;
};

static void add_item(struct items *items, const char *name)
{
    for (size_t i = 0; i < items->count; i++)
        if (strcmp(items->names[i], name) == 0)
            return;
    if (items->count < ITEMS_MAX)
        items->names[items->count++] = name;
}

/* In the order in which the rows name them. */
static void items_of_rows(const struct gate_group *group, const json_t *rows, struct items *out)
{
    size_t r, i;
    json_t *row, *item;

    json_array_foreach((json_t *)rows, r, row)
        json_array_foreach(json_object_get(row, group->list), i, item)
            add_item(out, json_string_value(json_object_get(item, group->key)));
}

/* The item of that name; of several, as of grader versions, the last. */
static const json_t *item_named(const struct gate_group *group, const json_t *row, const char *name)
{
    const json_t *list = json_object_get(row, group->list);

    for (size_t i = json_array_size(list); i > 0; i--)
        if (strcmp(json_string_value(json_object_get(json_array_get(list, i - 1), group->key)),
                   name) == 0)
            return json_array_get(list, i - 1);
    return NULL;
}

static void add_group(struct cap_buf *out, const struct gate_group *group, const json_t *row,
                      const struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        const json_t *item = item_named(group, row, items->names[i]);

        for (const struct gate_column *column = group->columns; column->name; column++) {
            cap_buf_add_char(out, ',');
            if (item)
                add_column(out, item, column);
        }
    }
}

static void add_head(struct cap_buf *out, const struct gate_table *table, const struct items *items)
{
    char name[256];

    for (size_t i = 0; i < table->column_count; i++)
        cap_buf_printf(out, i ? ",%s" : "%s", table->columns[i].name);
    for (size_t i = 0; i < items->count; i++)
        for (const struct gate_column *column = table->group->columns; column->name; column++) {
            snprintf(name, sizeof name, "%.200s%s", items->names[i], column->name);
            cap_buf_add_char(out, ',');
            add_text(out, name);
        }
    cap_buf_add_str(out, "\r\n");
}

void gate_table_csv(const struct gate_table *table, const json_t *reply, const char *wanted,
                    struct cap_buf *out)
{
    const json_t *rows = json_object_get(reply, table->rows);
    CAP_AUTO_MEM char *list = strdup(wanted);
    char *rest = list, *name;
    struct items items = {.count = 0};
    size_t r;
    json_t *row;

    while (*wanted && (name = strsep(&rest, ";")))
        add_item(&items, name);
    if (!*wanted && table->group)
        items_of_rows(table->group, rows, &items);
    add_head(out, table, &items);
    json_array_foreach((json_t *)rows, r, row)
    {
        for (size_t i = 0; i < table->column_count; i++) {
            if (i > 0)
                cap_buf_add_char(out, ',');
            add_column(out, row, &table->columns[i]);
        }
        if (table->group)
            add_group(out, table->group, row, &items);
        cap_buf_add_str(out, "\r\n");
    }
}

/* ---- the reply ---- */

static void add_escaped(struct cap_buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text; text++)
        if (strchr(plain, *text))
            cap_buf_add_char(out, *text);
        else
            cap_buf_printf(out, "%%%02X", (unsigned char)*text);
}

static bool add_other_parameter(void *arg, const char *name, const char *value, size_t length)
{
    struct cap_buf *link = arg;

    (void)length;
    if (strcmp(name, "after") == 0)
        return true;
    add_escaped(link, name);
    cap_buf_add_char(link, '=');
    add_escaped(link, value);
    cap_buf_add_char(link, '&');
    return true;
}

/* The same request with the next place, for those whose body has no room for it. */
static void link_next(struct cap_http_request *http, const ProtobufCMessage *reply)
{
    CAP_AUTO_BUF(link, LINK_BYTES_MAX);
    CAP_AUTO_BUF(place, LINK_BYTES_MAX);

    if (!cap_wire_write_field(reply, "next_after", &place))
        return;
    cap_buf_printf(&link, "<%s?", cap_http_path(http));
    cap_http_query_each(http, add_other_parameter, &link);
    cap_buf_add_str(&link, "after=");
    add_escaped(&link, place.data);
    cap_buf_add_str(&link, ">; rel=\"next\"");
    if (!link.overflowed)
        cap_http_reply_header(http, "Link", link.data);
}

static void reply_csv(struct cap_http_request *http, const struct gate_table *table,
                      const char *wanted, const json_t *json)
{
    CAP_AUTO_BUF(text, CSV_BYTES_MAX);
    char disposition[96];

    gate_table_csv(table, json, wanted, &text);
    snprintf(disposition, sizeof disposition, "attachment; filename=\"moecap-%s.csv\"",
             table->name);
    cap_http_reply_header(http, "Content-Disposition", disposition);
    gate_reply_made(http, 200, "text/csv; charset=utf-8; header=present", &text);
}

void gate_reply_table(struct cap_http_request *http, const struct gate_table *table,
                      const char *wanted, const ProtobufCMessage *reply)
{
    json_t *json;

    link_next(http, reply);
    if (strcmp(gate_query_text(http, "format"), "csv") != 0) {
        gate_reply_message(http, 200, reply);
        return;
    }
    json = cap_wire_to_json(reply);
    reply_csv(http, table, wanted, json);
    json_decref(json);
}
