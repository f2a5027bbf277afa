/* A job is published in three steps: the fields of the job, then the claim word (number of the job
 * in the high half, units left in the low half), then the bell that sleepers wait on. A worker
 * takes a unit by compare-and-swap on the claim word; success means that this job is the current
 * one, and it stays so until that unit has been counted as done, so the fields may be read then. */
#include "cpu/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#define relax() __builtin_ia32_pause()
#else
#define relax() ((void)0)
#endif

/* About 20 to 50 microseconds: longer than the serial parts between two jobs of a layer. */
enum { SPINS_MAX = 1500 };

struct worker {
    struct cpu_pool *pool;
    pthread_t thread;
    int index;
};

/* The padding is wanted: each word that threads write has a cache line of its own. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct cpu_pool {
    int threads;
    struct worker *workers; /* [threads - 1] */
    int started;
    /* of the current job; written by the caller before `claim` */
    cpu_job job;
    void *context;
    int units;
    uint32_t number;
    _Alignas(64) _Atomic uint64_t claim; /* job number << 32 | units not yet claimed */
    _Alignas(64) _Atomic uint32_t bell;  /* changes with every job; workers sleep on it */
    _Atomic int sleepers;
    _Alignas(64) _Atomic uint32_t done; /* units finished; the caller sleeps on it */
    _Atomic int caller_sleeps;
    atomic_bool closing;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* Does units of the current job until none is left to claim. */
static void work(struct cpu_pool *pool, int thread)
{
    uint64_t claim = atomic_load_explicit(&pool->claim, memory_order_acquire);
    while ((uint32_t)claim > 0) {
        if (!atomic_compare_exchange_weak_explicit(&pool->claim, &claim, claim - 1,
                                                   memory_order_acq_rel, memory_order_acquire))
            continue;
        int units = pool->units;
        pool->job(pool->context, units - (int)(uint32_t)claim, thread);
        uint32_t done = atomic_fetch_add(&pool->done, 1) + 1;
        if (done == (uint32_t)units && atomic_load(&pool->caller_sleeps))
            futex_wake(&pool->done, 1);
        claim = atomic_load_explicit(&pool->claim, memory_order_acquire);
    }
}

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct cpu_pool *pool = self->pool;
    for (;;) {
        uint32_t bell =
            atomic_load(&pool->bell); /* before `closing`, which is set before it rings */
        if (atomic_load(&pool->closing))
            return NULL;
        work(pool, self->index);
        int spins = 0;
        while (spins++ < SPINS_MAX &&
               atomic_load_explicit(&pool->bell, memory_order_relaxed) == bell)
            relax();
        if (atomic_load(&pool->bell) != bell)
            continue;
        atomic_fetch_add(&pool->sleepers, 1);
        futex_wait(&pool->bell, bell); /* returns at once if the bell has rung since */
        atomic_fetch_sub(&pool->sleepers, 1);
    }
}

static void ring(struct cpu_pool *pool)
{
    atomic_fetch_add(&pool->bell, 1);
    if (atomic_load(&pool->sleepers) > 0)
        futex_wake(&pool->bell, INT_MAX);
}

static void wait_done(struct cpu_pool *pool, uint32_t units)
{
    for (int spins = 0; spins < SPINS_MAX; spins++) {
        if (atomic_load_explicit(&pool->done, memory_order_acquire) == units)
            return;
        relax();
    }
    atomic_store(&pool->caller_sleeps, 1);
    uint32_t done;
    while ((done = atomic_load(&pool->done)) != units)
        futex_wait(&pool->done, done);
    atomic_store(&pool->caller_sleeps, 0);
}

void cpu_pool_run(struct cpu_pool *pool, cpu_job job, void *context, int units)
{
    if (pool->threads == 1 || units <= 1) {
        for (int unit = 0; unit < units; unit++)
            job(context, unit, 0);
        return;
    }
    pool->job = job;
    pool->context = context;
    pool->units = units;
    atomic_store(&pool->done, 0);
    pool->number++;
    atomic_store_explicit(&pool->claim, (uint64_t)pool->number << 32 | (uint32_t)units,
                          memory_order_release);
    ring(pool);
    work(pool, 0);
    wait_done(pool, (uint32_t)units);
}

int cpu_pool_threads(const struct cpu_pool *pool)
{
    return pool->threads;
}

struct cpu_pool *cpu_pool_open(int threads)
{
    struct cpu_pool *pool = aligned_alloc(64, (sizeof(*pool) + 63) / 64 * 64);
    if (!pool)
        return NULL;
    *pool = (struct cpu_pool){.threads = threads};
    pool->workers = calloc((size_t)threads, sizeof(*pool->workers));
    for (int i = 0; pool->workers && i < threads - 1; i++) {
        pool->workers[i] = (struct worker){.pool = pool, .index = i + 1};
        if (pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]) != 0)
            break;
        pool->started++;
    }
    if (!pool->workers || pool->started < threads - 1) {
        cpu_pool_free(pool);
        return NULL;
    }
    return pool;
}

void cpu_pool_free(struct cpu_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->closing, true);
    atomic_fetch_add(&pool->bell, 1);
    futex_wake(&pool->bell, INT_MAX);
    for (int i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool->workers);
    free(pool);
}
