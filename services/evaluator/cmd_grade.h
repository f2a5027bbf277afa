/* cmd_grade.h — `moecap-evaluator grade`: verdicts on answers made anywhere, without services. */
#ifndef EVAL_CMD_GRADE_H
#define EVAL_CMD_GRADE_H

/* argv[0] is "grade". Reads standard input, writes standard output; returns the exit status: 0, 1
 * when a line could not be graded, 2 when the command line is wrong, 3 when there is no such task,
 * grader or filter. */
int eval_cmd_grade(int argc, char **argv);

#endif
