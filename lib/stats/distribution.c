/* Beta, and what follows from it: the binomial and Student's t.
 *
 * The incomplete beta function is a continued fraction (Lentz's evaluation); its inverse is found
 * by halving, since it is monotonous and speed does not matter here. */
#include <math.h>

#include "stats/stats.h"

enum { TERMS_MAX = 10000, HALVINGS = 200 };

/* The continued fraction of I_x(a, b), for x below (a + 1) / (a + b + 2), where it converges in
 * about sqrt(max(a, b)) terms. */
static double fraction(double a, double b, double x)
{
    const double tiny = 1e-300, enough = 1e-15;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    double result;

    d = 1 / (fabs(d) < tiny ? tiny : d);
    result = d;
    for (int m = 1; m < TERMS_MAX; m++) {
        const double terms[] = {
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        };
        double change = 1;

        for (int i = 0; i < 2; i++) {
            d = 1 + terms[i] * d;
            c = 1 + terms[i] / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            change = d * c;
            result *= change;
        }
        if (fabs(change - 1) < enough)
            break;
    }
    return result;
}

double cap_stats_beta(double a, double b, double x)
{
    double front;

    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * fraction(a, b, x) / a;
    return 1 - front * fraction(b, a, 1 - x) / b;
}

double cap_stats_beta_quantile(double a, double b, double p)
{
    double low = 0, high = 1;

    for (int i = 0; i < HALVINGS && high - low > 1e-15 * high; i++) {
        double middle = (low + high) / 2;

        if (cap_stats_beta(a, b, middle) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

double cap_stats_binomial(uint64_t k, uint64_t n, double p)
{
    return k >= n ? 1 : cap_stats_beta((double)(n - k), (double)k + 1, 1 - p);
}

/* Of t with df degrees of freedom, df / (df + t^2) is a Beta(df / 2, 1 / 2). */
double cap_stats_t975(double df)
{
    double x = cap_stats_beta_quantile(df / 2, 0.5, 0.05);

    return sqrt(df * (1 - x) / x);
}
