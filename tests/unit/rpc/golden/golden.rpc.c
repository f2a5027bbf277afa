/* Made from golden.proto by protoc-gen-moecap; do not edit. */
#include "golden.rpc.h"

#include <string.h>

static const uint8_t file_bytes[] = {
    10,12,103,111,108,100,101,110,46,112,114,111,116,111,18,9,109,121,95,97,112,112,46,118,
    49,34,196,2,10,11,76,101,97,100,101,114,66,111,97,114,100,18,46,10,4,114,111,119,
    115,24,1,32,3,40,11,50,26,46,109,121,95,97,112,112,46,118,49,46,76,101,97,100,
    101,114,66,111,97,114,100,46,82,111,119,82,4,114,111,119,115,18,47,10,4,107,105,110,
    100,24,2,32,1,40,14,50,27,46,109,121,95,97,112,112,46,118,49,46,76,101,97,100,
    101,114,66,111,97,114,100,46,75,105,110,100,82,4,107,105,110,100,26,185,1,10,3,82,
    111,119,18,18,10,4,110,97,109,101,24,1,32,1,40,9,82,4,110,97,109,101,18,22,
    10,5,119,97,116,116,115,24,2,32,1,40,1,72,0,82,5,119,97,116,116,115,18,62,
    10,6,115,99,111,114,101,115,24,3,32,3,40,11,50,38,46,109,121,95,97,112,112,46,
    118,49,46,76,101,97,100,101,114,66,111,97,114,100,46,82,111,119,46,83,99,111,114,101,
    115,69,110,116,114,121,82,6,115,99,111,114,101,115,26,57,10,11,83,99,111,114,101,115,
    69,110,116,114,121,18,16,10,3,107,101,121,24,1,32,1,40,9,82,3,107,101,121,18,
    20,10,5,118,97,108,117,101,24,2,32,1,40,1,82,5,118,97,108,117,101,58,2,56,
    1,66,11,10,9,111,112,116,95,119,97,116,116,115,34,24,10,4,75,105,110,100,18,16,
    10,12,75,73,78,68,95,85,78,75,78,79,87,78,16,0,42,123,10,10,84,104,105,110,
    103,83,116,97,116,101,18,27,10,23,84,72,73,78,71,95,83,84,65,84,69,95,85,78,
    83,80,69,67,73,70,73,69,68,16,0,18,19,10,15,84,72,73,78,71,95,83,84,65,
    84,69,95,78,69,87,16,1,18,28,10,24,84,72,73,78,71,95,83,84,65,84,69,95,
    79,85,84,95,79,70,95,82,69,65,67,72,16,7,18,29,10,16,84,72,73,78,71,95,
    83,84,65,84,69,95,71,79,78,69,16,255,255,255,255,255,255,255,255,255,1,50,137,2,
    10,9,66,111,97,114,100,86,105,101,119,18,61,10,7,71,101,116,85,82,76,115,18,26,
    46,109,121,95,97,112,112,46,118,49,46,76,101,97,100,101,114,66,111,97,114,100,46,82,
    111,119,26,22,46,109,121,95,97,112,112,46,118,49,46,76,101,97,100,101,114,66,111,97,
    114,100,18,61,10,5,87,97,116,99,104,18,26,46,109,121,95,97,112,112,46,118,49,46,
    76,101,97,100,101,114,66,111,97,114,100,46,82,111,119,26,22,46,109,121,95,97,112,112,
    46,118,49,46,76,101,97,100,101,114,66,111,97,114,100,48,1,18,62,10,6,85,112,108,
    111,97,100,18,26,46,109,121,95,97,112,112,46,118,49,46,76,101,97,100,101,114,66,111,
    97,114,100,46,82,111,119,26,22,46,109,121,95,97,112,112,46,118,49,46,76,101,97,100,
    101,114,66,111,97,114,100,40,1,18,62,10,4,67,104,97,116,18,26,46,109,121,95,97,
    112,112,46,118,49,46,76,101,97,100,101,114,66,111,97,114,100,46,82,111,119,26,22,46,
    109,121,95,97,112,112,46,118,49,46,76,101,97,100,101,114,66,111,97,114,100,40,1,48,
    1,98,6,112,114,111,116,111,51,
};

static const char *const file_symbols[] = {
    "my_app.v1.LeaderBoard",
    "my_app.v1.LeaderBoard.Row",
    "my_app.v1.LeaderBoard.Row.ScoresEntry",
    "my_app.v1.LeaderBoard.Kind",
    "my_app.v1.ThingState",
    "my_app.v1.BoardView",
    "my_app.v1.BoardView.GetURLs",
    "my_app.v1.BoardView.Watch",
    "my_app.v1.BoardView.Upload",
    "my_app.v1.BoardView.Chat",
    NULL,
};

static const struct cap_rpc_file *const file_imports[] = {
    NULL,
};

const struct cap_rpc_file golden_rpc_file = {
    "golden.proto", file_bytes, sizeof file_bytes, file_symbols, file_imports};

const char *const thing_state_words[] = {
    "new",
    "out_of_reach",
    "gone",
    NULL,
};

const char *thing_state_word(MyApp__V1__ThingState value)
{
    switch ((int)value) {
    case 1:
        return "new";
    case 7:
        return "out_of_reach";
    case -1:
        return "gone";
    }
    return "";
}

bool thing_state_from_word(const char *word, MyApp__V1__ThingState *out_value)
{
    static const int values[] = {1, 7, -1, 0};

    for (int i = 0; thing_state_words[i]; i++) {
        if (strcmp(thing_state_words[i], word) == 0) {
            *out_value = (MyApp__V1__ThingState)values[i];
            return true;
        }
    }
    return false;
}

static bool call_board_view_rpc_get_urls(const void *handlers, struct cap_rpc_call *call,
    const ProtobufCMessage *request, ProtobufCMessage *reply, struct cap_err *err)
{
    const struct board_view_rpc_handlers *h = handlers;

    (void)request;
    (void)reply;
    if (!h->get_urls)
        return cap_fail(err, CAP_UNIMPLEMENTED, "get_urls is not offered here");
    return h->get_urls(call, (const MyApp__V1__LeaderBoard__Row *)request, (MyApp__V1__LeaderBoard *)reply, err);
}

static bool call_board_view_rpc_watch(const void *handlers, struct cap_rpc_call *call,
    const ProtobufCMessage *request, ProtobufCMessage *reply, struct cap_err *err)
{
    const struct board_view_rpc_handlers *h = handlers;

    (void)request;
    (void)reply;
    if (!h->watch)
        return cap_fail(err, CAP_UNIMPLEMENTED, "watch is not offered here");
    return h->watch(call, (const MyApp__V1__LeaderBoard__Row *)request, err);
}

static bool call_board_view_rpc_upload(const void *handlers, struct cap_rpc_call *call,
    const ProtobufCMessage *request, ProtobufCMessage *reply, struct cap_err *err)
{
    const struct board_view_rpc_handlers *h = handlers;

    (void)request;
    (void)reply;
    if (!h->upload)
        return cap_fail(err, CAP_UNIMPLEMENTED, "upload is not offered here");
    return h->upload(call, (MyApp__V1__LeaderBoard *)reply, err);
}

static bool call_board_view_rpc_chat(const void *handlers, struct cap_rpc_call *call,
    const ProtobufCMessage *request, ProtobufCMessage *reply, struct cap_err *err)
{
    const struct board_view_rpc_handlers *h = handlers;

    (void)request;
    (void)reply;
    if (!h->chat)
        return cap_fail(err, CAP_UNIMPLEMENTED, "chat is not offered here");
    return h->chat(call, err);
}

static const struct cap_rpc_method board_view_rpc_methods[] = {
    {"/my_app.v1.BoardView/GetURLs", CAP_RPC_UNARY,
     &my_app__v1__leader_board__row__descriptor, &my_app__v1__leader_board__descriptor, call_board_view_rpc_get_urls},
    {"/my_app.v1.BoardView/Watch", CAP_RPC_SERVER_STREAM,
     &my_app__v1__leader_board__row__descriptor, &my_app__v1__leader_board__descriptor, call_board_view_rpc_watch},
    {"/my_app.v1.BoardView/Upload", CAP_RPC_CLIENT_STREAM,
     &my_app__v1__leader_board__row__descriptor, &my_app__v1__leader_board__descriptor, call_board_view_rpc_upload},
    {"/my_app.v1.BoardView/Chat", CAP_RPC_BIDI,
     &my_app__v1__leader_board__row__descriptor, &my_app__v1__leader_board__descriptor, call_board_view_rpc_chat},
};

const struct cap_rpc_service board_view_rpc_service = {"my_app.v1.BoardView", 4, board_view_rpc_methods, &golden_rpc_file};

