/*
 * What the breaker's tests share: memory for one, and words for what happens to it.
 */
#ifndef HF_BREAKER_FIXTURE_H
#define HF_BREAKER_FIXTURE_H

#include "holdfast/hf_breaker.h"

#include "hf_test.h"

#define SECOND INT64_C(1000000000)

/* One breaker in static memory: a program has one at a time. */
static _Alignas(64) char breaker_memory[1 << 14];
static hf_breaker *const b = (hf_breaker *)(void *)breaker_memory;

/* CB-10: the defaults of the system this one replaces, and what a test has in other ways. */
#define CONFIG(...)                                                                                \
    ((hf_breaker_config){.failure_threshold = 5,                                                   \
                         .success_threshold = 3,                                                   \
                         .half_open_max = 3,                                                       \
                         .min_calls = 10,                                                          \
                         .reset_ns = 60 * SECOND,                                                  \
                         .probe_ns = 30 * SECOND,                                                  \
                         .reset_factor = 1,                                                        \
                         __VA_ARGS__})

static inline hf_breaker_config
defaults(void)
{
    return CONFIG();
}

static inline void
begin_with(hf_breaker_config config)
{
    HF_REQUIRE(hf_breaker_size(&config) <= sizeof breaker_memory);
    memset(breaker_memory, 0xA5, sizeof breaker_memory); /* init owes nothing to zeroed memory */
    hf_breaker_init(b, &config, 1);
}

static inline void
begin(void)
{
    begin_with(defaults());
}

/* Ask as the gate does: the fast way, then the slow one. *change may be NULL. */
static inline bool
ask(int64_t now_ns, hf_breaker_permit *permit, hf_change *change)
{
    hf_change ignored;
    return hf_breaker_admit(b, permit) ||
           hf_breaker_admit_slow(b, now_ns, permit, change ? change : &ignored);
}

static inline hf_breaker_permit
enter(int64_t now_ns)
{
    hf_breaker_permit permit;
    HF_REQUIRE(ask(now_ns, &permit, NULL));
    return permit;
}

static inline bool
refuses(int64_t now_ns)
{
    hf_breaker_permit permit;
    return !ask(now_ns, &permit, NULL);
}

static inline hf_change
end(hf_breaker_permit permit, int outcome, int64_t now_ns)
{
    return hf_breaker_settle(b, &permit, outcome, -1, now_ns);
}

/* One call from beginning to end. */
static inline hf_change
call(int outcome, int64_t now_ns)
{
    return end(enter(now_ns), outcome, now_ns);
}

static inline void
calls(int n, int outcome, int64_t now_ns)
{
    while (n-- > 0)
        call(outcome, now_ns);
}

/* Open by failures in a row at a time. */
static inline void
break_at(int64_t now_ns)
{
    calls((int)b->config.failure_threshold, HF_FAILURE, now_ns);
    HF_REQUIRE(hf_breaker_state(b) == HF_OPEN);
}

static inline uint64_t
count_of(const hf_au64 *counter)
{
    return hf_load_relaxed(counter);
}

static inline uint32_t
changes(enum hf_state from, enum hf_state to)
{
    return hf_load_relaxed(&b->changes[from][to]);
}

static inline uint32_t
all_changes(void)
{
    uint32_t sum = 0;
    for (int from = 0; from < HF_STATES; from++)
        for (int to = 0; to < HF_STATES; to++)
            sum += changes((enum hf_state)from, (enum hf_state)to);
    return sum;
}

static inline bool
is_change(hf_change c, enum hf_state from, enum hf_state to)
{
    return c.happened && c.from == from && c.to == to &&
           c.gen == HF_BREAKER_GEN(hf_load_relaxed(&b->word));
}

#endif /* HF_BREAKER_FIXTURE_H */
