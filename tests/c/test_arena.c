/* Contract of hf_arena.h: whole lines, each given out once, zeroed, and taken back. */
#include "hf_test.h"

#include "holdfast/hf_arena.h"

enum { REGION = 1 << 16, RESERVED = 100 };

static _Alignas(HF_ARENA_LINE) unsigned char region[REGION];
static hf_arena arena;

static void
begin(void)
{
    memset(region, 0xFF, sizeof region);
    hf_arena_init(&arena, region, sizeof region, RESERVED);
}

HF_TEST(blocks_are_zeroed_lines_behind_what_is_reserved)
{
    begin();
    for (size_t bytes = 0; bytes < 3000; bytes += 37) {
        unsigned char *block = hf_arena_take(&arena, bytes);
        HF_CHECK(block >= region + RESERVED + HF_ARENA_LINE && block + bytes <= region + REGION);
        HF_CHECK_INT((uintptr_t)block % HF_ARENA_LINE, 0);
        for (size_t i = 0; i < bytes; i++)
            HF_CHECK_INT(block[i], 0);
        HF_CHECK(hf_arena_has(&arena, block));
        memset(block, 0xFF, bytes);
        hf_arena_give(&arena, block);
    }
    HF_CHECK(!hf_arena_has(&arena, region + REGION));
    HF_CHECK(!hf_arena_has(&arena, region));
    HF_CHECK(!hf_arena_has(&arena, &arena));
}

HF_TEST(classes_are_the_least_that_hold_a_size)
{
    for (size_t lines = 1; lines < 100000; lines += 1 + lines / 50) {
        unsigned class = hf__arena_class(lines);
        HF_CHECK(hf__arena_lines(class) >= lines);
        HF_CHECK(class == 0 || hf__arena_lines(class - 1) < lines);
        HF_CHECK(hf__arena_lines(class) <= lines + lines / 4);
    }
    HF_CHECK_INT(hf__arena_class(SIZE_MAX / 2), HF_ARENA_CLASSES);
    begin();
    HF_CHECK(hf_arena_take(&arena, SIZE_MAX / 2) == NULL);
    HF_CHECK(hf_arena_needs(&arena, SIZE_MAX / 2) == SIZE_MAX);
}

HF_TEST(what_is_given_back_is_given_out_again)
{
    begin();
    void *first = hf_arena_take(&arena, 500);
    void *second = hf_arena_take(&arena, 500);
    const size_t used = arena.used;
    for (int i = 0; i < 1000; i++) {
        hf_arena_give(&arena, first);
        hf_arena_give(&arena, second);
        HF_CHECK(hf_arena_take(&arena, 510) == second);
        HF_CHECK(hf_arena_take(&arena, 500) == first);
    }
    HF_CHECK_INT(arena.used, used);
}

HF_TEST(a_full_region_refuses_and_says_what_it_would_take) /* trap 59 */
{
    begin();
    size_t needs;
    do
        needs = hf_arena_needs(&arena, 1000);
    while (hf_arena_take(&arena, 1000) != NULL);
    HF_CHECK(needs > REGION && needs <= REGION + 1000 + 4 * HF_ARENA_LINE);
    HF_CHECK(hf_arena_take(&arena, 1000) == NULL);
    HF_CHECK(arena.used <= REGION);
}

HF_TEST(a_copy_of_region_and_arena_is_an_arena)
{
    static _Alignas(HF_ARENA_LINE) unsigned char other[REGION];
    begin();
    void *kept = hf_arena_take(&arena, 64), *freed = hf_arena_take(&arena, 64);
    hf_arena_give(&arena, freed);
    memcpy(other, region, REGION);
    hf_arena copy = arena;
    copy.base = other;
    HF_CHECK(hf_arena_take(&copy, 64) == other + hf_arena_offset(&arena, freed));
    HF_CHECK(hf_arena_take(&copy, 64) != other + hf_arena_offset(&arena, kept));
    HF_CHECK(hf_arena_take(&arena, 64) == freed);
}

HF_TEST(a_block_is_retired_until_it_is_given_out_again)
{
    begin();
    void *block = hf_arena_take(&arena, 64);
    const hf_arena_tag *tag = hf__arena_tag(&arena, hf_arena_offset(&arena, block));
    HF_CHECK_INT(hf_load_relaxed(&tag->retired), 0);
    hf_arena_retire(&arena, block);
    HF_CHECK_INT(hf_load_relaxed(&tag->retired), 1);
    hf_arena_give(&arena, block);
    HF_CHECK(hf_arena_take(&arena, 64) == block);
    HF_CHECK_INT(hf_load_relaxed(&tag->retired), 0);
}
