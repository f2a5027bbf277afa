#include "fakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "moecap/v1/evaluator.rpc.h"
#include "rpc/rpc.h"

static bool let_in(struct cap_rpc_call *call, struct fake_evaluator **out, struct cap_err *err)
{
    *out = cap_rpc_self(call);
    return !(*out)->away || cap_fail(err, CAP_UNAVAILABLE, "the evaluator is away");
}

static bool keep(struct cap_rpc_call *call, Moecap__V1__KeepReply *reply, struct cap_err *err)
{
    struct fake_evaluator *e = cap_rpc_self(call);

    if (!let_in(call, &e, err))
        return false;
    while (evaluator_rpc_keep_next_request(call))
        ;
    reply->definition_sha256 = "a";
    reply->fewshot_sha256 = "b";
    e->kept++;
    return true;
}

static bool render(struct cap_rpc_call *call, const Moecap__V1__RenderRequest *request,
                   Moecap__V1__RenderReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct fake_evaluator *evaluator;

    if (!let_in(call, &evaluator, err))
        return false;
    if (evaluator->unreadable)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_text: no field \"question\"");
    reply->prompts = cap_arena_array(arena, request->n_docs, sizeof *reply->prompts);
    for (size_t i = 0; i < request->n_docs; i++) {
        Moecap__V1__Prompt *prompt = cap_arena_alloc(arena, sizeof *prompt);

        moecap__v1__prompt__init(prompt);
        prompt->ordinal = request->docs[i]->ordinal;
        prompt->uid = request->docs[i]->uid;
        prompt->text = "how many?";
        reply->prompts[reply->n_prompts++] = prompt;
    }
    evaluator->rendered += (int)request->n_docs;
    return true;
}

static bool grade(struct cap_rpc_call *call, const Moecap__V1__GradeRequest *request,
                  Moecap__V1__GradeReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct fake_evaluator *evaluator;

    if (!let_in(call, &evaluator, err))
        return false;
    if (evaluator->poison)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "metric \"bleu\" is unknown");
    reply->verdicts = cap_arena_array(arena, request->n_items, sizeof *reply->verdicts);
    for (size_t i = 0; i < request->n_items; i++) {
        Moecap__V1__Verdict *verdict = cap_arena_alloc(arena, sizeof *verdict);

        moecap__v1__verdict__init(verdict);
        verdict->ordinal = request->items[i]->answer->ordinal;
        reply->verdicts[reply->n_verdicts++] = verdict;
    }
    evaluator->graded += (int)request->n_items;
    return true;
}

static bool measure(struct cap_rpc_call *call, Moecap__V1__MeasureReply *reply, struct cap_err *err)
{
    Moecap__V1__Evidence *evidence;
    struct fake_evaluator *evaluator;

    if (!let_in(call, &evaluator, err))
        return false;
    while ((evidence = evaluator_rpc_measure_next_request(call)) != NULL)
        evaluator->evidence_answers += (int)evidence->n_answers;
    reply->summary = cap_arena_alloc(cap_rpc_arena(call), sizeof *reply->summary);
    moecap__v1__summary__init(reply->summary);
    evaluator->measured++;
    return true;
}

static const struct evaluator_rpc_handlers handlers = {
    .keep = keep, .render = render, .grade = grade, .measure = measure};

void fake_evaluator_start(struct fake_evaluator *evaluator)
{
    struct cap_err err = {0};

    evaluator->server = cap_rpc_server_new(&(struct cap_rpc_server_options){0});
    cap_rpc_server_add(evaluator->server, &evaluator_rpc_service, &handlers, evaluator);
    assert_true(cap_rpc_server_listen(evaluator->server, "127.0.0.1:0", &evaluator->port, &err));
    cap_rpc_server_start(evaluator->server);
}

void fake_evaluator_stop(struct fake_evaluator *evaluator)
{
    cap_rpc_server_drain(evaluator->server, 0);
    cap_rpc_server_free(evaluator->server);
}
