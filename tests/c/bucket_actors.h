/*
 * Threads that use one bucket under the explorer, each by a little script, and the judge: what they
 * were told and what is left must be what some order of their calls, one at a time, leads to.
 */
#ifndef HF_BUCKET_ACTORS_H
#define HF_BUCKET_ACTORS_H

#include "explore.h"
#include "hf_test.h"
#include "wrong/wrong_bucket.h"

enum { ACTORS = 3, CALLS = 4, OUTCOMES_MAX = 4096, NEVER_WAITS = 7 };

/* What a script is made of. RESIZE_k changes to rates[k]; GIVE_BACK refunds the last take, if any. */
typedef enum call {
    STOP,
    TAKE_ONE,
    TAKE_TWO,
    RESERVE,
    GIVE_BACK,
    CLEAR,
    RESIZE_0,
    RESIZE_1,
    RESIZE_2
} call;

/* In whole tokens and periods, so that every conversion is exact; all calls are at one time. */
static const hf_rate rates[] = {
    {.num = 1, .den = 1000, .burst = 2},
    {.num = 3, .den = 600, .burst = 5},
    {.num = 1, .den = 7, .burst = 1},
};

typedef struct scenario {
    const char *name;
    call scripts[ACTORS][CALLS + 1];
    int taken_before;
    int64_t now_ns; /* of all calls; the bucket began at 0 */
    bool wrong;     /* with the faulty take */
} scenario;

static struct {
    const scenario *scenario;
    hf_bucket bucket;
    unsigned results[ACTORS][CALLS]; /* each thread writes its own */
    uint64_t legal[OUTCOMES_MAX];
    int legal_count;
} world;

static inline unsigned
make_call(call c, unsigned before)
{
    hf_bucket *b = &world.bucket;
    int64_t now = world.scenario->now_ns, wait;
    switch (c) {
    case TAKE_ONE:
    case TAKE_TWO:
        return world.scenario->wrong ? wrong_bucket_try_take(b, c - TAKE_ONE + 1u, now)
                                     : hf_bucket_try_take(b, c - TAKE_ONE + 1u, now);
    case RESERVE: /* the wait as a multiple of a period cannot be told while the rate may change */
        wait = hf_bucket_reserve(b, 1, now);
        return wait == HF_BUCKET_NEVER ? NEVER_WAITS : wait > 0;
    case GIVE_BACK:
        if (before)
            hf_bucket_refund(b, 1);
        return 0;
    case CLEAR:
        hf_bucket_clear(b);
        return 0;
    default:
        hf_bucket_resize(b, rates[c - RESIZE_0], now);
        return 0;
    }
}

/* ---- the same in plain arithmetic ---- */

typedef struct model {
    int tokens, rate, next[ACTORS];
    unsigned results[ACTORS][CALLS];
} model;

static inline unsigned
model_call(model *m, call c, unsigned before)
{
    int burst = (int)rates[m->rate].burst, n = c == TAKE_TWO ? 2 : 1;
    switch (c) {
    case TAKE_ONE:
    case TAKE_TWO:
        if (n > burst || n > m->tokens)
            return 0;
        m->tokens -= n;
        return 1;
    case RESERVE:
        m->tokens--;
        return m->tokens < 0;
    case GIVE_BACK:
        m->tokens += before && m->tokens < burst;
        return 0;
    case CLEAR:
        m->tokens = burst;
        return 0;
    default:
        m->rate = (int)(c - RESIZE_0);
        burst = (int)rates[m->rate].burst;
        m->tokens = m->tokens < burst ? m->tokens : burst;
        return 0;
    }
}

/* Three bits a result; then the tokens and the rate. */
static inline uint64_t
outcome(unsigned results[ACTORS][CALLS], int tokens, int rate)
{
    uint64_t code = 0;
    for (int t = 0; t < ACTORS; t++)
        for (int i = 0; i < CALLS; i++)
            code = code << 3 | results[t][i];
    return code << 16 | (uint64_t)(tokens + 100) << 4 | (uint64_t)rate;
}

static inline bool
is_legal(uint64_t code)
{
    for (int i = 0; i < world.legal_count; i++)
        if (world.legal[i] == code)
            return true;
    return false;
}

/* Every order in which the calls could come one at a time. */
static inline void
run_orders(const scenario *s, const model *m)
{
    bool ended = true;
    for (int t = 0; t < ACTORS; t++) {
        call c = s->scripts[t][m->next[t]];
        if (c == STOP)
            continue;
        ended = false;
        model after = *m;
        int i = after.next[t]++;
        after.results[t][i] = model_call(&after, c, i > 0 ? after.results[t][i - 1] : 0);
        run_orders(s, &after);
    }
    if (ended) {
        model last = *m;
        uint64_t code = outcome(last.results, last.tokens, last.rate);
        if (!is_legal(code)) {
            HF_REQUIRE(world.legal_count < OUTCOMES_MAX);
            world.legal[world.legal_count++] = code;
        }
    }
}

/* ---- the explorer's side ---- */

static inline void
begin(void *unused)
{
    memset(world.results, 0, sizeof world.results);
    hf_bucket_init(&world.bucket, rates[0], 0);
    for (int i = 0; i < world.scenario->taken_before; i++)
        HF_REQUIRE(hf_bucket_try_take(&world.bucket, 1, world.scenario->now_ns));
}

static inline void
play(void *unused, int t)
{
    const call *script = world.scenario->scripts[t];
    for (int i = 0; script[i] != STOP; i++)
        world.results[t][i] = make_call(script[i], i > 0 ? world.results[t][i - 1] : 0);
}

static inline bool
is_one_of_the_orders(void *unused)
{
    hf_bucket *b = &world.bucket;
    uint64_t word = hf_load_relaxed(&b->word);
    hf__bucket_view v = hf__bucket_look(b, word, world.scenario->now_ns);
    int64_t units = (int64_t)v.limit - (int64_t)hf__bucket_debt(&v);
    int rate = 0;
    while (rates[rate].den != v.cost)
        rate++;
    if (units % (int64_t)v.cost != 0 || v.num != rates[rate].num || v.burst != rates[rate].burst)
        return false;
    if (hf_load_relaxed(&b->claimed) != UINT64_C(1) << (word >> HF__BUCKET_BITS))
        return false; /* a bank was not given back */
    return is_legal(outcome(world.results, (int)(units / (int64_t)v.cost), rate));
}

/* Runs every schedule of the scenario's threads; true when each ended as some order would. */
static inline bool
holds_in_every_schedule(const scenario *s, int spurious)
{
    world.scenario = s;
    world.legal_count = 0;
    model m = {.tokens = (int)rates[0].burst - s->taken_before};
    run_orders(s, &m);
    int threads = 0;
    while (threads < ACTORS && s->scripts[threads][0] != STOP)
        threads++;
    hf_explored e = hf_explore(&(hf_explore_model){.name = s->name,
                                                   .threads = threads,
                                                   .setup = begin,
                                                   .thread = play,
                                                   .holds = is_one_of_the_orders,
                                                   .spurious = spurious});
    HF_CHECK(e.complete || e.broken);
    return !e.broken;
}

#endif /* HF_BUCKET_ACTORS_H */
