/* Every schedule of two and three threads that take, return and change rates in one bucket. */
#include "orders.h"
#include "wrong/wrong_bucket.h"

enum { NEVER_WAITS = 7 };

/* `change k` is to rates[k]; `back` refunds the last take, if any. */
enum { TAKE_ONE = 1, TAKE_TWO, RESERVE, GIVE_BACK, CLEAR, RESIZE_0 };
static const char *const words[] = {"take",     "take two", "reserve",  "back", "clear",
                                    "change 0", "change 1", "change 2", NULL};

/* In whole tokens and periods, so that every conversion is exact; all calls are at one time. */
static const hf_rate rates[] = {
    {.num = 1, .den = 1000, .burst = 2},
    {.num = 3, .den = 600, .burst = 5},
    {.num = 1, .den = 7, .burst = 1},
};

typedef struct scenario {
    const char *scripts;
    int taken_before, spurious;
    int64_t now_ns; /* of all calls; the bucket began at 0 */
    bool wrong;     /* with the faulty take */
} scenario;

static const scenario *scene;
static hf_bucket bucket;

static unsigned
make_call(int t, int c, unsigned before)
{
    const uint64_t n = c == TAKE_TWO ? 2 : 1;
    const int64_t now = scene->now_ns;
    int64_t wait;
    switch (c) {
    case TAKE_ONE:
    case TAKE_TWO:
        return scene->wrong ? wrong_bucket_try_take(&bucket, n, now)
                            : hf_bucket_try_take(&bucket, n, now);
    case RESERVE: /* the wait as a multiple of a period cannot be told while the rate may change */
        wait = hf_bucket_reserve(&bucket, 1, now);
        return wait == HF_BUCKET_NEVER ? NEVER_WAITS : wait > 0;
    case GIVE_BACK:
        if (before)
            hf_bucket_refund(&bucket, 1);
        return 0;
    case CLEAR:
        hf_bucket_clear(&bucket);
        return 0;
    default:
        hf_bucket_resize(&bucket, rates[c - RESIZE_0], now);
        return 0;
    }
}

/* The same in plain arithmetic: tokens, and the number of the rate. */
static unsigned
model_call(int model[2], int c, unsigned before)
{
    int burst = (int)rates[model[1]].burst, n = c == TAKE_TWO ? 2 : 1;
    switch (c) {
    case TAKE_ONE:
    case TAKE_TWO:
        if (n > burst || n > model[0])
            return 0;
        model[0] -= n;
        return 1;
    case RESERVE:
        return --model[0] < 0;
    case GIVE_BACK:
        model[0] += before && model[0] < burst;
        return 0;
    default:
        model[1] = c == CLEAR ? model[1] : c - RESIZE_0;
        burst = (int)rates[model[1]].burst;
        model[0] = c == CLEAR || model[0] > burst ? burst : model[0];
        return 0;
    }
}

static void
begin(void *world)
{
    memset(results, 0, sizeof results);
    hf_bucket_init(&bucket, rates[0], 0);
    for (int i = 0; i < scene->taken_before; i++)
        HF_REQUIRE(hf_bucket_try_take(&bucket, 1, scene->now_ns));
}

static bool
is_one_of_the_orders(void *world)
{
    uint64_t word = hf_load_relaxed(&bucket.word);
    hf__bucket_view v = hf__bucket_look(&bucket, word, scene->now_ns);
    int64_t units = (int64_t)v.limit - (int64_t)hf__bucket_debt(&v);
    int rate = 0;
    while (rates[rate].den != v.cost)
        rate++;
    if (units % (int64_t)v.cost != 0 || v.num != rates[rate].num || v.burst != rates[rate].burst)
        return false;
    if (hf_load_relaxed(&bucket.claimed) != UINT64_C(1) << (word >> HF__BUCKET_BITS))
        return false; /* a bank was not given back */
    return is_legal(outcome(results, (int)(units / (int64_t)v.cost), rate));
}

static bool
plays(scenario s)
{
    scene = &s;
    return ends_as_some_order(
        s.scripts, words, (int)rates[0].burst - s.taken_before, 0,
        (hf_explore_model){.setup = begin, .holds = is_one_of_the_orders, .spurious = s.spurious});
}

#define HOLDS(...) HF_CHECK(plays((scenario){.scripts = __VA_ARGS__}))
#define IS_FOUND(...) HF_CHECK(!plays((scenario){.scripts = __VA_ARGS__, .wrong = true}))

/* So much later the base of time has to move before anything can be taken. */
static const int64_t far = INT64_C(1) << 43;

HF_TEST(of_three_takes_of_two_tokens_exactly_two_succeed) /* RL-01, trap 36 */
{
    HOLDS("take | take | take");
    HOLDS("take two | take | take");
}

HF_TEST(takes_hold_although_compare_and_swap_fails_for_no_reason)
{
    HOLDS("take | take", .spurious = 3);
    HOLDS("take | change 1", .spurious = 2);
}

HF_TEST(takes_and_refunds_lose_nothing) /* trap 32 */
{
    HOLDS("take, back | take | take");
    HOLDS("take, take, back, take | take, back, take, take");
}

HF_TEST(bookings_queue_one_behind_the_other) /* trap 38 */
{
    HOLDS("reserve | reserve, take | take", .taken_before = 1);
    HOLDS("reserve, reserve | reserve, reserve, take");
}

HF_TEST(a_change_of_rate_loses_no_take_and_makes_no_token) /* trap 37 */
{
    HOLDS("take | take | change 1");
    HOLDS("take, take | change 1, change 2");
    HOLDS("take, back | change 1, change 0", .taken_before = 1);
}

HF_TEST(of_two_changes_one_is_the_last_and_whole)
{
    HOLDS("take | change 1 | change 2");
}

HF_TEST(a_take_that_sleeps_through_every_bank_is_not_mistaken_for_a_later_one)
{
    /* The last change fills the first bank again, and the same debt gives the same word but for
       the nanosecond that bases differ by. */
    HOLDS("take | change 1, change 1, change 1, change 2");
    HOLDS("take | change 2, change 1, change 2, change 0", .taken_before = 2);
}

HF_TEST(clearing_takes_its_turn_like_any_call)
{
    HOLDS("take two | clear | take two");
    HOLDS("take two | clear | change 1");
}

HF_TEST(after_a_long_idle_time_takers_move_the_base_without_losing_a_take)
{
    HOLDS("take two | take", .now_ns = far);
    HOLDS("take | change 1", .now_ns = far);
    HOLDS("take, take | reserve", .now_ns = far);
}

HF_TEST(the_explorer_finds_a_take_that_is_lost_between_reading_and_writing) /* trap 36 */
{
    IS_FOUND("take | take");
    IS_FOUND("take | take, back");
    IS_FOUND("take | change 1");
}
