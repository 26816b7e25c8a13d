/*
 * Every schedule of two and three threads that record in one latency budget: no count of a cell is ever below
 * zero, in the end the counts equal the marks, and the budget is what its tally says.
 */
#include "explored.h"
#include "wrong/wrong_latency_budget.h"

enum { SIZE = 2, FAST = 1000, SLOW = 9000, TARGET = 5000 };

typedef bool (*recording)(hf_latency_budget *b, int64_t ns);

static struct {
    union {
        hf_latency_budget budget;
        char room[sizeof(hf_latency_budget) + SIZE * sizeof(hf_au16) + 8];
    };
    int64_t before[3], by[ACTORS][3]; /* ended by a 0 */
    recording record;
    uint32_t percentile;
    bool clears, below_zero;
} world;

static void
begin(void *unused)
{
    hf_latency_budget_init(&world.budget, TARGET, world.percentile * HF_PERCENTILE_UNIT, SIZE, 1);
    for (const int64_t *ns = world.before; *ns != 0; ns++)
        hf_latency_budget_record(&world.budget, *ns);
}

static void
play(void *unused, int t)
{
    for (const int64_t *ns = world.by[t]; *ns != 0; ns++)
        world.record(&world.budget, *ns);
    if (world.clears && t == 0)
        hf_latency_budget_clear(&world.budget);
}

static bool
adds_up(void *unused)
{
    hf_latency_budget *b = &world.budget;
    uint64_t calls = 0, exceeding = 0, shown = 0;
    uint32_t of_cell[2] = {0};
    const unsigned cells[2] = {hf__histogram_cell(FAST), hf__histogram_cell(SLOW)};
    for (int i = 0; i < SIZE; i++) {
        const uint16_t mark = hf_load_relaxed(&b->marks[i]);
        calls += mark != 0;
        exceeding += (mark & HF__MARK_EXCEEDS) != 0;
        for (int c = 0; c < 2; c++)
            of_cell[c] += (mark & HF__MARK_CELL) == cells[c] + 1;
    }
    for (int c = 0; c < 2; c++) {
        if (hf_load_relaxed(&b->cell[cells[c]]) != of_cell[c])
            return false;
        shown += of_cell[c];
    }
    const uint64_t tally = hf_latency_budget_tally(b);
    const bool exhausted = hf_latency_budget_is_exhausted(b);
    return HF_TALLY_CALLS(tally) == calls && HF_TALLY_EXCEEDING(tally) == exceeding &&
           shown == calls && hf__latency_budget_due(b, tally, exhausted) == exhausted &&
           hf_load_relaxed(&b->exhausted) == (hf_latency_budget_turns(b) + 1) / 2;
}

static bool
plays(const char *name, int threads, const int64_t before[3], const int64_t by[ACTORS][3])
{
    memcpy(world.before, before, sizeof world.before);
    memcpy(world.by, by, sizeof world.by);
    return holds_always((hf_explore_model){.name = name,
                                           .threads = threads,
                                           .setup = begin,
                                           .thread = play,
                                           .holds = adds_up,
                                           .limit = 400000});
}

#define BEFORE(...) ((const int64_t[3]){__VA_ARGS__})
#define BY(...) ((const int64_t[ACTORS][3]){__VA_ARGS__})

HF_TEST(counts_equal_the_marks_and_the_budget_is_what_they_say)
{
    world.record = hf_latency_budget_record;
    world.percentile = 50;
    HF_CHECK(plays("first calls of two", 2, BEFORE(0), BY({SLOW}, {SLOW})));
    HF_CHECK(
        plays("slow | fast, where one slow is allowed", 2, BEFORE(SLOW, FAST), BY({SLOW}, {FAST})));
    HF_CHECK(plays("slow, fast | slow", 2, BEFORE(FAST, FAST), BY({SLOW, FAST}, {SLOW})));
    world.percentile = 100;
    HF_CHECK(
        plays("slow | fast, where none is allowed", 2, BEFORE(FAST, FAST), BY({SLOW}, {FAST})));
    HF_CHECK(plays("fast | fast, after slow", 2, BEFORE(SLOW, SLOW), BY({FAST}, {FAST})));
}

HF_TEST(a_clear_among_records_leaves_counts_that_equal_the_marks)
{
    world.record = hf_latency_budget_record;
    world.percentile = 100;
    world.clears = true;
    HF_CHECK(plays("clear | slow", 2, BEFORE(SLOW, FAST), BY({0}, {SLOW})));
    world.clears = false;
}

/* A budget of one mark, and a reader: a count below zero would show as four thousand millions. */
static void
play_or_read(void *unused, int t)
{
    if (t < 2) {
        play(unused, t);
        return;
    }
    const uint32_t exceeding = HF_TALLY_EXCEEDING(hf_latency_budget_tally(&world.budget));
    if (hf_load_relaxed(&world.budget.cell[hf__histogram_cell(SLOW)]) > SIZE || exceeding > SIZE)
        world.below_zero = true;
}

static void
begin_and_read(void *unused)
{
    begin(unused);
    world.budget.size = 1;
    world.below_zero = false;
}

static bool
is_never_below_zero(void *unused)
{
    return !world.below_zero;
}

static bool
stays_above_zero(const char *name)
{
    memcpy(world.before, BEFORE(0), sizeof world.before);
    memcpy(world.by, BY({SLOW}, {FAST}), sizeof world.by);
    return holds_always((hf_explore_model){.name = name,
                                           .threads = 3,
                                           .setup = begin_and_read,
                                           .thread = play_or_read,
                                           .holds = is_never_below_zero,
                                           .limit = 400000});
}

HF_TEST(no_count_is_ever_below_zero)
{
    world.record = hf_latency_budget_record;
    world.percentile = 50;
    HF_CHECK(stays_above_zero("slow | fast | a reader"));
}

HF_TEST(the_explorer_finds_a_call_that_is_counted_after_its_mark)
{
    world.record = wrong_latency_budget_record_late;
    world.percentile = 50;
    HF_CHECK(!stays_above_zero("wrong: slow | fast | a reader"));
}

HF_TEST(the_explorer_finds_a_turn_that_does_not_look_again)
{
    world.record = wrong_latency_budget_record_once;
    world.percentile = 100;
    HF_CHECK(!plays("wrong: slow | fast", 2, BEFORE(FAST, SLOW), BY({FAST, SLOW}, {FAST, FAST})));
}
