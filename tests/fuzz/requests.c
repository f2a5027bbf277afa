/* Any bytes as each message that a server takes, with a cap on what it may allocate. The first byte
 * chooses. */
#include <stdint.h>

#include "moecap/v1/admin.rpc.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "rpc/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cap_rpc_service *const services[] = {
        &admin_rpc_service, &evaluator_rpc_service, &scheduler_rpc_service, &store_rpc_service};
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    const struct cap_rpc_service *service;
    const struct cap_rpc_method *method;

    if (size == 0)
        return 0;
    service = services[data[0] % CAP_COUNT_OF(services)];
    method = &service->methods[data[0] / CAP_COUNT_OF(services) % service->method_count];
    (void)protobuf_c_message_unpack(method->request, cap_rpc_allocator(arena), size - 1, data + 1);
    return 0;
}
