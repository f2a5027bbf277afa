/* watch: progress until everything has ended. On a terminal one line a run, redrawn; elsewhere a
 * line when a state changes. A scheduler that restarts is waited for. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cmd.h"
#include "moecap/v1/scheduler.rpc.h"
#include "out.h"
#include "suite.h"

enum { RUNS_MAX = 1024, BAR_WIDTH = 24, RECONNECT_MS_MAX = 120000, RECONNECT_PAUSE_MS = 500 };

struct line {
    char run_id[64];
    Moecap__V1__RunState state;
    uint32_t answered, graded;
};

struct watcher {
    bool json, terminal;
    struct line lines[RUNS_MAX]; /* what was printed last, for plain output */
    int line_count, drawn;       /* lines on the terminal now */
    int failed, runs;
};

static const char *state_name(Moecap__V1__RunState state)
{
    static const char *const names[] = {"?",        "queued", "leased",    "running", "grading",
                                        "finished", "failed", "cancelled", "invalid"};

    return (size_t)state < CAP_COUNT_OF(names) ? names[state] : "?";
}

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

    cap_buf_printf(out, "%-9s %u/%u", state_name(run->state), run->samples_answered,
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
        cap_buf_printf(out, ", waits for %s", run->phase);
    if (has_failed(run->state) && *run->reason)
        cap_buf_printf(out, ": %s", run->reason);
}

/* ---- a terminal ---- */

static void add_clipped(struct cap_buf *out, const char *text, unsigned width)
{
    for (; *text && width > 0; text++) {
        cap_buf_add_char(out, *text);
        width -= ((unsigned char)text[1] & 0xc0) != 0x80;
    }
}

static void draw(struct watcher *w, Moecap__V1__Progress *const *all, int count)
{
    unsigned width = cli_terminal_width();
    CAP_AUTO_BUF(screen, 1 << 20);
    int lines = 0;

    if (w->drawn > 0)
        cap_buf_printf(&screen, "\033[%dA", w->drawn);
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; all[i] && k < all[i]->n_runs; k++, lines++) {
            const Moecap__V1__RunProgress *run = all[i]->runs[k];
            CAP_AUTO_BUF(line, 4096);

            cap_buf_printf(&line, "%-12.12s %-11.11s %-5s b%-3u ", run->model, run->task,
                           run->precision, run->concurrency);
            cli_bar(&line, BAR_WIDTH, run->samples_answered, run->samples_total);
            cap_buf_add_char(&line, ' ');
            describe(run, &line);
            cap_buf_add_str(&screen, "\r\033[K");
            add_clipped(&screen, line.data, width - 1);
            cap_buf_add_char(&screen, '\n');
        }
    }
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

        if (!is_news(line, run))
            continue;
        line->state = run->state;
        line->answered = run->samples_answered;
        describe(run, &text);
        printf("%s %s %s %s b%u: %s\n", run->run_id, run->model, run->precision, run->task,
               run->concurrency, text.data);
    }
    fflush(stdout);
}

/* ---- following ---- */

static Moecap__V1__Progress *copy_of(const Moecap__V1__Progress *progress, struct cap_arena *arena)
{
    size_t bytes = moecap__v1__progress__get_packed_size(progress);
    uint8_t *packed = cap_arena_alloc(arena, bytes + 1);

    if (!packed)
        return NULL;
    moecap__v1__progress__pack(progress, packed);
    return moecap__v1__progress__unpack(cap_rpc_allocator(arena), bytes, packed);
}

static void show(struct watcher *w, Moecap__V1__Progress **all, int count, int index)
{
    if (w->json)
        cli_print_json(cli_message_json(&all[index]->base));
    else if (w->terminal)
        draw(w, all, count);
    else
        print_news(w, all[index]);
    if (w->json)
        fflush(stdout);
}

/* Follows one id to its end; false when the stream broke. */
static bool follow(struct cli_suite *suite, struct watcher *w, const char *id,
                   Moecap__V1__Progress **all, struct cap_arena **arenas, int count, int index,
                   bool *out_ended, struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    Moecap__V1__Progress *progress;
    struct cap_rpc_call *call;

    request.id = (char *)id;
    call = scheduler_rpc_watch_open(suite->scheduler, &options, &request);
    *out_ended = false;
    while (!*out_ended && (progress = scheduler_rpc_watch_next_reply(call)) != NULL) {
        cap_arena_free(arenas[index]);
        arenas[index] = cap_arena_new(16 << 20);
        all[index] = copy_of(progress, arenas[index]);
        if (!all[index])
            break;
        *out_ended = progress->ended;
        show(w, all, count, index);
    }
    return cap_rpc_close(call, err) && *out_ended;
}

static bool may_come_back(const struct cap_err *err)
{
    return err->code == CAP_UNAVAILABLE || err->code == CAP_CANCELLED || err->code == CAP_OK;
}

static bool follow_to_end(struct cli_context *context, struct cli_suite *suite, struct watcher *w,
                          const char *id, Moecap__V1__Progress **all, struct cap_arena **arenas,
                          int count, int index, struct cap_err *err)
{
    int64_t until = 0;
    bool ended;

    (void)context;
    while (!follow(suite, w, id, all, arenas, count, index, &ended, err)) {
        int64_t now = cap_clock_ms(cap_clock_system());

        if (ended)
            break;
        if (!may_come_back(err))
            return false;
        if (until == 0)
            until = now + RECONNECT_MS_MAX;
        if (now > until) {
            if (err->code == CAP_OK)
                cap_fail(err, CAP_UNAVAILABLE, "the scheduler does not answer");
            return false;
        }
        cap_err_clear(err);
        cap_sleep_ms(RECONNECT_PAUSE_MS);
    }
    cap_err_clear(err);
    return true;
}

static void count_ends(struct watcher *w, Moecap__V1__Progress *const *all, int count)
{
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; all[i] && k < all[i]->n_runs; k++) {
            w->runs++;
            w->failed += has_failed(all[i]->runs[k]->state);
        }
    }
}

int cli_watch_ids(struct cli_context *context, const char *const *ids, int count,
                  struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    CAP_AUTO_MEM struct watcher *w = calloc(1, sizeof *w);
    Moecap__V1__Progress *all[CLI_WORDS_MAX] = {0};
    struct cap_arena *arenas[CLI_WORDS_MAX] = {0};
    bool ok = suite != NULL;

    if (!w)
        abort();
    w->json = context->globals.json;
    w->terminal = !w->json && cli_is_terminal();
    for (int i = 0; ok && i < count; i++)
        ok = follow_to_end(context, suite, w, ids[i], all, arenas, count, i, err);
    count_ends(w, all, count);
    for (int i = 0; i < count; i++)
        cap_arena_free(arenas[i]);
    if (!ok)
        return cli_exit_of(err->code);
    if (w->failed > 0 && !w->json)
        fprintf(stderr, "%d of %d runs did not finish\n", w->failed, w->runs);
    return w->failed > 0 ? CLI_NEGATIVE : CLI_OK;
}

int cli_cmd_watch(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    return cli_watch_ids(context, words->items, words->count, err);
}
