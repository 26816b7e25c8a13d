/*
 * Every schedule of two and three threads that take from one window under its lock: what is taken is what the
 * window has counted, and no more than the limit. Who finds the lock taken a few times gives up; a loop would
 * have schedules without an end.
 */
#include "explored.h"
#include "locked_windows.h"

enum { LIMIT = 2, TRIES = 2 };

static locked_window window;
static window_kind kind;
static lock_kind locks;

static struct {
    bool entered, taken;
} ends[ACTORS];

static int threads;

static void
begin(void *unused)
{
    memset(ends, 0, sizeof ends);
    locked_window_init(&window, kind, locks);
    HF_REQUIRE(locked_window_take(&window, 1, LIMIT, 1));
}

static void
play(void *unused, int t)
{
    for (int i = 0; i < TRIES && !ends[t].entered; i++)
        ends[t].entered = locked_window_enter(&window);
    if (!ends[t].entered)
        return;
    ends[t].taken = locked_window_take(&window, 1, LIMIT, 1);
    locked_window_leave(&window);
}

/* One of those who came in has taken what was left, and the others nothing. */
static bool
keeps_the_limit(void *unused)
{
    int entered = 0, taken = 0;
    for (int t = 0; t < threads; t++) {
        entered += ends[t].entered;
        taken += ends[t].taken;
    }
    return taken == (entered > 0) && locked_window_count(&window, 1) == 1 + taken;
}

static bool
holds(const char *name, int n, lock_kind with)
{
    threads = n;
    locks = with;
    return explored(name, n, begin, play, keeps_the_limit);
}

HF_TEST(of_takes_that_are_too_many_together_one_succeeds) /* trap 36 */
{
    for (kind = FIXED; kind < KINDS; kind++)
        HF_CHECK(holds("two take", 2, RIGHT));
    for (kind = FIXED; kind < KINDS; kind++)
        HF_CHECK(holds("three take", 3, RIGHT));
}

HF_TEST(the_explorer_finds_what_is_not_published_before_the_lock_is_given_back) /* trap 36 */
{
    threads = 2;
    locks = NO_RELEASE;
    for (kind = FIXED; kind < KINDS; kind++)
        HF_CHECK(finds("wrong: given back relaxed", 2, begin, play, keeps_the_limit));
}

HF_TEST(the_explorer_finds_two_that_are_inside_at_once) /* trap 36 */
{
    threads = 2;
    locks = LOOKS_FIRST;
    for (kind = FIXED; kind < KINDS; kind++)
        HF_CHECK(finds("wrong: look, then take", 2, begin, play, keeps_the_limit));
}
