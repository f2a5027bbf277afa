/* plot: a picture of a file, or of runs, as a file. Those of files are in the table below, those of
 * runs in lib/pictures; lib/plot draws both. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/file.h"
#include "cmd.h"
#include "out.h"
#include "pictures/pictures.h"
#include "plot_read.h"
#include "suite.h"

struct cli_plot_options cli_plot_options;

enum {
    ARENA_BYTES_MAX = 256 << 20,
    PICTURE_BYTES_MAX = 64 << 20,
    PATH_BYTES_MAX = 4096,
    COUNTS_MAX = 1 << 17
};

/* What is to be drawn, and where to. */
struct job {
    const struct cli_plot_options *options;
    const struct cli_words *words; /* the picture, then what it is of */
    struct cap_arena *arena;
    char name[256]; /* of the file, without its ending */
    struct cap_plot_look look;
    bool json;
};

/* ---- out ---- */

/* What stands after the last dot of a path that names a picture; NULL: it names a folder. */
static const char *ending_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

    return dot && cap_plot_format_find(dot + 1) != CAP_PLOT_FORMAT_COUNT ? dot + 1 : NULL;
}

static bool make_path(const struct job *job, char out[PATH_BYTES_MAX], struct cap_err *err)
{
    const char *to = job->options->output ? job->options->output : ".";
    size_t length = strlen(to);
    int written;

    if (ending_of(to)) {
        written = snprintf(out, PATH_BYTES_MAX, "%s", to);
    } else {
        if (!cap_dir_make(to, err))
            return false;
        written = snprintf(out, PATH_BYTES_MAX, "%s%s%s.%s", strcmp(to, ".") != 0 ? to : "",
                           strcmp(to, ".") != 0 && to[length - 1] != '/' ? "/" : "", job->name,
                           cap_plot_format_word(job->look.format));
    }
    return written < PATH_BYTES_MAX ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "--output is too long a path");
}

static int put_out(const struct job *job, const struct cap_plot *plot, struct cap_err *err)
{
    CAP_AUTO_BUF(file, PICTURE_BYTES_MAX);
    char path[PATH_BYTES_MAX];

    if (job->json) {
        cli_print_json(cap_plot_numbers(plot));
        return CLI_OK;
    }
    if (!cap_plot_draw(plot, &job->look, &file, err) || !make_path(job, path, err) ||
        !cap_file_write(path, file.data, file.length, err))
        return cli_exit_of(err->code);
    cli_say("wrote %s", path);
    return CLI_OK;
}

/* ---- pictures of files ---- */

/* The one file that the picture is of. */
static char *read_file(const struct job *job, size_t bytes_max, size_t *out_length,
                       struct cap_err *err)
{
    if (job->words->count != 2) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "plot %s takes one file", job->words->items[0]);
        return NULL;
    }
    return cap_file_read_regular(job->words->items[1], bytes_max, out_length, err);
}

/* As the seed's tool names its file: the model's name, with underscores. */
static void name_radar(struct job *job, const char *title)
{
    snprintf(job->name, sizeof job->name, "%.200s_radar", title);
    for (char *at = job->name; *at; at++)
        if (*at == ' ' || *at == '/' || (unsigned char)*at < ' ')
            *at = '_';
}

static int plot_radar(struct job *job, struct cap_err *err)
{
    struct cap_radar radar;
    struct cap_plot plot;
    const char *note;
    size_t length;
    CAP_AUTO_MEM char *text = read_file(job, CLI_PLOT_YAML_BYTES_MAX, &length, err);

    if (!text)
        return cli_exit_of(err->code);
    if (!cli_plot_read_radar(text, length, job->arena, &radar, &note, err)) {
        cap_fail_in(err, "%s", job->words->items[1]);
        return cli_exit_of(err->code);
    }
    if (*note)
        cli_warn("%s", note);
    name_radar(job, radar.title);
    plot = cap_radar_plot(&radar);
    return put_out(job, &plot, err);
}

static int plot_heatmap(struct job *job, struct cap_err *err)
{
    struct cap_heatmap map = {.absolute = job->options->absolute, .sorted = job->options->sorted};
    struct cap_plot plot;
    const char *base;
    size_t length;
    CAP_AUTO_MEM char *text = read_file(job, CLI_PLOT_CSV_BYTES_MAX, &length, err);

    if (!text)
        return cli_exit_of(err->code);
    if (!cli_plot_read_heatmap(text, job->arena, &map, err)) {
        cap_fail_in(err, "%s", job->words->items[1]);
        return cli_exit_of(err->code);
    }
    base = strrchr(job->words->items[1], '/');
    snprintf(job->name, sizeof job->name, "%.200s", base ? base + 1 : job->words->items[1]);
    if (strrchr(job->name, '.'))
        *strrchr(job->name, '.') = '\0';
    map.title = job->options->title ? job->options->title : job->name;
    plot = cap_heatmap_plot(&map);
    return put_out(job, &plot, err);
}

/* ---- pictures of runs ---- */

static bool read_phase(const char *phase, bool *out_prefill, struct cap_err *err)
{
    *out_prefill = phase && strcmp(phase, "prefill") == 0;
    return !phase || *out_prefill || strcmp(phase, "decode") == 0 ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "--phase \"%.40s\" is neither prefill nor decode",
                    phase);
}

static bool fetch(struct cli_suite *suite, const struct job *job, const struct cap_picture *picture,
                  struct cap_picture_ask *io_ask, struct cap_err *err)
{
    const char *ids[CLI_WORDS_MAX];
    struct cap_picture_source source = {.store = suite->store, .ids = ids};

    for (int i = 1; i < job->words->count; i++)
        if (!cli_full_id(suite, job->words->items[i], &ids[source.count++], err))
            return false;
    return cap_picture_fetch(picture, &source, job->arena, io_ask, err);
}

static int plot_runs(struct cli_context *context, struct job *job,
                     const struct cap_picture *picture, struct cap_err *err)
{
    struct cap_picture_ask ask = {.absolute = job->options->absolute,
                                  .sorted = job->options->sorted,
                                  .relative = job->options->relative,
                                  .metric = job->options->metric};
    CAP_AUTO(cli_suite) suite = NULL;
    struct cap_plot plot;

    if (!read_phase(job->options->phase, &ask.prefill, err))
        return CLI_USAGE;
    suite = cli_suite_open_all(context, err);
    if (!suite || !fetch(suite, job, picture, &ask, err) ||
        !cap_picture_make(picture, &ask, job->arena, &plot, err))
        return cli_exit_of(err->code);
    if (job->options->title)
        plot.title = job->options->title;
    snprintf(job->name, sizeof job->name, "%s", picture->name);
    return put_out(job, &plot, err);
}

/* ---- the table ---- */

static const struct picture {
    const char *name;
    int (*plot)(struct job *job, struct cap_err *err);
} pictures[] = {
    {"radar", plot_radar},
    {"heatmap", plot_heatmap},
};

/* What is a file here is one; else a radar and a heat map are of runs. */
static const struct picture *find_file_picture(const struct cli_words *words)
{
    for (size_t i = 0; i < CAP_COUNT_OF(pictures); i++)
        if (strcmp(pictures[i].name, words->items[0]) == 0)
            return strncmp(words->items[1], "run-", 4) == 0 && !cap_file_exists(words->items[1])
                       ? NULL
                       : &pictures[i];
    return NULL;
}

static const struct cap_picture *find_picture(const char *name, struct cap_err *err)
{
    size_t count;
    const struct cap_picture *all_pictures = cap_pictures(&count);
    const struct cap_picture *found = cap_picture_find(name);
    CAP_AUTO_BUF(all, 512);

    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&all, "%s%s", i ? ", " : "", all_pictures[i].name);
    if (found)
        return found;
    cap_fail(err, CAP_INVALID_ARGUMENT, "there is no picture \"%.40s\"; there are: %s", name,
             all.data);
    return NULL;
}

/* --format, else the ending of --output, else PNG, as the seed's tools draw. */
static bool read_look(const struct cli_plot_options *o, struct cap_plot_look *out,
                      struct cap_err *err)
{
    const char *ending = o->output ? ending_of(o->output) : NULL;
    const char *format = o->format ? o->format : ending ? ending : "png";

    out->format = cap_plot_format_find(format);
    out->theme = cap_plot_theme_find(o->theme ? o->theme : "light");
    if (out->format == CAP_PLOT_FORMAT_COUNT)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--format \"%.40s\" is not svg, png or pdf",
                        format);
    if (ending && cap_plot_format_find(ending) != out->format)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "--format %s does not go with a file that ends in .%s", format, ending);
    return out->theme != CAP_PLOT_THEME_COUNT ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "--theme \"%.40s\" is not light, dark or contrast",
                    o->theme);
}

int cli_cmd_plot(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES_MAX);
    struct job job = {.options = &cli_plot_options,
                      .words = words,
                      .arena = arena,
                      .json = context->globals.json};
    const struct picture *of_file = find_file_picture(words);
    const struct cap_picture *of_runs = of_file ? NULL : find_picture(words->items[0], err);

    if ((!of_file && !of_runs) || !read_look(job.options, &job.look, err))
        return CLI_USAGE;
    return of_file ? of_file->plot(&job, err) : plot_runs(context, &job, of_runs, err);
}
