/* Real threads over one slot: nothing that was added is lost, and no epoch sees another's count. */
#include "slot_crowd.h"

static hf_slot slot;
static hf_au64 latest;
static long rounds;

/* trap 23. */
HF_TEST(no_reader_meets_the_count_of_another_epoch)
{
    HF_CHECK(epochs_stay_apart(false, hf_threads_rounds(200000)));
}

static void
add_three_and_take_back_one(void *shared, int index)
{
    const uint64_t epoch = *(const uint64_t *)shared;
    for (long i = 0; i < rounds; i++) {
        HF_CHECK(add_or_begin(&slot, &latest, 1, epoch, 3));
        HF_CHECK(hf_slot_read(&slot, 1, epoch) >= 3);
        HF_CHECK_INT(hf_slot_read(&slot, 1, epoch - 1), 0);
        hf_slot_take_back(&slot, 1, epoch, 1);
        hf_slot_take_back(&slot, 1, epoch - 1, 1); /* of an epoch that is over: nothing */
    }
}

/* trap 28. */
HF_TEST(what_is_added_and_not_taken_back_is_there)
{
    rounds = hf_threads_rounds(100000);
    hf_store_relaxed(&slot.word, 0);
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        uint64_t expected = (uint64_t)rounds * CROWD * 2;
        hf_store_relaxed(&latest, epoch);
        hf_threads_run(CROWD, add_three_and_take_back_one, &epoch);
        HF_CHECK_INT(hf_slot_read(&slot, 1, epoch),
                     expected < HF_SLOT_MOST ? expected : HF_SLOT_MOST);
    }
}
