#include "weak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

enum { WORDS = 160, VALUES = 64 };

typedef struct {
    uint8_t oldest[WORDS]; /* of each word, the index of the oldest value that may be read */
} view;

typedef struct {
    uint64_t value;
    view carried;
} message;

static struct {
    uintptr_t address;
    int values;
    int sc; /* what a seq_cst load gives at least */
    message held[VALUES];
} words[WORDS];
static int used;

static struct {
    view seen;    /* what loads respect */
    view pending; /* what an acquire fence joins to it */
} threads[HF_EXPLORE_THREADS];

void
hf_weak_forget(void)
{
    used = 0;
    memset(threads, 0, sizeof threads);
}

static int
index_of(uintptr_t address, uint64_t value)
{
    for (int w = 0; w < used; w++)
        if (words[w].address == address)
            return w;
    if (used == WORDS) {
        fputs("weak.c: raise WORDS\n", stderr);
        abort();
    }
    words[used].address = address;
    words[used].values = 1;
    words[used].sc = 0;
    words[used].held[0] = (message){.value = value};
    return used++;
}

static void
join(view *to, const view *from)
{
    for (int w = 0; w < used; w++)
        if (to->oldest[w] < from->oldest[w])
            to->oldest[w] = from->oldest[w];
}

static bool
acquires(memory_order order)
{
    return order == memory_order_acquire || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static bool
releases(memory_order order)
{
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static void
take_in(int thread, const message *read, memory_order order)
{
    join(acquires(order) ? &threads[thread].seen : &threads[thread].pending, &read->carried);
}

static message *
append(int w, int thread, uint64_t value)
{
    if (words[w].values == VALUES) {
        fputs("weak.c: raise VALUES\n", stderr);
        abort();
    }
    const int at = words[w].values++;
    message *m = &words[w].held[at];
    *m = (message){.value = value};
    m->carried.oldest[w] = threads[thread].seen.oldest[w] = (uint8_t)at;
    return m;
}

int
hf_weak_older(int thread, uintptr_t word, uint64_t newest, memory_order order)
{
    const int w = index_of(word, newest);
    int oldest = threads[thread].seen.oldest[w];
    if (order == memory_order_seq_cst && oldest < words[w].sc)
        oldest = words[w].sc;
    return words[w].values - 1 - oldest;
}

uint64_t
hf_weak_read(int thread, uintptr_t word, uint64_t newest, int back, memory_order order)
{
    const int w = index_of(word, newest), at = words[w].values - 1 - back;
    threads[thread].seen.oldest[w] = (uint8_t)at;
    take_in(thread, &words[w].held[at], order);
    if (order == memory_order_seq_cst && words[w].sc < at)
        words[w].sc = at;
    return back ? words[w].held[at].value : newest;
}

void
hf_weak_store(int thread, uintptr_t word, uint64_t before, uint64_t stored, memory_order order)
{
    const int w = index_of(word, before);
    message *m = append(w, thread, stored);
    if (releases(order))
        join(&m->carried, &threads[thread].seen);
    if (order == memory_order_seq_cst)
        words[w].sc = words[w].values - 1;
}

void
hf_weak_change(int thread, uintptr_t word, uint64_t before, uint64_t after, memory_order order)
{
    const int w = index_of(word, before);
    const message *read = &words[w].held[words[w].values - 1];
    take_in(thread, read, order);
    hf_weak_store(thread, word, before, after, order);
    join(&words[w].held[words[w].values - 1].carried, &read->carried);
}

void
hf_weak_fence_acquire(int thread)
{
    join(&threads[thread].seen, &threads[thread].pending);
}
