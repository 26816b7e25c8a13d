/* Real threads that join and leave one roster while others fork: who has joined is told (trap 58). */
#include "hf_threads.h"

#include "holdfast/hf_roster.h"

enum { THREADS = 4, MEMBERS = 8 };

typedef struct kernel {
    hf_member member;
    hf_au32 joined; /* 1 from before it joins until after it has left */
    hf_au32 told;   /* 1: since it has joined */
} kernel;

typedef struct crowd {
    hf_roster roster;
    kernel kernels[THREADS][MEMBERS];
    long rounds;
} crowd;

static void
tell(void *op, uint64_t seed)
{
    kernel *k = op;
    HF_CHECK(hf_load_relaxed(&k->joined) == 1);
    hf_store_relaxed(&k->told, 1);
}

/* As a fork does it, here without a child: lock, have all forget, unlock. */
static void
as_in_a_fork(crowd *c)
{
    hf_roster_lock(&c->roster);
    hf_roster_forget(&c->roster, 1);
    hf_roster_unlock(&c->roster);
}

static void
join_and_leave(void *shared, int index)
{
    crowd *c = shared;
    for (long i = 0; i < c->rounds; i++) {
        kernel *k = &c->kernels[index][(i * 5 + index) % MEMBERS];
        if (hf_load_relaxed(&k->joined)) {
            hf_roster_leave(&c->roster, &k->member);
            hf_store_relaxed(&k->joined, 0);
            hf_store_relaxed(&k->told, 0);
        } else {
            hf_store_relaxed(&k->joined, 1);
            hf_roster_join(&c->roster, &k->member, k, tell);
            if (i % 16 == 0) {
                as_in_a_fork(c);
                HF_CHECK(hf_load_relaxed(&k->told) == 1);
            }
        }
    }
    for (int i = 0; i < MEMBERS; i++)
        hf_roster_leave(&c->roster, &c->kernels[index][i].member);
}

HF_TEST(a_roster_that_threads_change_tells_those_who_have_joined)
{
    static crowd c;
    c.rounds = hf_threads_rounds(100000);
    hf_threads_run(THREADS, join_and_leave, &c);
    HF_CHECK(c.roster.ring.next == &c.roster.ring && c.roster.ring.before == &c.roster.ring);
}
