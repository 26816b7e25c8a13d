/* Contract of hf_breaker.h: what a health check may move, by evidence of which period. CB-30. */
#include "breaker_fixture.h"

static uint64_t
opening(void)
{
    return hf_breaker_period_now(b).opening;
}

static uint64_t
gen(void)
{
    return hf_breaker_period_now(b).gen;
}

static void
begin_open(void)
{
    begin();
    break_at(0);
}

HF_TEST(a_pass_closes_the_opening_that_it_began_in)
{
    begin_open();
    const uint64_t seen = opening();
    HF_CHECK_INT(seen, gen());
    const hf_change change = hf_breaker_close_opening(b, seen);
    HF_CHECK(is_change(change, HF_OPEN, HF_CLOSED));
    HF_CHECK_INT(change.rule, HF_RULE_HEALTH);
    HF_CHECK_INT(changes(HF_OPEN, HF_CLOSED), 1);
    HF_CHECK_INT(hf_breaker_run(b), 0);
    HF_CHECK(!hf_breaker_close_opening(b, seen).happened);
}

HF_TEST(the_half_open_period_after_an_opening_belongs_to_it)
{
    begin_open();
    const uint64_t seen = opening();
    const hf_breaker_permit probe = enter(60 * SECOND);
    HF_CHECK_INT(opening(), seen);
    HF_CHECK_INT(gen(), seen + 1);
    HF_CHECK(is_change(hf_breaker_close_opening(b, seen), HF_HALF_OPEN, HF_CLOSED));
    HF_CHECK(!end(probe, HF_FAILURE, 61 * SECOND).happened); /* its result is late: no move */
    HF_CHECK_INT(count_of(&b->late), 1);
    HF_CHECK_INT(hf_breaker_run(b), 0);
    HF_CHECK_INT(hf_breaker_in_flight(b), 0);
}

HF_TEST(a_pass_from_before_a_failed_probe_closes_nothing) /* trap 65 */
{
    begin_open();
    const uint64_t seen = opening();
    call(HF_FAILURE, 60 * SECOND);
    HF_CHECK_INT(hf_breaker_state(b), HF_OPEN);
    HF_CHECK(opening() != seen);
    HF_CHECK(!hf_breaker_close_opening(b, seen).happened);
    HF_CHECK_INT(hf_breaker_state(b), HF_OPEN);
    HF_CHECK(hf_breaker_close_opening(b, opening()).happened);
}

HF_TEST(a_pass_from_before_an_opening_by_hand_closes_nothing) /* trap 65 */
{
    begin_open();
    const uint64_t seen = opening();
    hf_breaker_override(b, HF_OPEN, SECOND);
    HF_CHECK(!hf_breaker_close_opening(b, seen).happened);
    HF_CHECK_INT(hf_breaker_state(b), HF_OPEN);
}

HF_TEST(no_check_moves_what_only_an_order_ends)
{
    static const enum hf_state ordered[] = {HF_FORCED_OPEN, HF_DISABLED, HF_METRICS_ONLY};
    for (size_t i = 0; i < sizeof ordered / sizeof *ordered; i++) {
        begin_open();
        const uint64_t seen = opening();
        hf_breaker_override(b, ordered[i], 0);
        const uint64_t before = hf_load_relaxed(&b->word);
        HF_CHECK(opening() == HF_NO_OPENING);
        HF_CHECK(!hf_breaker_close_opening(b, opening()).happened);
        HF_CHECK(!hf_breaker_close_opening(b, seen).happened);
        HF_CHECK(!hf_breaker_close_opening(b, gen()).happened);
        HF_CHECK(!hf_breaker_open_generation(b, gen(), 3, 0).happened);
        HF_CHECK(hf_load_relaxed(&b->word) == before);
    }
}

HF_TEST(an_unhealthy_check_opens_what_is_closed)
{
    begin();
    const hf_change change = hf_breaker_open_generation(b, gen(), 3, SECOND);
    HF_CHECK(is_change(change, HF_CLOSED, HF_OPEN));
    HF_CHECK_INT(change.rule, HF_RULE_HEALTH);
    HF_CHECK_INT(change.count, 3);
    HF_CHECK(refuses(60 * SECOND));
    HF_CHECK(!refuses(61 * SECOND));
}

HF_TEST(to_open_it_amid_a_recovery_is_a_failed_recovery)
{
    begin_with(CONFIG(.reset_factor = 2));
    break_at(0);
    enter(60 * SECOND);
    HF_CHECK(
        is_change(hf_breaker_open_generation(b, gen(), 3, 60 * SECOND), HF_HALF_OPEN, HF_OPEN));
    HF_CHECK(refuses(179 * SECOND));
    HF_CHECK(!refuses(180 * SECOND));
}

HF_TEST(an_unhealthy_check_opens_nothing_by_what_is_over) /* trap 65 */
{
    begin();
    const uint64_t seen = gen();
    hf_breaker_override(b, HF_CLOSED, 0);
    HF_CHECK(!hf_breaker_open_generation(b, seen, 3, 0).happened);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
    break_at(0);
    const int64_t until = hf_load_relaxed(&b->until_ns);
    HF_CHECK(!hf_breaker_open_generation(b, gen(), 3, SECOND).happened);
    HF_CHECK_INT(hf_load_relaxed(&b->until_ns), until);
}
