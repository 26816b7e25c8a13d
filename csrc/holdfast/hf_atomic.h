/*
 * Atomic words: the only place that includes <stdatomic.h>.
 *
 * Every wrapper carries its memory order in its name; there is no default order. What all of them
 * take is a pointer to one of the word types below; it may be evaluated more than once.
 * Three builds of the same kernels:
 *
 *   (default)       real atomics: C tests, sanitizers, free-threaded Python, words in shared memory
 *   HF_SERIALIZED   every kernel call is already serialised by the GIL: a read-modify-write
 *                   is a relaxed load, a compare and a relaxed store, which costs a third
 *   HF_EXPLORE      real atomics, and each operation first calls hf_explore_point(): a scheduling
 *                   point of the interleaving explorer, or of the shaker (tests/c)
 */
#ifndef HF_ATOMIC_H
#define HF_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    _Atomic(uint64_t) v;
} hf_au64;
typedef struct {
    _Atomic(int64_t) v;
} hf_ai64;
typedef struct {
    _Atomic(uint32_t) v;
} hf_au32;
typedef struct {
    _Atomic(uint16_t) v;
} hf_au16;
typedef struct {
    _Atomic(void *) v;
} hf_aptr;

#if defined(HF_EXPLORE) && defined(HF_SERIALIZED)
#error "HF_SERIALIZED has no interleavings to explore"
#elif defined(HF_EXPLORE)

/* What the operation about to run may do to the word at an address. True: the weak CAS is to fail. */
enum hf_point { HF_POINT_LOAD, HF_POINT_STORE, HF_POINT_CAS };
bool hf_explore_point(uintptr_t word, enum hf_point kind);
/* What a load gives instead of the newest value; what was stored, by a read-modify-write or not. */
uint64_t hf_explore_read(uintptr_t word, uint64_t newest, memory_order order);
uint64_t hf_explore_newest(uintptr_t word, uint64_t newest, memory_order order); /* a failed CAS */
void hf_explore_stored(uintptr_t word, uint64_t before, uint64_t now, memory_order order, bool rmw);
void hf_explore_fence_acquire(void);

/*
 * A value is computed before the point: it may load words itself, and others may run in between.
 * A point and its operation are one statement: of two loads in one expression a compiler may else
 * put both points first, and schedules between the loads would never be run.
 */
#define hf__plain(w) __typeof__(atomic_load_explicit(&(w)->v, memory_order_relaxed))
#define hf__read(w, order)                                                                         \
    ((hf__plain(w))hf_explore_read((uintptr_t)(w), (uint64_t)atomic_load_explicit(&(w)->v, order), \
                                   order))
#define hf__newest(w, order)                                                                       \
    ((hf__plain(w))hf_explore_newest((uintptr_t)(w),                                               \
                                     (uint64_t)atomic_load_explicit(&(w)->v, order), order))
#define hf__load(w, order)                                                                         \
    __extension__({                                                                                \
        (void)hf_explore_point((uintptr_t)(w), HF_POINT_LOAD);                                     \
        hf__read(w, order);                                                                        \
    })
#define hf__store(w, x, order)                                                                     \
    __extension__({                                                                                \
        hf__plain(w) hf__stored = (x);                                                             \
        (void)hf_explore_point((uintptr_t)(w), HF_POINT_STORE);                                    \
        hf__plain(w) hf__before = atomic_load_explicit(&(w)->v, memory_order_relaxed);             \
        atomic_store_explicit(&(w)->v, hf__stored, order);                                         \
        hf_explore_stored((uintptr_t)(w), (uint64_t)hf__before, (uint64_t)hf__stored, order,       \
                          false);                                                                  \
    })
#define hf__change(operation, w, x, order)                                                         \
    __extension__({                                                                                \
        hf__plain(w) hf__operand = (x);                                                            \
        (void)hf_explore_point((uintptr_t)(w), HF_POINT_STORE);                                    \
        hf__plain(w) hf__before = operation(&(w)->v, hf__operand, order);                          \
        hf_explore_stored((uintptr_t)(w), (uint64_t)hf__before,                                    \
                          (uint64_t)atomic_load_explicit(&(w)->v, memory_order_relaxed), order,    \
                          true);                                                                   \
        hf__before;                                                                                \
    })
#define hf__cas(w, expected, desired, ok, fail)                                                    \
    __extension__({                                                                                \
        hf__plain(w) hf__desired = (desired);                                                      \
        hf__plain(w) hf__expected = *(expected);                                                   \
        const bool hf__done =                                                                      \
            !hf_explore_point((uintptr_t)(w), HF_POINT_CAS) &&                                     \
            atomic_compare_exchange_weak_explicit(&(w)->v, &hf__expected, hf__desired, ok, fail);  \
        if (hf__done)                                                                              \
            hf_explore_stored((uintptr_t)(w), (uint64_t)hf__expected, (uint64_t)hf__desired, ok,   \
                              true);                                                               \
        else                                                                                       \
            *(expected) = hf__newest(w, fail);                                                     \
        hf__done;                                                                                  \
    })

#else

#define hf__load(w, order) atomic_load_explicit(&(w)->v, order)
#define hf__store(w, x, order) atomic_store_explicit(&(w)->v, (x), order)
#define hf__change(operation, w, x, order) operation(&(w)->v, (x), order)
#define hf__cas(w, expected, desired, ok, fail)                                                    \
    atomic_compare_exchange_weak_explicit(&(w)->v, (expected), (desired), ok, fail)

#endif

/* Loads and stores: plain words in every build. */
#define hf_load_relaxed(w) hf__load(w, memory_order_relaxed)
#define hf_load_acquire(w) hf__load(w, memory_order_acquire)
#define hf_load_seq_cst(w) hf__load(w, memory_order_seq_cst)
#define hf_store_relaxed(w, x) hf__store(w, x, memory_order_relaxed)
#define hf_store_release(w, x) hf__store(w, x, memory_order_release)

/* What was read before stays before what is read after. TSan knows no fences, and warns of them. */
#ifdef HF_EXPLORE
#define hf_fence_acquire() hf_explore_fence_acquire()
#elif defined(__SANITIZE_THREAD__)
#define hf_fence_acquire() ((void)0)
#else
#define hf_fence_acquire() atomic_thread_fence(memory_order_acquire)
#endif

#ifdef HF_SERIALIZED

#undef hf__cas
#define hf__cas(w, expected, desired, ok, fail)                                                    \
    ((atomic_load_explicit(&(w)->v, memory_order_relaxed) == *(expected))                          \
         ? (atomic_store_explicit(&(w)->v, (desired), memory_order_relaxed), true)                 \
         : (*(expected) = atomic_load_explicit(&(w)->v, memory_order_relaxed), false))

static inline uint64_t
hf__add64(hf_au64 *w, uint64_t n)
{
    uint64_t old = atomic_load_explicit(&w->v, memory_order_relaxed);
    atomic_store_explicit(&w->v, old + n, memory_order_relaxed);
    return old;
}

#define hf_fetch_add_relaxed(w, n) hf__add64((w), (n))
#define hf_fetch_add_seq_cst(w, n) hf__add64((w), (n))
#define hf_count(w, n)                                                                             \
    atomic_store_explicit(&(w)->v, atomic_load_explicit(&(w)->v, memory_order_relaxed) + (n),      \
                          memory_order_relaxed)
#define hf_count_release hf_count

#else

#define hf_fetch_add_relaxed(w, n) hf__change(atomic_fetch_add_explicit, w, n, memory_order_relaxed)
#define hf_fetch_add_seq_cst(w, n) hf__change(atomic_fetch_add_explicit, w, n, memory_order_seq_cst)
#define hf_count(w, n) ((void)hf_fetch_add_relaxed((w), (n)))
#define hf_count_release(w, n)                                                                     \
    ((void)hf__change(atomic_fetch_add_explicit, w, n, memory_order_release))

#endif

#define hf_count_alone(w, n) hf_store_release(w, hf_load_relaxed(w) + (n))

/* Set a count to 0. A word that is 0 is not written: a forked child still shares its page (hf_roster.h). */
static inline void
hf_count_forget(hf_au64 *w)
{
    if (hf_load_relaxed(w) != 0)
        hf_store_relaxed(w, 0);
}

/*
 * hf_count(w, n): count n events in a word of 32 or 64 bits. Nobody synchronises on a counter;
 * readers add them up when they ask. hf_count_release: an acquire load that sees the event also sees
 * what its thread had counted before.
 *
 * hf_count_alone(w, n): hf_count_release() of a word in which nobody else counts.
 *
 * hf_fetch_add_*: of a 64-bit word; gives what the word held.
 *
 * Compare and swap, weak: may fail for no reason, so it always stands in a loop.
 * `e` is a pointer and receives what the word held.
 */
#define hf_cas_weak_relaxed(w, e, d) hf__cas(w, e, d, memory_order_relaxed, memory_order_relaxed)
#define hf_cas_weak_acquire(w, e, d) hf__cas(w, e, d, memory_order_acquire, memory_order_relaxed)
#define hf_cas_weak_release(w, e, d) hf__cas(w, e, d, memory_order_release, memory_order_relaxed)
#define hf_cas_weak_acq_rel(w, e, d) hf__cas(w, e, d, memory_order_acq_rel, memory_order_acquire)
#define hf_cas_weak_seq_cst(w, e, d) hf__cas(w, e, d, memory_order_seq_cst, memory_order_seq_cst)

#endif /* HF_ATOMIC_H */
