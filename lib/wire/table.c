/* A table is data: its fixed columns, and a group whose items become columns. The header needs the
 * names of all items, and rows come page by page, so the pages are read twice when the names are
 * not known: the first pass collects what the second writes. Cells guard against spreadsheets that
 * would run a text as a formula, also when it begins with characters that nobody sees. */
#include "wire/table.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

enum { ITEMS_MAX = 1024, PASSES_MAX = 5 };
#define LIST_SIGN "[]"

static const struct cap_table_column board_columns[] = {
    {"run_id", "run_id"},
    {"evaluation_id", "evaluation_id"},
    {"task", "task"},
    {"repeat", "repeat"},
    {"state", "state"},
    {"reason", "reason"},
    {"node", "node"},
    {"model", "spec.model"},
    {"revision", "spec.revision"},
    {"engine", "spec.engine"},
    {"precision", "spec.precision"},
    {"hardware", "spec.hardware.description"},
    {"tensor_parallel", "spec.parallelism.tensor"},
    {"pipeline_parallel", "spec.parallelism.pipeline"},
    {"data_parallel", "spec.parallelism.data"},
    {"expert_parallel", "spec.parallelism.expert"},
    {"concurrency", "spec.load.concurrency"},
    {"rate_per_s", "spec.load.rate_per_s"},
    {"max_tokens", "spec.generation.max_tokens"},
    {"temperature", "spec.generation.temperature"},
    {"num_fewshot", "spec.num_fewshot"},
    {"limit", "spec.limit"},
    {"sampling", "spec.sampling"},
    {"seed", "spec.seed"},
    {"prompt_format", "spec.prompt_format"},
    {"submitter", "spec.submitter"},
    {"note", "spec.note"},
    {"queued_at_ms", "queued_at_ms"},
    {"ended_at_ms", "ended_at_ms"},
    {"config_hash", "config_hash"},
    {"engine_version", "report.engine_version"},
    {"timing_boundary", "timing_boundary"},
    {"isa", "report.isa"},
    {"threads", "report.threads"},
    {"cpu", "report.hardware.cpu"},
    {"devices", "report.hardware.devices"},
    {"load_average", "report.load_average"},
    {"model_sha256", "report.model_sha256"},
    {"model_family", "report.model_family"},
    {"moe_layers", "report.moe_layers"},
    {"experts", "report.experts"},
    {"top_k", "report.top_k"},
    {"parameters", "report.parameters"},
    {"active_parameters", "report.active_parameters"},
    {"setting", "setting[]"},
    {"question", "question"},
    {"samples_total", "samples_total"},
    {"task_samples", "task_samples"},
    {"marks", "marks[].id"},
    {"headline_metric", "headline_metric"},
};

/* A figure beyond its physical limit is never shown as a result: its reason stands alone. */
static const struct cap_table_group figures = {"figures",
                                               "id",
                                               {{"", "value", "invalid"},
                                                {"_low", "low", "invalid"},
                                                {"_high", "high", "invalid"},
                                                {"_basis", "basis", NULL},
                                                {"_reason", "reason", NULL}}};

const struct cap_table cap_board_table = {"board", "rows", board_columns,
                                          CAP_COUNT_OF(board_columns), &figures};

/* ---- cells ---- */

/* Bytes of the first character, when it has no width or is a blank: a spreadsheet looks past
 * it. 0 when it is something else. */
static size_t invisible(const char *text)
{
    static const char *const characters[] = {" ",
                                             "\t",
                                             "\r",
                                             "\n",
                                             "\v",
                                             "\f",
                                             "\xc2\xa0",
                                             "\xc2\xad",
                                             "\xe1\x9a\x80",
                                             "\xe2\x80\xa8",
                                             "\xe2\x80\xa9",
                                             "\xe2\x80\xaf",
                                             "\xe2\x81\x9f",
                                             "\xe2\x81\xa0",
                                             "\xe3\x80\x80",
                                             "\xef\xbb\xbf",
                                             "\xd8\x9c"};

    for (size_t i = 0; i < CAP_COUNT_OF(characters); i++)
        if (strncmp(text, characters[i], strlen(characters[i])) == 0)
            return strlen(characters[i]);
    /* U+2000 to U+200F: blanks of other widths, zero width, marks of direction */
    if (strncmp(text, "\xe2\x80", 2) == 0 && (unsigned char)text[2] <= 0x8f)
        return 3;
    return (unsigned char)*text < ' ' && *text ? 1 : 0;
}

static bool is_formula(const char *text)
{
    static const char *const signs[] = {"=",
                                        "+",
                                        "-",
                                        "@",
                                        "\xef\xbc\x9d",
                                        "\xef\xbc\x8b", /* full width */
                                        "\xef\xbc\x8d",
                                        "\xef\xbc\xa0"};

    if (*text && strchr("\t\r\n", *text))
        return true;
    for (size_t bytes; (bytes = invisible(text)) > 0;)
        text += bytes;
    for (size_t i = 0; i < CAP_COUNT_OF(signs); i++)
        if (strncmp(text, signs[i], strlen(signs[i])) == 0)
            return true;
    return false;
}

static void add_text(struct cap_buf *out, const char *text)
{
    bool formula = is_formula(text), quoted = formula || strpbrk(text, ",\"\r\n") || *text == ' ';

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

/* "list[].word": the words of a list in one cell. */
static void add_words(struct cap_buf *out, const json_t *row, const char *path,
                      const char *brackets)
{
    CAP_AUTO_BUF(words, SIZE_MAX);
    size_t i;
    json_t *item, *list = json_object_getn(row, path, (size_t)(brackets - path));

    json_array_foreach(list, i, item)
    {
        const char *name = brackets + strlen(LIST_SIGN);
        const char *word = json_string_value(*name == '.' ? member(item, name + 1) : item);

        cap_buf_printf(&words, i ? "; %s" : "%s", word ? word : "");
    }
    add_text(out, words.length ? words.data : "");
}

static void add_column(struct cap_buf *out, const json_t *row,
                       const struct cap_table_column *column)
{
    const char *brackets = strstr(column->path, LIST_SIGN);

    if (brackets)
        add_words(out, row, column->path, brackets);
    else if (!column->unless || !json_is_true(member(row, column->unless)))
        add_cell(out, member(row, column->path));
}

/* ---- items that become columns ---- */

struct items {
    char *names[ITEMS_MAX];
    size_t count;
};

static void items_done(struct items *items)
{
    for (size_t i = 0; i < items->count; i++)
        free(items->names[i]);
}

static void add_item(struct items *items, const char *name)
{
    for (size_t i = 0; i < items->count; i++)
        if (strcmp(items->names[i], name) == 0)
            return;
    if (items->count == ITEMS_MAX)
        return;
    if (!(items->names[items->count++] = strdup(name)))
        abort();
}

static void collect(const struct cap_table *table, const json_t *reply, struct items *items)
{
    size_t r, i;
    json_t *row, *item;

    json_array_foreach(json_object_get(reply, table->rows), r, row)
    {
        json_array_foreach(json_object_get(row, table->group->list), i, item)
        {
            add_item(items, json_string_value(json_object_get(item, table->group->key)));
        }
    }
}

/* The item of that name; of several, as of grader versions, the last. */
static const json_t *item_named(const struct cap_table_group *group, const json_t *row,
                                const char *name)
{
    const json_t *list = json_object_get(row, group->list);

    for (size_t i = json_array_size(list); i > 0; i--)
        if (strcmp(json_string_value(json_object_get(json_array_get(list, i - 1), group->key)),
                   name) == 0)
            return json_array_get(list, i - 1);
    return NULL;
}

static void add_group(struct cap_buf *out, const struct cap_table_group *group, const json_t *row,
                      const struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        const json_t *item = item_named(group, row, items->names[i]);

        for (const struct cap_table_column *column = group->columns; column->name; column++) {
            cap_buf_add_char(out, ',');
            if (item)
                add_column(out, item, column);
        }
    }
}

/* ---- the text ---- */

static void add_head(const struct cap_table *table, const struct items *items, struct cap_buf *out)
{
    CAP_AUTO_BUF(name, SIZE_MAX);

    for (size_t i = 0; i < table->column_count; i++)
        cap_buf_printf(out, i ? ",%s" : "%s", table->columns[i].name);
    for (size_t i = 0; table->group && i < items->count; i++) {
        for (const struct cap_table_column *column = table->group->columns; column->name;
             column++) {
            cap_buf_clear(&name);
            cap_buf_printf(&name, "%s%s", items->names[i], column->name);
            cap_buf_add_char(out, ',');
            add_text(out, name.data);
        }
    }
    cap_buf_add_str(out, "\r\n");
}

static void add_rows(const struct cap_table *table, const json_t *reply, const struct items *items,
                     struct cap_buf *out)
{
    size_t r;
    json_t *row;

    json_array_foreach(json_object_get(reply, table->rows), r, row)
    {
        for (size_t i = 0; i < table->column_count; i++) {
            if (i > 0)
                cap_buf_add_char(out, ',');
            add_column(out, row, &table->columns[i]);
        }
        if (table->group)
            add_group(out, table->group, row, items);
        cap_buf_add_str(out, "\r\n");
    }
}

/* All pages from the first on; *io_items gets what their rows name when `collecting`. */
static bool add_pages(const struct cap_table *table, struct items *io_items, bool collecting,
                      cap_table_page *page, void *arg, struct cap_buf *out, struct cap_err *err)
{
    json_t *reply = page(arg, true, err);

    for (; reply; reply = page(arg, false, err)) {
        if (collecting)
            collect(table, reply, io_items);
        add_rows(table, reply, io_items, out);
        json_decref(reply);
        if (out->overflowed)
            return true; /* the caller sees it */
    }
    return err->code == CAP_OK;
}

/* When rows name items that the header lacks, everything is written again, with them. Rows that
 * come meanwhile may do so once more. */
bool cap_table_write(const struct cap_table *table, char *const *names, size_t name_count,
                     cap_table_page *page, void *arg, struct cap_buf *out, struct cap_err *err)
{
    __attribute__((cleanup(items_done))) struct items items = {.count = 0};
    bool collecting = table->group && name_count == 0;

    for (size_t i = 0; i < name_count; i++)
        add_item(&items, names[i]);
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        size_t known = items.count;

        cap_buf_clear(out);
        add_head(table, &items, out);
        if (!add_pages(table, &items, collecting, page, arg, out, err))
            return false;
        if (items.count == known || out->overflowed)
            return true;
    }
    return cap_fail(err, CAP_UNAVAILABLE, "the list changed while it was read; try again");
}
