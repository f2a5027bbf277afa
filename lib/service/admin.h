/* admin.h — moecap.v1.Admin, answered by every program that serves: settings, counters, log level.
 */
#ifndef CAP_ADMIN_H
#define CAP_ADMIN_H

#include "config/config.h"
#include "rpc/rpc.h"

struct cap_service_spec;

struct cap_admin {
    const struct cap_service_spec *spec;
    const enum cap_config_source *sources; /* one a setting */
};

/* `admin` is borrowed for the server's life. */
void cap_admin_add(struct cap_rpc_server *server, struct cap_admin *admin);

#endif
