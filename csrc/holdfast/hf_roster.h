/*
 * Roster: the kernels of this process that have something to forget in a forked child.
 *
 * Each kernel has a function hf_<kernel>_forget(): counts begin at zero, nobody of the parent's is inside
 * or waiting, random numbers are other ones; the state stays. The child calls all of them before any
 * other code of it runs (csrc/python/fork_copy.h), so nothing here allocates, and nothing waits for
 * another thread in the child. Words are written only where they change: a page of kernels that nobody
 * has used stays shared between parent and child.
 */
#ifndef HF_ROSTER_H
#define HF_ROSTER_H

#include <stddef.h>

#include "hf_atomic.h"
#include "hf_random.h"

typedef struct hf_member {
    struct hf_member *next, *before; /* NULL: it is on no roster */
    void *kernel;
    void (*forget)(void *kernel, uint64_t seed);
} hf_member;

typedef struct hf_roster {
    hf_au32 busy;   /* 1: somebody changes it, or forks */
    hf_member ring; /* begins and ends the list; its `next` is NULL before anybody has joined */
} hf_roster;

static inline void
hf_roster_lock(hf_roster *r)
{
    uint32_t is = 0;
    /* Acquire pairs with the release in hf_roster_unlock(). */
    while (!hf_cas_weak_acquire(&r->busy, &is, 1))
        is = 0;
}

static inline void
hf_roster_unlock(hf_roster *r)
{
    hf_store_release(&r->busy, 0);
}

/*
 * Enter a kernel; one that has joined stays as it is. The member's memory is the caller's, and stays where
 * it is until it leaves.
 */
static inline void
hf_roster_join(hf_roster *r, hf_member *member, void *kernel, void (*forget)(void *, uint64_t))
{
    hf_roster_lock(r);
    if (r->ring.next == NULL)
        r->ring.next = r->ring.before = &r->ring;
    if (member->next == NULL) {
        member->kernel = kernel;
        member->forget = forget;
        member->before = r->ring.before;
        member->next = &r->ring;
        r->ring.before->next = member;
        r->ring.before = member;
    }
    hf_roster_unlock(r);
}

/* Take a kernel off; one that has not joined is left as it is. */
static inline void
hf_roster_leave(hf_roster *r, hf_member *member)
{
    hf_roster_lock(r); /* a neighbour that leaves changes this member */
    if (member->next != NULL) {
        member->before->next = member->next;
        member->next->before = member->before;
        member->next = member->before = NULL;
    }
    hf_roster_unlock(r);
}

/* In a forked child, by the thread that locked the roster in the parent: have every kernel forget. */
static inline void
hf_roster_forget(hf_roster *r, uint64_t seed)
{
    hf_random seeds;
    hf_random_init(&seeds, seed);
    for (hf_member *each = r->ring.next; each != NULL && each != &r->ring; each = each->next)
        each->forget(each->kernel, hf_random_next(&seeds));
}

#endif /* HF_ROSTER_H */
