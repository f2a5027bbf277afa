/* grade.h — verdicts: is this answer right, and what was taken as the answer?
 *
 * One answer gives one verdict for each column of its task. A failed request, an answer without
 * anything that looks like one, and a wrong answer all count as wrong, but say apart what they are.
 * Reasons never hold what would be right. Any thread; each grading has its own arena and work.
 *
 *     struct eval_answer answer = {.texts = &text, .text_count = 1, .finish_reason = "stop"};
 *     ok = eval_grade(&(struct eval_grade_input){&doc, &gold, &answer, work}, verdicts, err);
 */
#ifndef EVAL_GRADE_H
#define EVAL_GRADE_H

#include "doc.h"

enum eval_verdict_kind {
    EVAL_CORRECT = 1, /* the numbers are the wire's */
    EVAL_WRONG = 2,
    EVAL_UNDECIDED = 3, /* nobody could say; counts as wrong, shown apart */
};

/* What the word for an answer's end says of it. Servers have many words for two things. */
enum eval_end {
    EVAL_END_WHOLE,
    EVAL_END_CUT,     /* at the token limit */
    EVAL_END_UNKNOWN, /* no word, or one that we do not know */
};

enum eval_end eval_end_of(const char *finish_reason);

struct eval_answer {
    bool failed;
    const char *error;             /* why, of a failed one */
    const struct eval_text *texts; /* valid UTF-8; several only where a line of `grade` has them */
    size_t text_count;
    const char *finish_reason; /* in the engine's words; "" or NULL = unknown */
    const struct eval_score *scores;
    size_t score_count;
};

/* An answer, and what it is judged by. */
struct eval_grade_input {
    struct eval_doc *doc;
    const struct eval_gold *gold; /* of the document */
    const struct eval_answer *answer;
    struct eval_regex_work *work; /* what patterns may cost; shared by all that is graded */
};

struct eval_verdict {
    const char *metric;  /* the column's id, borrowed from the task */
    const char *version; /* of the grader */
    struct eval_text extracted;
    const char *reason; /* empty when correct */
    double score;
    enum eval_verdict_kind kind;
    bool unanswered; /* nothing that looks like an answer */
    bool truncated;  /* ended by the token limit */
};

enum { EVAL_EXTRACTED_BYTES_MAX = 4096 }; /* longer ones are cut, at a character's end */

/* What of a generated text is the answer: without thoughts (task's think_end_token), up to the
 * first stop string. Idempotent: engines have mostly cut already. */
struct eval_text eval_answer_text(const struct eval_task *task, struct eval_text text);

/* Fills task->column_count verdicts. Fails only when the arena is full. */
bool eval_grade(const struct eval_grade_input *in, struct eval_verdict *out_verdicts,
                struct cap_err *err);
/* The same for one column. */
bool eval_grade_column(const struct eval_grade_input *in, size_t column,
                       struct eval_verdict *out_verdict, struct cap_err *err);

#endif
