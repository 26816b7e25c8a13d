/*
 * A breaker that moves at any one moment while its figures are read. The hook is this file's own: a
 * look has too many loads for the explorer, and what moves does so all at once.
 */
#include "hf_test.h"

#include "holdfast/hf_figures.h"

static hf_breaker *b;
static long due; /* before so many operations of the reader the breaker moves; < 0: it does not */

static void
move(void)
{
    const enum hf_state to[] = {HF_HALF_OPEN, HF_OPEN, HF_CLOSED};
    for (int i = 0; i < 3; i++)
        hf_breaker_override(b, to[i], 0);
}

bool
hf_explore_point(uintptr_t word, enum hf_point kind)
{
    if (due >= 0 && due-- == 0)
        move();
    return false;
}

uint64_t
hf_explore_read(uintptr_t word, uint64_t newest, memory_order order)
{
    return newest;
}

uint64_t
hf_explore_newest(uintptr_t word, uint64_t newest, memory_order order)
{
    return newest;
}

void
hf_explore_stored(uintptr_t word, uint64_t before, uint64_t now, memory_order order, bool rmw)
{
}

void
hf_explore_fence_acquire(void)
{
}

/* MX-04: a change that was never made would be taken back by the next scrape, and the count fall. */
HF_TEST(no_change_is_shown_that_was_never_made)
{
    const hf_breaker_config config = {
        .half_open_max = 1, .success_threshold = 1, .reset_factor = 1, .reset_ns = 1};
    uint64_t during[HF_FIGURES_MOST], after[HF_FIGURES_MOST];
    b = malloc(hf_breaker_size(&config));
    for (long at = 0; at <= HF_BREAKER_COUNTS; at++) {
        due = -1;
        hf_breaker_init(b, &config, 1);
        due = at;
        hf_breaker_figures(b, during);
        due = -1;
        hf_breaker_figures(b, after);
        for (size_t i = 0; i < HF_BREAKER_COUNTS; i++)
            HF_CHECK(during[i] <= after[i]);
        HF_CHECK_INT(hf__changes_lead_to(during + HF_AT_BREAKER_changes, HF_CLOSED),
                     during[HF_BREAKER_COUNTS]);
    }
    free(b);
}
