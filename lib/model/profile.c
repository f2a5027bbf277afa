/* The columns that matter are found in the first line; then one point a line. */
#include "model/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"

enum { COLUMNS_MAX = 16, NONE = -1 };

/* Both spellings of the leaderboard's own readers and writers. */
static const char *const batch_names[] = {"batch_size", "batch size", "batch", NULL};
static const char *const activated_names[] = {"average_activated_experts",
                                              "average activated experts", NULL};

struct columns {
    int batch, activated;
};

static int split(char *line, char *fields[COLUMNS_MAX])
{
    int count = 0;

    line[strcspn(line, "\r")] = '\0';
    for (char *at = line; at && count < COLUMNS_MAX; count++) {
        fields[count] = strsep(&at, ",");
        fields[count] += strspn(fields[count], " \t\"");
        fields[count][strcspn(fields[count], "\"")] = '\0';
    }
    return count;
}

static bool is_one_of(const char *const *names, const char *word)
{
    for (; *names; names++)
        if (strcasecmp(*names, word) == 0)
            return true;
    return false;
}

static bool read_head(char *line, struct columns *out, struct cap_err *err)
{
    char *fields[COLUMNS_MAX];
    int count = split(line, fields);

    *out = (struct columns){NONE, NONE};
    for (int i = 0; i < count; i++) {
        if (is_one_of(batch_names, fields[i]))
            out->batch = i;
        if (is_one_of(activated_names, fields[i]))
            out->activated = i;
    }
    return (out->batch != NONE && out->activated != NONE) ||
           cap_fail(err, CAP_INVALID_ARGUMENT,
                    "the first line of the activation profile does not name batch_size and "
                    "average_activated_experts");
}

static bool read_number(char *const *fields, int count, int column, double *out)
{
    char *end;

    if (column >= count)
        return false;
    *out = strtod(fields[column], &end);
    return end > fields[column] && end[strspn(end, " \t")] == '\0' && *out > 0 && isfinite(*out);
}

static bool add_point(struct cap_profile *io, double batch, double activated)
{
    size_t at = 0;

    while (at < io->count && io->points[at].batch < batch)
        at++;
    if (at < io->count && io->points[at].batch == batch) {
        io->points[at].activated += activated;
        io->points[at].rows++;
        return true;
    }
    if (io->count == CAP_PROFILE_POINTS_MAX)
        return false;
    memmove(&io->points[at + 1], &io->points[at], (io->count - at) * sizeof io->points[0]);
    io->points[at].batch = batch;
    io->points[at].activated = activated;
    io->points[at].rows = 1;
    io->count++;
    return true;
}

static bool read_line(char *line, int number, const struct columns *columns, struct cap_profile *io,
                      struct cap_err *err)
{
    char *fields[COLUMNS_MAX];
    int count = split(line, fields);
    double batch, activated;

    if (count == 1 && !*fields[0])
        return true;
    if (!read_number(fields, count, columns->batch, &batch) ||
        !read_number(fields, count, columns->activated, &activated))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "line %d of the activation profile has no positive batch size and number "
                        "of experts",
                        number);
    return add_point(io, batch, activated) ||
           cap_fail(err, CAP_INVALID_ARGUMENT,
                    "the activation profile has more than %d batch sizes", CAP_PROFILE_POINTS_MAX);
}

bool cap_profile_read(const char *csv, struct cap_profile *out, struct cap_err *err)
{
    CAP_AUTO_MEM char *text = strdup(csv);
    struct cap_profile profile = {.count = 0};
    struct columns columns;
    char *rest = text;

    if (!text)
        abort();
    if (strlen(text) > CAP_PROFILE_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the activation profile is larger than %d KiB",
                        CAP_PROFILE_BYTES_MAX >> 10);
    if (!read_head(strsep(&rest, "\n"), &columns, err))
        return false;
    for (int number = 2; rest; number++)
        if (!read_line(strsep(&rest, "\n"), number, &columns, &profile, err))
            return false;
    if (profile.count == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the activation profile has no rows");
    for (size_t i = 0; i < profile.count; i++)
        profile.points[i].activated /= profile.points[i].rows;
    *out = profile;
    return true;
}

bool cap_profile_at(const struct cap_profile *profile, double batch, double *out_activated)
{
    for (size_t i = 0; i < profile->count; i++) {
        double x = profile->points[i].batch, y = profile->points[i].activated;
        double before = i > 0 ? profile->points[i - 1].batch : x;

        if (batch == x || (i > 0 && batch > before && batch < x)) {
            double below = i > 0 ? profile->points[i - 1].activated : y;

            *out_activated = batch == x ? y : below + (y - below) * (batch - before) / (x - before);
            return true;
        }
    }
    return false;
}
