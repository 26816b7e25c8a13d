/*
 * Division by a number that is known in advance: a multiplication and a correction instead of a
 * 64-bit division, which costs ten times as much. Exact for every dividend.
 *
 * m = floor((2^64 - 1) / d), so u * m / 2^64 lies less than one below u / d: the estimate is the
 * quotient or one less, and the remainder tells which.
 *
 * And a product divided without being cut to 64 bits in between.
 */
#ifndef HF_DIVIDE_H
#define HF_DIVIDE_H

#include <stdint.h>

#ifdef _MSC_VER
#include <intrin.h>
#endif

typedef struct hf_divisor {
    uint64_t d; /* at least 1 */
    uint64_t m;
} hf_divisor;

/* The upper 64 bits of the product. */
static inline uint64_t
hf_multiply_high(uint64_t a, uint64_t b)
{
#ifdef _MSC_VER
    return __umulh(a, b);
#else
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)a * b) >> 64);
#endif
}

/* a * b / c, rounded down, modulo 2^64. c is at least 1. */
static inline uint64_t
hf_multiply_divide(uint64_t a, uint64_t b, uint64_t c)
{
#ifdef _MSC_VER
    uint64_t high, low = _umul128(a, b, &high), rest;
    return _udiv128(high % c, low, c, &rest);
#else
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)a * b / c);
#endif
}

static inline hf_divisor
hf_divisor_of(uint64_t d)
{
    return (hf_divisor){d, UINT64_MAX / d};
}

static inline uint64_t
hf_quotient(hf_divisor by, uint64_t u)
{
    uint64_t q = hf_multiply_high(u, by.m);
    return q + (u - q * by.d >= by.d);
}

static inline uint64_t
hf_remainder(hf_divisor by, uint64_t u)
{
    return u - hf_quotient(by, u) * by.d;
}

/* Rounds towards minus infinity. */
static inline int64_t
hf_floor_quotient(hf_divisor by, int64_t i)
{
    uint64_t flip = i < 0 ? UINT64_MAX : 0; /* i / d for i < 0 is ~(~i / d) */
    return (int64_t)(hf_quotient(by, (uint64_t)i ^ flip) ^ flip);
}

#endif /* HF_DIVIDE_H */
