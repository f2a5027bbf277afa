/* Which ISA level this process uses: the best one that the CPU has, or the one asked for. The check
 * comes before any code of a level runs, so that a CPU without it gets a sentence and never an
 * illegal instruction. */
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"

#ifdef MOE_CPU_X86
static const char *lacks_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? NULL : "AVX2 and FMA";
}

static const char *lacks_avx512(void)
{
    bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return has ? lacks_avx2() : "AVX-512 F, BW, VL and DQ";
}

static const char *lacks_vnni(void)
{
    return __builtin_cpu_supports("avx512vnni") ? lacks_avx512() : "AVX-512 VNNI";
}

static const char *lacks_bf16(void)
{
    return __builtin_cpu_supports("avx512bf16") ? lacks_vnni() : "AVX-512 BF16";
}
#endif

static const char *lacks_nothing(void)
{
    return NULL;
}

static const struct {
    const struct cpu_isa *isa;
    const char *(*lacks)(void);
} levels[] = {
    {&cpu_isa_c, lacks_nothing},
#ifdef MOE_CPU_X86
    {&cpu_isa_avx2, lacks_avx2},        {&cpu_isa_avx512, lacks_avx512},
    {&cpu_isa_avx512_vnni, lacks_vnni}, {&cpu_isa_avx512_bf16, lacks_bf16},
#endif
};

enum { LEVELS = sizeof(levels) / sizeof(levels[0]) };

const char *cpu_isa_at(int index)
{
    return index >= 0 && index < LEVELS ? levels[index].isa->name : NULL;
}

const char *cpu_isa_lacks(int index)
{
    return levels[index].lacks();
}

static const struct cpu_isa *pick_best(void)
{
    int best = 0;
    for (int i = 1; i < LEVELS; i++)
        if (!levels[i].lacks())
            best = i;
    return levels[best].isa;
}

const struct cpu_isa *cpu_isa_pick(const char *name, char *why, size_t why_bytes)
{
    if (!name || !*name)
        return pick_best();
    for (int i = 0; i < LEVELS; i++) {
        if (strcmp(levels[i].isa->name, name) != 0)
            continue;
        const char *lack = levels[i].lacks();
        if (!lack)
            return levels[i].isa;
        snprintf(why, why_bytes, "this CPU cannot run the ISA level %s: it lacks %s", name, lack);
        return NULL;
    }
    int length = snprintf(why, why_bytes, "there is no ISA level \"%s\"; known:", name);
    for (int i = 0; i < LEVELS && length > 0 && (size_t)length < why_bytes; i++)
        length += snprintf(why + length, why_bytes - (size_t)length, " %s", levels[i].isa->name);
    return NULL;
}
