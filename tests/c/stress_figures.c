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
    int movers,
        growing; /* of the counts, the first so many are looked at: whether they only grow */
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
        HF_CHECK_INT(hf__changes_lead_to(now + HF__FIGURES_CHANGES), now[HF_BREAKER_COUNTS]);
        for (int i = 0; i < s->growing; i++)
            HF_CHECK(now[i] >= last[i]);
        memcpy(last, now, sizeof last);
        hf_count(&s->looks, 1);
    } while (hf_load_acquire(&s->done) < (uint64_t)s->movers);
}

static void
play(void *shared, int index)
{
    scene *s = shared;
    if (index < s->movers)
        move(s, index);
    else
        look(s);
}

static void
watch(int movers, int growing)
{
    const hf_breaker_config config = {.failure_threshold = 1,
                                      .success_threshold = 1,
                                      .half_open_max = 2,
                                      .reset_ns = 1,
                                      .reset_factor = 1,
                                      .probe_ns = -1};
    scene s = {.breaker = malloc(hf_breaker_size(&config)),
               .rounds = hf_threads_rounds(20000),
               .movers = movers,
               .growing = growing};
    hf_breaker_init(s.breaker, &config, 1);
    hf_threads_run(movers + 1, play, &s);
    uint64_t now[HF_FIGURES_MOST];
    hf_breaker_figures(s.breaker, now);
    HF_CHECK_INT(hf__changes_lead_to(now + HF__FIGURES_CHANGES), now[HF_BREAKER_COUNTS]);
    HF_CHECK_INT(now[HF_BREAKER_COUNTS], hf_breaker_state(s.breaker));
    HF_CHECK(hf_load_relaxed(&s.looks) > 0);
    free(s.breaker);
}

HF_TEST(no_look_shows_a_state_that_its_changes_do_not_lead_to)
{
    watch(MOVERS, HF__FIGURES_CHANGES); /* of moves that are made at once, guesses may be mended */
}

HF_TEST(of_a_breaker_that_one_moves_at_a_time_no_count_ever_falls)
{
    watch(1, HF_BREAKER_COUNTS); /* as with a GIL, also where other processes look */
}

HF_TEST(a_move_that_was_never_counted_does_not_hold_up_who_reads)
{
    const hf_breaker_config config = {
        .half_open_max = 1, .success_threshold = 1, .reset_factor = 1};
    hf_breaker *b = malloc(hf_breaker_size(&config));
    uint64_t now[HF_FIGURES_MOST];
    hf_breaker_init(b, &config, 1);
    /* As of an owner that died between the two words of a move. */
    hf_store_relaxed(&b->word, HF_BREAKER_WORD(1, 0, 0, HF_OPEN));
    hf_breaker_figures(b, now);
    HF_CHECK_INT(now[HF_BREAKER_COUNTS], HF_CLOSED); /* not counted, not shown */
    hf_store_relaxed(&b->word, HF_BREAKER_WORD(2, 0, 0, HF_FORCED_OPEN));
    hf_store_relaxed(&b->changes[HF_OPEN][HF_FORCED_OPEN], 1);
    HF_CHECK_INT(hf__changes_lead_to(memset(now, 0, sizeof now)), HF_CLOSED);
    hf_breaker_figures(b, now);
    HF_CHECK_INT(now[HF_BREAKER_COUNTS], HF_FORCED_OPEN);
    HF_CHECK_INT(now[HF__FIGURES_CHANGES + HF_STATES * HF_CLOSED + HF_OPEN], 1); /* it was made */
    HF_CHECK_INT(hf__changes_lead_to(now + HF__FIGURES_CHANGES), HF_FORCED_OPEN);
    free(b);
}

int
main(int argc, char **argv)
{
    hf_test_open(argc, argv);
    HF_RUN(no_look_shows_a_state_that_its_changes_do_not_lead_to);
    HF_RUN(of_a_breaker_that_one_moves_at_a_time_no_count_ever_falls);
    HF_RUN(a_move_that_was_never_counted_does_not_hold_up_who_reads);
    return hf_test_close();
}
