#include "external/scrape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
