/* Ticks. Linear: steps of 1, 2 or 5 times a power of ten. Logarithmic: powers of ten, with others
 * between them while there is room, and fewer powers where there is not. */
#include "plot/axis.h"

#include <math.h>

double cap_axis_place(const struct cap_axis *axis, double value)
{
    double share = axis->log ? log(value / axis->low) / log(axis->high / axis->low)
                             : (value - axis->low) / (axis->high - axis->low);

    return axis->from + share * (axis->to - axis->from);
}

static double step_of(double range, size_t most)
{
    double rough = range / (double)(most ? most : 1), power = pow(10, floor(log10(rough)));

    if (rough <= power)
        return power;
    return rough <= 2 * power ? 2 * power : rough <= 5 * power ? 5 * power : 10 * power;
}

void cap_axis_round(struct cap_axis *axis, size_t ticks)
{
    double step;

    if (axis->log) {
        if (!(axis->high > axis->low * 1.0001)) {
            axis->low /= 2;
            axis->high *= 2;
        }
        return;
    }
    if (!(axis->high > axis->low)) {
        double room = axis->low != 0 ? fabs(axis->low) * 0.1 : 1;

        axis->low -= room;
        axis->high += room;
    }
    step = step_of(axis->high - axis->low, ticks);
    axis->low = floor(axis->low / step + 1e-9) * step;
    axis->high = ceil(axis->high / step - 1e-9) * step;
}

static void add(struct cap_axis_ticks *out, const struct cap_axis *axis, double value)
{
    double slack = axis->log ? 0 : (axis->high - axis->low) * 1e-9;
    double factor = axis->log ? 1 + 1e-9 : 1;

    if (out->count < CAP_AXIS_TICKS_MAX && value * factor >= axis->low - slack &&
        value <= axis->high * factor + slack)
        out->values[out->count++] = fabs(value) < slack ? 0 : value;
}

static void log_ticks(const struct cap_axis *axis, size_t most, struct cap_axis_ticks *out)
{
    static const double between[][8] = {{1, 1.5, 2, 3, 4, 6, 8}, {1, 2, 5}, {1, 3}, {1}};
    int first = (int)floor(log10(axis->low)), last = (int)ceil(log10(axis->high)), stride = 1;

    for (size_t set = 0; set < 4; set++) {
        out->count = 0;
        for (int power = first; power <= last; power++)
            for (size_t i = 0; between[set][i] > 0; i++)
                add(out, axis, between[set][i] * pow(10, power));
        if (out->count <= most && out->count < CAP_AXIS_TICKS_MAX)
            return;
    }
    while (out->count > most && stride < 400) {
        stride++;
        out->count = 0;
        for (int power = first; power <= last; power += stride)
            add(out, axis, pow(10, power));
    }
}

void cap_axis_ticks(const struct cap_axis *axis, size_t most, struct cap_axis_ticks *out)
{
    double step;

    out->count = 0;
    most = most < 2 ? 2 : most > CAP_AXIS_TICKS_MAX - 1 ? CAP_AXIS_TICKS_MAX - 1 : most;
    if (axis->log) {
        log_ticks(axis, most, out);
        return;
    }
    step = step_of(axis->high - axis->low, most);
    for (double at = ceil(axis->low / step - 1e-9); at * step <= axis->high + step * 1e-6; at++)
        add(out, axis, at * step);
}
