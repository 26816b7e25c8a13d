/*
 * Real threads that enter, queue, give up and leave while the limit changes: never more inside than
 * allowed, nobody lost, and no waiter for whom there is room and whom nobody lets in.
 *
 * A grant is handed over through a plain count of grants that are there to be taken up; the order
 * among waiters is the waiting room's affair, not the kernel's.
 */
#include "bulkhead_crowd.h"

HF_TEST(never_more_than_the_limit_are_inside) /* BH-01, trap 36 */
{
    crowd c = {.limit = 2, .rounds = hf_threads_rounds(60000)};
    let_them_come(&c);
    HF_CHECK_INT(hf_load_relaxed(&c.overcrowded), 0);
    HF_CHECK(hf_load_relaxed(&c.refused) > 0);
}

HF_TEST(whoever_waits_gets_in) /* BH-02, trap 33 */
{
    crowd c = {.limit = 1, .max_waiting = THREADS, .rounds = hf_threads_rounds(20000)};
    let_them_come(&c);
    HF_CHECK_INT(hf_load_relaxed(&c.overcrowded), 0);
    HF_CHECK_INT(hf_load_relaxed(&c.stranded), 0);
    HF_CHECK_INT(hf_load_relaxed(&c.refused), 0);
    HF_CHECK_INT(hf_load_relaxed(&subject.real.completed), THREADS * c.rounds);
}

HF_TEST(waiters_who_give_up_take_nobody_with_them) /* traps 32, 33 */
{
    crowd c = {.limit = 2, .max_waiting = 3, .patience = 3, .rounds = hf_threads_rounds(40000)};
    let_them_come(&c);
    HF_CHECK_INT(hf_load_relaxed(&c.overcrowded), 0);
    HF_CHECK_INT(hf_load_relaxed(&c.stranded), 0);
}

HF_TEST(a_limit_that_changes_all_the_time_strands_nobody) /* trap 37 */
{
    crowd c = {.limit = 3,
               .max_waiting = THREADS,
               .patience = 1000,
               .resizes = true,
               .rounds = hf_threads_rounds(20000)};
    let_them_come(&c);
    HF_CHECK_INT(hf_load_relaxed(&c.overcrowded), 0);
    HF_CHECK_INT(hf_load_relaxed(&c.stranded), 0);
}

static void
leave_too_often(void *unused, int t)
{
    bool waiters;
    for (long i = 0; i < hf_threads_rounds(20000); i++) {
        if (t % 2 == 0)
            (void)hf_bulkhead_try_enter(&subject.real);
        (void)hf_bulkhead_leave(&subject.real, &waiters);
        HF_CHECK(inside() <= 3);
    }
}

HF_TEST(leaving_too_often_makes_no_room) /* trap 34 */
{
    open_bulkhead(false, 3, 0);
    hf_threads_run(THREADS, leave_too_often, NULL);
    HF_CHECK(hf_load_relaxed(&subject.real.over_released) > 0);
    HF_CHECK_INT(inside(), inside_by_counters());
}
