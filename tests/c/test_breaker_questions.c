/* Contract of the questions hf_breaker.h answers: none changes anything, all speak of one moment. */
#include "breaker_fixture.h"

/* trap 15: a question takes no probe and changes no state. */
HF_TEST(asking_whether_a_call_would_be_admitted_changes_nothing)
{
    begin();
    HF_CHECK(hf_breaker_peek(b, 0));
    break_at(0);
    char before[sizeof breaker_memory];
    memcpy(before, breaker_memory, sizeof before);
    HF_CHECK(!hf_breaker_peek(b, 60 * SECOND - 1));
    HF_CHECK(hf_breaker_peek(b, 60 * SECOND));
    HF_CHECK_INT(hf_breaker_probes(b, 60 * SECOND), 0);
    HF_CHECK(memcmp(before, breaker_memory, sizeof before) == 0);

    for (int i = 0; i < 3; i++) {
        HF_CHECK(hf_breaker_peek(b, 60 * SECOND));
        enter(60 * SECOND);
    }
    memcpy(before, breaker_memory, sizeof before);
    HF_CHECK(!hf_breaker_peek(b, 60 * SECOND));
    HF_CHECK(hf_breaker_peek(b, 90 * SECOND)); /* their leases have ended */
    HF_CHECK(memcmp(before, breaker_memory, sizeof before) == 0);

    const bool answers[HF_STATES] = {true, true, false, false, true, true};
    for (int state = 0; state < HF_STATES; state++) {
        hf_breaker_override(b, (enum hf_state)state, 100 * SECOND);
        HF_CHECK_INT(hf_breaker_peek(b, 100 * SECOND), answers[state]);
    }
}

/* CB-09, CB-23, trap 26: without another call the failures are forgotten all the same. */
HF_TEST(failures_in_a_row_are_those_of_a_closed_breaker_as_of_now)
{
    begin_with(CONFIG(.failure_reset_ns = 10 * SECOND));
    calls(4, HF_FAILURE, SECOND);
    HF_CHECK_INT(hf_breaker_failures_in_a_row(b, 11 * SECOND - 1), 4);
    HF_CHECK_INT(hf_breaker_failures_in_a_row(b, 11 * SECOND), 0);
    HF_CHECK_INT(hf_breaker_run(b), 4);

    hf_breaker_override(b, HF_METRICS_ONLY, SECOND);
    calls(7, HF_FAILURE, SECOND);
    HF_CHECK_INT(hf_breaker_failures_in_a_row(b, SECOND), 7);

    hf_breaker_override(b, HF_HALF_OPEN, SECOND);
    calls(2, HF_SUCCESS, SECOND);
    HF_CHECK_INT(hf_breaker_run(b), 2);
    HF_CHECK_INT(hf_breaker_failures_in_a_row(b, SECOND), 0);
}

/* CB-04: near both ends of an opening it is not sure, so whoever asks must know the time exactly. */
HF_TEST(by_a_rough_time_it_refuses_only_amid_an_opening_or_forced)
{
    uint64_t rejected = 0;
    begin();
    HF_CHECK_INT(hf_breaker_refuse_fast(b, 0, SECOND), 0);
    break_at(100 * SECOND);
    for (int64_t since = -70; since <= 70; since++) {
        bool amid = since > 1 && since < 59;
        HF_CHECK_INT(hf_breaker_refuse_fast(b, (100 + since) * SECOND, SECOND),
                     amid ? (60 - since) * SECOND : 0);
        rejected += amid;
    }
    hf_breaker_override(b, HF_HALF_OPEN, 0);
    HF_CHECK_INT(hf_breaker_refuse_fast(b, 0, 0), 0);
    HF_CHECK_INT(count_of(&b->rejected), rejected);
    hf_breaker_override(b, HF_FORCED_OPEN, 0);
    HF_CHECK_INT(hf_breaker_refuse_fast(b, 0, INT64_MAX), -1);
    HF_CHECK_INT(count_of(&b->rejected), rejected + 1);
}

/* CB-04: an opening whose maker was held up before its deadline is the slow way's to mend. */
HF_TEST(by_a_rough_time_it_leaves_an_opening_under_way_alone)
{
    begin();
    break_at(100 * SECOND);
    hf_store_relaxed(&b->until_ns, HF__OPENING(1));
    HF_CHECK_INT(hf_breaker_refuse_fast(b, 130 * SECOND, SECOND), 0);
    HF_CHECK(refuses(130 * SECOND));
    HF_CHECK_INT(hf_breaker_refuse_fast(b, 140 * SECOND, SECOND), 50 * SECOND);
}

/* D-CB-9: what a refusal says is what was decided, not what the breaker has become since. */
HF_TEST(a_refusal_names_the_state_that_refused)
{
    hf_breaker_permit permit;
    hf_change change;
    begin();
    hf_breaker_override(b, HF_FORCED_OPEN, 0);
    HF_CHECK(!ask(0, &permit, &change));
    HF_CHECK_INT(change.refused_by, HF_FORCED_OPEN);
    hf_breaker_override(b, HF_OPEN, 0);
    HF_CHECK(!ask(0, &permit, &change));
    HF_CHECK_INT(change.refused_by, HF_OPEN);
    for (int i = 0; i < 3; i++)
        enter(60 * SECOND);
    HF_CHECK(!ask(60 * SECOND, &permit, &change));
    HF_CHECK_INT(change.refused_by, HF_HALF_OPEN);
}
