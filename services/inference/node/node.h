/* node.h — the program's parts put together: settings in, a running node out. */
#ifndef INFER_NODE_H
#define INFER_NODE_H

#include "base/auto.h"
#include "base/err.h"
#include "config/config.h"
#include "power/power.h"

struct infer_config {
#define CONF(name, type, ...) CAP_CONF_MEMBER_##type(name)
#include "config.def"
#undef CONF
};

extern const struct cap_config infer_config_table;

/* The sources of power that the settings name; read by a thread of its own, or only when it is
 * asked. */
struct infer_power *infer_node_power(const struct infer_config *config, bool by_thread);

struct infer_node;

/* Reads the machine and its models, starts the worker, the HTTP endpoint if one is wanted, and the
 * stream to the scheduler. `config` is borrowed. */
struct infer_node *infer_node_start(const struct infer_config *config, struct cap_err *err);
/* Stops in the opposite order; unfinished shards are left to the scheduler. */
void infer_node_free(struct infer_node *node);
CAP_DEFINE_AUTO(infer_node)

#endif
