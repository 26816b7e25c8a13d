/*
 * Every schedule of two and three threads that record in one running quantile: it ends as some order
 * of their samples would. And of an adaptive timeout: what it is, after any schedule, is what its
 * steps may make of it.
 */
#include "explored.h"
#include "wrong/wrong_quantile.h"

enum { SAMPLES = 3, OUTCOMES_MAX = 4096 };

typedef struct scenario {
    const char *name;
    int64_t samples_ns[ACTORS][SAMPLES + 1]; /* ended by a 0 */
    int before;                              /* samples of 1,000 ns */
    int spurious;
    bool wrong;
} scenario;

static struct {
    const scenario *scenario;
    hf_quantile quantile;
    uint64_t legal[OUTCOMES_MAX];
    int legal_count;
} world;

static hf_quantile
at_the_start(const scenario *s)
{
    hf_quantile q;
    hf_quantile_init(&q, 0.75);
    for (int i = 0; i < s->before; i++)
        hf_quantile_record(&q, 1000);
    return q;
}

static bool
is_legal(uint64_t word)
{
    for (int i = 0; i < world.legal_count; i++)
        if (world.legal[i] == word)
            return true;
    return false;
}

/* Every order in which the samples could come one at a time. */
static void
run_orders(const scenario *s, uint64_t word, const int next[ACTORS])
{
    bool ended = true;
    for (int t = 0; t < ACTORS; t++) {
        int64_t ns = s->samples_ns[t][next[t]];
        if (ns == 0)
            continue;
        ended = false;
        int after[ACTORS];
        memcpy(after, next, sizeof after);
        after[t]++;
        run_orders(s, hf__quantile_next(&world.quantile, word, hf__scale_of(ns)), after);
    }
    if (ended && !is_legal(word)) {
        HF_REQUIRE(world.legal_count < OUTCOMES_MAX);
        world.legal[world.legal_count++] = word;
    }
}

static void
begin(void *unused)
{
    world.quantile = at_the_start(world.scenario);
}

static void
play(void *unused, int t)
{
    for (const int64_t *ns = world.scenario->samples_ns[t]; *ns != 0; ns++) {
        if (world.scenario->wrong)
            wrong_quantile_record(&world.quantile, *ns);
        else
            hf_quantile_record(&world.quantile, *ns);
    }
}

static bool
is_one_of_the_orders(void *unused)
{
    return is_legal(hf_load_relaxed(&world.quantile.word));
}

static bool
plays(scenario s)
{
    world.scenario = &s;
    world.legal_count = 0;
    begin(NULL);
    run_orders(&s, hf_load_relaxed(&world.quantile.word), (const int[ACTORS]){0});
    int threads = 0;
    while (threads < ACTORS && s.samples_ns[threads][0] != 0)
        threads++;
    return holds_always((hf_explore_model){.name = s.name,
                                           .threads = threads,
                                           .setup = begin,
                                           .thread = play,
                                           .holds = is_one_of_the_orders,
                                           .spurious = s.spurious});
}

HF_TEST(no_sample_is_lost_or_taken_twice)
{
    HF_CHECK(plays(
        (scenario){.name = "first samples of three", .samples_ns = {{500}, {1500}, {70000}}}));
    HF_CHECK(plays((scenario){.name = "three samples | three",
                              .before = 20,
                              .samples_ns = {{500, 1500, 70000}, {800, 90000, 1}}}));
    HF_CHECK(plays((scenario){.name = "samples, CAS failing",
                              .before = 200,
                              .samples_ns = {{500, 70000}, {1500}},
                              .spurious = 3}));
    HF_CHECK(plays((scenario){.name = "a run of three threads",
                              .before = 130,
                              .samples_ns = {{5000, 9000}, {6000, 9000}, {7000}}}));
}

HF_TEST(the_explorer_finds_a_sample_that_is_lost)
{
    HF_CHECK(!plays((scenario){.name = "wrong: sample | sample",
                               .before = 20,
                               .samples_ns = {{500}, {70000}},
                               .wrong = true}));
}

/* ---- an adaptive timeout ---- */

static struct {
    hf_adaptive_timeout timeout;
    bool wrong, resizes;
} adaptive;

static const int64_t least = 100, most = 100000;

static void
begin_timeout(void *unused)
{
    hf_adaptive_timeout_init(&adaptive.timeout, 2000, least, most, 2.0, 0.5);
    for (int i = 0; i < 12; i++)
        hf_adaptive_timeout_record(&adaptive.timeout, 1000, false);
}

/* Two calls like those before, which leave a timeout of 2,000 as it is; or one puts 50,000 in force. */
static void
play_timeout(void *unused, int t)
{
    if (t == 0 && adaptive.resizes)
        hf_adaptive_timeout_resize(&adaptive.timeout, 50000, 20000, 60000);
    else if (t == 0)
        hf_adaptive_timeout_set_ns(&adaptive.timeout, 50000);
    else if (adaptive.wrong)
        wrong_adaptive_timeout_record(&adaptive.timeout, 1000);
    else
        hf_adaptive_timeout_record(&adaptive.timeout, 1000, t == 2);
}

/* The step of a sample may come before or after the 50,000, but never undoes it. */
static bool
is_set_and_moved(void *unused)
{
    hf_adaptive_timeout *t = &adaptive.timeout;
    int64_t is = hf_adaptive_timeout_get_ns(t);
    return is <= 50000 && is >= 50000 - 2 * 4800 && is >= least && is <= most &&
           hf_load_relaxed(&t->samples) == 14;
}

HF_TEST(a_timeout_put_in_force_is_not_undone_by_a_sample_at_the_same_time) /* TO-08 */
{
    HF_CHECK(explored("set | call | call that timed out", 3, begin_timeout, play_timeout,
                      is_set_and_moved));
}

HF_TEST(the_explorer_finds_a_timeout_that_is_overwritten)
{
    adaptive.wrong = true;
    HF_CHECK(finds("wrong: set | call | call", 3, begin_timeout, play_timeout, is_set_and_moved));
    adaptive.wrong = false;
}

/* Where the limits are others by then, it is within those, whatever a sample made of it meanwhile. */
static bool
is_resized_and_moved(void *unused)
{
    return is_set_and_moved(unused) && hf_adaptive_timeout_get_ns(&adaptive.timeout) >= 20000;
}

HF_TEST(a_resize_at_the_same_time_as_samples_ends_within_its_limits) /* TO-08 */
{
    adaptive.resizes = true;
    HF_CHECK(explored("resize | call | call that timed out", 3, begin_timeout, play_timeout,
                      is_resized_and_moved));
}
