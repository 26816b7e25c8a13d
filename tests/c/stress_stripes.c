/*
 * A breaker whose counters are striped, as in builds without a GIL: more threads than stripes count
 * every call, half of the stripes have an owner, and who adds them up never sees more calls end than began.
 */
#define HF_STRIPED
static _Thread_local unsigned own_stripe;
#define HF_OWN_STRIPE own_stripe
#include "hf_threads.h"

#include "holdfast/hf_breaker.h"
#include "holdfast/hf_figures.h"

enum { CALLERS = 12 };

typedef struct scene {
    hf_breaker *breaker;
    long rounds;
    hf_au64 done;
} scene;

static void
play(void *shared, int index)
{
    scene *s = shared;
    if (index == CALLERS) {
        uint64_t last = 0;
        while (hf_load_acquire(&s->done) < CALLERS) {
            const uint64_t succeeded = hf_breaker_succeeded(s->breaker);
            HF_CHECK(succeeded >= last);
            HF_CHECK(hf_breaker_admitted(s->breaker) >= succeeded);
            last = succeeded;
        }
        return;
    }
    own_stripe = index < HF_STRIPES / 2 ? (unsigned)index + 1 : HF_STRIPES + 1;
    for (long i = 0; i < s->rounds; i++) {
        hf_breaker_permit permit;
        HF_CHECK(hf_breaker_admit(s->breaker, &permit));
        if (i % 5 == 0)
            hf_breaker_abandon(s->breaker, &permit);
        else if (i % 5 == 1)
            hf_breaker_undo(s->breaker, &permit);
        else if (!hf_breaker_settle_fast(s->breaker, &permit))
            hf_breaker_settle(s->breaker, &permit, HF_SUCCESS, -1, i);
    }
    hf_count(&s->done, 1);
}

HF_TEST(no_call_is_lost_between_stripes) /* GEN-03 */
{
    const hf_breaker_config config = {.failure_threshold = 5,
                                      .success_threshold = 1,
                                      .half_open_max = 1,
                                      .reset_ns = 1,
                                      .reset_factor = 1,
                                      .probe_ns = -1};
    scene s = {.breaker = malloc(hf_breaker_size(&config)), .rounds = hf_threads_rounds(20000)};
    hf_breaker_init(s.breaker, &config, 1);
    hf_threads_run(CALLERS + 1, play, &s);
    uint64_t figures[HF_FIGURES_MOST];
    hf_breaker_figures(s.breaker, figures);
    uint64_t abandoned = 0, undone = 0;
    for (long i = 0; i < s.rounds; i++) {
        abandoned += i % 5 == 0;
        undone += i % 5 == 1;
    }
    const uint64_t rounds = (uint64_t)s.rounds;
    HF_CHECK_INT(hf_breaker_admitted(s.breaker), CALLERS * (rounds - undone));
    HF_CHECK_INT(figures[0], CALLERS * (rounds - undone - abandoned));
    HF_CHECK_INT(hf_load_relaxed(&s.breaker->abandoned), CALLERS * abandoned);
    HF_CHECK_INT(hf_breaker_in_flight(s.breaker), 0);
    hf_breaker_forget(s.breaker, 1);
    HF_CHECK_INT(hf_breaker_admitted(s.breaker), 0);
    HF_CHECK_INT(hf_breaker_succeeded(s.breaker), 0);
    free(s.breaker);
}

static void
refuse(void *shared, int index)
{
    scene *s = shared;
    own_stripe = index < HF_STRIPES / 2 ? (unsigned)index + 1 : 0;
    for (long i = 0; i < s->rounds; i++)
        HF_CHECK_INT(hf_breaker_refuse_fast(s->breaker, 0, 0), -1);
}

HF_TEST(no_refusal_is_lost_between_stripes) /* GEN-03 */
{
    const hf_breaker_config config = {
        .success_threshold = 1, .half_open_max = 1, .reset_ns = 1, .probe_ns = -1};
    scene s = {.breaker = malloc(hf_breaker_size(&config)), .rounds = hf_threads_rounds(20000)};
    hf_breaker_init(s.breaker, &config, 1);
    hf_breaker_override(s.breaker, HF_FORCED_OPEN, 0);
    hf_threads_run(CALLERS, refuse, &s);
    HF_CHECK_INT(hf_breaker_rejected(s.breaker), CALLERS * (uint64_t)s.rounds);
    hf_breaker_forget(s.breaker, 1);
    HF_CHECK_INT(hf_breaker_rejected(s.breaker), 0);
    free(s.breaker);
}
