/* Contract of hf_component.h: downtime goes on by itself, never falls, and ends with the state. */
#include "hf_test.h"

#include "holdfast/hf_figures.h"

static hf_component
fresh(bool own_clock)
{
    hf_component k;
    memset(&k, 0xFF, sizeof k);
    hf_component_init(&k, own_clock);
    return k;
}

HF_TEST(it_begins_stopped_and_has_not_been_down)
{
    hf_component k = fresh(false);
    HF_CHECK_INT(hf_load_relaxed(&k.state), HF_COMPONENT_STOPPED);
    HF_CHECK_INT(hf_component_down_ns(&k, INT64_MAX), 0);
    HF_CHECK_INT(hf_component_down_ns(&k, INT64_MIN), 0);
}

HF_TEST(downtime_goes_on_though_nobody_looks) /* MX-28 */
{
    hf_component k = fresh(false);
    hf_component_be(&k, HF_COMPONENT_UP, 100);
    hf_component_be(&k, HF_COMPONENT_DOWN, 110);
    HF_CHECK_INT(hf_component_down_ns(&k, 110), 0);
    HF_CHECK_INT(hf_component_down_ns(&k, 117), 7);
    hf_component_be(&k, HF_COMPONENT_UP, 120);
    HF_CHECK_INT(hf_component_down_ns(&k, 1000), 10);
    hf_component_be(&k, HF_COMPONENT_DOWN, 1000);
    HF_CHECK_INT(hf_component_down_ns(&k, 1005), 15);
}

HF_TEST(it_is_down_while_it_cools_down_and_once_it_is_given_up)
{
    hf_component k = fresh(false);
    hf_component_be(&k, HF_COMPONENT_DOWN, 0);
    hf_component_be(&k, HF_COMPONENT_COOLING, 10);
    HF_CHECK_INT(hf_component_down_ns(&k, 30), 30);
    hf_component_be(&k, HF_COMPONENT_GIVEN_UP, 40);
    HF_CHECK_INT(hf_component_down_ns(&k, 50), 50);
    hf_component_be(&k, HF_COMPONENT_STOPPED, 60);
    HF_CHECK_INT(hf_component_down_ns(&k, 90), 60);
}

HF_TEST(a_time_from_before_the_last_change_shows_the_downtime_at_that)
{
    hf_component k = fresh(false);
    hf_component_be(&k, HF_COMPONENT_DOWN, 10);
    hf_component_be(&k, HF_COMPONENT_UP, 30);
    hf_component_be(&k, HF_COMPONENT_DOWN, 50);
    HF_CHECK_INT(hf_component_down_ns(&k, 45), 20);
    hf_component_be(&k, HF_COMPONENT_UP, 40); /* late in telling: no downtime is taken back */
    HF_CHECK_INT(hf_component_down_ns(&k, 90), 20);
}

HF_TEST(times_below_zero_and_at_the_ends_are_times)
{
    hf_component k = fresh(false);
    hf_component_be(&k, HF_COMPONENT_DOWN, -50);
    HF_CHECK_INT(hf_component_down_ns(&k, -20), 30);
    HF_CHECK_INT(hf_component_down_ns(&k, 50), 100);
    k = fresh(false);
    hf_component_be(&k, HF_COMPONENT_DOWN, INT64_MAX - 5);
    HF_CHECK_INT(hf_component_down_ns(&k, INT64_MAX), 5);
}

HF_TEST(with_a_clock_of_its_own_downtime_is_as_of_the_last_time_that_is_known)
{
    hf_component k = fresh(true);
    hf_component_be(&k, HF_COMPONENT_DOWN, 10);
    HF_CHECK_INT(hf_component_down_ns(&k, 99999), 0);
    hf_component_look(&k, 25);
    hf_component_look(&k, 20); /* older: nothing is forgotten */
    HF_CHECK_INT(hf_component_down_ns(&k, 99999), 15);
    hf_component_be(&k, HF_COMPONENT_UP, 40);
    hf_component_look(&k, 90);
    HF_CHECK_INT(hf_component_down_ns(&k, 0), 30);
}

HF_TEST(each_event_has_its_place_in_the_figures)
{
    hf_component k = fresh(false);
    uint64_t out[HF_FIGURES_MOST];
    for (unsigned event = 0; event < HF_COMPONENT_EVENTS; event++)
        for (unsigned times = 0; times <= event; times++)
            hf_component_count(&k, (hf_component_event)event);
    hf_component_be(&k, HF_COMPONENT_COOLING, 100);
    HF_CHECK_INT(hf_component_figures(&k, 103, out), HF_COMPONENT_COUNTS + 1);
    HF_CHECK_INT(out[HF_AT_COMPONENT_attempts], 1);
    HF_CHECK_INT(out[HF_AT_COMPONENT_recovered], 2);
    HF_CHECK_INT(out[HF_AT_COMPONENT_failed], 3);
    HF_CHECK_INT(out[HF_AT_COMPONENT_restarted], 4);
    HF_CHECK_INT(out[HF_AT_COMPONENT_escalated], 5);
    HF_CHECK_INT(out[HF_AT_COMPONENT_down_ns], 3);
    HF_CHECK_INT(out[HF_COMPONENT_COUNTS], HF_COMPONENT_COOLING);
}

HF_TEST(a_forked_child_has_counted_nothing_and_runs_nothing) /* trap 58 */
{
    hf_component k = fresh(false);
    uint64_t out[HF_FIGURES_MOST];
    for (unsigned event = 0; event < HF_COMPONENT_EVENTS; event++)
        hf_component_count(&k, (hf_component_event)event);
    hf_component_be(&k, HF_COMPONENT_DOWN, 10);
    hf_component_be(&k, HF_COMPONENT_UP, 20);
    hf_component_be(&k, HF_COMPONENT_DOWN, 30);
    hf_component_forget(&k);
    for (size_t at = 0, numbers = hf_component_figures(&k, 90, out); at < numbers; at++)
        HF_CHECK_INT(out[at], 0);
    hf_component_be(&k, HF_COMPONENT_DOWN, 100);
    HF_CHECK_INT(hf_component_down_ns(&k, 104), 4);
}

HF_TEST(words_of_a_damaged_file_show_a_state_that_there_is)
{
    hf_component k;
    uint64_t out[HF_FIGURES_MOST];
    memset(&k, 0x7B, sizeof k);
    k.own_clock = false;
    hf_component_figures(&k, INT64_MAX, out);
    HF_CHECK(out[HF_COMPONENT_COUNTS] < HF_COMPONENT_STATES);
}
