/*
 * The token bucket against its definition, in 128 bits, where the kernel counts arrival times in
 * 62. Each answer of long random lives, against a model: tests/native/test_bucket.py.
 */
#include "hf_test.h"

#include "holdfast/hf_bucket.h"
#include "holdfast/hf_random.h"

__extension__ typedef __int128 wide;

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
