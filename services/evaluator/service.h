/* service.h — moecap.v1.Evaluator: pure functions behind gRPC.
 *
 *     struct eval_service service = {.batch_max = 256, .kept = eval_kept_new(64 << 20, 16)};
 *     eval_service_add(&service, server);   // before the server starts
 *
 * Handlers share nothing but counters and the tasks that are kept between calls (kept.h).
 */
#ifndef EVAL_SERVICE_H
#define EVAL_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "moecap/v1/evaluator.pb-c.h"

struct cap_err;
struct cap_metrics;
struct cap_rpc_call;
struct cap_rpc_server;
struct eval_kept;

struct eval_service {
    size_t batch_max;       /* documents or answers in one request */
    struct eval_kept *kept; /* borrowed */
};

enum eval_counter {
#define METRIC(name, kind, help) EVAL_COUNTER_##name,
#include "metrics.def"
#undef METRIC
    EVAL_COUNTER_COUNT
};

/* The program's counters; any thread. */
struct cap_metrics *eval_counters(void);
void eval_count(enum eval_counter counter, int64_t amount);

/* Handlers of files of their own: compare_rpc.c, cost_rpc.c. */
bool eval_handle_compare(struct cap_rpc_call *call, const Moecap__V1__CompareRequest *request,
                         Moecap__V1__CompareReply *reply, struct cap_err *err);
/* What it answers; everything in the arena or the request. */
bool eval_compare(const Moecap__V1__CompareRequest *request, struct cap_arena *arena,
                  Moecap__V1__CompareReply *reply, struct cap_err *err);
bool eval_handle_compare_routing(struct cap_rpc_call *call, Moecap__V1__RoutingComparison *reply,
                                 struct cap_err *err); /* routing_rpc.c */
bool eval_handle_repeats(struct cap_rpc_call *call, const Moecap__V1__RepeatsRequest *request,
                         Moecap__V1__RepeatsReply *reply, struct cap_err *err);
bool eval_repeats(const Moecap__V1__RepeatsRequest *request, struct cap_arena *arena,
                  Moecap__V1__RepeatsReply *reply, struct cap_err *err);
bool eval_handle_cost(struct cap_rpc_call *call, const Moecap__V1__CostRequest *request,
                      Moecap__V1__CostReply *reply, struct cap_err *err);

/* `service` is borrowed for the server's life. */
void eval_service_add(struct eval_service *service, struct cap_rpc_server *server);

/* `moecap-evaluator grade`: verdicts on answers made anywhere, without services (cmd_grade.c).
 * argv[0] is "grade". Reads standard input, writes standard output; returns the exit status: 0, 1
 * when a line could not be graded, 2 when the command line is wrong, 3 when there is no such task,
 * grader or filter. */
int eval_cmd_grade(int argc, char **argv);

/* `moecap-evaluator render`: the prompts of a task as JSON lines, without services (cmd_render.c).
 * argv[0] is "render"; the exit status as above, without 1. */
int eval_cmd_render(int argc, char **argv);

#endif
