/* Messages, metadata and statuses on their way between C and gRPC; no connection needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "google/rpc/status.pb-c.h"
#include "rpc/inside.h"

typedef Google__Rpc__Status status_type;

/* ---- messages ---- */

static grpc_byte_buffer *bytes_of(const void *data, size_t length)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(data, length);
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);

    grpc_slice_unref(slice);
    return bytes;
}

static void a_packed_message_unpacks_to_the_same(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    status_type status = GOOGLE__RPC__STATUS__INIT, *back;
    struct cap_err err = {0};
    grpc_byte_buffer *bytes;

    (void)state;
    status.code = 5;
    status.message = "größer als nötig";
    bytes = rpc_pack(&status.base);
    back = (status_type *)rpc_unpack(&google__rpc__status__descriptor, arena, bytes, &err);
    assert_non_null(back);
    assert_int_equal(back->code, 5);
    assert_string_equal(back->message, status.message);
    grpc_byte_buffer_destroy(bytes);
}

static void a_message_in_several_slices_unpacks(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    status_type status = GOOGLE__RPC__STATUS__INIT, *back;
    struct cap_err err = {0};
    uint8_t packed[64];
    grpc_slice slices[2];
    grpc_byte_buffer *bytes;
    size_t length;

    (void)state;
    status.message = "cut in the middle";
    length = google__rpc__status__pack(&status, packed);
    slices[0] = grpc_slice_from_copied_buffer((char *)packed, 5);
    slices[1] = grpc_slice_from_copied_buffer((char *)packed + 5, length - 5);
    bytes = grpc_raw_byte_buffer_create(slices, 2);
    back = (status_type *)rpc_unpack(&google__rpc__status__descriptor, arena, bytes, &err);
    assert_non_null(back);
    assert_string_equal(back->message, status.message);
    grpc_slice_unref(slices[0]);
    grpc_slice_unref(slices[1]);
    grpc_byte_buffer_destroy(bytes);
}

static void a_copy_needs_nothing_of_the_original(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 16);
    CAP_AUTO(cap_arena) full = cap_arena_new(1);
    status_type status = GOOGLE__RPC__STATUS__INIT, *copy;
    char text[] = "gone";

    (void)state;
    status.code = CAP_NOT_FOUND;
    status.message = text;
    copy = (status_type *)cap_rpc_copy(&status.base, arena);
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(copy->code, CAP_NOT_FOUND);
    assert_string_equal(copy->message, "gone");
    assert_null(cap_rpc_copy(&status.base, full));
}

static void bytes_that_are_no_message_are_said_so(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    grpc_byte_buffer *bytes = bytes_of("\x12\x7f!", 3);
    struct cap_err err = {0};

    (void)state;
    assert_null(rpc_unpack(&google__rpc__status__descriptor, arena, bytes, &err));
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "3 bytes received are not a google.rpc.Status");
    grpc_byte_buffer_destroy(bytes);
}

/* An empty Any is two bytes on the wire and fifty in memory. */
static void a_message_may_take_sixteen_times_its_bytes(void **state)
{
    enum { BYTES = 2 << 20 };
    CAP_AUTO(cap_arena) arena = cap_arena_new((size_t)1 << 30);
    CAP_AUTO_MEM uint8_t *wire = malloc(BYTES);
    struct cap_err err = {0};
    grpc_byte_buffer *bytes;

    (void)state;
    for (size_t i = 0; i < BYTES; i += 2)
        memcpy(wire + i, "\x1a\x00", 2);
    bytes = bytes_of(wire, BYTES);
    assert_null(rpc_unpack(&google__rpc__status__descriptor, arena, bytes, &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    assert_true(cap_arena_used(arena) < (size_t)BYTES * 20);
    grpc_byte_buffer_destroy(bytes);
}

static void a_queue_counts_empty_messages_too(void **state)
{
    struct rpc_queue queue;
    grpc_byte_buffer *first = bytes_of("ab", 2);

    (void)state;
    rpc_queue_init(&queue);
    rpc_queue_push(&queue, first);
    rpc_queue_push(&queue, bytes_of("", 0));
    assert_true(queue.bytes >= 2 * 64 + 2);
    assert_ptr_equal(rpc_queue_pop(&queue), first);
    grpc_byte_buffer_destroy(first);
    rpc_queue_drop(&queue);
    assert_int_equal(queue.bytes, 0);
    assert_null(rpc_queue_pop(&queue));
}

/* ---- metadata ---- */

static const char *added(struct rpc_metadata_list *list, const char *key, size_t *out_length)
{
    grpc_metadata_array array = {list->count, METADATA_MAX, list->entries};

    return rpc_metadata_find(&array, key, out_length);
}

static void text_values_are_made_printable_and_binary_ones_kept(void **state)
{
    struct rpc_metadata_list list = {.count = 0};
    const char *value;
    size_t length;

    (void)state;
    rpc_metadata_add(&list, "submitter", "Jürgen\r\n", strlen("Jürgen\r\n"));
    rpc_metadata_add(&list, "trace-bin", "\0\xff\n", 3);
    value = added(&list, "submitter", &length);
    assert_int_equal(length, 9);
    assert_memory_equal(value, "J??rgen??", 9);
    value = added(&list, "trace-bin", &length);
    assert_int_equal(length, 3);
    assert_memory_equal(value, "\0\xff\n", 3);
    assert_null(added(&list, "absent", &length));
    rpc_metadata_done(&list);
}

static void metadata_beyond_the_maximum_is_dropped(void **state)
{
    struct rpc_metadata_list list = {.count = 0};

    (void)state;
    for (int i = 0; i < METADATA_MAX + 3; i++)
        rpc_metadata_add(&list, "key", "value", 5);
    assert_int_equal(list.count, METADATA_MAX);
    rpc_metadata_done(&list);
}

/* ---- status ---- */

static struct cap_rpc_call *new_call(void)
{
    struct cap_rpc_call *call = rpc_call_new();

    call->arena = cap_arena_new(1 << 20);
    return call;
}

static void details_travel_as_a_google_rpc_status(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_rpc_call *call = new_call();
    status_type detail = GOOGLE__RPC__STATUS__INIT, *rich;
    struct cap_err err = {CAP_NOT_FOUND, "there is no task \"prüfung\""};
    const char *packed;
    size_t length;

    (void)state;
    detail.message = "a detail";
    cap_rpc_detail(call, &detail.base);
    detail.message = "changed afterwards";
    rpc_status_add_trailer_locked(call, &err);
    packed = added(&call->trailers, "grpc-status-details-bin", &length);
    assert_non_null(packed);
    rich = google__rpc__status__unpack(cap_rpc_allocator(arena), length, (const uint8_t *)packed);
    assert_int_equal(rich->code, CAP_NOT_FOUND);
    assert_string_equal(rich->message, err.text);
    assert_int_equal(rich->n_details, 1);
    assert_string_equal(rich->details[0]->type_url, "type.googleapis.com/google.rpc.Status");
    detail = *google__rpc__status__unpack(cap_rpc_allocator(arena), rich->details[0]->value.len,
                                          rich->details[0]->value.data);
    assert_string_equal(detail.message, "a detail");
    rpc_call_unreference(call);
}

static void details_that_would_not_fit_a_header_are_dropped(void **state)
{
    struct cap_rpc_call *call = new_call();
    status_type detail = GOOGLE__RPC__STATUS__INIT;
    struct cap_err err = {CAP_INTERNAL, "broken"};
    char text[1500];
    size_t length = 0;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    detail.message = text;
    for (int i = 0; i < 10; i++)
        cap_rpc_detail(call, &detail.base);
    rpc_status_add_trailer_locked(call, &err);
    assert_non_null(added(&call->trailers, "grpc-status-details-bin", &length));
    assert_true(length > 3000 && length < STATUS_DETAIL_BYTES_MAX + CAP_ERR_TEXT_BYTES_MAX);
    rpc_call_unreference(call);
}

static void expect_sentence(grpc_status_code code, const char *core, const char *expected)
{
    static const struct cap_rpc_method method = {.path = "/moecap.v1.Store/Append"};
    struct cap_rpc_call *call = rpc_call_new();
    struct cap_err err = {0};

    call->method = &method;
    call->target = "127.0.0.1:7862";
    call->status_code = code;
    call->status_text = grpc_slice_from_static_string(core);
    assert_false(rpc_status_fail(call, &err));
    assert_int_equal(err.code, code);
    assert_string_equal(err.text, expected);
    rpc_call_unreference(call);
}

static void texts_of_grpc_become_sentences(void **state)
{
    (void)state;
    expect_sentence(GRPC_STATUS_DEADLINE_EXCEEDED, "Deadline Exceeded",
                    "the store does not respond");
    expect_sentence(GRPC_STATUS_CANCELLED, "CANCELLED", "/moecap.v1.Store/Append was cancelled");
    expect_sentence(GRPC_STATUS_UNAVAILABLE,
                    "failed to connect to all addresses; last error: UNKNOWN: "
                    "ipv4:127.0.0.1:7862: Failed to connect to remote host: Connection refused",
                    "could not reach 127.0.0.1:7862: Connection refused");
    expect_sentence(GRPC_STATUS_UNAVAILABLE, "Socket closed",
                    "the connection to 127.0.0.1:7862 was lost");
    expect_sentence(GRPC_STATUS_UNAVAILABLE, "the database is gone", "the database is gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packed_message_unpacks_to_the_same),
        cmocka_unit_test(a_message_in_several_slices_unpacks),
        cmocka_unit_test(a_copy_needs_nothing_of_the_original),
        cmocka_unit_test(bytes_that_are_no_message_are_said_so),
        cmocka_unit_test(a_message_may_take_sixteen_times_its_bytes),
        cmocka_unit_test(a_queue_counts_empty_messages_too),
        cmocka_unit_test(text_values_are_made_printable_and_binary_ones_kept),
        cmocka_unit_test(metadata_beyond_the_maximum_is_dropped),
        cmocka_unit_test(details_travel_as_a_google_rpc_status),
        cmocka_unit_test(details_that_would_not_fit_a_header_are_dropped),
        cmocka_unit_test(texts_of_grpc_become_sentences),
    };
    int failed;

    cap_rpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
