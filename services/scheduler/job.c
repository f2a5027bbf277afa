#include "job.h"

#include <stdlib.h>

struct sched_job *sched_job_new(void)
{
    struct sched_job *job = calloc(1, sizeof *job);

    if (!job)
        abort();
    job->references = 1;
    return job;
}

struct sched_job *sched_job_hold(struct sched_job *job)
{
    job->references++;
    return job;
}

void sched_job_free(struct sched_job *job)
{
    if (!job || --job->references > 0)
        return;
    free(job->task);
    if (job->spec)
        moecap__v1__evaluation_spec__free_unpacked(job->spec, NULL);
    free(job->grant.ordinals_left);
    free(job);
}
