#include "external/routing.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "external/inside.h"

/* ---- may we? ---- */

static const char not_started_so[] =
    "the server was started without --enable-return-routed-experts";

static const char *why_not(const struct infer_server *server, const struct infer_declared *declared,
                           bool may_ask_again)
{
    enum infer_routing_way way = server->kind->routing;

    if (way == INFER_ROUTING_NONE)
        return "servers of this kind do not tell the experts of a request";
    if (way == INFER_ROUTING_IN_STREAM && !server->offers_routing)
        return not_started_so;
    if (declared->moe_layers == 0 || declared->experts == 0 || declared->top_k == 0)
        return "the server may tell routing, but without --model-config its shape is unknown";
    if (way == INFER_ROUTING_AGAIN && !may_ask_again)
        return "the server tells routing only to a second request, which external_routing_again of "
               "the node turns on";
    return NULL;
}

void infer_routing_decide(struct infer_routing_state *state, const struct infer_server *server,
                          const struct infer_declared *declared, bool may_ask_again)
{
    state->unknown = why_not(server, declared, may_ask_again);
    state->in_stream = !state->unknown && server->kind->routing == INFER_ROUTING_IN_STREAM;
    state->again = !state->unknown && server->kind->routing == INFER_ROUTING_AGAIN;
}

void infer_routing_done(struct infer_routing_state *state)
{
    infer_routed_done(&state->routed);
}

void infer_routing_begin(struct infer_routing_state *state)
{
    state->kept = state->left_out = 0;
    *state->why_left_out = '\0';
}

/* ---- having it ---- */

static void leave_out(struct infer_routing_state *state, const char *why)
{
    state->left_out++;
    infer_reply_words(state->why_left_out, sizeof state->why_left_out, why);
}

const struct infer_routing *infer_routing_take(struct infer_routing_state *state,
                                               const struct infer_declared *declared,
                                               const struct infer_call *call)
{
    const struct infer_routed_counts counts = {call->counts.prompt, call->counts.output,
                                               call->counts.cached};
    struct cap_err err = {0};

    if (!call->routed) {
        if (state->in_stream)
            leave_out(state, "the server told none");
        return NULL;
    }
    if (!infer_routed_read(call->routed, call->routed_length, state->again, declared, &counts,
                           &state->routed, &err)) {
        leave_out(state, err.text);
        return NULL;
    }
    state->kept++;
    return &state->routed.view;
}

/* Another answer has other experts. */
static bool is_same_answer(const json_t *reply, const struct infer_call *call)
{
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const char *text = json_string_value(message ? json_object_get(message, "content")
                                                 : json_object_get(choice, "text"));
    const json_t *usage = json_object_get(reply, "usage");

    return text && strcmp(text, call->text.data) == 0 &&
           json_integer_value(json_object_get(usage, "completion_tokens")) == call->counts.output;
}

static void keep(struct infer_call *call, const json_t *routed)
{
    size_t length = json_string_length(routed);

    free(call->routed);
    call->routed = malloc(length + 1);
    assert(call->routed);
    memcpy(call->routed, json_string_value(routed), length + 1);
    call->routed_length = length;
}

void infer_routing_take_again(struct infer_routing_state *state, struct infer_call *call,
                              const char *body, size_t length)
{
    json_t *reply = infer_reply_json(body, length);
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0);
    const json_t *routed = json_object_get(choice, "routed_experts");

    if (choice && !json_is_string(routed)) {
        state->again = false;
        state->unknown = not_started_so;
    } else if (!choice) {
        leave_out(state, "the second request was refused or lost");
    } else if (!is_same_answer(reply, call)) {
        leave_out(state, "the second request was answered otherwise than the first");
    } else {
        keep(call, routed);
    }
    json_decref(reply);
}

void infer_routing_note(const struct infer_routing_state *state, struct infer_notes *notes)
{
    if (state->left_out > 0)
        infer_notes_add(notes, "routing of %d answers was left out, the last time because: %s",
                        state->left_out, state->why_left_out);
    if (state->again && state->kept > 0)
        infer_notes_add(notes, "routing comes from a second request for each sample, which the "
                               "run's rates include");
}
