/* Which device a text means, and which of its peaks bounds weights of a format; with the traps of
 * earlier tables: sparse peaks, names that two tools spell differently, unknown taken for 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "hardware/hardware.h"

static const struct cap_device *named(const char *name)
{
    size_t count;
    const struct cap_device *devices = cap_hardware_devices(&count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(devices[i].name, name) == 0)
            return &devices[i];
    fail_msg("no row %s", name);
    return NULL;
}

static void assert_finds(const char *text, double memory_gb, const char *name, unsigned count)
{
    struct cap_hardware found;
    struct cap_err err = {0};

    if (!cap_hardware_find(text, memory_gb, &found, &err))
        fail_msg("%s: %s", text, err.text);
    if (strcmp(found.device->name, name) != 0 || found.count != count)
        fail_msg("%s: found %u x %s", text, found.count, found.device->name);
}

static void assert_unknown(const char *text, const char *why)
{
    struct cap_hardware found;
    struct cap_err err = {0};

    if (cap_hardware_find(text, 0, &found, &err))
        fail_msg("%s: found %s", text, found.device->name);
    if (!strstr(err.text, why))
        fail_msg("%s: %s", text, err.text);
}

/* ---- names ---- */

static void a_device_is_found_by_what_drivers_call_it(void **state)
{
    (void)state;
    assert_finds("NVIDIA H100 80GB HBM3", 0, "H100-SXM-80GB", 1);
    assert_finds("NVIDIA H100 PCIe", 80, "H100-PCIe-80GB", 1);
    assert_finds("NVIDIA A100-SXM4-80GB", 0, "A100-SXM4-80GB", 1);
    assert_finds("NVIDIA A100 80GB PCIe", 0, "A100-PCIe-80GB", 1);
    assert_finds("NVIDIA A100-PCIE-40GB", 0, "A100-PCIe-40GB", 1);
    assert_finds("NVIDIA H200", 0, "H200-SXM-141GB", 1);
    assert_finds("8x H100 (HGX)", 0, "H100-SXM-80GB", 8);
    assert_finds("DGX A100 40GB", 0, "A100-SXM4-40GB", 1);
    assert_finds("NVIDIA GB10 (DGX Spark)", 0, "GB10-128GB", 1);
    assert_finds("NVIDIA GH200 480GB", 96, "GH200-96GB", 1); /* 480 GB are the processor's */
    assert_finds("NVIDIA B200", 0, "B200-183GB", 1);
    assert_finds("NVIDIA GeForce RTX 4090", 0, "RTX-4090-24GB", 1);
    assert_finds("NVIDIA RTX A6000", 0, "RTX-A6000-48GB", 1);
    assert_finds("NVIDIA RTX PRO 6000 Blackwell Server Edition", 0,
                 "RTX-PRO-6000-Blackwell-Server-96GB", 1);
    assert_finds("AMD Instinct MI300X OAM", 0, "MI300X-192GB", 1);
    assert_finds("Cerebras CS-3", 0, "CS-3", 1);
    assert_finds("Tenstorrent Blackhole p150b", 0, "Blackhole-P150b-32GB", 1);
}

static void a_device_is_found_by_its_name_on_the_pci_bus(void **state)
{
    (void)state;
    assert_finds("NVIDIA Corporation GH100 [H100 SXM5 80GB] (rev a1)", 0, "H100-SXM-80GB", 1);
    assert_finds("NVIDIA Corporation GA100 [A100 PCIe 40GB] (rev a1)", 0, "A100-PCIe-40GB", 1);
    assert_finds("NVIDIA Corporation GA102GL [RTX A5000]", 0, "RTX-A5000-24GB", 1);
    assert_finds("Advanced Micro Devices, Inc. [AMD/ATI] Aqua Vanjaram [Instinct MI300X]", 0,
                 "MI300X-192GB", 1);
}

static void a_processor_is_found_by_what_the_kernel_calls_it(void **state)
{
    (void)state;
    assert_finds("Intel(R) Xeon(R) Platinum 8468", 0, "Xeon-Platinum-8468", 1);
    assert_finds("Intel(R) Xeon(R) Platinum 8558 CPU @ 2.10GHz", 512, "Xeon-Platinum-8558", 1);
    assert_finds("AMD EPYC 7713P 64-Core Processor", 0, "EPYC-7713P", 1);
    assert_finds("2x xeon-8468", 0, "Xeon-Platinum-8468", 2);
}

static void a_text_says_how_many(void **state)
{
    static const char *const eight[] = {"8x H100-SXM",
                                        "8 x H100 SXM5",
                                        "8×H100-SXM-80GB",
                                        "8xH100SXM5",
                                        "H100-SXM x8",
                                        "H100 SXM x 8",
                                        "8 H100 SXM",
                                        "8x NVIDIA H100 80GB HBM3",
                                        "HGX, 8x H100-SXM, 2x Xeon 8468, 2048 GB RAM"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(eight); i++)
        assert_finds(eight[i], 0, "H100-SXM-80GB", 8);
    assert_finds("2x Xeon 8468 and H200", 0, "H200-SXM-141GB", 1);
    assert_finds("8x H100-SXM, 480GB RAM", 0, "H100-SXM-80GB", 8);
    assert_finds("4x A100-SXM4-80GB, PCIe Gen4, NVLink, Ubuntu 22.04", 0, "A100-SXM4-80GB", 4);
    assert_unknown("0x H200", "is not from 1 to 4096 devices");
    assert_unknown("99999x H200", "is not from 1 to 4096 devices");
    assert_unknown("-1x H200", "is not from 1 to 4096 devices");
    assert_unknown("1.5x H200", "is not from 1 to 4096 devices"); /* not 5 */
    assert_unknown(" 0,5 × H200", "is not from 1 to 4096 devices");
    assert_unknown("99999999999999999999999x H200", "is not from 1 to 4096 devices");
}

/* nvidia-smi rounds to 95 or 96 GB by tool, MiB become "85.5 GB", and GB10 says N/A. */
static void trap_c24_memory_is_matched_as_loosely_as_tools_report_it(void **state)
{
    (void)state;
    assert_finds("NVIDIA GH200", 95, "GH200-96GB", 1);
    assert_finds("NVIDIA GH200", 96, "GH200-96GB", 1);
    assert_finds("NVIDIA H200", 140, "H200-SXM-141GB", 1);
    assert_finds("NVIDIA H100 HBM3", 85.5, "H100-SXM-80GB", 1);
    assert_finds("NVIDIA A100-SXM4", 42.9, "A100-SXM4-40GB", 1);
    assert_finds("NVIDIA B200 192GB", 0, "B200-183GB", 1);
    assert_finds("NVIDIA B300 288 GB", 0, "B300-269GB", 1);
    assert_finds("NVIDIA A100-SXM4 81559MiB", 0, "A100-SXM4-80GB", 1);
    assert_finds("NVIDIA GB10", 0, "GB10-128GB", 1);
    assert_finds("NVIDIA-GB10-UnknownGB", 0, "GB10-128GB", 1);
    assert_finds("NVIDIA GB10", 119.7, "GB10-128GB", 1);
    assert_unknown("A100-SXM4 64GB", "unknown device");
    assert_unknown("NVIDIA GH200 144GB", "unknown device");
}

static void what_may_be_two_devices_is_none(void **state)
{
    (void)state;
    assert_unknown("H100", "\"H100\" may be H100-PCIe-80GB, H100-SXM-80GB; say which");
    assert_unknown("8x A100 80GB", "may be A100-PCIe-80GB, A100-SXM4-80GB; say which");
    assert_unknown("4x A100-SXM4-80GB + 4x H200", "names devices of two kinds; give one");
}

/* Another build has other peaks: its neighbour's would be a guess. */
static void another_build_is_not_its_neighbour(void **state)
{
    static const char *const others[] = {"NVIDIA H100 NVL",
                                         "H200 NVL",
                                         "RTX 4090 Laptop GPU",
                                         "RTX 4090 D",
                                         "RTX4090D",
                                         "RTX 5080 SUPER",
                                         "GB200 NVL72",
                                         "H100 MIG 1g.10gb",
                                         "MI300A",
                                         "A100X",
                                         "RTX PRO 6000 Blackwell Workstation Edition",
                                         "EPYC 7713",
                                         "H100 NVL with 2x Xeon 8468"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(others); i++)
        assert_unknown(others[i], "unknown device");
    assert_unknown("NVIDIA H100 NVL", "nearest: H100-PCIe-80GB, H100-SXM-80GB");
    assert_unknown("H1000-SXM", "H100-SXM-80GB");
    assert_unknown("", "unknown device \"\"; `moecap hardware` lists all");
    assert_unknown("AMD EPYC", "unknown device \"AMD EPYC\"; `moecap hardware` lists all");
}

static void no_text_is_too_strange(void **state)
{
    char text[4096];

    (void)state;
    memset(text, 'h', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_unknown(text, "unknown device");
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "x ", 2);
    assert_unknown(text, "unknown device");
    assert_unknown("\xff\xfe×××\x01", "unknown device");
    assert_unknown("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa×", "unknown device"); /* longer than a word */
}

/* ---- peaks ---- */

static void assert_peak(const char *name, const char *precision, enum cap_compute compute,
                        double tflops)
{
    struct cap_peak peak;
    struct cap_err err = {0};

    if (!cap_hardware_peak(named(name), precision, &peak, &err))
        fail_msg("%s", err.text);
    assert_int_equal(peak.compute, compute);
    assert_true(peak.tflops == tflops);
}

/* B200 and AMD are dense in tables whose others are sparse: halving all of them, or none, is wrong
 * for one or the other. */
static void trap_d6_peaks_are_dense(void **state)
{
    (void)state;
    assert_peak("H100-SXM-80GB", "bf16", CAP_COMPUTE_BF16, 1979.0 / 2);
    assert_peak("H100-SXM-80GB", "fp8", CAP_COMPUTE_FP8, 3958.0 / 2);
    assert_peak("A100-SXM4-80GB", "bf16", CAP_COMPUTE_BF16, 624.0 / 2);
    assert_peak("B200-183GB", "bf16", CAP_COMPUTE_BF16, 2250);
    assert_peak("MI355X-288GB", "bf16", CAP_COMPUTE_BF16, 2500);
    assert_peak("GB10-128GB", "fp4", CAP_COMPUTE_FP4, 1000.0 / 2);
    assert_peak("H100-SXM-80GB", "f32", CAP_COMPUTE_F32, 67); /* not TF32's 989 */
}

static void trap_t4_a_board_is_not_a_rack(void **state)
{
    (void)state;
    assert_true(named("B200-183GB")->bandwidth_gb_s == 7700);            /* NVL72: 8000 */
    assert_true(named("MI355X-288GB")->tflops[CAP_COMPUTE_FP8] == 5000); /* 10100 / 2.02 */
    assert_true(named("H100-PCIe-80GB")->bandwidth_gb_s == 2000);        /* 2039 is A100-SXM's */
    assert_true(named("H200-SXM-141GB")->board_w == 700);                /* 350 is H100-PCIe's */
    assert_true(named("A100-SXM4-80GB")->tflops[CAP_COMPUTE_FP8] == 0);  /* it has none */
    assert_true(named("A100-SXM4-80GB")->tflops[CAP_COMPUTE_FP4] == 0);
}

static void trap_c1_a_format_without_a_path_is_computed_in_a_wider_one(void **state)
{
    (void)state;
    assert_peak("H100-SXM-80GB", "mxfp4", CAP_COMPUTE_BF16, 989.5);
    assert_peak("B200-183GB", "mxfp4", CAP_COMPUTE_FP4, 9000);
    assert_peak("A100-SXM4-80GB", "fp8", CAP_COMPUTE_BF16, 312);
    assert_peak("A100-SXM4-80GB", "int4", CAP_COMPUTE_BF16, 312); /* weights are unpacked */
    assert_peak("H100-SXM-80GB", "awq", CAP_COMPUTE_F16, 989.5);
    assert_peak("H100-SXM-80GB", "float8", CAP_COMPUTE_FP8, 1979); /* another spelling */
    assert_peak("EPYC-7713P", "bf16", CAP_COMPUTE_F32, 7.5264);
    assert_peak("EPYC-7713P", "int8", CAP_COMPUTE_F32, 7.5264);
}

static void trap_d6_an_unknown_peak_is_unknown(void **state)
{
    struct cap_peak peak;
    struct cap_err err = {0};

    (void)state;
    assert_false(cap_hardware_peak(named("Blackhole-P150b-32GB"), "bf16", &peak, &err));
    assert_string_equal(err.text, "the peak of Blackhole-P150b-32GB for bf16 is not known");
    err = (struct cap_err){0};
    assert_false(cap_hardware_peak(named("RTX-5080-16GB"), "bf16", &peak, &err)); /* has FP4's */
    err = (struct cap_err){0};
    assert_false(cap_hardware_peak(named("H100-SXM-80GB"), "q4_k_m", &peak, &err));
    assert_string_equal(err.text, "what weights in \"q4_k_m\" are computed in is not known");
    err = (struct cap_err){0};
    assert_false(cap_hardware_peak(named("H100-SXM-80GB"), "", &peak, &err));
    assert_string_equal(err.text, "the precision is not declared; --precision says it");
}

static void every_row_is_found_by_its_own_name(void **state)
{
    size_t count;
    const struct cap_device *devices = cap_hardware_devices(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        assert_finds(devices[i].name, 0, devices[i].name, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_found_by_what_drivers_call_it),
        cmocka_unit_test(a_device_is_found_by_its_name_on_the_pci_bus),
        cmocka_unit_test(a_processor_is_found_by_what_the_kernel_calls_it),
        cmocka_unit_test(a_text_says_how_many),
        cmocka_unit_test(trap_c24_memory_is_matched_as_loosely_as_tools_report_it),
        cmocka_unit_test(what_may_be_two_devices_is_none),
        cmocka_unit_test(another_build_is_not_its_neighbour),
        cmocka_unit_test(no_text_is_too_strange),
        cmocka_unit_test(trap_d6_peaks_are_dense),
        cmocka_unit_test(trap_t4_a_board_is_not_a_rack),
        cmocka_unit_test(trap_c1_a_format_without_a_path_is_computed_in_a_wider_one),
        cmocka_unit_test(trap_d6_an_unknown_peak_is_unknown),
        cmocka_unit_test(every_row_is_found_by_its_own_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
