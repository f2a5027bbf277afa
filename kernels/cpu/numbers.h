/* numbers.h — bf16 and f16 to f32 and back, one number at a time. */
#ifndef MOE_CPU_NUMBERS_H
#define MOE_CPU_NUMBERS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float cpu_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static inline uint32_t cpu_to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static inline float cpu_from_bf16(uint16_t h)
{
    return cpu_from_bits((uint32_t)h << 16);
}

/* To nearest, ties to even. A finite number stays finite: what would round to infinity is cut. */
static inline uint16_t cpu_to_bf16(float x)
{
    uint32_t bits = cpu_to_bits(x);
    uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    if ((rounded & 0x7f800000) == 0x7f800000)
        rounded = bits;
    return (uint16_t)(rounded >> 16);
}

static inline float cpu_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31)
        return cpu_from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) { /* subnormal: fraction * 2^-24, exact in f32 */
        float x = (float)fraction * 0x1p-24f;
        return sign ? -x : x;
    }
    return cpu_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

#endif
