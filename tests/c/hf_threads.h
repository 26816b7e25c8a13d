/*
 * Real threads for the C tests: all bodies start together on a barrier and are joined.
 */
#ifndef HF_THREADS_H
#define HF_THREADS_H

#include "hf_test.h"

#include <pthread.h>

enum { HF_THREADS_MAX = 16 };

typedef void hf_thread_body(void *shared, int index);

struct hf__thread {
    pthread_t id;
    pthread_barrier_t *start;
    hf_thread_body *body;
    void *shared;
    int index;
};

static inline void *
hf__thread_main(void *argument)
{
    struct hf__thread *t = argument;
    pthread_barrier_wait(t->start);
    t->body(t->shared, t->index);
    return NULL;
}

/* Run body(shared, 0 … n-1) in n threads at once; returns when all have ended. */
static inline void
hf_threads_run(int n, hf_thread_body *body, void *shared)
{
    struct hf__thread threads[HF_THREADS_MAX];
    pthread_barrier_t start;
    HF_REQUIRE(n <= HF_THREADS_MAX);
    HF_REQUIRE(pthread_barrier_init(&start, NULL, (unsigned)n) == 0);
    for (int i = 0; i < n; i++) {
        threads[i] =
            (struct hf__thread){.start = &start, .body = body, .shared = shared, .index = i};
        HF_REQUIRE(pthread_create(&threads[i].id, NULL, hf__thread_main, &threads[i]) == 0);
    }
    for (int i = 0; i < n; i++)
        pthread_join(threads[i].id, NULL);
    pthread_barrier_destroy(&start);
}

/*
 * How often a stress test that asks for n rounds makes them: STRESS_SCALE times as often, and a
 * fraction of that when shaken, where a round is worth more and costs more.
 */
static inline long
hf_threads_rounds(long n)
{
    const char *scale = getenv("STRESS_SCALE");
    long times = scale ? strtol(scale, NULL, 10) : 1;
#ifdef HF_EXPLORE
    n = (n + 24) / 25;
#endif
    return n * (times > 0 ? times : 1);
}

#endif /* HF_THREADS_H */
