/* Inputs to the price of an hour. Every formula of it is here, in the order of docs/cost.md. */
#include "cost.h"

#include <math.h>

static const struct {
    const char *id, *unit, *source;
    double preset;
} inputs[EVAL_COST_INPUTS] = {
#define INPUT(id, unit, preset, source) {#id, unit, source, preset},
#include "cost.def"
#undef INPUT
};

const char *eval_cost_input_id(enum eval_cost_input input)
{
    return inputs[input].id;
}

const char *eval_cost_input_unit(enum eval_cost_input input)
{
    return inputs[input].unit;
}

const char *eval_cost_source_word(enum eval_cost_source source)
{
    static const char *const words[] = {"unknown", "given", "measured", "table", "default"};

    return words[source];
}

struct eval_cost_machine eval_cost_machine_unknown(unsigned devices)
{
    return (struct eval_cost_machine){.device = "",
                                      .source = "",
                                      .host_source = "",
                                      .devices = devices,
                                      .price = NAN,
                                      .watts = NAN,
                                      .host_price = NAN,
                                      .host_watts = NAN,
                                      .overhead = NAN,
                                      .measured_w = NAN,
                                      .measured_host_w = NAN};
}

/* ---- inputs ---- */

static double of_table(const struct eval_cost_machine *m, enum eval_cost_input input)
{
    switch (input) {
    case EVAL_COST_price:
        return m->price;
    case EVAL_COST_device_watts:
        return m->watts;
    case EVAL_COST_host_price:
        return m->host_price;
    case EVAL_COST_host_watts:
        return m->host_watts;
    case EVAL_COST_overhead:
        return m->overhead;
    default:
        return NAN;
    }
}

static const char *table_of(const struct eval_cost_machine *m, enum eval_cost_input input)
{
    bool is_host = input == EVAL_COST_host_price || input == EVAL_COST_host_watts;

    return is_host ? m->host_source : m->source;
}

static double of_meter(const struct eval_cost_machine *m, enum eval_cost_input input)
{
    if (input == EVAL_COST_device_watts)
        return m->measured_w / m->devices;
    return input == EVAL_COST_host_watts ? m->measured_host_w : NAN;
}

/* The first that is known counts. */
static struct eval_cost_term term_of(const struct eval_cost_machine *m, enum eval_cost_input input,
                                     double given)
{
    const struct eval_cost_term candidates[] = {
        {given, "", EVAL_COST_GIVEN, false},
        {of_meter(m, input), "mean power of the run", EVAL_COST_MEASURED, false},
        {of_table(m, input), table_of(m, input), EVAL_COST_TABLE, false},
        {inputs[input].preset, inputs[input].source, EVAL_COST_DEFAULT, false},
    };

    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++)
        if (!isnan(candidates[i].value))
            return candidates[i];
    return (struct eval_cost_term){NAN, "", EVAL_COST_UNKNOWN, false};
}

void eval_cost_terms(const struct eval_cost_machine *machine, const double given[EVAL_COST_INPUTS],
                     struct eval_cost_term out[EVAL_COST_INPUTS])
{
    bool rented = !isnan(given[EVAL_COST_rent]);

    for (int i = 0; i < EVAL_COST_INPUTS; i++) {
        out[i] = term_of(machine, (enum eval_cost_input)i, given[i]);
        out[i].used = rented == (i == EVAL_COST_rent);
    }
}

/* ---- the hour ---- */

struct eval_cost_hour eval_cost_of_hour(const struct eval_cost_term terms[EVAL_COST_INPUTS],
                                        unsigned devices)
{
    struct eval_cost_hour hour = {.rented = terms[EVAL_COST_rent].used};
    double per_hour, kw;

    for (int i = 0; i < EVAL_COST_INPUTS; i++)
        if (terms[i].used && isnan(terms[i].value)) {
            hour.missing = (enum eval_cost_input)i;
            return hour;
        }
    hour.is_known = true;
    if (hour.rented) {
        hour.devices = hour.total = terms[EVAL_COST_rent].value * devices;
        return hour;
    }
    per_hour = terms[EVAL_COST_overhead].value /
               (terms[EVAL_COST_lifetime_hours].value * terms[EVAL_COST_utilisation].value);
    kw = (terms[EVAL_COST_device_watts].value * devices + terms[EVAL_COST_host_watts].value) / 1000;
    hour.devices = terms[EVAL_COST_price].value * devices * per_hour;
    hour.host = terms[EVAL_COST_host_price].value * per_hour;
    hour.energy = kw * terms[EVAL_COST_pue].value * terms[EVAL_COST_tariff].value;
    hour.total = hour.devices + hour.host + hour.energy;
    return hour;
}

double eval_cost_purchase(const struct eval_cost_term terms[EVAL_COST_INPUTS], unsigned devices)
{
    return terms[EVAL_COST_price].value * devices + terms[EVAL_COST_host_price].value;
}

double eval_cost_busy(double usd_per_s, double ms, double batch)
{
    return usd_per_s * ms / 1000 / batch;
}
