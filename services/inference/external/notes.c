#include "external/notes.h"

#include <stdarg.h>
#include <stdio.h>

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
        snprintf(out, room, "the server's counts cannot be for %d of %d answers: %s",
                 notes->impossible, notes->answers, notes->why_impossible);
    else if (notes->without_usage > 0)
        snprintf(out, room, "the server told no usage with %d of %d answers", notes->without_usage,
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
        infer_notes_add(notes,
                        "the server's counts cannot be for %d of %d answers, so they are unknown: "
                        "%s",
                        notes->impossible, notes->answers, notes->why_impossible);
    if (notes->without_usage > 0)
        infer_notes_add(notes,
                        "the server told no usage with %d of %d answers: their token counts "
                        "are unknown",
                        notes->without_usage, notes->answers);
    if (notes->without_reason > 0)
        infer_notes_add(notes,
                        "the server gave no finish reason for %d of %d answers: whether they are "
                        "whole or were cut at their limit is unknown",
                        notes->without_reason, notes->answers);
    if (notes->unmarked > 0)
        infer_notes_add(notes,
                        "%d of %d streams ended behind their finish reason without [DONE], which "
                        "servers of this kind send: their usage may be missing",
                        notes->unmarked, notes->answers);
    if (notes->other_length > 0)
        infer_notes_add(notes, "%d of %d answers have not the length that was asked for",
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
                    "declared by the submitter, not told by the server: the model's shape "
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
    if (!server->listed)
        infer_notes_add(notes, "the server does not list the model that was asked for");
    write_child(notes, server);
    write_answers(notes);
    write_declared(notes, declared);
}
