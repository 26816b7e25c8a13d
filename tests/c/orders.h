/*
 * Threads that play scripts over one kernel, and the judge: what they were told and what is left
 * must be what some order of their calls, one at a time, leads to in plain arithmetic.
 */
#ifndef HF_ORDERS_H
#define HF_ORDERS_H

#include "explored.h"

enum { OUTCOMES_MAX = 4096 };

static scripts playing;
static unsigned results[ACTORS][CALLS]; /* each thread writes its own */

/* The file that includes this makes the calls: of the kernel, and of two numbers that stand for it. */
static unsigned make_call(int t, int call, unsigned before);
static unsigned model_call(int model[2], int call, unsigned before);

typedef struct order {
    int model[2], next[ACTORS];
    unsigned results[ACTORS][CALLS];
} order;

static struct {
    uint64_t outcomes[OUTCOMES_MAX];
    int count;
} legal;

/* Three bits a result; then the numbers. */
static inline uint64_t
outcome(unsigned told[ACTORS][CALLS], int first, int second)
{
    uint64_t code = 0;
    for (int t = 0; t < ACTORS; t++)
        for (int i = 0; i < CALLS; i++)
            code = code << 3 | told[t][i];
    return code << 16 | (uint64_t)(first + 100) << 4 | (uint64_t)second;
}

static inline bool
is_legal(uint64_t code)
{
    for (int i = 0; i < legal.count; i++)
        if (legal.outcomes[i] == code)
            return true;
    return false;
}

/* Every order in which the calls could come one at a time. */
static inline void
run_orders(order o)
{
    bool ended = true;
    for (int t = 0; t < ACTORS; t++) {
        order after = o;
        const int i = after.next[t]++, call = playing.of[t][i];
        if (call == STOP)
            continue;
        ended = false;
        after.results[t][i] = model_call(after.model, call, i > 0 ? o.results[t][i - 1] : 0);
        run_orders(after);
    }
    const uint64_t code = outcome(o.results, o.model[0], o.model[1]);
    if (ended && !is_legal(code)) {
        HF_REQUIRE(legal.count < OUTCOMES_MAX);
        legal.outcomes[legal.count++] = code;
    }
}

static inline void
play(void *world, int t)
{
    for (int i = 0; playing.of[t][i] != STOP; i++)
        results[t][i] = make_call(t, playing.of[t][i], i > 0 ? results[t][i - 1] : 0);
}

/* Every schedule of the scripts ends as some order of the calls does, from these two numbers on. */
static inline bool
ends_as_some_order(const char *text, const char *const words[], int first, int second,
                   hf_explore_model model)
{
    playing = scripts_of(text, words);
    legal.count = 0;
    run_orders((order){.model = {first, second}});
    model.name = text;
    model.threads = playing.threads;
    model.thread = play;
    return holds_always(model);
}

#endif /* HF_ORDERS_H */
