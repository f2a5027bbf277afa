/* What makes two runs comparable: the question that they were asked. */
#include "store/migrate.h"
#include "world.h"

#define STR(text) ((char *)(text))

static const Moecap__V1__BoardRow *must_ask(struct world *w, struct draft_evaluation *d)
{
    Moecap__V1__EnqueueReply reply = MOECAP__V1__ENQUEUE_REPLY__INIT;
    struct cap_err err = {0};

    assert_ok(store_enqueue(w->pg, &d->request, w->arena, &reply, &err), &err);
    assert_int_equal(reply.duplicate, false);
    return must_get_run(w, reply.run_ids[0])->row;
}

static const char *setting_of(struct world *w, const Moecap__V1__BoardRow *row)
{
    CAP_AUTO_BUF(text, 1024);

    for (size_t i = 0; i < row->n_setting; i++)
        cap_buf_printf(&text, i ? " · %s" : "%s", row->setting[i]);
    return cap_arena_strdup(w->arena, text.length ? text.data : "");
}

/* The knobs of a test, on a run of the first `samples` of four. */
struct asked {
    bool shots, warm; /* whether the next two are set */
    uint32_t fewshot;
    double temperature;
    uint32_t max_tokens, seed, limit, batch, repeats;
    const char *format, *precision;
};
#define ASK(w, tag, samples, ...) ask(w, tag, samples, &(struct asked){__VA_ARGS__})

static const Moecap__V1__BoardRow *ask(struct world *w, int tag, uint32_t samples,
                                       const struct asked *asked)
{
    struct draft_evaluation *d = draft(w, samples, tag);
    Moecap__V1__Generation generation = MOECAP__V1__GENERATION__INIT;
    Moecap__V1__Load load = MOECAP__V1__LOAD__INIT;

    if (asked->shots) {
        d->spec.opt_num_fewshot_case = MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT;
        d->spec.num_fewshot = asked->fewshot;
    }
    generation.max_tokens = asked->max_tokens;
    if (asked->warm) {
        generation.opt_temperature_case = MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE;
        generation.temperature = asked->temperature;
    }
    load.kind_case = MOECAP__V1__LOAD__KIND_CONCURRENCY;
    load.concurrency = asked->batch ? asked->batch : 1;
    d->spec.generation = &generation;
    d->spec.load = &load;
    d->spec.seed = asked->seed;
    d->spec.limit = asked->limit;
    d->spec.repeats = asked->repeats;
    d->spec.prompt_format = STR(asked->format ? asked->format : "text");
    d->spec.precision = STR(asked->precision ? asked->precision : "f32");
    return must_ask(w, d);
}

static void what_the_task_asks_by_itself_needs_no_word(void **state)
{
    struct world *w = *state;

    must_put_task(w, 4);
    const Moecap__V1__BoardRow *plain = ASK(w, 1, 4, .batch = 1);
    const Moecap__V1__BoardRow *said =
        ASK(w, 2, 4, .shots = true, .fewshot = 0, .warm = true, .temperature = 0, .limit = 4,
            .seed = 7, .batch = 16, .precision = "bf16");

    assert_int_equal(strlen(plain->question), 16);
    assert_string_equal(said->question, plain->question); /* how fast, on what: no other question */
    assert_string_equal(setting_of(w, said), "");
    assert_int_equal(plain->task_samples, 4);
}

static void another_setting_is_another_question_and_says_so(void **state)
{
    struct world *w = *state;

    must_put_task(w, 4);
    const Moecap__V1__BoardRow *rows[] = {
        ASK(w, 1, 4, .batch = 1),
        ASK(w, 2, 4, .shots = true, .fewshot = 3),
        ASK(w, 3, 4, .shots = true, .fewshot = 3, .seed = 7), /* draws other examples */
        ASK(w, 4, 4, .format = "chat"),
        ASK(w, 5, 4, .warm = true, .temperature = 0.8),
        ASK(w, 6, 4, .max_tokens = 32),
        ASK(w, 7, 2, .limit = 2),
        ASK(w, 8, 3, .limit = 3),
    };
    static const char *const words[] = {"",      "3-shot",        "3-shot",  "chat",
                                        "T 0.8", "max 32 tokens", "first 2", "first 3"};

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        assert_string_equal(setting_of(w, rows[i]), words[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rows[i]->question, rows[k]->question);
    }
    assert_string_equal(ASK(w, 9, 2, .limit = 2, .batch = 8)->question, rows[6]->question);
}

static void repeats_answer_one_question_and_are_told_apart(void **state)
{
    struct world *w = *state;

    must_put_task(w, 4);
    const Moecap__V1__BoardRow *first = ASK(w, 1, 4, .warm = true, .temperature = 0.8);
    const Moecap__V1__BoardRow *repeat =
        ASK(w, 2, 4, .warm = true, .temperature = 0.8, .repeats = 3);

    assert_string_equal(repeat->question, first->question);
    assert_string_equal(setting_of(w, repeat), "T 0.8 · repeat 1 of 3");
}

static void a_new_version_of_a_task_is_another_question(void **state)
{
    struct world *w = *state;

    must_put_task(w, 4);
    const Moecap__V1__BoardRow *before = ASK(w, 1, 4, .batch = 1);
    must_put_task(w, 5);
    assert_string_not_equal(ASK(w, 2, 5, .batch = 1)->question, before->question);
}

static void times_over_http_say_so_when_the_report_is_there(void **state)
{
    struct world *w = *state;
    Moecap__V1__ShardReport report = MOECAP__V1__SHARD_REPORT__INIT;
    uint8_t packed[64];

    must_put_task(w, 4);
    const char *id = must_enqueue(w, 4, 4, 1), *question = must_get_run(w, id)->row->question;
    Moecap__V1__LeaseReply got = must_lease(w, id, 0, "node-a");
    struct batch *batch = batch_of(w, id, 0, got.fence, got.seq_next, 0, 4, true, 0);
    report.timing_boundary = "http";
    batch->rows.report.len = moecap__v1__shard_report__pack(&report, packed);
    batch->rows.report.data = packed;
    must_append(w, batch);
    const Moecap__V1__BoardRow *row = must_get_run(w, id)->row;
    assert_string_equal(row->timing_boundary, "http");
    assert_string_equal(setting_of(w, row), "http");
    assert_string_equal(row->question, question);
}

static void runs_of_an_older_schema_get_theirs_at_the_start(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    int applied;

    must_put_task(w, 4);
    const Moecap__V1__BoardRow *row = ASK(w, 1, 2, .limit = 2, .format = "chat");
    free(harness_sql(w->db, "UPDATE moecap.run SET question = NULL, setting = '{}'"));
    assert_string_equal(must_get_run(w, row->run_id)->row->question, "");
    assert_ok(store_migrate(w->pg, &applied, &err), &err);
    const Moecap__V1__BoardRow *again = must_get_run(w, row->run_id)->row;
    assert_string_equal(again->question, row->question);
    assert_string_equal(setting_of(w, again), "first 2 · chat");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_the_task_asks_by_itself_needs_no_word),
        TEST(another_setting_is_another_question_and_says_so),
        TEST(repeats_answer_one_question_and_are_told_apart),
        TEST(a_new_version_of_a_task_is_another_question),
        TEST(times_over_http_say_so_when_the_report_is_there),
        TEST(runs_of_an_older_schema_get_theirs_at_the_start),
    };

    return cmocka_run_group_tests_name("store question", tests, NULL, NULL);
}
