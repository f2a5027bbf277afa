#include "node.h"

#include "handlers_rpc.h"
#include "run.h"
#include "store_wire.h"

bool store_handle_put_node(struct cap_rpc_call *call, const Moecap__V1__PutNodeRequest *request,
                           Moecap__V1__Empty *reply, struct cap_err *err)
{
    struct store_node node = {.node_id = request->node_id,
                              .name = request->hello ? request->hello->name : "",
                              .connected = request->connected};

    (void)reply;
    if (request->hello) {
        node.hello = store_packed(&request->hello->base, cap_rpc_arena(call));
        if (!node.hello.data)
            return store_fail_full(err);
    }
    return store_node_put(store_pg_of(call), &node, err);
}

static Moecap__V1__Event *event_to_wire(const struct store_event *event, struct cap_arena *arena)
{
    Moecap__V1__Event *wire = cap_arena_alloc(arena, sizeof *wire);

    if (!wire)
        return NULL;
    moecap__v1__event__init(wire);
    wire->id = event->id;
    wire->at_ms = event->at_ms;
    wire->run_id = (char *)event->run_id;
    wire->kind = (char *)event->kind;
    wire->text = (char *)event->text;
    return wire;
}

bool store_handle_list_events(struct cap_rpc_call *call,
                              const Moecap__V1__ListEventsRequest *request,
                              Moecap__V1__ListEventsReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);
    struct store_event_page page;

    if (!store_event_list(store_pg_of(call), request->run_id, request->after_id, request->limit,
                          arena, &page, err))
        return false;
    reply->events = cap_arena_array(arena, page.count + 1, sizeof *reply->events);
    for (size_t i = 0; reply->events && i < page.count; i++, reply->n_events++)
        if (!(reply->events[i] = event_to_wire(&page.events[i], arena)))
            return store_fail_full(err);
    if (page.more) {
        reply->opt_next_case = MOECAP__V1__LIST_EVENTS_REPLY__OPT_NEXT_NEXT_AFTER;
        reply->next_after = page.events[page.count - 1].id;
    }
    return reply->events || store_fail_full(err);
}
