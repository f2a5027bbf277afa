/* How fast this machine reads memory: every thread sums its own part of a block that no cache
 * holds, ROUNDS times, and its best round counts. bench-engine divides what decoding reads by this
 * rate. */
#include "probe.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { BYTES_PER_THREAD = 512 << 20, ROUNDS = 3, STREAMS = 4 };

typedef uint64_t lanes __attribute__((vector_size(32)));

struct reader {
    pthread_t thread;
    pthread_barrier_t *barrier;
    const char *data;
    uint64_t sum;
    double seconds;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef __x86_64__
__attribute__((target_clones("avx2", "default")))
#endif
static uint64_t
read_all(const char *data)
{
    const size_t part = BYTES_PER_THREAD / STREAMS;
    lanes sums[STREAMS * 2] = {0};
    for (size_t i = 0; i < part; i += 64)
        for (int s = 0; s < STREAMS; s++) {
            const lanes *at = (const lanes *)(const void *)(data + (size_t)s * part + i);
            sums[s * 2] += at[0];
            sums[s * 2 + 1] += at[1];
        }
    lanes all = {0};
    for (int s = 0; s < STREAMS * 2; s++)
        all += sums[s];
    return all[0] + all[1] + all[2] + all[3];
}

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(r->barrier);
        double start = now();
        r->sum += read_all(r->data);
        double seconds = now() - start;
        r->seconds = round == 0 || seconds < r->seconds ? seconds : r->seconds;
    }
    return NULL;
}

double bench_probe_read_gbs(int threads)
{
    struct reader readers[64];
    threads = threads < 64 ? threads : 64;
    size_t bytes = (size_t)threads * BYTES_PER_THREAD;
    char *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return 0;
    madvise(data, bytes, MADV_HUGEPAGE);
    memset(data, 1, bytes);
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        readers[i] =
            (struct reader){.barrier = &barrier, .data = data + (size_t)i * BYTES_PER_THREAD};
        pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]);
    }
    double gbs = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(readers[i].thread, NULL);
        gbs += BYTES_PER_THREAD / readers[i].seconds / 1e9;
    }
    pthread_barrier_destroy(&barrier);
    munmap(data, bytes);
    return gbs;
}
