/* Energy on the node: windows over readings, each source against a stand-in of it (a folder, a
 * library, a small server), and what is said where nothing tells. The test holds the clock. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "fake_nvml.h"
#include "http/server.h"
#include "inference/node/rows.h"
#include "inference/power/meter.h"
#include "inference/power/power.h"
#include "inference/power/source.h"

enum { NOBODY = 65534 };

#define S(seconds) ((int64_t)((seconds)*1e9))

static int64_t time_ns = S(100), slept_ns;

static int64_t held_ns(const struct cap_clock *clock)
{
    (void)clock;
    return time_ns;
}

static int64_t held_sleep(void)
{
    return slept_ns;
}

static const struct cap_clock held = {held_ns, held_ns};

static void assert_about(double value, double expected, double within)
{
    if (!(fabs(value - expected) <= within))
        fail_msg("%.12g is not %.12g", value, expected);
}

/* ================ meters ================ */

static const struct infer_power_device counter = {.name = "package-0", .renew_ms = 1};

static void add(struct infer_meter *meter, double at_s, double joules, double watts)
{
    infer_meter_add(meter, S(at_s), &(struct infer_power_value){joules, watts});
}

static struct infer_energy result_of(const struct infer_meter *meter)
{
    struct infer_energy energy;

    infer_meter_result(meter, &energy);
    return energy;
}

static void assert_invalid(const struct infer_meter *meter, enum infer_power_validity validity,
                           const char *why)
{
    struct infer_energy energy = result_of(meter);

    assert_int_equal(energy.validity, validity);
    assert_non_null(strstr(energy.why, why));
    assert_true(isnan(energy.joules));
    assert_true(isnan(energy.integrated));
}

static void trap_e4_what_is_before_the_window_is_not_in_it(void **state)
{
    struct infer_meter meter;
    struct infer_energy energy;

    (void)state;
    infer_meter_start(&meter, &counter, S(10.5));
    add(&meter, 10, 1000, NAN);
    add(&meter, 11, 1100, NAN); /* 100 W: half of it is before the window */
    add(&meter, 13, 1500, NAN); /* 200 W */
    infer_meter_stop(&meter, S(13.25));
    add(&meter, 14, 1900, NAN); /* 400 W: a quarter of it is in the window */
    energy = result_of(&meter);
    assert_int_equal(energy.validity, INFER_POWER_OK);
    assert_about(energy.joules, 50 + 400 + 100, 1e-9);
    assert_about(energy.seconds, 2.75, 1e-12);
    assert_true(isnan(energy.integrated));
}

/* Five readings of a rising power: their mean times the time is another number. */
static void trap_e1_power_is_integrated_over_its_own_times(void **state)
{
    static const double at[] = {0, 1, 1.5, 3, 4}, watts[] = {100, 200, 400, 100, 100};
    struct infer_meter meter;
    struct infer_energy energy;

    (void)state;
    infer_meter_start(&meter, &counter, S(0.5));
    for (size_t i = 0; i < CAP_COUNT_OF(at); i++) {
        if (i == CAP_COUNT_OF(at) - 1)
            infer_meter_stop(&meter, S(3.5));
        add(&meter, at[i], NAN, watts[i]);
    }
    energy = result_of(&meter);
    assert_int_equal(energy.validity, INFER_POWER_OK);
    /* 0.5 s from 150 to 200 W, 0.5 s to 400, 1.5 s to 100, 0.5 s at 100 */
    assert_about(energy.joules, 87.5 + 150 + 375 + 50, 1e-9);
    assert_about(energy.watts_max, 400, 0);
}

static void trap_c7_fractions_of_watts_are_kept(void **state)
{
    struct infer_meter meter;

    (void)state;
    infer_meter_start(&meter, &counter, S(0));
    add(&meter, 0, 0.25, NAN);
    infer_meter_stop(&meter, S(0.5));
    add(&meter, 0.5, 0.5, NAN);
    assert_about(result_of(&meter).joules, 0.25, 1e-12);
}

static void a_counter_that_begins_again_once_is_followed(void **state)
{
    struct infer_power_device device = counter;
    struct infer_meter meter;

    (void)state;
    device.range_joules = 1000;
    device.limit_watts = 100;
    infer_meter_start(&meter, &device, S(0));
    add(&meter, 0, 990, NAN);
    infer_meter_stop(&meter, S(1));
    add(&meter, 1, 40, NAN);
    assert_int_equal(result_of(&meter).validity, INFER_POWER_OK);
    assert_about(result_of(&meter).joules, 50, 1e-9);
}

static void a_counter_that_may_have_begun_again_twice_tells_nothing(void **state)
{
    struct infer_power_device device = counter;
    struct infer_meter meter;

    (void)state;
    device.range_joules = 1000;
    device.limit_watts = 100;
    infer_meter_start(&meter, &device, S(0));
    add(&meter, 0, 990, NAN);
    infer_meter_stop(&meter, S(9));
    add(&meter, 9, 995, NAN); /* at 120 W it may have made 1080 J */
    assert_invalid(&meter, INFER_POWER_WRAPPED, "more than once");
}

static void a_counter_that_was_set_back_tells_nothing(void **state)
{
    struct infer_power_device device = counter;
    struct infer_meter meter;

    (void)state;
    device.range_joules = 262143; /* memory has no limit that would make the watts impossible */
    infer_meter_start(&meter, &device, S(0));
    add(&meter, 0, 990, NAN);
    infer_meter_stop(&meter, S(1));
    add(&meter, 1, 40, NAN); /* 261 kW is no counter that began again */
    assert_invalid(&meter, INFER_POWER_RESET, "went back");
    infer_meter_start(&meter, &counter, S(0));
    add(&meter, 0, 990, NAN);
    infer_meter_stop(&meter, S(1));
    add(&meter, 1, 40, NAN);
    assert_invalid(&meter, INFER_POWER_RESET, "went back");
}

/* The same value again is not a stretch of no power. */
static void a_counter_that_is_renewed_rarely_is_carried_to_the_end(void **state)
{
    struct infer_meter meter;

    (void)state;
    infer_meter_start(&meter, &counter, S(0));
    add(&meter, -0.5, 0, NAN);
    for (int i = 0; i < 40; i++) /* 100 W, told once a second */
        add(&meter, 0.1 * i, 100 * floor(0.1 * i + 0.5), NAN);
    infer_meter_stop(&meter, S(4.3));
    add(&meter, 4.3, 400, NAN); /* still what it told at 3.5 s */
    assert_int_equal(result_of(&meter).validity, INFER_POWER_OK);
    assert_about(result_of(&meter).joules, 430, 1e-6);
}

static void readings_that_are_missing_make_gaps(void **state)
{
    struct infer_meter meter;

    (void)state;
    infer_meter_start(&meter, &counter, S(0));
    add(&meter, 0, NAN, 100);
    add(&meter, 3.5, NAN, 100);
    infer_meter_stop(&meter, S(4));
    add(&meter, 4, NAN, 100);
    assert_invalid(&meter, INFER_POWER_GAPS, "3.5 s without a new value; at most 3 s");
    /* a counter has lost nothing in the middle */
    infer_meter_start(&meter, &counter, S(0));
    add(&meter, 0, 0, NAN);
    add(&meter, 1, 100, NAN);
    add(&meter, 9, 900, NAN);
    infer_meter_stop(&meter, S(10));
    add(&meter, 10, 1000, NAN);
    assert_int_equal(result_of(&meter).validity, INFER_POWER_OK);
    assert_about(result_of(&meter).joules, 1000, 1e-9);
}

static void a_window_shorter_than_its_source_is_quick_is_not_measured(void **state)
{
    struct infer_power_device device = {.renew_ms = 100};
    struct infer_meter meter;

    (void)state;
    infer_meter_start(&meter, &device, S(0));
    add(&meter, 0, 0, NAN);
    infer_meter_stop(&meter, S(1));
    add(&meter, 1, 100, NAN);
    assert_invalid(&meter, INFER_POWER_GAPS, "1 s are too short");
}

static void a_clock_that_goes_back_makes_the_window_invalid(void **state)
{
    struct infer_meter meter;

    (void)state;
    infer_meter_start(&meter, &counter, S(0));
    add(&meter, 1, 0, NAN);
    add(&meter, 0.5, 10, NAN);
    infer_meter_stop(&meter, S(2));
    assert_invalid(&meter, INFER_POWER_CLOCK, "went back");
}

static void a_device_that_was_never_read_has_gaps(void **state)
{
    struct infer_meter meter;

    (void)state;
    infer_meter_start(&meter, &counter, S(0));
    infer_meter_stop(&meter, S(2));
    assert_invalid(&meter, INFER_POWER_GAPS, "could not be read");
}

static void rows_are_means_of_a_second_and_sum_to_the_energy(void **state)
{
    struct infer_meter meter;
    double watts, sum = 0;
    int64_t at_ns, before = 0;
    int rows = 0;

    (void)state;
    infer_meter_start(&meter, &counter, S(0));
    for (int i = 0; i <= 30; i++) {
        add(&meter, 0.1 * i, i * i, NAN);
        if (infer_meter_row(&meter, &at_ns, &watts)) {
            sum += watts * (double)(at_ns - before) / 1e9;
            before = at_ns;
            rows++;
        }
    }
    assert_int_equal(rows, 3);
    assert_about(sum, 900, 1e-6);
}

/* ================ a node with sources ================ */

/* Folders of RAPL, made anew for each test. */
struct machine {
    char root[64], dev[80], rapl[80];
    struct infer_power_options options;
    struct fake_nvml *nvml;
    void *library;
    struct infer_energy energy[INFER_POWER_DEVICES_MAX];
    int count;
};

static void put(struct machine *m, const char *zone, const char *file, const char *text)
{
    char path[256];
    struct cap_err err = {0};

    snprintf(path, sizeof path, "%s/%s", m->rapl, zone);
    assert_true(cap_dir_make(path, &err));
    snprintf(path, sizeof path, "%s/%s/%s", m->rapl, zone, file);
    /* In place, as the kernel's are: the node keeps them open. */
    CAP_AUTO_STREAM FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    fprintf(stream, "%s\n", text);
}

static void put_joules(struct machine *m, const char *zone, double joules)
{
    char text[32];

    snprintf(text, sizeof text, "%.0f", joules * 1e6);
    put(m, zone, "energy_uj", text);
}

static void make_zone(struct machine *m, const char *zone, const char *name)
{
    put(m, zone, "name", name);
    put(m, zone, "max_energy_range_uj", "262143328850");
    put(m, zone, "constraint_0_power_limit_uw", "150000000");
    put(m, zone, "constraint_1_power_limit_uw", "180000000");
    put_joules(m, zone, 1000);
}

static void make_rapl(struct machine *m)
{
    make_zone(m, "intel-rapl:0", "package-0");
    make_zone(m, "intel-rapl:0:0", "core");
    make_zone(m, "intel-rapl:0:1", "dram");
    make_zone(m, "intel-rapl:1", "package-1");
    make_zone(m, "intel-rapl:2", "psys");
    make_zone(m, "intel-rapl-mmio:0", "package-0");
}

static int set_up(void **state)
{
    struct machine *m = calloc(1, sizeof *m);
    struct cap_err err = {0};

    snprintf(m->root, sizeof m->root, "/tmp/moecap-power-XXXXXX");
    assert_non_null(mkdtemp(m->root));
    snprintf(m->dev, sizeof m->dev, "%s/dev", m->root);
    snprintf(m->rapl, sizeof m->rapl, "%s/powercap", m->root);
    assert_true(cap_dir_make(m->dev, &err));
    m->library = dlopen(MOECAP_FAKE_NVML, RTLD_NOW);
    assert_non_null(m->library);
    m->nvml = dlsym(m->library, "fake_nvml");
    assert_non_null(m->nvml);
    *m->nvml = (struct fake_nvml){.boards = 2};
    m->options = (struct infer_power_options){.rapl = m->rapl,
                                              .nvml = "",
                                              .url = "",
                                              .gpus = "",
                                              .dev = m->dev,
                                              .clock = &held,
                                              .slept_ns = held_sleep};
    slept_ns = 0;
    *state = m;
    return 0;
}

static int tear_down(void **state)
{
    struct machine *m = *state;
    char command[128];

    dlclose(m->library);
    snprintf(command, sizeof command, "rm -rf '%s'", m->root);
    assert_int_equal(system(command), 0);
    free(m);
    return 0;
}

/* Ten seconds in which zone `zone` draws 50 W, or nothing if it is NULL. */
static void run_window(struct machine *m, struct infer_power *power, enum infer_power_scope scope,
                       const char *zone)
{
    infer_power_set_busy(power, true);
    infer_power_begin(power, scope);
    for (int i = 1; i <= 10; i++) {
        time_ns += S(1);
        if (zone)
            put_joules(m, zone, 1000 + 50 * i);
        for (unsigned b = 0; b < 2; b++)
            m->nvml->millijoules[b] += 400 * 1000;
        if (i < 10)
            infer_power_read(power);
    }
    m->count = infer_power_end(power, m->energy);
}

static const struct infer_energy *energy_of(const struct machine *m, const char *device)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->energy[i].device, device) == 0)
            return &m->energy[i];
    fail_msg("nothing is said of %s", device);
    return NULL;
}

static void assert_energy(const struct machine *m, const char *device, double joules)
{
    const struct infer_energy *energy = energy_of(m, device);

    if (energy->validity != INFER_POWER_OK)
        fail_msg("%s: %s", device, energy->why);
    assert_about(energy->joules, joules, 1e-6);
    assert_about(energy->seconds, 10, 1e-9);
}

/* Where nothing tells: the one reading of that kind without a device. */
static const struct infer_energy *missing(const struct machine *m, enum infer_power_kind kind)
{
    for (int i = 0; i < m->count; i++)
        if (m->energy[i].kind == kind && !*m->energy[i].device)
            return &m->energy[i];
    fail_msg("nothing is said of %s", infer_power_kind_word(kind));
    return NULL;
}

static void trap_e3_rapl_tells_packages_and_memory_and_nothing_twice(void **state)
{
    struct machine *m = *state;

    make_rapl(m);
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    assert_int_equal(m->count, 3); /* neither core, nor psys, nor the mmio way to package 0 */
    assert_energy(m, "package-0", 500);
    assert_string_equal(energy_of(m, "package-0")->source, "rapl");
    assert_about(energy_of(m, "package-0")->limit_watts, 180, 0);
    assert_int_equal(energy_of(m, "dram-0")->kind, INFER_POWER_DRAM);
    assert_int_equal(energy_of(m, "package-1")->kind, INFER_POWER_CPU);
}

static void a_limit_that_is_not_enforced_is_unknown(void **state)
{
    struct machine *m = *state;

    make_rapl(m);
    put(m, "intel-rapl:0", "enabled", "0");
    put(m, "intel-rapl:1", "enabled", "1");
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    assert_true(isnan(energy_of(m, "package-0")->limit_watts));
    assert_about(energy_of(m, "package-1")->limit_watts, 180, 0);
}

static void rows_come_once_and_only_of_devices_that_count(void **state)
{
    struct machine *m = *state;
    struct infer_power_row rows[64];
    int count;

    make_rapl(m);
    m->options.nvml = MOECAP_FAKE_NVML;
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    count = infer_power_rows(power, rows, 64);
    assert_int_equal(count, 10); /* package-0: the others drew nothing, which is no new value */
    for (int i = 0; i < count; i++) {
        assert_string_equal(rows[i].device, "package-0");
        assert_about(rows[i].watts, 50, 1e-6);
    }
    assert_int_equal(infer_power_rows(power, rows, 64), 0);
}

static void no_rapl_says_where_it_was_looked_for(void **state)
{
    struct machine *m = *state;

    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_PROCESSOR, NULL);
    assert_int_equal(m->count, 2); /* cpu, dram; nobody asks for GPUs */
    assert_int_equal(missing(m, INFER_POWER_CPU)->validity, INFER_POWER_NO_SOURCE);
    assert_non_null(strstr(missing(m, INFER_POWER_CPU)->why, "no RAPL at"));
    assert_non_null(strstr(missing(m, INFER_POWER_CPU)->why, m->rapl));
    assert_true(isnan(missing(m, INFER_POWER_DRAM)->joules));
}

static void memory_without_a_counter_says_that_rapl_does_not_tell_it(void **state)
{
    struct machine *m = *state;

    make_zone(m, "intel-rapl:0", "package-0");
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    assert_energy(m, "package-0", 500);
    assert_string_equal(missing(m, INFER_POWER_DRAM)->why, "rapl tells nothing of it here");
}

static void a_counter_that_may_not_be_read_says_what_to_do(void **state)
{
    struct machine *m = *state;
    char path[256];

    make_rapl(m);
    snprintf(path, sizeof path, "%s/intel-rapl:0/energy_uj", m->rapl);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(m->root, 0755), 0);
    if (geteuid() == 0) /* root may read everything */
        assert_int_equal(seteuid(NOBODY), 0);
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_PROCESSOR, NULL);
    assert_int_equal(missing(m, INFER_POWER_CPU)->validity, INFER_POWER_PERMISSION);
    assert_non_null(strstr(missing(m, INFER_POWER_CPU)->why, "run the node as root"));
    /* and it works once that was done, without a new start */
    assert_int_equal(seteuid(getuid()), 0);
    assert_int_equal(chmod(path, 0644), 0);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    assert_energy(m, "package-0", 500);
}

static void a_source_that_comes_later_is_found_by_the_next_run(void **state)
{
    struct machine *m = *state;

    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_PROCESSOR, NULL);
    assert_int_equal(missing(m, INFER_POWER_CPU)->validity, INFER_POWER_NO_SOURCE);
    make_rapl(m);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    assert_energy(m, "package-0", 500);
}

/* ---- NVML ---- */

static void trap_e5_each_board_is_told_and_none_is_a_mean(void **state)
{
    struct machine *m = *state;

    make_rapl(m);
    m->options.nvml = MOECAP_FAKE_NVML;
    m->nvml->milliwatts[0] = m->nvml->milliwatts[1] = 400000;
    {
        CAP_AUTO(infer_power) power = infer_power_open(&m->options);
        run_window(m, power, INFER_POWER_HOST, "intel-rapl:0");
        assert_energy(m, "gpu0", 4000);
        assert_energy(m, "gpu1", 4000);
        assert_energy(m, "package-0", 500);
        assert_about(energy_of(m, "gpu1")->integrated, 4000, 1e-6);
        assert_about(energy_of(m, "gpu1")->limit_watts, 700, 0);
        assert_string_equal(energy_of(m, "gpu1")->model, "NVIDIA H200");
    }
    assert_int_equal(m->nvml->ended, 1);
}

static void boards_without_a_counter_are_integrated(void **state)
{
    struct machine *m = *state;

    m->options.nvml = MOECAP_FAKE_NVML;
    m->nvml->energy_status = 3; /* not supported */
    m->nvml->milliwatts[0] = 123456;
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_HOST, NULL);
    assert_energy(m, "gpu0", 1234.56);
    assert_true(isnan(energy_of(m, "gpu0")->integrated));
}

static void our_engine_on_the_processor_is_not_charged_for_gpus(void **state)
{
    struct machine *m = *state;

    make_rapl(m);
    m->options.nvml = MOECAP_FAKE_NVML;
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    for (int i = 0; i < m->count; i++)
        assert_int_not_equal(m->energy[i].kind, INFER_POWER_GPU);
}

static void only_the_gpus_that_count_are_counted(void **state)
{
    struct machine *m = *state;

    (void)state;
    assert_true(infer_power_gpu_counts("", 3, "GPU-x"));
    assert_true(infer_power_gpu_counts("0,3", 3, "GPU-x"));
    assert_true(infer_power_gpu_counts("GPU-y,GPU-x", 3, "GPU-x"));
    assert_false(infer_power_gpu_counts("0,33", 3, "GPU-x"));
    assert_false(infer_power_gpu_counts(",", 3, ""));
    m->options.nvml = MOECAP_FAKE_NVML;
    m->options.gpus = "GPU-1";
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_HOST, NULL);
    assert_energy(m, "gpu1", 4000);
    for (int i = 0; i < m->count; i++)
        assert_string_not_equal(m->energy[i].device, "gpu0");
}

static void gpus_that_nobody_tells_are_named_with_what_was_tried(void **state)
{
    struct machine *m = *state;
    char path[128];
    struct cap_err err = {0};

    snprintf(path, sizeof path, "%s/nvidiactl", m->dev);
    assert_true(cap_file_write(path, "", 0, &err));
    m->options.nvml = "libmoecap-there-is-none.so.1";
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_HOST, NULL);
    assert_string_equal(missing(m, INFER_POWER_GPU)->why,
                        "no libmoecap-there-is-none.so.1: there is no NVIDIA driver here, or a "
                        "container was not given it; power_url is not set");
}

static void nvml_that_does_not_start_says_why(void **state)
{
    struct machine *m = *state;
    struct infer_power_state states[INFER_POWER_SOURCES_MAX];

    m->options.nvml = MOECAP_FAKE_NVML;
    m->nvml->init_status = 9;
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    assert_int_equal(infer_power_states(power, states), 3);
    assert_false(states[0].works);
    assert_string_equal(states[0].why, "NVML did not start: Driver Not Loaded");
    m->nvml->init_status = 4;
    infer_power_begin(power, INFER_POWER_HOST);
    m->count = infer_power_end(power, m->energy);
    infer_power_states(power, states);
    assert_non_null(strstr(states[0].why, "/dev/nvidiactl"));
}

static void a_machine_that_slept_has_no_energy_of_its_run(void **state)
{
    struct machine *m = *state;

    make_rapl(m);
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    infer_power_begin(power, INFER_POWER_PROCESSOR);
    time_ns += S(10);
    slept_ns = S(60);
    put_joules(m, "intel-rapl:0", 1500);
    m->count = infer_power_end(power, m->energy);
    assert_int_equal(energy_of(m, "package-0")->validity, INFER_POWER_CLOCK);
    assert_true(isnan(energy_of(m, "package-0")->joules));
}

/* ---- a server's exporter ---- */

static char exported[2048];

static void tell_metrics(struct cap_http_request *request, void *self)
{
    (void)self;
    cap_http_reply(request, 200, "text/plain", exported, strlen(exported));
}

static void export_watts(double watts0, double joules0)
{
    snprintf(exported, sizeof exported,
             "# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).\n"
             "# TYPE DCGM_FI_DEV_POWER_USAGE gauge\n"
             "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\",UUID=\"GPU-a\",modelName=\"NVIDIA \\\"H200\\\"\"} "
             "%.3f\n"
             "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\",UUID=\"GPU-a\",GPU_I_ID=\"1\"} 999\n"
             "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu=\"0\",UUID=\"GPU-a\"} %.6e\n"
             "DCGM_FI_DEV_POWER_MGMT_LIMIT{gpu=\"0\",UUID=\"GPU-a\"} 700.0\n"
             "DCGM_FI_DEV_POWER_USAGE{gpu=\"1\" broken\n",
             watts0, joules0 * 1e3);
}

static struct cap_http_server *start_exporter(char url[64])
{
    static const struct cap_http_route routes[] = {{"GET", "/metrics", tell_metrics}};
    struct cap_err err = {0};
    int port;
    struct cap_http_server *server = cap_http_server_start(
        &(struct cap_http_server_options){.host = "127.0.0.1", .routes = routes, .route_count = 1},
        &port, &err);

    assert_non_null(server);
    snprintf(url, 64, "http://127.0.0.1:%d/metrics", port);
    return server;
}

static void an_exporter_tells_the_gpus_of_another_machine(void **state)
{
    struct machine *m = *state;
    char url[64];
    CAP_AUTO(cap_http_server) server = start_exporter(url);

    make_rapl(m);
    export_watts(400, 5000);
    m->options.url = url;
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    infer_power_begin(power, INFER_POWER_ELSEWHERE);
    for (int i = 1; i <= 30; i++) {
        time_ns += S(1);
        export_watts(400, 5000 + 400 * i);
        infer_power_read(power);
    }
    m->count = infer_power_end(power, m->energy);
    assert_int_equal(energy_of(m, "gpu0")->validity, INFER_POWER_OK);
    assert_about(energy_of(m, "gpu0")->joules, 12000, 1e-6);
    assert_about(energy_of(m, "gpu0")->integrated, 12000, 1e-6);
    assert_about(energy_of(m, "gpu0")->limit_watts, 700, 0);
    /* this machine's processors are not those of the server */
    assert_string_equal(missing(m, INFER_POWER_CPU)->why, "the server is on another machine");
}

static void an_exporter_that_renews_its_values_rarely_has_gaps(void **state)
{
    struct machine *m = *state;
    char url[64];
    CAP_AUTO(cap_http_server) server = start_exporter(url);

    export_watts(400, 0);
    m->options.url = url;
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    infer_power_begin(power, INFER_POWER_ELSEWHERE);
    for (int i = 1; i <= 90; i++) {
        time_ns += S(1);
        export_watts(400, 400 * (30 * floor(i / 30.0)));
        infer_power_read(power);
    }
    time_ns += S(7);
    m->count = infer_power_end(power, m->energy);
    assert_int_equal(energy_of(m, "gpu0")->validity, INFER_POWER_GAPS);
}

/* A password in the URL would be in the reasons, which every reader sees. */
static void a_url_with_a_password_is_refused(void **state)
{
    struct machine *m = *state;
    struct infer_power_state states[INFER_POWER_SOURCES_MAX];

    m->options.url = "http://me:secret@127.0.0.1:1/metrics";
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    infer_power_states(power, states);
    assert_non_null(strstr(states[2].why, "power_url: holds a user or a password"));
    assert_null(strstr(states[2].why, "secret"));
}

static void an_exporter_that_is_gone_says_so(void **state)
{
    struct machine *m = *state;

    m->options.url = "http://127.0.0.1:1/metrics";
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    run_window(m, power, INFER_POWER_ELSEWHERE, NULL);
    assert_int_equal(missing(m, INFER_POWER_GPU)->validity, INFER_POWER_NO_SOURCE);
    assert_non_null(strstr(missing(m, INFER_POWER_GPU)->why, "power_url: "));
}

static void bad_lines_of_an_exporter_are_passed_by(void **state)
{
    static const char *const bad[] = {"m{",        "m{a",       "m{a=",       "m{a=\"",
                                      "m{a=\"x\\", "m{a=\"x\"", "m{a=\"x\"}", "m{a=\"x\"} NaN",
                                      "m ",        "mm 1",      "m{}x 1",     "m{a=\"x\n\"} 1"};
    struct infer_prometheus_sample sample;
    const char *good = "m{gpu=\"7\", UUID=\"GPU-\\\"7\" } 1.5e3\nm 2\n";

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(bad); i++) {
        const char *at = bad[i];
        assert_false(infer_prometheus_next(&at, "m", &sample));
        assert_int_equal(*at, '\0');
    }
    assert_true(infer_prometheus_next(&good, "m", &sample));
    assert_string_equal(sample.gpu, "7");
    assert_about(sample.value, 1500, 0);
    assert_true(infer_prometheus_next(&good, "m", &sample));
    assert_about(sample.value, 2, 0);
    assert_string_equal(sample.gpu, "");
}

/* ---- idle power ---- */

/* `seconds` in which package 0 draws 20 W, and the node reads it. */
static void pass_idly(struct machine *m, struct infer_power *power, int seconds)
{
    static double joules = 1000;

    for (int i = 0; i < seconds; i++) {
        time_ns += S(1);
        put_joules(m, "intel-rapl:0", joules += 20);
        infer_power_read(power);
    }
}

static void trap_e2_idle_power_is_measured_while_nothing_runs(void **state)
{
    struct machine *m = *state;

    make_rapl(m);
    m->options.idle_ms = 3000;
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    infer_power_set_busy(power, true);
    pass_idly(m, power, 9); /* not idle at all */
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    assert_true(isnan(energy_of(m, "package-0")->idle_watts));
    assert_non_null(strstr(energy_of(m, "package-0")->idle_unknown, "never idle"));
    infer_power_set_busy(power, false);
    pass_idly(m, power, 9);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    assert_about(energy_of(m, "package-0")->idle_watts, 20, 1e-6);
    assert_string_equal(energy_of(m, "package-0")->idle_unknown, "");
}

static void idle_power_that_nobody_wants_says_so(void **state)
{
    struct machine *m = *state;

    make_rapl(m);
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    pass_idly(m, power, 9);
    run_window(m, power, INFER_POWER_PROCESSOR, "intel-rapl:0");
    assert_non_null(strstr(energy_of(m, "package-0")->idle_unknown, "power_idle_s is 0"));
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* A source that never tells idle power would hold up every run. */
static void idle_power_is_awaited_once_at_most(void **state)
{
    struct machine *m = *state;

    make_rapl(m);
    m->options.idle_ms = 3600 * 1000;
    m->options.interval_ms = 10;
    CAP_AUTO(infer_power) power = infer_power_open(&m->options);
    time_ns += S(2 * 3600); /* in vain */
    infer_power_await_idle(power, never, NULL);
    infer_power_set_busy(power, true);
    infer_power_set_busy(power, false);
    infer_power_await_idle(power, never, NULL); /* would take an hour */
}

/* ---- the thread ---- */

static void the_thread_reads_by_itself_and_ends(void **state)
{
    struct machine *m = *state;
    struct infer_power_row row;

    make_rapl(m);
    m->options.interval_ms = 1;
    m->options.clock = cap_clock_system();
    {
        CAP_AUTO(infer_power) power = infer_power_open(&m->options);
        infer_power_begin(power, INFER_POWER_PROCESSOR);
        for (int i = 0; i < 20; i++) {
            infer_power_rows(power, &row, 1);
            infer_power_set_busy(power, i % 2);
        }
        m->count = infer_power_end(power, m->energy);
    }
    assert_int_equal(m->count, 3);
}

/* ---- as messages ---- */

static void unknown_energy_is_absent_on_the_wire_and_not_zero(void **state)
{
    struct infer_energy energy[] = {{.device = "gpu0",
                                     .source = "nvml",
                                     .validity = INFER_POWER_OK,
                                     .joules = 0.125,
                                     .integrated = NAN,
                                     .seconds = 2.5,
                                     .watts_min = -1,
                                     .watts_max = NAN,
                                     .limit_watts = NAN,
                                     .idle_watts = NAN,
                                     .idle_unknown = "why"}};
    struct infer_engine_report engine = {.parameters = -1, .active_parameters = -1};
    struct infer_hardware hardware = {0};
    struct infer_shard_report report = {
        .engine = &engine, .hardware = &hardware, .energy = energy, .energy_count = 1};
    struct infer_rows rows;
    Moecap__V1__AnswerRows *message;
    const Moecap__V1__EnergyReading *r;

    (void)state;
    infer_rows_init(&rows);
    infer_rows_report(&rows, &report);
    message = moecap__v1__answer_rows__unpack(NULL, rows.bytes.length, (uint8_t *)rows.bytes.data);
    assert_non_null(message);
    assert_int_equal(message->report->n_energy, 1);
    r = message->report->energy[0];
    assert_string_equal(r->kind, "gpu");
    assert_int_equal(r->validity, MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_OK);
    assert_int_equal(r->opt_joules_case, MOECAP__V1__ENERGY_READING__OPT_JOULES_JOULES);
    assert_true(r->joules == 0.125);
    assert_int_equal(r->opt_integrated_case, 0);
    assert_int_equal(r->opt_idle_case, 0);
    assert_int_equal(r->opt_limit_case, 0);
    assert_int_equal(r->opt_watts_min_case, MOECAP__V1__ENERGY_READING__OPT_WATTS_MIN_WATTS_MIN);
    assert_string_equal(r->idle_unknown, "why");
    moecap__v1__answer_rows__free_unpacked(message, NULL);
    infer_rows_done(&rows);
}

#define ON_MACHINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_e4_what_is_before_the_window_is_not_in_it),
        cmocka_unit_test(trap_e1_power_is_integrated_over_its_own_times),
        cmocka_unit_test(trap_c7_fractions_of_watts_are_kept),
        cmocka_unit_test(a_counter_that_begins_again_once_is_followed),
        cmocka_unit_test(a_counter_that_may_have_begun_again_twice_tells_nothing),
        cmocka_unit_test(a_counter_that_was_set_back_tells_nothing),
        cmocka_unit_test(a_counter_that_is_renewed_rarely_is_carried_to_the_end),
        cmocka_unit_test(readings_that_are_missing_make_gaps),
        cmocka_unit_test(a_window_shorter_than_its_source_is_quick_is_not_measured),
        cmocka_unit_test(a_clock_that_goes_back_makes_the_window_invalid),
        cmocka_unit_test(a_device_that_was_never_read_has_gaps),
        cmocka_unit_test(rows_are_means_of_a_second_and_sum_to_the_energy),
        ON_MACHINE(trap_e3_rapl_tells_packages_and_memory_and_nothing_twice),
        ON_MACHINE(a_limit_that_is_not_enforced_is_unknown),
        ON_MACHINE(rows_come_once_and_only_of_devices_that_count),
        ON_MACHINE(no_rapl_says_where_it_was_looked_for),
        ON_MACHINE(memory_without_a_counter_says_that_rapl_does_not_tell_it),
        ON_MACHINE(a_counter_that_may_not_be_read_says_what_to_do),
        ON_MACHINE(a_source_that_comes_later_is_found_by_the_next_run),
        ON_MACHINE(trap_e5_each_board_is_told_and_none_is_a_mean),
        ON_MACHINE(boards_without_a_counter_are_integrated),
        ON_MACHINE(our_engine_on_the_processor_is_not_charged_for_gpus),
        ON_MACHINE(only_the_gpus_that_count_are_counted),
        ON_MACHINE(gpus_that_nobody_tells_are_named_with_what_was_tried),
        ON_MACHINE(nvml_that_does_not_start_says_why),
        ON_MACHINE(a_machine_that_slept_has_no_energy_of_its_run),
        ON_MACHINE(an_exporter_tells_the_gpus_of_another_machine),
        ON_MACHINE(an_exporter_that_renews_its_values_rarely_has_gaps),
        ON_MACHINE(a_url_with_a_password_is_refused),
        ON_MACHINE(an_exporter_that_is_gone_says_so),
        cmocka_unit_test(bad_lines_of_an_exporter_are_passed_by),
        ON_MACHINE(trap_e2_idle_power_is_measured_while_nothing_runs),
        ON_MACHINE(idle_power_that_nobody_wants_says_so),
        ON_MACHINE(idle_power_is_awaited_once_at_most),
        ON_MACHINE(the_thread_reads_by_itself_and_ends),
        cmocka_unit_test(unknown_energy_is_absent_on_the_wire_and_not_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
