/* check.h — asking a program that serves whether it is well, as container health checks do. */
#ifndef CAP_CHECK_H
#define CAP_CHECK_H

#include "base/err.h"

/* gRPC's health service at `address` says SERVING, within three seconds. A process that calls this
 * serves nothing itself: gRPC is initialised and shut down in here. */
bool cap_check_health(const char *address, struct cap_err *err);

#endif
