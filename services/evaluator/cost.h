/* cost.h — what a machine costs by the hour, and what a run on it costs.
 *
 * A machine is rented, or it is bought:
 *     rented   rent * devices
 *     bought   (price * devices + host price) * overhead / (lifetime * utilisation)
 *              + (watts * devices + host watts) / 1000 * PUE * tariff
 * A rent covers everything; the other inputs then have no effect. Each input is what somebody gave,
 * else what was measured, else what the table of hardware says, else the default of cost.def; which
 * of them it is goes with it. A run costs the hour's price times its hours: time always counts.
 *
 * NAN stands for a number that nobody knows. Pure functions of plain numbers; any thread. Money is
 * in US dollars. docs/cost.md has worked examples.
 */
#ifndef EVAL_COST_H
#define EVAL_COST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

enum eval_cost_input {
#define INPUT(id, unit, preset, source) EVAL_COST_##id,
#include "cost.def"
#undef INPUT
    EVAL_COST_INPUTS
};

enum eval_cost_source {
    EVAL_COST_UNKNOWN,
    EVAL_COST_GIVEN,
    EVAL_COST_MEASURED,
    EVAL_COST_TABLE,
    EVAL_COST_DEFAULT,
};

/* What is priced; texts are borrowed. */
struct eval_cost_machine {
    const char *device;               /* for people: "H100-SXM"; "" = not known */
    const char *source, *host_source; /* of the table's numbers, for people */
    unsigned devices;                 /* at least 1 */
    bool declared;                    /* the submitter said what it is */
    bool processor;                   /* the device is one: it has no other host */
    const char *problem;              /* why it cannot be priced at all; NULL = it can */
    /* by the table: of one device, and of what the devices sit in */
    double price, watts, host_price, host_watts;
    double overhead;   /* by the table: 1 for a whole system */
    double measured_w; /* of all devices together, over the run */
    double measured_host_w;
};

/* Nothing known but the number of devices. */
struct eval_cost_machine eval_cost_machine_unknown(unsigned devices);

/* machine.c: what somebody says of a server, "8x H100-SXM", whose engine spans `parallel` devices.
 * False when the arena is full. */
bool eval_cost_machine_declared(const char *text, unsigned parallel, struct cap_arena *arena,
                                struct eval_cost_machine *out);
/* What a node says of itself: `count` cards, or processors of which it has `cores` together (0: it
 * runs on cards). */
bool eval_cost_machine_found(const char *text, unsigned count, unsigned cores,
                             struct cap_arena *arena, struct eval_cost_machine *out);

/* What is known of the cost of a run before it is measured. */
struct eval_cost_run {
    struct eval_cost_machine machine;
    double given[EVAL_COST_INPUTS]; /* by the user; NAN = nothing */
    bool alone;                     /* requests came one at a time */
};

struct eval_cost_term {
    double value;
    const char *said; /* where it comes from, for people */
    enum eval_cost_source source;
    bool used; /* the price of the hour depends on it */
};

struct eval_cost_hour {
    double devices, host, energy, total; /* USD an hour; a rent is in `devices` */
    bool rented;
    bool is_known;
    enum eval_cost_input missing; /* the input that would make it known */
};

/* What every input is, given[] being what the user says (NAN = nothing). */
void eval_cost_terms(const struct eval_cost_machine *machine, const double given[EVAL_COST_INPUTS],
                     struct eval_cost_term out[EVAL_COST_INPUTS]);
struct eval_cost_hour eval_cost_of_hour(const struct eval_cost_term terms[EVAL_COST_INPUTS],
                                        unsigned devices);
/* Purchase price of devices and host, nothing added; NAN when it is not known. */
double eval_cost_purchase(const struct eval_cost_term terms[EVAL_COST_INPUTS], unsigned devices);
/* What a request costs for a time that it shares with the others of a batch. */
double eval_cost_busy(double usd_per_s, double ms, double batch);

/* "rent", "USD/h"; "given". */
const char *eval_cost_input_id(enum eval_cost_input input);
const char *eval_cost_input_unit(enum eval_cost_input input);
const char *eval_cost_source_word(enum eval_cost_source source);

#endif
