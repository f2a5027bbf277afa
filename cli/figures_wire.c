#include "figures_wire.h"

#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "moecap/v1/common.rpc.h"

const char cli_csv_head[] =
    "run,model,engine,precision,task,figure,value,low,high,unit,basis,invalid,reason\n";

const char *cli_state_word(Moecap__V1__RunState state)
{
    const char *word = run_state_word(state);

    return *word ? word : "?";
}

static void print_csv_cell(const char *text)
{
    if (!strpbrk(text, ",\"\n")) {
        printf("%s", text);
        return;
    }
    putchar('"');
    for (; *text; text++)
        printf(*text == '"' ? "\"\"" : "%c", *text);
    putchar('"');
}

void cli_print_figures_csv(const Moecap__V1__BoardRow *row)
{
    for (size_t i = 0; i < row->n_figures; i++) {
        const Moecap__V1__Figure *f = row->figures[i];
        const char *const cells[] = {row->run_id,          row->spec->model, row->spec->engine,
                                     row->spec->precision, row->task,        f->id};

        for (size_t k = 0; k < CAP_COUNT_OF(cells); k++) {
            print_csv_cell(cells[k]);
            putchar(',');
        }
        if (f->opt_value_case)
            printf("%.17g", f->value);
        printf(",");
        if (f->opt_low_case)
            printf("%.17g", f->low);
        printf(",");
        if (f->opt_high_case)
            printf("%.17g", f->high);
        printf(",%s,%s,%s,", f->unit, f->basis, f->invalid ? "true" : "false");
        print_csv_cell(f->reason);
        putchar('\n');
    }
}
