/*
 * The shaker: gives the processor away before every few atomic operations of a stress test.
 *
 * On a machine with few cores, real threads seldom stop between a load and the store that follows
 * it, so a race may hide for billions of rounds. Linked in place of the explorer, this hook makes
 * them stop there all the time, at places that a small generator of each thread picks.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "holdfast/hf_atomic.h"

bool
hf_explore_point(uintptr_t word, enum hf_point kind)
{
    static _Thread_local uint32_t state; /* xorshift32; seeded by where the thread's stack is */
    (void)word;
    if (state == 0)
        state = (uint32_t)(uintptr_t)&state | 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    if (state % 16 == 0)
        (void)sched_yield();
    /* Now and then a weak CAS fails for no reason, as it does on machines other than x86. */
    return kind == HF_POINT_CAS && state % 64 == 1;
}

/* Memory is the machine's. */
uint64_t
hf_explore_read(uintptr_t word, uint64_t newest, memory_order order)
{
    (void)word, (void)order;
    return newest;
}

uint64_t
hf_explore_newest(uintptr_t word, uint64_t newest, memory_order order)
{
    return hf_explore_read(word, newest, order);
}

void
hf_explore_stored(uintptr_t word, uint64_t before, uint64_t now, memory_order order, bool rmw)
{
    (void)word, (void)before, (void)now, (void)order, (void)rmw;
}

void
hf_explore_fence_acquire(void)
{
#ifndef __SANITIZE_THREAD__ /* knows no fences, and warns of them */
    atomic_thread_fence(memory_order_acquire);
#endif
}
