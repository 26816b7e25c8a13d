/* Every schedule of two and three threads that begin, count in, take back from and read one slot. */
#include "explored.h"
#include "slot_crowd.h"

enum { GEN = 1, BEFORE = 4, NOW = 5, NEXT = 6, LEFT_OVER = 100 };

static hf_slot slot;
static wrong_slot faulty;
static uint64_t threads;
static hf_au64 latest; /* moved before anything is counted for it, as the head of a window is */

/* What each thread was told: its own part of the world. */
static struct {
    bool added;
    uint64_t seen;
} told[HF_EXPLORE_THREADS];

/* The slot still holds what an epoch before counted. */
static void
left_over(void *world)
{
    memset(told, 0, sizeof told);
    hf_store_relaxed(&latest, NOW);
    hf_store_relaxed(&slot.word, hf__slot_word(GEN, BEFORE, LEFT_OVER));
    hf_store_relaxed(&faulty.epoch, BEFORE);
    hf_store_relaxed(&faulty.count, LEFT_OVER);
}

static bool
counted(uint64_t epoch, uint64_t n)
{
    return add_or_begin(&slot, &latest, GEN, epoch, n);
}

static void
add_add_read(void *world, int index)
{
    told[index].added = counted(NOW, 1) && counted(NOW, 2);
    told[index].seen = hf_slot_read(&slot, GEN, NOW);
}

static void
add_read(void *world, int index)
{
    told[index].added = counted(NOW, 3);
    told[index].seen = hf_slot_read(&slot, GEN, NOW);
}

static bool
nothing_is_lost(void *world)
{
    for (uint64_t t = 0; t < threads; t++)
        if (!told[t].added || told[t].seen < 3 || told[t].seen > 3 * threads)
            return false;
    return hf_slot_read(&slot, GEN, NOW) == 3 * threads && hf_slot_read(&slot, GEN, BEFORE) == 0;
}

/* traps 23 and 28: of those who begin an epoch together one begins it, and all are counted. */
HF_TEST(who_begins_an_epoch_loses_nobody)
{
    threads = 2;
    for (int spurious = 0; spurious <= 2; spurious++)
        HF_CHECK(holds_always((hf_explore_model){.name = "add, add, read each",
                                                 .threads = 2,
                                                 .setup = left_over,
                                                 .thread = add_add_read,
                                                 .holds = nothing_is_lost,
                                                 .spurious = spurious}));
    threads = 3;
    HF_CHECK(explored("add, read each", 3, left_over, add_read, nothing_is_lost));
}

static void
now_or_next(void *world, int index)
{
    const uint64_t epoch = index == 0 ? NOW : NEXT;
    uint64_t seen = NOW;
    while (epoch == NEXT && seen == NOW && !hf_cas_weak_relaxed(&latest, &seen, NEXT))
        ;
    told[index].added = counted(epoch, 1);
    told[index].seen = hf_slot_read(&slot, GEN, epoch);
}

static bool
the_later_epoch_stays(void *world)
{
    return told[0].seen <= told[0].added && told[1].added && told[2].added &&
           told[1].seen + told[2].seen >= 3 && hf_slot_read(&slot, GEN, NEXT) == 2;
}

/* trap 25: he counts before the next epoch begins, or is told that he is late. */
HF_TEST(who_is_late_wipes_nothing_of_the_next_epoch)
{
    HF_CHECK(explored("now | next | next", 3, left_over, now_or_next, the_later_epoch_stays));
}

/* As above, by one who does not look whether his epoch is over. */
static void
now_without_a_look_or_next(void *world, int index)
{
    uint64_t seen;
    if (index != 0)
        now_or_next(world, index);
    else
        while (!hf_slot_add(&slot, GEN, NOW, 1, &seen) &&
               !hf_slot_replace(&slot, seen, GEN, NOW, 1))
            ;
}

static bool
the_next_epoch_has_both(void *world)
{
    return hf_slot_read(&slot, GEN, NEXT) == 2;
}

HF_TEST(the_explorer_finds_who_takes_a_slot_without_a_look_at_the_time)
{
    HF_CHECK(finds("wrong: now | next | next", 3, left_over, now_without_a_look_or_next,
                   the_next_epoch_has_both));
}

static void
add_and_take_back(void *world, int index)
{
    if (index == 0) {
        told[0].added = counted(NOW, 5);
        hf_slot_take_back(&slot, GEN, NOW, 2);
    } else if (index == 1) {
        told[1].added = counted(NOW, 1);
    } else {
        hf_slot_take_back(&slot, GEN, BEFORE, 1); /* his own, while they are there */
    }
}

static bool
each_lost_his_own_only(void *world)
{
    return told[0].added && told[1].added && hf_slot_read(&slot, GEN, NOW) == 4;
}

/* trap 34. */
HF_TEST(who_takes_back_takes_from_nobody_else)
{
    HF_CHECK(explored("add, take back | add | take back", 3, left_over, add_and_take_back,
                      each_lost_his_own_only));
}

static void
wrong_add_or_read(void *world, int index)
{
    if (index == 0)
        told[0].added = wrong_slot_add(&faulty, NOW, 1);
    else
        told[1].seen = wrong_slot_read(&faulty, NOW);
}

static bool
nothing_of_before_is_seen(void *world)
{
    return told[1].seen <= 1;
}

static void
wrong_add(void *world, int index)
{
    told[index].added = wrong_slot_add(&faulty, NOW, 1);
}

static bool
both_are_counted(void *world)
{
    return wrong_slot_read(&faulty, NOW) == 2;
}

/* trap 23. */
HF_TEST(the_explorer_finds_a_new_time_with_an_old_count_and_a_lost_addition)
{
    HF_CHECK(
        finds("wrong: add | read", 2, left_over, wrong_add_or_read, nothing_of_before_is_seen));
    HF_CHECK(finds("wrong: add | add", 2, left_over, wrong_add, both_are_counted));
}
