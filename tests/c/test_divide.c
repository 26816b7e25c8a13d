/* Contract of hf_divide.h and of the comparison in hf_tally.h: exact everywhere. */
#include "holdfast/hf_divide.h"
#include "holdfast/hf_random.h"
#include "holdfast/hf_tally.h"

#include "hf_test.h"

__extension__ typedef unsigned __int128 wide;

static const uint64_t edges[] = {
    0,
    1,
    2,
    3,
    9,
    10,
    999999999,
    1000000000,
    1000000001,
    UINT32_MAX,
    (UINT64_C(1) << 32) + 1,
    (UINT64_C(1) << 62) - 1,
    INT64_MAX,
    (UINT64_C(1) << 63),
    UINT64_MAX - 1,
    UINT64_MAX,
};
enum { EDGES = sizeof edges / sizeof *edges };

/* A number of any magnitude, not only a huge one. */
static uint64_t
any(hf_random *r)
{
    return hf_random_next(r) >> hf_random_below(r, 64);
}

static void
compare(uint64_t u, uint64_t d)
{
    hf_divisor by = hf_divisor_of(d);
    HF_CHECK_INT(hf_quotient(by, u), u / d);
    HF_CHECK_INT(hf_remainder(by, u), u % d);
}

HF_TEST(quotient_and_remainder_are_exact_at_the_edges)
{
    for (int i = 0; i < EDGES; i++)
        for (int j = 1; j < EDGES; j++) {
            compare(edges[i], edges[j]);
            compare(edges[i] / edges[j] * edges[j], edges[j]); /* a multiple, and one less */
            compare(edges[i] / edges[j] * edges[j] - 1, edges[j]);
        }
}

HF_TEST(quotient_and_remainder_are_exact_for_random_numbers)
{
    hf_random r;
    hf_random_init(&r, 1);
    for (int i = 0; i < 200000; i++) {
        uint64_t d = any(&r);
        compare(any(&r), d ? d : 1);
    }
}

HF_TEST(division_of_negative_numbers_rounds_down)
{
    const hf_divisor ten = hf_divisor_of(10);
    const int64_t cases[][2] = {{0, 0},
                                {9, 0},
                                {10, 1},
                                {-1, -1},
                                {-10, -1},
                                {-11, -2},
                                {INT64_MAX, INT64_MAX / 10},
                                {INT64_MIN, INT64_MIN / 10 - 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        HF_CHECK_INT(hf_floor_quotient(ten, cases[i][0]), cases[i][1]);
    HF_CHECK_INT(hf_floor_quotient(hf_divisor_of(1), INT64_MIN), INT64_MIN);
}

static bool
reaches_in_wide_arithmetic(uint64_t part, uint64_t whole, uint32_t ppb)
{
    return whole > 0 && (wide)part * 1000000000 >= (wide)whole * ppb;
}

/* trap 28: no sum or product of a window is rounded or overflows. */
HF_TEST(a_share_is_compared_exactly)
{
    hf_random r;
    hf_random_init(&r, 2);
    for (int i = 0; i < 200000; i++) {
        uint64_t whole = any(&r), ppb = 1 + hf_random_below(&r, 1000000000);
        uint64_t exact = (uint64_t)((wide)whole * ppb / 1000000000);
        for (uint64_t part = exact ? exact - 1 : 0; part <= exact + 1; part++)
            HF_CHECK_INT(hf_tally_reaches(part, whole, (uint32_t)ppb),
                         reaches_in_wide_arithmetic(part, whole, (uint32_t)ppb));
    }
}

/* trap 29, trap 30. */
HF_TEST(nothing_is_no_share_of_nothing)
{
    HF_CHECK(!hf_tally_reaches(0, 0, 1));
    HF_CHECK(!hf_tally_reaches(0, 0, 1000000000));
    HF_CHECK(hf_tally_reaches(1, 1, 1000000000));
    HF_CHECK(!hf_tally_reaches(999999999, 1000000000, 1000000000));
    HF_CHECK(hf_tally_reaches(1, 2, 500000000));
    HF_CHECK(!hf_tally_reaches(1, 3, 333333334));
    HF_CHECK(hf_tally_reaches(1, 3, 333333333));
}

HF_TEST(a_product_is_divided_without_being_cut)
{
    const uint64_t whole = UINT64_MAX, half = UINT64_C(1) << 63;
    HF_CHECK_INT(hf_multiply_divide(7, 3, 2), 10);
    HF_CHECK_INT(hf_multiply_divide(0, whole, 1), 0);
    HF_CHECK(hf_multiply_divide(whole, whole, whole) == whole);
    HF_CHECK(hf_multiply_divide(half, 6, 4) == half + half / 2);
    HF_CHECK(hf_multiply_divide(whole, 3, 1) == whole - 2); /* modulo 2^64 */
    for (uint64_t n = 1; n < 100000; n = n * 3 + 1)
        HF_CHECK(hf_multiply_divide(half + n, 1000003, 1000003) == half + n);
}
