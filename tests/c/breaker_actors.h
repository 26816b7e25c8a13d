/*
 * Threads that use one breaker under the explorer: what each was told, and the accounts that must
 * balance after every schedule.
 */
#ifndef HF_BREAKER_ACTORS_H
#define HF_BREAKER_ACTORS_H

#include "breaker_fixture.h"
#include "explored.h"

static const int64_t HALF = 60 * SECOND; /* when a breaker broken at 0 half-opens */

/* What each thread got: only its own part of the world is written by a thread. */
static struct actor {
    hf_breaker_permit permit;
    bool admitted;
    int held;  /* permits it took, less those it ended */
    int moves; /* changes that were told to it */
    hf_change changes[4];
    uint64_t opened; /* the generation of its last opening */
} actors[HF_EXPLORE_THREADS];

/* What setup left behind. */
static hf_breaker_permit early[HF_EXPLORE_THREADS]; /* permits given out, for the threads to end */
static hf_breaker before;

static inline void
note(struct actor *a, hf_change change)
{
    if (change.to == HF_OPEN)
        a->opened = change.gen;
    if (change.happened)
        a->changes[a->moves++] = change;
}

static inline bool
ask_at(struct actor *a, int64_t now_ns)
{
    hf_change change = {.happened = false};
    a->admitted = ask(now_ns, &a->permit, &change);
    a->held += a->admitted && !(a->permit.flags & HF_PERMIT_SILENT);
    note(a, change);
    return a->admitted;
}

static inline void
end_at(struct actor *a, int outcome, int64_t now_ns)
{
    a->held -= !(a->permit.flags & HF_PERMIT_SILENT);
    note(a, end(a->permit, outcome, now_ns));
}

/* Setups finish with this: what the threads do is counted from here. */
static inline void
ready(void)
{
    memset(actors, 0, sizeof actors);
    before = *b;
}

static inline int
admitted(void)
{
    int n = 0;
    for (int i = 0; i < HF_EXPLORE_THREADS; i++)
        n += actors[i].admitted;
    return n;
}

/* Who was told of the change that began this generation; NULL: nobody. */
static inline const hf_change *
told_of(uint64_t gen)
{
    for (int i = 0; i < HF_EXPLORE_THREADS; i++)
        for (int k = 0; k < actors[i].moves; k++)
            if (actors[i].changes[k].gen == gen)
                return &actors[i].changes[k];
    return NULL;
}

/*
 * The changes that the threads were told of, in the order of their generations, lead from the state
 * that setup left to the present one, and each was counted once. traps 8 and 9.
 */
static inline bool
changes_are_one_story(void)
{
    const uint64_t last = HF_BREAKER_GEN(hf_load_relaxed(&b->word));
    unsigned state = (unsigned)hf_breaker_state(&before);
    uint32_t counted[HF_STATES][HF_STATES] = {{0}};
    int told = 0;
    for (uint64_t gen = HF_BREAKER_GEN(hf_load_relaxed(&before.word)) + 1; gen <= last; gen++) {
        const hf_change *change = told_of(gen);
        if (!change)
            continue; /* by hand, to the state it was in */
        if (change->from != state)
            return false;
        state = change->to;
        counted[change->from][change->to]++;
        told++;
    }
    for (int i = 0; i < HF_EXPLORE_THREADS; i++)
        told -= actors[i].moves; /* below zero if one generation was told of twice */
    for (int from = 0; from < HF_STATES; from++)
        for (int to = 0; to < HF_STATES; to++)
            if (hf_load_relaxed(&b->changes[from][to]) !=
                hf_load_relaxed(&before.changes[from][to]) + counted[from][to])
                return false;
    return told == 0 && state == hf_breaker_state(b);
}

/* And what was admitted has ended or is held by somebody. */
static inline bool
accounts_balance(void)
{
    int held = (int)hf_breaker_in_flight(&before);
    for (int i = 0; i < HF_EXPLORE_THREADS; i++)
        held += actors[i].held;
    return (int)hf_breaker_in_flight(b) == held && changes_are_one_story();
}

/* A setup: half-open, with two probes for the threads to end. */
static inline void
two_probes_under_way(void *world)
{
    begin_with(CONFIG(.success_threshold = 1, .half_open_max = 2));
    break_at(0);
    for (int i = 0; i < 2; i++)
        early[i] = enter(HALF);
    ready();
}

/* Every schedule holds; with two threads, also when weak CAS fails once for nothing, anywhere. */
static inline bool
breaker_explored(const char *name, int threads, void (*setup)(void *), void (*thread)(void *, int),
                 bool (*holds)(void *))
{
    return explored(name, threads, setup, thread, holds) &&
           (threads != 2 || holds_always((hf_explore_model){.name = name,
                                                            .threads = threads,
                                                            .setup = setup,
                                                            .thread = thread,
                                                            .holds = holds,
                                                            .spurious = 1}));
}

#endif /* HF_BREAKER_ACTORS_H */
