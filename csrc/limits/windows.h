/*
 * The table of windows: what the types in Python ask of it. It knows no Python, so tests in C can have it alone.
 */
#ifndef HF_LIMIT_WINDOWS_H
#define HF_LIMIT_WINDOWS_H

#include <stddef.h>

#include "holdfast/hf_clock.h"
#include "holdfast/hf_compiler.h"
#include "holdfast/hf_divide.h"
#include "holdfast/hf_fixed_window.h"
#include "holdfast/hf_lock.h"
#include "holdfast/hf_moving_window.h"
#include "holdfast/hf_window_counter.h"

typedef enum { HF_FIXED, HF_MOVING, HF_COUNTER } hf_window_kind;

/* What one hit asks. */
typedef struct hf_asked {
    int64_t n, limit, per_ns, now_ns;
} hf_asked;

typedef struct hf_key {
    const char *text;
    size_t length;
    uint64_t hash;
} hf_key;

/* The windows of one key. */
typedef struct hf_cell {
    uint64_t hash;
    size_t length;
    union {
        hf_fixed_window fixed;
        hf_moving_window moving;
        hf_window_counter counter;
    };
    char text[];
} hf_cell;

typedef struct hf_place {
    uint64_t hash;
    hf_cell *cell; /* NULL: empty */
} hf_place;

typedef struct hf_stripe {
    hf_lock lock;
    hf_place *place;
    size_t size; /* a power of two, or 0 */
    size_t used;
    size_t bytes; /* of the texts of its keys */
    size_t hand;  /* where the next look for old windows begins */
    uint64_t operations;
    uint64_t evicted;
} hf_stripe;

#ifdef HF_SERIALIZED
#define HF_STRIPES 1
#else
#define HF_STRIPES 16
#endif

#define HF_KEY_BYTES 256

typedef struct hf_windows {
    hf_window_kind kind;
    int64_t
        phase_ns; /* counter: from the clock's time to the one that its windows are aligned to */
    size_t mask;  /* stripes in use, minus one: fewer where each would have few keys */
    size_t most;  /* keys of a stripe */
    uint64_t secret[3];
    hf_stripe stripe[HF_STRIPES];
} hf_windows;

/* What a look shows: fixed: count, end; moving: count, oldest; counter: previous, current, elapsed. */
typedef struct hf_shown {
    int64_t count, at_ns, previous;
} hf_shown;

void hf_windows_init(hf_windows *w, hf_window_kind kind, size_t most, int64_t phase_ns,
                     const uint64_t secret[3]);
void hf_windows_end(hf_windows *w);
/* In a forked child: what another thread of the parent was changing is forgotten, with its lock. */
void hf_windows_forked(hf_windows *w);
uint64_t hf_windows_hash(const hf_windows *w, const char *text, size_t length);
/* 1: it fits; 0: refused; -1: there is no memory. */
int hf_windows_hit(hf_windows *w, const hf_key *key, const hf_asked *asked);
bool hf_windows_test(hf_windows *w, const hf_key *key, const hf_asked *asked);
void hf_windows_look(hf_windows *w, const hf_key *key, int64_t per_ns, int64_t now_ns,
                     hf_shown *shown);
/* Fixed only: what the window has counted then; -1: there is no memory. */
int64_t hf_windows_add(hf_windows *w, const hf_key *key, const hf_asked *asked);
int64_t hf_windows_take_back(hf_windows *w, const hf_key *key, int64_t n, int64_t now_ns);
void hf_windows_clear(hf_windows *w, const hf_key *key);
size_t hf_windows_living(hf_windows *w, int64_t now_ns);
size_t hf_windows_sweep(hf_windows *w, int64_t now_ns);
size_t hf_windows_reset(hf_windows *w, int64_t now_ns);
size_t hf_windows_held(hf_windows *w);
uint64_t hf_windows_evicted(hf_windows *w);
/* Copies of all living cells, which the caller frees with hf_cells_free(); NULL with *n 0: there are none. */
int hf_windows_copy(hf_windows *w, int64_t now_ns, hf_cell ***cells, size_t *n);
void hf_cells_free(hf_window_kind kind, hf_cell **cells, size_t n);
/* Put a cell with this key in place of the one there is; it is the table's then. -1: there is no memory. */
hf_cell *hf_cell_new(const hf_key *key);
void hf_cell_free(hf_window_kind kind, hf_cell *cell);
int hf_windows_put(hf_windows *w, hf_cell *cell, int64_t now_ns);
/* Take in a moving window that nobody else has yet. 1, 0, or -1: there is no memory. */
int hf_moving_load(hf_moving_window *m, const hf_asked *asked);

#endif /* HF_LIMIT_WINDOWS_H */
