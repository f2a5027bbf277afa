/* command_wire.h — what the scheduler says, put into plain structs and handed to the desk. */
#ifndef INFER_COMMAND_WIRE_H
#define INFER_COMMAND_WIRE_H

#include "moecap/v1/scheduler.pb-c.h"
#include "work.h"

/* Everything but Welcome, which the stream itself takes. Unknown commands are ignored: messages
 * grow. */
void infer_command_take(struct infer_work *work, const Moecap__V1__NodeCommand *command);

#endif
