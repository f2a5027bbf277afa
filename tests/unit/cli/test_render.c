/* What the board and the progress lines look like, word for word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cmd_board_rpc.c"

#include "cli/cmd_run_rpc.c"
#include "cli/cmd_watch_rpc.c"

/* ---- routing ---- */

static void a_routing_is_summed_up_over_its_layers(void **state)
{
    uint32_t even[] = {2, 2, 2, 2}, skewed[] = {6, 0, 1, 0}, little[] = {0, 0, 1, 0};
    Moecap__V1__LayerRouting layers[3], *pointers[3] = {&layers[0], &layers[1], &layers[2]};
    Moecap__V1__SampleRouting routing = MOECAP__V1__SAMPLE_ROUTING__INIT;
    struct routing summary;

    (void)state;
    for (int i = 0; i < 3; i++)
        moecap__v1__layer_routing__init(&layers[i]);
    layers[0].prefill = even; /* 4 experts, 2 of 8 to the busiest */
    layers[0].n_prefill = 4;
    layers[1].prefill = skewed; /* with decode 2 experts, 6 of 8 */
    layers[1].decode = little;
    layers[1].n_prefill = layers[1].n_decode = 4;
    routing.layers = pointers;
    routing.n_layers = 3; /* the third one chose nothing */
    routing.experts = 4;
    summary = routing_of(&routing);
    assert_true(summary.known);
    assert_true(summary.distinct == 3 && summary.busiest_share == 0.5);
    assert_int_equal(summary.experts, 4);
    routing.n_layers = 0;
    assert_false(routing_of(&routing).known);
    assert_false(routing_of(NULL).known);
}

/* ---- the board ---- */

static Moecap__V1__Figure known(char *id, double value)
{
    Moecap__V1__Figure f = MOECAP__V1__FIGURE__INIT;

    f.id = id;
    f.value = value;
    f.opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    return f;
}

static Moecap__V1__Figure unknown(char *id, char *reason)
{
    Moecap__V1__Figure f = MOECAP__V1__FIGURE__INIT;

    f.id = id;
    f.reason = reason;
    return f;
}

struct board {
    Moecap__V1__Load load;
    Moecap__V1__EvaluationSpec spec;
    Moecap__V1__Figure figures[2][12];
    Moecap__V1__Figure *pointers[2][12];
    Moecap__V1__BoardRow rows[2];
    Moecap__V1__BoardRow *row_pointers[2];
    Moecap__V1__BoardReply reply;
};

static void init_board(struct board *b)
{
    moecap__v1__load__init(&b->load);
    b->load.kind_case = MOECAP__V1__LOAD__KIND_CONCURRENCY;
    b->load.concurrency = 4;
    moecap__v1__evaluation_spec__init(&b->spec);
    b->spec.model = "moecap-tiny";
    b->spec.engine = "native";
    b->spec.precision = "bf16";
    b->spec.load = &b->load;
    moecap__v1__board_reply__init(&b->reply);
    for (size_t r = 0; r < 2; r++) {
        moecap__v1__board_row__init(&b->rows[r]);
        b->rows[r].spec = &b->spec;
        b->rows[r].run_id = r ? "run-b" : "run-a";
        b->rows[r].task = r ? "choice-mini" : "gsm-mini";
        b->rows[r].headline_metric = "acc";
        b->rows[r].state = MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED;
        b->rows[r].figures = b->pointers[r];
        b->rows[r].n_figures = 12;
        for (size_t i = 0; i < 12; i++)
            b->pointers[r][i] = &b->figures[r][i];
        b->row_pointers[r] = &b->rows[r];
    }
    b->reply.rows = b->row_pointers;
    b->reply.n_rows = 2;
    for (size_t r = 0; r < 2; r++) {
        b->figures[r][0] = known("acc", 0.903333);
        b->figures[r][1] = known("prefill_tokens_per_s", 22168);
        b->figures[r][2] = known("activated_experts_prefill", 15.2);
    }
    b->figures[0][0].low = 0.877;
    b->figures[0][0].high = 0.9246;
    b->figures[0][0].opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
    b->figures[0][0].opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
    b->figures[0][3] = known("ttft_ms_p50", 2.14);
    b->figures[0][4] = known("tpot_ms_p50", 0.43);
    b->figures[0][5] = known("output_tokens_per_s", 7534.2);
    b->figures[0][6] = known("activated_experts_decode", 5.84);
    b->figures[0][7] = known("cost_per_1m_output_tokens", 0.0037);
    b->figures[0][7].basis = "declared";
    b->figures[0][8] = known("cost_per_correct", 1.25e-7);
    b->figures[0][9] = known("smbu_decode", 0.4567);
    b->figures[0][10] = known("smbu_decode_attainable", 0.75);
    b->figures[0][10].invalid = true;
    b->figures[0][10].reason = "fits in the cache";
    b->figures[0][11] = known("j_per_output_token", 0.0123);
    b->figures[1][11] = unknown("j_per_output_token", "no decode");
    b->figures[1][9] = unknown("smbu_decode", "no decode");
    b->figures[1][10] = unknown("smbu_decode_attainable", "no decode");
    b->figures[1][7] = unknown("cost_per_1m_output_tokens", "no decode");
    b->figures[1][8] = unknown("cost_per_correct", "no price known for a CPU; give --rent");
    b->figures[1][3] = unknown("ttft_ms_p50", "no decode");
    b->figures[1][4] = unknown("tpot_ms_p50", "no decode");
    b->figures[1][5] = unknown("output_tokens_per_s", "no decode");
    b->figures[1][6] = unknown("activated_experts_decode", "no decode");
}

static void an_unknown_figure_is_a_dash_with_its_reason_below(void **state)
{
    struct board b;
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    init_board(&b);
    render_board(&b.reply, 0, &out);
    assert_string_equal(
        out.data,
        "model        engine  prec  task         batch       acc % [95 %]  TTFT ms  TPOT ms  "
        "out tok/s  pre tok/s  exp pre  exp dec  S-MBU  attained  $/1M out  $/1M right   J/out  "
        "state     run\n"
        "moecap-tiny  native  bf16  gsm-mini         4  90.3 [87.7, 92.5]      2.1     0.43       "
        "7534      22168    15.20     5.84  0.457   invalid   0.0037*       0.125  0.0123  "
        "finished  "
        "run-a\n"
        "moecap-tiny  native  bf16  choice-mini      4               90.3        -        -        "
        "  "
        "-      22168    15.20        -      -         -         -           -       -  finished  "
        "run-b\n"
        "- attained: fits in the cache\n"
        "- TTFT ms, TPOT ms, out tok/s, exp dec, S-MBU, attained, $/1M out, J/out: no decode\n"
        "- $/1M right: no price known for a CPU; give --rent\n"
        "* rests on what the submitter declared\n");
}

static void an_amount_of_any_size_is_written_without_an_exponent(void **state)
{
    struct board b;
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    init_board(&b);
    b.figures[0][8].value = 0.0123456;
    render_board(&b.reply, 0, &out);
    assert_non_null(strstr(out.data, "   0.0037*       12346  0.0123  "));
}

static void a_row_says_what_was_asked_and_how_much_of_it(void **state)
{
    struct board b;
    char *setting[] = {"3-shot", "chat"};
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    init_board(&b);
    b.rows[0].setting = setting;
    b.rows[0].n_setting = 2;
    b.rows[0].opt_samples_total_case = MOECAP__V1__BOARD_ROW__OPT_SAMPLES_TOTAL_SAMPLES_TOTAL;
    b.rows[0].samples_total = 5;
    b.rows[0].opt_task_samples_case = MOECAP__V1__BOARD_ROW__OPT_TASK_SAMPLES_TASK_SAMPLES;
    b.rows[0].task_samples = 600;
    render_board(&b.reply, 0, &out);
    assert_non_null(
        strstr(out.data, "  gsm-mini, 3-shot, chat      4  90.3 [87.7, 92.5] (5 of 600)  "));
}

static void bad_marks_are_named_below_with_their_runs(void **state)
{
    struct board b;
    CAP_AUTO_BUF(out, 1 << 16);
    Moecap__V1__Mark unsettled = MOECAP__V1__MARK__INIT, declared = MOECAP__V1__MARK__INIT,
                     *both[] = {&unsettled, &declared}, *one[] = {&declared};

    (void)state;
    init_board(&b);
    unsettled.id = "unsettled";
    unsettled.bad = true;
    declared.id = "declared";
    b.rows[0].marks = one;
    b.rows[0].n_marks = 1;
    b.rows[1].marks = both;
    b.rows[1].n_marks = 2;
    render_board(&b.reply, 0, &out);
    assert_non_null(strstr(out.data, "\n! unsettled: run-b; moecap run show RUN says why\n"));
    assert_null(strstr(out.data, "declared: "));
    b.rows[0].marks = both;
    b.rows[0].n_marks = 2;
    cap_buf_clear(&out);
    render_board(&b.reply, 0, &out);
    assert_non_null(strstr(out.data, "! unsettled: run-a, run-b; moecap run show RUN says why\n"));
}

static void a_narrow_terminal_gets_fewer_columns_and_is_told_which(void **state)
{
    struct board b;
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    init_board(&b);
    render_board(&b.reply, 80, &out);
    for (char *line = out.data; strncmp(line, "- ", 2) != 0; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 80);
    assert_non_null(strstr(out.data, "not shown at this width: engine, "));
    assert_non_null(strstr(out.data, "90.3 [87.7, 92.5]"));
    assert_non_null(strstr(out.data, "  run-a\n")); /* what every next command needs */
}

static void a_run_that_failed_says_why(void **state)
{
    struct board b;
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    init_board(&b);
    b.rows[1].state = MOECAP__V1__RUN_STATE__RUN_STATE_FAILED;
    b.rows[1].reason = "model \"x\" \033[31mcannot be loaded";
    b.figures[1][1].invalid = true;
    b.figures[1][1].reason = "above the peak";
    render_board(&b.reply, 0, &out);
    assert_non_null(strstr(out.data, "run-b failed: model \"x\" ?[31mcannot be loaded\n"));
    assert_non_null(strstr(out.data, " invalid "));
    assert_non_null(strstr(out.data, "- pre tok/s: above the peak\n"));
}

static void an_empty_board_says_whether_filters_made_it_so(void **state)
{
    Moecap__V1__BoardReply reply = MOECAP__V1__BOARD_REPLY__INIT;
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    render_board(&reply, 80, &out);
    assert_string_equal(out.data,
                        "the board is empty; moecap submit --help shows how to fill it\n");
    cap_buf_clear(&out);
    cli_board_options.model = "nosuch\033[2J";
    cli_board_options.task = "gsm-mini";
    render_board(&reply, 80, &out);
    assert_string_equal(out.data, "no finished run has --model nosuch?[2J and --task gsm-mini; "
                                  "--all includes unfinished and failed runs\n");
    cli_board_options = (struct cli_board_options){0};
}

/* ---- progress ---- */

static Moecap__V1__RunProgress run_in(Moecap__V1__RunState run_state, uint32_t answered)
{
    Moecap__V1__RunProgress run = MOECAP__V1__RUN_PROGRESS__INIT;

    run.run_id = "run-a";
    run.model = "moecap-tiny";
    run.task = "gsm-mini";
    run.precision = "int8";
    run.concurrency = 16;
    run.state = run_state;
    run.samples_total = 600;
    run.samples_answered = answered;
    return run;
}

static void check_description(const Moecap__V1__RunProgress *run, const char *expected)
{
    CAP_AUTO_BUF(out, 4096);

    describe(run, &out);
    assert_string_equal(out.data, expected);
}

static void progress_says_what_happens_in_each_state(void **state)
{
    Moecap__V1__RunProgress run = run_in(MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED, 0);

    (void)state;
    run.phase = "a free node";
    check_description(&run, "queued    0/600, waiting for a free node");
    run = run_in(MOECAP__V1__RUN_STATE__RUN_STATE_LEASED, 0);
    run.phase = "loading";
    check_description(&run, "leased    0/600, loading");
    run = run_in(MOECAP__V1__RUN_STATE__RUN_STATE_RUNNING, 300);
    run.output_tokens_per_s = 812.4;
    run.started_at_ms = cap_clock_wall_ms(cap_clock_system()) - 60000;
    check_description(&run, "running   300/600, 812 tok/s, 1 min 00 s left");
    run = run_in(MOECAP__V1__RUN_STATE__RUN_STATE_GRADING, 600);
    run.samples_graded = 64;
    check_description(&run, "grading   600/600, graded 64");
    run = run_in(MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED, 600);
    check_description(&run, "finished  600/600");
    run = run_in(MOECAP__V1__RUN_STATE__RUN_STATE_FAILED, 3);
    run.reason = "no such file";
    check_description(&run, "failed    3/600: no such file");
}

static void add_line(const Moecap__V1__RunProgress *runs, size_t count, size_t which,
                     unsigned width, struct cap_buf *out)
{
    struct names names = {.first = NULL};

    for (size_t i = 0; i < count; i++)
        see_names(&names, &runs[i]);
    cap_buf_clear(out);
    add_bar_line(&runs[which], &names, width, out);
}

static void the_bar_gives_way_to_words_in_a_narrow_terminal(void **state)
{
    Moecap__V1__RunProgress run = run_in(MOECAP__V1__RUN_STATE__RUN_STATE_RUNNING, 300);
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    run.output_tokens_per_s = 812.4;
    run.started_at_ms = cap_clock_wall_ms(cap_clock_system()) - 60000;
    add_line(&run, 1, 0, 100, &out);
    assert_string_equal(out.data, "gsm-mini ############------------ running   300/600, 812 tok/s, "
                                  "1 min 00 s left");
    add_line(&run, 1, 0, 80, &out);
    assert_true(strlen(out.data) < 80);
    assert_non_null(strstr(out.data, "812 tok/s, 1 min 00 s left"));
    add_line(&run, 1, 0, 60, &out);
    assert_string_equal(out.data, "gsm-mini running   300/600, 812 tok/s, 1 min 00 s left");
    add_line(&run, 1, 0, 30, &out);
    assert_int_equal(strlen(out.data), 29);
}

static void runs_are_told_apart_by_what_differs(void **state)
{
    Moecap__V1__RunProgress runs[3];
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    for (size_t i = 0; i < 3; i++)
        runs[i] = run_in(MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED, 600);
    runs[0].task = "choice-mini";
    runs[1].task = "choice-mini-letter";
    add_line(runs, 2, 0, 80, &out);
    assert_string_equal(out.data, "choice-mini        ######################## finished  600/600");
    add_line(runs, 2, 1, 80, &out);
    assert_string_equal(out.data, "choice-mini-letter ######################## finished  600/600");
    runs[2].repeat = 1;
    runs[2].precision = "bf16";
    runs[2].concurrency = 0;
    runs[2].model = "other";
    add_line(runs, 3, 2, 80, &out);
    assert_string_equal(out.data, "other       gsm-mini           #2  bf16 open "
                                  "################ finished  600/600");
}

static void a_name_in_a_bar_is_cut_and_padded_by_characters(void **state)
{
    Moecap__V1__RunProgress runs[] = {run_in(MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED, 600),
                                      run_in(MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED, 600)};
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    runs[0].task = "gr\xc3\xbc\xc3\x9f\033[2J";
    runs[1].task = "a-very-long-name-of-a-task-that-is-cut";
    add_line(runs, 2, 0, 50, &out);
    assert_string_equal(out.data, "gr\xc3\xbc\xc3\x9f?[2J                 finished  600/600");
}

static void a_finished_run_ends_with_its_result(void **state)
{
    struct board b;
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    init_board(&b);
    add_result(&b.rows[0], &out);
    assert_string_equal(out.data, "90.3 % (95 % CI 87.7 to 92.5), TTFT 2.14 ms, 7534 tokens/s");
}

static void more_runs_than_lines_keeps_those_that_go_on(void **state)
{
    Moecap__V1__RunProgress runs[6], *pointers[6];
    Moecap__V1__Progress progress = MOECAP__V1__PROGRESS__INIT;
    struct follower follower = {.progress = &progress};
    struct watcher w = {.followers = &follower, .count = 1};
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        runs[i] = run_in(i < 4 ? MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED
                               : MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED,
                         0);
        pointers[i] = &runs[i];
    }
    progress.runs = pointers;
    progress.n_runs = 6;
    assert_int_equal(render_lines(&w, 100, 24, &out), 6);
    cap_buf_clear(&out);
    assert_int_equal(render_lines(&w, 100, 4, &out), 4);
    assert_non_null(strstr(out.data, "queued"));
    assert_non_null(strstr(out.data, "and 3 more\n"));
}

/* ---- the figures of a run ---- */

static void a_reason_is_said_once_for_all_figures_that_miss_it(void **state)
{
    Moecap__V1__Figure f[] = {known("wall_s", 2.5), unknown("energy_j", "no RAPL"),
                              unknown("ttft_ms_p99", "not enough samples"),
                              unknown("power_w_mean", "no RAPL"), unknown("smbu_decode", "unseen")};
    Moecap__V1__Figure *pointers[] = {&f[0], &f[1], &f[2], &f[3], &f[4]};
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    f[4].low = 0.25; /* a range is something to see */
    f[4].high = 0.5;
    f[4].opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
    f[4].opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
    render_figures(pointers, 5, "", &out);
    assert_non_null(strstr(out.data, "  wall_s       2.5"));
    assert_non_null(strstr(out.data, "  smbu_decode    -"));
    assert_non_null(strstr(out.data, "[0.25, 0.5]"));
    assert_non_null(strstr(out.data, "unavailable:\n"
                                     "  no RAPL:\n    energy_j, power_w_mean\n"
                                     "  not enough samples:\n    ttft_ms_p99\n"));
}

static void a_run_without_figures_says_why(void **state)
{
    CAP_AUTO_BUF(out, 1 << 16);

    (void)state;
    render_figures(NULL, 0, " yet", &out);
    assert_string_equal(out.data, "figures:\n  none yet\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reason_is_said_once_for_all_figures_that_miss_it),
        cmocka_unit_test(a_run_without_figures_says_why),
        cmocka_unit_test(a_routing_is_summed_up_over_its_layers),
        cmocka_unit_test(an_unknown_figure_is_a_dash_with_its_reason_below),
        cmocka_unit_test(a_row_says_what_was_asked_and_how_much_of_it),
        cmocka_unit_test(an_amount_of_any_size_is_written_without_an_exponent),
        cmocka_unit_test(bad_marks_are_named_below_with_their_runs),
        cmocka_unit_test(a_narrow_terminal_gets_fewer_columns_and_is_told_which),
        cmocka_unit_test(a_run_that_failed_says_why),
        cmocka_unit_test(an_empty_board_says_whether_filters_made_it_so),
        cmocka_unit_test(progress_says_what_happens_in_each_state),
        cmocka_unit_test(the_bar_gives_way_to_words_in_a_narrow_terminal),
        cmocka_unit_test(runs_are_told_apart_by_what_differs),
        cmocka_unit_test(a_finished_run_ends_with_its_result),
        cmocka_unit_test(a_name_in_a_bar_is_cut_and_padded_by_characters),
        cmocka_unit_test(more_runs_than_lines_keeps_those_that_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
