/* Makes a test's database from the migrated template and fills it with a task, an evaluation and runs;
 * the must_ helpers then lease, append and grade as the scheduler does. */
#include "world.h"

#include "digest/digest.h"
#include "rpc/rpc.h"

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

/* protobuf-c's members are not const; what they point to is never written. */
#define STR(text) ((char *)(text))

/* ---- tasks ---- */

void must_put_task(struct world *world, uint32_t samples)
{
    struct cap_err err = {0};
    char sha256[CAP_SHA256_HEX_BYTES], *metrics[] = {"exact"};
    Moecap__V1__TaskInfo task = MOECAP__V1__TASK_INFO__INIT;
    Moecap__V1__PutTaskReply reply = MOECAP__V1__PUT_TASK_REPLY__INIT;

    task.name = "mini";
    task.version = "1";
    task.output_type = "generate_until";
    task.definition = "{\"task\":\"mini\"}";
    task.definition_sha256 = sha256;
    task.samples_file = "mini.jsonl";
    task.split = "test";
    task.metrics = metrics;
    task.n_metrics = 1;
    cap_sha256_hex(task.definition, strlen(task.definition), sha256);
    CAP_AUTO(store_task_put) put = store_task_put_open(&task, &err);
    assert_ok(put != NULL, &err);
    for (uint32_t i = 0; i < samples; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"id\":\"s%u\",\"question\":\"%u?\",\"answer\":%u}", i, i, i);
        assert_ok(store_task_put_add(put, false, json, &err), &err);
    }
    assert_ok(store_task_put_end(put, world->pg, world->arena, &reply, &err), &err);
    world->task_id = must_get_task(world, "mini", false)->task_id;
}

Moecap__V1__GetTaskReply *must_get_task(struct world *world, const char *name, bool with_fewshot)
{
    Moecap__V1__GetTaskRequest request = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__GetTaskReply *reply = cap_arena_alloc(world->arena, sizeof *reply);
    struct cap_err err = {0};

    moecap__v1__get_task_reply__init(reply);
    request.name = STR(name);
    request.with_fewshot = with_fewshot;
    assert_ok(store_get_task(world->pg, &request, world->arena, reply, &err), &err);
    return reply;
}

/* ---- runs ---- */

struct draft_evaluation *draft(struct world *world, uint32_t samples, int tag)
{
    struct draft_evaluation *d = cap_arena_alloc(world->arena, sizeof *d);

    moecap__v1__enqueue_request__init(&d->request);
    moecap__v1__evaluation_spec__init(&d->spec);
    moecap__v1__enqueue_run__init(&d->run);
    snprintf(d->hash, sizeof d->hash, "%064x", (unsigned)tag);
    d->spec.model = "tiny";
    d->spec.engine = "null";
    d->spec.precision = "f32";
    d->spec.submitter = "me";
    d->spec.tasks = d->tasks;
    d->spec.n_tasks = 1;
    d->tasks[0] = "mini";
    d->run.task = "mini";
    d->run.task_id = world->task_id;
    d->ordinals = cap_arena_array(world->arena, samples + 1, sizeof *d->ordinals);
    for (uint32_t i = 0; i < samples; i++)
        d->ordinals[i] = i;
    d->shard_size[0] = samples;
    d->run.ordinals = d->ordinals;
    d->run.n_ordinals = samples;
    d->run.shard_sizes = d->shard_size;
    d->run.n_shard_sizes = 1;
    d->runs[0] = &d->run;
    d->request.spec = &d->spec;
    d->request.spec_json = "{}";
    d->request.config_hash = d->hash;
    d->request.runs = d->runs;
    d->request.n_runs = 1;
    return d;
}

static void cut_into_shards(struct world *world, const char *run_id, uint32_t shard_size)
{
    char sql[1024];

    snprintf(
        sql, sizeof sql,
        "WITH whole AS (SELECT s.* FROM moecap.shard s JOIN moecap.run USING (run_no)"
        "  WHERE run_id = '%s' AND s.shard = 0),"
        " piece AS (SELECT run_no, ((i - 1) / %u)::integer AS shard, array_agg(o ORDER BY i)"
        "   AS ordinals FROM whole, unnest(ordinals) WITH ORDINALITY AS u(o, i) GROUP BY 1, 2),"
        " first AS (UPDATE moecap.shard s SET ordinals = p.ordinals FROM piece p"
        "   WHERE s.run_no = p.run_no AND s.shard = 0 AND p.shard = 0 RETURNING 1)"
        " INSERT INTO moecap.shard (run_no, shard, ordinals)"
        " SELECT run_no, shard, ordinals FROM piece WHERE shard > 0 ON CONFLICT DO NOTHING",
        run_id, shard_size);
    free(harness_sql(world->db, sql));
}

char *must_enqueue(struct world *world, uint32_t samples, uint32_t shard_size, int tag)
{
    Moecap__V1__EnqueueReply reply = MOECAP__V1__ENQUEUE_REPLY__INIT;
    struct cap_err err = {0};

    assert_ok(
        store_enqueue(world->pg, &draft(world, samples, tag)->request, world->arena, &reply, &err),
        &err);
    assert_int_equal(reply.n_run_ids, 1);
    if (shard_size < samples && !reply.duplicate)
        cut_into_shards(world, reply.run_ids[0], shard_size);
    return reply.run_ids[0];
}

bool lease(struct world *world, const char *run_id, uint32_t shard, const char *node, uint32_t ms,
           Moecap__V1__LeaseReply *out_reply, struct cap_err *err)
{
    Moecap__V1__LeaseRequest request = MOECAP__V1__LEASE_REQUEST__INIT;

    moecap__v1__lease_reply__init(out_reply);
    request.run_id = STR(run_id);
    request.shard = shard;
    request.node_id = request.node_name = STR(node);
    request.lease_ms = ms;
    return store_lease(world->pg, &request, world->arena, out_reply, err);
}

Moecap__V1__LeaseReply must_lease(struct world *world, const char *run_id, uint32_t shard,
                                  const char *node)
{
    Moecap__V1__LeaseReply reply;
    struct cap_err err = {0};

    assert_ok(lease(world, run_id, shard, node, 60000, &reply, &err), &err);
    return reply;
}

bool release(struct world *world, const char *run_id, uint32_t shard, uint64_t fence,
             const char *outcome, struct cap_err *err)
{
    Moecap__V1__ReleaseRequest request = MOECAP__V1__RELEASE_REQUEST__INIT;
    Moecap__V1__LeaseRef ref = MOECAP__V1__LEASE_REF__INIT;
    Moecap__V1__Empty reply = MOECAP__V1__EMPTY__INIT;

    ref.run_id = STR(run_id);
    ref.shard = shard;
    ref.fence = fence;
    request.lease = &ref;
    request.outcome = STR(outcome);
    return store_release(world->pg, &request, world->arena, &reply, err);
}

bool move_run(struct world *world, const char *run_id, int from, int to, const char *reason,
              struct cap_err *err)
{
    Moecap__V1__MoveRunRequest request = MOECAP__V1__MOVE_RUN_REQUEST__INIT;
    Moecap__V1__Empty reply = MOECAP__V1__EMPTY__INIT;

    request.run_id = STR(run_id);
    request.from = (Moecap__V1__RunState)from;
    request.to = (Moecap__V1__RunState)to;
    request.reason = STR(reason);
    return store_move_run(world->pg, &request, world->arena, &reply, err);
}

Moecap__V1__GetRunReply *must_get_run(struct world *world, const char *run_id)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetRunReply *reply = cap_arena_alloc(world->arena, sizeof *reply);
    struct cap_err err = {0};

    moecap__v1__get_run_reply__init(reply);
    request.run_id = STR(run_id);
    assert_ok(store_get_run(world->pg, &request, world->arena, reply, &err), &err);
    return reply;
}

/* ---- batches ---- */

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void fill_answer(struct world *world, Moecap__Store__RawAnswer *answer,
                        Moecap__V1__Timing *timing, uint32_t ordinal, int seed)
{
    static uint32_t ids[] = {7, 8, 151643}, gaps[] = {100, 200};

    moecap__store__raw_answer__init(answer);
    moecap__v1__timing__init(timing);
    answer->ordinal = ordinal;
    answer->uid = cap_arena_printf(world->arena, "s%u", ordinal);
    answer->status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    answer->prompt = bytes_of("prompt");
    answer->text = bytes_of(cap_arena_printf(world->arena, "answer %u of %d", ordinal, seed));
    answer->finish_reason = "eos";
    answer->opt_prompt_tokens_case = MOECAP__STORE__RAW_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
    answer->prompt_tokens = 11;
    answer->opt_output_tokens_case = MOECAP__STORE__RAW_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
    answer->output_tokens = 3;
    answer->output_ids = ids;
    answer->n_output_ids = 3;
    answer->timing = timing;
    timing->submitted_us = 10;
    timing->opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
    timing->first_token_us = 500;
    timing->opt_last_case = MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US;
    timing->last_token_us = 800;
    timing->ended_us = 900;
    timing->itl_us = gaps;
    timing->n_itl_us = 2;
}

static ProtobufCBinaryData pack(const ProtobufCMessage *message, struct cap_arena *arena)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *data = cap_arena_alloc(arena, length + 1);

    protobuf_c_message_pack(message, data);
    return (ProtobufCBinaryData){length, data};
}

void set_counts(struct world *world, struct batch *batch, const Moecap__V1__ExpertCount *rows,
                size_t count)
{
    batch->rows.expert_counts =
        cap_arena_array(world->arena, count, sizeof *batch->rows.expert_counts);
    batch->rows.n_expert_counts = count;
    for (size_t i = 0; i < count; i++) {
        Moecap__V1__ExpertCount *row = cap_arena_alloc(world->arena, sizeof *row);
        moecap__v1__expert_count__init(row);
        row->phase = rows[i].phase;
        row->layer = rows[i].layer;
        row->batch_bucket = rows[i].batch_bucket;
        row->counts = rows[i].counts;
        row->n_counts = rows[i].n_counts;
        batch->rows.expert_counts[i] = row;
    }
}

struct batch *batch_of(struct world *world, const char *run_id, uint32_t shard, uint64_t fence,
                       uint64_t seq, uint32_t first, uint32_t count, bool last, int seed)
{
    struct batch *b = cap_arena_alloc(world->arena, sizeof *b);
    Moecap__V1__ShardReport report = MOECAP__V1__SHARD_REPORT__INIT;

    b->node_id = "";
    moecap__v1__lease_ref__init(&b->lease);
    b->lease.run_id = STR(run_id);
    b->lease.shard = shard;
    b->lease.fence = fence;
    b->seq = seq;
    b->last = last;
    moecap__store__raw_rows__init(&b->rows);
    b->answers = cap_arena_array(world->arena, count + 1, sizeof *b->answers);
    b->timings = cap_arena_array(world->arena, count + 1, sizeof *b->timings);
    b->rows.answers = cap_arena_array(world->arena, count + 1, sizeof *b->rows.answers);
    b->rows.n_answers = count;
    for (uint32_t i = 0; i < count; i++) {
        fill_answer(world, &b->answers[i], &b->timings[i], first + i, seed);
        b->rows.answers[i] = &b->answers[i];
    }
    report.engine_version = "null 1";
    if (last)
        b->rows.report = pack(&report.base, world->arena);
    return b;
}

bool append(struct world *world, const struct batch *b, Moecap__V1__AppendReply *out_reply,
            struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES); /* any thread, any number of times */
    Moecap__V1__AppendRequest request = MOECAP__V1__APPEND_REQUEST__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    uint8_t sha256[CAP_SHA256_BYTES];

    batch.lease = (Moecap__V1__LeaseRef *)&b->lease;
    batch.seq = b->seq;
    batch.last = b->last;
    batch.rows = pack(&b->rows.base, arena);
    cap_sha256(batch.rows.data, batch.rows.len, sha256);
    batch.sha256 = (ProtobufCBinaryData){sizeof sha256, sha256};
    batch.answers = (uint32_t)b->rows.n_answers + b->announced_more;
    for (size_t i = 0; i < b->rows.n_answers; i++)
        batch.completed +=
            b->answers[i].status == MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    request.batch = &batch;
    request.node_id = STR(b->node_id);
    moecap__v1__append_reply__init(out_reply);
    return store_append(world->pg, &request, arena, out_reply, err);
}

void must_append(struct world *world, const struct batch *batch)
{
    struct cap_err err = {0};
    Moecap__V1__AppendReply reply;

    assert_ok(append(world, batch, &reply, &err), &err);
    assert_false(reply.repeated_batch);
}

void must_answer_all(struct world *world, const char *run_id, uint32_t samples, uint32_t shard_size)
{
    uint32_t shard = 0;

    for (uint32_t first = 0; first < samples; first += shard_size, shard++) {
        uint32_t left = samples - first, count = left < shard_size ? left : shard_size;
        Moecap__V1__LeaseReply got = must_lease(world, run_id, shard, "node-a");
        must_append(world,
                    batch_of(world, run_id, shard, got.fence, got.seq_next, first, count, true, 0));
    }
}

/* ---- grading ---- */

void must_grade_all(struct world *world, const char *run_id)
{
    Moecap__V1__ReadUngradedRequest read = MOECAP__V1__READ_UNGRADED_REQUEST__INIT;
    Moecap__V1__PutVerdictsRequest put = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__PutVerdictsReply graded = MOECAP__V1__PUT_VERDICTS_REPLY__INIT;
    Moecap__V1__Verdict verdicts[STORE_UNGRADED_MAX], *list[STORE_UNGRADED_MAX];
    struct cap_err err = {0};

    read.run_id = put.run_id = STR(run_id);
    put.verdicts = list;
    for (;;) {
        Moecap__V1__ReadUngradedReply items = MOECAP__V1__READ_UNGRADED_REPLY__INIT;
        assert_ok(store_read_ungraded(world->pg, &read, world->arena, &items, &err), &err);
        if (items.n_items == 0)
            break;
        for (size_t i = 0; i < items.n_items; i++) {
            moecap__v1__verdict__init(&verdicts[i]);
            verdicts[i].ordinal = items.items[i]->answer->ordinal;
            verdicts[i].metric = "exact";
            verdicts[i].version = "1";
            verdicts[i].kind = i % 2 ? MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG
                                     : MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
            verdicts[i].extracted = "x";
            verdicts[i].score = i % 2 ? 0 : 1;
            list[i] = &verdicts[i];
        }
        put.n_verdicts = items.n_items;
        assert_ok(store_put_verdicts(world->pg, &put, world->arena, &graded, &err), &err);
    }
}

void must_finish(struct world *world, const char *run_id)
{
    Moecap__V1__FinishRunRequest request = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    Moecap__V1__Summary summary = MOECAP__V1__SUMMARY__INIT;
    Moecap__V1__Figure known = MOECAP__V1__FIGURE__INIT, unknown = MOECAP__V1__FIGURE__INIT,
                       *figures[] = {&known, &unknown};
    Moecap__V1__Histogram histogram = MOECAP__V1__HISTOGRAM__INIT, *histograms[] = {&histogram};
    Moecap__V1__Mark mark = MOECAP__V1__MARK__INIT, *marks[] = {&mark};
    Moecap__V1__Empty reply = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__Curve curve = MOECAP__V1__CURVE__INIT, *curves[] = {&curve};
    uint64_t counts[] = {0, 3, 4};
    double tokens[] = {1, 2}, experts[] = {2, 3.25};
    struct cap_err err = {0};

    known.id = "accuracy";
    known.basis = "derived";
    known.opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    known.value = 0.5;
    known.opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
    known.low = 0.25;
    known.opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
    known.high = 0.75;
    unknown.id = "tpot_ms_p50";
    unknown.reason = "no decode";
    unknown.unit = "ms";
    unknown.basis = "unavailable";
    histogram.id = "ttft_us";
    histogram.lowest = 1;
    histogram.growth = 1.02;
    histogram.counts = counts;
    histogram.n_counts = 3;
    summary.figures = figures;
    summary.n_figures = 2;
    summary.histograms = histograms;
    summary.n_histograms = 1;
    curve.id = "activation_batch_decode";
    curve.x = tokens;
    curve.y = experts;
    curve.n_x = curve.n_y = 2; /* and nothing to compare with */
    summary.curves = curves;
    summary.n_curves = 1;
    mark.id = "unsettled";
    mark.text = "2 of 34 samples";
    mark.bad = true;
    summary.marks = marks;
    summary.n_marks = 1;
    request.run_id = STR(run_id);
    request.summary = &summary;
    assert_ok(store_finish_run(world->pg, &request, world->arena, &reply, &err), &err);
}

/* ---- reading ---- */

Moecap__V1__ListSamplesReply *must_list(struct world *world,
                                        const Moecap__V1__ListSamplesRequest *request)
{
    Moecap__V1__ListSamplesReply *reply = cap_arena_alloc(world->arena, sizeof *reply);
    struct cap_err err = {0};

    moecap__v1__list_samples_reply__init(reply);
    assert_ok(store_list_samples(world->pg, request, world->arena, reply, &err), &err);
    return reply;
}

Moecap__V1__ListSamplesReply *must_list_all(struct world *world, const char *run_id)
{
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;

    request.run_id = STR(run_id);
    request.with_texts = true;
    return must_list(world, &request);
}

struct gathering {
    struct cap_arena *arena;
    Moecap__V1__Evidence *all;
};

#define GATHER(member)                                                                             \
    do {                                                                                           \
        void *joined =                                                                             \
            cap_arena_array(g->arena, all->n_##member + e->n_##member + 1, sizeof *all->member);   \
        if (all->n_##member > 0)                                                                   \
            memcpy(joined, all->member, all->n_##member * sizeof *all->member);                    \
        all->member = joined;                                                                      \
        for (size_t i = 0; i < e->n_##member; i++)                                                 \
            all->member[all->n_##member++] = (void *)cap_rpc_copy(&e->member[i]->base, g->arena);  \
    } while (0)

static bool gather(void *arg, const ProtobufCMessage *message, struct cap_err *err)
{
    struct gathering *g = arg;
    const Moecap__V1__Evidence *e = (const void *)message;
    Moecap__V1__Evidence *all = g->all;

    (void)err;
    if (e->header)
        all->header = (void *)cap_rpc_copy(&e->header->base, g->arena);
    GATHER(answers);
    GATHER(verdicts);
    GATHER(passes);
    GATHER(expert_counts);
    GATHER(power);
    return true;
}

Moecap__V1__Evidence *must_read_evidence(struct world *world, const char *run_id)
{
    struct gathering g = {world->arena, cap_arena_alloc(world->arena, sizeof *g.all)};
    struct cap_err err = {0};

    moecap__v1__evidence__init(g.all);
    assert_ok(store_read_evidence(world->pg, run_id, gather, &g, &err), &err);
    return g.all;
}

long long sql_int(struct world *world, const char *sql)
{
    char *text = harness_sql(world->db, sql);
    long long value = text ? strtoll(text, NULL, 10) : -1;

    free(text);
    return value;
}
