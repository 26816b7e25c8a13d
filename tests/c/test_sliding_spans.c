/*
 * The sliding window by brute force: every take that was admitted is remembered, and every span
 * of the promised length is counted over.
 */
#include "hf_test.h"

#include "holdfast/hf_random.h"
#include "holdfast/hf_sliding.h"

enum { TAKES = 2000 };

typedef struct history {
    int64_t at[TAKES];
    uint64_t n[TAKES];
    int length;
} history;

static void
remember(history *h, int64_t at_ns, uint64_t n)
{
    HF_REQUIRE(h->length < TAKES);
    h->at[h->length] = at_ns;
    h->n[h->length++] = n;
}

/* The most that any closed span of this length holds. Times are in order. */
static uint64_t
fullest_span(const history *h, int64_t per_ns)
{
    uint64_t most = 0, held = 0;
    int first = 0;
    for (int i = 0; i < h->length; i++) {
        held += h->n[i];
        while (h->at[i] - h->at[first] > per_ns)
            held -= h->n[first++];
        most = held > most ? held : most;
    }
    return most;
}

/* What would have to be refused by a window that is a tenth longer, at a time. */
static uint64_t
held_within(const history *h, int64_t now_ns, int64_t span_ns)
{
    uint64_t held = 0;
    for (int i = h->length - 1; i >= 0 && now_ns - h->at[i] <= span_ns; i--)
        held += h->n[i];
    return held;
}

static int64_t
some_time(hf_random *r, int64_t most)
{
    return (int64_t)hf_random_below(r, 1 + ((uint64_t)most >> hf_random_below(r, 12)));
}

HF_TEST(
    no_span_ever_holds_more_than_the_limit) /* wherever it begins; weights, pauses, idle times */
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        history h = {.length = 0};
        hf_random r;
        hf_sliding s;
        hf_random_init(&r, seed);
        uint64_t limit = 1 + hf_random_below(&r, 20);
        int64_t per = 1 + (int64_t)hf_random_below(&r, seed % 3 ? 1000 : 1000000000), now = -per;
        hf_sliding_init(&s, limit, per);
        for (int i = 0; i < TAKES; i++) {
            uint64_t n = 1 + hf_random_below(&r, 3);
            now += some_time(&r, hf_random_below(&r, 50) ? per / 4 : per * 40);
            if (hf_sliding_try_take(&s, n, now))
                remember(&h, now, n);
        }
        HF_CHECK(h.length > 0);
        HF_CHECK(fullest_span(&h, per) <= limit);
    }
}

HF_TEST(what_fits_a_span_that_is_a_tenth_longer_is_never_refused)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        history h = {.length = 0};
        hf_random r;
        hf_sliding s;
        hf_random_init(&r, seed);
        uint64_t limit = 1 + hf_random_below(&r, 20);
        int64_t per = 10 * (1 + (int64_t)hf_random_below(&r, 1000)), now = 0;
        hf_sliding_init(&s, limit, per);
        for (int i = 0; i < TAKES; i++) {
            now += some_time(&r, per / 4);
            bool fits = held_within(&h, now, per + per / 10 - 1) < limit;
            bool took = hf_sliding_try_take(&s, 1, now);
            HF_CHECK(took || !fits);
            if (took)
                remember(&h, now, 1);
        }
    }
}

HF_TEST(the_wait_is_the_shortest_after_which_it_works) /* trap 40 */
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        hf_random r;
        hf_sliding s;
        hf_random_init(&r, seed);
        uint64_t limit = 1 + hf_random_below(&r, 9);
        int64_t per = 1 + (int64_t)hf_random_below(&r, 500), now = -50;
        hf_sliding_init(&s, limit, per);
        for (int i = 0; i < 500; i++) {
            now += some_time(&r, per);
            uint64_t n = hf_random_below(&r, limit + 1);
            int64_t wait = hf_sliding_wait_ns(&s, n, now), tried = 0;
            hf_sliding copy = s;
            while (!hf_sliding_try_take(&copy, n, now + tried)) {
                tried++;
                copy = s; /* a refusal moves the latest time seen */
            }
            HF_CHECK_INT(wait, tried);
            hf_sliding_try_take(&s, 1 + hf_random_below(&r, 2), now);
        }
    }
}

HF_TEST(callers_whose_clocks_disagree_together_get_no_more) /* traps 20, 25 */
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        history h = {.length = 0};
        hf_random r;
        hf_sliding s;
        hf_random_init(&r, seed);
        uint64_t limit = 1 + hf_random_below(&r, 20);
        int64_t per = 1 + (int64_t)hf_random_below(&r, 1000), latest = 0;
        hf_sliding_init(&s, limit, per);
        (void)hf_sliding_try_take(&s, 0, latest);
        for (int i = 0; i < TAKES; i++) {
            bool early = hf_random_below(&r, 2);
            int64_t ago = early ? some_time(&r, 4 * per) : 0;
            latest += early ? 0 : some_time(&r, per / 3);
            if (hf_sliding_try_take(&s, 1, latest - ago))
                remember(&h, latest, 1); /* it happened now, whatever the caller's clock said */
        }
        HF_CHECK(fullest_span(&h, per) <= limit);
    }
}

HF_TEST(refunds_bring_back_what_was_taken_and_never_more) /* traps 32, 34 */
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        history h = {.length = 0};
        hf_random r;
        hf_sliding s;
        hf_random_init(&r, seed);
        uint64_t limit = 2 + hf_random_below(&r, 20);
        int64_t per = 10 + (int64_t)hf_random_below(&r, 1000), now = 0;
        hf_sliding_init(&s, limit, per);
        for (int i = 0; i < TAKES; i++) {
            now += some_time(&r, per / 3);
            if (!hf_sliding_try_take(&s, 2, now))
                continue;
            if (hf_random_below(&r, 2)) {
                uint64_t before = hf_sliding_available(&s, now);
                hf_sliding_refund(&s, 2, now);
                HF_CHECK_INT(hf_sliding_available(&s, now), before + 2);
            } else {
                remember(&h, now, 2);
            }
        }
        HF_CHECK(fullest_span(&h, per) <= limit);
    }
}

HF_TEST(a_busy_limiter_admits_at_least_ten_elevenths_of_its_rate)
{
    hf_sliding s;
    uint64_t admitted = 0;
    hf_sliding_init(&s, 100, 1000);
    for (int64_t now = 0; now < 200000; now++)
        while (hf_sliding_try_take(&s, 1, now))
            admitted++;
    HF_CHECK(admitted >= UINT64_C(200000) / 1000 * 100 * 10 / 11);
    HF_CHECK(admitted <= UINT64_C(200000) / 1000 * 100 + 100);
}
