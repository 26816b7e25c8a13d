/* Contract of hf_bulkhead.h: counting, queueing, and who must be let in when. */
#include "hf_test.h"

#include "holdfast/hf_bulkhead.h"

static hf_bulkhead
bulkhead(uint32_t limit, uint32_t max_waiting)
{
    hf_bulkhead bh;
    hf_bulkhead_init(&bh, limit, max_waiting);
    return bh;
}

/* What is inside, by what came and went. */
static uint64_t
inside_by_counters(const hf_bulkhead *bh)
{
    return hf_load_relaxed(&bh->admitted) - hf_load_relaxed(&bh->completed) -
           hf_load_relaxed(&bh->undone);
}

HF_TEST(it_opens_empty_as_it_was_configured)
{
    const uint32_t sizes[] = {1, 2, 100, HF_BULKHEAD_MAX - 1, HF_BULKHEAD_MAX};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        hf_bulkhead bh = bulkhead(sizes[i], HF_BULKHEAD_MAX - sizes[i]);
        HF_CHECK_INT(hf_bulkhead_limit(&bh), sizes[i]);
        HF_CHECK_INT(hf_bulkhead_max_waiting(&bh), HF_BULKHEAD_MAX - sizes[i]);
        HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 0);
        HF_CHECK_INT(hf_bulkhead_waiting(&bh), 0);
        HF_CHECK_INT(inside_by_counters(&bh), 0);
    }
}

HF_TEST(it_takes_the_limit_and_not_one_more) /* BH-01 */
{
    hf_bulkhead bh = bulkhead(3, 0);
    for (int i = 0; i < 3; i++)
        HF_CHECK(hf_bulkhead_try_enter(&bh));
    HF_CHECK(!hf_bulkhead_try_enter(&bh));
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 3);
    bool waiters = true;
    HF_CHECK(hf_bulkhead_leave(&bh, &waiters));
    HF_CHECK(!waiters);
    HF_CHECK(hf_bulkhead_try_enter(&bh));
    HF_CHECK(!hf_bulkhead_try_enter(&bh));
}

HF_TEST(a_slot_first_then_the_queue_then_refusal) /* BH-02 */
{
    hf_bulkhead bh = bulkhead(2, 3);
    for (int i = 0; i < 2; i++)
        HF_CHECK_INT(hf_bulkhead_enter_or_queue(&bh), HF_ENTERED);
    for (int i = 0; i < 3; i++)
        HF_CHECK_INT(hf_bulkhead_enter_or_queue(&bh), HF_QUEUED);
    for (int i = 0; i < 4; i++)
        HF_CHECK_INT(hf_bulkhead_enter_or_queue(&bh), HF_FULL);
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 2);
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), 3);
    HF_CHECK_INT(hf_load_relaxed(&bh.admitted), 2);
    HF_CHECK_INT(hf_load_relaxed(&bh.rejected), 4);
}

HF_TEST(without_a_queue_nobody_waits)
{
    hf_bulkhead bh = bulkhead(1, 0);
    HF_CHECK_INT(hf_bulkhead_enter_or_queue(&bh), HF_ENTERED);
    HF_CHECK_INT(hf_bulkhead_enter_or_queue(&bh), HF_FULL);
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), 0);
    HF_CHECK(!hf_bulkhead_grant(&bh));
}

HF_TEST(a_slot_that_comes_free_goes_to_who_waits) /* BH-02 */
{
    hf_bulkhead bh = bulkhead(1, 2);
    bool waiters = false;
    hf_bulkhead_enter_or_queue(&bh);
    hf_bulkhead_enter_or_queue(&bh);
    hf_bulkhead_enter_or_queue(&bh);
    HF_CHECK(!hf_bulkhead_grant(&bh)); /* no room yet */
    HF_CHECK(hf_bulkhead_leave(&bh, &waiters));
    HF_CHECK(waiters);
    HF_CHECK(hf_bulkhead_grant(&bh));
    HF_CHECK(!hf_bulkhead_grant(&bh)); /* one slot, one grant */
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 1);
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), 1);
    HF_CHECK_INT(hf_load_relaxed(&bh.waited), 1);
    HF_CHECK_INT(hf_load_relaxed(&bh.admitted), 2);
}

HF_TEST(nobody_overtakes_the_queue_while_a_slot_is_handed_over)
{
    hf_bulkhead bh = bulkhead(1, 3);
    bool waiters = false;
    hf_bulkhead_enter_or_queue(&bh);
    hf_bulkhead_enter_or_queue(&bh);
    hf_bulkhead_leave(&bh, &waiters); /* room, and a waiter not granted yet */
    HF_CHECK(!hf_bulkhead_try_enter(&bh));
    HF_CHECK(!hf_bulkhead_enter_if_room(&bh));
    HF_CHECK_INT(hf_bulkhead_enter_or_queue(&bh), HF_QUEUED);
    HF_CHECK(hf_bulkhead_grant(&bh));
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), 1);
}

HF_TEST(a_question_before_queueing_is_not_a_rejection)
{
    hf_bulkhead bh = bulkhead(1, 1);
    HF_CHECK(hf_bulkhead_enter_if_room(&bh));
    HF_CHECK(!hf_bulkhead_enter_if_room(&bh));
    HF_CHECK_INT(hf_load_relaxed(&bh.rejected), 0);
    HF_CHECK(!hf_bulkhead_try_enter(&bh));
    HF_CHECK_INT(hf_load_relaxed(&bh.rejected), 1);
}

HF_TEST(a_waiter_who_gives_up_is_never_granted) /* trap 33 */
{
    hf_bulkhead bh = bulkhead(1, 2);
    bool waiters = true;
    hf_bulkhead_enter_or_queue(&bh);
    hf_bulkhead_enter_or_queue(&bh);
    HF_CHECK(hf_bulkhead_unqueue(&bh));
    HF_CHECK(hf_bulkhead_leave(&bh, &waiters));
    HF_CHECK(!waiters);
    HF_CHECK(!hf_bulkhead_grant(&bh));
    HF_CHECK(hf_bulkhead_try_enter(&bh)); /* and his place in the queue blocks nobody */
    HF_CHECK_INT(inside_by_counters(&bh), 1);
}

HF_TEST(a_waiter_granted_too_late_passes_the_slot_on) /* traps 33, 35 */
{
    hf_bulkhead bh = bulkhead(1, 2);
    bool waiters = false;
    for (int i = 0; i < 3; i++)
        hf_bulkhead_enter_or_queue(&bh);
    hf_bulkhead_leave(&bh, &waiters);
    HF_CHECK(hf_bulkhead_grant(&bh)); /* to the first waiter, who has just been cancelled */
    HF_CHECK(hf_bulkhead_undo(&bh, &waiters));
    HF_CHECK(waiters);
    HF_CHECK(hf_bulkhead_grant(&bh));
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 1);
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), 0);
    HF_CHECK_INT(hf_load_relaxed(&bh.completed), 1);
    HF_CHECK_INT(hf_load_relaxed(&bh.undone), 1);
    HF_CHECK_INT(inside_by_counters(&bh), 1);
}

HF_TEST(leaving_twice_makes_no_room_that_was_not_there) /* trap 34 */
{
    hf_bulkhead bh = bulkhead(2, 0);
    bool waiters = true;
    HF_CHECK(!hf_bulkhead_leave(&bh, &waiters));
    HF_CHECK(!waiters);
    HF_CHECK(hf_bulkhead_try_enter(&bh));
    HF_CHECK(hf_bulkhead_leave(&bh, &waiters));
    for (int i = 0; i < 5; i++) {
        HF_CHECK(!hf_bulkhead_leave(&bh, &waiters));
        HF_CHECK(!hf_bulkhead_undo(&bh, &waiters));
    }
    HF_CHECK_INT(hf_load_relaxed(&bh.over_released), 11);
    HF_CHECK_INT(hf_load_relaxed(&bh.completed), 1);
    HF_CHECK(hf_bulkhead_try_enter(&bh));
    HF_CHECK(hf_bulkhead_try_enter(&bh));
    HF_CHECK(!hf_bulkhead_try_enter(&bh));
}

HF_TEST(giving_up_without_waiting_changes_nothing)
{
    hf_bulkhead bh = bulkhead(2, 2);
    hf_bulkhead_try_enter(&bh);
    HF_CHECK(!hf_bulkhead_unqueue(&bh));
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 1);
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), 0);
}

HF_TEST(growing_says_that_waiters_can_come_in) /* trap 37: stranded waiters */
{
    hf_bulkhead bh = bulkhead(1, 5);
    for (int i = 0; i < 6; i++)
        hf_bulkhead_enter_or_queue(&bh);
    HF_CHECK(hf_bulkhead_resize(&bh, 3));
    HF_CHECK(hf_bulkhead_grant(&bh));
    HF_CHECK(hf_bulkhead_grant(&bh));
    HF_CHECK(!hf_bulkhead_grant(&bh));
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 3);
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), 3);
    HF_CHECK(!hf_bulkhead_resize(&bh, 3));
}

HF_TEST(growing_an_unused_one_wakes_nobody)
{
    hf_bulkhead bh = bulkhead(1, 5);
    HF_CHECK(!hf_bulkhead_resize(&bh, 2));
    hf_bulkhead_try_enter(&bh);
    hf_bulkhead_try_enter(&bh);
    HF_CHECK(!hf_bulkhead_resize(&bh, 4));
}

HF_TEST(shrinking_turns_nobody_out_and_lets_nobody_in_until_they_are_fewer) /* trap 37 */
{
    hf_bulkhead bh = bulkhead(4, 2);
    bool waiters = true;
    for (int i = 0; i < 4; i++)
        HF_CHECK(hf_bulkhead_try_enter(&bh));
    HF_CHECK(!hf_bulkhead_resize(&bh, 2)); /* at once: it does not wait for them */
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 4);
    HF_CHECK_INT(hf_bulkhead_enter_or_queue(&bh), HF_QUEUED);
    for (int left = 3; left >= 2; left--) {
        HF_CHECK(hf_bulkhead_leave(&bh, &waiters));
        HF_CHECK(!waiters); /* a waiter, but no room */
        HF_CHECK(!hf_bulkhead_grant(&bh));
        HF_CHECK_INT(hf_bulkhead_in_flight(&bh), left);
    }
    HF_CHECK(hf_bulkhead_leave(&bh, &waiters));
    HF_CHECK(waiters);
    HF_CHECK(hf_bulkhead_grant(&bh));
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 2);
}

HF_TEST(a_limit_changed_a_thousand_times_is_the_last_one)
{
    hf_bulkhead bh = bulkhead(7, 3);
    hf_bulkhead_try_enter(&bh);
    for (uint32_t i = 1; i <= 1000; i++) {
        uint32_t limit = 1 + i * 2654435761u % HF_BULKHEAD_MAX;
        hf_bulkhead_resize(&bh, limit);
        HF_CHECK_INT(hf_bulkhead_limit(&bh), limit);
        HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 1);
        HF_CHECK_INT(hf_bulkhead_waiting(&bh), 0);
    }
}

HF_TEST(observed_calls_may_exceed_the_limit_and_are_counted)
{
    hf_bulkhead bh = bulkhead(1, 0);
    bool waiters = false;
    for (int i = 0; i < 5; i++)
        HF_CHECK(hf_bulkhead_force_enter(&bh));
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 5);
    HF_CHECK(!hf_bulkhead_try_enter(&bh));
    for (int i = 0; i < 5; i++)
        HF_CHECK(hf_bulkhead_leave(&bh, &waiters));
    HF_CHECK(!hf_bulkhead_leave(&bh, &waiters));
    HF_CHECK(hf_bulkhead_try_enter(&bh));
}

HF_TEST(no_field_of_the_word_runs_over_into_the_next)
{
    hf_bulkhead bh = bulkhead(HF_BULKHEAD_MAX, HF_BULKHEAD_MAX);
    hf_bulkhead_init(&bh, HF_BULKHEAD_MAX, HF_BULKHEAD_MAX);
    for (uint32_t i = 0; i < HF_BULKHEAD_MAX; i++)
        HF_REQUIRE(hf_bulkhead_enter_or_queue(&bh) == HF_ENTERED);
    for (uint32_t i = 0; i < HF_BULKHEAD_MAX; i++)
        HF_REQUIRE(hf_bulkhead_enter_or_queue(&bh) == HF_QUEUED);
    HF_CHECK_INT(hf_bulkhead_enter_or_queue(&bh), HF_FULL);
    uint32_t forced = 0;
    while (hf_bulkhead_force_enter(&bh))
        forced++;
    HF_CHECK_INT(forced, HF_BULKHEAD_MAX + 1);
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 2 * HF_BULKHEAD_MAX + 1);
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), HF_BULKHEAD_MAX);
    HF_CHECK_INT(hf_bulkhead_limit(&bh), HF_BULKHEAD_MAX);
}

HF_TEST(a_forked_child_starts_empty_with_the_same_limit) /* traps 46, 58 */
{
    hf_bulkhead bh = bulkhead(2, 3);
    bool waiters = true;
    for (int i = 0; i < 4; i++)
        hf_bulkhead_enter_or_queue(&bh);
    hf_bulkhead_forget(&bh);
    HF_CHECK_INT(hf_bulkhead_in_flight(&bh), 0);
    HF_CHECK_INT(hf_bulkhead_waiting(&bh), 0);
    HF_CHECK_INT(hf_bulkhead_limit(&bh), 2);
    HF_CHECK_INT(hf_load_relaxed(&bh.admitted), 0);
    HF_CHECK_INT(hf_load_relaxed(&bh.waited), 0);
    HF_CHECK_INT(inside_by_counters(&bh), 0);
    HF_CHECK(!hf_bulkhead_leave(&bh, &waiters)); /* the parent's permit, dropped in the child */
    HF_CHECK(!waiters);
    HF_CHECK(hf_bulkhead_try_enter(&bh));
    HF_CHECK(hf_bulkhead_try_enter(&bh));
    HF_CHECK(!hf_bulkhead_try_enter(&bh));
}

HF_TEST(a_bulkhead_is_small_and_works_wherever_its_bytes_are)
{
    hf_bulkhead bh = bulkhead(2, 1), moved;
    hf_bulkhead_try_enter(&bh);
    memcpy(&moved, &bh, sizeof bh);
    memset(&bh, 0xFF, sizeof bh);
    HF_CHECK(hf_bulkhead_try_enter(&moved));
    HF_CHECK(!hf_bulkhead_try_enter(&moved));
    HF_CHECK(sizeof(hf_bulkhead) <= 256);
}
