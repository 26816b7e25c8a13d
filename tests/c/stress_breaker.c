/*
 * Real threads over one breaker: whatever they do, nobody is counted twice or lost, and there are
 * never more probes of one period than slots. CB-28, GEN-03, GEN-14.
 */
#include "breaker_fixture.h"
#include "hf_threads.h"

enum { THREADS = 16, PERIODS = 1 << 10 };

/* What a thread did and was told; added up when all have ended. */
typedef struct account {
    hf_random random;
    uint64_t admitted, undone, refused, ended[3], abandoned, lost;
    uint32_t changes[HF_STATES][HF_STATES];
    char padding[64]; /* threads do not slow each other down by sharing a line */
} account;

static account accounts[THREADS];
static hf_ai64 now;             /* the time all threads see */
static hf_au64 inside[PERIODS]; /* probes between admission and end, by generation */
static long rounds;             /* of each thread */
static bool probes_get_lost;

static bool
one_in(account *mine, uint64_t n)
{
    return hf_random_below(&mine->random, n) == 0;
}

/* Time passes in steps that end openings and leases. */
static int64_t
look_at_the_clock(account *mine)
{
    int64_t t = hf_load_relaxed(&now);
    if (one_in(mine, 100))
        while (!hf_cas_weak_relaxed(&now, &t, t + 20 * SECOND))
            ;
    return t;
}

static void
tell(account *mine, hf_change change)
{
    mine->changes[change.from][change.to] += change.happened;
}

static void
finish(account *mine, const hf_breaker_permit *permit)
{
    const uint64_t way = hf_random_below(&mine->random, 20);
    if (way == 0) {
        mine->abandoned++;
        hf_breaker_abandon(b, permit);
    } else if (way == 1) {
        mine->undone++;
        hf_breaker_undo(b, permit);
    } else {
        const int outcome = way == 2 ? HF_IGNORED : way < 8 ? HF_FAILURE : HF_SUCCESS;
        mine->ended[outcome]++;
        if (outcome != HF_SUCCESS || !hf_breaker_settle_fast(b, permit))
            tell(mine, hf_breaker_settle(b, permit, outcome, way % 2 ? 2 * SECOND : 1,
                                         look_at_the_clock(mine)));
    }
}

/* Admission and end, with a look at how many others are in the same probing period. */
static void
call_once(account *mine)
{
    hf_breaker_permit permit;
    hf_change change = {.happened = false};
    const bool admitted = ask(look_at_the_clock(mine), &permit, &change);
    tell(mine, change);
    if (!admitted) {
        mine->refused++;
        return;
    }
    mine->admitted++;
    hf_au64 *probes = permit.flags & HF_PERMIT_PROBE ? &inside[permit.gen % PERIODS] : NULL;
    if (probes && probes_get_lost && one_in(mine, 2)) {
        mine->lost++;
        return;
    }
    if (probes) {
        const uint64_t others = hf_fetch_add_relaxed(probes, 1);
        HF_CHECK(probes_get_lost || others < b->config.half_open_max);
        hf_count(probes, UINT64_MAX);
    }
    finish(mine, &permit);
}

static void
use(void *shared, int index)
{
    const enum hf_state states[] = {HF_CLOSED, HF_OPEN, HF_HALF_OPEN, HF_FORCED_OPEN,
                                    HF_METRICS_ONLY};
    account *mine = &accounts[index];
    for (long i = 0; i < rounds; i++) {
        call_once(mine);
        if (one_in(mine, 100))
            tell(mine, hf_breaker_override(b, states[hf_random_below(&mine->random, 5)],
                                           look_at_the_clock(mine)));
    }
}

static account
sum_of_accounts(void)
{
    account sum = {.admitted = 0};
    for (int i = 0; i < THREADS; i++) {
        const account *a = &accounts[i];
        sum.admitted += a->admitted;
        sum.undone += a->undone;
        sum.refused += a->refused;
        sum.abandoned += a->abandoned;
        sum.lost += a->lost;
        for (int k = 0; k < 3; k++)
            sum.ended[k] += a->ended[k];
        for (int k = 0; k < HF_STATES * HF_STATES; k++)
            (&sum.changes[0][0])[k] += (&a->changes[0][0])[k];
    }
    return sum;
}

/* CB-07, trap 8: every change was told to one thread, and each state left as often as entered. */
static void
check_changes(const account *sum)
{
    for (int state = 0; state < HF_STATES; state++) {
        int64_t balance = (state == HF_CLOSED) - (state == (int)hf_breaker_state(b));
        for (int other = 0; other < HF_STATES; other++) {
            balance += sum->changes[other][state];
            balance -= sum->changes[state][other];
            HF_CHECK_INT(changes((enum hf_state)state, (enum hf_state)other),
                         sum->changes[state][other]);
        }
        HF_CHECK_INT(balance, 0);
    }
}

static void
check_accounts(void)
{
    const account sum = sum_of_accounts();
    HF_CHECK_INT(count_of(&b->admitted), sum.admitted - sum.undone);
    HF_CHECK_INT(count_of(&b->rejected), sum.refused);
    HF_CHECK_INT(count_of(&b->succeeded), sum.ended[HF_SUCCESS]);
    HF_CHECK_INT(count_of(&b->failed), sum.ended[HF_FAILURE]);
    HF_CHECK_INT(count_of(&b->ignored), sum.ended[HF_IGNORED]);
    HF_CHECK_INT(count_of(&b->abandoned), sum.abandoned);
    HF_CHECK_INT(hf_breaker_in_flight(b), sum.lost);
    check_changes(&sum);
    HF_CHECK(sum.changes[HF_HALF_OPEN][HF_OPEN] > 0); /* it was worth the while */
    HF_CHECK(sum.changes[HF_HALF_OPEN][HF_CLOSED] > 0);
    if (!probes_get_lost)
        HF_CHECK_INT(hf_breaker_probes(b, hf_load_relaxed(&now)), 0);
}

static void
stress(hf_breaker_config config)
{
    begin_with(config);
    rounds = hf_threads_rounds(100 * 1000);
    memset(accounts, 0, sizeof accounts);
    hf_store_relaxed(&now, 0);
    for (int i = 0; i < THREADS; i++)
        hf_random_init(&accounts[i].random, (uint64_t)i);
    hf_threads_run(THREADS, use, NULL);
    check_accounts();
}

/* Slots that only their holder gives back, so that the number inside is exact. */
static hf_breaker_config
without_deadlines(void)
{
    hf_breaker_config config = CONFIG(.failure_threshold = 3, .probe_ns = -1, .reset_factor = 1.5,
                                      .reset_max_ns = 100 * SECOND, .reset_jitter = 0.1);
    return config;
}

HF_TEST(a_breaker_with_a_run_of_failures_keeps_its_accounts)
{
    stress(without_deadlines());
}

HF_TEST(a_breaker_with_a_count_window_keeps_its_accounts)
{
    hf_breaker_config config = without_deadlines();
    config.failure_threshold = 0;
    config.window_kind = HF_WINDOW_COUNT;
    config.window_n = 20;
    config.failure_rate_ppb = 300000000;
    stress(config);
    const hf_tally t = hf_breaker_tally(b, hf_load_relaxed(&now));
    HF_CHECK(t.calls <= 20 && t.failures <= t.calls && t.slow <= t.calls);
}

HF_TEST(a_breaker_with_a_time_window_and_slow_calls_keeps_its_accounts)
{
    hf_breaker_config config = without_deadlines();
    config.window_kind = HF_WINDOW_TIME;
    config.window_n = 10;
    config.slice_ns = 20 * SECOND;
    config.failure_rate_ppb = 300000000;
    config.slow_ns = SECOND;
    config.slow_rate_ppb = 900000000;
    stress(config);
}

/* trap 4, C1: every other probe is never heard of again; the breaker recovers all the same. */
HF_TEST(lost_probes_never_wedge_the_breaker)
{
    probes_get_lost = true;
    hf_breaker_config config = without_deadlines();
    config.probe_ns = 30 * SECOND;
    stress(config);
    hf_breaker_override(b, HF_HALF_OPEN, hf_load_relaxed(&now));
    enter(hf_load_relaxed(&now));
    enter(hf_load_relaxed(&now));
    enter(hf_load_relaxed(&now));
    calls(3, HF_SUCCESS, hf_load_relaxed(&now) + 30 * SECOND);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
}
