/* Who cheats is caught and who does not is left alone: a hundred servers of each kind, drawn by
 * seeds, run and measured as real ones are (server_model.h). docs/audit.md has the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server_model.h"

enum { VARIANTS = 100, ARENA_BYTES = 16 << 20 };

/* Marks of the audit: others, such as "unsettled", an honest server may have. */
static const char *const audit_marks[] = {
    "no-model",
    "not-what-was-declared",
    "samples-missing",
    "other-requests",
    "failures",
    "blank-answers",
    "degenerate-answers",
    "lengths",
    "counts",
    "cached",
    "skipped-experts",
    "early-first-token",
    "faster-while-timed",
    "other-answers",
    "held-back",
};

static bool is_of_audit(const char *id)
{
    for (size_t i = 0; i < sizeof audit_marks / sizeof audit_marks[0]; i++)
        if (strcmp(audit_marks[i], id) == 0)
            return true;
    return false;
}

/* A bad mark of that word, or any of the audit's. */
static const Moecap__V1__Mark *bad_mark(const Moecap__V1__Summary *summary, const char *id)
{
    for (size_t i = 0; i < summary->n_marks; i++) {
        const Moecap__V1__Mark *mark = summary->marks[i];

        if (mark->bad && (id ? strcmp(mark->id, id) == 0 : is_of_audit(mark->id)))
            return mark;
    }
    return NULL;
}

typedef void deceit(uint64_t seed, struct server_model *server, struct run_model *run);

/* How many of the hundred have a bad mark, of that id or any; the first that errs is printed. */
static int count_marked(deceit *cheat, const char *id, bool wanted)
{
    int marked = 0, told = 0;

    for (uint64_t seed = 1; seed <= VARIANTS; seed++) {
        CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES);
        struct server_model server;
        struct run_model run;
        const Moecap__V1__Summary *summary;
        const Moecap__V1__Mark *mark;

        draw_honest(seed, &server, &run);
        if (cheat)
            cheat(seed, &server, &run);
        summary = run_on(&server, &run, seed, arena);
        mark = bad_mark(summary, id);
        marked += mark != NULL;
        if ((mark != NULL) != wanted && told++ < 3)
            print_message("seed %d: %s\n", (int)seed, mark ? mark->text : "no mark");
    }
    return marked;
}

static void honest_servers_have_no_bad_mark(void **state)
{
    (void)state;
    assert_int_equal(count_marked(NULL, NULL, false), 0);
}

static void check_caught(deceit *cheat, const char *id)
{
    assert_int_equal(count_marked(cheat, id, true), VARIANTS);
}

/* ---- deceits ---- */

/* A cache is worth its while where prefill takes long. */
static void slow_prefill(struct server_model *server)
{
    server->prefill_us += 1000 + server->base_us / 10;
    server->caches_and_tells = false;
    server->jitter /= 2;
}

static void cache(uint64_t seed, struct server_model *server, struct run_model *run)
{
    (void)seed;
    (void)run;
    slow_prefill(server);
    server->caches = true;
}

static void a_cache_of_prompts_that_nobody_tells_is_seen(void **state)
{
    (void)state;
    check_caught(cache, "cached");
}

static void know_prompts(uint64_t seed, struct server_model *server, struct run_model *run)
{
    (void)seed;
    (void)run;
    slow_prefill(server);
    server->knows_prompts = true;
}

static void prompts_of_the_benchmark_that_were_cached_before_are_seen(void **state)
{
    (void)state;
    check_caught(know_prompts, "cached");
}

static void pad(uint64_t seed, struct server_model *server, struct run_model *run)
{
    (void)run;
    server->counts_times = 1.5 + (double)(seed % 4) * 0.5;
    run->fixed_tokens = 0;
}

static void tokens_that_are_counted_and_not_made_are_seen(void **state)
{
    (void)state;
    check_caught(pad, "counts");
}

static void cut(uint64_t seed, struct server_model *server, struct run_model *run)
{
    run->fixed_tokens = 64;
    server->shown = 0.3 + (double)(seed % 4) * 0.1;
}

static void answers_that_end_before_the_length_asked_for_are_seen(void **state)
{
    (void)state;
    check_caught(cut, "counts");
}

static void cut_and_tell(uint64_t seed, struct server_model *server, struct run_model *run)
{
    cut(seed, server, run);
    server->shown = 1;
    server->counts_times = 0.9;
}

static void a_length_that_was_not_kept_is_a_mark(void **state)
{
    (void)state;
    check_caught(cut_and_tell, "lengths");
}

/* Early by less than a few gaps between tokens is neither worth it nor seen. */
static void start_early(uint64_t seed, struct server_model *server, struct run_model *run)
{
    (void)seed;
    (void)run;
    server->starts_early = true;
    server->prefill_us += server->pace_us * server->tokens_per_chunk / 4;
}

static void a_first_piece_before_the_first_token_is_seen(void **state)
{
    (void)state;
    check_caught(start_early, "early-first-token");
}

static void hold_back(uint64_t seed, struct server_model *server, struct run_model *run)
{
    (void)run;
    server->held_bursts = 1 + (int)(seed % 2);
    server->prefill_us /= 4;
    server->pace_us += server->base_us / 4 + 2 * server->prefill_us;
}

static void tokens_that_are_held_back_are_seen(void **state)
{
    (void)state;
    check_caught(hold_back, "held-back");
}

static void skip_experts(uint64_t seed, struct server_model *server, struct run_model *run)
{
    server->experts = seed % 2 ? 0.5 : 0.75;
    server->timed_requests = run->samples;
    run->temperature = 0;
    run->concurrency = 1 + (int)(seed % 4);
    server->per_neighbour = 0.01;
}

static void skip_experts_and_tell(uint64_t seed, struct server_model *server, struct run_model *run)
{
    skip_experts(seed, server, run);
    server->tells_routing = true;
}

static void skip_experts_in_secret(uint64_t seed, struct server_model *server,
                                   struct run_model *run)
{
    skip_experts(seed, server, run);
    server->tells_routing = false;
}

static void experts_that_did_not_work_are_seen_in_the_routing(void **state)
{
    (void)state;
    check_caught(skip_experts_and_tell, "skipped-experts");
}

static void experts_that_did_not_work_while_timed_are_seen_in_the_answers(void **state)
{
    (void)state;
    check_caught(skip_experts_in_secret, "other-answers");
}

static void skip_half_and_sample(uint64_t seed, struct server_model *server, struct run_model *run)
{
    skip_experts_in_secret(seed, server, run);
    server->experts = 0.5;
    run->temperature = 0.7;
}

static void half_of_the_experts_are_missed_in_the_pace_where_answers_are_drawn(void **state)
{
    (void)state;
    check_caught(skip_half_and_sample, "faster-while-timed");
}

static void hide_failures(uint64_t seed, struct server_model *server, struct run_model *run)
{
    run->fixed_tokens = 0;
    server->blank_for_failures = 0.35 + (double)(seed % 4) * 0.1;
}

static void failures_that_pass_for_answers_are_seen(void **state)
{
    (void)state;
    check_caught(hide_failures, "blank-answers");
}

static void drop_answers(uint64_t seed, struct server_model *server, struct run_model *run)
{
    (void)server;
    run->answers_dropped = 1 + (int)(seed % 5);
}

static void answers_that_are_left_out_are_missed(void **state)
{
    (void)state;
    check_caught(drop_answers, "samples-missing");
}

static void grade_others(uint64_t seed, struct server_model *server, struct run_model *run)
{
    (void)seed;
    (void)server;
    run->grades_others = true;
}

static void accuracy_of_other_requests_is_seen(void **state)
{
    (void)state;
    check_caught(grade_others, "other-requests");
}

static void be_another(uint64_t seed, struct server_model *server, struct run_model *run)
{
    (void)seed;
    (void)run;
    server->says = "a node of moecap (its models are owned by \"moecap\")";
}

static void a_server_that_is_not_what_was_declared_is_seen(void **state)
{
    (void)state;
    check_caught(be_another, "not-what-was-declared");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_servers_have_no_bad_mark),
        cmocka_unit_test(a_cache_of_prompts_that_nobody_tells_is_seen),
        cmocka_unit_test(prompts_of_the_benchmark_that_were_cached_before_are_seen),
        cmocka_unit_test(tokens_that_are_counted_and_not_made_are_seen),
        cmocka_unit_test(answers_that_end_before_the_length_asked_for_are_seen),
        cmocka_unit_test(a_length_that_was_not_kept_is_a_mark),
        cmocka_unit_test(a_first_piece_before_the_first_token_is_seen),
        cmocka_unit_test(tokens_that_are_held_back_are_seen),
        cmocka_unit_test(experts_that_did_not_work_are_seen_in_the_routing),
        cmocka_unit_test(experts_that_did_not_work_while_timed_are_seen_in_the_answers),
        cmocka_unit_test(half_of_the_experts_are_missed_in_the_pace_where_answers_are_drawn),
        cmocka_unit_test(failures_that_pass_for_answers_are_seen),
        cmocka_unit_test(answers_that_are_left_out_are_missed),
        cmocka_unit_test(accuracy_of_other_requests_is_seen),
        cmocka_unit_test(a_server_that_is_not_what_was_declared_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
