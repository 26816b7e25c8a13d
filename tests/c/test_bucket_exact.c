/*
 * The token bucket against a reference that counts credit, in 128 bits, where the kernel counts
 * arrival times in 62: same answer to every question, to the nanosecond, over long random lives.
 */
#include "hf_test.h"

#include "holdfast/hf_bucket.h"
#include "holdfast/hf_random.h"

__extension__ typedef __int128 wide;

/* Credit in units of 1/den token: a token is den, a nanosecond brings num, a full bucket is full. */
typedef struct reference {
    hf_rate rate;
    wide credit;
    int64_t now_ns;
} reference;

static wide
full(const reference *m)
{
    return (wide)m->rate.burst * m->rate.den;
}

static void
pass_until(reference *m, int64_t now_ns)
{
    m->credit += ((wide)now_ns - m->now_ns) * m->rate.num;
    if (m->credit > full(m))
        m->credit = full(m);
    m->now_ns = now_ns;
}

static int64_t
wait_for(const reference *m, uint64_t n)
{
    wide lacking = (wide)n * m->rate.den - m->credit;
    if (n > m->rate.burst)
        return HF_BUCKET_NEVER;
    return lacking <= 0 ? 0 : (int64_t)((lacking + m->rate.num - 1) / m->rate.num);
}

static void
change_rate(reference *m, hf_rate rate)
{
    wide tokens = m->credit * rate.den, old = m->rate.den;
    m->credit = tokens / old - (tokens % old < 0); /* rounded down */
    m->rate = rate;
    if (m->credit > full(m))
        m->credit = full(m);
}

static hf_rate
awkward_rate(hf_random *r)
{
    static const hf_rate rates[] = {
        {3, 1000000000, 1},    /* 3 a second */
        {333, 20000000000, 1}, /* 999 a minute */
        {337, 10000000000, 1}, /* 337 in 10 s */
        {1, 1000000, 1},       /* 1,000 a second */
        {1, 3600000000000, 1}, /* one an hour */
        {199999, 1000000007, 1}, {200000, 1, 1}, {7, 11, 1},
    };
    hf_rate rate = rates[hf_random_below(r, sizeof rates / sizeof *rates)];
    uint64_t most = (UINT64_C(1) << 56) / rate.den; /* leaves room for a long queue of bookings */
    rate.burst = 1 + hf_random_below(r, most < 1000 ? most : 1000);
    return rate;
}

/* Nothing, a few ns, or anything up to 2^bits ns, each scale as likely. */
static int64_t
some_time(hf_random *r, uint64_t bits)
{
    return (int64_t)(hf_random_next(r) >> 1 >> (63 - hf_random_below(r, bits + 1)));
}

typedef struct life {
    hf_bucket bucket;
    reference model;
    hf_random r;
    uint64_t calls[3]; /* allowed, rejected, refunded */
} life;

static void
check_a_take(life *l, uint64_t n, int64_t max_wait_ns)
{
    int64_t wait = wait_for(&l->model, n), got;
    bool fits = wait <= max_wait_ns && wait != HF_BUCKET_NEVER;
    if (max_wait_ns == 0 && hf_random_below(&l->r, 2))
        got = hf_bucket_try_take(&l->bucket, n, l->model.now_ns) ? 0 : -1;
    else
        got = hf_bucket_take_within(&l->bucket, n, l->model.now_ns, max_wait_ns);
    HF_CHECK_INT(got, fits ? wait : -1);
    if (fits)
        l->model.credit -= (wide)n * l->model.rate.den;
    l->calls[fits ? 0 : 1]++;
}

static void
live_a_step(life *l)
{
    uint64_t n = hf_random_below(&l->r, hf_random_below(&l->r, 4) ? 4 : l->model.rate.burst + 2);
    switch (hf_random_below(&l->r, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        check_a_take(l, n, 0);
        break;
    case 6:
    case 7:
    case 8:
        check_a_take(l, n, some_time(&l->r, 36));
        break;
    case 9:
    case 10:
        HF_CHECK_INT(hf_bucket_wait_ns(&l->bucket, n, l->model.now_ns), wait_for(&l->model, n));
        break;
    case 11:
    case 12: {
        wide there = l->model.credit > 0 ? l->model.credit / l->model.rate.den : 0;
        HF_CHECK_INT(hf_bucket_available(&l->bucket, l->model.now_ns), (int64_t)there);
        break;
    }
    case 13:
        hf_bucket_refund(&l->bucket, n);
        l->calls[2]++;
        l->model.credit += (wide)n * l->model.rate.den;
        pass_until(&l->model, l->model.now_ns);
        break;
    case 14:
        if (hf_random_below(&l->r, 8) == 0) {
            hf_rate rate = awkward_rate(&l->r);
            hf_bucket_resize(&l->bucket, rate, l->model.now_ns);
            change_rate(&l->model, rate);
        }
        break;
    default:
        if (hf_random_below(&l->r, 64) == 0) {
            hf_bucket_clear(&l->bucket);
            l->model.credit = full(&l->model);
        }
    }
}

/* Lives `steps` steps of up to 2^bits ns each. */
static void
live(uint64_t seed, int steps, uint64_t bits)
{
    life l = {.calls = {0}};
    hf_random_init(&l.r, seed);
    l.model.rate = awkward_rate(&l.r);
    l.model.credit = full(&l.model);
    l.model.now_ns = some_time(&l.r, 62) - some_time(&l.r, 61);
    hf_bucket_init(&l.bucket, l.model.rate, l.model.now_ns);
    for (int i = 0; i < steps && l.model.now_ns < INT64_MAX - (INT64_C(1) << bits); i++) {
        live_a_step(&l);
        pass_until(&l.model, l.model.now_ns + some_time(&l.r, bits));
    }
    HF_CHECK_INT(hf_load_relaxed(&l.bucket.allowed), l.calls[0]);
    HF_CHECK_INT(hf_load_relaxed(&l.bucket.rejected), l.calls[1]);
    HF_CHECK_INT(hf_load_relaxed(&l.bucket.refunded), l.calls[2]);
}

HF_TEST(busy_lives_agree_with_the_reference) /* RL-01, RL-06, traps 38, 39, 40 */
{
    for (uint64_t seed = 1; seed <= 400; seed++)
        live(seed, 1000, 30);
}

HF_TEST(lives_that_outlast_many_bases_agree_with_the_reference)
{
    for (uint64_t seed = 1000; seed < 1200; seed++)
        live(seed, 1000, 44); /* five hours a step at the most; a base serves 73 minutes */
}

HF_TEST(lives_with_idle_years_agree_with_the_reference)
{
    for (uint64_t seed = 2000; seed < 2200; seed++)
        live(seed, 500, 54);
}

HF_TEST(multiply_and_divide_agrees_with_wider_arithmetic)
{
    hf_random r;
    hf_random_init(&r, 128);
    for (int i = 0; i < 200000; i++) {
        uint64_t a = hf_random_next(&r) >> 2 >> hf_random_below(&r, 62);
        uint64_t b = 1 + (hf_random_next(&r) >> 4 >> hf_random_below(&r, 60));
        uint64_t c = 1 + (hf_random_next(&r) >> 4 >> hf_random_below(&r, 60));
        wide product = (wide)a * b, down = product / c, up = down + (product % c != 0);
        down = down > (wide)HF__ARRIVAL_MAX ? (wide)HF__ARRIVAL_MAX : down;
        up = up > (wide)HF__ARRIVAL_MAX ? (wide)HF__ARRIVAL_MAX : up;
        HF_CHECK(hf__muldiv_slow(a, b, c, false) == (uint64_t)down);
        HF_CHECK(hf__muldiv_slow(a, b, c, true) == (uint64_t)up);
    }
}

/* What may have been issued after so many ns, in units: burst + rate * t. */
static wide
bound(hf_rate rate, int64_t elapsed_ns)
{
    return (wide)rate.burst * rate.den + (wide)elapsed_ns * rate.num;
}

HF_TEST(no_prefix_of_a_life_issues_more_than_the_burst_and_the_rate) /* RL-01 */
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        hf_random r;
        hf_bucket b;
        wide issued = 0; /* units, of everything booked so far; the last of it comes at `due` */
        int64_t now = 0, due = 0;
        hf_random_init(&r, seed);
        hf_rate rate = awkward_rate(&r);
        hf_bucket_init(&b, rate, 0);
        for (int i = 0; i < 2000; i++) {
            uint64_t n = 1 + hf_random_below(&r, 3);
            int64_t early = some_time(&r, 20); /* some callers read the clock before others */
            int64_t wait = hf_bucket_take_within(&b, n, now - early, some_time(&r, 34));
            if (wait >= 0) {
                issued += (wide)n * rate.den;
                due = now - early + wait > due ? now - early + wait : due;
                HF_CHECK(issued <= bound(rate, due));
            }
            now += some_time(&r, 32);
        }
        HF_CHECK(issued > 0);
    }
}

HF_TEST(an_emptied_bucket_issues_all_that_the_rate_brings_and_not_one_less) /* trap 39, D-RL-3 */
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        hf_random r;
        hf_bucket b;
        wide issued = 0;
        int64_t now = 0;
        hf_random_init(&r, seed);
        hf_rate rate = awkward_rate(&r);
        if (rate.den / rate.num < 2)
            continue; /* a nanosecond brings more than can be kept */
        rate.burst++; /* room for the part of a token that is there when a whole one comes */
        hf_bucket_init(&b, rate, 0);
        for (int i = 0; i < 5000; i++) {
            while (hf_bucket_try_take(&b, 1, now))
                issued++;
            HF_CHECK_INT(issued, bound(rate, now) / rate.den);
            now += (int64_t)hf_random_below(&r, rate.den / rate.num);
        }
    }
}

HF_TEST(callers_whose_clocks_disagree_together_get_no_more) /* traps 20, 25 */
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        hf_random r;
        hf_bucket b;
        int64_t latest = 0;
        wide issued = 0;
        hf_random_init(&r, seed);
        hf_rate rate = awkward_rate(&r);
        hf_bucket_init(&b, rate, 0);
        for (int i = 0; i < 2000; i++) {
            latest += some_time(&r, 30);
            int64_t ago =
                hf_random_below(&r, 3) ? some_time(&r, 45) : 0; /* hours before the rest */
            issued += hf_bucket_try_take(&b, 1, latest - ago) ? rate.den : 0;
            HF_CHECK(issued <= bound(rate, latest));
        }
        int64_t token_ns = (int64_t)(rate.den / rate.num) + 1;
        HF_CHECK(hf_bucket_try_take(&b, 1, latest + token_ns)); /* and nobody is shut out */
    }
}
