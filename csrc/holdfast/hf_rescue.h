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
    hf_au64 base; /* its address; 0: nobody uses it */
    hf_au64 size;
    hf_au64 copy; /* the address of what is put in place, as long as the region; 0: zeros */
    hf_au32 lost; /* 1: a page was replaced */
    struct hf_rescue *next;
} hf_rescue;

static struct {
    hf_rescue *regions; /* changed by one thread at a time */
    struct sigaction before;
    size_t page;
    hf_au32 busy; /* 1: a handler replaces a page */
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

static inline bool
hf__rescue_any(const siginfo_t *info)
{
    bool found = false;
    uint32_t is = 0;
    /* Acquire pairs with the release below. */
    while (!hf_cas_weak_acquire(&hf__rescue.busy, &is, 1))
        is = 0;
    for (hf_rescue *r = hf__rescue.regions; r != NULL && (info->si_code <= 0 || !found);
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
 * Have the handler installed. Whether it is; errno tells why not. One caller at a time.
 *
 * Once: who installs another one later passes on to this one, and may not be passed on to in return.
 */
static inline bool
hf_rescue_install(void)
{
    struct sigaction ours = {.sa_sigaction = hf__rescue_handle,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    if (hf__rescue.page != 0)
        return true;
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGBUS, NULL, &hf__rescue.before) != 0 || sigaction(SIGBUS, &ours, NULL) != 0)
        return false;
    hf__rescue.page = (size_t)sysconf(_SC_PAGESIZE); /* nothing is watched yet */
    return true;
}

/*
 * Watch `size` bytes that are mapped at base. The copy is as long, and may be NULL. One caller at a time.
 * NULL: out of memory.
 */
static inline hf_rescue *
hf_rescue_watch(void *base, size_t size, const void *copy)
{
    hf_rescue *r = hf__rescue.regions;
    while (r != NULL && hf_load_relaxed(&r->base) != 0)
        r = r->next;
    if (r == NULL) {
        r = calloc(1, sizeof *r);
        if (r == NULL)
            return NULL;
        r->next = hf__rescue.regions;
        hf__rescue.regions = r;
    }
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

/* Watch a region no longer. One caller at a time. */
static inline void
hf_rescue_leave(hf_rescue *r)
{
    if (r != NULL)
        hf_store_release(&r->base, 0);
}

/* Whether a page of it was replaced. */
static inline bool
hf_rescue_has_lost(const hf_rescue *r)
{
    return r != NULL && hf_load_acquire(&r->lost) != 0;
}

#endif /* HF_RESCUE_H */
