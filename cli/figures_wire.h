/* figures_wire.h — figures and states of runs in words, for the commands that print them. One
 * thread.
 */
#ifndef CLI_FIGURES_WIRE_H
#define CLI_FIGURES_WIRE_H

#include "moecap/v1/store.pb-c.h"

/* "queued", "finished" */
const char *cli_state_word(Moecap__V1__RunState state);

/* The heading of what cli_print_figures_csv prints. */
extern const char cli_csv_head[];
/* One line a figure: long format takes new figures without new columns. */
void cli_print_figures_csv(const Moecap__V1__BoardRow *row);

#endif
