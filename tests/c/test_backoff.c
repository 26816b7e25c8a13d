/* Contract of hf_backoff.h: the formulas, the bounds of chance, and that nothing leaves the bounds. */
#include "hf_test.h"

#include "holdfast/hf_backoff.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

enum { KINDS = HF_BACKOFF_DECORRELATED + 1, MODES = HF_JITTER_EQUAL + 1, DRAWS = 20000 };

static hf_backoff
backoff(hf_backoff_kind kind, int64_t base_ns, int64_t max_ns)
{
    hf_backoff b;
    hf_backoff_init(&b, kind, base_ns, max_ns, 49);
    b.factor = 2;
    return b;
}

static int64_t
delay(hf_backoff *b, uint32_t attempt)
{
    return hf_backoff_delay_ns(b, attempt, -1);
}

HF_TEST(a_constant_one_is_the_same_each_time)
{
    hf_backoff b = backoff(HF_BACKOFF_CONSTANT, 5 * MS, 10 * MS);
    const uint32_t attempts[] = {0, 1, 1000, UINT32_MAX};
    for (unsigned i = 0; i < sizeof attempts / sizeof *attempts; i++)
        HF_CHECK_INT(delay(&b, attempts[i]), 5 * MS);
}

HF_TEST(a_linear_one_grows_by_its_increment_up_to_the_cap) /* RT-04 */
{
    hf_backoff b = backoff(HF_BACKOFF_LINEAR, 100 * MS, SECOND);
    b.increment_ns = 250 * MS;
    const int64_t expected[] = {100, 350, 600, 850, 1000, 1000};
    for (uint32_t n = 0; n < sizeof expected / sizeof *expected; n++)
        HF_CHECK_INT(delay(&b, n), expected[n] * MS);
    HF_CHECK_INT(delay(&b, UINT32_MAX), SECOND);
}

HF_TEST(a_linear_one_is_exact_where_a_double_would_not_be)
{
    hf_backoff b = backoff(HF_BACKOFF_LINEAR, (INT64_C(1) << 60) + 1, INT64_MAX);
    b.increment_ns = (INT64_C(1) << 58) + 3;
    HF_CHECK_INT(delay(&b, 3), (INT64_C(1) << 60) + 1 + 3 * ((INT64_C(1) << 58) + 3));
    b.increment_ns = 1; /* the last that fits, and the first that does not */
    b.max_ns = b.base_ns + UINT32_MAX + INT64_C(1);
    HF_CHECK_INT(delay(&b, UINT32_MAX), b.max_ns - 1);
    b.max_ns--;
    HF_CHECK_INT(delay(&b, UINT32_MAX), b.max_ns);
    b.max_ns--;
    HF_CHECK_INT(delay(&b, UINT32_MAX - 1), b.max_ns);
    HF_CHECK_INT(delay(&b, UINT32_MAX), b.max_ns);
}

HF_TEST(an_exponential_one_is_multiplied_each_time_up_to_the_cap) /* RT-03, RT-10 */
{
    hf_backoff b = backoff(HF_BACKOFF_EXPONENTIAL, 100 * MS, 10 * SECOND);
    const int64_t twice[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    for (uint32_t n = 0; n < sizeof twice / sizeof *twice; n++)
        HF_CHECK_INT(delay(&b, n), twice[n] * MS);
    b.factor = 1.5;
    const int64_t half_more[] = {100000, 150000, 225000, 337500, 506250};
    for (uint32_t n = 0; n < sizeof half_more / sizeof *half_more; n++)
        HF_CHECK_INT(delay(&b, n), half_more[n] * 1000);
    b.factor = 1.15; /* a float below it: cut off, 115 ms would be a nanosecond short */
    HF_CHECK_INT(delay(&b, 1), 115 * MS);
    b.factor = 1;
    HF_CHECK_INT(delay(&b, UINT32_MAX), 100 * MS);
}

HF_TEST(an_exponential_one_never_shrinks)
{
    const double factors[] = {1, 1.001, 1.1, 1.5, 2, 3, 1000, 1e300};
    for (unsigned i = 0; i < sizeof factors / sizeof *factors; i++) {
        hf_backoff b = backoff(HF_BACKOFF_EXPONENTIAL, 1, INT64_MAX);
        int64_t before = 0;
        b.factor = factors[i];
        for (uint32_t n = 0; n < 50000; n++) {
            const int64_t ns = delay(&b, n);
            HF_CHECK(ns >= before);
            before = ns;
        }
        HF_CHECK_INT(before, factors[i] > 1 ? INT64_MAX : 1);
    }
}

HF_TEST(a_fibonacci_one_is_the_sum_of_the_two_before_up_to_the_cap) /* RT-05 */
{
    hf_backoff b = backoff(HF_BACKOFF_FIBONACCI, 10 * MS, 500 * MS);
    const int64_t expected[] = {10, 10, 20, 30, 50, 80, 130, 210, 340, 500, 500};
    for (uint32_t n = 0; n < sizeof expected / sizeof *expected; n++)
        HF_CHECK_INT(delay(&b, n), expected[n] * MS);
    b = backoff(HF_BACKOFF_FIBONACCI, 1, INT64_MAX);
    for (uint32_t n = 2; n < 92; n++)
        HF_CHECK_INT(delay(&b, n), delay(&b, n - 1) + delay(&b, n - 2));
    HF_CHECK_INT(delay(&b, 91), INT64_C(7540113804746346429)); /* the last in 63 bits */
    HF_CHECK_INT(delay(&b, 92), INT64_MAX);
    HF_CHECK_INT(delay(&b, UINT32_MAX), INT64_MAX);
}

HF_TEST(a_decorrelated_one_is_between_base_and_three_times_the_delay_before)
{
    hf_backoff b = backoff(HF_BACKOFF_DECORRELATED, 100 * MS, 10 * SECOND);
    int64_t least = INT64_MAX, most = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const int64_t first = hf_backoff_delay_ns(&b, i, -1);
        HF_CHECK(first >= 100 * MS && first <= 300 * MS);
        const int64_t later = hf_backoff_delay_ns(&b, i, SECOND);
        HF_CHECK(later >= 100 * MS && later <= 3 * SECOND);
        least = later < least ? later : least;
        most = later > most ? later : most;
        const int64_t capped = hf_backoff_delay_ns(&b, i, 9 * SECOND);
        HF_CHECK(capped >= 100 * MS && capped <= 10 * SECOND);
    }
    HF_CHECK(least < 102 * MS && most > 2998 * MS);
}

HF_TEST(a_delay_before_that_is_shorter_than_base_counts_as_base)
{
    hf_backoff b = backoff(HF_BACKOFF_DECORRELATED, 100 * MS, 10 * SECOND);
    const int64_t shorter[] = {INT64_MIN, -1, 0, 1, 20 * MS, 100 * MS};
    for (unsigned i = 0; i < sizeof shorter / sizeof *shorter; i++) {
        hf_random_init(&b.random, 7);
        const int64_t ns = hf_backoff_delay_ns(&b, 5, shorter[i]);
        hf_random_init(&b.random, 7);
        HF_CHECK_INT(ns, hf_backoff_delay_ns(&b, 5, -1));
    }
}

/* What a jitter of a quarter makes of a delay of 100 ms. */
static const struct {
    hf_jitter_mode mode;
    int64_t least, most;
} spread[] = {{HF_JITTER_ADD, 100, 125},
              {HF_JITTER_AROUND, 75, 125},
              {HF_JITTER_FULL, 0, 100},
              {HF_JITTER_EQUAL, 50, 100}};

/* RT-09. */
HF_TEST(each_way_of_jitter_is_uniform_over_its_range)
{
    for (int i = 0; i < MODES; i++) {
        hf_backoff b = backoff(HF_BACKOFF_CONSTANT, 100 * MS, SECOND);
        const int64_t from = spread[i].least * MS, width = spread[i].most * MS - from;
        uint64_t tenths[10] = {0};
        b.mode = spread[i].mode;
        b.jitter = .25;
        for (int k = 0; k < DRAWS; k++) {
            const int64_t ns = delay(&b, 0) - from;
            HF_REQUIRE(ns >= 0 && ns <= width);
            tenths[ns < width ? ns * 10 / width : 9]++;
        }
        for (int k = 0; k < 10; k++) /* five standard deviations of a tenth of the draws */
            HF_CHECK(tenths[k] > DRAWS / 10 - 212 && tenths[k] < DRAWS / 10 + 212);
    }
}

/* traps 49, D-RT-3. */
HF_TEST(the_cap_holds_after_jitter)
{
    for (int i = 0; i < MODES; i++) {
        hf_backoff b = backoff(HF_BACKOFF_CONSTANT, 100 * MS, 110 * MS);
        b.mode = spread[i].mode;
        b.jitter = .25;
        bool reached = false;
        for (int k = 0; k < DRAWS; k++) {
            const int64_t ns = delay(&b, 0);
            HF_REQUIRE(ns >= spread[i].least * MS && ns <= 110 * MS);
            reached |= ns == 110 * MS;
        }
        HF_CHECK(reached == (spread[i].most > 110));
    }
}

/* The seed whose first draw has all bits set, as close to 1 as a draw comes. */
#define GREATEST_DRAW UINT64_C(0x31628AF67B2131AB)

HF_TEST(the_greatest_draw_stays_within_the_range)
{
    const int64_t delays[] = {1, 2, 3, 1000, INT64_C(1) << 53, (INT64_C(1) << 53) + 3, INT64_MAX};
    for (unsigned i = 0; i < sizeof delays / sizeof *delays; i++) {
        hf_backoff b = backoff(HF_BACKOFF_CONSTANT, delays[i], INT64_MAX);
        b.mode = HF_JITTER_FULL;
        hf_random_init(&b.random, GREATEST_DRAW);
        HF_CHECK(delays[i] - delay(&b, 0) <= 1024);
        hf_random_init(&b.random, GREATEST_DRAW);
        HF_CHECK(delay(&b, 0) <= delays[i]);
    }
}

HF_TEST(jitter_of_a_few_nanoseconds_reaches_both_ends)
{
    hf_backoff b = backoff(HF_BACKOFF_CONSTANT, 3, 100);
    bool seen[4] = {false};
    b.mode = HF_JITTER_FULL;
    for (int k = 0; k < 1000; k++)
        seen[delay(&b, 0)] = true;
    HF_CHECK(seen[0] && seen[1] && seen[2] && seen[3]);
    b.mode = HF_JITTER_EQUAL; /* 3 is 2 and a half of 1 */
    for (int k = 0; k < 1000; k++)
        HF_CHECK(delay(&b, 0) >= 2);
}

HF_TEST(without_jitter_nothing_is_drawn)
{
    for (int kind = 0; kind < HF_BACKOFF_DECORRELATED; kind++) {
        hf_backoff b = backoff((hf_backoff_kind)kind, 100 * MS, SECOND);
        for (int mode = HF_JITTER_ADD; mode <= HF_JITTER_AROUND; mode++) {
            b.mode = (hf_jitter_mode)mode;
            const uint64_t before = hf_load_relaxed(&b.random.state);
            for (uint32_t n = 0; n < 100; n++)
                (void)delay(&b, n);
            HF_CHECK(hf_load_relaxed(&b.random.state) == before);
        }
    }
}

/* trap 58. */
HF_TEST(a_seed_replays_exactly)
{
    for (int kind = 0; kind < KINDS; kind++) {
        hf_backoff a = backoff((hf_backoff_kind)kind, 100 * MS, SECOND), b = a;
        a.jitter = b.jitter = .1;
        bool differs = false;
        for (uint32_t n = 0; n < 100; n++)
            HF_CHECK_INT(delay(&a, n), delay(&b, n));
        hf_random_init(&b.random, 58);
        for (uint32_t n = 0; n < 5; n++)
            differs |= delay(&a, n) != delay(&b, n);
        HF_CHECK(differs);
    }
}

/* trap 56: what calls ask in between changes nothing. */
HF_TEST(a_delay_depends_on_the_attempt_only_and_not_on_what_was_asked_before)
{
    for (int kind = 0; kind < HF_BACKOFF_DECORRELATED; kind++) {
        hf_backoff b = backoff((hf_backoff_kind)kind, 100 * MS, 100 * SECOND);
        b.increment_ns = 30 * MS;
        int64_t alone[10];
        for (uint32_t n = 0; n < 10; n++)
            alone[n] = delay(&b, n);
        for (uint32_t n = 10; n-- > 0;) {
            HF_CHECK_INT(hf_backoff_delay_ns(&b, n, 7 * SECOND), alone[n]);
            HF_CHECK_INT(delay(&b, 9 - n), alone[9 - n]);
        }
    }
}

HF_TEST(zeroed_memory_never_waits)
{
    hf_backoff b;
    memset(&b, 0, sizeof b);
    HF_CHECK_INT(delay(&b, 0), 0);
    HF_CHECK_INT(hf_backoff_delay_ns(&b, UINT32_MAX, INT64_MAX), 0);
}

/* trap 49: nothing times infinity is no number. */
HF_TEST(a_base_of_nothing_never_waits)
{
    const hf_backoff_kind grow[] = {HF_BACKOFF_EXPONENTIAL, HF_BACKOFF_FIBONACCI};
    for (unsigned i = 0; i < sizeof grow / sizeof *grow; i++) {
        hf_backoff b = backoff(grow[i], 0, SECOND);
        HF_CHECK_INT(delay(&b, 0), 0);
        HF_CHECK_INT(delay(&b, 20), 0);
        HF_CHECK_INT(delay(&b, UINT32_MAX), 0);
    }
}

static const int64_t spans[] = {0,
                                1,
                                2,
                                3,
                                100 * MS,
                                60 * SECOND,
                                (INT64_C(1) << 53) - 1,
                                (INT64_C(1) << 53) + 1,
                                INT64_MAX / 3,
                                INT64_MAX / 2 + 1,
                                INT64_MAX - 1,
                                INT64_MAX};
static const double factors[] = {1, 0x1.0000000000001p0, 1.0000001, 1.5, 2, 1000, 1e300};
static const double jitters[] = {0, 1e-300, .1, 0x1.fffffffffffffp-1, 1};
static const uint32_t attempts[] = {0,  1,  2,    3,    31,         32,        62,
                                    63, 64, 1023, 1024, 1000000000, UINT32_MAX};
static const int64_t before_them[] = {INT64_MIN, -1, 0, 1, SECOND, INT64_MAX / 3, INT64_MAX};

#define EACH(i, of) (unsigned i = 0; i < sizeof of / sizeof *of; i++)

static void
stays_within_bounds(hf_backoff *b)
{
    for
        EACH(n, attempts)
        for
            EACH(p, before_them)
            {
                const int64_t ns = hf_backoff_delay_ns(b, attempts[n], before_them[p]);
                HF_CHECK(ns >= 0 && ns <= b->max_ns);
            }
}

/* trap 49. */
HF_TEST(no_setting_and_no_attempt_leaves_the_bounds)
{
    hf_backoff b;
    for
        EACH(base, spans)
        for
            EACH(max, spans)
            for
                EACH(f, factors)
                for
                    EACH(j, jitters)
                for (int kind = 0; kind < KINDS; kind++)
                    for (int mode = 0; mode < MODES && spans[base] <= spans[max]; mode++) {
                        hf_backoff_init(&b, (hf_backoff_kind)kind, spans[base], spans[max], j);
                        b.increment_ns = spans[f + j];
                        b.factor = factors[f];
                        b.jitter = jitters[j];
                        b.mode = (hf_jitter_mode)mode;
                        stays_within_bounds(&b);
                    }
}
