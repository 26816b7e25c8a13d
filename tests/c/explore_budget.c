/* Every schedule of two and three threads that withdraw from one budget, give back and succeed. */
#include "orders.h"
#include "wrong/wrong_budget.h"

enum { BURST = 2 };

/* `back` undoes the withdrawal before it, if that was one. A success gives a token, or a half. */
enum { WITHDRAW = 1, GIVE_BACK, SUCCEED };
static const char *const words[] = {"withdraw", "back", "succeed", NULL};

typedef struct scenario {
    const char *scripts;
    int taken_before, spurious, halves; /* halves: what a success gives, in half tokens */
    int64_t now_ns[ACTORS]; /* a nanosecond gives nothing; an older time must not matter */
    enum { RIGHT, WRONG_WITHDRAW, WRONG_DEPOSIT } kind;
} scenario;

static const scenario *scene;
static hf_budget budget;

static unsigned
make_call(int t, int c, unsigned before)
{
    const int64_t now_ns = scene->now_ns[t];
    switch (c) {
    case WITHDRAW:
        return scene->kind == WRONG_WITHDRAW ? wrong_budget_withdraw(&budget, now_ns)
                                             : hf_budget_withdraw(&budget, now_ns);
    case GIVE_BACK:
        return before && hf_budget_give_back(&budget);
    default:
        if (scene->kind == WRONG_DEPOSIT)
            wrong_budget_deposit(&budget, now_ns);
        else
            hf_budget_deposit(&budget);
        return 0;
    }
}

/* The same in plain arithmetic: half tokens, given and cut off at once. */
static unsigned
model_call(int halves[2], int c, unsigned before)
{
    const int given = c == GIVE_BACK ? (before ? 2 : 0) : scene->halves;
    if (c == WITHDRAW) {
        const bool taken = halves[0] >= 2;
        halves[0] -= taken ? 2 : 0;
        return taken;
    }
    halves[0] = halves[0] + given < 2 * BURST ? halves[0] + given : 2 * BURST;
    return c == GIVE_BACK && before;
}

static void
begin(void *world)
{
    memset(results, 0, sizeof results);
    hf_budget_rule rule = {.ratio = (uint64_t)scene->halves * 500000, .burst = BURST};
    hf_budget_init(&budget, rule, 0);
    for (int i = 0; i < scene->taken_before; i++)
        HF_REQUIRE(hf_budget_withdraw(&budget, 0));
}

static bool
is_one_of_the_orders(void *world)
{
    uint64_t taken = (uint64_t)scene->taken_before, back = 0;
    for (int t = 0; t < ACTORS; t++)
        for (int i = 0; i < CALLS; i++) {
            taken += playing.of[t][i] == WITHDRAW && results[t][i];
            back += playing.of[t][i] == GIVE_BACK && results[t][i];
        }
    return hf_load_relaxed(&budget.withdrawn) == taken &&
           hf_load_relaxed(&budget.given_back) == back &&
           is_legal(outcome(results, (int)(2 * hf_budget_balance(&budget, 0)), 0));
}

static bool
plays(scenario s)
{
    scene = &s;
    return ends_as_some_order(
        s.scripts, words, 2 * (BURST - s.taken_before), 0,
        (hf_explore_model){.setup = begin, .holds = is_one_of_the_orders, .spurious = s.spurious});
}

#define HOLDS(...) HF_CHECK(plays((scenario){.scripts = __VA_ARGS__}))
#define IS_FOUND(...) HF_CHECK(!plays((scenario){.scripts = __VA_ARGS__}))

HF_TEST(of_three_withdrawals_of_two_tokens_exactly_two_succeed) /* D-RT-4, trap 36 */
{
    HOLDS("withdraw | withdraw | withdraw");
    HOLDS("withdraw | withdraw", .taken_before = 1, .spurious = 3);
}

HF_TEST(successes_among_withdrawals_are_neither_lost_nor_counted_twice) /* trap 44 */
{
    HOLDS("withdraw, withdraw | succeed, succeed | withdraw", .taken_before = 2, .halves = 1);
    HOLDS("withdraw, withdraw | succeed, withdraw | succeed, withdraw", .taken_before = 1,
          .halves = 2);
}

HF_TEST(what_is_given_beyond_the_burst_is_cut_off_in_every_schedule)
{
    HOLDS("succeed, succeed | withdraw, withdraw | succeed", .halves = 3);
    HOLDS("succeed, withdraw, withdraw | succeed, withdraw, withdraw", .halves = 2);
}

HF_TEST(tokens_given_back_are_there_once_more_and_once_only) /* trap 34 */
{
    HOLDS("withdraw, back | withdraw | withdraw", .taken_before = 1);
    HOLDS("withdraw, back, withdraw | withdraw, back, withdraw", .taken_before = 1, .spurious = 2);
    HOLDS("withdraw, back | succeed, withdraw | withdraw", .taken_before = 2, .halves = 2);
}

HF_TEST(threads_whose_times_are_out_of_order_hold_as_well) /* trap 25 */
{
    HOLDS("withdraw, withdraw | succeed, withdraw | withdraw", .taken_before = 1, .halves = 2,
          .now_ns = {1000, -1000, 5});
}

HF_TEST(the_explorer_finds_a_withdrawal_that_is_lost) /* trap 36 */
{
    IS_FOUND("withdraw | withdraw", .taken_before = 1, .kind = WRONG_WITHDRAW);
    IS_FOUND("withdraw | withdraw, back", .kind = WRONG_WITHDRAW);
}

HF_TEST(the_explorer_finds_a_success_that_overwrites_a_withdrawal) /* trap 44 */
{
    IS_FOUND("withdraw | succeed", .taken_before = 1, .halves = 1, .kind = WRONG_DEPOSIT);
}
