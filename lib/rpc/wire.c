/* Messages and metadata between C and gRPC's slices. */
#include <assert.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/inside.h"

/* ---- messages ---- */

static void *allocate(void *data, size_t size)
{
    return cap_arena_alloc(data, size);
}

static void *refuse(void *data, size_t size)
{
    (void)data;
    (void)size;
    return NULL;
}

static void free_nothing(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

ProtobufCAllocator *cap_rpc_allocator(struct cap_arena *arena)
{
    static ProtobufCAllocator refusing = {refuse, free_nothing, NULL};
    ProtobufCAllocator *allocator = cap_arena_alloc(arena, sizeof *allocator);

    if (!allocator)
        return &refusing; /* NULL would mean malloc to protobuf-c, and nobody frees */
    *allocator = (ProtobufCAllocator){allocate, free_nothing, arena};
    return allocator;
}

/* By way of the wire, the one walk over any message that protobuf-c has. */
ProtobufCMessage *cap_rpc_copy(const ProtobufCMessage *message, struct cap_arena *arena)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    CAP_AUTO_MEM uint8_t *packed = malloc(length + 1);

    if (!packed)
        return NULL;
    protobuf_c_message_pack(message, packed);
    return protobuf_c_message_unpack(message->descriptor, cap_rpc_allocator(arena), length, packed);
}

grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    grpc_byte_buffer *bytes;

    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    bytes = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return bytes;
}

/* What one message may take of the arena: four megabytes of empty sub-messages on the wire are 160
 * in memory. Remembers a refusal, to tell it from bytes that are not a message. */
struct budget {
    struct cap_arena *arena;
    size_t bytes_left;
    bool refused;
};

static void *allocate_within(void *data, size_t size)
{
    struct budget *budget = data;
    void *memory = size <= budget->bytes_left ? cap_arena_alloc(budget->arena, size) : NULL;

    if (memory)
        budget->bytes_left -= size;
    budget->refused = budget->refused || !memory;
    return memory;
}

static ProtobufCMessage *unpack_slice(const ProtobufCMessageDescriptor *type,
                                      struct cap_arena *arena, grpc_slice slice,
                                      struct cap_err *err)
{
    size_t length = GRPC_SLICE_LENGTH(slice), wanted = length * UNPACK_TIMES_MESSAGE;
    struct budget budget = {arena, wanted > UNPACK_BYTES_MIN ? wanted : UNPACK_BYTES_MIN, false};
    ProtobufCAllocator allocator = {allocate_within, free_nothing, &budget};
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, &allocator, length, GRPC_SLICE_START_PTR(slice));

    if (!message && budget.refused)
        cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                 "a %s of %zu bytes needs more memory than one message may have", type->name,
                 length);
    else if (!message)
        cap_fail(err, CAP_INVALID_ARGUMENT, "%zu bytes received are not a %s", length, type->name);
    return message;
}

ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *type, struct cap_arena *arena,
                             grpc_byte_buffer *bytes, struct cap_err *err)
{
    grpc_byte_buffer_reader reader;
    ProtobufCMessage *message;
    grpc_slice all, *only;

    if (!grpc_byte_buffer_reader_init(&reader, bytes)) {
        cap_fail(err, CAP_INTERNAL, "cannot decompress a %s", type->name);
        return NULL;
    }
    /* small messages lie in one slice: no need to copy them together first */
    if (bytes->data.raw.slice_buffer.count == 1 && grpc_byte_buffer_reader_peek(&reader, &only)) {
        message = unpack_slice(type, arena, *only, err);
    } else {
        all = grpc_byte_buffer_reader_readall(&reader);
        message = unpack_slice(type, arena, all, err);
        grpc_slice_unref(all);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

/* ---- queues of messages ---- */

enum { MESSAGE_COST_BYTES = 64 }; /* so that empty messages fill a queue, too */

struct rpc_queued {
    struct rpc_queued *next;
    grpc_byte_buffer *bytes;
    size_t cost;
};

void rpc_queue_init(struct rpc_queue *queue)
{
    *queue = (struct rpc_queue){NULL, &queue->head, 0};
}

void rpc_queue_push(struct rpc_queue *queue, grpc_byte_buffer *bytes)
{
    struct rpc_queued *entry = malloc(sizeof *entry);

    if (!entry)
        abort();
    *entry = (struct rpc_queued){NULL, bytes, grpc_byte_buffer_length(bytes) + MESSAGE_COST_BYTES};
    *queue->tail = entry;
    queue->tail = &entry->next;
    queue->bytes += entry->cost;
}

grpc_byte_buffer *rpc_queue_pop(struct rpc_queue *queue)
{
    struct rpc_queued *entry = queue->head;
    grpc_byte_buffer *bytes;

    if (!entry)
        return NULL;
    bytes = entry->bytes;
    queue->head = entry->next;
    if (!queue->head)
        queue->tail = &queue->head;
    queue->bytes -= entry->cost;
    free(entry);
    return bytes;
}

void rpc_queue_drop(struct rpc_queue *queue)
{
    grpc_byte_buffer *bytes;

    while ((bytes = rpc_queue_pop(queue)) != NULL)
        grpc_byte_buffer_destroy(bytes);
}

/* ---- metadata ---- */

/* gRPC refuses other bytes in values that are not binary, and a refused batch would end us. */
static void make_printable(grpc_slice *value)
{
    uint8_t *bytes = GRPC_SLICE_START_PTR(*value);

    for (size_t i = 0; i < GRPC_SLICE_LENGTH(*value); i++)
        if (bytes[i] < ' ' || bytes[i] > '~')
            bytes[i] = '?';
}

void rpc_metadata_add(struct rpc_metadata_list *list, const char *key, const void *value,
                      size_t length)
{
    grpc_metadata *entry = &list->entries[list->count];

    if (list->count == METADATA_MAX)
        return;
    memset(entry, 0, sizeof *entry);
    entry->key = grpc_slice_from_copied_string(key);
    entry->value = grpc_slice_from_copied_buffer(value, length);
    assert(grpc_header_key_is_legal(entry->key));
    if (!grpc_is_binary_header(entry->key))
        make_printable(&entry->value);
    list->count++;
}

void rpc_metadata_done(struct rpc_metadata_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        grpc_slice_unref(list->entries[i].key);
        grpc_slice_unref(list->entries[i].value);
    }
    list->count = 0;
}

const char *rpc_metadata_find(const grpc_metadata_array *array, const char *key, size_t *out_length)
{
    for (size_t i = 0; i < array->count; i++) {
        const grpc_metadata *entry = &array->metadata[i];

        if (grpc_slice_str_cmp(entry->key, key) == 0) {
            *out_length = GRPC_SLICE_LENGTH(entry->value);
            return (const char *)GRPC_SLICE_START_PTR(entry->value);
        }
    }
    return NULL;
}

/* ---- small conversions ---- */

gpr_timespec rpc_deadline_after_ms(int64_t ms)
{
    if (ms < 0)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

grpc_arg rpc_integer_arg(const char *key, int64_t value)
{
    return (grpc_arg){
        GRPC_ARG_INTEGER, (char *)key, {.integer = value < INT_MAX ? (int)value : INT_MAX}};
}
