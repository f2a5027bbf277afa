/* Drives a moecap-store, of any build, with a run of null samples as scheduler and node would, and
 * prints microseconds a sample for each step:
 *
 *     bench-store HOST:PORT SAMPLES
 *
 * Append takes batches of 256 with token ids, timings, passes and expert counts; grading goes in
 * batches of 256; evidence is read whole. One connection, one call at a time, so what is measured
 * is the store and its database.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "digest/digest.h"
#include "moecap/v1/store.rpc.h"
#include "rpc/rpc.h"

enum { BATCH = 256, LAYERS = 48, EXPERTS = 128, TOKENS = 64 };

struct bench {
    struct cap_rpc_channel *channel;
    struct cap_arena *arena; /* emptied for each batch */
    uint32_t samples;
    char run_id[64];
    uint64_t fence;
};

static void must(bool ok, const char *what, const struct cap_err *err)
{
    if (ok)
        return;
    fprintf(stderr, "bench-store: %s: %s\n", what, err->text);
    exit(1);
}

#define CALL(b, name, request, reply_type)                                                         \
    ({                                                                                             \
        struct cap_err err_ = {0};                                                                 \
        Moecap__V1__##reply_type *reply_ = NULL;                                                   \
        must(store_rpc_##name((b)->channel, NULL, request, (b)->arena, &reply_, &err_), #name,     \
             &err_);                                                                               \
        reply_;                                                                                    \
    })

static void put_task(struct bench *b)
{
    struct cap_rpc_call *call = store_rpc_put_task_open(b->channel, NULL);
    Moecap__V1__TaskInfo task = MOECAP__V1__TASK_INFO__INIT;
    char sha256[CAP_SHA256_HEX_BYTES], *metrics[] = {"exact"}, *docs[BATCH];
    struct cap_err err = {0};

    task.name = "bench";
    task.version = "1";
    task.output_type = "generate_until";
    task.definition = "{}";
    cap_sha256_hex("{}", 2, sha256);
    task.definition_sha256 = sha256;
    task.metrics = metrics;
    task.n_metrics = 1;
    for (uint32_t i = 0; i < b->samples; i += BATCH) {
        Moecap__V1__PutTaskChunk chunk = MOECAP__V1__PUT_TASK_CHUNK__INIT;
        cap_arena_reset(b->arena);
        chunk.task = i == 0 ? &task : NULL;
        chunk.samples = docs;
        for (uint32_t k = i; k < b->samples && k < i + BATCH; k++)
            docs[chunk.n_samples++] = cap_arena_printf(
                b->arena, "{\"id\":\"s%u\",\"question\":\"what is %u?\",\"answer\":%u}", k, k, k);
        must(store_rpc_put_task_send_request(call, &chunk), "send task", &err);
    }
    cap_rpc_send_done(call);
    store_rpc_put_task_next_reply(call);
    must(cap_rpc_close(call, &err), "put_task", &err);
}

static void enqueue_and_lease(struct bench *b)
{
    Moecap__V1__GetTaskRequest get = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__EnqueueRequest request = MOECAP__V1__ENQUEUE_REQUEST__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__EnqueueRun run = MOECAP__V1__ENQUEUE_RUN__INIT, *runs[] = {&run};
    Moecap__V1__LeaseRequest lease = MOECAP__V1__LEASE_REQUEST__INIT;
    uint32_t *ordinals = calloc(b->samples, sizeof *ordinals), size = b->samples;
    char *tasks[] = {"bench"}, hash[65];

    for (uint32_t i = 0; i < b->samples; i++)
        ordinals[i] = i;
    cap_arena_reset(b->arena);
    get.name = run.task = "bench";
    run.task_id = CALL(b, get_task, &get, GetTaskReply)->task_id;
    spec.model = "none";
    spec.engine = "null";
    spec.tasks = tasks;
    spec.n_tasks = 1;
    snprintf(hash, sizeof hash, "%064d", 1);
    run.ordinals = ordinals;
    run.n_ordinals = b->samples;
    run.shard_sizes = &size;
    run.n_shard_sizes = 1;
    request.spec = &spec;
    request.spec_json = "{}";
    request.config_hash = hash;
    request.runs = runs;
    request.n_runs = 1;
    snprintf(b->run_id, sizeof b->run_id, "%s",
             CALL(b, enqueue, &request, EnqueueReply)->run_ids[0]);
    lease.run_id = b->run_id;
    lease.node_id = lease.node_name = "bench";
    lease.lease_ms = 3600000;
    b->fence = CALL(b, lease, &lease, LeaseReply)->fence;
    free(ordinals);
}

static Moecap__V1__SampleAnswer *answer_of(struct bench *b, uint32_t ordinal)
{
    static uint32_t ids[TOKENS], gaps[TOKENS - 1];
    Moecap__V1__SampleAnswer *a = cap_arena_alloc(b->arena, sizeof *a);
    Moecap__V1__Timing *timing = cap_arena_alloc(b->arena, sizeof *timing);

    moecap__v1__sample_answer__init(a);
    moecap__v1__timing__init(timing);
    for (uint32_t i = 0; i < TOKENS - 1; i++) {
        ids[i] = 1000 + i;
        gaps[i] = 9000 + i;
    }
    a->ordinal = ordinal;
    a->uid = cap_arena_printf(b->arena, "s%u", ordinal);
    a->status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    a->prompt = "Question: what is it?\nAnswer:";
    a->text = "It is what it is, and it is written down here with some words around it.";
    a->finish_reason = "eos";
    a->opt_prompt_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
    a->prompt_tokens = 11;
    a->opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
    a->output_tokens = TOKENS;
    a->output_ids = ids;
    a->n_output_ids = TOKENS;
    a->timing = timing;
    timing->submitted_us = 10;
    timing->opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
    timing->first_token_us = 50000;
    timing->opt_last_case = MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US;
    timing->last_token_us = 900000;
    timing->ended_us = 900010;
    timing->itl_us = gaps;
    timing->n_itl_us = TOKENS - 1;
    return a;
}

/* Passes and expert counts as an engine with that many layers sends them with a batch. */
static void add_passes_and_counts(struct bench *b, Moecap__V1__AnswerRows *rows)
{
    static uint64_t counts[EXPERTS];
    static uint32_t distinct[LAYERS];

    for (int i = 0; i < EXPERTS; i++)
        counts[i] = 17 + (uint64_t)i;
    for (int i = 0; i < LAYERS; i++)
        distinct[i] = 60 + (uint32_t)i;
    rows->n_passes = TOKENS;
    rows->passes = cap_arena_array(b->arena, rows->n_passes, sizeof *rows->passes);
    for (size_t i = 0; i < rows->n_passes; i++) {
        Moecap__V1__Pass *pass = rows->passes[i] = cap_arena_alloc(b->arena, sizeof *pass);
        moecap__v1__pass__init(pass);
        pass->phase = MOECAP__V1__PHASE__PHASE_DECODE;
        pass->sequences = pass->tokens = BATCH;
        pass->duration_ns = 9000000;
        pass->distinct_experts = distinct;
        pass->n_distinct_experts = LAYERS;
    }
    rows->n_expert_counts = LAYERS;
    rows->expert_counts =
        cap_arena_array(b->arena, rows->n_expert_counts, sizeof *rows->expert_counts);
    for (uint32_t i = 0; i < LAYERS; i++) {
        Moecap__V1__ExpertCount *row = rows->expert_counts[i] =
            cap_arena_alloc(b->arena, sizeof *row);
        moecap__v1__expert_count__init(row);
        row->phase = MOECAP__V1__PHASE__PHASE_DECODE;
        row->layer = i;
        row->batch_bucket = BATCH;
        row->counts = counts;
        row->n_counts = EXPERTS;
    }
}

static void append(struct bench *b, uint32_t first, uint64_t seq)
{
    Moecap__V1__AppendRequest request = MOECAP__V1__APPEND_REQUEST__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    Moecap__V1__LeaseRef ref = MOECAP__V1__LEASE_REF__INIT;
    Moecap__V1__AnswerRows rows = MOECAP__V1__ANSWER_ROWS__INIT;
    uint8_t sha256[CAP_SHA256_BYTES];

    cap_arena_reset(b->arena);
    rows.answers = cap_arena_array(b->arena, BATCH, sizeof *rows.answers);
    while (rows.n_answers < BATCH && first + rows.n_answers < b->samples) {
        rows.answers[rows.n_answers] = answer_of(b, first + (uint32_t)rows.n_answers);
        rows.n_answers++;
    }
    add_passes_and_counts(b, &rows);
    batch.rows.len = protobuf_c_message_get_packed_size(&rows.base);
    batch.rows.data = cap_arena_alloc(b->arena, batch.rows.len);
    protobuf_c_message_pack(&rows.base, batch.rows.data);
    cap_sha256(batch.rows.data, batch.rows.len, sha256);
    batch.sha256 = (ProtobufCBinaryData){sizeof sha256, sha256};
    batch.answers = batch.completed = (uint32_t)rows.n_answers;
    batch.seq = seq;
    batch.last = first + BATCH >= b->samples;
    ref.run_id = b->run_id;
    ref.fence = b->fence;
    batch.lease = &ref;
    request.batch = &batch;
    CALL(b, append, &request, AppendReply);
}

static void append_all(struct bench *b)
{
    for (uint32_t first = 0; first < b->samples; first += BATCH)
        append(b, first, first / BATCH + 1);
}

static void grade_all(struct bench *b)
{
    Moecap__V1__ReadUngradedRequest read = MOECAP__V1__READ_UNGRADED_REQUEST__INIT;
    Moecap__V1__PutVerdictsRequest put = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__Verdict verdicts[BATCH], *list[BATCH];

    read.run_id = put.run_id = b->run_id;
    put.verdicts = list;
    for (;;) {
        cap_arena_reset(b->arena);
        const Moecap__V1__ReadUngradedReply *items =
            CALL(b, read_ungraded, &read, ReadUngradedReply);
        if (items->n_items == 0)
            return;
        for (size_t i = 0; i < items->n_items; i++) {
            moecap__v1__verdict__init(&verdicts[i]);
            verdicts[i].ordinal = items->items[i]->answer->ordinal;
            verdicts[i].metric = "exact";
            verdicts[i].version = "1";
            verdicts[i].kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
            verdicts[i].extracted = "42";
            verdicts[i].score = 1;
            list[i] = &verdicts[i];
        }
        put.n_verdicts = items->n_items;
        CALL(b, put_verdicts, &put, PutVerdictsReply);
    }
}

static void read_evidence(struct bench *b)
{
    Moecap__V1__ReadEvidenceRequest request = MOECAP__V1__READ_EVIDENCE_REQUEST__INIT;
    const Moecap__V1__Evidence *evidence;
    struct cap_err err = {0};
    size_t answers = 0;

    request.run_id = b->run_id;
    struct cap_rpc_call *call = store_rpc_read_evidence_open(b->channel, NULL, &request);
    while ((evidence = store_rpc_read_evidence_next_reply(call)) != NULL)
        answers += evidence->n_answers;
    must(cap_rpc_close(call, &err), "read_evidence", &err);
    must(answers == b->samples, "read_evidence answered other samples", &err);
}

static void measure(struct bench *b, const char *name, void (*step)(struct bench *))
{
    int64_t begun_ms = cap_clock_ms(cap_clock_system());

    step(b);
    printf("%s %.2f\n", name,
           1000.0 * (double)(cap_clock_ms(cap_clock_system()) - begun_ms) / b->samples);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct bench b = {0};

    if (argc != 3) {
        fprintf(stderr, "usage: bench-store HOST:PORT SAMPLES\n");
        return 2;
    }
    cap_rpc_init();
    b.channel = cap_rpc_channel_new(argv[1], &(struct cap_rpc_channel_options){0});
    b.arena = cap_arena_new(64 << 20);
    b.samples = (uint32_t)strtoul(argv[2], NULL, 10);
    measure(&b, "put_task", put_task);
    measure(&b, "enqueue", enqueue_and_lease);
    measure(&b, "append", append_all);
    measure(&b, "grade", grade_all);
    measure(&b, "evidence", read_evidence);
    cap_rpc_channel_free(b.channel);
    cap_arena_free(b.arena);
    cap_rpc_shutdown();
    return 0;
}
