/*
 * What the windows count: outcomes of calls, and the sums of a window.
 */
#ifndef HF_TALLY_H
#define HF_TALLY_H

#include <stdint.h>

enum { HF_SUCCESS, HF_FAILURE, HF_IGNORED };

/* Generations of windows and breakers have 35 bits; of a longer number the low ones count. */
#define HF_GEN(gen) ((gen) & ((UINT64_C(1) << 35) - 1))

typedef struct hf_tally {
    uint64_t calls;    /* successes and failures */
    uint64_t failures; /* at most calls */
    uint64_t slow;     /* slow successes and slow failures; at most calls */
    uint64_t ignored;  /* neither good nor bad; not part of calls */
} hf_tally;

/*
 * Whether part / whole >= ppb / 10^9, exactly and without overflow for any part and whole.
 * False for an empty whole: no calls prove nothing. ppb is at most 10^9.
 */
static inline int
hf_tally_reaches(uint64_t part, uint64_t whole, uint32_t ppb)
{
    const uint64_t unit = UINT64_C(1000000000);
    /* ceil(whole * ppb / unit), taken apart so that no product exceeds 10^18 or whole */
    uint64_t needed = whole / unit * ppb + (whole % unit * ppb + unit - 1) / unit;
    return whole > 0 && part >= needed;
}

#endif /* HF_TALLY_H */
