/*
 * Every schedule of two and three threads whose calls pass one fault: each call has a number of its own, and no
 * more calls are struck than are left.
 */
#include "explored.h"
#include "wrong/wrong_chaos.h"

static struct {
    hf_chaos chaos;
    uint64_t left;
    bool gives_back, wrong;
    uint64_t number[ACTORS];
    bool struck[ACTORS];
} world;

static void
begin(void *unused)
{
    (void)unused;
    hf_chaos_init(&world.chaos, 1, HF_CHAOS_ONE);
    hf_chaos_arm(&world.chaos, 1, 1000, world.left);
}

static void
play(void *unused, int t)
{
    (void)unused;
    world.struck[t] = world.wrong ? wrong_chaos_check(&world.chaos, 0, &world.number[t])
                                  : hf_chaos_check(&world.chaos, 0, &world.number[t]);
    if (world.gives_back && t == 0 && world.struck[0])
        hf_chaos_give_back(&world.chaos, world.number[0], true);
}

static bool
is_sound(int threads)
{
    uint64_t struck = 0;
    bool given_back = world.gives_back && world.struck[0];
    for (int t = given_back; t < threads; t++) {
        struck += world.struck[t];
        for (int other = t + 1; other < threads; other++)
            if (world.number[t] == world.number[other])
                return false;
    }
    return struck <= world.left && struck + hf_load_relaxed(&world.chaos.left) == world.left &&
           hf_load_relaxed(&world.chaos.calls) <= (uint64_t)threads;
}

static bool
of_two(void *unused)
{
    (void)unused;
    return is_sound(2);
}

static bool
of_three(void *unused)
{
    (void)unused;
    return is_sound(3);
}

HF_TEST(calls_share_the_injections_that_are_left) /* CH-14 */
{
    for (world.left = 0; world.left < 4; world.left++) {
        HF_CHECK(explored("two calls, few injections", 2, begin, play, of_two));
        HF_CHECK(explored("three calls, few injections", 3, begin, play, of_three));
    }
}

HF_TEST(a_call_that_is_put_off_gives_back_what_it_took)
{
    world.gives_back = true;
    for (world.left = 1; world.left < 4; world.left++)
        HF_CHECK(explored("a call gives back", 3, begin, play, of_three));
    world.gives_back = false;
}

HF_TEST(the_explorer_finds_calls_that_take_one_injection_twice)
{
    world.wrong = true;
    world.left = 1;
    HF_CHECK(finds("read, then write", 2, begin, play, of_two));
    world.wrong = false;
}
