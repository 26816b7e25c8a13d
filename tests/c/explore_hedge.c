/*
 * Every schedule of threads that record first attempts, and of one that asks for the delay: it is the one
 * of the beginning, or within what was seen.
 */
#include "explored.h"
#include "wrong/wrong_hedge.h"

static const int64_t shortest = 5000, longest = 9000;

static struct {
    hf_hedge hedge;
    bool wrong, ok;
} world;

static void
begin(void *unused)
{
    hf_hedge_init_quantile(&world.hedge, 0.75, 1, HF_HEDGE_NEVER, 1);
    world.ok = true;
}

static void
play(void *unused, int t)
{
    if (t < 2) {
        hf_hedge_record(&world.hedge, t == 0 ? shortest : longest);
        return;
    }
    for (int i = 0; i < 2; i++) {
        int64_t ns =
            world.wrong ? wrong_hedge_delay_ns(&world.hedge) : hf_hedge_delay_ns(&world.hedge);
        world.ok &= ns == HF_HEDGE_NEVER || (ns >= shortest && ns <= longest);
    }
}

static bool
is_within_what_was_seen(void *unused)
{
    int64_t ns = hf_hedge_delay_ns(&world.hedge);
    return world.ok && hf_quantile_samples(&world.hedge.quantile) == 2 && ns >= shortest &&
           ns <= longest;
}

static bool
plays(const char *name, bool wrong)
{
    world.wrong = wrong;
    return holds_always((hf_explore_model){.name = name,
                                           .threads = 3,
                                           .setup = begin,
                                           .thread = play,
                                           .holds = is_within_what_was_seen,
                                           .spurious = 1});
}

HF_TEST(a_delay_is_that_of_the_beginning_or_within_what_was_seen)
{
    HF_CHECK(plays("two samples, and who asks", false));
}

HF_TEST(the_explorer_finds_a_delay_of_no_sample)
{
    HF_CHECK(!plays("wrong: two samples, and who asks", true));
}
