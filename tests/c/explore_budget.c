/* Every schedule of two and three threads that withdraw from one budget, give back and succeed. */
#include "explore.h"
#include "hf_test.h"
#include "wrong/wrong_budget.h"

enum { ACTORS = 3, CALLS = 4, OUTCOMES_MAX = 4096, BURST = 2 };

/* GIVE_BACK undoes the withdrawal before it, if that was one. A success gives a token, or a half. */
typedef enum call { STOP, WITHDRAW, GIVE_BACK, SUCCEED } call;

typedef struct scenario {
    const char *name;
    call scripts[ACTORS][CALLS + 1];
    int taken_before, halves; /* what a success gives, in half tokens */
    int64_t now_ns[ACTORS];   /* a nanosecond gives nothing; an older time must not matter */
    enum { RIGHT, WRONG_WITHDRAW, WRONG_DEPOSIT } kind;
} scenario;

static struct {
    const scenario *scenario;
    hf_budget budget;
    unsigned results[ACTORS][CALLS]; /* each thread writes its own */
    uint64_t legal[OUTCOMES_MAX];
    int legal_count;
} world;

static unsigned
make_call(int t, call c, unsigned before)
{
    hf_budget *b = &world.budget;
    int64_t now_ns = world.scenario->now_ns[t];
    switch (c) {
    case WITHDRAW:
        return world.scenario->kind == WRONG_WITHDRAW ? wrong_budget_withdraw(b, now_ns)
                                                      : hf_budget_withdraw(b, now_ns);
    case GIVE_BACK:
        return before && hf_budget_give_back(b);
    default:
        if (world.scenario->kind == WRONG_DEPOSIT)
            wrong_budget_deposit(b, now_ns);
        else
            hf_budget_deposit(b);
        return 0;
    }
}

/* ---- the same in plain arithmetic: half tokens, given and cut off at once ---- */

typedef struct model {
    int halves, next[ACTORS];
    unsigned results[ACTORS][CALLS];
} model;

static unsigned
model_call(model *m, call c, unsigned before)
{
    int given = c == GIVE_BACK ? (before ? 2 : 0) : world.scenario->halves;
    if (c == WITHDRAW) {
        if (m->halves < 2)
            return 0;
        m->halves -= 2;
        return 1;
    }
    m->halves = m->halves + given < 2 * BURST ? m->halves + given : 2 * BURST;
    return c == GIVE_BACK && before;
}

static uint64_t
outcome(unsigned results[ACTORS][CALLS], int halves)
{
    uint64_t code = 0;
    for (int t = 0; t < ACTORS; t++)
        for (int i = 0; i < CALLS; i++)
            code = code << 1 | results[t][i];
    return code << 8 | (uint64_t)halves;
}

static bool
is_legal(uint64_t code)
{
    for (int i = 0; i < world.legal_count; i++)
        if (world.legal[i] == code)
            return true;
    return false;
}

/* Every order in which the calls could come one at a time. */
static void
run_orders(const scenario *s, const model *m)
{
    bool ended = true;
    for (int t = 0; t < ACTORS; t++) {
        call c = s->scripts[t][m->next[t]];
        if (c == STOP)
            continue;
        ended = false;
        model after = *m;
        int i = after.next[t]++;
        after.results[t][i] = model_call(&after, c, i > 0 ? after.results[t][i - 1] : 0);
        run_orders(s, &after);
    }
    if (ended) {
        model last = *m;
        uint64_t code = outcome(last.results, last.halves);
        if (!is_legal(code)) {
            HF_REQUIRE(world.legal_count < OUTCOMES_MAX);
            world.legal[world.legal_count++] = code;
        }
    }
}

/* ---- the explorer's side ---- */

static void
begin(void *unused)
{
    memset(world.results, 0, sizeof world.results);
    hf_budget_rule rule = {.ratio = (uint64_t)world.scenario->halves * 500000, .burst = BURST};
    hf_budget_init(&world.budget, rule, 0);
    for (int i = 0; i < world.scenario->taken_before; i++)
        HF_REQUIRE(hf_budget_withdraw(&world.budget, 0));
}

static void
play(void *unused, int t)
{
    const call *script = world.scenario->scripts[t];
    for (int i = 0; script[i] != STOP; i++)
        world.results[t][i] = make_call(t, script[i], i > 0 ? world.results[t][i - 1] : 0);
}

static bool
is_one_of_the_orders(void *unused)
{
    hf_budget *b = &world.budget;
    uint64_t taken = (uint64_t)world.scenario->taken_before, back = 0;
    for (int t = 0; t < ACTORS; t++)
        for (int i = 0; i < CALLS; i++) {
            taken += world.scenario->scripts[t][i] == WITHDRAW && world.results[t][i];
            back += world.scenario->scripts[t][i] == GIVE_BACK && world.results[t][i];
        }
    if (hf_load_relaxed(&b->withdrawn) != taken || hf_load_relaxed(&b->given_back) != back)
        return false;
    return is_legal(outcome(world.results, (int)(2 * hf_budget_balance(b, 0))));
}

/* Runs every schedule of the scenario's threads; true when each ended as some order would. */
static bool
holds_in_every_schedule(const scenario *s, int spurious)
{
    world.scenario = s;
    world.legal_count = 0;
    model m = {.halves = 2 * (BURST - s->taken_before)};
    run_orders(s, &m);
    int threads = 0;
    while (threads < ACTORS && s->scripts[threads][0] != STOP)
        threads++;
    hf_explored e = hf_explore(&(hf_explore_model){.name = s->name,
                                                   .threads = threads,
                                                   .setup = begin,
                                                   .thread = play,
                                                   .holds = is_one_of_the_orders,
                                                   .spurious = spurious});
    HF_CHECK(e.complete || e.broken);
    return !e.broken;
}

HF_TEST(of_three_withdrawals_of_two_tokens_exactly_two_succeed) /* D-RT-4, trap 36 */
{
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "withdraw | withdraw | withdraw",
                                                 .scripts = {{WITHDRAW}, {WITHDRAW}, {WITHDRAW}}},
                                     0));
    HF_CHECK(holds_in_every_schedule(&(scenario){.name = "withdraw | withdraw, CAS failing",
                                                 .scripts = {{WITHDRAW}, {WITHDRAW}},
                                                 .taken_before = 1},
                                     3));
}

HF_TEST(successes_among_withdrawals_are_neither_lost_nor_counted_twice) /* trap 44 */
{
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "withdraw, withdraw | succeed, succeed | withdraw",
                    .scripts = {{WITHDRAW, WITHDRAW}, {SUCCEED, SUCCEED}, {WITHDRAW}},
                    .taken_before = 2,
                    .halves = 1},
        0));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "withdraw, withdraw | succeed, withdraw | succeed, withdraw",
                    .scripts = {{WITHDRAW, WITHDRAW}, {SUCCEED, WITHDRAW}, {SUCCEED, WITHDRAW}},
                    .taken_before = 1,
                    .halves = 2},
        0));
}

HF_TEST(what_is_given_beyond_the_burst_is_cut_off_in_every_schedule)
{
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "full: succeed, succeed | withdraw, withdraw | succeed",
                    .scripts = {{SUCCEED, SUCCEED}, {WITHDRAW, WITHDRAW}, {SUCCEED}},
                    .halves = 3},
        0));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "full: succeed, withdraw, withdraw | succeed, withdraw, withdraw",
                    .scripts = {{SUCCEED, WITHDRAW, WITHDRAW}, {SUCCEED, WITHDRAW, WITHDRAW}},
                    .halves = 2},
        0));
}

HF_TEST(tokens_given_back_are_there_once_more_and_once_only) /* traps 34, 54 */
{
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "withdraw, back | withdraw | withdraw",
                    .scripts = {{WITHDRAW, GIVE_BACK}, {WITHDRAW}, {WITHDRAW}},
                    .taken_before = 1},
        0));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "withdraw, back, withdraw | withdraw, back, withdraw",
                    .scripts = {{WITHDRAW, GIVE_BACK, WITHDRAW}, {WITHDRAW, GIVE_BACK, WITHDRAW}},
                    .taken_before = 1},
        2));
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "withdraw, back | succeed, withdraw | withdraw",
                    .scripts = {{WITHDRAW, GIVE_BACK}, {SUCCEED, WITHDRAW}, {WITHDRAW}},
                    .taken_before = 2,
                    .halves = 2},
        0));
}

HF_TEST(threads_whose_times_are_out_of_order_hold_as_well) /* trap 25 */
{
    HF_CHECK(holds_in_every_schedule(
        &(scenario){.name = "older: withdraw, withdraw | succeed, withdraw | withdraw",
                    .scripts = {{WITHDRAW, WITHDRAW}, {SUCCEED, WITHDRAW}, {WITHDRAW}},
                    .taken_before = 1,
                    .halves = 2,
                    .now_ns = {1000, -1000, 5}},
        0));
}

HF_TEST(the_explorer_finds_a_withdrawal_that_is_lost) /* trap 36 */
{
    HF_CHECK(!holds_in_every_schedule(&(scenario){.name = "wrong: withdraw | withdraw",
                                                  .scripts = {{WITHDRAW}, {WITHDRAW}},
                                                  .taken_before = 1,
                                                  .kind = WRONG_WITHDRAW},
                                      0));
    HF_CHECK(!holds_in_every_schedule(&(scenario){.name = "wrong: withdraw | withdraw, back",
                                                  .scripts = {{WITHDRAW}, {WITHDRAW, GIVE_BACK}},
                                                  .kind = WRONG_WITHDRAW},
                                      0));
}

HF_TEST(the_explorer_finds_a_success_that_overwrites_a_withdrawal) /* trap 44 */
{
    HF_CHECK(!holds_in_every_schedule(&(scenario){.name = "wrong: withdraw | succeed",
                                                  .scripts = {{WITHDRAW}, {SUCCEED}},
                                                  .taken_before = 1,
                                                  .halves = 1,
                                                  .kind = WRONG_DEPOSIT},
                                      0));
}
