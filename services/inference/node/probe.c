/* Every core reads a block of its own that it touched first (so that the pages are near it), all
 * blocks together far larger than their caches; then each precision's kernels multiply. */
#include "node/probe.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "native/attain.h"

enum {
    BLOCK_BYTES_MIN = 32 << 20,
    BLOCK_BYTES_MAX = 128 << 20,
    CACHES = 4, /* what is read is so many times what the caches hold */
    THREADS_MAX = 256,
    ROUNDS_MIN = 3,
    READ_MS = 300,
    COMPUTE_MS = 150, /* for each precision */
};

struct reader {
    pthread_t thread;
    uint64_t *words;
    size_t bytes;
    uint64_t sum;
};

static void *touch(void *arg)
{
    struct reader *reader = arg;

    memset(reader->words, 1, reader->bytes); /* untouched pages would all be the one of zeros */
    return NULL;
}

static void *read_all(void *arg)
{
    struct reader *reader = arg;
    size_t count = reader->bytes / sizeof *reader->words;
    uint64_t a = 0, b = 0, c = 0, d = 0; /* independent, so that loads overlap */

    for (size_t i = 0; i + 4 <= count; i += 4) {
        a += reader->words[i];
        b += reader->words[i + 1];
        c += reader->words[i + 2];
        d += reader->words[i + 3];
    }
    reader->sum = a + b + c + d;
    return NULL;
}

/* Bytes a ns of all readers together, each in a thread of its own; 0 when one could not start. */
static double run_all(struct reader *readers, int count, void *(*work)(void *))
{
    int64_t started = cap_clock_ns(cap_clock_system()), took;
    int running = 0;

    while (running < count &&
           pthread_create(&readers[running].thread, NULL, work, &readers[running]) == 0)
        running++;
    for (int i = 0; i < running; i++)
        pthread_join(readers[i].thread, NULL);
    took = cap_clock_ns(cap_clock_system()) - started;
    return running == count && took > 0 ? (double)count * (double)readers[0].bytes / (double)took
                                        : 0;
}

static size_t block_bytes(uint64_t cache_bytes, int threads)
{
    uint64_t wanted = CACHES * cache_bytes / (uint64_t)threads;

    wanted = wanted < BLOCK_BYTES_MAX ? wanted : BLOCK_BYTES_MAX;
    return cache_bytes == 0           ? BLOCK_BYTES_MAX
           : wanted > BLOCK_BYTES_MIN ? (size_t)wanted / 4096 * 4096
                                      : BLOCK_BYTES_MIN;
}

/* 0 when there is no memory for it. */
static double read_gb_s(const struct infer_hardware *hardware)
{
    static struct reader readers[THREADS_MAX];
    int threads = hardware->cores < THREADS_MAX ? hardware->cores : THREADS_MAX;
    size_t block = block_bytes(hardware->topology.cache_bytes, threads);
    size_t bytes = (size_t)threads * block;
    double best = 0;
    int64_t until;
    char *memory = MAP_FAILED;

    if (bytes < hardware->memory_bytes / 4)
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    for (int i = 0; i < threads; i++)
        readers[i] = (struct reader){.words = (uint64_t *)(void *)(memory + (size_t)i * block),
                                     .bytes = block};
    run_all(readers, threads, touch);
    until = cap_clock_ms(cap_clock_system()) + READ_MS;
    for (int i = 0; i < ROUNDS_MIN || cap_clock_ms(cap_clock_system()) < until; i++) {
        double gb_s = run_all(readers, threads, read_all);

        best = gb_s > best ? gb_s : best;
    }
    munmap(memory, bytes);
    return best;
}

void infer_probe(struct infer_hardware *io_hardware)
{
    io_hardware->has_probe_load = getloadavg(&io_hardware->probe_load, 1) == 1;
    io_hardware->read_bandwidth_gb_s = read_gb_s(io_hardware);
    native_attain(io_hardware->cores, COMPUTE_MS, io_hardware->gflop_s);
}
