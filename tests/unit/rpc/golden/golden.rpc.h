/* Made from golden.proto by protoc-gen-moecap; do not edit. */
#ifndef golden_RPC_H
#define golden_RPC_H

#include "rpc/rpc.h"
#include "golden.pb-c.h"

extern const struct cap_rpc_file golden_rpc_file;

/* enum my_app.v1.ThingState: its words, NULL behind the last; a value's, "" when it has none;
 * the value of a word, false when there is no such word. */
extern const char *const thing_state_words[];
const char *thing_state_word(MyApp__V1__ThingState value);
bool thing_state_from_word(const char *word, MyApp__V1__ThingState *out_value);

/* service my_app.v1.BoardView */
extern const struct cap_rpc_service board_view_rpc_service;

struct board_view_rpc_handlers {
    bool (*get_urls)(struct cap_rpc_call *call,
        const MyApp__V1__LeaderBoard__Row *request,
        MyApp__V1__LeaderBoard *reply,
        struct cap_err *err);
    bool (*watch)(struct cap_rpc_call *call,
        const MyApp__V1__LeaderBoard__Row *request,
        struct cap_err *err);
    bool (*upload)(struct cap_rpc_call *call,
        MyApp__V1__LeaderBoard *reply,
        struct cap_err *err);
    bool (*chat)(struct cap_rpc_call *call,
        struct cap_err *err);
};

static inline bool board_view_rpc_get_urls(struct cap_rpc_channel *channel,
    const struct cap_rpc_options *options, const MyApp__V1__LeaderBoard__Row *request,
    struct cap_arena *arena, MyApp__V1__LeaderBoard **out_reply, struct cap_err *err)
{
    ProtobufCMessage *reply;

    if (!cap_rpc_unary(channel, &board_view_rpc_service.methods[0], options, &request->base,
                       arena, &reply, err))
        return false;
    *out_reply = (MyApp__V1__LeaderBoard *)reply;
    return true;
}

static inline struct cap_rpc_call *board_view_rpc_watch_open(struct cap_rpc_channel *channel,
    const struct cap_rpc_options *options, const MyApp__V1__LeaderBoard__Row *request)
{
    return cap_rpc_open(channel, &board_view_rpc_service.methods[1], options, &request->base);
}

static inline MyApp__V1__LeaderBoard *board_view_rpc_watch_next_reply(struct cap_rpc_call *call)
{
    return (MyApp__V1__LeaderBoard *)cap_rpc_receive(call);
}

static inline bool board_view_rpc_watch_send_reply(struct cap_rpc_call *call,
    const MyApp__V1__LeaderBoard *message)
{
    return cap_rpc_send(call, &message->base);
}

static inline struct cap_rpc_call *board_view_rpc_upload_open(struct cap_rpc_channel *channel,
    const struct cap_rpc_options *options)
{
    return cap_rpc_open(channel, &board_view_rpc_service.methods[2], options, NULL);
}

static inline bool board_view_rpc_upload_send_request(struct cap_rpc_call *call,
    const MyApp__V1__LeaderBoard__Row *message)
{
    return cap_rpc_send(call, &message->base);
}

static inline MyApp__V1__LeaderBoard__Row *board_view_rpc_upload_next_request(struct cap_rpc_call *call)
{
    return (MyApp__V1__LeaderBoard__Row *)cap_rpc_receive(call);
}

static inline MyApp__V1__LeaderBoard *board_view_rpc_upload_next_reply(struct cap_rpc_call *call)
{
    return (MyApp__V1__LeaderBoard *)cap_rpc_receive(call);
}

static inline struct cap_rpc_call *board_view_rpc_chat_open(struct cap_rpc_channel *channel,
    const struct cap_rpc_options *options)
{
    return cap_rpc_open(channel, &board_view_rpc_service.methods[3], options, NULL);
}

static inline bool board_view_rpc_chat_send_request(struct cap_rpc_call *call,
    const MyApp__V1__LeaderBoard__Row *message)
{
    return cap_rpc_send(call, &message->base);
}

static inline MyApp__V1__LeaderBoard__Row *board_view_rpc_chat_next_request(struct cap_rpc_call *call)
{
    return (MyApp__V1__LeaderBoard__Row *)cap_rpc_receive(call);
}

static inline MyApp__V1__LeaderBoard *board_view_rpc_chat_next_reply(struct cap_rpc_call *call)
{
    return (MyApp__V1__LeaderBoard *)cap_rpc_receive(call);
}

static inline bool board_view_rpc_chat_send_reply(struct cap_rpc_call *call,
    const MyApp__V1__LeaderBoard *message)
{
    return cap_rpc_send(call, &message->base);
}

#endif
