/* Real threads find out wrong/wrong_failure_rate.h too, by what stress_failure_rate.c asks. */
#include "failure_rate_crowd.h"

HF_TEST(a_lost_attempt_is_found_by_real_threads)
{
    HF_CHECK(!all_are_counted(true, hf_threads_rounds(1000 * 1000)));
}
