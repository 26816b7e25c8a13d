/* Real threads that take and give back blocks of one arena: none is given out twice (trap 59). */
#include "hf_threads.h"

#include "holdfast/hf_arena.h"

enum { THREADS = 4, HELD = 8, REGION = 1 << 18 };

typedef struct crowd {
    hf_arena arena;
    long rounds;
    hf_au64 refused;
} crowd;

static _Alignas(HF_ARENA_LINE) unsigned char region[REGION];

static void
take_and_give(void *shared, int index)
{
    crowd *c = shared;
    uint64_t *held[HELD] = {0};
    size_t words[HELD];
    for (long i = 0; i < c->rounds; i++) {
        const int at = (int)(i * 7 + index) % HELD;
        const uint64_t mark = (uint64_t)index << 32 | (uint64_t)i;
        if (held[at] != NULL) {
            HF_CHECK(held[at][0] == held[at][words[at] - 1]);
            HF_CHECK(held[at][0] >> 32 == (uint64_t)index);
            hf_arena_give(&c->arena, held[at]);
        }
        words[at] = 8 + (size_t)(i * 13 + index) % 200;
        held[at] = hf_arena_take(&c->arena, words[at] * sizeof(uint64_t));
        if (held[at] == NULL) {
            hf_count(&c->refused, 1);
            continue;
        }
        HF_CHECK(held[at][0] == 0 && held[at][words[at] - 1] == 0);
        held[at][0] = held[at][words[at] - 1] = mark;
    }
}

HF_TEST(no_block_is_given_out_twice)
{
    static crowd c;
    c.rounds = hf_threads_rounds(50000);
    hf_arena_init(&c.arena, region, sizeof region, 0);
    hf_threads_run(THREADS, take_and_give, &c);
    HF_CHECK_INT(hf_load_relaxed(&c.refused), 0);
    HF_CHECK(c.arena.used <= REGION);
}
