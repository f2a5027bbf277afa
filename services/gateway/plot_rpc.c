/* GET /api/v1/plot/NAME.svg?runs=A,B and GET /api/v1/runs/ID/plot/NAME.svg: a picture of runs, as
 * SVG, PNG, PDF, or its numbers as JSON; lib/pictures has the list. */
#include <assert.h>
#include <string.h>

#include "pictures/pictures.h"
#include "service.h"

enum { PICTURE_BYTES_MAX = 32 << 20, NAME_BYTES_MAX = 32 };

static const char plot_prefix[] = "/api/v1/plot/";

const char *const gate_run_plot_parameters[] = {"theme",    "phase",  "absolute", "sorted",
                                                "relative", "metric", NULL};
static const char *const plot_parameters[] = {"runs",   "theme",    "phase",  "absolute",
                                              "sorted", "relative", "metric", NULL};

/* What the path asks for. */
struct wanted {
    const struct cap_picture *picture;
    struct cap_plot_look look;
    bool json;
};

static bool read_name(const char *file, struct wanted *out, struct cap_err *err)
{
    const char *dot = strrchr(file, '.');
    char name[NAME_BYTES_MAX] = "";

    if (dot && dot - file < NAME_BYTES_MAX)
        memcpy(name, file, (size_t)(dot - file));
    out->picture = cap_picture_find(name);
    if (!dot || !out->picture)
        return cap_fail(
            err, CAP_NOT_FOUND,
            "there is no picture \"%.40s\"; docs/plot.md lists them, as in roofline.svg", file);
    out->json = strcmp(dot, ".json") == 0;
    out->look.format = out->json ? CAP_PLOT_SVG : cap_plot_format_find(dot + 1);
    return out->look.format != CAP_PLOT_FORMAT_COUNT ||
           cap_fail(err, CAP_NOT_FOUND, "a picture ends in .svg, .png, .pdf or .json, not in %.10s",
                    dot);
}

static bool read_switch(struct cap_http_request *http, const char *name, bool *out,
                        struct cap_err *err)
{
    int64_t value;

    if (!gate_query_int(http, name, 0, 1, 0, &value, err))
        return false;
    *out = value == 1;
    return true;
}

static bool read_query(struct cap_http_request *http, struct wanted *io_wanted,
                       struct cap_picture_ask *out, struct cap_err *err)
{
    static const char *const themes[] = {"light", "dark", "contrast", NULL};
    static const char *const phases[] = {"prefill", "decode", NULL};
    static const char *const metrics[] = {"ttft", "tpot", "itl", "e2e", NULL};
    char *theme, *phase, *metric;

    if (!gate_query_word(http, "theme", themes, &theme, err) ||
        !gate_query_word(http, "phase", phases, &phase, err) ||
        !gate_query_word(http, "metric", metrics, &metric, err) ||
        !read_switch(http, "absolute", &out->absolute, err) ||
        !read_switch(http, "sorted", &out->sorted, err) ||
        !read_switch(http, "relative", &out->relative, err))
        return false;
    io_wanted->look.theme = *theme ? cap_plot_theme_find(theme) : CAP_PLOT_LIGHT;
    out->prefill = strcmp(phase, "prefill") == 0;
    out->metric = metric;
    return true;
}

/* "a,b" in pieces, at most as many as a picture may show and one more, which is refused. */
static size_t split_ids(char *text, const char *out_ids[CAP_PICTURE_RUNS_MAX + 1])
{
    size_t count = 0;
    char *rest = NULL;

    for (char *id = strtok_r(text, ",", &rest); id && count <= CAP_PICTURE_RUNS_MAX;
         id = strtok_r(NULL, ",", &rest))
        out_ids[count++] = id;
    return count;
}

static void send_plot(struct cap_http_request *http, const struct wanted *wanted,
                      const struct cap_plot *plot)
{
    static const char *const types[CAP_PLOT_FORMAT_COUNT] = {"image/svg+xml", "image/png",
                                                             "application/pdf"};
    CAP_AUTO_BUF(file, PICTURE_BYTES_MAX);
    struct cap_err err = {0};

    assert(wanted->look.format < CAP_PLOT_FORMAT_COUNT);
    if (wanted->json)
        gate_reply_json(http, 200, cap_plot_numbers(plot));
    else if (cap_plot_draw(plot, &wanted->look, &file, &err))
        gate_reply_text(http, 200, types[wanted->look.format], file.data, file.length);
    else
        gate_reply_error(http, &err);
}

static void answer(struct cap_http_request *http, struct gate_service *service, const char *file,
                   char *ids_text)
{
    struct cap_arena *arena = cap_http_arena(http);
    const char *ids[CAP_PICTURE_RUNS_MAX + 1];
    struct cap_picture_source source = {.store = service->store, .ids = ids};
    struct cap_picture_ask ask = {.run_count = 0};
    struct wanted wanted = {.picture = NULL};
    struct cap_plot plot;
    struct cap_err err = {0};

    if (!ids_text)
        cap_fail(&err, CAP_RESOURCE_EXHAUSTED, "the request is too large");
    else if (*ids_text == '\0')
        cap_fail_field(&err, CAP_INVALID_ARGUMENT, "runs",
                       "runs: expected run ids, as in runs=run-a,run-b");
    else {
        source.count = split_ids(ids_text, ids);
        if (read_name(file, &wanted, &err) && read_query(http, &wanted, &ask, &err) &&
            cap_picture_fetch(wanted.picture, &source, arena, &ask, &err) &&
            cap_picture_make(wanted.picture, &ask, arena, &plot, &err)) {
            send_plot(http, &wanted, &plot);
            return;
        }
    }
    gate_reply_error(http, &err);
}

void gate_plot(struct cap_http_request *http, void *self)
{
    if (gate_accept(http, plot_parameters))
        answer(http, self, cap_http_path(http) + strlen(plot_prefix),
               cap_arena_strdup(cap_http_arena(http), gate_query_text(http, "runs")));
}

void gate_run_plot(struct cap_http_request *http, struct gate_service *service, char *run_id)
{
    answer(http, service, strrchr(cap_http_path(http), '/') + 1, run_id);
}
