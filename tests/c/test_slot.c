/* Contract of hf_slot.h: what counts, what is replaced, and who is turned away. */
#include "holdfast/hf_slot.h"

#include "hf_test.h"

static hf_slot slot;

static void
begin(uint64_t word)
{
    hf_store_relaxed(&slot.word, word);
}

static uint64_t
word(void)
{
    return hf_load_relaxed(&slot.word);
}

/* A weak CAS may fail for nothing, though not on every machine. */
static bool
replaced(uint64_t seen, uint64_t gen, uint64_t epoch, uint64_t n)
{
    for (int i = 0; i < 100; i++)
        if (hf_slot_replace(&slot, seen, gen, epoch, n))
            return true;
    return false;
}

HF_TEST(adds_of_one_epoch_accumulate)
{
    begin(0);
    HF_CHECK(hf_slot_add(&slot, 3, 70, 1));
    HF_CHECK(hf_slot_add(&slot, 3, 70, 41));
    HF_CHECK_INT(hf_slot_read(&slot, 3, 70), 42);
    HF_CHECK_INT(HF_SLOT_GEN(word()), 3);
    HF_CHECK_INT(HF_SLOT_EPOCH(word()), 70);
    HF_CHECK_INT(HF_SLOT_COUNT(word()), 42);
}

/* trap 23: the new epoch and its first count appear in one step; trap 27: nothing is carried over. */
HF_TEST(an_earlier_epoch_counts_as_nothing_and_is_replaced)
{
    begin(0);
    hf_slot_add(&slot, 0, 5, 100);
    HF_CHECK_INT(hf_slot_read(&slot, 0, 6), 0);
    HF_CHECK(hf_slot_add(&slot, 0, 6, 1));
    HF_CHECK_INT(hf_slot_read(&slot, 0, 6), 1);
    HF_CHECK_INT(hf_slot_read(&slot, 0, 5), 0);
}

HF_TEST(an_earlier_generation_counts_as_nothing_and_is_replaced)
{
    begin(0);
    hf_slot_add(&slot, 1, 5, 100);
    HF_CHECK_INT(hf_slot_read(&slot, 2, 5), 0);
    HF_CHECK(hf_slot_add(&slot, 2, 5, 7));
    HF_CHECK_INT(hf_slot_read(&slot, 2, 5), 7);
}

/* trap 25: a thread whose time or generation is behind does not wipe what came after. */
HF_TEST(who_comes_late_is_told_and_changes_nothing)
{
    begin(0);
    hf_slot_add(&slot, 9, 50, 4);
    const uint64_t before = word();
    HF_CHECK(!hf_slot_add(&slot, 9, 49, 1));
    HF_CHECK(!hf_slot_add(&slot, 200, 49, 1)); /* a later epoch wins, whatever the generations */
    HF_CHECK(!hf_slot_add(&slot, 8, 50, 1));
    HF_CHECK_INT(word(), before);
}

HF_TEST(generations_and_epochs_are_compared_round_the_wrap)
{
    begin(0);
    hf_slot_add(&slot, 255, 5, 1);
    HF_CHECK(hf_slot_add(&slot, 256, 5, 2)); /* 0 comes after 255 */
    HF_CHECK(!hf_slot_add(&slot, 255, 5, 1));
    HF_CHECK_INT(hf_slot_read(&slot, 256, 5), 2);
    begin(0);
    hf_slot_add(&slot, 0, HF_SLOT_MOST, 1);
    HF_CHECK(hf_slot_add(&slot, 0, HF_SLOT_MOST + 1, 3));
    HF_CHECK(!hf_slot_add(&slot, 0, HF_SLOT_MOST, 1));
    HF_CHECK_INT(hf_slot_read(&slot, 0, HF_SLOT_MOST + 1), 3);
    HF_CHECK_INT(hf_slot_read(&slot, 0, 0), 0);
}

/* trap 27: the low bits of the epoch are those of long ago, and the slot is empty all the same. */
HF_TEST(an_epoch_that_comes_round_does_not_find_what_it_left)
{
    const uint64_t round = HF_SLOT_MOST + 1, rounds[] = {1, 2, 127, 255};
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        const uint64_t later = 5 + rounds[i] * round;
        begin(0);
        hf_slot_add(&slot, 3, 5, 100);
        HF_CHECK_INT(hf_slot_read(&slot, 3, later), 0);
        hf_slot_take_back(&slot, 3, later, 1);
        HF_CHECK_INT(hf_slot_read(&slot, 3, 5), 100);
        if (!hf_slot_add(&slot, 3, later, 1)) /* half of them look like an earlier one's */
            HF_CHECK(replaced(word(), 3, later, 1));
        HF_CHECK_INT(hf_slot_read(&slot, 3, later), 1);
        HF_CHECK_INT(hf_slot_read(&slot, 3, 5), 0);
    }
}

/* trap 27: after half a turn of the epochs an idle slot does not pass for a later one. */
HF_TEST(a_slot_too_far_ahead_is_an_ancient_one)
{
    begin(0);
    hf_slot_add(&slot, 0, 1000 + HF_SLOT_AHEAD - 1, 1);
    HF_CHECK(!hf_slot_add(&slot, 0, 1000, 1));
    begin(0);
    hf_slot_add(&slot, 0, 1000 + HF_SLOT_AHEAD, 1);
    HF_CHECK(hf_slot_add(&slot, 0, 1000, 1));
    HF_CHECK_INT(hf_slot_read(&slot, 0, 1000), 1);
}

HF_TEST(the_count_stays_at_its_maximum)
{
    begin(0);
    HF_CHECK(hf_slot_add(&slot, 1, 2, HF_SLOT_MOST - 1));
    HF_CHECK(hf_slot_add(&slot, 1, 2, 1));
    HF_CHECK(hf_slot_add(&slot, 1, 2, 1));
    HF_CHECK(hf_slot_add(&slot, 1, 2, UINT64_MAX));
    HF_CHECK_INT(hf_slot_read(&slot, 1, 2), HF_SLOT_MOST);
    HF_CHECK_INT(HF_SLOT_EPOCH(word()), 2);
    HF_CHECK_INT(HF_SLOT_GEN(word()), 1);
    HF_CHECK(hf_slot_add(&slot, 1, 3, UINT64_MAX)); /* in one go */
    HF_CHECK_INT(hf_slot_read(&slot, 1, 3), HF_SLOT_MOST);
}

/* trap 20: after a step back of the time the slots of the future are free to use. */
HF_TEST(who_knows_that_nobody_is_later_may_replace_a_later_slot)
{
    begin(0);
    hf_slot_add(&slot, 0, 50, 4);
    const uint64_t seen = word();
    HF_CHECK(replaced(seen, 0, 40, 2));
    HF_CHECK_INT(hf_slot_read(&slot, 0, 40), 2);
    HF_CHECK(!replaced(seen, 0, 39, 2));   /* it is not what was seen any more */
    HF_CHECK(!replaced(word(), 0, 40, 1)); /* its own: that would lose two */
    HF_CHECK_INT(hf_slot_read(&slot, 0, 40), 2);
}

HF_TEST(taking_back_stops_at_zero_and_touches_no_other_epoch)
{
    begin(0);
    hf_slot_add(&slot, 1, 8, 5);
    hf_slot_take_back(&slot, 1, 8, 2);
    HF_CHECK_INT(hf_slot_read(&slot, 1, 8), 3);
    hf_slot_take_back(&slot, 1, 7, 3);
    hf_slot_take_back(&slot, 1, 9, 3);
    hf_slot_take_back(&slot, 2, 8, 3);
    HF_CHECK_INT(hf_slot_read(&slot, 1, 8), 3);
    hf_slot_take_back(&slot, 1, 8, UINT64_MAX);
    HF_CHECK_INT(hf_slot_read(&slot, 1, 8), 0);
    HF_CHECK_INT(HF_SLOT_EPOCH(word()), 8);
    HF_CHECK_INT(HF_SLOT_GEN(word()), 1);
}

int
main(int argc, char **argv)
{
    hf_test_open(argc, argv);
    HF_RUN(adds_of_one_epoch_accumulate);
    HF_RUN(an_earlier_epoch_counts_as_nothing_and_is_replaced);
    HF_RUN(an_earlier_generation_counts_as_nothing_and_is_replaced);
    HF_RUN(who_comes_late_is_told_and_changes_nothing);
    HF_RUN(generations_and_epochs_are_compared_round_the_wrap);
    HF_RUN(an_epoch_that_comes_round_does_not_find_what_it_left);
    HF_RUN(a_slot_too_far_ahead_is_an_ancient_one);
    HF_RUN(the_count_stays_at_its_maximum);
    HF_RUN(who_knows_that_nobody_is_later_may_replace_a_later_slot);
    HF_RUN(taking_back_stops_at_zero_and_touches_no_other_epoch);
    return hf_test_close();
}
