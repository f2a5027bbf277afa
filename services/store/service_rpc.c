#include "handlers_rpc.h"

static const struct store_rpc_handlers handlers = {
    .put_task = store_handle_put_task,
    .list_tasks = store_handle_list_tasks,
    .get_task = store_handle_get_task,
    .read_docs = store_handle_read_docs,
    .enqueue = store_handle_enqueue,
    .list_active = store_handle_list_active,
    .lease = store_handle_lease,
    .renew = store_handle_renew,
    .release = store_handle_release,
    .sweep = store_handle_sweep,
    .move_run = store_handle_move_run,
    .append = store_handle_append,
    .read_ungraded = store_handle_read_ungraded,
    .put_verdicts = store_handle_put_verdicts,
    .read_evidence = store_handle_read_evidence,
    .finish_run = store_handle_finish_run,
    .board = store_handle_board,
    .get_run = store_handle_get_run,
    .list_samples = store_handle_list_samples,
    .get_expert_counts = store_handle_get_expert_counts,
    .put_node = store_handle_put_node,
    .list_events = store_handle_list_events,
};

void store_service_add(struct store_service *service, struct cap_rpc_server *server)
{
    cap_rpc_server_add(server, &store_rpc_service, &handlers, service);
}
