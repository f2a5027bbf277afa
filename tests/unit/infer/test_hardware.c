/* What a node says of its machine: sockets and caches from the kernel's files, what it attains from
 * a probe, and all of it in the message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "inference/native/attain.h"
#include "inference/node/hardware.h"
#include "inference/node/rows.h"

/* ---- the kernel's files, in a folder ---- */

static char root[] = "/tmp/moecap-topology-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[512];
    struct cap_err err = {0};

    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    assert_true(cap_file_write(path, text, strlen(text), &err));
}

static void write_processor(int processor, const char *package, const char *shared)
{
    const char *const files[][2] = {{"topology/physical_package_id", package},
                                    {"cache/index0/level", "1\n"},
                                    {"cache/index0/type", "Data\n"},
                                    {"cache/index0/size", "32K\n"},
                                    {"cache/index1/level", "3\n"},
                                    {"cache/index1/type", "Unified\n"},
                                    {"cache/index1/size", "16384K\n"},
                                    {"cache/index1/shared_cpu_list", shared}};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[128];

        snprintf(name, sizeof name, "cpu/cpu%d/%s", processor, files[i][0]);
        write_file(name, files[i][1]);
    }
}

static cpu_set_t processors_of(unsigned first, unsigned last)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (unsigned i = first; i <= last; i++)
        CPU_SET(i, &set);
    return set;
}

static void what_processors_share_is_counted_once(void **state)
{
    struct infer_topology all, half, none;
    cpu_set_t four = processors_of(0, 3), two = processors_of(0, 1), missing = processors_of(9, 9);

    (void)state;
    assert_non_null(mkdtemp(root));
    for (int i = 0; i < 4; i++)
        write_processor(i, i < 2 ? "0\n" : "1\n", i < 2 ? "0-1\n" : "2-3\n");
    write_file("node/node0/cpulist", "0-1\n");
    write_file("node/node1/cpulist", "2-3\n");
    write_file("node/node2/cpulist", "\n"); /* memory only */
    write_file("cpu/cpu3/thermal_throttle/core_throttle_count", "7\n");
    write_file("cpu/cpu3/thermal_throttle/package_throttle_count", "12\n");
    infer_topology_read(root, &four, &all);
    assert_int_equal(all.sockets, 2);
    assert_int_equal(all.numa_nodes, 2);
    assert_int_equal(all.cache_bytes, 32 << 20);
    assert_true(all.has_throttled && all.throttled == 12);
    infer_topology_read(root, &two, &half);
    assert_int_equal(half.sockets, 1);
    assert_int_equal(half.numa_nodes, 1);
    assert_int_equal(half.cache_bytes, 16 << 20);
    assert_false(half.has_throttled); /* not counted is not zero times */
    infer_topology_read(root, &missing, &none);
    assert_int_equal(none.sockets + none.numa_nodes, 0);
    assert_int_equal(none.cache_bytes, 0);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

/* ---- what it attains ---- */

static void every_precision_attains_something(void **state)
{
    double gflop_s[NATIVE_PRECISION_COUNT];

    (void)state;
    native_attain(1, 0, gflop_s);
    for (int i = 0; i < NATIVE_PRECISION_COUNT; i++)
        assert_true(gflop_s[i] > 0);
}

/* ---- the message ---- */

static void what_was_measured_reaches_the_message(void **state)
{
    struct infer_hardware hardware = {
        .topology = {.sockets = 2, .numa_nodes = 4, .cache_bytes = 77, .has_throttled = true},
        .read_bandwidth_gb_s = 35.5,
        .gflop_s = {[NATIVE_F32] = 260, [NATIVE_INT8] = 640},
        .has_probe_load = true,
        .known_as = "EPYC-7713P"};
    struct infer_hardware_message message;
    const Moecap__V1__NodeHardware *wire = infer_hardware_to_wire(&hardware, &message);

    (void)state;
    assert_int_equal(wire->sockets, 2);
    assert_int_equal(wire->numa_nodes, 4);
    assert_int_equal(wire->last_level_cache_bytes, 77);
    assert_true(wire->opt_throttled_case && wire->throttle_events == 0);
    assert_true(wire->opt_probe_load_case && wire->probe_load == 0);
    assert_string_equal(wire->known_as, "EPYC-7713P");
    assert_int_equal(wire->n_compute, 2); /* what was not measured is left out */
    assert_string_equal(wire->compute[1]->precision, "int8");
    assert_true(wire->compute[1]->gflop_per_s == 640);
}

static void what_is_not_known_is_left_out_of_the_message(void **state)
{
    struct infer_hardware hardware = {0};
    struct infer_hardware_message message;
    const Moecap__V1__NodeHardware *wire = infer_hardware_to_wire(&hardware, &message);

    (void)state;
    assert_int_equal(wire->opt_throttled_case, 0);
    assert_int_equal(wire->opt_probe_load_case, 0);
    assert_int_equal(wire->opt_read_bandwidth_case, 0);
    assert_int_equal(wire->n_compute, 0);
    assert_string_equal(wire->known_as, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_processors_share_is_counted_once),
        cmocka_unit_test(every_precision_attains_something),
        cmocka_unit_test(what_was_measured_reaches_the_message),
        cmocka_unit_test(what_is_not_known_is_left_out_of_the_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
