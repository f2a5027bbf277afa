/* moecap.v1.Store over gRPC: one evaluation from task to board, as scheduler and CLI do it. */
#include "digest/digest.h"
#include "moecap/v1/store.rpc.h"
#include "rpc/rpc.h"
#include "world.h"

enum { SAMPLES = 20 };

struct suite {
    struct world *w;
    struct store_service service;
    struct cap_rpc_server *server;
    struct cap_rpc_channel *channel;
};

static int suite_setup(void **state)
{
    struct suite *s = calloc(1, sizeof *s);
    struct cap_err err = {0};
    char target[64];
    int port;

    world_setup((void **)&s->w);
    s->service.pg = s->w->pg;
    s->server = cap_rpc_server_new(&(struct cap_rpc_server_options){0});
    store_service_add(&s->service, s->server);
    assert_ok(cap_rpc_server_listen(s->server, "127.0.0.1:0", &port, &err), &err);
    cap_rpc_server_start(s->server);
    snprintf(target, sizeof target, "127.0.0.1:%d", port);
    s->channel = cap_rpc_channel_new(target, &(struct cap_rpc_channel_options){0});
    *state = s;
    return 0;
}

static int suite_teardown(void **state)
{
    struct suite *s = *state;

    cap_rpc_channel_free(s->channel);
    cap_rpc_server_drain(s->server, 1000);
    cap_rpc_server_free(s->server);
    world_teardown((void **)&s->w);
    free(s);
    return 0;
}

/* A unary call that must succeed: REPLY type *reply = MUST(s, get_task, &request). */
#define MUST(s, method, request, reply_type)                                                       \
    ({                                                                                             \
        Moecap__V1__##reply_type *reply_ = NULL;                                                   \
        struct cap_err err_ = {0};                                                                 \
        assert_ok(store_rpc_##method((s)->channel, NULL, request, (s)->w->arena, &reply_, &err_),  \
                  &err_);                                                                          \
        reply_;                                                                                    \
    })

#define REFUSED(s, method, request, reply_type, code_, text_)                                      \
    do {                                                                                           \
        Moecap__V1__##reply_type *reply_ = NULL;                                                   \
        struct cap_err err_ = {0};                                                                 \
        assert_refused(                                                                            \
            store_rpc_##method((s)->channel, NULL, request, (s)->w->arena, &reply_, &err_), &err_, \
            code_, text_);                                                                         \
    } while (0)

static void send_task(struct suite *s)
{
    Moecap__V1__PutTaskChunk chunk = MOECAP__V1__PUT_TASK_CHUNK__INIT;
    Moecap__V1__TaskInfo info = MOECAP__V1__TASK_INFO__INIT;
    char sha256[CAP_SHA256_HEX_BYTES], docs[SAMPLES][64], *metrics[] = {"acc"}, *samples[SAMPLES],
                                                          *shots[] = {"{\"shot\":1}"};
    struct cap_err err = {0};

    info.name = "t";
    info.definition = "{}";
    cap_sha256_hex("{}", 2, sha256);
    info.definition_sha256 = sha256;
    info.metrics = metrics;
    info.n_metrics = 1;
    chunk.task = &info;
    chunk.fewshot = shots;
    chunk.n_fewshot = 1;
    struct cap_rpc_call *call = store_rpc_put_task_open(s->channel, NULL);
    store_rpc_put_task_send_request(call, &chunk);
    chunk = (Moecap__V1__PutTaskChunk)MOECAP__V1__PUT_TASK_CHUNK__INIT;
    for (int i = 0; i < SAMPLES; i++) {
        snprintf(docs[i], sizeof docs[i], "{\"id\":\"d%d\",\"gold\":%d}", i, i);
        samples[i] = docs[i];
    }
    chunk.samples = samples;
    chunk.n_samples = SAMPLES;
    store_rpc_put_task_send_request(call, &chunk);
    cap_rpc_send_done(call);
    Moecap__V1__PutTaskReply *reply = store_rpc_put_task_next_reply(call);
    assert_non_null(reply);
    assert_int_equal(reply->task->samples, SAMPLES);
    assert_int_equal(strlen(reply->task->data_sha256), 64);
    assert_ok(cap_rpc_close(call, &err), &err);
}

static Moecap__V1__EnqueueReply *enqueue(struct suite *s, uint64_t task_id)
{
    Moecap__V1__EnqueueRequest request = MOECAP__V1__ENQUEUE_REQUEST__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__EnqueueRun run = MOECAP__V1__ENQUEUE_RUN__INIT, *runs[] = {&run};
    uint32_t ordinals[SAMPLES], sizes[] = {SAMPLES};
    char *tasks[] = {"t"};

    for (uint32_t i = 0; i < SAMPLES; i++)
        ordinals[i] = SAMPLES - 1 - i; /* any order */
    spec.model = "tiny";
    spec.engine = "null";
    spec.precision = "f32";
    spec.note = "kept as it is";
    spec.tasks = tasks;
    spec.n_tasks = 1;
    run.task = "t";
    run.task_id = task_id;
    run.ordinals = ordinals;
    run.n_ordinals = SAMPLES;
    run.shard_sizes = sizes;
    run.n_shard_sizes = 1;
    request.spec = &spec;
    request.spec_json = "{}";
    request.config_hash = "0000000000000000000000000000000000000000000000000000000000000007";
    request.runs = runs;
    request.n_runs = 1;
    return MUST(s, enqueue, &request, EnqueueReply);
}

/* Rows with one answer whose text is `text`, a pass, counts and a report. */
static void fill_batch(struct suite *s, Moecap__V1__AnswerBatch *batch, const uint32_t *ordinals,
                       size_t count)
{
    Moecap__V1__AnswerRows rows = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__Pass pass = MOECAP__V1__PASS__INIT, *passes[] = {&pass};
    Moecap__V1__ExpertCount counts = MOECAP__V1__EXPERT_COUNT__INIT, *count_list[] = {&counts};
    Moecap__V1__ShardReport report = MOECAP__V1__SHARD_REPORT__INIT;
    Moecap__V1__Timing timing = MOECAP__V1__TIMING__INIT;
    Moecap__V1__SampleAnswer answers[SAMPLES], *list[SAMPLES];
    uint64_t selections[] = {1, 2};
    uint8_t *sha256 = cap_arena_alloc(s->w->arena, CAP_SHA256_BYTES);
    uint32_t itl[] = {5, 6}, prefill[] = {300, 0, 4}, decode[] = {0, 1, 1};
    Moecap__V1__SampleRouting routing = MOECAP__V1__SAMPLE_ROUTING__INIT;
    Moecap__V1__LayerRouting layer = MOECAP__V1__LAYER_ROUTING__INIT, *layers[] = {&layer};

    routing = (Moecap__V1__SampleRouting){
        .base = routing.base, .source = "engine", .experts = 3, .top_k = 2};
    routing.layers = layers;
    routing.n_layers = 1;
    layer.layer = 7;
    layer.prefill = prefill;
    layer.decode = decode;
    layer.n_prefill = layer.n_decode = 3;
    timing.opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
    timing.first_token_us = 77;
    timing.itl_us = itl;
    timing.n_itl_us = 2;
    for (size_t i = 0; i < count; i++) {
        moecap__v1__sample_answer__init(&answers[i]);
        answers[i].ordinal = ordinals[i];
        answers[i].uid = cap_arena_printf(s->w->arena, "d%u", ordinals[i]);
        answers[i].status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
        answers[i].text = cap_arena_printf(s->w->arena, "it is %u\xF0\x9F", ordinals[i]);
        answers[i].opt_output_tokens_case =
            MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
        answers[i].output_tokens = 3;
        answers[i].opt_first_chunk_tokens_case =
            MOECAP__V1__SAMPLE_ANSWER__OPT_FIRST_CHUNK_TOKENS_FIRST_CHUNK_TOKENS;
        answers[i].first_chunk_tokens = 2;
        answers[i].timing = &timing;
        if (ordinals[i] != 4) /* its routing is unknown */
            answers[i].routing = &routing;
        list[i] = &answers[i];
    }
    pass.phase = MOECAP__V1__PHASE__PHASE_DECODE;
    pass.tokens = 9;
    pass.opt_weight_bytes_case = MOECAP__V1__PASS__OPT_WEIGHT_BYTES_WEIGHT_BYTES;
    pass.weight_bytes = 5000000000; /* more than 32 bits */
    pass.opt_kv_bytes_case = MOECAP__V1__PASS__OPT_KV_BYTES_KV_BYTES;
    pass.kv_bytes = 0; /* known to be none */
    pass.opt_flops_case = MOECAP__V1__PASS__OPT_FLOPS_FLOPS;
    pass.flops = 2.5e12;
    counts.phase = MOECAP__V1__PHASE__PHASE_DECODE;
    counts.counts = selections;
    counts.n_counts = 2;
    report.engine_version = "null 1";
    report.timing_boundary = "engine";
    rows.answers = list;
    rows.n_answers = count;
    rows.passes = passes;
    rows.n_passes = 1;
    rows.expert_counts = count_list;
    rows.n_expert_counts = 1;
    rows.report = &report;
    batch->rows.len = protobuf_c_message_get_packed_size(&rows.base);
    batch->rows.data = cap_arena_alloc(s->w->arena, batch->rows.len);
    protobuf_c_message_pack(&rows.base, batch->rows.data);
    cap_sha256(batch->rows.data, batch->rows.len, sha256);
    batch->sha256 = (ProtobufCBinaryData){CAP_SHA256_BYTES, sha256};
    batch->answers = (uint32_t)count;
    batch->completed = (uint32_t)count;
    batch->last = true;
}

static void grade_all(struct suite *s, char *run_id)
{
    Moecap__V1__ReadUngradedRequest want = MOECAP__V1__READ_UNGRADED_REQUEST__INIT;
    Moecap__V1__PutVerdictsRequest put = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__Verdict verdicts[SAMPLES], *list[SAMPLES];

    want.run_id = put.run_id = run_id;
    Moecap__V1__ReadUngradedReply *items = MUST(s, read_ungraded, &want, ReadUngradedReply);
    assert_int_equal(items->n_items, SAMPLES);
    assert_string_equal(items->items[7]->doc->json, "{\"id\":\"d7\",\"gold\":7}");
    assert_string_equal(items->items[7]->answer->text, "it is 7<0xF0><0x9F>");
    for (size_t i = 0; i < items->n_items; i++) {
        moecap__v1__verdict__init(&verdicts[i]);
        verdicts[i].ordinal = items->items[i]->doc->ordinal;
        verdicts[i].metric = "acc";
        verdicts[i].version = "1";
        verdicts[i].kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
        verdicts[i].score = 1;
        list[i] = &verdicts[i];
    }
    put.verdicts = list;
    put.n_verdicts = items->n_items;
    assert_int_equal(MUST(s, put_verdicts, &put, PutVerdictsReply)->samples_graded, SAMPLES);
    assert_int_equal(MUST(s, read_ungraded, &want, ReadUngradedReply)->n_items, 0);
}

static void read_evidence(struct suite *s, char *run_id)
{
    Moecap__V1__ReadEvidenceRequest want = MOECAP__V1__READ_EVIDENCE_REQUEST__INIT;
    size_t answers = 0, verdicts = 0, passes = 0, counts = 0, headers = 0;
    const Moecap__V1__Evidence *e;
    struct cap_err err = {0};

    want.run_id = run_id;
    struct cap_rpc_call *call = store_rpc_read_evidence_open(s->channel, NULL, &want);
    while ((e = store_rpc_read_evidence_next_reply(call)) != NULL) {
        assert_int_equal(e->header != NULL, headers == 0);
        if (e->header) {
            headers++;
            assert_int_equal(e->header->attempted, SAMPLES);
            assert_string_equal(e->header->spec->note, "kept as it is");
            assert_string_equal(e->header->report->engine_version, "null 1");
            assert_string_equal(e->header->task->metrics[0], "acc");
        }
        for (size_t i = 0; i < e->n_answers; i++) {
            assert_string_equal(e->answers[i]->text, "");
            assert_int_equal(e->answers[i]->timing->first_token_us, 77);
            assert_int_equal(e->answers[i]->opt_cached_tokens_case, 0);
            assert_int_equal(e->answers[i]->opt_first_chunk_tokens_case, 16);
            assert_int_equal(e->answers[i]->first_chunk_tokens, 2);
        }
        for (size_t i = 0; i < e->n_passes; i++) {
            assert_int_equal(e->passes[i]->weight_bytes, 5000000000);
            assert_int_equal(e->passes[i]->opt_kv_bytes_case,
                             MOECAP__V1__PASS__OPT_KV_BYTES_KV_BYTES);
            assert_int_equal(e->passes[i]->kv_bytes, 0);
            assert_true(e->passes[i]->flops == 2.5e12);
        }
        answers += e->n_answers;
        verdicts += e->n_verdicts;
        passes += e->n_passes;
        counts += e->n_expert_counts;
    }
    assert_ok(cap_rpc_close(call, &err), &err);
    assert_int_equal(headers, 1);
    assert_int_equal(answers, SAMPLES);
    assert_int_equal(verdicts, SAMPLES);
    assert_int_equal(passes, 1);
    assert_int_equal(counts, 1);
}

static void finish(struct suite *s, char *run_id)
{
    Moecap__V1__FinishRunRequest request = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    Moecap__V1__Summary summary = MOECAP__V1__SUMMARY__INIT;
    Moecap__V1__Figure known = MOECAP__V1__FIGURE__INIT, unknown = MOECAP__V1__FIGURE__INIT,
                       *figures[] = {&known, &unknown};

    known.id = "accuracy";
    known.opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    known.value = 0;
    unknown.id = "tpot_ms_p50";
    unknown.reason = "no decode";
    summary.figures = figures;
    summary.n_figures = 2;
    request.run_id = run_id;
    request.summary = &summary;
    MUST(s, finish_run, &request, Empty);
}

static size_t count_active(struct suite *s)
{
    const Moecap__V1__Empty empty = MOECAP__V1__EMPTY__INIT;
    struct cap_rpc_call *call = store_rpc_list_active_open(s->channel, NULL, &empty);
    const Moecap__V1__ActiveEvaluation *e;
    struct cap_err err = {0};
    size_t count = 0;

    while ((e = store_rpc_list_active_next_reply(call)) != NULL) {
        count++;
        assert_string_equal(e->spec->model, "tiny");
        assert_string_equal(e->runs[0]->shards[0]->lease->run_id, e->runs[0]->run_id);
        assert_string_equal(e->runs[0]->shards[0]->node, "box");
    }
    assert_ok(cap_rpc_close(call, &err), &err);
    return count;
}

static void assert_routing(struct suite *s, Moecap__V1__ListSamplesRequest list)
{
    Moecap__V1__ListSamplesReply *page;
    const Moecap__V1__LayerRouting *layer;

    list.with_routing = true;
    page = MUST(s, list_samples, &list, ListSamplesReply);
    assert_string_equal(page->samples[3]->answer->routing->source, "engine");
    assert_int_equal(page->samples[3]->answer->routing->n_layers, 1);
    layer = page->samples[3]->answer->routing->layers[0];
    assert_int_equal(layer->layer, 7);
    assert_int_equal(layer->prefill[0], 300);
    assert_int_equal(layer->decode[2], 1);
    assert_null(page->samples[4]->answer->routing);
}

static void an_evaluation_goes_from_task_to_board(void **state)
{
    struct suite *s = *state;
    Moecap__V1__GetTaskRequest get = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__LeaseRequest lease = MOECAP__V1__LEASE_REQUEST__INIT;
    Moecap__V1__AppendRequest append_request = MOECAP__V1__APPEND_REQUEST__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    Moecap__V1__LeaseRef ref = MOECAP__V1__LEASE_REF__INIT;
    Moecap__V1__BoardRequest board = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__GetRunRequest run = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetExpertCountsRequest counts = MOECAP__V1__GET_EXPERT_COUNTS_REQUEST__INIT;
    Moecap__V1__ListSamplesRequest list = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    char text[160];

    send_task(s);
    get.name = "t";
    get.with_fewshot = true;
    Moecap__V1__GetTaskReply *task = MUST(s, get_task, &get, GetTaskReply);
    assert_int_equal(task->n_fewshot, 1);
    Moecap__V1__EnqueueReply *made = enqueue(s, task->task_id);
    assert_true(enqueue(s, task->task_id)->duplicate);

    lease.run_id = made->run_ids[0];
    lease.node_id = "n1";
    lease.node_name = "box";
    lease.lease_ms = 6000;
    Moecap__V1__LeaseReply *leased = MUST(s, lease, &lease, LeaseReply);
    assert_int_equal(leased->n_ordinals_left, SAMPLES);
    assert_int_equal(leased->ordinals_left[0], SAMPLES - 1);
    assert_int_equal(count_active(s), 1);

    ref.run_id = made->run_ids[0];
    ref.fence = leased->fence;
    batch.lease = &ref;
    batch.seq = leased->seq_next;
    fill_batch(s, &batch, leased->ordinals_left, SAMPLES);
    append_request.batch = &batch;
    append_request.node_id = "n2";
    snprintf(text, sizeof text,
             "the lease of shard 0 of run %s belongs to another node than \"n2\"", ref.run_id);
    REFUSED(s, append, &append_request, AppendReply, CAP_PERMISSION_DENIED, text);
    append_request.node_id = "n1";
    assert_true(MUST(s, append, &append_request, AppendReply)->run_done);
    assert_true(MUST(s, append, &append_request, AppendReply)->repeated_batch);
    batch.rows.data[0] ^= 1;
    REFUSED(s, append, &append_request, AppendReply, CAP_INVALID_ARGUMENT,
            "the rows of the batch do not have the sha256 that came with them");

    grade_all(s, made->run_ids[0]);
    read_evidence(s, made->run_ids[0]);
    finish(s, made->run_ids[0]);
    Moecap__V1__BoardReply *rows = MUST(s, board, &board, BoardReply);
    assert_int_equal(rows->n_rows, 1);
    assert_string_equal(rows->rows[0]->spec->note, "kept as it is");
    assert_string_equal(rows->rows[0]->report->timing_boundary, "engine");
    assert_string_equal(rows->rows[0]->headline_metric, "acc");
    assert_int_equal(rows->rows[0]->state, MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED);
    assert_int_equal(rows->rows[0]->opt_samples_total_case, 15);
    assert_int_equal(rows->rows[0]->samples_total, SAMPLES);
    assert_int_equal(rows->rows[0]->samples_answered, SAMPLES);
    assert_int_equal(rows->rows[0]->samples_graded, SAMPLES);
    /* Zero is known, unknown is not zero. */
    assert_int_equal(rows->rows[0]->figures[0]->opt_value_case, 2);
    assert_int_equal(rows->rows[0]->figures[1]->opt_value_case, 0);
    run.run_id = list.run_id = made->run_ids[0];
    assert_int_equal(MUST(s, get_run, &run, GetRunReply)->n_attempts, 1);
    counts.run_id = made->run_ids[0];
    assert_int_equal(
        MUST(s, get_expert_counts, &counts, GetExpertCountsReply)->counts[0]->counts[1], 2);
    list.limit = 15;
    list.with_gold = true;
    Moecap__V1__ListSamplesReply *page = MUST(s, list_samples, &list, ListSamplesReply);
    assert_int_equal(page->n_samples, 15);
    assert_string_equal(page->samples[3]->doc_json, "{\"id\":\"d3\",\"gold\":3}");
    assert_true(page->samples[3]->escaped);
    assert_null(page->samples[3]->answer->routing); /* not asked for */
    assert_routing(s, list);
    list.opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
    list.after_ordinal = page->next_after;
    page = MUST(s, list_samples, &list, ListSamplesReply);
    assert_int_equal(page->n_samples, 5);
    assert_int_equal(page->opt_next_case, 0);
    assert_int_equal(count_active(s), 0);
}

static void a_text_with_u0000_is_not_cut(void **state)
{
    struct suite *s = *state;
    /* answers { ordinal 0, uid "d0", status completed, text "a\0b" }, as a client may send it */
    static uint8_t rows[] = {0x0a, 0x0b, 0x12, 2, 'd', '0', 0x18, 1, 0x32, 3, 'a', 0, 'b'};
    Moecap__V1__AppendRequest request = MOECAP__V1__APPEND_REQUEST__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    Moecap__V1__LeaseRef ref = MOECAP__V1__LEASE_REF__INIT;
    Moecap__V1__GetTaskRequest get = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__ListSamplesRequest list = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    uint8_t sha256[CAP_SHA256_BYTES];

    send_task(s);
    get.name = "t";
    ref.run_id = enqueue(s, MUST(s, get_task, &get, GetTaskReply)->task_id)->run_ids[0];
    ref.fence = must_lease(s->w, ref.run_id, 0, "node-a").fence;
    cap_sha256(rows, sizeof rows, sha256);
    batch.lease = &ref;
    batch.seq = 1;
    batch.rows = (ProtobufCBinaryData){sizeof rows, rows};
    batch.sha256 = (ProtobufCBinaryData){sizeof sha256, sha256};
    batch.answers = batch.completed = 1;
    request.batch = &batch;
    MUST(s, append, &request, AppendReply);
    list.run_id = ref.run_id;
    list.with_texts = true;
    Moecap__V1__ListSamplesReply *page = MUST(s, list_samples, &list, ListSamplesReply);
    assert_string_equal(page->samples[0]->answer->text, "a<0x00>b");
    assert_null(page->samples[0]->answer->timing);
}

static void a_routing_that_is_none_is_refused(void **state)
{
    struct suite *s = *state;
    /* answers { uid "d0", status completed, routing = a field that ends too early } */
    static uint8_t rows[] = {0x0a, 0x0a, 0x12, 2, 'd', '0', 0x18, 1, 0x7a, 2, 0x0a, 9};
    Moecap__V1__AppendRequest request = MOECAP__V1__APPEND_REQUEST__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    uint8_t sha256[CAP_SHA256_BYTES];

    cap_sha256(rows, sizeof rows, sha256);
    batch.rows = (ProtobufCBinaryData){sizeof rows, rows};
    batch.sha256 = (ProtobufCBinaryData){sizeof sha256, sha256};
    request.batch = &batch;
    REFUSED(s, append, &request, AppendReply, CAP_INVALID_ARGUMENT,
            "the routing of sample 0 is not a valid SampleRouting, or the batch is too large");
}

static void a_sweep_forgets_old_events_only_when_told_to(void **state)
{
    struct suite *s = *state;
    Moecap__V1__Empty nothing = MOECAP__V1__EMPTY__INIT;

    free(harness_sql(s->w->db, "INSERT INTO moecap.event (at, kind, text)"
                               " VALUES (now() - interval '8 days', 'node', 'joined')"));
    MUST(s, sweep, &nothing, SweepReply);
    assert_int_equal(sql_int(s->w, "SELECT count(*) FROM moecap.event"), 1);
    s->service.retention_days = 7;
    MUST(s, sweep, &nothing, SweepReply);
    assert_int_equal(sql_int(s->w, "SELECT count(*) FROM moecap.event"), 0);
}

static void requests_that_lack_a_part_are_refused(void **state)
{
    struct suite *s = *state;
    Moecap__V1__AppendRequest append_request = MOECAP__V1__APPEND_REQUEST__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    Moecap__V1__EnqueueRequest enqueue_request = MOECAP__V1__ENQUEUE_REQUEST__INIT;
    Moecap__V1__FinishRunRequest finish_request = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    Moecap__V1__ReleaseRequest release_request = MOECAP__V1__RELEASE_REQUEST__INIT;
    Moecap__V1__GetRunRequest run = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__ReadEvidenceRequest evidence = MOECAP__V1__READ_EVIDENCE_REQUEST__INIT;
    Moecap__V1__MoveRunRequest move = MOECAP__V1__MOVE_RUN_REQUEST__INIT;
    static uint8_t garbage[] = {0xff, 0xff};
    uint8_t sha256[CAP_SHA256_BYTES];
    struct cap_err err = {0};

    REFUSED(s, append, &append_request, AppendReply, CAP_INVALID_ARGUMENT,
            "the request holds no batch");
    append_request.batch = &batch;
    REFUSED(s, append, &append_request, AppendReply, CAP_INVALID_ARGUMENT,
            "sha256 has 0 bytes, must be 32");
    cap_sha256(garbage, sizeof garbage, sha256);
    batch.rows = (ProtobufCBinaryData){sizeof garbage, garbage};
    batch.sha256 = (ProtobufCBinaryData){sizeof sha256, sha256};
    REFUSED(s, append, &append_request, AppendReply, CAP_INVALID_ARGUMENT,
            "the rows of the batch are not valid AnswerRows, or too large");
    REFUSED(s, enqueue, &enqueue_request, EnqueueReply, CAP_INVALID_ARGUMENT,
            "the request holds no spec");
    REFUSED(s, finish_run, &finish_request, Empty, CAP_INVALID_ARGUMENT,
            "the request holds no summary");
    REFUSED(s, release, &release_request, Empty, CAP_NOT_FOUND, "run \"\" does not exist");
    REFUSED(s, get_run, &run, GetRunReply, CAP_NOT_FOUND, "run \"\" does not exist");
    REFUSED(s, move_run, &move, Empty, CAP_INVALID_ARGUMENT, "from 0 to 0: no such state");
    evidence.run_id = "run-none";
    struct cap_rpc_call *call = store_rpc_read_evidence_open(s->channel, NULL, &evidence);
    assert_null(store_rpc_read_evidence_next_reply(call));
    assert_refused(cap_rpc_close(call, &err), &err, CAP_NOT_FOUND,
                   "run \"run-none\" does not exist");
    cap_err_clear(&err);
    call = store_rpc_put_task_open(s->channel, NULL);
    cap_rpc_send_done(call);
    assert_null(store_rpc_put_task_next_reply(call));
    assert_refused(cap_rpc_close(call, &err), &err, CAP_INVALID_ARGUMENT,
                   "the first message of PutTask holds no task");
}

int main(void)
{
#define SUITE_TEST(f) cmocka_unit_test_setup_teardown(f, suite_setup, suite_teardown)
    const struct CMUnitTest tests[] = {
        SUITE_TEST(an_evaluation_goes_from_task_to_board),
        SUITE_TEST(a_text_with_u0000_is_not_cut),
        SUITE_TEST(a_sweep_forgets_old_events_only_when_told_to),
        SUITE_TEST(a_routing_that_is_none_is_refused),
        SUITE_TEST(requests_that_lack_a_part_are_refused),
    };
    int failed;

    cap_rpc_init();
    failed = cmocka_run_group_tests_name("store rpc", tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
