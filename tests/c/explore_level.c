/*
 * Every schedule of one thread that changes a level and of one or two that read it, or count time as well: who
 * sees a level sees that it was counted, no count falls, and each moment is counted once.
 */
#include "explored.h"
#include "wrong/wrong_level.h"

static struct {
    hf_level level;
    bool wrong, counts;
    bool sound[ACTORS];
} world;

static void
begin(void *unused)
{
    (void)unused;
    hf_level_init(&world.level, 0, 0);
    for (int t = 0; t < ACTORS; t++)
        world.sound[t] = true;
}

static void
change(void)
{
    if (world.wrong) {
        wrong_level_ask(&world.level, 2, 10);
        return;
    }
    hf_level_ask(&world.level, 2, 10);
    hf_level_ask(&world.level, 1, 30); /* a stable time of 0: up at once */
}

static void
read(int t)
{
    const uint64_t level = hf_level_get(&world.level);
    const uint64_t changes = level == 0 ? 1 : hf_load_relaxed(&world.level.changes[level]);
    const uint64_t first = hf_load_relaxed(&world.level.spent_ns[0]);
    const uint64_t again = hf_load_relaxed(&world.level.spent_ns[0]);
    world.sound[t] = changes == 1 && (first == 10 || (level == 0 && first == 0)) && again >= first;
}

static void
play(void *unused, int t)
{
    (void)unused;
    if (t == 0)
        change();
    else if (world.counts)
        hf_level_count(&world.level, 10 * t + 5);
    else
        read(t);
}

static bool
is_counted_once(void *unused)
{
    (void)unused;
    uint64_t spent = 0;
    for (unsigned level = 0; level < HF_LEVELS; level++)
        spent += hf_load_relaxed(&world.level.spent_ns[level]);
    return spent == (uint64_t)hf_load_relaxed(&world.level.counted_ns);
}

static bool
is_sound(void *unused)
{
    (void)unused;
    return world.sound[0] && world.sound[1] && world.sound[2];
}

HF_TEST(who_sees_a_level_sees_that_it_was_counted) /* DG-02 */
{
    HF_CHECK(explored("one changes, one reads", 2, begin, play, is_sound));
    HF_CHECK(explored("one changes, two read", 3, begin, play, is_sound));
}

HF_TEST(each_moment_is_counted_once)
{
    world.counts = true;
    HF_CHECK(explored("one changes, one counts", 2, begin, play, is_counted_once));
    HF_CHECK(explored("one changes, two count", 3, begin, play, is_counted_once));
    world.counts = false;
}

HF_TEST(the_explorer_finds_a_level_that_is_published_before_it_is_counted)
{
    world.wrong = true;
    HF_CHECK(finds("publish, then count", 2, begin, play, is_sound));
    world.wrong = false;
}
