#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <stdlib.h>
#include <string.h>

#include "google/protobuf/any.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "rpc/internal.h"

static void *allocate(void *data, size_t size)
{
    return cap_arena_alloc(data, size);
}

static void free_nothing(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

ProtobufCAllocator *cap_rpc_allocator(struct cap_arena *arena)
{
    ProtobufCAllocator *allocator = cap_arena_alloc(arena, sizeof *allocator);

    if (allocator)
        *allocator = (ProtobufCAllocator){allocate, free_nothing, arena};
    return allocator;
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

/* An allocator that remembers that it refused, to tell a full arena from a bad message. */
struct counted {
    struct cap_arena *arena;
    bool refused;
};

static void *allocate_counted(void *data, size_t size)
{
    struct counted *counted = data;
    void *memory = cap_arena_alloc(counted->arena, size);

    counted->refused = counted->refused || !memory;
    return memory;
}

ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *type, struct cap_arena *arena,
                             grpc_byte_buffer *bytes, struct cap_err *err)
{
    struct counted counted = {arena, false};
    ProtobufCAllocator allocator = {allocate_counted, free_nothing, &counted};
    grpc_byte_buffer_reader reader;
    ProtobufCMessage *message;
    grpc_slice all;

    if (!grpc_byte_buffer_reader_init(&reader, bytes)) {
        cap_fail(err, CAP_INTERNAL, "cannot decompress a %s", type->name);
        return NULL;
    }
    all = grpc_byte_buffer_reader_readall(&reader);
    message = protobuf_c_message_unpack(type, &allocator, GRPC_SLICE_LENGTH(all),
                                        GRPC_SLICE_START_PTR(all));
    if (!message && counted.refused)
        cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                 "a %s of %zu bytes needs more memory than one call may have", type->name,
                 GRPC_SLICE_LENGTH(all));
    else if (!message)
        cap_fail(err, CAP_INVALID_ARGUMENT, "%zu bytes received are not a %s",
                 GRPC_SLICE_LENGTH(all), type->name);
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

size_t rpc_arena_limit(size_t option, size_t message_bytes)
{
    size_t wanted = message_bytes * ARENA_TIMES_MESSAGE;

    if (option)
        return option;
    return wanted > ARENA_BYTES_MIN ? wanted : ARENA_BYTES_MIN;
}

gpr_timespec rpc_deadline_after_ms(int64_t ms)
{
    if (ms < 0)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

void rpc_set_metadata(grpc_metadata *slot, const char *key, const void *value, size_t length)
{
    memset(slot, 0, sizeof *slot);
    slot->key = grpc_slice_from_copied_string(key);
    slot->value = grpc_slice_from_copied_buffer(value, length);
}

const char *rpc_find_metadata(const grpc_metadata_array *array, const char *key, size_t *out_length)
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

/* "type.googleapis.com/NAME", as every google.protobuf.Any spells it. */
static void fill_any(Google__Protobuf__Any *any, const ProtobufCMessage *message,
                     struct cap_arena *arena)
{
    google__protobuf__any__init(any);
    any->type_url = cap_arena_printf(arena, "type.googleapis.com/%s", message->descriptor->name);
    any->value.len = protobuf_c_message_get_packed_size(message);
    any->value.data = cap_arena_alloc(arena, any->value.len + 1);
    protobuf_c_message_pack(message, any->value.data);
}

grpc_slice rpc_pack_status(enum cap_code code, const char *text,
                           const ProtobufCMessage *const *details, size_t detail_count)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    Google__Protobuf__Any any[METADATA_MAX], *list[METADATA_MAX];
    grpc_slice packed;

    if (detail_count == 0)
        return grpc_empty_slice();
    status.code = (int32_t)code;
    status.message = cap_arena_strdup(arena, text);
    status.details = list;
    for (size_t i = 0; i < detail_count && i < METADATA_MAX; i++) {
        fill_any(&any[i], details[i], arena);
        list[status.n_details++] = &any[i];
        if (google__rpc__status__get_packed_size(&status) > STATUS_DETAIL_BYTES_MAX)
            status.n_details--;
    }
    packed = grpc_slice_malloc(google__rpc__status__get_packed_size(&status));
    google__rpc__status__pack(&status, GRPC_SLICE_START_PTR(packed));
    return packed;
}
