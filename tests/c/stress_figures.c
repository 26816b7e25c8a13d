/*
 * Figures of a breaker that other threads move: a state and changes that lead to it, and counts that
 * only grow (MX-01, MX-04, trap 57).
 */
#include "hf_threads.h"

#include "holdfast/hf_figures.h"

enum { MOVERS = 3 };

typedef struct scene {
    hf_breaker *breaker;
    long rounds;
    hf_au64 done, looks;
} scene;

static void
move(scene *s, int index)
{
    for (long i = 0; i < s->rounds; i++) {
        hf_breaker_permit permit;
        hf_change change;
        if (hf_breaker_admit(s->breaker, &permit) ||
            hf_breaker_admit_slow(s->breaker, i, &permit, &change))
            hf_breaker_settle(s->breaker, &permit, (i + index) % 2 ? HF_SUCCESS : HF_FAILURE, -1,
                              i);
        if (i % 64 == index)
            hf_breaker_override(s->breaker, (enum hf_state)(i / 64 % HF_STATES), i);
    }
    hf_count(&s->done, 1);
}

static void
look(scene *s)
{
    uint64_t last[HF_FIGURES_MOST] = {0}, now[HF_FIGURES_MOST];
    do {
        HF_CHECK_INT(hf_breaker_figures(s->breaker, now), HF_BREAKER_COUNTS + 1);
        HF_CHECK(hf__changes_lead_to(now + HF__FIGURES_CHANGES, (unsigned)now[HF_BREAKER_COUNTS]));
        for (int i = 0; i < HF_BREAKER_COUNTS; i++)
            HF_CHECK(now[i] >= last[i]);
        memcpy(last, now, sizeof last);
        hf_count(&s->looks, 1);
    } while (hf_load_acquire(&s->done) < MOVERS);
}

static void
play(void *shared, int index)
{
    if (index < MOVERS)
        move(shared, index);
    else
        look(shared);
}

HF_TEST(no_look_shows_a_state_that_its_changes_do_not_lead_to)
{
    const hf_breaker_config config = {.failure_threshold = 1,
                                      .success_threshold = 1,
                                      .half_open_max = 2,
                                      .reset_ns = 1,
                                      .reset_factor = 1,
                                      .probe_ns = -1};
    scene s = {.breaker = malloc(hf_breaker_size(&config)), .rounds = hf_threads_rounds(20000)};
    hf_breaker_init(s.breaker, &config, 1);
    hf_threads_run(MOVERS + 1, play, &s);
    uint64_t now[HF_FIGURES_MOST];
    hf_breaker_figures(s.breaker, now);
    HF_CHECK(hf__changes_lead_to(now + HF__FIGURES_CHANGES, (unsigned)now[HF_BREAKER_COUNTS]));
    HF_CHECK(hf_load_relaxed(&s.looks) > 0);
    free(s.breaker);
}

HF_TEST(a_move_that_was_never_counted_does_not_hold_up_who_reads)
{
    const hf_breaker_config config = {
        .half_open_max = 1, .success_threshold = 1, .reset_factor = 1};
    hf_breaker *b = malloc(hf_breaker_size(&config));
    uint64_t now[HF_FIGURES_MOST];
    hf_breaker_init(b, &config, 1);
    /* As of an owner that died between the two words of a move. */
    hf_store_relaxed(&b->word, HF_BREAKER_WORD(1, 0, 0, HF_FORCED_OPEN));
    hf_breaker_figures(b, now);
    HF_CHECK_INT(now[HF_BREAKER_COUNTS], HF_FORCED_OPEN);
    free(b);
}

int
main(int argc, char **argv)
{
    hf_test_open(argc, argv);
    HF_RUN(no_look_shows_a_state_that_its_changes_do_not_lead_to);
    HF_RUN(a_move_that_was_never_counted_does_not_hold_up_who_reads);
    return hf_test_close();
}
