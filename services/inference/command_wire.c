#include "command_wire.h"

#include <stdio.h>

#include "log/log.h"

static void lease_from_wire(const Moecap__V1__LeaseRef *in, struct infer_lease *out)
{
    *out = (struct infer_lease){.shard = in->shard, .fence = in->fence};
    snprintf(out->run_id, sizeof out->run_id, "%s", in->run_id);
}

static void spec_from_wire(const Moecap__V1__EvaluationSpec *in, struct infer_spec *out)
{
    *out = (struct infer_spec){.engine = in->engine,
                               .model = in->model,
                               .precision = in->precision,
                               .device = in->hardware ? in->hardware->device : "",
                               .seed = in->seed};
    if (in->load && in->load->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY)
        out->concurrency = in->load->concurrency > INT32_MAX ? 0 : (int)in->load->concurrency;
    if (in->load && in->load->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S)
        out->rate_per_s = in->load->rate_per_s;
    if (in->external) {
        out->url = in->external->url;
        out->served_model = in->external->served_model;
        out->api_key_env = in->external->api_key_env;
        out->model_config = in->external->model_config;
    }
}

static void take_assign(struct infer_work *work, const Moecap__V1__Assign *in)
{
    struct infer_lease lease;
    struct infer_spec spec;

    if (!in->lease || !in->spec) {
        cap_log(ERROR, "bad_assign", "reason=\"it has no lease or no spec\"");
        return;
    }
    lease_from_wire(in->lease, &lease);
    spec_from_wire(in->spec, &spec);
    infer_work_assign(work, &lease, &spec, in->seq_next, (int)in->samples_left, in->resumed);
}

static int int_from_wire(uint32_t value)
{
    return value > INT32_MAX ? INT32_MAX : (int)value;
}

static void take_prompt(struct infer_work *work, const Moecap__V1__PromptBatch *batch,
                        const Moecap__V1__Prompt *in)
{
    struct infer_message messages[256];
    size_t count =
        in->n_messages < CAP_COUNT_OF(messages) ? in->n_messages : CAP_COUNT_OF(messages);
    struct infer_prompt prompt = {.ordinal = in->ordinal, .uid = in->uid};

    for (size_t i = 0; i < count; i++)
        messages[i] = (struct infer_message){in->messages[i]->role, in->messages[i]->content};
    prompt.request = (struct infer_request){
        .text = count ? NULL : in->text,
        .messages = count ? messages : NULL,
        .message_count = (int)count,
        .continuations = (const char *const *)in->continuations,
        .continuation_count = (int)in->n_continuations,
        .stop = (const char *const *)in->stop,
        .stop_count = (int)in->n_stop,
        .max_tokens = int_from_wire(in->max_tokens),
        .temperature = in->temperature,
        .top_p = in->opt_top_p_case == MOECAP__V1__PROMPT__OPT_TOP_P_TOP_P ? in->top_p : 1,
        .top_k = int_from_wire(in->top_k),
        .seed = in->seed,
        .ignore_eos = in->ignore_eos,
    };
    infer_work_prompt(work, batch->run_id, batch->shard, &prompt);
}

static void take_prompts(struct infer_work *work, const Moecap__V1__PromptBatch *in)
{
    for (size_t i = 0; i < in->n_prompts; i++)
        take_prompt(work, in, in->prompts[i]);
    if (in->last)
        infer_work_prompts_end(work, in->run_id, in->shard);
}

/* A stop that stops nothing is no news: a scheduler may send any number of them. */
static void take_stop(struct infer_work *work, const Moecap__V1__Stop *in)
{
    if (infer_work_stop(work, in->run_id, in->shard, in->fence))
        cap_log(INFO, "stop", "run=%s shard=%u fence=%llu reason=%s", in->run_id, in->shard,
                (unsigned long long)in->fence, CAP_LOG_Q(in->reason));
    else
        cap_log(DEBUG, "stop_ignored", "run=%s shard=%u fence=%llu", CAP_LOG_Q(in->run_id),
                in->shard, (unsigned long long)in->fence);
}

void infer_command_take(struct infer_work *work, const Moecap__V1__NodeCommand *command)
{
    switch (command->body_case) {
    case MOECAP__V1__NODE_COMMAND__BODY_ASSIGN:
        take_assign(work, command->assign);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_PROMPTS:
        take_prompts(work, command->prompts);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_ACK:
        infer_work_ack(work, command->ack->run_id, command->ack->shard, command->ack->seq);
        break;
    case MOECAP__V1__NODE_COMMAND__BODY_STOP:
        take_stop(work, command->stop);
        break;
    default:
        break;
    }
}
