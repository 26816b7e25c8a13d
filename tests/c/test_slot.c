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

static bool
added(uint64_t gen, uint64_t epoch, uint64_t n)
{
    uint64_t seen;
    return hf_slot_add(&slot, gen, epoch, n, &seen);
}

/* As whoever knows that his epoch and generation are the latest. */
static void
count(uint64_t gen, uint64_t epoch, uint64_t n)
{
    if (!added(gen, epoch, n))
        HF_CHECK(replaced(word(), gen, epoch, n));
}

HF_TEST(adds_of_one_epoch_accumulate)
{
    begin(0);
    count(3, 70, 1);
    HF_CHECK(added(3, 70, 41));
    HF_CHECK_INT(hf_slot_read(&slot, 3, 70), 42);
    HF_CHECK_INT(HF_SLOT_GEN(word()), 3);
    HF_CHECK_INT(HF_SLOT_EPOCH(word()), 70);
    HF_CHECK_INT(HF_SLOT_COUNT(word()), 42);
}

/* trap 23: the new epoch and its first count appear in one step; trap 27: nothing is carried over. */
HF_TEST(another_epoch_or_generation_counts_as_nothing_and_is_replaced)
{
    const struct {
        uint64_t gen, epoch;
    } others[] = {{1, 6}, {2, 5}, {2, 6}, {1, 4}, {0, 5}, {256, 5}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        begin(0);
        count(1, 5, 100);
        HF_CHECK_INT(hf_slot_read(&slot, others[i].gen, others[i].epoch), 0);
        count(others[i].gen, others[i].epoch, 7);
        HF_CHECK_INT(hf_slot_read(&slot, others[i].gen, others[i].epoch), 7);
        HF_CHECK_INT(hf_slot_read(&slot, 1, 5), 0);
    }
}

/* trap 25: a thread whose time or generation is behind does not wipe what came after. */
HF_TEST(who_counts_for_another_epoch_or_generation_is_told_and_changes_nothing)
{
    begin(0);
    HF_CHECK_INT(hf_slot_read(&slot, 0, 0), 0);
    count(9, 50, 4);
    const uint64_t before = word(), gens[] = {8, 9, 10}, epochs[] = {0, 49, 51, HF_SLOT_MOST};
    for (size_t i = 0; i < sizeof gens / sizeof *gens; i++)
        for (size_t j = 0; j < sizeof epochs / sizeof *epochs; j++) {
            uint64_t seen = 0;
            HF_CHECK(!hf_slot_add(&slot, gens[i], epochs[j], 1, &seen));
            HF_CHECK_INT(seen, before);
        }
    HF_CHECK(!added(8, 50, 1));
    HF_CHECK(!added(10, 50, 1));
    HF_CHECK_INT(word(), before);
}

/* trap 27: the low bits of the epoch are those of long ago, and the slot is empty all the same. */
HF_TEST(an_epoch_that_comes_round_does_not_find_what_it_left)
{
    const uint64_t round = HF_SLOT_MOST + 1, rounds[] = {1, 2, 127, 255};
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        const uint64_t later = 5 + rounds[i] * round;
        begin(0);
        count(3, 5, 100);
        HF_CHECK_INT(hf_slot_read(&slot, 3, later), 0);
        hf_slot_take_back(&slot, 3, later, 1);
        HF_CHECK_INT(hf_slot_read(&slot, 3, 5), 100);
        count(3, later, 1);
        HF_CHECK_INT(hf_slot_read(&slot, 3, later), 1);
        HF_CHECK_INT(hf_slot_read(&slot, 3, 5), 0);
    }
}

HF_TEST(the_count_stays_at_its_maximum)
{
    begin(0);
    count(1, 2, HF_SLOT_MOST - 1);
    HF_CHECK(added(1, 2, 1));
    HF_CHECK(added(1, 2, 1));
    HF_CHECK(added(1, 2, UINT64_MAX));
    HF_CHECK_INT(hf_slot_read(&slot, 1, 2), HF_SLOT_MOST);
    HF_CHECK_INT(HF_SLOT_EPOCH(word()), 2);
    HF_CHECK_INT(HF_SLOT_GEN(word()), 1);
    count(1, 3, UINT64_MAX); /* in one go */
    HF_CHECK_INT(hf_slot_read(&slot, 1, 3), HF_SLOT_MOST);
}

HF_TEST(only_what_was_seen_is_replaced_and_never_ones_own)
{
    begin(0);
    count(0, 50, 4);
    const uint64_t seen = word();
    HF_CHECK(replaced(seen, 0, 60, 2));
    HF_CHECK(!replaced(seen, 0, 61, 2));   /* it is not what was seen any more */
    HF_CHECK(!replaced(word(), 0, 60, 1)); /* its own: that would lose two */
    HF_CHECK_INT(hf_slot_read(&slot, 0, 60), 2);
}

HF_TEST(taking_back_stops_at_zero_and_touches_no_other_epoch)
{
    begin(0);
    count(1, 8, 5);
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
