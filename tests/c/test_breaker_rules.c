/* Contract of the rules that open a breaker, and of how long it stays open.
   What its users see of rates and slow calls: tests/policies/breaker/test_rates.py. */
#include "breaker_fixture.h"

enum { PERCENT = 10000000 }; /* of 10^9 */

static hf_breaker_config
counting(uint32_t n, uint32_t min_calls, uint32_t rate_ppb)
{
    hf_breaker_config config =
        CONFIG(.failure_threshold = 0, .window_kind = HF_WINDOW_COUNT, .window_n = n,
               .min_calls = min_calls, .failure_rate_ppb = rate_ppb);
    return config;
}

static hf_breaker_config
timing(uint32_t slices, uint32_t min_calls, uint32_t rate_ppb)
{
    hf_breaker_config config = counting(slices, min_calls, rate_ppb);
    config.window_kind = HF_WINDOW_TIME;
    config.slice_ns = SECOND;
    return config;
}

static hf_change
call_lasting(int64_t duration_ns, int outcome, int64_t now_ns)
{
    hf_breaker_permit permit = enter(now_ns);
    return hf_breaker_settle(b, &permit, outcome, duration_ns, now_ns);
}

/* trap 26: with the successes gone from the window, the failures left are too many. */
HF_TEST(a_success_may_find_that_the_rate_has_grown_with_time)
{
    begin_with(timing(10, 4, 50 * PERCENT));
    calls(10, HF_SUCCESS, 0);
    calls(3, HF_FAILURE, 5 * SECOND);
    call(HF_SUCCESS, 9 * SECOND);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
    HF_CHECK(is_change(call(HF_SUCCESS, 10 * SECOND), HF_CLOSED, HF_OPEN)); /* 3 of 5 */
}

/* D-CB-8, trap 5. */
HF_TEST(ignored_calls_have_no_part_in_a_rate)
{
    begin_with(counting(20, 10, 50 * PERCENT));
    calls(30, HF_IGNORED, 0);
    calls(9, HF_FAILURE, 0);
    calls(30, HF_IGNORED, 0);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
    HF_CHECK_INT(hf_breaker_tally(b, 0).ignored, 60);
}

HF_TEST(it_opens_when_the_share_of_slow_calls_reaches_its_limit)
{
    for (int kind = 0; kind < 2; kind++) {
        hf_breaker_config config = kind ? timing(10, 10, 0) : counting(10, 10, 0);
        config.slow_ns = SECOND;
        config.slow_rate_ppb = 30 * PERCENT;
        begin_with(config);
        for (int i = 0; i < 7; i++)
            call_lasting(1, HF_SUCCESS, 0);
        call_lasting(SECOND, HF_SUCCESS, 0);
        call_lasting(SECOND, HF_FAILURE, 0);
        HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
        HF_CHECK(is_change(call_lasting(SECOND, HF_SUCCESS, 0), HF_CLOSED, HF_OPEN));
    }
}

HF_TEST(a_slow_success_is_a_success_for_the_run_and_a_bad_sign_for_a_probe)
{
    hf_breaker_config config = counting(10, 10, 0);
    config.failure_threshold = 5;
    config.slow_ns = SECOND;
    config.slow_rate_ppb = 100 * PERCENT;
    begin_with(config);
    calls(4, HF_FAILURE, 0);
    call_lasting(SECOND, HF_SUCCESS, 0);
    HF_CHECK_INT(hf_breaker_run(b), 0);
    break_at(0);
    HF_CHECK(is_change(call_lasting(SECOND, HF_SUCCESS, 60 * SECOND), HF_HALF_OPEN, HF_OPEN));

    config.slow_rate_ppb = 0; /* measured, but no rule */
    begin_with(config);
    break_at(0);
    call_lasting(SECOND, HF_SUCCESS, 60 * SECOND);
    HF_CHECK_INT(hf_breaker_run(b), 1);
}

static bool
is_by(hf_change c, enum hf_rule rule, uint32_t count, uint32_t calls_of_window)
{
    return c.happened && c.rule == rule && c.count == count && c.calls == calls_of_window;
}

HF_TEST(a_change_says_which_rule_made_it_and_by_which_figures)
{
    begin();
    calls(4, HF_FAILURE, 0);
    HF_CHECK(is_by(call(HF_FAILURE, 0), HF_RULE_FAILURES, 5, 0));
    hf_breaker_permit probe;
    hf_change change;
    HF_CHECK(ask(60 * SECOND, &probe, &change));
    HF_CHECK(is_by(change, HF_RULE_NONE, 0, 0));
    HF_CHECK(is_by(hf_breaker_settle(b, &probe, HF_FAILURE, -1, 60 * SECOND), HF_RULE_PROBE_FAILED,
                   1, 0));
    HF_CHECK(is_by(hf_breaker_override(b, HF_CLOSED, 0), HF_RULE_BY_HAND, 0, 0));
    HF_CHECK(is_by(hf_breaker_override(b, HF_OPEN, 0), HF_RULE_BY_HAND, 0, 0));
    call(HF_SUCCESS, 60 * SECOND);
    call(HF_SUCCESS, 60 * SECOND);
    HF_CHECK(is_by(call(HF_SUCCESS, 60 * SECOND), HF_RULE_NONE, 0, 0));

    begin_with(timing(10, 10, 30 * PERCENT));
    calls(8, HF_SUCCESS, 0);
    calls(3, HF_FAILURE, 0);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED); /* 3 of 11 */
    HF_CHECK(is_by(call(HF_FAILURE, 0), HF_RULE_FAILURE_RATE, 4, 12));

    hf_breaker_config config = counting(10, 4, 0);
    config.slow_ns = SECOND;
    config.slow_rate_ppb = 50 * PERCENT;
    begin_with(config);
    calls(3, HF_SUCCESS, 0);
    call_lasting(SECOND, HF_SUCCESS, 0);
    call_lasting(SECOND, HF_SUCCESS, 0);
    HF_CHECK(is_by(call_lasting(SECOND, HF_SUCCESS, 0), HF_RULE_SLOW_RATE, 3, 6));
    HF_CHECK(is_by(call_lasting(SECOND, HF_SUCCESS, 60 * SECOND), HF_RULE_PROBE_SLOW, 1, 0));

    config.failure_rate_ppb = 50 * PERCENT; /* both at once: it failed */
    begin_with(config);
    calls(2, HF_SUCCESS, 0);
    call_lasting(SECOND, HF_FAILURE, 0);
    HF_CHECK(is_by(call_lasting(SECOND, HF_FAILURE, 0), HF_RULE_FAILURE_RATE, 2, 4));
}

/* settle_fast() would not see what these need. */
HF_TEST(the_fast_end_of_a_call_is_refused_where_there_is_more_to_do)
{
    hf_breaker_config config = CONFIG(.slow_ns = SECOND);
    for (int i = 0; i < 3; i++) {
        begin_with(i == 0 ? config : i == 1 ? counting(5, 5, PERCENT) : defaults());
        if (i == 2)
            call(HF_FAILURE, 0); /* a run to end */
        hf_breaker_permit permit = enter(0);
        HF_CHECK(!hf_breaker_settle_fast(b, &permit));
        HF_CHECK_INT(count_of(&b->succeeded), 0);
        end(permit, HF_SUCCESS, 0);
        HF_CHECK_INT(hf_breaker_run(b), 0);
        HF_CHECK_INT(hf_breaker_in_flight(b), 0);
    }
}

/* CB-09. */
HF_TEST(a_pause_between_failures_starts_the_run_again)
{
    hf_breaker_config config = CONFIG(.failure_reset_ns = 10 * SECOND);
    begin_with(config);
    calls(4, HF_FAILURE, 0);
    call(HF_FAILURE, 10 * SECOND);
    HF_CHECK_INT(hf_breaker_run(b), 1);
    calls(3, HF_FAILURE, 20 * SECOND - 1);
    HF_CHECK_INT(hf_breaker_run(b), 4);
    call(HF_FAILURE, 30 * SECOND - 2);
    HF_CHECK_INT(hf_breaker_state(b), HF_OPEN);
    config.failure_threshold = 1;
    begin_with(config);
    HF_CHECK(call(HF_FAILURE, INT64_MAX).happened); /* the first has none before it */
}

/* CB-15, CB-26. */
HF_TEST(the_open_time_grows_with_each_reopening_up_to_its_bound)
{
    hf_breaker_config config = CONFIG(.reset_factor = 2, .reset_max_ns = 300 * SECOND);
    begin_with(config);
    break_at(0);
    const int64_t expected[] = {60, 120, 240, 300, 300, 300};
    int64_t now = 0;
    for (int i = 0; i < 6; i++) {
        HF_CHECK_INT(hf_breaker_retry_after_ns(b, now), expected[i] * SECOND);
        now += expected[i] * SECOND;
        if (i < 5)
            call(HF_FAILURE, now);
    }
    calls(3, HF_SUCCESS, now); /* health resets the growth */
    break_at(now);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, now), 60 * SECOND);

    config = defaults();
    config.reset_max_ns = 50 * SECOND; /* binds without growth too */
    begin_with(config);
    break_at(0);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 0), 50 * SECOND);
}

HF_TEST(the_open_time_neither_overflows_nor_stops_growing_in_count)
{
    begin_with(CONFIG(.reset_factor = 1000));
    break_at(0);
    for (int i = 0; i < 100; i++) {
        hf_breaker_override(b, HF_HALF_OPEN, 0);
        call(HF_FAILURE, 0);
        HF_CHECK(hf_breaker_retry_after_ns(b, 0) >= 60 * SECOND);
    }
    HF_CHECK_INT(HF_BREAKER_REOPENS(hf_load_relaxed(&b->word)), HF_BREAKER_REOPENS_MOST);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 0), INT64_MAX);
}

/* trap 49: jitter may not exceed the bound. */
HF_TEST(jitter_adds_up_to_its_share_and_respects_the_bound)
{
    hf_breaker_config config = CONFIG(.reset_jitter = 0.5);
    int64_t least = INT64_MAX, most = 0;
    begin_with(config);
    for (int i = 0; i < 1000; i++) {
        hf_breaker_override(b, HF_OPEN, 0);
        int64_t ns = hf_breaker_retry_after_ns(b, 0);
        least = ns < least ? ns : least;
        most = ns > most ? ns : most;
    }
    HF_CHECK(least >= 60 * SECOND && least < 61 * SECOND);
    HF_CHECK(most > 89 * SECOND && most <= 90 * SECOND);
    config.reset_max_ns = 70 * SECOND;
    begin_with(config);
    for (int i = 0; i < 1000; i++) {
        hf_breaker_override(b, HF_OPEN, 0);
        HF_CHECK(hf_breaker_retry_after_ns(b, 0) <= 70 * SECOND);
    }
}

/* CB-04: a thread may be stopped for long between its look at the clock and its question. */
HF_TEST(a_caller_whose_time_is_old_shortens_no_opening)
{
    begin();
    break_at(3600 * SECOND);
    HF_CHECK(refuses(0));
    HF_CHECK(refuses(3600 * SECOND - 1));
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 3600 * SECOND), 60 * SECOND);
    HF_CHECK(refuses(3660 * SECOND - 1));
    HF_CHECK(!refuses(3660 * SECOND));
}

/* trap 21. */
HF_TEST(a_step_forward_of_the_time_ends_an_opening_and_nothing_else)
{
    begin();
    break_at(0);
    HF_CHECK(!refuses(1000000 * SECOND));
    HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
}

HF_TEST(an_opening_at_the_end_of_time_is_no_overflow)
{
    begin();
    break_at(INT64_MAX - 1);
    HF_CHECK(refuses(INT64_MAX - 1));
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, INT64_MAX - 1), 1);
    HF_CHECK(!refuses(INT64_MAX));
    begin();
    break_at(INT64_MAX - 1);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, -10), INT64_MAX); /* more than time can be left */
    HF_CHECK(!hf_breaker_peek(b, INT64_MIN));
    HF_CHECK_INT(hf_breaker_refuse_fast(b, INT64_MIN, 0), 0);
    HF_CHECK(refuses(-10));
    begin();
    break_at(INT64_MIN);
    HF_CHECK(refuses(INT64_MIN + 60 * SECOND - 1));
    HF_CHECK(!refuses(INT64_MIN + 60 * SECOND));
}

/* trap 57: who made the opening was killed between moving the word and setting the deadline. */
HF_TEST(an_opening_whose_deadline_was_never_set_ends_all_the_same)
{
    begin();
    break_at(0);
    const uint64_t gens[] = {1, 2, 0, (UINT64_C(1) << 35) - 1}; /* 1 is the opening's own */
    for (size_t i = 0; i < sizeof gens / sizeof *gens; i++) {
        const int64_t now = (int64_t)i * 1000 * SECOND;
        hf_store_relaxed(&b->until_ns, HF__OPENING(gens[i]));
        HF_CHECK_INT(hf_breaker_retry_after_ns(b, now), 60 * SECOND);
        HF_CHECK(!hf_breaker_peek(b, now));
        HF_CHECK(refuses(now));
        HF_CHECK(refuses(now + 60 * SECOND - 1));
        HF_CHECK(hf_breaker_peek(b, now + 60 * SECOND));
    }
}

HF_TEST(rules_that_are_changed_hold_for_what_ends_from_then_on)
{
    begin();
    calls(3, HF_FAILURE, 0);
    hf_breaker_tune(b, 4, 2, 5 * SECOND);
    HF_CHECK_INT(call(HF_FAILURE, 0).rule, HF_RULE_FAILURES); /* the fourth, and not the fifth */
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 0), 5 * SECOND);
    call(HF_SUCCESS, 5 * SECOND);
    HF_CHECK_INT(hf_breaker_state(b), HF_HALF_OPEN);
    call(HF_SUCCESS, 5 * SECOND);
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
    hf_breaker_tune(b, 0, 1, 5 * SECOND);
    calls(100, HF_FAILURE, 5 * SECOND); /* no rule asks for a run any more */
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
}

HF_TEST(an_opening_keeps_its_deadline_when_the_open_time_is_changed)
{
    begin();
    break_at(0);
    hf_breaker_tune(b, 5, 3, 100 * SECOND);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 0), 60 * SECOND);
    HF_CHECK(hf_breaker_refuse_fast(b, 0, 0) == 60 * SECOND);
    hf_breaker_override(b, HF_OPEN, 10 * SECOND);
    HF_CHECK_INT(hf_breaker_retry_after_ns(b, 10 * SECOND), 100 * SECOND);
    HF_CHECK_INT(hf_breaker_refuse_fast(b, 20 * SECOND, 0), 90 * SECOND); /* longer than at first */
}

HF_TEST(a_run_that_is_set_decides_with_the_next_end_of_a_call)
{
    begin();
    HF_CHECK(hf_breaker_set_run(b, 7)); /* more than the threshold: nothing opens by that */
    HF_CHECK_INT(hf_breaker_state(b), HF_CLOSED);
    HF_CHECK_INT(hf_breaker_run(b), 7);
    const hf_change change = call(HF_FAILURE, 0);
    HF_CHECK(is_change(change, HF_CLOSED, HF_OPEN));
    HF_CHECK_INT(change.count, 8);
    HF_CHECK(!hf_breaker_set_run(b, 1)); /* an open one has none */
    enter(60 * SECOND);
    HF_CHECK(hf_breaker_set_run(b, 2));
    HF_CHECK(is_change(call(HF_SUCCESS, 60 * SECOND), HF_HALF_OPEN, HF_CLOSED));
}
