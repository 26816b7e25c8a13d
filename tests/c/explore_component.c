/*
 * Every schedule of one thread that says when a component is down, and of one or two that read for how long: what is
 * read never falls, and is the downtime of a moment between the reader's time and the end of its reading.
 */
#include "explored.h"
#include "wrong/wrong_component.h"

static struct {
    hf_component component;
    hf_ai64 clock;
    bool wrong;
    bool sound[ACTORS];
} world;

static void
begin(void *unused)
{
    (void)unused;
    hf_component_init(&world.component, false);
    hf_store_relaxed(&world.clock, 0);
    for (int t = 0; t < ACTORS; t++)
        world.sound[t] = true;
}

static void
be(hf_component_state state, int64_t now_ns)
{
    hf_store_release(&world.clock, now_ns);
    if (world.wrong)
        wrong_component_be(&world.component, state, now_ns);
    else
        hf_component_be(&world.component, state, now_ns);
}

/* Down from 10 to 30, and again from 60 on. */
static uint64_t
downtime(int64_t now_ns)
{
    if (now_ns < 30)
        return now_ns > 10 ? (uint64_t)(now_ns - 10) : 0;
    return now_ns > 60 ? (uint64_t)(20 + now_ns - 60) : 20;
}

static void
read(int t)
{
    const int64_t began = hf_load_acquire(&world.clock);
    const uint64_t first = hf_component_down_ns(&world.component, began);
    const int64_t later = hf_load_acquire(&world.clock);
    const uint64_t again = hf_component_down_ns(&world.component, later);
    world.sound[t] = first >= downtime(began) && again >= first && again >= downtime(later) &&
                     again <= downtime(60);
}

static void
play(void *unused, int t)
{
    (void)unused;
    if (t > 0) {
        read(t);
        return;
    }
    be(HF_COMPONENT_DOWN, 10);
    be(HF_COMPONENT_UP, 30);
    be(HF_COMPONENT_DOWN, 60);
}

static bool
is_sound(void *unused)
{
    (void)unused;
    return world.sound[1] && world.sound[2];
}

HF_TEST(downtime_that_is_read_never_falls) /* MX-28 */
{
    HF_CHECK(explored("one changes, one reads", 2, begin, play, is_sound));
    HF_CHECK(explored("one changes, two read", 3, begin, play, is_sound));
}

HF_TEST(the_explorer_finds_a_change_that_is_published_before_its_downtime)
{
    world.wrong = true;
    HF_CHECK(finds("publish, then add", 2, begin, play, is_sound));
    world.wrong = false;
}
