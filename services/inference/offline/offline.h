/* offline.h — verbs that need no service: `model inspect`, `engine check`, `tokenize`. `moecap`
 * execs moecap-inference for them.
 *
 * Each verb gets its own arguments (argv[0] is its last word), prints to stdout, and returns an
 * exit status (base/exit.h): 0 done, 1 a check found something, 2 used wrongly, 3 the input is
 * refused with a sentence on stderr.
 *
 *     if (infer_offline(argc, argv, &status))
 *         return status;
 */
#ifndef INFER_OFFLINE_H
#define INFER_OFFLINE_H

#include <stdbool.h>

/* True when the arguments name a verb, which has then been carried out. */
bool infer_offline(int argc, char **argv, int *out_status);

int infer_cmd_engine_check(int argc, char **argv);
int infer_cmd_inspect(int argc, char **argv);
int infer_cmd_tokenize(int argc, char **argv);

#endif
