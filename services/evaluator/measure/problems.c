/* Why a run has no times, no counts, no passes or no work to measure: the reasons that figures of
 * several families share. */
#include "evidence.h"

const char *eval_timing_problem(const struct eval_evidence *e)
{
    /* Times of two attempts are of two clocks, and of two states of a machine. */
    return e->run.attempts > 1 ? "interrupted" : NULL;
}

const char *eval_counts_problem(const struct eval_evidence *e)
{
    if (e->run.counts_unknown && *e->run.counts_unknown)
        return e->run.counts_unknown;
    return e->impossible_counts > 0 ? "the server's token counts are impossible: it counted 0 "
                                      "tokens of an answer that has text"
                                    : "token counts are not known";
}

const char *eval_passes_problem(const struct eval_evidence *e, enum eval_phase phase, bool rate)
{
    const char *problem = rate ? eval_timing_problem(e) : NULL;

    if (phase == EVAL_DECODE && e->run.scoring)
        return "no decode";
    if (problem)
        return problem;
    if (e->passes == 0)
        return e->run.reported && !e->run.in_engine ? "engine does not report passes"
                                                    : "no pass records";
    if (e->phases[phase].passes == 0)
        return phase == EVAL_DECODE    ? "no decode"
               : phase == EVAL_PREFILL ? "no prefill passes"
                                       : "no mixed passes";
    return rate && e->phases[phase].duration_ns == 0 ? "passes without duration" : NULL;
}

/* Every pass that has a time must have said it: a sum over some of them would not be that of the
 * run. */
const char *eval_work_problem(const struct eval_evidence *e, enum eval_phase phase, uint64_t said,
                              bool rate)
{
    const struct eval_phase_sums *sums = &e->phases[phase];
    const char *problem = eval_passes_problem(e, phase, rate);

    if (problem)
        return problem;
    if (said == 0)
        return "engine does not count its work";
    return said < sums->passes - sums->without_duration ? "not every pass counts its work" : NULL;
}
