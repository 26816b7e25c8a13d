/*
 * Fallback: what is counted of the calls that something else stood in for.
 */
#ifndef HF_FALLBACK_H
#define HF_FALLBACK_H

#include "hf_atomic.h"

/* Each call ends as one of: passed untouched, used (something stood in for it), failed (that raised). */
typedef struct hf_fallback {
    hf_au64 passed, used, failed;
    hf_au64 observed; /* passed untouched only because it observes */
} hf_fallback;

static inline void
hf_fallback_init(hf_fallback *f)
{
    hf_store_relaxed(&f->passed, 0);
    hf_store_relaxed(&f->used, 0);
    hf_store_relaxed(&f->failed, 0);
    hf_store_relaxed(&f->observed, 0);
}

/* In a forked child: counts start at zero. */
static inline void
hf_fallback_forget(hf_fallback *f)
{
    hf_count_forget(&f->passed);
    hf_count_forget(&f->used);
    hf_count_forget(&f->failed);
    hf_count_forget(&f->observed);
}

#endif /* HF_FALLBACK_H */
