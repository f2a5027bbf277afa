/* Lists, sums and counts that grow while numbers come, up to a limit of each. */
#include "sums.h"

#include <math.h>
#include <stdlib.h>

void eval_values_add(struct eval_values *values, double value)
{
    if (values->count == EVAL_VALUES_MAX) {
        values->overflowed = true;
        return;
    }
    if (values->count == values->room) {
        values->room = values->room ? 2 * values->room : 256;
        values->items = realloc(values->items, values->room * sizeof *values->items);
        if (!values->items)
            abort();
    }
    values->items[values->count++] = value;
}

/* When there is no room for one more sum, neighbours become one: the sums stay of one length. */
static void halve(struct eval_series *s)
{
    for (size_t i = 0; i < EVAL_SERIES_MAX / 2; i++) {
        s->over[i] = s->over[2 * i] + s->over[2 * i + 1];
        s->under[i] = s->under[2 * i] + s->under[2 * i + 1];
    }
    s->count = EVAL_SERIES_MAX / 2;
    s->each *= 2;
}

void eval_series_add(struct eval_series *s, double over, double under)
{
    if (s->each == 0 || s->in_last == s->each) {
        if (s->count == EVAL_SERIES_MAX)
            halve(s);
        s->each = s->each > 0 ? s->each : 1;
        s->over[s->count] = s->under[s->count] = 0;
        s->count++;
        s->in_last = 0;
    }
    s->over[s->count - 1] += over;
    s->under[s->count - 1] += under;
    s->in_last++;
    s->pairs++;
}

void eval_buckets_add(struct eval_buckets *buckets, double lowest, double value)
{
    size_t bucket = value > lowest ? (size_t)(log(value / lowest) / log(EVAL_HISTOGRAM_GROWTH)) : 0;

    if (bucket >= EVAL_HISTOGRAM_BUCKETS_MAX)
        bucket = EVAL_HISTOGRAM_BUCKETS_MAX - 1;
    buckets->counts[bucket]++;
    if (bucket + 1 > buckets->used)
        buckets->used = bucket + 1;
}
