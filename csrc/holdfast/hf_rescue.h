/*
 * Rescue: memory is mapped from a file, and somebody truncates the file.
 *
 * An access to a page that the file has no longer raises SIGBUS, and SIGBUS ends the process. Here is a
 * handler that puts memory of this process in place of the page: a copy that the owner of the mapping
 * keeps, or zeros. Then the access is repeated, and the process goes on. A SIGBUS from elsewhere goes to
 * the handler that was there before.
 *
 * Owns the handler and the list of regions that it watches. Not here: what a region holds, and what its
 * owner does about a file that was lost. The handler calls only what is safe in a signal handler.
 */
#ifndef HF_RESCUE_H
#define HF_RESCUE_H

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hf_atomic.h"

/* A region of mapped pages. It is used again, and never freed: the handler may be reading it. */
typedef struct hf_rescue {
    hf_au32 used; /* 1: somebody does */
    hf_au64 base; /* its address; 0: it is not watched */
    hf_au64 size;
    hf_au64 copy; /* the address of what is put in place, as long as the region; 0: zeros */
    hf_au32 lost; /* 1: a page was replaced */
    struct hf_rescue *next;
} hf_rescue;

static struct {
    hf_au64 regions; /* the address of the first */
    struct sigaction before;
    size_t page;
    hf_au32 installing; /* 1: somebody installs the handler, or looks whether it is */
    hf_au32 busy;       /* 1: a handler replaces a page */
} hf__rescue;

enum hf__rescue_page { HF__PAGE_THERE, HF__PAGE_GONE, HF__PAGE_UNKNOWN };

/* Whether a page can be read: Linux answers since 5.14. */
static inline enum hf__rescue_page
hf__rescue_look(void *at)
{
#ifdef MADV_POPULATE_READ
    if (madvise(at, hf__rescue.page, MADV_POPULATE_READ) == 0)
        return HF__PAGE_THERE;
    return errno == EINVAL ? HF__PAGE_UNKNOWN : HF__PAGE_GONE;
#else
    (void)at;
    return HF__PAGE_UNKNOWN;
#endif
}

/* Put memory of this process in place of the page at `offset`. Whether it is readable now. */
static inline bool
hf__rescue_replace(hf_rescue *r, unsigned char *base, size_t offset)
{
    unsigned char *at = base + offset;
    const unsigned char *copy = (const unsigned char *)(uintptr_t)hf_load_acquire(&r->copy);
    if (mmap(at, hf__rescue.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0) == MAP_FAILED)
        return false;
    if (copy != NULL)
        memcpy(at, copy + offset, hf__rescue.page);
    hf_store_release(&r->lost, 1);
    return true;
}

/* Replace the page of an address. Whether the access can be repeated. */
static inline bool
hf__rescue_at(hf_rescue *r, uintptr_t address)
{
    const uintptr_t base = (uintptr_t)hf_load_acquire(&r->base);
    if (base == 0 || address < base || address - base >= hf_load_acquire(&r->size))
        return false;
    const size_t offset = (address - base) / hf__rescue.page * hf__rescue.page;
    /* Another thread may have replaced it while this one waited, and written to it. */
    return hf__rescue_look((unsigned char *)base + offset) == HF__PAGE_THERE ||
           hf__rescue_replace(r, (unsigned char *)base, offset);
}

/* Replace all pages that are gone: another handler passes the signal on without the address. */
static inline bool
hf__rescue_all(hf_rescue *r)
{
    bool replaced = false;
    unsigned char *base = (unsigned char *)(uintptr_t)hf_load_acquire(&r->base);
    const size_t size = base != NULL ? (size_t)hf_load_acquire(&r->size) : 0;
    for (size_t offset = 0; offset < size; offset += hf__rescue.page)
        if (hf__rescue_look(base + offset) == HF__PAGE_GONE)
            replaced |= hf__rescue_replace(r, base, offset);
    return replaced;
}

/* Given back by a store of 0 with release. */
static inline void
hf__rescue_lock(hf_au32 *lock)
{
    uint32_t is = 0;
    while (!hf_cas_weak_acquire(lock, &is, 1))
        is = 0;
}

static inline hf_rescue *
hf__rescue_first(void)
{
    return (hf_rescue *)(uintptr_t)hf_load_acquire(&hf__rescue.regions);
}

static inline bool
hf__rescue_any(const siginfo_t *info)
{
    bool found = false;
    hf__rescue_lock(&hf__rescue.busy);
    for (hf_rescue *r = hf__rescue_first(); r != NULL && (info->si_code <= 0 || !found);
         r = r->next)
        found |= info->si_code > 0 ? hf__rescue_at(r, (uintptr_t)info->si_addr) : hf__rescue_all(r);
    hf_store_release(&hf__rescue.busy, 0);
    return found;
}

static void
hf__rescue_handle(int number, siginfo_t *info, void *context)
{
    const int saved = errno;
    const struct sigaction *before = &hf__rescue.before;
    if (hf__rescue_any(info)) {
        errno = saved;
    } else if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    } else { /* the access is repeated, and ends the process as it would have */
        signal(number, SIG_DFL);
        if (info->si_code <= 0)
            raise(number);
    }
}

/*
 * Have the handler installed. Whether it is; errno tells why not. From any thread.
 *
 * Once: who installs another one later passes on to this one, and may not be passed on to in return.
 */
static inline bool
hf_rescue_install(void)
{
    struct sigaction ours = {.sa_sigaction = hf__rescue_handle,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&ours.sa_mask);
    hf__rescue_lock(&hf__rescue.installing);
    bool is = hf__rescue.page != 0;
    if (!is && sigaction(SIGBUS, NULL, &hf__rescue.before) == 0 &&
        sigaction(SIGBUS, &ours, NULL) == 0) {
        hf__rescue.page = (size_t)sysconf(_SC_PAGESIZE); /* nothing is watched yet */
        is = true;
    }
    hf_store_release(&hf__rescue.installing, 0);
    return is;
}

/* In a forked child: a thread of the parent may have been amid it. */
static inline void
hf_rescue_forget(void)
{
    hf_store_relaxed(&hf__rescue.installing, 0);
    hf_store_relaxed(&hf__rescue.busy, 0);
}

/* A region that nobody else uses. NULL: out of memory. */
static inline hf_rescue *
hf__rescue_claim(void)
{
    for (hf_rescue *r = hf__rescue_first(); r != NULL; r = r->next) {
        uint32_t is = hf_load_relaxed(&r->used);
        /* Acquire pairs with the release in hf_rescue_leave(). */
        while (is == 0 && !hf_cas_weak_acquire(&r->used, &is, 1))
            ;
        if (is == 0)
            return r;
    }
    hf_rescue *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    hf_store_relaxed(&r->used, 1);
    uint64_t first = hf_load_relaxed(&hf__rescue.regions);
    /* Release pairs with the acquire in hf__rescue_first(). */
    do
        r->next = (hf_rescue *)(uintptr_t)first;
    while (!hf_cas_weak_release(&hf__rescue.regions, &first, (uintptr_t)r));
    return r;
}

/*
 * Watch `size` bytes that are mapped at base. The copy is as long, and may be NULL. From any thread.
 * NULL: out of memory.
 */
static inline hf_rescue *
hf_rescue_watch(void *base, size_t size, const void *copy)
{
    hf_rescue *r = hf__rescue_claim();
    if (r == NULL)
        return NULL;
    hf_store_relaxed(&r->size, size);
    hf_store_relaxed(&r->copy, (uintptr_t)copy);
    hf_store_relaxed(&r->lost, 0);
    hf_store_release(&r->base, (uintptr_t)base);
    return r;
}

/* The region is longer now. One caller at a time. */
static inline void
hf_rescue_grow(hf_rescue *r, size_t size)
{
    if (r != NULL)
        hf_store_release(&r->size, size);
}

/* The whole region was mapped anew: nothing of it is lost. One caller at a time. */
static inline void
hf_rescue_renew(hf_rescue *r)
{
    if (r != NULL)
        hf_store_release(&r->lost, 0);
}

/* Watch a region no longer. */
static inline void
hf_rescue_leave(hf_rescue *r)
{
    if (r == NULL)
        return;
    hf_store_release(&r->base, 0);
    hf_store_release(&r->used, 0);
}

/* Whether a page of it was replaced. */
static inline bool
hf_rescue_has_lost(const hf_rescue *r)
{
    return r != NULL && hf_load_acquire(&r->lost) != 0;
}

#endif /* HF_RESCUE_H */
