/*
 * Threads that record failures at once, few enough that the rate has not come to rest at 1: what is
 * lost is then missing. The rate is the real one or the one that is wrong on purpose.
 */
#ifndef HF_FAILURE_RATE_CROWD_H
#define HF_FAILURE_RATE_CROWD_H

#include "hf_threads.h"
#include "wrong/wrong_failure_rate.h"

enum { CROWD = 4, EACH = 100 };

typedef struct crowd {
    bool wrong;
    hf_failure_rate rate;
} crowd;

static inline void
fail_often(void *shared, int index)
{
    crowd *c = shared;
    for (int i = 0; i < EACH; i++) {
        if (c->wrong)
            wrong_failure_rate_record(&c->rate, true);
        else
            hf_failure_rate_record(&c->rate, true);
    }
}

/* Whether in each round the rate is what as many failures one after the other lead to. */
static inline bool
all_are_counted(bool wrong, long rounds)
{
    static crowd c;
    hf_failure_rate alone;
    hf_failure_rate_init(&alone);
    for (int i = 0; i < CROWD * EACH; i++)
        hf_failure_rate_record(&alone, true);
    for (long round = 0; round < rounds; round++) {
        c.wrong = wrong;
        hf_failure_rate_init(&c.rate);
        hf_threads_run(CROWD, fail_often, &c);
        if (hf_failure_rate_get(&c.rate) != hf_failure_rate_get(&alone))
            return false;
    }
    return true;
}

#endif /* HF_FAILURE_RATE_CROWD_H */
