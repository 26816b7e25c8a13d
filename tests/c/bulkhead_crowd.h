/*
 * A crowd of real threads at a bulkhead, and what is counted about it.
 */
#ifndef HF_BULKHEAD_CROWD_H
#define HF_BULKHEAD_CROWD_H

#include <sched.h>

#include "bulkhead_subject.h"
#include "hf_threads.h"

enum { THREADS = 8 };

typedef struct crowd {
    int threads; /* 0: THREADS of them */
    uint32_t limit, max_waiting;
    long rounds;
    long patience; /* looks for a grant before giving up; 0: never gives up */
    long too_long; /* looks after which a waiter counts as stranded; 0: millions */
    bool resizes;  /* the first thread changes the limit, 1 up to `limit`, instead of coming in */
    bool wrong;    /* at the faulty bulkhead */
    hf_au64 inside, overcrowded; /* how often there were more than the limit ever was */
    hf_au64 grants;              /* made, and not yet taken up */
    hf_au64 stranded, refused;
} crowd;

static inline void
let_in(crowd *c, bool waiters)
{
    while (waiters && grant())
        hf_count(&c->grants, 1);
}

static inline void
go(crowd *c)
{
    bool waiters = false;
    HF_CHECK(leave(&waiters));
    let_in(c, waiters);
}

static inline void
be_inside(crowd *c)
{
    if (hf_fetch_add_seq_cst(&c->inside, 1) >= c->limit)
        hf_count(&c->overcrowded, 1);
    (void)sched_yield(); /* so that others come while this one is inside */
    (void)hf_fetch_add_seq_cst(&c->inside, UINT64_MAX);
    go(c);
}

static inline bool
take_up_a_grant(crowd *c)
{
    uint64_t grants = hf_load_acquire(&c->grants);
    while (grants != 0)
        if (hf_cas_weak_acq_rel(&c->grants, &grants, grants - 1))
            return true;
    return false;
}

/* True: let in. A waiter that gives up and finds nobody waiting has been granted, and waits for it. */
static inline bool
wait_in_line(crowd *c)
{
    const long too_long = c->too_long ? c->too_long : 20 * 1000 * 1000;
    for (long looked = 1; !take_up_a_grant(c); looked++) {
        if (looked == c->patience && hf_bulkhead_unqueue(&subject.real))
            return false;
        if (looked == too_long || hf_load_relaxed(&c->stranded) != 0) {
            hf_count(&c->stranded, 1); /* and all give up: the test has its answer */
            return false;
        }
        (void)sched_yield();
    }
    return true;
}

static inline void
come_again_and_again(void *shared, int t)
{
    crowd *c = shared;
    for (long i = 0; i < c->rounds && hf_load_relaxed(&c->stranded) == 0; i++) {
        if (c->wrong && c->max_waiting == 0 && hf_load_relaxed(&c->overcrowded) != 0)
            return; /* found */
        if (c->resizes && t == 0) {
            let_in(c, hf_bulkhead_resize(&subject.real, 1 + (uint32_t)i % c->limit));
            continue;
        }
        hf_entry entry = enter_or_queue();
        if (entry == HF_FULL)
            hf_count(&c->refused, 1);
        else if (entry == HF_ENTERED || wait_in_line(c))
            be_inside(c);
    }
}

/* Runs the crowd; afterwards, unless somebody was stranded, everybody has gone. */
static inline void
let_them_come(crowd *c)
{
    open_bulkhead(c->wrong, c->limit, c->max_waiting);
    hf_threads_run(c->threads ? c->threads : THREADS, come_again_and_again, c);
    if (c->wrong)
        return;
    HF_CHECK_INT(inside(), 0);
    HF_CHECK_INT(waiting(), 0);
    HF_CHECK_INT(hf_load_relaxed(&c->grants), 0);
    HF_CHECK_INT(inside_by_counters(), 0);
}

#endif /* HF_BULKHEAD_CROWD_H */
