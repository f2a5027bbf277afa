#include "handlers_rpc.h"

void sched_service_add(struct sched_service *service, struct cap_rpc_server *server)
{
    static const struct scheduler_rpc_handlers handlers = {
        .submit = sched_handle_submit,
        .watch = sched_handle_watch,
        .cancel = sched_handle_cancel,
        .list_queue = sched_handle_list_queue,
        .list_nodes = sched_handle_list_nodes,
        .node_metrics = sched_handle_node_metrics,
        .info = sched_handle_info,
        .work = sched_handle_work,
    };

    cap_rpc_server_add(server, &scheduler_rpc_service, &handlers, service);
}
