/* The experts of each request. A server sends a table of them. It is checked against the server's
 * usage and against what the config declares, then counted by layer and expert: first the rows of
 * the prompt, without the cached ones, then those of the answer. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "external/inside.h"

/* Rows of [layers][top_k] expert ids, little-endian, each of `width` bytes. */
struct table {
    const uint8_t *data;
    size_t bytes;
    int64_t rows;
    int layers, top_k, width;
};

/* ---- base64 ---- */

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* The bytes, to be freed; NULL when it is not base64. */
static uint8_t *decode(const char *text, size_t length, size_t *out_bytes)
{
    uint8_t *out = malloc(length / 4 * 3 + 3);
    uint32_t bits = 0;
    int held = 0;

    assert(out);
    *out_bytes = 0;
    while (length > 0 && text[length - 1] == '=')
        length--;
    for (size_t i = 0; i < length; i++) {
        int digit = digit_of(text[i]);

        if (digit < 0) {
            free(out);
            return NULL;
        }
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[(*out_bytes)++] = (uint8_t)(bits >> held);
        }
    }
    return out;
}

/* ---- the shape ---- */

static bool refuse_shape(const struct table *t, int64_t rows, struct cap_err *err)
{
    return cap_fail(err, CAP_DATA_LOSS,
                    "%zu bytes of routing, %lld rows of %d layers and %d experts of %d bytes, "
                    "where usage makes it %lld rows",
                    t->bytes, (long long)t->rows, t->layers, t->top_k, t->width, (long long)rows);
}

static void shape_by_config(const struct infer_declared *declared, struct table *t)
{
    size_t row;

    t->layers = declared->layers;
    t->top_k = declared->top_k;
    t->width = 4;
    row = (size_t)t->layers * (size_t)t->top_k * 4;
    t->rows = row > 0 && t->bytes % row == 0 ? (int64_t)(t->bytes / row) : -1;
}

static int width_of(const char *header)
{
    static const struct {
        const char *descr;
        int width;
    } types[] = {{"'|u1'", 1}, {"'<u2'", 2}, {"'<i4'", 4}, {"'<u4'", 4}};

    for (size_t i = 0; i < CAP_COUNT_OF(types); i++)
        if (strstr(header, types[i].descr))
            return types[i].width;
    return 0;
}

/* {'descr': '|u1', 'fortran_order': False, 'shape': (9, 2, 4), } after a magic and a length. */
static bool shape_by_header(struct table *t, struct cap_err *err)
{
    char header[512] = "";
    const char *shape;
    size_t length, start = 10;

    if (t->bytes < start || memcmp(t->data, "\x93NUMPY\x01", 7) != 0)
        return cap_fail(err, CAP_DATA_LOSS, "the routing is not an .npy file of version 1");
    length = t->data[8] | (size_t)t->data[9] << 8;
    if (length >= sizeof header || start + length > t->bytes)
        return cap_fail(err, CAP_DATA_LOSS, "the .npy header of the routing has %zu bytes", length);
    memcpy(header, t->data + start, length);
    shape = strstr(header, "'shape':");
    t->width = width_of(header);
    if (!t->width || !strstr(header, "'fortran_order': False") || !shape ||
        sscanf(shape, "'shape': (%ld, %d, %d", &t->rows, &t->layers, &t->top_k) != 3)
        return cap_fail(err, CAP_DATA_LOSS, "an .npy header that we cannot read: %.120s", header);
    t->data += start + length;
    t->bytes -= start + length;
    return true;
}

static bool check_shape(const struct table *t, const struct infer_declared *declared, int64_t rows,
                        struct cap_err *err)
{
    if (t->top_k != declared->top_k ||
        (t->layers != declared->layers && t->layers != declared->moe_layers))
        return cap_fail(err, CAP_DATA_LOSS,
                        "routing of %d layers and %d experts a token, declared are %d (%d with "
                        "experts) and %d",
                        t->layers, t->top_k, declared->layers, declared->moe_layers,
                        declared->top_k);
    if (t->rows == rows && rows > 0 &&
        t->bytes == (size_t)rows * (size_t)t->layers * (size_t)t->top_k * (size_t)t->width)
        return true;
    return refuse_shape(t, rows, err);
}

/* ---- counting ---- */

static int64_t id_at(const struct table *t, size_t index)
{
    const uint8_t *at = t->data + index * (size_t)t->width;
    int64_t id = 0;

    for (int i = t->width - 1; i >= 0; i--)
        id = id << 8 | at[i];
    return id;
}

/* A token's experts are different ones. A table that was never filled says that each token chose
 * expert 0 again and again, and would be counted as a very uneven router. */
static bool check_token(const struct table *t, size_t start, struct cap_err *err)
{
    for (size_t k = 1; k < (size_t)t->top_k; k++)
        for (size_t other = 0; other < k; other++)
            if (id_at(t, start + k) == id_at(t, start + other))
                return cap_fail(err, CAP_DATA_LOSS,
                                "the server says that one token chose expert %lld twice",
                                (long long)id_at(t, start + k));
    return true;
}

static bool count_row(const struct table *t, int64_t row, const struct infer_declared *declared,
                      uint32_t *sums, struct cap_err *err)
{
    for (int i = 0; i < declared->moe_layers; i++) {
        int layer = t->layers == declared->layers ? declared->moe_layer_ids[i] : i;
        size_t start = ((size_t)row * (size_t)t->layers + (size_t)layer) * (size_t)t->top_k;

        if (!check_token(t, start, err))
            return false;
        for (size_t k = 0; k < (size_t)t->top_k; k++) {
            int64_t id = id_at(t, start + k);

            if (id >= declared->experts)
                return cap_fail(err, CAP_DATA_LOSS,
                                "the server says that expert %lld of %d was chosen", (long long)id,
                                declared->experts);
            sums[(size_t)i * (size_t)declared->experts + (size_t)id]++;
        }
    }
    return true;
}

static bool count_rows(const struct table *t, const struct infer_declared *declared,
                       const struct infer_routed_counts *counts, struct infer_routed *out,
                       struct cap_err *err)
{
    int64_t first = counts->cached_tokens > 0 ? counts->cached_tokens : 0;
    size_t cells = (size_t)declared->moe_layers * (size_t)declared->experts;

    out->prefill = calloc(cells + 1, sizeof *out->prefill);
    out->decode = calloc(cells + 1, sizeof *out->decode);
    assert(out->prefill && out->decode);
    for (int64_t row = first; row < t->rows; row++)
        if (!count_row(t, row, declared, row < counts->prompt_tokens ? out->prefill : out->decode,
                       err))
            return false;
    out->view =
        (struct infer_routing){.source = "server per request",
                               .moe_layers = declared->moe_layers,
                               .experts = declared->experts,
                               .top_k = declared->top_k,
                               .moe_layer_ids = declared->moe_layer_ids,
                               .prefill = first < counts->prompt_tokens ? out->prefill : NULL,
                               .decode = t->rows > counts->prompt_tokens ? out->decode : NULL};
    out->given = true;
    return true;
}

bool infer_routed_read(const char *text, size_t length, bool npy,
                       const struct infer_declared *declared,
                       const struct infer_routed_counts *counts, struct infer_routed *out,
                       struct cap_err *err)
{
    struct table table = {0};
    CAP_AUTO_MEM uint8_t *bytes = decode(text, length, &table.bytes);
    int64_t rows = (int64_t)counts->prompt_tokens + counts->output_tokens - 1;

    infer_routed_done(out);
    table.data = bytes;
    if (!bytes)
        return cap_fail(err, CAP_DATA_LOSS, "the routing is not base64");
    if (counts->prompt_tokens < 0 || counts->output_tokens < 0)
        return cap_fail(err, CAP_DATA_LOSS, "routing without usage cannot be checked");
    if (npy && !shape_by_header(&table, err))
        return false;
    if (!npy)
        shape_by_config(declared, &table);
    return check_shape(&table, declared, rows, err) &&
           count_rows(&table, declared, counts, out, err);
}

void infer_routed_done(struct infer_routed *routed)
{
    free(routed->prefill);
    free(routed->decode);
    *routed = (struct infer_routed){0};
}

/* ---- whether an engine has it ---- */

static const char not_started_so[] =
    "the server was started without --enable-return-routed-experts";

static const char *why_not(const struct infer_server *server, const struct infer_declared *declared,
                           bool may_ask_again)
{
    enum infer_routing_way way = server->kind->routing;

    if (way == INFER_ROUTING_NONE)
        return "servers of this kind do not report the experts of a request";
    if (way == INFER_ROUTING_IN_STREAM && !server->offers_routing)
        return not_started_so;
    if (declared->moe_layers == 0 || declared->experts == 0 || declared->top_k == 0)
        return "pass --model-config so that the server's routing can be interpreted";
    if (way == INFER_ROUTING_AGAIN && !may_ask_again)
        return "the server reports routing only for a second request, which external_routing_again "
               "of "
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
            leave_out(state, "the server reported none");
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
        leave_out(state, "the second request got another answer than the first");
    } else {
        infer_call_keep_routed(call, json_string_value(routed), json_string_length(routed));
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
