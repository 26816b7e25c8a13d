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
    bool observes; /* whoever is refused runs all the same */
    int movers,
        growing; /* of the counts, the first so many are looked at: whether they only grow */
    hf_au64 done, looks;
} scene;

static void
observe(hf_breaker *b, long i)
{
    hf_breaker_permit permit;
    hf_breaker_admit_observed(b, &permit);
    if (i % 3 == 0)
        hf_breaker_undo(b, &permit);
    else
        hf_breaker_settle(b, &permit, i % 3 == 1 ? HF_SUCCESS : HF_FAILURE, -1, i);
}

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
        else if (s->observes)
            observe(s->breaker, i);
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
        HF_CHECK_INT(hf_breaker_figures(s->breaker, now), HF_BREAKER_COUNTS + 2);
        HF_CHECK_INT(hf__changes_lead_to(now + HF_AT_BREAKER_changes, HF_CLOSED),
                     now[HF_BREAKER_COUNTS]);
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
watch(int movers, int growing, bool observes)
{
    const hf_breaker_config config = {.failure_threshold = 1,
                                      .success_threshold = 1,
                                      .half_open_max = 2,
                                      .reset_ns = 1,
                                      .reset_factor = 1,
                                      .probe_ns = -1};
    scene s = {.breaker = malloc(hf_breaker_size(&config)),
               .rounds = hf_threads_rounds(20000),
               .observes = observes,
               .movers = movers,
               .growing = growing};
    hf_breaker_init(s.breaker, &config, 1);
    hf_threads_run(movers + 1, play, &s);
    uint64_t now[HF_FIGURES_MOST];
    hf_breaker_figures(s.breaker, now);
    HF_CHECK_INT(hf__changes_lead_to(now + HF_AT_BREAKER_changes, HF_CLOSED),
                 now[HF_BREAKER_COUNTS]);
    HF_CHECK_INT(now[HF_BREAKER_COUNTS], hf_breaker_state(s.breaker));
    HF_CHECK(hf_load_relaxed(&s.looks) > 0);
    free(s.breaker);
}

HF_TEST(no_look_shows_a_state_that_its_changes_do_not_lead_to)
{
    watch(MOVERS, HF_AT_BREAKER_changes,
          false); /* of moves that are made at once, guesses may be mended */
}

HF_TEST(of_a_breaker_that_one_moves_at_a_time_no_count_ever_falls)
{
    watch(1, HF_BREAKER_COUNTS, false); /* as with a GIL, also where other processes look */
}

HF_TEST(no_count_falls_where_refused_calls_are_observed)
{
    watch(MOVERS, HF_AT_BREAKER_changes, true);
    watch(1, HF_BREAKER_COUNTS, true);
}

/* The others: each is used in every way while its figures are read. */
typedef struct others {
    hf_bucket bucket;
    hf_sliding sliding;
    hf_bulkhead bulkhead;
    hf_histogram histogram;
    long rounds;
    hf_au64 done;
} others;

static void
use(others *o)
{
    for (long i = 0; i < o->rounds; i++) {
        bool waiters;
        if (hf_bucket_take_within(&o->bucket, 1, i, i % 8) > 0)
            hf_bucket_refund(&o->bucket, 1);
        if (hf_sliding_try_take(&o->sliding, 1, i) && i % 2)
            hf_sliding_refund(&o->sliding, 1, i);
        hf_entry entry = hf_bulkhead_enter_or_queue(&o->bulkhead);
        if (entry == HF_ENTERED)
            (void)(i % 2 ? hf_bulkhead_leave : hf_bulkhead_undo)(&o->bulkhead, &waiters);
        else if (entry == HF_QUEUED && !hf_bulkhead_unqueue(&o->bulkhead))
            (void)hf_bulkhead_leave(&o->bulkhead, &waiters);
        hf_histogram_record(&o->histogram, (i & 1023) << (i & 31));
    }
    hf_count(&o->done, 1);
}

static size_t
counts_of(const others *o, uint64_t out[])
{
    size_t n = hf_bucket_figures(&o->bucket, out);
    n += hf_sliding_figures(&o->sliding, out + n);
    n += hf_histogram_figures(&o->histogram, out + n);
    return n + hf_bulkhead_figures(&o->bulkhead, out + n) - 2; /* but for what is true now */
}

static void
use_or_look(void *shared, int index)
{
    others *o = shared;
    uint64_t last[HF_FIGURES_MOST] = {0}, now[HF_FIGURES_MOST];
    if (index < MOVERS)
        use(o);
    else
        do {
            for (size_t i = counts_of(o, now); i-- > 0; last[i] = now[i])
                HF_CHECK(now[i] >= last[i]);
        } while (hf_load_acquire(&o->done) < MOVERS);
}

HF_TEST(no_count_of_the_other_kernels_falls)
{
    static others o;
    o.rounds = hf_threads_rounds(20000);
    hf_bucket_init(&o.bucket, (hf_rate){.num = 1, .den = 4, .burst = 3}, 0);
    hf_sliding_init(&o.sliding, 5, 100);
    hf_bulkhead_init(&o.bulkhead, 1, 1);
    hf_histogram_init(&o.histogram);
    hf_threads_run(MOVERS + 1, use_or_look, &o);
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
    HF_CHECK_INT(hf__changes_lead_to(memset(now, 0, sizeof now), HF_CLOSED), HF_CLOSED);
    hf_breaker_figures(b, now);
    HF_CHECK_INT(now[HF_BREAKER_COUNTS], HF_FORCED_OPEN);
    HF_CHECK_INT(now[HF_AT_BREAKER_changes + HF_STATES * HF_CLOSED + HF_OPEN], 1); /* it was made */
    HF_CHECK_INT(hf__changes_lead_to(now + HF_AT_BREAKER_changes, HF_CLOSED), HF_FORCED_OPEN);
    free(b);
}
