/* One look at each processor's folder: its package, its highest cache, its throttle counters. What
 * several processors share is counted once, by the number of the package and by the first processor
 * of the list that shares a cache. */
#include "node/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

enum { PATH_BYTES = 4096, LINE_BYTES = 4096, INDEXES_MAX = 16, NODES_MAX = 1024 };

/* The first line of a file; "" when there is none. False then. */
static bool read_text(const char *path, char line[LINE_BYTES])
{
    CAP_AUTO_STREAM FILE *file = fopen(path, "r");

    line[0] = '\0';
    return file && fgets(line, LINE_BYTES, file) != NULL;
}

static bool read_whole(const char *path, uint64_t *out)
{
    char line[LINE_BYTES], *end;
    bool there = read_text(path, line);

    *out = strtoull(line, &end, 10);
    return there && end != line;
}

/* "0-3,8": whether one of these processors is ours. */
static bool list_meets(const char *list, const cpu_set_t *processors)
{
    for (char *end; *list; list = end + (*end == ',')) {
        unsigned long first = strtoul(list, &end, 10), last = first;

        if (end == list)
            return false;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (; first <= last && first < CPU_SETSIZE; first++)
            if (CPU_ISSET(first, processors))
                return true;
    }
    return false;
}

/* "32768K" */
static uint64_t bytes_of(const char *text)
{
    char *unit;
    uint64_t size = strtoull(text, &unit, 10);

    return *unit == 'K' ? size << 10 : *unit == 'M' ? size << 20 : *unit == 'G' ? size << 30 : size;
}

/* The highest cache of a processor that holds data: its size, and the first that shares it. */
static uint64_t last_level(const char *root, unsigned processor, unsigned long *out_first)
{
    uint64_t level, highest = 0, bytes = 0;
    char path[PATH_BYTES], line[LINE_BYTES];

    for (int i = 0; i < INDEXES_MAX; i++) {
        int at = snprintf(path, sizeof path, "%s/cpu/cpu%u/cache/index%d/", root, processor, i);

        snprintf(path + at, sizeof path - (size_t)at, "level");
        if (!read_whole(path, &level))
            break;
        snprintf(path + at, sizeof path - (size_t)at, "type");
        if (level < highest || !read_text(path, line) || strncmp(line, "Instruction", 11) == 0)
            continue;
        snprintf(path + at, sizeof path - (size_t)at, "size");
        if (!read_text(path, line))
            continue;
        highest = level;
        bytes = bytes_of(line);
        snprintf(path + at, sizeof path - (size_t)at, "shared_cpu_list");
        *out_first = read_text(path, line) ? strtoul(line, NULL, 10) : processor;
    }
    return bytes;
}

static void read_throttling(const char *root, unsigned processor, struct infer_topology *io)
{
    static const char *const names[] = {"core_throttle_count", "package_throttle_count"};
    char path[PATH_BYTES];
    uint64_t count;

    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/cpu/cpu%u/thermal_throttle/%s", root, processor, names[i]);
        if (!read_whole(path, &count))
            continue;
        io->has_throttled = true;
        io->throttled = count > io->throttled ? count : io->throttled;
    }
}

static void read_nodes(const char *root, const cpu_set_t *processors, struct infer_topology *io)
{
    char path[PATH_BYTES], line[LINE_BYTES];

    for (int i = 0; i < NODES_MAX; i++) {
        snprintf(path, sizeof path, "%s/node/node%d/cpulist", root, i);
        if (read_text(path, line) && list_meets(line, processors))
            io->numa_nodes++;
    }
}

void infer_topology_read(const char *root, const cpu_set_t *processors, struct infer_topology *out)
{
    bool package_seen[CPU_SETSIZE] = {false}, cache_seen[CPU_SETSIZE] = {false};
    char path[PATH_BYTES];

    *out = (struct infer_topology){0};
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        uint64_t package, bytes;
        unsigned long first = 0;

        if (!CPU_ISSET(i, processors))
            continue;
        snprintf(path, sizeof path, "%s/cpu/cpu%u/topology/physical_package_id", root, i);
        if (read_whole(path, &package) && package < CPU_SETSIZE && !package_seen[package]) {
            package_seen[package] = true;
            out->sockets++;
        }
        bytes = last_level(root, i, &first);
        if (first < CPU_SETSIZE && !cache_seen[first]) {
            cache_seen[first] = true;
            out->cache_bytes += bytes;
        }
        read_throttling(root, i, out);
    }
    read_nodes(root, processors, out);
}
