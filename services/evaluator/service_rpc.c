#include "handlers_rpc.h"

static const struct evaluator_rpc_handlers handlers = {
    .read_task = eval_handle_read_task,
    .render = eval_handle_render,
    .grade = eval_handle_grade,
    .measure = eval_handle_measure,
};

void eval_service_add(struct eval_service *service, struct cap_rpc_server *server)
{
    cap_rpc_server_add(server, &evaluator_rpc_service, &handlers, service);
}
