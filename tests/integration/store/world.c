#include "world.h"

#include "digest/digest.h"

enum { ARENA_BYTES = 64 << 20 };

int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    world->db = harness_database_new();
    world->pg = harness_store_open(world->db);
    world->arena = cap_arena_new(ARENA_BYTES);
    *state = world;
    return 0;
}

int world_teardown(void **state)
{
    struct world *world = *state;

    store_pg_free(world->pg);
    harness_database_drop(world->db);
    cap_arena_free(world->arena);
    free(world);
    return 0;
}

void assert_ok(bool ok, const struct cap_err *err)
{
    if (!ok)
        fail_msg("%s: %s", cap_code_name(err->code), err->text);
}

void assert_refused(bool ok, const struct cap_err *err, enum cap_code code, const char *text)
{
    assert_false(ok);
    assert_string_equal(err->text, text);
    assert_string_equal(cap_code_name(err->code), cap_code_name(code));
}

void must_put_task(struct world *world, uint32_t samples)
{
    struct cap_err err = {0};
    struct store_task_stored stored;
    char sha256[CAP_SHA256_HEX_BYTES];
    const char *metrics[] = {"exact"};
    struct store_task task = {
        .name = "mini",
        .version = "1",
        .output_type = "generate_until",
        .definition = "{\"task\":\"mini\"}",
        .definition_sha256 = sha256,
        .samples_file = "mini.jsonl",
        .fewshot_file = "",
        .split = "test",
        .description = "",
        .metrics = metrics,
        .metric_count = 1,
    };

    cap_sha256_hex(task.definition, strlen(task.definition), sha256);
    CAP_AUTO(store_task_put) put = store_task_put_open(&task, &err);
    assert_ok(put != NULL, &err);
    for (uint32_t i = 0; i < samples; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"id\":\"s%u\",\"question\":\"%u?\",\"answer\":%u}", i, i, i);
        assert_ok(store_task_put_add(put, false, json, &err), &err);
    }
    assert_ok(store_task_put_end(put, world->pg, &stored, &err), &err);
    assert_ok(store_task_get(world->pg, "mini", world->arena, &task, NULL, &err), &err);
    world->task_id = task.task_id;
}

const char *must_enqueue(struct world *world, uint32_t samples, uint32_t shard_size, int tag)
{
    struct cap_err err = {0};
    struct store_enqueued made;
    struct store_enqueue_run run = {.task = "mini", .task_id = world->task_id};
    char hash[65];

    snprintf(hash, sizeof hash, "%064x", (unsigned)tag);
    run.ordinals.items = cap_arena_array(world->arena, samples, sizeof(uint32_t));
    run.shard_sizes.items = cap_arena_array(world->arena, samples, sizeof(uint32_t));
    for (uint32_t i = 0; i < samples; i++)
        run.ordinals.items[run.ordinals.count++] = i;
    for (uint32_t left = samples; left > 0;) {
        uint32_t size = left < shard_size ? left : shard_size;
        run.shard_sizes.items[run.shard_sizes.count++] = size;
        left -= size;
    }
    struct store_enqueue request = {
        .spec = {(const uint8_t *)"spec", 4},
        .spec_json = "{}",
        .config_hash = hash,
        .model = "tiny",
        .engine = "null",
        .precision = "f32",
        .submitter = "me",
        .runs = &run,
        .run_count = 1,
    };
    assert_ok(store_queue_enqueue(world->pg, &request, world->arena, &made, &err), &err);
    assert_int_equal(made.run_count, 1);
    return made.run_ids[0];
}

struct store_lease must_lease(struct world *world, const char *run_id, uint32_t shard,
                              const char *node)
{
    struct cap_err err = {0};
    struct store_lease lease;
    struct store_lease_request request = {run_id, shard, node, node, 60000};

    assert_ok(store_lease(world->pg, &request, world->arena, &lease, &err), &err);
    return lease;
}

static void fill_answer(struct world *world, struct store_answer *answer, uint32_t ordinal,
                        int seed)
{
    const char *text = cap_arena_printf(world->arena, "answer %u of %d", ordinal, seed);
    static uint32_t ids[] = {7, 8, 151643}, gaps[] = {100, 200};

    *answer = (struct store_answer){
        .ordinal = ordinal,
        .uid = cap_arena_printf(world->arena, "s%u", ordinal),
        .completed = true,
        .prompt = {(const uint8_t *)"prompt", 6},
        .text = {(const uint8_t *)text, strlen(text)},
        .finish_reason = "eos",
        .prompt_tokens = {true, 11},
        .output_tokens = {true, 3},
        .output_ids = {ids, 3},
        .timed = true,
        .submitted_us = 10,
        .first_token_us = {true, 500},
        .last_token_us = {true, 800},
        .ended_us = 900,
        .itl_us = {gaps, 2},
    };
}

struct store_batch *batch_of(struct world *world, const char *run_id, uint32_t shard,
                             uint64_t fence, uint64_t seq, uint32_t first, uint32_t count,
                             bool last, int seed)
{
    struct store_batch *batch = cap_arena_alloc(world->arena, sizeof *batch);
    uint8_t *sha256 = cap_arena_alloc(world->arena, CAP_SHA256_BYTES);
    const char *key = cap_arena_printf(world->arena, "%u %u %d", first, count, seed);

    cap_sha256(key, strlen(key), sha256);
    *batch = (struct store_batch){
        .lease = {run_id, shard, fence},
        .seq = seq,
        .sha256 = {sha256, CAP_SHA256_BYTES},
        .answers_declared = count,
        .completed_declared = count,
        .last = last,
        .answers = {cap_arena_array(world->arena, count + 1, sizeof(struct store_answer)), count},
    };
    for (uint32_t i = 0; i < count; i++)
        fill_answer(world, &batch->answers.items[i], first + i, seed);
    if (last)
        batch->report = (struct store_bytes){(const uint8_t *)"report", 6};
    return batch;
}

bool append(struct world *world, const struct store_batch *batch, struct store_appended *out,
            struct cap_err *err)
{
    return store_append(world->pg, batch, out, err);
}

void must_append(struct world *world, const struct store_batch *batch)
{
    struct cap_err err = {0};
    struct store_appended appended;

    assert_ok(append(world, batch, &appended, &err), &err);
    assert_false(appended.repeated);
}

void must_answer_all(struct world *world, const char *run_id, uint32_t samples, uint32_t shard_size)
{
    uint32_t shard = 0;

    for (uint32_t first = 0; first < samples; first += shard_size, shard++) {
        uint32_t left = samples - first, count = left < shard_size ? left : shard_size;
        struct store_lease lease = must_lease(world, run_id, shard, "node-a");
        must_append(world, batch_of(world, run_id, shard, lease.fence, lease.seq_next, first, count,
                                    true, 0));
    }
}

void must_grade_all(struct world *world, const char *run_id)
{
    struct cap_err err = {0};
    struct store_ungraded items;
    uint32_t graded;

    for (;;) {
        assert_ok(store_grade_ungraded(world->pg, run_id, 0, world->arena, &items, &err), &err);
        if (items.count == 0)
            break;
        struct store_verdict verdicts[STORE_UNGRADED_MAX];
        for (size_t i = 0; i < items.count; i++)
            verdicts[i] = (struct store_verdict){
                .ordinal = items.answers[i].ordinal,
                .metric = "exact",
                .version = "1",
                .kind = i % 2 ? STORE_VERDICT_WRONG : STORE_VERDICT_CORRECT,
                .extracted = "x",
                .reason = "",
                .score = i % 2 ? 0 : 1,
            };
        assert_ok(store_grade_put(world->pg, run_id, (struct store_verdicts){verdicts, items.count},
                                  &graded, &err),
                  &err);
    }
}

void must_finish(struct world *world, const char *run_id)
{
    struct cap_err err = {0};
    struct store_figure figures[] = {
        {.id = "accuracy",
         .reason = "",
         .unit = "",
         .basis = "derived",
         .value = {true, 0.5},
         .low = {true, 0.25},
         .high = {true, 0.75}},
        {.id = "tpot_p50_ms", .reason = "no decode", .unit = "ms", .basis = "unavailable"},
    };
    struct store_histogram histograms[] = {
        {"ttft_us", 1, 1.02, {(uint64_t[]){0, 3, 4}, 3}},
    };

    assert_ok(store_grade_finish(world->pg, run_id, (struct store_figures){figures, 2},
                                 (struct store_histograms){histograms, 1}, &err),
              &err);
}

long long sql_int(struct world *world, const char *sql)
{
    char *text = harness_sql(world->db, sql);
    long long value = text ? strtoll(text, NULL, 10) : -1;

    free(text);
    return value;
}
