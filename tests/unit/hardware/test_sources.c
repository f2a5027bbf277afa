/* Every number of the table of devices stands in one of its sources, tests/golden/metrics/
 * hardware-specs.csv: as it is, or halved where that row says "with-sparsity". A typing error, and
 * a peak that was halved twice or not at all, is a number that stands nowhere. Processors are
 * computed again from cores, clock and memory channels. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "hardware/hardware.h"

/* ---- the file ---- */

enum {
    ROWS_MAX = 96,
    FIELDS = 18,
    NAME = 1,
    MEMORY = 3,
    BANDWIDTH = 4,
    LINK = 5,
    F32 = 6,
    BOARD = 14,
    PRICE = 15,
    BASIS = 16
};

static char *rows[ROWS_MAX][FIELDS];
static size_t row_count;

/* Splits one line in place; quoted fields may hold commas. */
static void split(char *line, char *fields[FIELDS])
{
    for (size_t i = 0; i < FIELDS; i++) {
        bool quoted = *line == '"';
        char *end;

        line += quoted;
        fields[i] = line;
        for (end = line; *end && (quoted ? *end != '"' || end[1] == '"' : *end != ',');)
            end += quoted && *end == '"' ? 2 : 1;
        line = end + (*end != '\0');
        line += quoted && *line == ',';
        *end = '\0';
    }
}

static int read_file(void **state)
{
    static char text[64 << 10];
    char path[4096];

    (void)state;
    snprintf(path, sizeof path, "%s/tests/golden/metrics/hardware-specs.csv",
             getenv("MOECAP_SOURCE_DIR"));
    CAP_AUTO_STREAM FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    strtok(text, "\r\n");
    for (char *line; row_count < ROWS_MAX && (line = strtok(NULL, "\r\n")); row_count++)
        rows[row_count][0] = line;
    for (size_t i = 0; i < row_count; i++)
        split(rows[i][0], rows[i]);
    return row_count < 50;
}

/* ---- names that the sources use ---- */

static const struct {
    const char *ours, *theirs[5];
} names[] = {
    {"A100-PCIe-40GB", {"NVIDIA-A100-PCIe-40GB"}},
    {"A100-PCIe-80GB", {"NVIDIA-A100-PCIe-80GB", "A100-80G-PCIe"}},
    {"A100-SXM4-40GB", {"NVIDIA-A100-SXM4-40GB"}},
    {"A100-SXM4-80GB", {"NVIDIA-A100-SXM4-80GB", "A100-80G-SXM4"}},
    {"H100-PCIe-80GB", {"NVIDIA-H100-PCIe-80GB", "H100-PCIe"}},
    {"H100-SXM-80GB", {"NVIDIA-H100-HBM3-80GB", "NVIDIA-H100-SXM5-80GB", "H100-SXM"}},
    {"H200-SXM-141GB", {"NVIDIA-H200-141GB", "NVIDIA-H200-SXM-141GB"}},
    {"GH200-96GB", {"NVIDIA-GH200-96GB"}},
    {"B200-183GB", {"NVIDIA-B200-183GB"}},
    {"B300-269GB", {"NVIDIA-B300-269GB"}},
    {"GB10-128GB", {"NVIDIA-GB10", "NVIDIA-GB10-128GB"}},
    {"RTX-A5000-24GB", {"NVIDIA-RTX-A5000-24GB", "A5000"}},
    {"RTX-A6000-48GB", {"NVIDIA-RTX-A6000-48GB", "A6000"}},
    {"RTX-PRO-6000-Blackwell-Server-96GB", {"NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition-96GB"}},
    {"RTX-4090-24GB", {"NVIDIA-RTX-4090-24GB", "4090"}},
    {"RTX-5080-16GB", {"5080"}},
    {"RTX-5090-32GB", {"NVIDIA-RTX-5090-32GB", "5090"}},
    {"MI250X-128GB", {"AMD-Instinct-MI250X-128GB"}},
    {"MI300X-192GB", {"AMD-Instinct-MI300X-192GB"}},
    /* the same compute dies as MI300X */
    {"MI325X-256GB", {"AMD-Instinct-MI325X-256GB", "AMD-Instinct-MI300X-192GB"}},
    {"MI355X-288GB", {"AMD-Instinct-MI355X-288GB"}},
    {"Blackhole-P150b-32GB", {"Tenstorrent-Blackhole-P150b"}},
    {"CS-3", {"Cerebras-CS-3"}},
};

static bool is_row_of(const char *ours, const char *theirs)
{
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        for (size_t k = 0; strcmp(names[i].ours, ours) == 0 && names[i].theirs[k]; k++)
            if (strcmp(names[i].theirs[k], theirs) == 0)
                return true;
    return false;
}

static void assert_stands_somewhere(const struct cap_device *device, size_t field, double value)
{
    if (value == 0)
        return;
    for (size_t i = 0; i < row_count; i++) {
        bool sparse = strncmp(rows[i][BASIS], "with-sparsity", strlen("with-sparsity")) == 0;
        bool is_peak = field > F32 && field < BOARD; /* f32 itself has no sparse rate */
        double said = strtod(rows[i][field], NULL) * (sparse && is_peak ? 0.5 : 1);

        if (is_row_of(device->name, rows[i][NAME]) && fabs(said - value) < 1e-9 * value)
            return;
    }
    if (field == MEMORY && strcmp(device->name, "B300-269GB") == 0)
        return; /* it stands in the name there */
    fail_msg("%s: %g of column %zu stands in no source", device->name, value, field);
}

static void every_number_of_a_card_stands_in_a_source(void **state)
{
    size_t count, cards = 0;
    const struct cap_device *devices = cap_hardware_devices(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct cap_device *d = &devices[i];

        if (d->kind == CAP_DEVICE_CPU)
            continue;
        cards++;
        assert_stands_somewhere(d, MEMORY, d->memory_gb);
        assert_stands_somewhere(d, BANDWIDTH, d->bandwidth_gb_s);
        assert_stands_somewhere(d, LINK, d->link_gb_s);
        for (size_t c = 0; c < CAP_COMPUTE_COUNT; c++)
            assert_stands_somewhere(d, F32 + c, d->tflops[c]);
        assert_stands_somewhere(d, BOARD, d->board_w);
        assert_stands_somewhere(d, PRICE, d->price_usd);
    }
    assert_int_equal(cards, CAP_COUNT_OF(names));
}

static void every_device_of_the_sources_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < row_count; i++) {
        bool found = strcmp(rows[i][NAME], "NVIDIA-GB10-UnknownGB") == 0 || /* the same one */
                     strcmp(rows[i][NAME], "NVIDIA-H200-140GB") == 0;

        for (size_t k = 0; k < CAP_COUNT_OF(names); k++)
            found = found || is_row_of(names[k].ours, rows[i][NAME]);
        if (!found)
            fail_msg("%s has no row", rows[i][NAME]);
    }
}

/* "NVIDIA-H200-140GB", "A100-80G-SXM4", "5090": the names of earlier tables still mean the card. */
static void every_name_of_the_sources_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < row_count; i++) {
        struct cap_hardware found;
        struct cap_err err = {0};

        if (!cap_hardware_find(rows[i][NAME], 0, &found, &err))
            fail_msg("%s: %s", rows[i][NAME], err.text);
        if (!is_row_of(found.device->name, rows[i][NAME]) &&
            strcmp(rows[i][NAME], "NVIDIA-GB10-UnknownGB") != 0 &&
            strcmp(rows[i][NAME], "NVIDIA-H200-140GB") != 0)
            fail_msg("%s is taken for %s", rows[i][NAME], found.device->name);
    }
}

/* cores, highest clock in GHz, operations a cycle; eight channels of MT/s */
static void assert_processor(const char *name, double cores, double ghz, const double cycle[3],
                             double mt_s)
{
    struct cap_hardware found;
    struct cap_err err = {0};
    static const enum cap_compute computes[] = {CAP_COMPUTE_F32, CAP_COMPUTE_BF16,
                                                CAP_COMPUTE_INT8};

    assert_true(cap_hardware_find(name, 0, &found, &err));
    for (size_t i = 0; i < CAP_COUNT_OF(computes); i++)
        assert_true(fabs(found.device->tflops[computes[i]] - cores * ghz * cycle[i] / 1000) < 1e-9);
    assert_true(fabs(found.device->bandwidth_gb_s - 8 * 8 * mt_s / 1000) < 1e-9);
}

static void processors_are_cores_times_clock_times_width(void **state)
{
    static const double amx[] = {64, 2048, 4096}, avx2[] = {32, 0, 0};

    (void)state;
    assert_processor("Xeon 8468", 48, 3.8, amx, 4800);
    assert_processor("Xeon 8558", 48, 4.0, amx, 5200);
    assert_processor("EPYC 7713P", 64, 3.675, avx2, 3200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_a_card_stands_in_a_source),
        cmocka_unit_test(every_device_of_the_sources_has_a_row),
        cmocka_unit_test(every_name_of_the_sources_is_understood),
        cmocka_unit_test(processors_are_cores_times_clock_times_width),
    };

    return cmocka_run_group_tests(tests, read_file, NULL);
}
