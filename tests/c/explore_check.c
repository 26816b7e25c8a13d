/*
 * Every schedule of a result, a start and whoever reads: what was begun before a start decides nothing after it,
 * no result is lost, and a state is never seen before the results that made it are counted.
 */
#include "explored.h"
#include "wrong/wrong_check.h"

enum { BEFORE = 5, STARTED = 10, AFTER = 20 };

static struct {
    hf_check check;
    bool wrong;
    unsigned seen;
    uint64_t failed;
    hf_check_change changes[ACTORS];
} world;

static void
begin(void *unused)
{
    (void)unused;
    hf_check_init(&world.check, 2, 1, 0);
    hf_check_start(&world.check, 0);
    memset(world.changes, 0, sizeof world.changes);
}

static unsigned
state(void)
{
    return hf_check_state_of(hf_check_word(&world.check));
}

static void
record(unsigned verdict, int64_t began_ns, int t)
{
    if (world.wrong)
        wrong_check_record(&world.check, verdict, began_ns);
    else
        world.changes[t] = hf_check_record(&world.check, verdict, began_ns, 0);
}

/* Thread 0 has begun a run before thread 1 starts anew; thread 2 looks. */
static void
passes_while_it_is_started(void *unused, int t)
{
    (void)unused;
    if (t == 0)
        record(HF_CHECK_PASSED, BEFORE, t);
    else if (t == 1)
        world.changes[t] = hf_check_start(&world.check, STARTED);
    else
        world.seen = state();
}

/* UNKNOWN in any case, and if it was HEALTHY in between, both changes were told. */
static bool
nothing_is_known(void *unused)
{
    (void)unused;
    const hf_check_change *told = world.changes;
    return hf_check_word(&world.check) << 8 == 0 &&
           (world.wrong || told[0].happened == told[1].happened);
}

/* Results of two runs, such as one that was left behind and the one after it; thread 2 looks. */
static void
fail_at_once(void *unused, int t)
{
    (void)unused;
    if (t < 2) {
        record(HF_CHECK_FAILED, AFTER, t);
        return;
    }
    world.seen = state();
    world.failed = hf_load_relaxed(&world.check.failed);
}

static bool
both_count(void *unused)
{
    (void)unused;
    return state() == HF_CHECK_UNHEALTHY && hf_check_failures(hf_check_word(&world.check)) == 2 &&
           world.changes[0].happened != world.changes[1].happened &&
           (world.seen != HF_CHECK_UNHEALTHY || world.failed == 2);
}

static bool
both_count_in_the_word(void *unused)
{
    (void)unused;
    return state() == HF_CHECK_UNHEALTHY;
}

HF_TEST(what_was_begun_before_a_start_decides_nothing_after_it) /* traps 61, 65 */
{
    HF_CHECK(
        explored("a pass and a start", 2, begin, passes_while_it_is_started, nothing_is_known));
    HF_CHECK(explored("a pass, a start, a look", 3, begin, passes_while_it_is_started,
                      nothing_is_known));
}

HF_TEST(no_result_is_lost_and_a_state_comes_after_its_results)
{
    HF_CHECK(explored("two failures", 2, begin, fail_at_once, both_count));
    HF_CHECK(explored("two failures, a look", 3, begin, fail_at_once, both_count));
}

HF_TEST(the_explorer_finds_a_result_that_undoes_a_start)
{
    world.wrong = true;
    HF_CHECK(finds("read, then write", 2, begin, passes_while_it_is_started, nothing_is_known));
    HF_CHECK(finds("two read, then write", 2, begin, fail_at_once, both_count_in_the_word));
    world.wrong = false;
}
