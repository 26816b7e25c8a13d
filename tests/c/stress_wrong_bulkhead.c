/* Real threads find out wrong/wrong_bulkhead.h too, by what stress_bulkhead.c asks of the real one. */
#include "bulkhead_crowd.h"

/* trap 36. */
HF_TEST(too_many_inside_are_found_by_real_threads)
{
    crowd c = {.limit = 1, .rounds = hf_threads_rounds(100 * 1000 * 1000), .wrong = true};
    let_them_come(&c);
    HF_CHECK(hf_load_relaxed(&c.overcrowded) > 0);
}

/* trap 33. */
HF_TEST(a_waiter_whom_nobody_wakes_is_found_by_real_threads)
{
    bool stranded = false;
    for (int i = 0; i < 10000 && !stranded; i++) {
        crowd c = {.threads = 3,
                   .limit = 1,
                   .max_waiting = 3,
                   .rounds = hf_threads_rounds(20000),
                   .too_long = 500,
                   .wrong = true};
        let_them_come(&c);
        stranded =
            waiting() - 1 < 3 && inside() < limit(); /* one to three wait, and there is room */
    }
    HF_CHECK(stranded);
}
