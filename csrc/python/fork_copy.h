/*
 * Forks: what becomes of the kernels in a child, before any other code of the child runs.
 *
 * The C library calls the three handlers at every fork, whoever forks: Python, a server in C (uWSGI), a
 * library. vfork and posix_spawn are no such forks: their child runs no code of the parent.
 *
 *   before      the roster and the arena are locked, so no thread is in the middle of changing them; of an
 *               arena that is a shared file, a copy is made
 *   in parent   the copy is dropped
 *   in child    the copy takes the place of the file, at the same addresses; then all kernels forget
 *
 * The child's handler makes only system calls, and touches only memory that nobody else has: another thread
 * of the parent may have held any lock, that of malloc() included. (mmap(), mremap(), mprotect() and
 * write() are plain system calls in every C library that has pthread_atfork().)
 *
 * Included by ledger.pyx alone, which has the arena and the roster.
 */
#ifndef HF_FORK_COPY_H
#define HF_FORK_COPY_H

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/hf_arena.h"
#include "holdfast/hf_rescue.h"
#include "holdfast/hf_roster.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

enum { HF__FORK_PIECE = 1 << 16 }; /* bytes; a multiple of every page size */

/* The process's own; `file` is -1 while the arena is memory of this process alone. */
static hf_arena hf_process_arena;
static hf_roster hf_process_roster;
static int hf_process_file = -1;
static void *hf__fork_copy; /* between `before` and the other two */
static bool hf__fork_lost;  /* a child that had no memory: it may only read its kernels */

static void *
hf__fork_map(void *at, size_t size, int fixed)
{
    return mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
}

static void
hf__fork_before(void)
{
    hf_roster_lock(&hf_process_roster);
    hf__arena_lock(&hf_process_arena);
    hf__fork_copy = NULL;
    if (hf_process_file < 0)
        return;
    void *copy = hf__fork_map(NULL, hf_process_arena.size, 0);
    if (copy == MAP_FAILED)
        return; /* the child tries by itself */
    memcpy(copy, hf_process_arena.base, hf_process_arena.used);
    hf__fork_copy = copy;
}

static void
hf__fork_unlock(void)
{
    hf__arena_unlock(&hf_process_arena);
    hf_roster_unlock(&hf_process_roster);
}

static void
hf__fork_in_parent(void)
{
    if (hf__fork_copy != NULL)
        (void)munmap(hf__fork_copy, hf_process_arena.size);
    hf__fork_copy = NULL;
    hf__fork_unlock();
}

/* Never write what the parent reads: a guarded call ends the process instead. */
static bool
hf__fork_give_up(void)
{
    (void)mprotect(hf_process_arena.base, hf_process_arena.size, PROT_READ);
    return false;
}

/*
 * Replace the file by memory, piece by piece: there was no memory for a copy as a whole. The parent goes on
 * meanwhile, so the pieces are not of one moment. False: there is none for a piece either.
 */
static bool
hf__fork_leave_slowly(void)
{
    static unsigned char piece[HF__FORK_PIECE];
    const hf_arena *a = &hf_process_arena;
    for (size_t at = 0; at < a->size; at += HF__FORK_PIECE) {
        const size_t bytes = a->size - at < HF__FORK_PIECE ? a->size - at : HF__FORK_PIECE;
        if (at < a->used)
            memcpy(piece, a->base + at, bytes);
        if (hf__fork_map(a->base + at, bytes, MAP_FIXED) == MAP_FAILED)
            return hf__fork_give_up();
        if (at < a->used)
            memcpy(a->base + at, piece, bytes);
    }
    return true;
}

/* Put the copy where the file is mapped. False: there was no memory for it. */
static bool
hf__fork_leave(void)
{
    const hf_arena *a = &hf_process_arena;
    if (hf__fork_copy == NULL)
        return hf__fork_leave_slowly();
#ifdef MREMAP_FIXED
    if (mremap(hf__fork_copy, a->size, a->size, MREMAP_MAYMOVE | MREMAP_FIXED, a->base) == a->base)
        return true;
#endif
    if (hf__fork_map(a->base, a->size, MAP_FIXED) == MAP_FAILED)
        return hf__fork_give_up();
    memcpy(a->base, hf__fork_copy, a->used);
    (void)munmap(hf__fork_copy, a->size);
    return true;
}

/* The same where nobody has forked: a file that could not be shared after all. False: no memory. */
static inline bool
hf_process_leave(void)
{
    if (hf_process_file < 0)
        return true;
    hf__fork_before();
    const bool own = hf__fork_leave();
    hf_process_file = -1;
    hf__fork_copy = NULL;
    hf__fork_unlock();
    return own;
}

/* Different in each child: of those that live at once by the process number, of others by the time. */
static uint64_t
hf__fork_seed(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    hf_random mixed;
    hf_random_init(&mixed, (uint64_t)getpid() << 32 ^ (uint64_t)now.tv_sec);
    hf_random_init(&mixed, hf_random_next(&mixed) ^ (uint64_t)now.tv_nsec);
    return hf_random_next(&mixed);
}

static void
hf__fork_in_child(void)
{
    static const char sad[] =
        "holdfast: a forked process has no memory for its policies; unless it "
        "gets a file, its next guarded call ends it\n";
    hf_rescue_forget();
    if (hf_process_file >= 0) {
        hf__fork_lost = !hf__fork_leave();
        hf_process_file = -1;
        hf__fork_copy = NULL;
    }
    if (!hf__fork_lost) {
        hf_roster_forget(&hf_process_roster, hf__fork_seed());
    } else {
        const ssize_t told = write(STDERR_FILENO, sad, sizeof sad - 1);
        (void)told; /* if nobody can be told, nobody is */
    }
    hf__fork_unlock();
}

/* The kernels stand in a file of this process's own: they forget, if that has not been possible yet. */
static inline void
hf_process_moved(void)
{
    if (hf__fork_lost)
        hf_roster_forget(&hf_process_roster, hf__fork_seed());
    hf__fork_lost = false;
}

/* Have the C library tell of forks; once. False: there was no memory. */
static inline bool
hf_fork_watch(void)
{
    return pthread_atfork(hf__fork_before, hf__fork_in_parent, hf__fork_in_child) == 0;
}

#endif /* HF_FORK_COPY_H */
