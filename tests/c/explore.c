/*
 * The explorer's search: stateless depth-first search with sleep sets (Godefroid, 1996).
 *
 * A schedule is a list of choices. Each run repeats the list it was given and then extends it,
 * always taking the first option; afterwards the last choice that has options left takes the
 * next one, and the run starts over. No state is saved or compared.
 *
 * Sleep sets: after all schedules in which thread t goes first have been run, t sleeps in those in
 * which another thread u goes first instead, until somebody runs an operation that depends on
 * t's; before that, "u, then t" only repeats "t, then u".
 *
 * Each thread is a coroutine that loops over the model's thread function, once per run; a run that
 * is cut off is drained: played to its end without choices, so that every stack unwinds.
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE /* its longjmp takes a jump to another stack for an error */
#include "explore.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "holdfast/hf_atomic.h"
#include "weak.h"

/*
 * A coroutine is entered by setcontext(); from then on a jump does, which saves the two system
 * calls that swapcontext() makes. The sanitizers follow swapcontext() only.
 */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BY_CONTEXT
#endif

#ifdef __SANITIZE_THREAD__
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

enum {
    HOME = HF_EXPLORE_THREADS,
    STACK_BYTES = 1 << 16,
    DEFAULT_LIMIT = 20 * 1000 * 1000,
    WEAK_LIMIT = 200 * 1000
};

/* Sets of threads are bit masks. */
typedef struct {
    char of;          /* 0: options are threads; 'x': bit 0 = the CAS may succeed, bit 1 = it fails;
                         's': bit n = a load gives the value that is n places older than the newest */
    unsigned options; /* not yet tried; the lowest is the one being tried */
    unsigned sleep;   /* threads that need not go first here */
} choice;

typedef struct {
    ucontext_t context;
    jmp_buf place; /* where it stopped, once entered */
    bool entered;
    void *sanitizer; /* TSan's idea of the stack */
    char *stack;
    uintptr_t word; /* the operation it waits to run */
    enum hf_point kind;
    bool finished;
} coroutine;

static struct {
    const hf_explore_model *model;
    coroutine threads[HF_EXPLORE_THREADS + 1]; /* the last is home: the caller of hf_explore() */
    int running;
    choice path[HF_EXPLORE_CHOICES];
    int length, depth; /* of the path, and how much of it this run has made */
    unsigned sleep;    /* now */
    int steps, spurious, stale;
    bool starting, draining, pruned, endless;
} x = {.running = HOME};

static void
switch_to(int next)
{
    coroutine *from = &x.threads[x.running], *to = &x.threads[next];
    if (from == to)
        return;
    x.running = next;
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(to->sanitizer, 0);
#endif
#ifdef BY_CONTEXT
    swapcontext(&from->context, &to->context);
#else
    from->entered = true;
    if (_setjmp(from->place) == 0) {
        if (to->entered)
            _longjmp(to->place, 1);
        setcontext(&to->context);
    }
#endif
}

static int
first_of(unsigned set)
{
    int i = 0;
    while (!(set >> i & 1))
        i++;
    return i;
}

static bool
is_dependent(const coroutine *a, const coroutine *b)
{
    return x.model->every_order ||
           (a->word == b->word && (a->kind != HF_POINT_LOAD || b->kind != HF_POINT_LOAD));
}

static unsigned
unfinished(void)
{
    unsigned set = 0;
    for (int i = 0; i < x.model->threads; i++)
        set |= (unsigned)!x.threads[i].finished << i;
    return set;
}

/* The choice at this depth: repeated from the path, or begun with these options. */
static choice *
next_choice(char of, unsigned options)
{
    choice *c = &x.path[x.depth++];
    if (x.depth > x.length) {
        x.length = x.depth;
        *c = (choice){.of = of, .options = options, .sleep = x.sleep};
    }
    return c;
}

/* Who runs the next operation; home when all have finished. */
static int
choose_thread(void)
{
    const unsigned ready = unfinished();
    if (x.starting || !ready)
        return HOME;
    if (x.draining) { /* each to its end, but none for ever, should it wait for another */
        const unsigned self = ready & (1u << x.running), others = ready & ~self;
        return first_of(self && (++x.steps % HF_EXPLORE_CHOICES || !others) ? self : others);
    }
    if (x.depth >= HF_EXPLORE_CHOICES - 1) {
        x.endless = true; /* home gives up: nobody drains a livelock */
        return HOME;
    }
    if (x.depth == x.length && !(ready & ~x.sleep)) {
        x.pruned = x.draining = true;
        return first_of(ready);
    }
    const choice *c = next_choice(0, ready & ~x.sleep);
    const int t = first_of(c->options);
    x.sleep = 0;
    for (int u = 0; u < x.model->threads; u++)
        if ((c->sleep >> u & 1) && !is_dependent(&x.threads[t], &x.threads[u]))
            x.sleep |= 1u << u;
    x.steps++;
    return t;
}

/* The hook of hf_atomic.h. True: this weak CAS is to fail for no reason. */
bool
hf_explore_point(uintptr_t word, enum hf_point kind)
{
    if (x.running == HOME)
        return false;
    coroutine *self = &x.threads[x.running];
    self->word = word;
    self->kind = kind;
    switch_to(choose_thread());
    if (kind != HF_POINT_CAS || x.draining || x.spurious == x.model->spurious)
        return false;
    const bool fails = first_of(next_choice('x', 3)->options) == 1;
    x.spurious += fails;
    return fails;
}

/* Whether this operation is one of a model with weak memory. */
static bool
is_weak(void)
{
    return x.running != HOME && x.model->stale > 0;
}

uint64_t
hf_explore_newest(uintptr_t word, uint64_t newest, memory_order order)
{
    return is_weak() ? hf_weak_read(x.running, word, newest, 0, order) : newest;
}

uint64_t
hf_explore_read(uintptr_t word, uint64_t newest, memory_order order)
{
    if (!is_weak())
        return newest;
    const int older = hf_weak_older(x.running, word, newest, order);
    int back = 0;
    if (older && !x.draining && x.stale < x.model->stale) {
        back = first_of(next_choice('s', (2u << older) - 1)->options);
        x.stale += back > 0;
    }
    return hf_weak_read(x.running, word, newest, back, order);
}

void
hf_explore_stored(uintptr_t word, uint64_t before, uint64_t now, memory_order order, bool rmw)
{
    if (is_weak())
        (rmw ? hf_weak_change : hf_weak_store)(x.running, word, before, now, order);
}

void
hf_explore_fence_acquire(void)
{
    if (is_weak())
        hf_weak_fence_acquire(x.running);
}

static void
coroutine_main(int index)
{
    for (;;) {
        x.model->thread(x.model->world, index);
        x.threads[index].finished = true;
        switch_to(choose_thread());
    }
}

/* Apart from its caller: getcontext() may return twice as far as the compiler knows. */
static void
open_coroutine(coroutine *c, int index)
{
    *c = (coroutine){.stack = malloc(STACK_BYTES)};
    if (!c->stack || getcontext(&c->context) != 0)
        abort();
    c->context.uc_stack.ss_sp = c->stack;
    c->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&c->context, (void (*)(void))coroutine_main, 1, index);
#ifdef __SANITIZE_THREAD__
    c->sanitizer = __tsan_create_fiber(0);
#endif
}

static void
open_coroutines(void)
{
    for (int i = 0; i < x.model->threads; i++)
        open_coroutine(&x.threads[i], i);
#ifdef __SANITIZE_THREAD__
    x.threads[HOME].sanitizer = __tsan_get_current_fiber();
#endif
}

static void
close_coroutines(void)
{
    for (int i = 0; i < x.model->threads; i++) {
#ifdef __SANITIZE_THREAD__
        __tsan_destroy_fiber(x.threads[i].sanitizer);
#endif
        free(x.threads[i].stack);
    }
}

/* One run along the path, and on from its end. */
static void
run_schedule(void)
{
    x.depth = x.steps = x.spurious = x.stale = 0;
    hf_weak_forget();
    x.sleep = 0;
    x.draining = x.pruned = x.endless = false;
    x.model->setup(x.model->world);
    x.starting = true; /* each runs to its first operation, which is where choosing begins */
    for (int i = 0; i < x.model->threads; i++) {
        x.threads[i].finished = false;
        switch_to(i);
    }
    x.starting = false;
    switch_to(choose_thread());
}

/* Move the last choice that has options left to its next one. False: all have been tried. */
static bool
next_schedule(void)
{
    while (x.length > 0) {
        choice *c = &x.path[x.length - 1];
        const unsigned tried = c->options & -c->options;
        c->options &= ~tried;
        if (!c->of)
            c->sleep |= tried;
        if (c->options)
            return true;
        x.length--;
    }
    return false;
}

static void
write_trace(char *trace)
{
    for (int i = 0; i < x.depth; i++) {
        const int option = first_of(x.path[i].options);
        if (!x.path[i].of)
            *trace++ = (char)('0' + option);
        else if (option)
            *trace++ = x.path[i].of;
    }
    *trace = '\0';
}

static void
search(hf_explored *e)
{
    const uint64_t limit = x.model->limit ? x.model->limit : DEFAULT_LIMIT;
    do {
        if (e->schedules + e->pruned == limit)
            return;
        run_schedule();
        if (!x.pruned && x.steps > e->longest)
            e->longest = x.steps;
        e->pruned += x.pruned;
        e->schedules += !x.pruned;
        e->broken = x.endless || (!x.pruned && !x.model->holds(x.model->world));
        if (e->broken) {
            write_trace(e->trace);
            return;
        }
    } while (next_schedule());
    e->complete = true;
}

static hf_explored
explore(const hf_explore_model *model)
{
    hf_explored e = {.schedules = 0};
    x.model = model;
    x.length = 0;
    open_coroutines();
    search(&e);
    close_coroutines();
    printf("     %s: %llu schedules of %d threads, up to %d operations, %llu repetitions left out",
           model->name, (unsigned long long)e.schedules, model->threads, e.longest,
           (unsigned long long)e.pruned);
    if (model->spurious)
        printf(", CAS failing %d times for nothing", model->spurious);
    if (model->stale)
        printf(", %d loads giving an older value", model->stale);
    if (e.broken)
        printf("; broken by %.80s\n", e.trace);
    else
        printf("%s\n", e.complete ? "" : "; not all");
    return e;
}

hf_explored
hf_explore(const hf_explore_model *model)
{
    if (model->threads < 1 || model->threads > HF_EXPLORE_THREADS)
        abort();
    hf_explored e = explore(model);
    if (e.broken || !e.complete || model->stale || model->spurious || model->every_order)
        return e;
    hf_explore_model weak = *model;
    weak.stale = 1;
    weak.limit = WEAK_LIMIT;
    const hf_explored w = explore(&weak);
    return w.broken ? w : e;
}
