/* Times around the engine's calls, and /proc/loadavg twice a second: its averages are of minutes,
 * so of the past of a short run; the number of runnable threads is of now. */
#include "node/self.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"

enum { LOOK_MS = 500 };

static int64_t cpu_ns(void)
{
    struct timespec used;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) != 0)
        return 0;
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

int infer_runnable(const char *loadavg)
{
    int runnable;

    return sscanf(loadavg, "%*f %*f %*f %d/", &runnable) == 1 ? runnable : -1;
}

static int read_runnable(void)
{
    CAP_AUTO_STREAM FILE *file = fopen("/proc/loadavg", "r");
    char line[128];

    return file && fgets(line, sizeof line, file) ? infer_runnable(line) : -1;
}

void infer_self_start(struct infer_self *self, const struct cap_clock *clock, bool in_process)
{
    *self = (struct infer_self){.clock = clock, .in_process = in_process};
    self->start_ns = cap_clock_ns(clock);
    self->cpu_start_ns = cpu_ns();
}

void infer_self_out(struct infer_self *self)
{
    assert(self->out_ns == 0);
    self->cpu_out_ns = self->in_process ? cpu_ns() : 0;
    self->out_ns = cap_clock_ns(self->clock);
}

void infer_self_back(struct infer_self *self)
{
    self->away_ns += cap_clock_ns(self->clock) - self->out_ns;
    self->out_ns = 0;
    if (self->in_process)
        self->cpu_away_ns += cpu_ns() - self->cpu_out_ns;
}

void infer_self_look(struct infer_self *self)
{
    int64_t now = cap_clock_ns(self->clock);
    int runnable;

    if (self->sampled_ns && now - self->sampled_ns < (int64_t)LOOK_MS * 1000000)
        return;
    self->sampled_ns = now;
    runnable = read_runnable();
    if (runnable < 0)
        return;
    self->runnable_sum += runnable;
    self->samples++;
}

void infer_self_report(struct infer_self *self, struct infer_self_report *out)
{
    double wall_ns = (double)(cap_clock_ns(self->clock) - self->start_ns);
    double cpu = (double)(cpu_ns() - self->cpu_start_ns - self->cpu_away_ns);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (wall_ns <= 0)
        wall_ns = 1;
    *out = (struct infer_self_report){
        .busy_share = (wall_ns - (double)self->away_ns) / wall_ns,
        .cpu_share = cpu / wall_ns,
        .host_load = self->samples ? self->runnable_sum / (double)self->samples : -1,
        .host_cores = cores > 0 ? (int)cores : 0,
    };
}
