/* Any bytes as what a server sends. The first one chooses who reads them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "external/inside.h"
#include "http/sse.h"

/* One stream, from its bytes to what the worker gets. */
struct stream {
    struct infer_call call;
    bool failed;
};

static void take_event(void *self, const char *name, const char *data, size_t length)
{
    struct stream *stream = self;
    struct infer_chunk chunk;
    struct infer_event event;
    struct cap_err err = {0};

    stream->failed = stream->failed || !infer_chunk_read(name, data, length, &chunk, &err);
    if (stream->failed)
        return;
    infer_call_take_chunk(&stream->call, &chunk, 1, &event);
    infer_chunk_done(&chunk);
}

static void read_stream(const char *text, size_t length)
{
    static const char *const stops[] = {"\n"};
    const struct infer_request request = {
        .text = "x", .stop = stops, .stop_count = 1, .max_tokens = 8};
    const struct infer_server server = {.kind = &infer_kind_vllm};
    struct stream stream = {.failed = false};
    struct cap_sse sse;
    struct cap_err err = {0};
    char why[100];

    infer_call_init(&stream.call, &server, &request);
    cap_sse_init(&sse, 1 << 16, take_event, &stream);
    if (cap_sse_add(&sse, text, length / 2, &err) &&
        cap_sse_add(&sse, text + length / 2, length - length / 2, &err))
        cap_sse_end(&sse);
    cap_sse_done(&sse);
    infer_counts_check(&stream.call.counts, &stream.call.seen, why, sizeof why);
    infer_call_end(&stream.call);
}

static void read_chunk(const char *text, size_t length)
{
    struct infer_chunk chunk;
    struct cap_err err = {0};

    if (infer_chunk_read("", text, length, &chunk, &err))
        infer_chunk_done(&chunk);
    cap_err_clear(&err);
    if (infer_chunk_read("error", text, length, &chunk, &err))
        infer_chunk_done(&chunk);
}

static void read_refusal(const char *text, size_t length)
{
    struct cap_err err = {0};

    infer_reply_refusal(400, "text/html", text, length, &err);
}

static void read_scores(const char *text, size_t length, const struct infer_external_kind *kind)
{
    static const char *const continuations[] = {" a"};
    const struct infer_request request = {
        .text = "x", .continuations = continuations, .continuation_count = 1};
    const struct infer_server server = {.kind = kind};
    struct infer_call call = {0};
    struct cap_err err = {0};

    infer_call_init(&call, &server, &request);
    call.stage = INFER_STAGE_CONTINUATION;
    call.context_tokens = 1;
    infer_score_take(&server, &call, text, length, &err);
    infer_call_end(&call);
}

static void read_routing(const char *text, size_t length, bool npy)
{
    static const char config[] = "{\"num_hidden_layers\":3,\"n_routed_experts\":4,"
                                 "\"num_experts_per_tok\":2,\"first_k_dense_replace\":1}";
    const struct infer_routed_counts counts = {3, 4, 1};
    struct infer_declared declared;
    struct infer_routed routed = {.given = false};
    struct cap_err err = {0};

    if (infer_declared_read(config, &declared, &err))
        infer_routed_read(text, length, npy, &declared, &counts, &routed, &err);
    infer_routed_done(&routed);
}

static void read_declared(const char *text)
{
    struct infer_declared declared;
    struct cap_err err = {0};

    infer_declared_read(text, &declared, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CAP_AUTO_MEM char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;
    size_t length = text ? strlen(text) : 0;

    switch (size ? data[0] : 0) {
    case 'c':
        read_chunk(text, length);
        break;
    case 'b': /* the bytes of a whole stream */
        read_stream(text, length);
        break;
    case 'e':
        read_refusal(text, length);
        break;
    case 's':
        read_scores(text, length, &infer_kind_sglang);
        read_scores(text, length, &infer_kind_vllm);
        break;
    case 'r':
        read_routing(text, length, false);
        read_routing(text, length, true);
        break;
    case 'd':
        read_declared(text);
        break;
    case 'm':
        infer_scrape_value(text, "a", false);
        infer_scrape_value(text, "vllm:num_requests_running", true);
        break;
    }
    return 0;
}
