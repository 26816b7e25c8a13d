/* Contract of hf_check.h: runs of results move the state, and nothing else does. */
#include "hf_test.h"

#include "holdfast/hf_check.h"

enum { SECOND = 1000000000 };

static hf_check
check(uint32_t failures, uint32_t successes, int64_t start_period_ns)
{
    hf_check c;
    memset(&c, 0xFF, sizeof c);
    hf_check_init(&c, failures, successes, start_period_ns);
    return c;
}

/* p: passed, d: degraded, f: failed, ?: unproven; a second apart from the start on. */
static void
play(hf_check *c, const char *results)
{
    const char verdicts[] = "pdf?";
    hf_check_start(c, 0);
    for (int64_t i = 0; results[i]; i++)
        hf_check_record(c, (unsigned)(strchr(verdicts, results[i]) - verdicts), i * SECOND, 1);
}

static unsigned
after(uint32_t failures, uint32_t successes, const char *results)
{
    hf_check c = check(failures, successes, 0);
    play(&c, results);
    return hf_check_state_of(hf_check_word(&c));
}

HF_TEST(it_is_unknown_until_it_was_checked) /* D-HC-3 */
{
    hf_check c = check(1, 1, 0);
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNKNOWN);
    HF_CHECK(hf_check_is_pending(&c, hf_check_word(&c)));
    HF_CHECK_INT(hf_load_relaxed(&c.last_ns), INT64_MIN);
    HF_CHECK_INT(after(3, 2, "ff"), HF_CHECK_UNKNOWN);
}

HF_TEST(one_pass_makes_a_new_check_healthy_and_one_degraded_result_degraded)
{
    HF_CHECK_INT(after(3, 9, "ffp"), HF_CHECK_HEALTHY);
    HF_CHECK_INT(after(3, 9, "ffd"), HF_CHECK_DEGRADED);
}

HF_TEST(failures_in_a_row_make_it_unhealthy_and_fewer_do_not) /* D-HC-3 */
{
    HF_CHECK_INT(after(3, 1, "pffpffpff"), HF_CHECK_HEALTHY);
    HF_CHECK_INT(after(3, 1, "pfff"), HF_CHECK_UNHEALTHY);
    HF_CHECK_INT(after(3, 1, "fff"), HF_CHECK_UNHEALTHY);
    HF_CHECK_INT(after(1, 1, "pf"), HF_CHECK_UNHEALTHY);
}

HF_TEST(passes_in_a_row_make_it_healthy_again_and_fewer_do_not) /* HC-08 */
{
    HF_CHECK_INT(after(1, 3, "pfppfpp"), HF_CHECK_UNHEALTHY);
    HF_CHECK_INT(after(1, 3, "pfppp"), HF_CHECK_HEALTHY);
}

HF_TEST(results_in_a_row_that_are_no_pass_make_it_degraded)
{
    HF_CHECK_INT(after(3, 1, "pdfd"), HF_CHECK_DEGRADED);
    HF_CHECK_INT(after(3, 1, "pddpdd"), HF_CHECK_HEALTHY);
    HF_CHECK_INT(after(3, 2, "pdddfff"), HF_CHECK_UNHEALTHY);
    HF_CHECK_INT(after(3, 2, "pdddpdp"), HF_CHECK_DEGRADED);
    HF_CHECK_INT(after(3, 2, "pdddpp"), HF_CHECK_HEALTHY);
}

HF_TEST(what_answers_again_in_a_degraded_way_is_degraded_first)
{
    HF_CHECK_INT(after(1, 2, "fd"), HF_CHECK_UNHEALTHY);
    HF_CHECK_INT(after(1, 2, "fdp"), HF_CHECK_DEGRADED);
    HF_CHECK_INT(after(1, 2, "fdpp"), HF_CHECK_HEALTHY);
}

HF_TEST(what_proves_nothing_touches_no_run) /* trap 62 */
{
    HF_CHECK_INT(after(3, 1, "pf?f??f"), HF_CHECK_UNHEALTHY);
    HF_CHECK_INT(after(1, 3, "pfp?p?p"), HF_CHECK_HEALTHY);
    HF_CHECK_INT(after(1, 1, "p?????????"), HF_CHECK_HEALTHY);
}

HF_TEST(what_proves_nothing_counts_in_the_end) /* trap 62 */
{
    hf_check c = check(3, 1, 0);
    play(&c, "p?????????"); /* nine */
    HF_CHECK_INT(hf_check_record(&c, HF_CHECK_UNPROVEN, SECOND, 0).happened, true);
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNKNOWN);
    HF_CHECK(!hf_check_is_pending(&c, hf_check_word(&c)));
    for (int i = 0; i < 5000; i++)
        HF_CHECK(!hf_check_record(&c, HF_CHECK_UNPROVEN, SECOND, 0).happened);
    HF_CHECK_INT(hf_check_record(&c, HF_CHECK_PASSED, SECOND, 0).to, HF_CHECK_HEALTHY);
    for (int i = 0; i < 9; i++)
        HF_CHECK(!hf_check_record(&c, HF_CHECK_UNPROVEN, SECOND, 0).happened);

    c = check(20, 1, 0); /* never by fewer than could make it unhealthy */
    play(&c, "p????????????????????");
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_HEALTHY);
    HF_CHECK(hf_check_record(&c, HF_CHECK_UNPROVEN, SECOND, 0).happened);
}

HF_TEST(failures_while_it_starts_up_do_not_count_until_something_answers)
{
    hf_check c = check(2, 1, 5 * (int64_t)SECOND);
    play(&c, "fffff");
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNKNOWN);
    HF_CHECK_INT(hf_check_failures(hf_check_word(&c)), 0);
    HF_CHECK_INT(hf_load_relaxed(&c.failed), 5);
    play(&c, "ffffff");
    HF_CHECK_INT(hf_check_failures(hf_check_word(&c)), 1);
    play(&c, "fffffff");
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNHEALTHY);
    play(&c, "pff");
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNHEALTHY);
    play(&c, "d?ff");
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNHEALTHY);
}

HF_TEST(a_start_forgets_state_and_runs) /* D-HC-2, trap 61 */
{
    hf_check c = check(3, 1, 0);
    play(&c, "pff");
    const hf_check_change change = hf_check_start(&c, 10 * (int64_t)SECOND);
    HF_CHECK(change.happened && change.from == HF_CHECK_HEALTHY && change.to == HF_CHECK_UNKNOWN);
    hf_check_record(&c, HF_CHECK_FAILED, 11 * (int64_t)SECOND, 0);
    HF_CHECK_INT(hf_check_failures(hf_check_word(&c)), 1);
    HF_CHECK(!hf_check_start(&c, 12 * (int64_t)SECOND).happened);
    HF_CHECK_INT(hf_check_failures(hf_check_word(&c)), 0);
    HF_CHECK_INT(hf_load_relaxed(&c.failed), 3);
}

HF_TEST(a_result_of_an_earlier_life_is_counted_and_decides_nothing) /* trap 65 */
{
    hf_check c = check(1, 1, 0);
    hf_check_start(&c, 100);
    HF_CHECK(!hf_check_record(&c, HF_CHECK_PASSED, 99, 50).happened);
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNKNOWN);
    HF_CHECK_INT(hf_load_relaxed(&c.passed), 1);
    HF_CHECK(hf_check_record(&c, HF_CHECK_PASSED, 100, 50).happened);
}

HF_TEST(a_change_is_under_way_while_a_run_may_move_the_state)
{
    static const struct {
        const char *results;
        bool pending;
    } cases[] = {{"p", false},   {"pf", true},   {"pd", true},   {"pp", false},  {"pff", false},
                 {"pffp", true}, {"pffd", true}, {"pdd", false}, {"pddp", true}, {"pddpd", false},
                 {"pddf", true}, {"f", true},    {"?", true},    {"pf?", true},  {"pffff?", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hf_check c = check(2, 3, 0);
        play(&c, cases[i].results);
        if (hf_check_is_pending(&c, hf_check_word(&c)) != cases[i].pending)
            HF__BROKEN("%s", cases[i].results);
    }
}

HF_TEST(runs_that_are_long_show_the_longest_there_is)
{
    hf_check c = check(3, 1, 0);
    for (int i = 0; i < HF__CHECK_RUN + 10; i++)
        hf_check_record(&c, HF_CHECK_FAILED, 0, 0);
    HF_CHECK_INT(hf_check_failures(hf_check_word(&c)), HF__CHECK_RUN);
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNHEALTHY);
    HF_CHECK_INT(hf_check_record(&c, HF_CHECK_PASSED, 0, 0).to, HF_CHECK_HEALTHY);
}

HF_TEST(durations_are_of_results_that_prove_anything) /* HC-05, MX-11 */
{
    hf_check c = check(3, 1, 0);
    uint64_t upto[HF_HISTOGRAM_BUCKETS];
    hf_check_record(&c, HF_CHECK_PASSED, 0, 5000000);
    hf_check_record(&c, HF_CHECK_FAILED, 7, 5000001);
    hf_check_record(&c, HF_CHECK_LIMPED, 0, -1);
    hf_check_record(&c, HF_CHECK_UNPROVEN, 0, 60 * (int64_t)SECOND);
    hf_check_buckets(&c, upto);
    HF_CHECK_INT(upto[0], 2);
    HF_CHECK_INT(upto[1], 3);
    HF_CHECK_INT(upto[HF_HISTOGRAM_BUCKETS - 1], 3);
    HF_CHECK_INT(hf_load_relaxed(&c.sum_ns), 10000001);
    HF_CHECK_INT(hf_load_relaxed(&c.last_failure_ns), 5000008);
    HF_CHECK_INT(hf_load_relaxed(&c.last_pass_ns), 0);
    HF_CHECK_INT(hf_load_relaxed(&c.last_ns), 60 * (int64_t)SECOND);
    HF_CHECK_INT(hf_load_relaxed(&c.last_duration_ns), 60 * (int64_t)SECOND);
}

HF_TEST(a_forked_child_counts_from_zero_and_keeps_the_state) /* trap 58 */
{
    hf_check c = check(1, 1, 0);
    play(&c, "pdf?");
    hf_count(&c.abandoned, 1);
    hf_check_forget(&c);
    const uint64_t counted = hf_load_relaxed(&c.passed) + hf_load_relaxed(&c.limped) +
                             hf_load_relaxed(&c.failed) + hf_load_relaxed(&c.unproven) +
                             hf_load_relaxed(&c.abandoned) + hf_load_relaxed(&c.sum_ns) +
                             hf_load_relaxed(&c.cell[0]);
    HF_CHECK_INT(counted, 0);
    HF_CHECK_INT(hf_check_state_of(hf_check_word(&c)), HF_CHECK_UNHEALTHY);
}

HF_TEST(the_ends_of_time_are_times_as_any)
{
    hf_check c = check(1, 1, INT64_MAX);
    hf_check_start(&c, INT64_MIN);
    HF_CHECK(!hf_check_record(&c, HF_CHECK_FAILED, -2, INT64_MAX).happened);
    hf_check_start(&c, INT64_MAX);
    HF_CHECK(hf_check_record(&c, HF_CHECK_PASSED, INT64_MAX, INT64_MAX).happened);
    HF_CHECK_INT(hf_load_relaxed(&c.last_ns), INT64_MAX);
}
