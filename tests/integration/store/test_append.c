/* Exactly once: whatever is sent again, late, twice at the same time or while the database fails.
 */
#include <pthread.h>

#include "world.h"

/* Tables live in the schema moecap; harness_sql has no search_path. */
#define COUNT_SAMPLES "SELECT count(*) FROM moecap.sample"
#define COUNT_LEDGER "SELECT count(*) FROM moecap.batch_ledger"

static const char *world_with_run(void **state, uint32_t samples, struct world **out_world)
{
    *out_world = *state;
    must_put_task(*out_world, samples);
    return must_enqueue(*out_world, samples, samples, 1);
}

static void a_repeated_batch_is_acknowledged_and_skipped(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 4, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, 2, false, 0);
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};

    assert_ok(append(w, batch, &appended, &err), &err);
    assert_false(appended.repeated_batch);
    assert_int_equal(appended.samples_answered, 2);
    for (int i = 0; i < 3; i++) {
        assert_ok(append(w, batch, &appended, &err), &err);
        assert_true(appended.repeated_batch);
        assert_int_equal(appended.samples_answered, 2);
    }
    assert_int_equal(sql_int(w, COUNT_SAMPLES), 2);
    assert_int_equal(sql_int(w, COUNT_LEDGER), 1);
}

static void other_rows_under_the_same_number_are_refused(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 4, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    char text[128];

    must_append(w, batch_of(w, run, 0, held.fence, 1, 0, 2, false, 0));
    snprintf(text, sizeof text, "batch 1 of shard 0 of run %s is stored already, with other rows",
             run);
    assert_refused(append(w, batch_of(w, run, 0, held.fence, 1, 2, 2, false, 9), &appended, &err),
                   &err, CAP_FAILED_PRECONDITION, text);
    assert_int_equal(sql_int(w, COUNT_SAMPLES), 2);
}

static void batches_out_of_order_are_refused(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 4, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    char text[128];

    snprintf(text, sizeof text, "batch 2 of shard 0 of run %s is out of order, the next is 1", run);
    assert_refused(append(w, batch_of(w, run, 0, held.fence, 2, 0, 2, false, 0), &appended, &err),
                   &err, CAP_FAILED_PRECONDITION, text);
    must_append(w, batch_of(w, run, 0, held.fence, 1, 0, 2, false, 0));
    must_append(w, batch_of(w, run, 0, held.fence, 2, 2, 2, false, 0));
}

static void an_old_fence_is_refused_even_for_a_batch_that_is_stored(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 4, &w);
    Moecap__V1__LeaseReply old = must_lease(w, run, 0, "node-a");
    struct batch *stored = batch_of(w, run, 0, old.fence, 1, 0, 2, false, 0);
    const Moecap__V1__LeaseRef ref = {.run_id = (char *)run, .fence = old.fence};
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    char text[128];

    must_append(w, stored);
    assert_ok(release(w, ref.run_id, ref.shard, ref.fence, "node lost", &err), &err);
    Moecap__V1__LeaseReply now = must_lease(w, run, 0, "node-b");
    assert_int_equal(now.fence, old.fence + 1);
    assert_int_equal(now.seq_next, 2);
    assert_int_equal(now.n_ordinals_left, 2);
    assert_int_equal(now.ordinals_left[0], 2);

    snprintf(text, sizeof text, "fence 1 of shard 0 of run %s is not valid, the shard's is 2", run);
    assert_refused(append(w, stored, &appended, &err), &err, CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    assert_refused(append(w, batch_of(w, run, 0, old.fence, 2, 2, 2, true, 0), &appended, &err),
                   &err, CAP_FAILED_PRECONDITION, text);
    must_append(w, batch_of(w, run, 0, now.fence, now.seq_next, 2, 2, true, 0));
    assert_int_equal(sql_int(w, COUNT_SAMPLES), 4);
}

/* A fence is a small number that every reader of the API sees. */
static void a_batch_is_taken_only_from_the_node_that_holds_the_lease(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 4, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, 4, true, 0);
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    char text[160];

    snprintf(text, sizeof text,
             "the lease of shard 0 of run %s belongs to another node than \"node-b\"", run);
    batch->node_id = "node-b";
    assert_refused(append(w, batch, &appended, &err), &err, CAP_PERMISSION_DENIED, text);
    cap_err_clear(&err);
    batch->node_id = "node-a";
    must_append(w, batch);
    /* The lease has ended with its last batch: the holder may repeat that one, no other may. */
    assert_ok(append(w, batch, &appended, &err), &err);
    assert_true(appended.repeated_batch);
    batch->node_id = "node-b";
    assert_refused(append(w, batch, &appended, &err), &err, CAP_PERMISSION_DENIED, text);
    assert_int_equal(sql_int(w, COUNT_SAMPLES), 4);
}

static void a_released_lease_takes_no_more_answers(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 4, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    Moecap__V1__LeaseReply other = must_lease(w, must_enqueue(w, 2, 2, 2), 0, "node-b");
    const Moecap__V1__LeaseRef ref = {.run_id = (char *)run, .fence = held.fence};
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    char text[128];

    (void)other;
    assert_ok(release(w, ref.run_id, ref.shard, ref.fence, "stopped", &err), &err);
    snprintf(text, sizeof text, "run %s is queued and takes no answers", run);
    assert_refused(append(w, batch_of(w, run, 0, held.fence, 1, 0, 2, false, 0), &appended, &err),
                   &err, CAP_FAILED_PRECONDITION, text);
}

static void each_answer_is_of_the_shard_new_and_there_once(void **state)
{
    struct world *w = *state;
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    struct batch *batch;

    must_put_task(w, 6);
    const char *run = must_enqueue(w, 6, 3, 1);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    must_append(w, batch_of(w, run, 0, held.fence, 1, 0, 1, false, 0));

    assert_refused(append(w, batch_of(w, run, 0, held.fence, 2, 3, 1, false, 0), &appended, &err),
                   &err, CAP_INVALID_ARGUMENT, "sample 3 is not of this shard");
    cap_err_clear(&err);
    assert_refused(append(w, batch_of(w, run, 0, held.fence, 2, 0, 2, false, 1), &appended, &err),
                   &err, CAP_INVALID_ARGUMENT, "sample 0 has an answer already");
    cap_err_clear(&err);
    batch = batch_of(w, run, 0, held.fence, 2, 1, 2, false, 2);
    batch->answers[1].ordinal = 1;
    assert_refused(append(w, batch, &appended, &err), &err, CAP_INVALID_ARGUMENT,
                   "sample 1 appears twice");
    cap_err_clear(&err);
    batch = batch_of(w, run, 0, held.fence, 2, 1, 2, false, 3);
    batch->answers[0].uid = "s2'; DROP TABLE moecap.run; --";
    assert_refused(append(w, batch, &appended, &err), &err, CAP_INVALID_ARGUMENT,
                   "sample 1 has the uid \"s1\", not \"s2'; DROP TABLE moecap.run; --\"");
    cap_err_clear(&err);
    batch = batch_of(w, run, 0, held.fence, 2, 1, 2, false, 4);
    batch->announced_more = 1;
    assert_refused(append(w, batch, &appended, &err), &err, CAP_INVALID_ARGUMENT,
                   "the batch announces 3 answers, 2 of them completed, but holds 2 and 2");
    assert_int_equal(sql_int(w, COUNT_SAMPLES), 1);
    assert_int_equal(sql_int(w, COUNT_LEDGER), 1);
}

static void the_last_batch_ends_shard_and_run_only_when_nothing_is_missing(void **state)
{
    struct world *w = *state;
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    char text[160];

    must_put_task(w, 4);
    const char *run = must_enqueue(w, 4, 2, 1);
    Moecap__V1__LeaseReply first = must_lease(w, run, 0, "node-a");
    Moecap__V1__LeaseReply second = must_lease(w, run, 1, "node-b");

    snprintf(text, sizeof text,
             "the batch is marked last, but 1 samples of shard 0 of run %s have no answer", run);
    assert_refused(append(w, batch_of(w, run, 0, first.fence, 1, 0, 1, true, 0), &appended, &err),
                   &err, CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    assert_ok(append(w, batch_of(w, run, 0, first.fence, 1, 0, 2, true, 0), &appended, &err), &err);
    assert_true(appended.shard_done);
    assert_false(appended.run_done);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.run WHERE state = 'running'"), 1);

    struct batch *last = batch_of(w, run, 1, second.fence, 1, 2, 2, true, 0);
    assert_ok(append(w, last, &appended, &err), &err);
    assert_true(appended.shard_done);
    assert_true(appended.run_done);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.run WHERE state = 'grading'"), 1);
    /* The acknowledgement was lost: the sender asks again and hears the same. */
    assert_ok(append(w, last, &appended, &err), &err);
    assert_true(appended.repeated_batch);
    assert_true(appended.shard_done);
    assert_true(appended.run_done);
    assert_int_equal(appended.samples_answered, 4);
}

static void expert_counts_add_up_once_however_often_they_are_sent(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 4, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    uint64_t a[] = {1, 2, 3}, b[] = {10, 20, 30, 40}, c[] = {5}, huge[] = {0, INT64_MAX};
    const Moecap__V1__ExpertCount first[] = {COUNTS(1, 4, a, 3), COUNTS(2, 4, c, 1),
                                             COUNTS(1, 4, c, 1)},
                                  second[] = {COUNTS(1, 4, b, 4)},
                                  third[] = {COUNTS(1, 4, huge, 2)};
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};

    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, 2, false, 0);
    set_counts(w, batch, first, 3);
    must_append(w, batch);
    assert_ok(append(w, batch, &appended, &err), &err);
    batch = batch_of(w, run, 0, held.fence, 2, 2, 2, false, 0);
    set_counts(w, batch, second, 1);
    must_append(w, batch);
    assert_ok(append(w, batch, &appended, &err), &err);

    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.expert_count"), 2);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.expert_count"
                                " WHERE phase = 1 AND counts = '{16,22,33,40}'"),
                     1);
    batch = batch_of(w, run, 0, held.fence, 3, 0, 0, false, 1);
    set_counts(w, batch, third, 1);
    assert_refused(append(w, batch, &appended, &err), &err, CAP_INVALID_ARGUMENT,
                   "the selections of expert 1 in layer 0 exceed 63 bits");
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.expert_count"), 2);
}

static void model_text_with_any_bytes_is_kept_and_marked(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 2, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, 2, true, 0);
    static uint8_t raw[] =
        "a\0b\xE2\x82 tab\t back\\slash\nnew\r '; DROP TABLE x; -- \\N \U0001F600";

    batch->answers[0].text = (ProtobufCBinaryData){sizeof raw - 1, raw};
    must_append(w, batch);
    Moecap__V1__ListSamplesReply *page = must_list_all(w, run);
    assert_string_equal(page->samples[0]->answer->text,
                        "a<0x00>b<0xE2><0x82> tab\t back\\slash\nnew\r '; DROP TABLE x; -- \\N "
                        "\U0001F600");
    assert_true(page->samples[0]->escaped);
    assert_false(page->samples[1]->escaped);
}

static void a_text_of_a_megabyte_comes_back_whole(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 1, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, 1, true, 0);
    enum { BYTES = 1 << 20 };
    uint8_t *text = cap_arena_alloc(w->arena, BYTES);

    for (size_t i = 0; i < BYTES; i++)
        text[i] = (uint8_t)(i % 96 + 32);
    batch->answers[0].text = (ProtobufCBinaryData){BYTES, text};
    must_append(w, batch);
    const char *back = must_list_all(w, run)->samples[0]->answer->text;
    assert_int_equal(strlen(back), BYTES);
    assert_memory_equal(back, text, BYTES);
}

static void numbers_that_are_unknown_stay_unknown(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 1, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, 1, true, 0);
    Moecap__Store__RawAnswer *sent = &batch->answers[0];

    sent->status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED;
    sent->error = (ProtobufCBinaryData){16, (uint8_t *)"connection reset"};
    sent->timing = NULL;
    sent->opt_output_tokens_case = MOECAP__STORE__RAW_ANSWER__OPT_OUTPUT_TOKENS__NOT_SET;
    must_append(w, batch);
    const Moecap__V1__SampleAnswer *answer = must_list_all(w, run)->samples[0]->answer;
    assert_int_equal(answer->status, MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED);
    assert_null(answer->timing);
    assert_int_equal(answer->opt_output_tokens_case, 0);
    assert_int_equal(answer->opt_cached_tokens_case, 0);
    assert_int_equal(answer->opt_prompt_tokens_case, 9);
    assert_int_equal(answer->prompt_tokens, 11);
    assert_string_equal(answer->error, "connection reset");
}

/* Of a scored sample each continuation has three numbers, in three columns. */
static void scores_come_back_by_continuation(void **state)
{
    struct world *w;
    const char *run = world_with_run(state, 1, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, 1, true, 0);
    Moecap__V1__Score scores[] = {MOECAP__V1__SCORE__INIT, MOECAP__V1__SCORE__INIT},
                      *list[] = {&scores[0], &scores[1]};

    scores[0].log_likelihood = -1.0 / 3;
    scores[0].tokens = 4;
    scores[1].log_likelihood = -1.0 / 0.0;
    scores[1].greedy = true;
    batch->answers[0].scores = list;
    batch->answers[0].n_scores = 2;
    must_append(w, batch);
    const Moecap__V1__SampleAnswer *answer = must_list_all(w, run)->samples[0]->answer;
    assert_int_equal(answer->n_scores, 2);
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(&answer->scores[i]->log_likelihood, &scores[i].log_likelihood, 8);
        assert_int_equal(answer->scores[i]->tokens, scores[i].tokens);
        assert_int_equal(answer->scores[i]->greedy, scores[i].greedy);
    }
}

/* ---- at the same time ---- */

struct sender {
    struct world *w;
    const struct batch *batch;
    Moecap__V1__AppendReply appended;
    struct cap_err err;
    bool ok;
};

static void *send_once(void *arg)
{
    struct sender *sender = arg;

    sender->ok = append(sender->w, sender->batch, &sender->appended, &sender->err);
    return NULL;
}

static void of_senders_at_the_same_time_one_stores(void **state)
{
    enum { SENDERS = 8 };
    struct world *w;
    const char *run = world_with_run(state, 64, &w);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, 64, true, 0);
    struct sender senders[SENDERS] = {0};
    pthread_t threads[SENDERS];
    int fresh = 0;

    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.w = w, .batch = batch};
        assert_int_equal(pthread_create(&threads[i], NULL, send_once, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(senders[i].ok, &senders[i].err);
        fresh += !senders[i].appended.repeated_batch;
        assert_true(senders[i].appended.run_done);
    }
    assert_int_equal(fresh, 1);
    assert_int_equal(sql_int(w, COUNT_SAMPLES), 64);
}

/* Two shards of one run end together: the run must see both. */
static void two_last_batches_at_once_end_the_run_once(void **state)
{
    enum { ROUNDS = 10 };
    struct world *w = *state;

    must_put_task(w, 8);
    for (int round = 0; round < ROUNDS; round++) {
        const char *run = must_enqueue(w, 8, 4, round);
        struct sender senders[2] = {0};
        pthread_t threads[2];
        for (uint32_t i = 0; i < 2; i++) {
            Moecap__V1__LeaseReply held = must_lease(w, run, i, i ? "node-b" : "node-a");
            senders[i] = (struct sender){
                .w = w, .batch = batch_of(w, run, i, held.fence, 1, 4 * i, 4, true, round)};
        }
        for (int i = 0; i < 2; i++)
            pthread_create(&threads[i], NULL, send_once, &senders[i]);
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            assert_ok(senders[i].ok, &senders[i].err);
        }
        assert_int_equal(senders[0].appended.run_done + senders[1].appended.run_done, 1);
    }
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.run WHERE state = 'grading'"), ROUNDS);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_repeated_batch_is_acknowledged_and_skipped),
        WORLD_TEST(other_rows_under_the_same_number_are_refused),
        WORLD_TEST(batches_out_of_order_are_refused),
        WORLD_TEST(an_old_fence_is_refused_even_for_a_batch_that_is_stored),
        WORLD_TEST(a_batch_is_taken_only_from_the_node_that_holds_the_lease),
        WORLD_TEST(a_released_lease_takes_no_more_answers),
        WORLD_TEST(each_answer_is_of_the_shard_new_and_there_once),
        WORLD_TEST(the_last_batch_ends_shard_and_run_only_when_nothing_is_missing),
        WORLD_TEST(expert_counts_add_up_once_however_often_they_are_sent),
        WORLD_TEST(model_text_with_any_bytes_is_kept_and_marked),
        WORLD_TEST(a_text_of_a_megabyte_comes_back_whole),
        WORLD_TEST(numbers_that_are_unknown_stay_unknown),
        WORLD_TEST(scores_come_back_by_continuation),
        WORLD_TEST(of_senders_at_the_same_time_one_stores),
        WORLD_TEST(two_last_batches_at_once_end_the_run_once),
    };

    return cmocka_run_group_tests_name("store append", tests, NULL, NULL);
}
