/* Memory that may be had: the machine's, and what the control groups leave of it.
 *
 * A group counts the pages of files that its processes read as memory in use, though the kernel
 * drops those that were not touched lately as soon as somebody needs the room. Reading a model once
 * (to digest it, say) would otherwise make a container look full. So "in use" is what the kernel
 * counts, less its inactive_file. A limit of any group on the way to the root holds for all below.
 *
 * Version 2 has one tree, with memory.max, memory.current and memory.stat in each group. Version 1
 * has a tree for memory, with memory.limit_in_bytes, memory.usage_in_bytes and memory.stat, whose
 * total_inactive_file counts the groups below, too. A container sees its own group as the root.
 */
#include "native/inside.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"

/* The number after `key` in a group's file of lines, or the file's only number for "". */
static bool read_number(const char *group, const char *name, const char *key, uint64_t *out)
{
    CAP_AUTO_STREAM FILE *file = NULL;
    char path[PATH_MAX], line[256];
    if (snprintf(path, sizeof(path), "%s/%s", group, name) < (int)sizeof(path))
        file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        size_t length = strlen(key);
        if (strncmp(line, key, length) == 0 && sscanf(line + length, "%" SCNu64, out) == 1)
            return true;
    }
    return false;
}

struct version {
    const char *tree, *max, *used, *idle;
};

static const struct version versions[] = {
    {"", "memory.max", "memory.current", "inactive_file "},
    {"/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "},
};

/* What one group leaves; UINT64_MAX when it is not there or has no limit ("max" is not a number).
 */
static uint64_t left_in(const struct version *v, const char *group)
{
    uint64_t most = 0, used = 0, idle = 0;
    if (!read_number(group, v->max, "", &most) || !read_number(group, v->used, "", &used))
        return UINT64_MAX;
    if (read_number(group, "memory.stat", v->idle, &idle))
        used -= idle < used ? idle : used;
    return most > used ? most - used : 0;
}

/* Of the group at root + tree + own and of all above it, down to root + tree itself. */
static uint64_t left_on_the_way(const struct version *v, const char *root, const char *own)
{
    char path[PATH_MAX];
    size_t stem = strlen(root) + strlen(v->tree);
    uint64_t least = UINT64_MAX;
    if (snprintf(path, sizeof(path), "%s%s%s", root, v->tree, own) >= (int)sizeof(path))
        return UINT64_MAX;
    for (;;) {
        uint64_t left = left_in(v, path);
        least = left < least ? left : least;
        if (strlen(path) <= stem)
            return least;
        *strrchr(path, '/') = '\0';
    }
}

/* "0::/user.slice/x" of version 2, "4:memory:/docker/x" of version 1: the group; "" = the root. */
static void find_own(const char *membership, bool second, char out[PATH_MAX])
{
    CAP_AUTO_STREAM FILE *file = fopen(membership, "re");
    char line[PATH_MAX];
    out[0] = '\0';
    while (file && fgets(line, sizeof(line), file)) {
        const char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group || (second ? strncmp(line, "0::", 3) != 0 : !strstr(names, "memory")))
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, PATH_MAX, "%s", strcmp(group + 1, "/") == 0 ? "" : group + 1);
        return;
    }
}

uint64_t native_memory_of_groups(const char *root, const char *membership)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < CAP_COUNT_OF(versions); i++) {
        char own[PATH_MAX];
        find_own(membership, i == 0, own);
        uint64_t left = left_on_the_way(&versions[i], root, own);
        least = left < least ? left : least;
    }
    return least;
}

uint64_t native_memory_available(void)
{
    uint64_t kib = 0;
    uint64_t free_bytes =
        read_number("/proc", "meminfo", "MemAvailable:", &kib) ? kib * 1024 : UINT64_MAX;
    uint64_t left = native_memory_of_groups("/sys/fs/cgroup", "/proc/self/cgroup");
    return left < free_bytes ? left : free_bytes;
}
