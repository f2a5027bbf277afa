/* Notes count while answers come, and become sentences when the shard's report is made. The
 * server's own counters (Prometheus text) are read in the second half of this file. */
#include "external/inside.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void infer_notes_begin(struct infer_notes *notes)
{
    *notes = (struct infer_notes){0};
}

void infer_notes_answer(struct infer_notes *notes, const struct infer_request *request,
                        const struct infer_counts *counts, bool has_reason, const char *impossible)
{
    if (request->continuation_count > 0)
        return;
    notes->answers++;
    notes->without_reason += !has_reason;
    if (impossible) {
        if (notes->impossible++ == 0)
            snprintf(notes->why_impossible, sizeof notes->why_impossible, "%s", impossible);
    } else {
        notes->without_usage += counts->output < 0;
    }
    notes->other_length +=
        request->ignore_eos && counts->output >= 0 && counts->output != request->max_tokens;
    if (counts->prompt >= 0 && counts->cached >= 0) {
        notes->prompt_tokens += counts->prompt;
        notes->cached_tokens += counts->cached;
    }
}

bool infer_notes_counts_unknown(const struct infer_notes *notes, char *out, size_t room)
{
    if (notes->impossible > 0)
        snprintf(out, room, "the server's counts are impossible for %d of %d answers: %s",
                 notes->impossible, notes->answers, notes->why_impossible);
    else if (notes->without_usage > 0)
        snprintf(out, room, "the server sent no usage with %d of %d answers", notes->without_usage,
                 notes->answers);
    return notes->impossible > 0 || notes->without_usage > 0;
}

void infer_notes_add(struct infer_notes *notes, const char *fmt, ...)
{
    va_list args;

    if (notes->count == INFER_NOTES_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(notes->texts[notes->count], INFER_NOTE_BYTES, fmt, args);
    va_end(args);
    cap_utf8_tidy(notes->texts[notes->count]);
    notes->list[notes->count] = notes->texts[notes->count];
    notes->count++;
}

static void write_answers(struct infer_notes *notes)
{
    if (notes->cached_tokens > 0)
        infer_notes_add(notes,
                        "the server's prefix cache held %lld of %lld prompt tokens: its prefill "
                        "was shorter than the prompts",
                        (long long)notes->cached_tokens, (long long)notes->prompt_tokens);
    if (notes->impossible > 0)
        infer_notes_add(
            notes,
            "the server's counts are impossible for %d of %d answers, so they are unknown: "
            "%s",
            notes->impossible, notes->answers, notes->why_impossible);
    if (notes->without_usage > 0)
        infer_notes_add(notes,
                        "the server sent no usage with %d of %d answers: their token counts "
                        "are unknown",
                        notes->without_usage, notes->answers);
    if (notes->without_reason > 0)
        infer_notes_add(notes,
                        "the server gave no finish reason for %d of %d answers: whether they are "
                        "whole or were cut at their limit is unknown",
                        notes->without_reason, notes->answers);
    if (notes->unmarked > 0)
        infer_notes_add(notes,
                        "%d of %d streams ended after their finish reason without [DONE], which "
                        "servers of this kind send: their usage may be missing",
                        notes->unmarked, notes->answers);
    if (notes->other_length > 0)
        infer_notes_add(notes, "%d of %d answers do not have the length that was asked for",
                        notes->other_length, notes->answers);
}

/* "8", or "unknown": 0 is what nobody said or could read. */
static const char *count_text(int count, char out[16])
{
    snprintf(out, 16, count > 0 ? "%d" : "unknown", count);
    return out;
}

static void write_declared(struct infer_notes *notes, const struct infer_declared *declared)
{
    char experts[16], top_k[16];

    if (!declared->given)
        return;
    infer_notes_add(notes,
                    "declared by the submitter, not reported by the server: the model's shape "
                    "(%s, %d layers, experts %s, top-k %s)",
                    *declared->family ? declared->family : "family not said", declared->layers,
                    count_text(declared->experts, experts), count_text(declared->top_k, top_k));
    for (int i = 0; i < declared->unknown_count; i++)
        infer_notes_add(notes, "the model's shape is unknown in part: %s", declared->unknown[i]);
    if (declared->parameters < 0)
        infer_notes_add(notes, "parameters are unknown: %s", declared->why_no_parameters);
}

static void write_child(struct infer_notes *notes, const struct infer_server *server)
{
    struct infer_child_usage usage;

    if (!server->child || !infer_child_usage(server->child, &usage))
        return;
    infer_notes_add(notes, "the server was started by the node%s%s",
                    *usage.environment ? ", with " : "", usage.environment);
    infer_notes_add(notes,
                    "the server's %d processes have %d threads on cpus %s; the sum of their peaks "
                    "of resident memory is %.0f MiB",
                    usage.processes, usage.threads, usage.affinity,
                    (double)usage.peak_bytes / (1 << 20));
}

void infer_notes_write(struct infer_notes *notes, const struct infer_server *server,
                       const struct infer_declared *declared)
{
    notes->count = 0;
    if (!*server->version)
        infer_notes_add(notes, "the server's version is unknown");
    if (*server->says)
        infer_notes_add(notes, "the run asked for engine %s, and the server says it is: %s",
                        server->kind->name, server->says);
    if (!server->listed)
        infer_notes_add(notes, "the server does not list the model that was asked for");
    write_child(notes, server);
    write_answers(notes);
    write_declared(notes, declared);
}

/* ---- the server's own counters ---- */

void infer_scrape_begin(struct infer_scrape *scrape)
{
    *scrape = (struct infer_scrape){.running_max = NAN,
                                    .waiting_max = NAN,
                                    .kv_share_max = NAN,
                                    .cached_first = NAN,
                                    .cached_last = NAN,
                                    .preempted_first = NAN,
                                    .preempted_last = NAN};
}

/* ---- Prometheus text ---- */

/* Behind name and labels; NULL when the line is of another series. */
static const char *value_of_line(const char *line, const char *name)
{
    size_t length = strlen(name);
    const char *at = line + length;

    if (strncmp(line, name, length) != 0 || (*at != '{' && *at != ' '))
        return NULL;
    if (*at == '{') {
        bool quoted = false;

        for (at++; *at && *at != '\n' && (quoted || *at != '}'); at++) {
            if (*at == '\\' && at[1])
                at++;
            else if (*at == '"')
                quoted = !quoted;
        }
        if (*at != '}')
            return NULL;
        at++;
    }
    return at;
}

double infer_scrape_value(const char *text, const char *name, bool largest)
{
    double value = NAN;

    while (name && text && *text) {
        const char *at = value_of_line(text, name);
        char *end;
        double one = at ? strtod(at, &end) : NAN;

        if (at && end != at && isfinite(one))
            value = isnan(value) ? one : largest ? fmax(value, one) : value + one;
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return value;
}

/* ---- extremes ---- */

static void keep_max(double *max, double value)
{
    if (!isnan(value))
        *max = isnan(*max) ? value : fmax(*max, value);
}

static void keep_ends(double *first, double *last, double value)
{
    if (isnan(value))
        return;
    if (isnan(*first))
        *first = value;
    *last = value;
}

void infer_scrape_take(struct infer_scrape *scrape, const struct infer_series *series,
                       const char *text)
{
    scrape->samples++;
    keep_max(&scrape->running_max, infer_scrape_value(text, series->running, false));
    keep_max(&scrape->waiting_max, infer_scrape_value(text, series->waiting, false));
    keep_max(&scrape->kv_share_max, infer_scrape_value(text, series->kv_share, true));
    keep_ends(&scrape->cached_first, &scrape->cached_last,
              infer_scrape_value(text, series->cached, false));
    keep_ends(&scrape->preempted_first, &scrape->preempted_last,
              infer_scrape_value(text, series->preempted, false));
}

/* ---- the sentence ---- */

struct line {
    char *out;
    size_t room, length;
};

/* Nothing for what is unknown. */
static void add(struct line *line, const char *before, double value, const char *after)
{
    int added;

    if (isnan(value) || line->length >= line->room)
        return;
    added = snprintf(line->out + line->length, line->room - line->length, "%s%.12g%s", before,
                     round(value), after);
    line->length += added > 0 ? (size_t)added : 0;
}

bool infer_scrape_tell(const struct infer_scrape *scrape, char *out, size_t room)
{
    struct line line = {.out = out, .room = room};
    size_t head;

    add(&line, "by the server's metrics, read ", scrape->samples, " times");
    head = line.length;
    add(&line, ", at most ", scrape->running_max, " requests ran");
    add(&line, ", at most ", scrape->waiting_max, " waited");
    add(&line, ", the KV cache was at most ", 100 * scrape->kv_share_max, " % full");
    add(&line, ", ", scrape->cached_last - scrape->cached_first,
        " prompt tokens came from a cache");
    add(&line, ", ", scrape->preempted_last - scrape->preempted_first, " requests were put back");
    return line.length > head;
}
