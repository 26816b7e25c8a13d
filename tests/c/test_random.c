/* Contract of hf_random.h. Every seed is fixed, so nothing here passes or fails by chance. */
#include "hf_test.h"

#include "holdfast/hf_random.h"

static int
ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

HF_TEST(the_sequence_is_the_published_one)
{
    static const struct {
        uint64_t seed, values[3];
    } known[] = {
        {0,
         {UINT64_C(0xE220A8397B1DCDAF), UINT64_C(0x6E789E6AA1B965F4),
          UINT64_C(0x06C45D188009454F)}},
        {1234567,
         {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
          UINT64_C(9817491932198370423)}},
    };
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
        hf_random r;
        hf_random_init(&r, known[i].seed);
        for (int k = 0; k < 3; k++)
            HF_CHECK(hf_random_next(&r) == known[i].values[k]);
    }
}

HF_TEST(a_seed_replays_exactly)
{
    hf_random a, b;
    hf_random_init(&a, UINT64_MAX);
    hf_random_init(&b, UINT64_MAX);
    for (int i = 0; i < 1000; i++)
        HF_CHECK(hf_random_next(&a) == hf_random_next(&b));
    hf_random_init(&a, 7);
    double first = hf_random_unit(&a);
    uint64_t second = hf_random_below(&a, 1000);
    hf_random_init(&a, 7);
    HF_CHECK(hf_random_unit(&a) == first);
    HF_CHECK(hf_random_below(&a, 1000) == second);
}

enum { SEEDS = 10000, DRAWS = 100000 };

HF_TEST(neighbouring_seeds_begin_differently)
{
    static uint64_t firsts[SEEDS];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        hf_random r;
        hf_random_init(&r, seed);
        firsts[seed] = hf_random_next(&r);
    }
    qsort(firsts, SEEDS, sizeof *firsts, ascending);
    for (int i = 1; i < SEEDS; i++)
        HF_CHECK(firsts[i - 1] != firsts[i]);
}

HF_TEST(a_generator_that_was_seeded_again_shares_no_draw_with_before) /* trap 58 */
{
    static uint64_t draws[DRAWS];
    hf_random r;
    hf_random_init(&r, 58);
    for (int i = 0; i < DRAWS / 2; i++)
        draws[i] = hf_random_next(&r);
    hf_random_init(&r, 59);
    for (int i = DRAWS / 2; i < DRAWS; i++)
        draws[i] = hf_random_next(&r);
    qsort(draws, DRAWS, sizeof *draws, ascending);
    for (int i = 1; i < DRAWS; i++)
        HF_CHECK(draws[i - 1] != draws[i]);
}

HF_TEST(each_bit_is_set_half_of_the_time)
{
    uint64_t set[64] = {0};
    hf_random r;
    hf_random_init(&r, 1);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t x = hf_random_next(&r);
        for (int bit = 0; bit < 64; bit++)
            set[bit] += x >> bit & 1;
    }
    for (int bit = 0; bit < 64; bit++) { /* five standard deviations: sqrt(DRAWS) / 2 each */
        HF_CHECK(set[bit] > DRAWS / 2 - 5 * 158);
        HF_CHECK(set[bit] < DRAWS / 2 + 5 * 158);
    }
}

/* Pearson's statistic of counts that should all be the same. */
static double
chi_square(const uint64_t *counts, int n)
{
    double total = 0, sum = 0;
    for (int i = 0; i < n; i++)
        total += (double)counts[i];
    for (int i = 0; i < n; i++) {
        double off = (double)counts[i] - total / n;
        sum += off * off / (total / n);
    }
    return sum;
}

HF_TEST(units_are_uniform_and_never_one)
{
    enum { BINS = 64 };
    uint64_t bins[BINS] = {0};
    double sum = 0;
    hf_random r;
    hf_random_init(&r, 2);
    for (int i = 0; i < DRAWS; i++) {
        double u = hf_random_unit(&r);
        HF_REQUIRE(u >= 0 && u < 1);
        bins[(int)(u * BINS)]++;
        sum += u;
    }
    HF_CHECK(sum / DRAWS > 0.495 && sum / DRAWS < 0.505);
    HF_CHECK(chi_square(bins, BINS) <
             115);                         /* 63 degrees of freedom: one in ten thousand is above */
    HF_CHECK(chi_square(bins, BINS) > 25); /* and as few are this even */
}

HF_TEST(successive_units_do_not_depend_on_each_other)
{
    enum { SIDE = 8 };
    uint64_t pairs[SIDE * SIDE] = {0};
    hf_random r;
    hf_random_init(&r, 3);
    for (int i = 0; i < DRAWS; i++) {
        int row = (int)(hf_random_unit(&r) * SIDE), column = (int)(hf_random_unit(&r) * SIDE);
        pairs[row * SIDE + column]++;
    }
    HF_CHECK(chi_square(pairs, SIDE * SIDE) < 115);
}

HF_TEST(below_stays_below_and_reaches_everything)
{
    hf_random r;
    hf_random_init(&r, 4);
    for (int i = 0; i < 100; i++) {
        HF_CHECK_INT(hf_random_below(&r, 0), 0);
        HF_CHECK_INT(hf_random_below(&r, 1), 0);
    }
    for (int n = 2; n <= 20; n++) {
        uint64_t seen[20] = {0};
        for (int i = 0; i < 1000 * n; i++) {
            uint64_t x = hf_random_below(&r, (uint64_t)n);
            HF_REQUIRE(x < (uint64_t)n);
            seen[x]++;
        }
        HF_CHECK(chi_square(seen, n) < n + 8 * 5); /* far beyond one in ten thousand for each n */
        for (int x = 0; x < n; x++)
            HF_CHECK(seen[x] > 800);
    }
}

HF_TEST(below_has_no_bias_where_a_remainder_alone_would_double_some_results)
{
    const uint64_t n = UINT64_C(3) << 62; /* 2^64 % n is a quarter of the range */
    uint64_t thirds[3] = {0};
    hf_random r;
    hf_random_init(&r, 5);
    for (int i = 0; i < DRAWS; i++)
        thirds[hf_random_below(&r, n) / (n / 3)]++;
    HF_CHECK(chi_square(thirds, 3) < 20);
}
