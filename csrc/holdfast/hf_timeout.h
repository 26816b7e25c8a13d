/*
 * Timeout: how long a call may take, and what is counted of those that took longer.
 *
 * The duration is one word, so it may be changed while calls are under way; each call keeps the deadline
 * it began with. Cutting the call short, and its alarm, are the caller's.
 */
#ifndef HF_TIMEOUT_H
#define HF_TIMEOUT_H

#include "hf_atomic.h"
#include "hf_clock.h"

typedef struct hf_timeout {
    hf_ai64 duration_ns;
    /* Each call ends as one of in_time and expired. Of the expired, late returned a value that was
       dropped. refused never ran: the deadline of an enclosing timeout had passed. abandoned left work
       behind in a thread, which stopped later; observed would have been cut (mode "observe"). */
    hf_au64 in_time, expired, late, refused, abandoned, stopped, observed;
} hf_timeout;

static inline void
hf_timeout_init(hf_timeout *t, int64_t duration_ns)
{
    hf_au64 *counters[] = {&t->in_time,   &t->expired, &t->late,    &t->refused,
                           &t->abandoned, &t->stopped, &t->observed};
    for (unsigned i = 0; i < sizeof counters / sizeof *counters; i++)
        hf_store_relaxed(counters[i], 0);
    hf_store_relaxed(&t->duration_ns, duration_ns);
}

/* In a forked child: counts start at zero, and what runs in a thread is the parent's. */
static inline void
hf_timeout_forget(hf_timeout *t)
{
    hf_count_forget(&t->in_time);
    hf_count_forget(&t->expired);
    hf_count_forget(&t->late);
    hf_count_forget(&t->refused);
    hf_count_forget(&t->abandoned);
    hf_count_forget(&t->stopped);
    hf_count_forget(&t->observed);
}

/* When a call that begins now has to be over. */
static inline int64_t
hf_timeout_deadline_ns(const hf_timeout *t, int64_t now_ns)
{
    return hf_ns_add(now_ns, hf_load_relaxed(&t->duration_ns));
}

#endif /* HF_TIMEOUT_H */
