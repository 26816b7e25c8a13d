/* Contract of hf_quantile.h, one promise a test. How near it comes to true quantiles of random
   latencies is shown in tests/native/test_quantile.py. */
#include "hf_test.h"

#include "holdfast/hf_quantile.h"
#include "holdfast/hf_random.h"

static const int64_t ms = 1000000;

static hf_quantile
quantile_of(double p)
{
    hf_quantile q;
    hf_quantile_init(&q, p);
    return q;
}

static void
record(hf_quantile *q, int64_t ns, int times)
{
    for (int i = 0; i < times; i++)
        hf_quantile_record(q, ns);
}

/* How many octaves one sample moves it from 2^20 ns, after so many that were alike. */
static double
move_of(double p, int before, int64_t sample_ns)
{
    hf_quantile q = quantile_of(p);
    record(&q, 1 << 20, before);
    uint64_t from = hf__scale_of(hf_quantile_get_ns(&q));
    hf_quantile_record(&q, sample_ns);
    return ((double)(hf_load_relaxed(&q.word) & HF__SCALE_MASK) - (double)from) /
           (double)HF__OCTAVE;
}

static bool
near(double a, double b)
{
    return a - b < 1e-9 && b - a < 1e-9;
}

HF_TEST(before_the_first_sample_it_knows_nothing)
{
    hf_quantile q = quantile_of(0.95);
    HF_CHECK_INT(hf_quantile_samples(&q), 0);
    HF_CHECK_INT(hf_quantile_get_ns(&q), 1);
}

HF_TEST(the_first_sample_is_the_estimate)
{
    const int64_t each[] = {1, 2, 3, 7, 1000, 12345678, INT64_C(1) << 36, HF_QUANTILE_NS_MAX};
    for (unsigned i = 0; i < sizeof each / sizeof *each; i++) {
        hf_quantile q = quantile_of(0.5);
        hf_quantile_record(&q, each[i]);
        int64_t got = hf_quantile_get_ns(&q);
        HF_CHECK(got <= each[i] && each[i] - got <= each[i] >> HF__OCTAVE_BITS);
        HF_CHECK_INT(hf_quantile_samples(&q), 1);
    }
}

HF_TEST(the_scale_is_monotone_and_its_inverse_exact)
{
    hf_random r;
    hf_random_init(&r, 1);
    for (int i = 0; i < 1000000; i++) {
        int64_t a = (int64_t)(hf_random_next(&r) >> (1 + hf_random_below(&r, 62)));
        int64_t b = a + (int64_t)hf_random_below(&r, 1000);
        HF_CHECK(hf__scale_of(a) <= hf__scale_of(b));
        uint64_t scale = hf__scale_of(a);
        int64_t back = hf__scale_ns(scale);
        HF_CHECK(hf__scale_of(back) == scale);
        if (a >= 1 && a < INT64_C(1) << 36)
            HF_CHECK_INT(back, a);
    }
    for (unsigned octave = 0; octave < 61; octave++) {
        int64_t ns = INT64_C(1) << octave;
        HF_CHECK(hf__scale_of(ns) == (uint64_t)octave << HF__OCTAVE_BITS);
        HF_CHECK_INT(hf__scale_ns(hf__scale_of(ns)), ns);
    }
}

HF_TEST(whatever_is_recorded_it_stays_between_a_nanosecond_and_a_hundred_years)
{
    const int64_t each[] = {INT64_MIN, -1, 0, 1, 2, HF_QUANTILE_NS_MAX, INT64_MAX};
    hf_random r;
    hf_random_init(&r, 2);
    hf_quantile q = quantile_of(0.5);
    for (int i = 0; i < 100000; i++) {
        record(&q, each[hf_random_below(&r, 7)], 1 + (int)hf_random_below(&r, 50));
        int64_t got = hf_quantile_get_ns(&q);
        HF_CHECK(got >= 1 && got <= HF_QUANTILE_NS_MAX);
    }
    record(&q, INT64_MAX, 10000);
    HF_CHECK(HF_QUANTILE_NS_MAX - hf_quantile_get_ns(&q) < HF_QUANTILE_NS_MAX >> 35);
    record(&q, INT64_MIN, 10000);
    HF_CHECK_INT(hf_quantile_get_ns(&q), 1);
}

HF_TEST(a_sample_above_moves_it_by_p_and_one_below_by_the_rest)
{
    HF_CHECK(near(move_of(0.95, 200, 1000 * ms), 0.95 / 16));
    HF_CHECK(near(move_of(0.95, 200, 1), -0.05 / 16));
    HF_CHECK(near(move_of(0.5, 200, 1000 * ms), 0.5 / 16));
    HF_CHECK(near(move_of(0.5, 200, 1), -0.5 / 16));
    HF_CHECK(move_of(0.95, 200, 1 << 20) == 0.0);
}

HF_TEST(the_first_samples_take_longer_steps)
{
    HF_CHECK(near(move_of(0.5, 1, 1000 * ms), 0.5));
    HF_CHECK(near(move_of(0.5, 2, 1000 * ms), 0.5 * 8 / 9));
    HF_CHECK(near(move_of(0.5, 9, 1000 * ms), 0.5 * 8 / 16));
    HF_CHECK(near(move_of(0.5, 120, 1000 * ms), 0.5 * 8 / 127));
    HF_CHECK(near(move_of(0.5, 121, 1000 * ms), 0.5 / 16));
}

HF_TEST(it_does_not_move_beyond_the_sample)
{
    hf_quantile q = quantile_of(0.95);
    hf_quantile_record(&q, 1000);
    hf_quantile_record(&q, 1001);
    HF_CHECK_INT(hf_quantile_get_ns(&q), 1001);
    hf_quantile_record(&q, 1000);
    HF_CHECK_INT(hf_quantile_get_ns(&q), 1000);
}

HF_TEST(a_run_to_one_side_that_p_makes_unlikely_moves_it_faster)
{
    hf_quantile q = quantile_of(0.95); /* up: more than 4 in a row; down: more than 80 */
    record(&q, 1 << 20, 200);
    uint64_t was = hf__scale_of(1 << 20);
    for (int i = 1; i <= 8; i++) {
        hf_quantile_record(&q, HF_QUANTILE_NS_MAX);
        uint64_t is = hf_load_relaxed(&q.word) & HF__SCALE_MASK;
        uint64_t step = (q.up >> HF__STEP_SHIFT) * (i > 4 ? 4 : 1);
        HF_CHECK_INT(is - was, step);
        was = is;
    }
    for (int i = 1; i <= 100; i++) {
        hf_quantile_record(&q, 1);
        uint64_t is = hf_load_relaxed(&q.word) & HF__SCALE_MASK;
        uint64_t step = (q.down >> HF__STEP_SHIFT) * (i > q.fall ? 4 : 1);
        HF_CHECK_INT(was - is, step);
        was = is;
    }
    HF_CHECK(q.fall >= 79 && q.fall <= 80);
}

HF_TEST(a_run_ends_with_the_first_sample_on_the_other_side_or_in_place)
{
    const int64_t ends[] = {1, 0}; /* 0: the estimate itself */
    for (int i = 0; i < 2; i++) {
        hf_quantile q = quantile_of(0.95);
        record(&q, 1 << 20, 200);
        record(&q, HF_QUANTILE_NS_MAX, 4);
        hf_quantile_record(&q, ends[i] ? ends[i] : hf_quantile_get_ns(&q));
        uint64_t was = hf_load_relaxed(&q.word) & HF__SCALE_MASK;
        hf_quantile_record(&q, HF_QUANTILE_NS_MAX);
        HF_CHECK_INT((hf_load_relaxed(&q.word) & HF__SCALE_MASK) - was, q.up >> HF__STEP_SHIFT);
    }
}

HF_TEST(a_fine_quantile_takes_the_same_first_steps_and_a_quarter_of_the_lasting_ones)
{
    hf_quantile q = quantile_of(0.95), fine;
    hf_quantile_init_fine(&fine, 0.95);
    for (int i = 0; i < 300; i++) {
        if (i == 100)
            HF_CHECK_INT(hf_quantile_get_ns(&fine), hf_quantile_get_ns(&q));
        hf_quantile_record(&q, i % 2 ? 1 << 20 : 1);
        hf_quantile_record(&fine, i % 2 ? 1 << 20 : 1);
    }
    uint64_t was = hf_load_relaxed(&fine.word) & HF__SCALE_MASK;
    hf_quantile_record(&fine, HF_QUANTILE_NS_MAX);
    HF_CHECK_INT((hf_load_relaxed(&fine.word) & HF__SCALE_MASK) - was, fine.up >> 6);
}

HF_TEST(the_longest_run_fits_its_field)
{
    const double each[] = {0.001, 0.5, 0.999};
    for (int i = 0; i < 3; i++) {
        hf_quantile q = quantile_of(each[i]);
        HF_CHECK(q.rise < HF__RUN_MAX && q.fall < HF__RUN_MAX);
        record(&q, 1000 * ms, 1);
        for (int side = 0; side < 2; side++) {
            /* Every sample on one side, however far it has gone. */
            for (int n = 0; n < 20000; n++) {
                int64_t at = hf_quantile_get_ns(&q);
                hf_quantile_record(&q, side ? at + at / 1000 + 2 : at - at / 1000 - 2);
                HF_CHECK(hf_quantile_get_ns(&q) >= 1);
            }
            int32_t run = hf__word_run(hf_load_relaxed(&q.word));
            HF_CHECK(side ? run > 0 : run <= 0);
        }
        HF_CHECK_INT(hf_quantile_samples(&q), HF_QUANTILE_SAMPLES_MAX);
    }
}

HF_TEST(samples_are_counted_up_to_a_cap)
{
    hf_quantile q = quantile_of(0.95);
    for (int i = 1; i <= 1000; i++) {
        hf_quantile_record(&q, i % 2 ? 5 : 5000);
        HF_CHECK_INT(hf_quantile_samples(&q),
                     i < HF_QUANTILE_SAMPLES_MAX ? i : HF_QUANTILE_SAMPLES_MAX);
    }
}
