/* A device that fails at the n-th call, for every n: the engine says so and goes on living. The
 * table at the end takes the place of the kernels' own: it has one more row, which is all that a
 * backend needs to be found, listed and announced. */
#include "fixture.h"

extern const struct moe_backend moe_backend_cpu;

static struct moe_backend faulty; /* the CPU's functions, but for those below */
static int calls_left;            /* until one fails; negative = never */

static bool fails(void)
{
    if (calls_left < 0)
        return false;
    return calls_left-- == 0;
}

static enum moe_status upload(struct moe_dev *dev, struct moe_buf to, size_t offset,
                              const void *from, size_t bytes)
{
    return fails() ? MOE_FAILED : moe_backend_cpu.upload(dev, to, offset, from, bytes);
}

static enum moe_status download(struct moe_dev *dev, void *to, struct moe_buf from, size_t offset,
                                size_t bytes)
{
    return fails() ? MOE_FAILED : moe_backend_cpu.download(dev, to, from, offset, bytes);
}

static enum moe_status weight_put(struct moe_dev *dev, struct moe_weight *weight, int expert,
                                  int row, int rows, const void *src, enum moe_type from)
{
    return fails() ? MOE_FAILED
                   : moe_backend_cpu.weight_put(dev, weight, expert, row, rows, src, from);
}

static enum moe_status page_copy(struct moe_dev *dev, const struct moe_kv *kv, int to, int from)
{
    return fails() ? MOE_FAILED : moe_backend_cpu.page_copy(dev, kv, to, from);
}

static enum moe_status linear(struct moe_dev *dev, struct moe_buf x,
                              const struct moe_weight *weight, struct moe_buf bias,
                              struct moe_buf y, int rows, bool accumulate)
{
    return fails() ? MOE_FAILED : moe_backend_cpu.linear(dev, x, weight, bias, y, rows, accumulate);
}

static const char *failure(const struct moe_dev *dev)
{
    (void)dev;
    return "the cable is out";
}

static int devices(struct moe_device *out, int max)
{
    if (max < 1)
        return 0;
    snprintf(out->name, sizeof(out->name), "Faulty 9000");
    out->memory_bytes = 1 << 30;
    return 1;
}

static uint64_t memory_left(struct moe_dev *dev)
{
    (void)dev;
    return 1 << 20;
}

const struct moe_backend *const moe_backends[] = {&moe_backend_cpu, &faulty, NULL};

static int make_faulty(void **state)
{
    (void)state;
    faulty = moe_backend_cpu;
    faulty.name = "faulty";
    faulty.upload = upload;
    faulty.download = download;
    faulty.weight_put = weight_put;
    faulty.page_copy = page_copy;
    faulty.linear = linear;
    faulty.failure = failure;
    faulty.devices = devices;
    calls_left = -1;
    return 0;
}

/* Loads, generates two tokens and scores a continuation; false with err when the device failed. */
static bool work(const char *dir, struct cap_err *err)
{
    static const int32_t prompt[] = {5, 6, 7}, words[] = {8, 9};
    struct native_tokens continuations[] = {{words, 2}, {words, 1}};
    struct native_model_options options = {.backend = "faulty", .threads = 1};
    struct native_step step;
    CAP_AUTO(native_model) model = native_model_open(dir, &options, err);
    if (!model)
        return false;
    CAP_AUTO(native_session) session =
        native_session_open(model, &(struct native_session_options){.concurrency = 2}, err);
    if (!session)
        return false;
    struct native_request generate = {.id = 1, .prompt = {prompt, 3}, .max_tokens = 2};
    struct native_request score = {
        .id = 2, .prompt = {prompt, 3}, .continuations = continuations, .continuation_count = 2};
    assert_true(native_session_submit(session, &generate, err));
    assert_true(native_session_submit(session, &score, err));
    while (native_session_step(session, &step, err))
        ;
    return err->code == CAP_OK;
}

static void a_device_that_fails_at_any_call_is_a_sentence(void **state)
{
    (void)state;
    const char *dir = golden_copy("qwen3_moe", NULL);
    bool done = false;
    int failed = 0;
    for (int call = 0; !done; call++) {
        struct cap_err err = {0};
        calls_left = call;
        done = work(dir, &err);
        if (done)
            continue;
        failed++;
        if (err.code != CAP_UNAVAILABLE || !strstr(err.text, "backend faulty: ") ||
            !strstr(err.text, "the cable is out"))
            fail_msg("call %d: %s", call, err.text);
    }
    assert_true(failed > 100); /* weights, vectors, and every kind of call of a pass */
}

static void a_backend_is_found_listed_and_announced_by_its_row(void **state)
{
    (void)state;
    struct moe_device found[4];
    struct cap_err err = {0};
    struct native_model_options options = {.backend = "vapour"};
    assert_int_equal(native_devices(found, 4), 1);
    assert_string_equal(found[0].name, "Faulty 9000");
    assert_int_equal(native_devices(found, 0), 0);
    assert_null(native_model_open(golden_copy("qwen3_moe", NULL), &options, &err));
    assert_non_null(strstr(err.text, "there is no backend \"vapour\"; known: cpu, faulty"));
}

static void weights_must_fit_the_devices_memory(void **state)
{
    (void)state;
    struct cap_err err = {0};
    struct native_model_options options = {.backend = "faulty", .threads = 1};
    const char *dir = golden_copy("qwen3_moe", NULL);
    faulty.memory_left = memory_left;
    CAP_AUTO(native_model) model = native_model_open(dir, &options, &err);
    assert_non_null(model);
    CAP_AUTO(native_session) session =
        native_session_open(model, &(struct native_session_options){.concurrency = 2}, &err);
    assert_non_null(session);
    options.memory_bytes_max = 1000;
    assert_null(native_model_open(dir, &options, &err));
    assert_non_null(strstr(err.text, "of memory may be used"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_device_that_fails_at_any_call_is_a_sentence, make_faulty),
        cmocka_unit_test_setup(a_backend_is_found_listed_and_announced_by_its_row, make_faulty),
        cmocka_unit_test_setup(weights_must_fit_the_devices_memory, make_faulty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
