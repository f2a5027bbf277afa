/* offline_forward.h — `model forward`: one sequence through the native engine, without any service.
 */
#ifndef INFER_OFFLINE_FORWARD_H
#define INFER_OFFLINE_FORWARD_H

/* argv[0] is the verb. Prints a sentence on stderr when it fails. Returns the exit status: 0, 1
 * when the model or a file is at fault, 2 when the arguments are. */
int infer_cmd_forward(int argc, char **argv);

#endif
