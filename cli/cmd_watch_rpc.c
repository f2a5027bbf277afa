/* watch: progress until everything has ended, then the results.
 *
 * On a terminal each run has one line, which is redrawn; elsewhere a line is printed when a state
 * changes or a tenth of the samples has been answered. A line fits the terminal: the bar gives way
 * before words do, and names that all runs share are left out. When all have ended, a line for each
 * run says its id and its main figures, which is what one was waiting for.
 *
 * Each id is followed by its own thread, which shows what it gets under the watcher's lock. A
 * scheduler that restarts is waited for. Ctrl-C ends the watching, not the runs, and says so. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/plain.h"
#include "base/utf8.h"
#include "cmd.h"
#include "moecap/v1/common.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "out.h"
#include "suite.h"

enum { RUNS_MAX = 1024, RECONNECT_MS_MAX = 120000, RECONNECT_PAUSE_MS = 500 };
enum { BAR_WIDTH_MAX = 24, BAR_WIDTH_MIN = 8, NAME_WIDTH_MAX = 24 };
enum { PROGRESS_BYTES_MAX = 16 << 20, REPLY_BYTES_MAX = 16 << 20 };

struct line {
    char run_id[64];
    Moecap__V1__RunState state;
    uint32_t answered, graded;
};

struct watcher {
    bool json, terminal;
    struct cli_suite *suite;
    struct follower *followers;
    int count;
    pthread_mutex_t lock;        /* guards the rest, the followers' progress, and stdout */
    struct line lines[RUNS_MAX]; /* what was printed last, for plain output */
    int line_count, drawn;       /* lines on the terminal now */
    int failed, runs;
};

/* One id; err belongs to its thread until that has ended. */
struct follower {
    struct watcher *watcher;
    const char *id;
    pthread_t thread;
    Moecap__V1__Progress *progress; /* the last one, in `arena` */
    struct cap_arena *arena;
    bool ok;
    struct cap_err err;
};

static bool has_failed(Moecap__V1__RunState state)
{
    return state > MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED;
}

/* Seconds until the end, from the share that is done; negative = unknown. */
static double remaining_s(const Moecap__V1__RunProgress *run)
{
    double spent = (double)(cap_clock_wall_ms(cap_clock_system()) - run->started_at_ms) / 1000;

    if (run->started_at_ms == 0 || run->samples_answered < 3 || run->samples_total == 0)
        return -1;
    return spent * (run->samples_total - run->samples_answered) / run->samples_answered;
}

static void describe(const Moecap__V1__RunProgress *run, struct cap_buf *out)
{
    bool active = run->state == MOECAP__V1__RUN_STATE__RUN_STATE_RUNNING ||
                  run->state == MOECAP__V1__RUN_STATE__RUN_STATE_LEASED;
    double left = remaining_s(run);

    cap_buf_printf(out, "%-9s %u/%u", run_state_word(run->state), run->samples_answered,
                   run->samples_total);
    if (run->state == MOECAP__V1__RUN_STATE__RUN_STATE_GRADING)
        cap_buf_printf(out, ", graded %u", run->samples_graded);
    if (active && run->output_tokens_per_s > 0)
        cap_buf_printf(out, ", %.0f tok/s", run->output_tokens_per_s);
    if (active && left >= 0) {
        cap_buf_add_str(out, ", ");
        cli_duration(out, left);
        cap_buf_add_str(out, " left");
    }
    if (active && run->samples_answered == 0 && *run->phase)
        cap_buf_printf(out, ", %s", run->phase);
    if (run->state == MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED && *run->phase)
        cap_buf_printf(out, ", waiting for %s", run->phase);
    if (has_failed(run->state) && *run->reason)
        cap_buf_printf(out, ": %s", run->reason);
}

/* ---- a terminal ---- */

/* Requests in flight; "open" where they arrive at a rate. */
static const char *load_of(const Moecap__V1__RunProgress *run, char out[16])
{
    snprintf(out, 16, run->concurrency ? "b%u" : "open", run->concurrency);
    return out;
}

/* What tells the runs on the screen from each other; each name as wide as the longest. */
struct names {
    bool model, precision, load, repeat; /* they differ */
    unsigned model_width, task_width;
    const Moecap__V1__RunProgress *first;
};

static unsigned at_most(size_t width, unsigned most)
{
    return width < most ? (unsigned)width : most;
}

static void see_names(struct names *names, const Moecap__V1__RunProgress *run)
{
    unsigned model = at_most(cap_utf8_count(run->model), NAME_WIDTH_MAX),
             task = at_most(cap_utf8_count(run->task), NAME_WIDTH_MAX);

    if (!names->first)
        names->first = run;
    names->model_width = model > names->model_width ? model : names->model_width;
    names->task_width = task > names->task_width ? task : names->task_width;
    names->model |= strcmp(run->model, names->first->model) != 0;
    names->precision |= strcmp(run->precision, names->first->precision) != 0;
    names->load |= run->concurrency != names->first->concurrency;
    names->repeat |= run->repeat > 0;
}

static void add_names(const Moecap__V1__RunProgress *run, const struct names *names,
                      struct cap_buf *out)
{
    char load[16];

    if (names->model) {
        cli_add_padded(out, run->model, names->model_width);
        cap_buf_add_char(out, ' ');
    }
    cli_add_padded(out, run->task, names->task_width);
    if (names->repeat)
        cap_buf_printf(out, " #%-2u", run->repeat + 1);
    if (names->precision)
        cap_buf_printf(out, " %-4s", *run->precision ? run->precision : "-");
    if (names->load)
        cap_buf_printf(out, " %-4s", load_of(run, load));
    cap_buf_add_char(out, ' ');
}

/* Names, bar, words: the bar takes the room that the words leave. */
static void add_bar_line(const Moecap__V1__RunProgress *run, const struct names *names,
                         unsigned width, struct cap_buf *out)
{
    CAP_AUTO_BUF(line, 4096);
    CAP_AUTO_BUF(words, 4096);
    CAP_AUTO_BUF(plain, 8192);
    size_t taken;

    add_names(run, names, &line);
    describe(run, &words);
    taken = cap_utf8_count(line.data) + cap_utf8_count(words.data) + 2;
    if (taken + BAR_WIDTH_MIN <= width) {
        cli_bar(&line, at_most(width - taken, BAR_WIDTH_MAX), run->samples_answered,
                run->samples_total);
        cap_buf_add_char(&line, ' ');
    }
    cap_buf_add_str(&line, words.data);
    cap_plain_add(&plain, line.data);
    cli_add_clipped(out, plain.data, width - 1);
}

/* Runs that have ended give way when there are more than the terminal has lines. */
static bool is_worth_a_line(const Moecap__V1__RunProgress *run, int hidden)
{
    return hidden <= 0 || run->state < MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED;
}

static int count_runs(const struct watcher *w)
{
    int runs = 0;

    for (int i = 0; i < w->count; i++)
        runs += w->followers[i].progress ? (int)w->followers[i].progress->n_runs : 0;
    return runs;
}

/* Fills `screen` with at most `height` lines; returns how many. */
static int render_lines(const struct watcher *w, unsigned width, int height, struct cap_buf *screen)
{
    int hidden = count_runs(w) - (height - 1), lines = 0, left_out = 0;
    struct names names = {.first = NULL};

    for (int i = 0; i < w->count; i++)
        for (size_t k = 0; w->followers[i].progress && k < w->followers[i].progress->n_runs; k++)
            see_names(&names, w->followers[i].progress->runs[k]);
    for (int i = 0; i < w->count; i++) {
        const Moecap__V1__Progress *progress = w->followers[i].progress;

        for (size_t k = 0; progress && k < progress->n_runs; k++) {
            bool shown = is_worth_a_line(progress->runs[k], hidden) && lines < height - 1;

            left_out += !shown;
            hidden -= !shown;
            if (!shown)
                continue;
            cap_buf_add_str(screen, "\r\033[K");
            add_bar_line(progress->runs[k], &names, width, screen);
            cap_buf_add_char(screen, '\n');
            lines++;
        }
    }
    if (left_out > 0)
        cap_buf_printf(screen, "\r\033[Kand %d more\n", left_out);
    return lines + (left_out > 0);
}

static void draw(struct watcher *w)
{
    CAP_AUTO_BUF(screen, 1 << 20);
    int lines;

    if (w->drawn > 0)
        cap_buf_printf(&screen, "\033[%dA", w->drawn);
    lines = render_lines(w, cli_terminal_width(), (int)cli_terminal_height(), &screen);
    if (lines < w->drawn) /* what was below is wiped */
        cap_buf_add_str(&screen, "\033[J");
    w->drawn = lines;
    fwrite(screen.data, 1, screen.length, stdout);
    fflush(stdout);
}

/* ---- elsewhere ---- */

static struct line *line_of(struct watcher *w, const char *run_id)
{
    for (int i = 0; i < w->line_count; i++)
        if (strcmp(w->lines[i].run_id, run_id) == 0)
            return &w->lines[i];
    if (w->line_count == RUNS_MAX)
        return &w->lines[RUNS_MAX - 1];
    snprintf(w->lines[w->line_count].run_id, sizeof w->lines[0].run_id, "%s", run_id);
    return &w->lines[w->line_count++];
}

/* A tenth more, or another state, is worth a line. */
static bool is_news(const struct line *line, const Moecap__V1__RunProgress *run)
{
    uint32_t step = run->samples_total / 10 ? run->samples_total / 10 : 1;

    return line->state != run->state || run->samples_answered / step > line->answered / step;
}

static void print_news(struct watcher *w, const Moecap__V1__Progress *progress)
{
    for (size_t i = 0; i < progress->n_runs; i++) {
        const Moecap__V1__RunProgress *run = progress->runs[i];
        struct line *line = line_of(w, run->run_id);
        CAP_AUTO_BUF(text, 4096);
        char load[16];

        if (!is_news(line, run))
            continue;
        line->state = run->state;
        line->answered = run->samples_answered;
        cap_buf_printf(&text, "%s %s %s%s%s %s %s: ", run->run_id, run->model, run->engine,
                       *run->precision ? " " : "", run->precision, run->task, load_of(run, load));
        describe(run, &text);
        cli_say("%s", text.data);
    }
    fflush(stdout);
}

/* ---- following ---- */

static void show(struct follower *f)
{
    struct watcher *w = f->watcher;

    if (w->json)
        cli_print_json(cap_wire_to_json(&f->progress->base));
    else if (w->terminal)
        draw(w);
    else
        print_news(w, f->progress);
    fflush(stdout);
}

/* Keeps a copy, as the stream's message lives until the next one, and shows it. */
static bool keep_progress(struct follower *f, const Moecap__V1__Progress *progress)
{
    struct cap_arena *arena = cap_arena_new(PROGRESS_BYTES_MAX);
    Moecap__V1__Progress *copy = (Moecap__V1__Progress *)cap_rpc_copy(&progress->base, arena);

    if (!copy) {
        cap_arena_free(arena);
        return cap_fail(&f->err, CAP_RESOURCE_EXHAUSTED, "the progress of \"%s\" is too large",
                        f->id);
    }
    pthread_mutex_lock(&f->watcher->lock);
    cap_arena_free(f->arena);
    f->arena = arena;
    f->progress = copy;
    show(f);
    pthread_mutex_unlock(&f->watcher->lock);
    return true;
}

/* One stream; false when it broke before the end. *out_heard: it said something. */
static bool follow_once(struct follower *f, bool *out_heard)
{
    const struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    struct cap_err closing = {0};
    Moecap__V1__Progress *progress;
    struct cap_rpc_call *call;
    bool ended = false;

    request.id = (char *)f->id;
    call = scheduler_rpc_watch_open(f->watcher->suite->scheduler, &options, &request);
    while (!ended && (progress = scheduler_rpc_watch_next_reply(call)) != NULL) {
        *out_heard = true;
        ended = progress->ended;
        if (!keep_progress(f, progress))
            cap_rpc_cancel(call);
    }
    cap_rpc_close(call, &closing);
    if (!ended && f->err.code == CAP_OK)
        f->err = closing;
    return ended && f->err.code == CAP_OK;
}

static bool may_come_back(const struct cap_err *err)
{
    return err->code == CAP_UNAVAILABLE || err->code == CAP_CANCELLED || err->code == CAP_OK;
}

static void *follow(void *arg)
{
    struct follower *f = arg;
    int64_t silent_since_ms = cap_clock_ms(cap_clock_system());
    bool heard = false;

    while (!follow_once(f, &heard)) {
        int64_t now = cap_clock_ms(cap_clock_system());

        if (!may_come_back(&f->err))
            return NULL;
        if (heard)
            silent_since_ms = now;
        heard = false;
        if (now - silent_since_ms > RECONNECT_MS_MAX) {
            if (f->err.code == CAP_OK)
                cap_fail(&f->err, CAP_UNAVAILABLE, "the scheduler does not answer");
            return NULL;
        }
        cap_err_clear(&f->err);
        cap_sleep_ms(RECONNECT_PAUSE_MS);
    }
    f->ok = true;
    return NULL;
}

static bool follow_all(struct watcher *w, const char *const *ids, struct cap_err *err)
{
    bool ok = true;

    for (int i = 0; i < w->count; i++) /* all, before the first thread draws them */
        w->followers[i] = (struct follower){.watcher = w, .id = ids[i]};
    for (int i = 0; i < w->count; i++) {
        if (pthread_create(&w->followers[i].thread, NULL, follow, &w->followers[i]) != 0)
            abort();
    }
    for (int i = 0; i < w->count; i++) {
        pthread_join(w->followers[i].thread, NULL);
        if (!w->followers[i].ok && ok)
            *err = w->followers[i].err;
        ok = ok && w->followers[i].ok;
    }
    return ok;
}

/* ---- the end ---- */

static const Moecap__V1__Figure *known_figure(const Moecap__V1__BoardRow *row, const char *id)
{
    for (size_t i = 0; i < row->n_figures; i++)
        if (strcmp(row->figures[i]->id, id) == 0 && row->figures[i]->opt_value_case &&
            !row->figures[i]->invalid)
            return row->figures[i];
    return NULL;
}

/* "90.5 % (95 % CI 87.9 to 92.6), TTFT 0.52 ms, 812 tokens/s" */
static void add_result(const Moecap__V1__BoardRow *row, struct cap_buf *out)
{
    const Moecap__V1__Figure *accuracy = known_figure(row, row->headline_metric),
                             *ttft = known_figure(row, "ttft_ms_p50"),
                             *rate = known_figure(row, "output_tokens_per_s");

    if (accuracy)
        cap_buf_printf(out, "%.1f %%", accuracy->value * 100);
    else
        cap_buf_add_str(out, "no accuracy");
    if (accuracy && accuracy->opt_low_case && accuracy->opt_high_case)
        cap_buf_printf(out, " (95 %% CI %.1f to %.1f)", accuracy->low * 100, accuracy->high * 100);
    if (ttft)
        cap_buf_printf(out, ", TTFT %.3g ms", ttft->value);
    if (rate)
        cap_buf_printf(out, ", %.0f tokens/s", rate->value);
}

static void print_result(struct cli_suite *suite, const Moecap__V1__RunProgress *run)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(REPLY_BYTES_MAX);
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetRunReply *reply;
    struct cap_err ignored = {0};
    CAP_AUTO_BUF(line, 1024);

    request.run_id = run->run_id;
    if (run->state != MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED ||
        !store_rpc_get_run(suite->store, NULL, &request, arena, &reply, &ignored))
        return;
    cap_buf_printf(&line, "%s  %s", run->run_id, run->task);
    if (run->repeat > 0)
        cap_buf_printf(&line, " #%u", run->repeat + 1);
    cap_buf_add_str(&line, ": ");
    add_result(reply->row, &line);
    cli_say("%s", line.data);
}

static void end_all(struct watcher *w, struct cli_suite *all)
{
    for (int i = 0; i < w->count; i++) {
        const Moecap__V1__Progress *progress = w->followers[i].progress;

        for (size_t k = 0; progress && k < progress->n_runs; k++) {
            w->runs++;
            w->failed += has_failed(progress->runs[k]->state);
            if (all && !w->json)
                print_result(all, progress->runs[k]);
        }
        cap_arena_free(w->followers[i].arena);
    }
}

/* ---- Ctrl-C ---- */

static char farewell[512]; /* made before the signal may come: a handler may not print */

static void on_interrupt(int number)
{
    ssize_t ignored = write(STDERR_FILENO, farewell, strlen(farewell));

    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

static void expect_interrupt(const struct watcher *w, const char *id)
{
    const struct sigaction action = {.sa_handler = on_interrupt};
    struct sigaction old;

    snprintf(farewell, sizeof farewell,
             "%smoecap: no longer watching, but the run goes on; moecap watch %.64s follows it "
             "again, moecap cancel %.64s stops it\n",
             w->terminal ? "\n" : "", id, id);
    if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
}

int cli_watch_ids(struct cli_context *context, const char *const *ids, int count,
                  struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_patient(context, err);
    CAP_AUTO_MEM struct watcher *w = calloc(1, sizeof *w);
    CAP_AUTO_MEM struct follower *followers = calloc((size_t)count, sizeof *followers);
    struct cap_err ignored = {0};
    bool ok;

    if (!suite)
        return cli_exit_of(err->code);
    if (!w || !followers)
        abort();
    pthread_mutex_init(&w->lock, NULL);
    w->suite = suite;
    w->followers = followers;
    w->count = count;
    w->json = context->globals.json;
    w->terminal = !w->json && cli_is_terminal();
    if (!w->json)
        expect_interrupt(w, ids[0]);
    ok = follow_all(w, ids, err);
    CAP_AUTO(cli_suite) all = cli_suite_open_all(context, &ignored);
    end_all(w, all);
    pthread_mutex_destroy(&w->lock);
    if (!ok)
        return cli_exit_of(err->code);
    if (w->failed > 0 && !w->json && w->runs == 1)
        fprintf(stderr, "the run did not finish\n");
    else if (w->failed > 0 && !w->json)
        fprintf(stderr, "%d of %d runs did not finish\n", w->failed, w->runs);
    return w->failed > 0 ? CLI_NEGATIVE : CLI_OK;
}

int cli_cmd_watch(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    struct cli_words ids;

    return cli_full_ids(context, words, &ids, err)
               ? cli_watch_ids(context, ids.items, ids.count, err)
               : cli_exit_of(err->code);
}
