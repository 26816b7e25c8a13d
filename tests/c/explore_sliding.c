/*
 * Every schedule of two threads that take from one sliding window in slices of their own: whoever
 * comes first and however far time runs ahead of whom, no span holds more than the limit, and what is
 * counted afterwards is what was admitted. A take reads the ring twice, and three of them have more
 * schedules than can be run: more threads than two are stress_sliding.c's.
 */
#include "explored.h"
#include "wrong/wrong_sliding.h"

enum { THREADS = 2, BEFORE = 3, SPAN_SLICES = 11 };

/* A take of n in a slice; or with `back`, a refund of the thread's take before, if it was admitted. */
typedef struct call {
    uint64_t n;
    int64_t slice;
    bool back;
} call;

typedef struct scenario {
    const char *name;
    uint64_t limit;
    call before[BEFORE]; /* admitted before the threads begin */
    call scripts[THREADS][CALLS];
    bool roomy; /* there is room for all, so all are to be admitted */
    bool wrong; /* with the faulty take */
} scenario;

static const scenario *playing;
static hf_sliding window;

/* What each thread got, and in which slice it counts: a straggler's is later than his time. */
static struct {
    bool admitted, returned;
    int64_t slice;
} takes[THREADS][CALLS];

static void
begin(void *unused)
{
    memset(takes, 0, sizeof takes);
    hf_sliding_init(&window, playing->limit, HF__SPAN); /* slices of a nanosecond */
    for (int i = 0; i < BEFORE; i++)
        HF_REQUIRE(hf_sliding_try_take(&window, playing->before[i].n, playing->before[i].slice));
}

static void
play(void *unused, int t)
{
    for (int i = 0; i < CALLS && playing->scripts[t][i].n != 0; i++) {
        const call *c = &playing->scripts[t][i];
        if (!c->back) {
            takes[t][i].admitted =
                playing->wrong ? wrong_sliding_take(&window, c->n, c->slice, &takes[t][i].slice)
                               : hf__sliding_take(&window, c->n, c->slice, &takes[t][i].slice);
        } else if (takes[t][i - 1].admitted) {
            hf_sliding_refund(&window, c->n, c->slice);
            takes[t][i - 1].returned = true;
        }
    }
}

/* What was admitted in the eleven slices up to last, and whether or not returned. */
static uint64_t
held(int64_t last, bool returned_too)
{
    const int64_t first = last - SPAN_SLICES + 1;
    uint64_t sum = 0;
    for (int i = 0; i < BEFORE; i++)
        if (playing->before[i].slice >= first && playing->before[i].slice <= last)
            sum += playing->before[i].n;
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < CALLS; i++)
            if (takes[t][i].admitted && (returned_too || !takes[t][i].returned) &&
                takes[t][i].slice >= first && takes[t][i].slice <= last)
                sum += playing->scripts[t][i].n;
    return sum;
}

static bool
all_are_admitted(void)
{
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < CALLS; i++)
            if (playing->scripts[t][i].n != 0 && !takes[t][i].admitted)
                return false;
    return true;
}

static bool
keeps_the_limit(void *unused)
{
    int64_t head = hf_load_relaxed(&window.head);
    for (int64_t last = 0; last <= head; last++)
        if (held(last, false) > playing->limit)
            return false;
    if (playing->roomy && !all_are_admitted())
        return false;
    /* A refund may come too late to find its take, but finds nobody else's. */
    uint64_t counted = playing->limit - hf_sliding_available(&window, head);
    return counted >= held(head, false) && counted <= held(head, true);
}

static bool
plays(scenario s)
{
    playing = &s;
    return holds_always((hf_explore_model){.name = s.name,
                                           .threads = THREADS,
                                           .setup = begin,
                                           .thread = play,
                                           .holds = keeps_the_limit});
}

HF_TEST(of_takes_that_are_too_many_together_at_most_so_many_succeed) /* trap 36 */
{
    HF_CHECK(
        plays((scenario){.name = "two takes, one fits", 1, .scripts = {{{1, 20}}, {{1, 20}}}}));
    HF_CHECK(plays(
        (scenario){"two and one in neighbouring slices", 2, .scripts = {{{2, 20}}, {{1, 21}}}}));
    HF_CHECK(
        plays((scenario){.name = "both ends of a span", 1, .scripts = {{{1, 20}}, {{1, 30}}}}));
}

HF_TEST(counts_do_not_run_over_into_the_stamp) /* trap 38 */
{
    HF_CHECK(
        plays((scenario){.name = "two takes of the greatest limit",
                         HF_SLIDING_LIMIT_MAX,
                         .scripts = {{{HF_SLIDING_LIMIT_MAX, 20}}, {{HF_SLIDING_LIMIT_MAX, 20}}}}));
}

HF_TEST(a_straggler_does_not_miss_what_the_ring_has_dropped) /* trap 25 */
{
    for (int64_t later = 4; later <= 8; later++)
        HF_CHECK(plays((scenario){.name = "straggler, and one some slices later",
                                  1,
                                  .before = {{1, 10}},
                                  .scripts = {{{1, 20}}, {{1, 20 + later}}}}));
}

HF_TEST(a_straggler_does_not_wipe_what_came_after_him) /* trap 25 */
{
    HF_CHECK(plays((scenario){.name = "straggler, and two a whole ring later",
                              1,
                              .scripts = {{{1, 20}}, {{1, 36}, {1, 36}}}}));
}

/* One place more than takes: a straggler who moves on may be counted twice for a moment. */
HF_TEST(whoever_finds_room_is_admitted_however_far_time_has_run_ahead)
{
    for (int64_t later = 0; later <= 36; later += 6)
        HF_CHECK(plays((scenario){.name = "straggler and another, room for all",
                                  3,
                                  .scripts = {{{1, 20}}, {{1, 20 + later}}},
                                  .roomy = true}));
}

HF_TEST(a_refund_returns_what_it_took_and_nobody_elses) /* traps 32, 34 */
{
    HF_CHECK(plays((scenario){.name = "take, back | take",
                              2,
                              .before = {{1, 19}},
                              .scripts = {{{1, 20}, {1, 20, true}}, {{1, 20}}}}));
    HF_CHECK(plays((scenario){.name = "take, back | take a span later",
                              1,
                              .scripts = {{{1, 20}, {1, 20, true}}, {{1, 31}}}}));
}

HF_TEST(the_explorer_finds_two_takes_that_did_not_see_each_other) /* trap 36 */
{
    HF_CHECK(!plays(
        (scenario){"wrong: take | take", 1, .scripts = {{{1, 20}}, {{1, 20}}}, .wrong = true}));
    HF_CHECK(!plays((scenario){.name = "wrong: take | take a slice later",
                               1,
                               .scripts = {{{1, 20}}, {{1, 21}}},
                               .wrong = true}));
}
