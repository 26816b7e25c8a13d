/* Real threads find out wrong/wrong_slot.h too, by what stress_slot.c asks of the real one. */
#include "slot_crowd.h"

/* trap 23. */
HF_TEST(a_count_of_another_epoch_is_found_by_real_threads)
{
    HF_CHECK(!epochs_stay_apart(true, hf_threads_rounds(100 * 1000 * 1000)));
}
