/* Many idle nodes, many runs that none of them can take: what does it cost the scheduler, and how
 * long do submissions take meanwhile?
 *
 *     bench-queue SCHEDULER PID NODES RUNS
 *
 * SCHEDULER is the address of a scheduler whose nodes_max admits so many, PID its process. The
 * nodes are streams of this process that beat every 3 s and offer one engine; the runs ask for
 * another. bench/queue.sh starts a suite for it and prints what must hold.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "moecap/v1/scheduler.rpc.h"
#include "rpc/rpc.h"

enum { BEAT_MS = 3000, RUNS_AT_ONCE = 100, TIMED_SUBMITS = 1000, QUIET_S = 15, NODES_MAX = 4096 };

static struct cap_rpc_call *nodes[NODES_MAX];
static int node_count;
static _Atomic bool ending;

static void die(const char *what, const struct cap_err *err)
{
    fprintf(stderr, "bench-queue: %s: %s\n", what, err->text);
    exit(1);
}

/* ---- nodes ---- */

static void join(struct cap_rpc_channel *channel, int number)
{
    static char *engines[] = {"null"};
    const struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;
    struct cap_rpc_call *call = scheduler_rpc_work_open(channel, &options);
    struct cap_err err = {0};
    char name[32];

    snprintf(name, sizeof name, "idle-%04d", number);
    hello.name = name;
    hello.engines = engines;
    hello.n_engines = 1;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    if (!scheduler_rpc_work_send_request(call, &message) || !scheduler_rpc_work_next_reply(call)) {
        cap_rpc_close(call, &err);
        die("a node is not welcome", &err);
    }
    nodes[number] = call;
}

/* Spread over the beat's time, as those of real nodes are. */
static void *beat_all(void *unused)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeBeat beat = MOECAP__V1__NODE_BEAT__INIT;

    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_BEAT;
    message.beat = &beat;
    while (!ending) {
        int64_t begun = cap_clock_ms(cap_clock_system());

        for (int i = 0; i < node_count && !ending; i++) {
            int64_t due = begun + (int64_t)i * BEAT_MS / node_count;
            int64_t now = cap_clock_ms(cap_clock_system());

            if (due > now)
                cap_sleep_ms(due - now);
            scheduler_rpc_work_send_request(nodes[i], &message);
        }
        if (node_count == 0)
            cap_sleep_ms(BEAT_MS);
    }
    return unused;
}

/* ---- submissions ---- */

static void submit(struct cap_rpc_channel *channel, uint64_t seed, uint32_t repeats)
{
    static char *tasks[] = {"gsm-mini"};
    CAP_AUTO(cap_arena) arena = cap_arena_new(16 << 20);
    Moecap__V1__SubmitRequest request = MOECAP__V1__SUBMIT_REQUEST__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__External external = MOECAP__V1__EXTERNAL__INIT;
    Moecap__V1__Load load = MOECAP__V1__LOAD__INIT;
    Moecap__V1__SubmitReply *reply;
    struct cap_err err = {0};
    char submitter[32];

    snprintf(submitter, sizeof submitter, "someone-%d", (int)(seed % 16));
    load.kind_case = MOECAP__V1__LOAD__KIND_CONCURRENCY;
    load.concurrency = 1;
    external.url = "http://127.0.0.1:9";
    spec.engine = "openai";
    spec.model = "elsewhere";
    spec.tasks = tasks;
    spec.n_tasks = 1;
    spec.limit = 1;
    spec.seed = seed;
    spec.repeats = repeats;
    spec.load = &load;
    spec.external = &external;
    spec.submitter = submitter;
    request.spec = &spec;
    if (!scheduler_rpc_submit(channel, NULL, &request, arena, &reply, &err))
        die("submit", &err);
}

static double cpu_seconds(const char *pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    file = fopen(path, "r");
    if (!file || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                        &user, &system) != 2) {
        fprintf(stderr, "bench-queue: %s cannot be read\n", path);
        exit(1);
    }
    fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static void time_submits(struct cap_rpc_channel *channel)
{
    static double took_ms[TIMED_SUBMITS];

    for (int i = 0; i < TIMED_SUBMITS; i++) {
        int64_t begun = cap_clock_ns(cap_clock_system());

        submit(channel, 1000000 + (uint64_t)i, 1);
        took_ms[i] = (double)(cap_clock_ns(cap_clock_system()) - begun) / 1e6;
    }
    qsort(took_ms, TIMED_SUBMITS, sizeof *took_ms, compare);
    printf("submit_ms p50 %.1f p99 %.1f worst %.1f\n", took_ms[TIMED_SUBMITS / 2],
           took_ms[TIMED_SUBMITS * 99 / 100], took_ms[TIMED_SUBMITS - 1]);
}

int main(int argc, char **argv)
{
    struct cap_rpc_channel *to_nodes, *to_submit;
    double before;
    pthread_t beats;
    int runs;

    if (argc != 5)
        return fprintf(stderr, "usage: bench-queue SCHEDULER PID NODES RUNS\n"), 2;
    cap_rpc_init();
    to_nodes = cap_rpc_channel_new(argv[1], NULL);
    to_submit = cap_rpc_channel_new(argv[1], NULL);
    node_count = atoi(argv[3]) < NODES_MAX ? atoi(argv[3]) : NODES_MAX;
    runs = atoi(argv[4]);
    for (int i = 0; i < node_count; i++)
        join(to_nodes, i);
    pthread_create(&beats, NULL, beat_all, NULL);
    for (int i = 0; i < runs / RUNS_AT_ONCE; i++)
        submit(to_submit, 1 + (uint64_t)i, RUNS_AT_ONCE);
    cap_sleep_ms(BEAT_MS);
    before = cpu_seconds(argv[2]);
    cap_sleep_ms((int64_t)QUIET_S * 1000);
    printf("scheduler_core_share %.3f with %d idle nodes and %d waiting runs\n",
           (cpu_seconds(argv[2]) - before) / QUIET_S, node_count, runs);
    time_submits(to_submit);
    ending = true;
    pthread_join(beats, NULL);
    fflush(stdout);
    _exit(0); /* the streams end with the process */
}
