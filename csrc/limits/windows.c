/*
 * The table: a hash table of keys with linear probing, and for each key its windows.
 *
 * A window that counts nothing any more goes by itself: every so many operations look at a few places, one after
 * the other, and so does every new key. A table is never fuller than it may be: then, of a few places, the
 * window that has counted least makes room, so a flood of new keys does not wipe one that is used up.
 *
 * Without the GIL there are several tables, each with a lock, and the hash says which. The memory is the C
 * library's own: what Python's allocators call may wait, which nobody may who holds a lock.
 */
#ifndef HF_WITHOUT_PYTHON
#include "hf_build.h"
#endif

#include "windows.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_SIZE = 16,
    LOOKS = 4,       /* keys that a new one looks at for old windows, in as many places as … */
    PLACES = 32,     /* … these at most: a table that is sparse shrinks */
    LOOK_EVERY = 64, /* operations after which any looks at as many */
    CANDIDATES = 16, /* places that are compared when one has to go */
    PATIENCE = 100,
};

void
hf_windows_init(hf_windows *w, hf_window_kind kind, size_t most, int64_t phase_ns,
                const uint64_t secret[3])
{
    w->kind = kind;
    w->phase_ns = phase_ns;
    w->mask = HF_STRIPES - 1;
    while (w->mask > 0 && most / (w->mask + 1) < CANDIDATES)
        w->mask /= 2;
    w->most = most / (w->mask + 1);
    memcpy(w->secret, secret, sizeof w->secret);
    memset(w->stripe, 0, sizeof w->stripe);
}

void
hf_windows_forked(hf_windows *w)
{
    for (hf_stripe *s = w->stripe; s < w->stripe + HF_STRIPES; s++) {
        int tries = PATIENCE; /* one alone may fail for no reason */
        while (!hf_lock_try(&s->lock) && --tries > 0)
            continue;
        if (tries == 0)
            memset(s, 0, sizeof *s); /* its memory, which may be half written, is lost */
        else
            hf_lock_give(&s->lock);
    }
}

/* ---- keys ---- */

static inline uint64_t
folded(uint64_t a, uint64_t b)
{
    return (a * b) ^ hf_multiply_high(a, b);
}

static inline uint64_t
read8(const char *at)
{
    uint64_t n;
    memcpy(&n, at, sizeof n);
    return n;
}

/* The last 16 bytes or fewer, as two words. */
static inline void
read_end(const char *at, size_t length, uint64_t *a, uint64_t *b)
{
    if (length >= 8) {
        *a = read8(at);
        *b = read8(at + length - 8);
        return;
    }
    *a = *b = 0;
    if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, at, 4);
        memcpy(&last, at + length - 4, 4);
        *a = first, *b = last;
    } else if (length > 0) {
        *a = (uint64_t)(unsigned char)at[0] << 16 | (uint64_t)(unsigned char)at[length / 2] << 8 |
             (unsigned char)at[length - 1];
    }
}

/*
 * Products folded to 64 bits (Wang Yi, wyhash), with words that nobody outside knows: who sends keys cannot
 * choose where they come to lie.
 */
uint64_t
hf_windows_hash(const hf_windows *w, const char *text, size_t length)
{
    uint64_t a, b, h = w->secret[0] ^ length;
    const char *at = text;
    size_t left = length;
    for (; left > 16; left -= 16, at += 16)
        h = folded(read8(at) ^ w->secret[1], read8(at + 8) ^ h);
    read_end(at, left, &a, &b);
    h = folded(a ^ w->secret[2], b ^ h);
    return folded(h ^ w->secret[0], w->secret[1] ^ length);
}

hf_cell *
hf_cell_new(const hf_key *key)
{
    hf_cell *cell = calloc(1, sizeof(hf_cell) + key->length);
    if (cell == NULL)
        return NULL;
    cell->hash = key->hash;
    cell->length = key->length;
    memcpy(cell->text, key->text, key->length);
    return cell;
}

void
hf_cell_free(hf_window_kind kind, hf_cell *cell)
{
    if (cell != NULL && kind == HF_MOVING)
        free(cell->moving.ring);
    free(cell);
}

/* ---- cells ---- */

static void
cell_begin(const hf_windows *w, hf_cell *cell)
{
    if (w->kind == HF_FIXED)
        hf_fixed_window_init(&cell->fixed);
    else if (w->kind == HF_MOVING)
        hf_moving_window_init(&cell->moving);
    else
        hf_window_counter_init(&cell->counter);
}

static int64_t
cell_ends_ns(const hf_windows *w, const hf_cell *cell)
{
    if (w->kind == HF_FIXED)
        return hf_load_relaxed(&cell->fixed.ends_ns);
    if (w->kind == HF_MOVING)
        return hf_moving_window_ends_ns(&cell->moving);
    return hf_ns_sub(hf_window_counter_ends_ns(&cell->counter), w->phase_ns);
}

static int64_t
cell_count(const hf_windows *w, const hf_cell *cell)
{
    if (w->kind == HF_FIXED)
        return hf_load_relaxed(&cell->fixed.count);
    if (w->kind == HF_MOVING)
        return hf_moving_window_sum(&cell->moving);
    return hf_load_relaxed(&cell->counter.previous) + hf_load_relaxed(&cell->counter.current);
}

static inline int64_t
aligned_ns(const hf_windows *w, int64_t now_ns)
{
    return hf_ns_add(now_ns, w->phase_ns);
}

/* ---- places; the lock of the stripe is held ---- */

static inline size_t
find(const hf_stripe *s, const hf_key *key)
{
    size_t at = key->hash & (s->size - 1);
    for (; s->place[at].cell != NULL; at = (at + 1) & (s->size - 1)) {
        const hf_cell *cell = s->place[at].cell;
        if (s->place[at].hash == key->hash && cell->length == key->length &&
            memcmp(cell->text, key->text, key->length) == 0)
            break;
    }
    return at;
}

static inline hf_cell *
cell_of(const hf_stripe *s, const hf_key *key)
{
    return s->size != 0 ? s->place[find(s, key)].cell : NULL;
}

/* Take a cell out, and move those behind it that would not be found any more. */
static void
take_out(const hf_windows *w, hf_stripe *s, size_t at)
{
    s->bytes -= s->place[at].cell->length;
    hf_cell_free(w->kind, s->place[at].cell);
    const size_t mask = s->size - 1;
    size_t hole = at;
    for (size_t next = (at + 1) & mask; s->place[next].cell != NULL; next = (next + 1) & mask) {
        const size_t home = s->place[next].hash & mask;
        if (((next - home) & mask) >= ((next - hole) & mask)) {
            s->place[hole] = s->place[next];
            hole = next;
        }
    }
    s->place[hole].cell = NULL;
    s->used--;
}

static bool
resize(hf_stripe *s, size_t size)
{
    hf_place *place = calloc(size, sizeof *place);
    if (place == NULL)
        return false;
    for (size_t i = 0; i < s->size; i++) {
        if (s->place[i].cell == NULL)
            continue;
        size_t at = s->place[i].hash & (size - 1);
        while (place[at].cell != NULL)
            at = (at + 1) & (size - 1);
        place[at] = s->place[i];
    }
    free(s->place);
    s->place = place;
    s->size = size;
    s->hand = 0;
    return true;
}

/* Look at so many cells, in no more than so many places, from the hand on; windows that are over go. */
static size_t
sweep(const hf_windows *w, hf_stripe *s, size_t looks, size_t places, int64_t now_ns)
{
    size_t gone = 0;
    for (; looks > 0 && places > 0 && s->used > 0; places--) {
        s->hand &= s->size - 1;
        const hf_cell *cell = s->place[s->hand].cell;
        looks -= cell != NULL;
        if (cell != NULL && cell_ends_ns(w, cell) <= now_ns) {
            take_out(w, s, s->hand); /* another may have moved here: look again */
            gone++;
        } else {
            s->hand++;
        }
    }
    return gone;
}

/* Of the next cells, drop the one that has counted least, of equals the one that ends first. */
static void
evict(const hf_windows *w, hf_stripe *s)
{
    size_t worst = s->size, seen = 0;
    int64_t least = 0, soonest = 0;
    for (size_t i = 0; i < s->size && seen < CANDIDATES; i++, s->hand++) {
        const size_t at = s->hand & (s->size - 1);
        const hf_cell *cell = s->place[at].cell;
        if (cell == NULL)
            continue;
        seen++;
        const int64_t count = cell_count(w, cell), ends = cell_ends_ns(w, cell);
        if (worst == s->size || count < least || (count == least && ends < soonest)) {
            worst = at;
            least = count;
            soonest = ends;
        }
    }
    if (worst < s->size) {
        take_out(w, s, worst);
        s->evicted++;
    }
}

/* Whether a key of this length would be one too many. */
static bool
is_full(const hf_windows *w, const hf_stripe *s, size_t length)
{
    return s->used >= w->most || (s->used > 0 && s->bytes + length > w->most * HF_KEY_BYTES);
}

static bool
make_room(const hf_windows *w, hf_stripe *s, size_t length, int64_t now_ns)
{
    (void)sweep(w, s, LOOKS, PLACES, now_ns);
    while (is_full(w, s, length))
        if (sweep(w, s, 4 * CANDIDATES, 8 * CANDIDATES, now_ns) == 0)
            evict(w, s);
    if (s->size == 0)
        return resize(s, LEAST_SIZE);
    if (s->size > LEAST_SIZE && s->used < s->size / 16)
        (void)resize(s, s->size / 2); /* where there is no memory it stays as large as it was */
    /* What is over makes it no larger for long: between two growths, new keys look at each key twice. */
    return (s->used + 1) * 4 <= s->size * 3 || resize(s, 2 * s->size);
}

static hf_cell *
insert(const hf_windows *w, hf_stripe *s, const hf_key *key, int64_t now_ns)
{
    if (!make_room(w, s, key->length, now_ns))
        return NULL;
    hf_cell *cell = hf_cell_new(key);
    if (cell == NULL)
        return NULL;
    cell_begin(w, cell);
    s->place[find(s, key)] = (hf_place){.hash = key->hash, .cell = cell};
    s->used++;
    s->bytes += key->length;
    return cell;
}

static inline hf_cell *
cell_for(const hf_windows *w, hf_stripe *s, const hf_key *key, int64_t now_ns)
{
    hf_cell *cell = cell_of(s, key);
    return cell != NULL ? cell : insert(w, s, key, now_ns);
}

static inline hf_stripe *
enter(hf_windows *w, const hf_key *key)
{
    hf_stripe *s = &w->stripe[(key->hash >> 32) & w->mask];
    for (int i = 0; !hf_lock_try(&s->lock); i++)
        if (i >= PATIENCE)
            sched_yield();
    return s;
}

/* Each stripe in turn, as the next may be one that nobody asks any more. */
static inline void
leave(hf_windows *w, hf_stripe *s, int64_t now_ns)
{
    const uint64_t operations = ++s->operations;
    hf_lock_give(&s->lock);
    if (HF_LIKELY(operations % LOOK_EVERY != 0))
        return;
    hf_stripe *next = &w->stripe[operations / LOOK_EVERY & w->mask];
    if (!hf_lock_try(&next->lock))
        return;
    (void)sweep(w, next, LOOKS, PLACES, now_ns);
    hf_lock_give(&next->lock);
}

/* ---- what is asked of a key ---- */

/* With a larger ring where it has no room. */
int
hf_moving_load(hf_moving_window *m, const hf_asked *asked)
{
    hf_moving_answer answer;
    while ((answer = hf_moving_window_take(m, asked->n, asked->limit, asked->per_ns,
                                           asked->now_ns)) == HF_MOVING_FULL) {
        const uint64_t room = hf_moving_window_wanted(m);
        hf_run *ring = malloc(room * sizeof *ring);
        if (ring == NULL)
            return -1;
        free(hf_moving_window_move(m, ring, room));
    }
    return answer == HF_MOVING_TAKEN;
}

static inline bool
fits(const hf_windows *w, const hf_cell *cell, const hf_asked *asked)
{
    int64_t count, oldest;
    if (cell == NULL)
        count = 0;
    else if (w->kind == HF_FIXED)
        count = hf_fixed_window_count(&cell->fixed, asked->now_ns);
    else if (w->kind == HF_MOVING)
        count = hf_moving_window_count(&cell->moving, asked->per_ns, asked->now_ns, &oldest);
    else
        count =
            hf_window_counter_count(&cell->counter, asked->per_ns, aligned_ns(w, asked->now_ns));
    return count <= asked->limit - asked->n;
}

int
hf_windows_hit(hf_windows *w, const hf_key *key, const hf_asked *asked)
{
    int answer = 0;
    hf_stripe *s = enter(w, key);
    if (asked->n == 0 || (asked->n > asked->limit && w->kind != HF_FIXED)) {
        answer = fits(w, cell_of(s, key), asked);
    } else {
        hf_cell *cell = cell_for(w, s, key, asked->now_ns);
        if (cell == NULL)
            answer = -1;
        else if (w->kind == HF_FIXED)
            answer = hf_fixed_window_add(&cell->fixed, asked->n, asked->per_ns, asked->now_ns) <=
                     asked->limit;
        else if (w->kind == HF_MOVING)
            answer = hf_moving_load(&cell->moving, asked);
        else
            answer = hf_window_counter_take(&cell->counter, asked->n, asked->limit, asked->per_ns,
                                            aligned_ns(w, asked->now_ns));
    }
    leave(w, s, asked->now_ns);
    return answer;
}

bool
hf_windows_test(hf_windows *w, const hf_key *key, const hf_asked *asked)
{
    hf_stripe *s = enter(w, key);
    const bool answer = fits(w, cell_of(s, key), asked);
    leave(w, s, asked->now_ns);
    return answer;
}

static void
show(const hf_windows *w, const hf_cell *cell, int64_t per_ns, int64_t now_ns, hf_shown *shown)
{
    if (w->kind == HF_FIXED) {
        shown->count = hf_fixed_window_count(&cell->fixed, now_ns);
        shown->at_ns = hf_fixed_window_ends_ns(&cell->fixed, now_ns);
    } else if (w->kind == HF_MOVING) {
        shown->count = hf_moving_window_count(&cell->moving, per_ns, now_ns, &shown->at_ns);
    } else {
        const hf_window_counts at =
            hf_window_counter_read(&cell->counter, per_ns, aligned_ns(w, now_ns));
        *shown = (hf_shown){.count = at.current, .at_ns = at.elapsed_ns, .previous = at.previous};
    }
}

void
hf_windows_look(hf_windows *w, const hf_key *key, int64_t per_ns, int64_t now_ns, hf_shown *shown)
{
    *shown = (hf_shown){.count = 0, .at_ns = INT64_MIN};
    hf_stripe *s = enter(w, key);
    const hf_cell *cell = cell_of(s, key);
    if (cell != NULL) {
        show(w, cell, per_ns, now_ns, shown);
    } else if (w->kind == HF_COUNTER) {
        hf_window_counter none;
        hf_window_counter_init(&none);
        shown->at_ns = hf_window_counter_read(&none, per_ns, aligned_ns(w, now_ns)).elapsed_ns;
    }
    leave(w, s, now_ns);
}

int64_t
hf_windows_add(hf_windows *w, const hf_key *key, const hf_asked *asked)
{
    hf_stripe *s = enter(w, key);
    hf_cell *cell = asked->n > 0 ? cell_for(w, s, key, asked->now_ns) : cell_of(s, key);
    int64_t count = asked->n > 0 ? -1 : 0;
    if (cell != NULL)
        count = hf_fixed_window_add(&cell->fixed, asked->n, asked->per_ns, asked->now_ns);
    leave(w, s, asked->now_ns);
    return count;
}

int64_t
hf_windows_take_back(hf_windows *w, const hf_key *key, int64_t n, int64_t now_ns)
{
    hf_stripe *s = enter(w, key);
    hf_cell *cell = cell_of(s, key);
    const int64_t left = cell != NULL ? hf_fixed_window_take_back(&cell->fixed, n, now_ns) : 0;
    leave(w, s, now_ns);
    return left;
}

void
hf_windows_clear(hf_windows *w, const hf_key *key)
{
    hf_stripe *s = enter(w, key);
    if (s->size != 0) {
        const size_t at = find(s, key);
        if (s->place[at].cell != NULL)
            take_out(w, s, at);
    }
    hf_lock_give(&s->lock);
}

int
hf_windows_put(hf_windows *w, hf_cell *cell, int64_t now_ns)
{
    const hf_key key = {.text = cell->text, .length = cell->length, .hash = cell->hash};
    hf_stripe *s = enter(w, &key);
    int answer = make_room(w, s, cell->length, now_ns) ? 0 : -1;
    if (answer == 0) {
        hf_place *place = &s->place[find(s, &key)];
        if (place->cell != NULL)
            s->bytes -= place->cell->length;
        s->used += place->cell == NULL;
        s->bytes += cell->length;
        hf_cell_free(w->kind, place->cell);
        *place = (hf_place){.hash = cell->hash, .cell = cell};
    }
    hf_lock_give(&s->lock);
    return answer;
}

/* ---- what is asked of all ---- */

static hf_stripe *
enter_stripe(hf_windows *w, size_t number)
{
    return enter(w, &(hf_key){.hash = (uint64_t)number << 32});
}

size_t
hf_windows_living(hf_windows *w, int64_t now_ns)
{
    size_t living = 0;
    for (size_t i = 0; i <= w->mask; i++) {
        hf_stripe *s = enter_stripe(w, i);
        for (size_t at = 0; at < s->size; at++)
            living += s->place[at].cell != NULL && cell_ends_ns(w, s->place[at].cell) > now_ns;
        hf_lock_give(&s->lock);
    }
    return living;
}

size_t
hf_windows_sweep(hf_windows *w, int64_t now_ns)
{
    size_t gone = 0;
    for (size_t i = 0; i <= w->mask; i++) {
        hf_stripe *s = enter_stripe(w, i);
        gone += sweep(w, s, SIZE_MAX, 2 * s->size, now_ns);
        size_t size = LEAST_SIZE;
        while (size < 2 * s->used)
            size *= 2;
        if (size < s->size / 4)
            (void)resize(s, size);
        hf_lock_give(&s->lock);
    }
    return gone;
}

size_t
hf_windows_reset(hf_windows *w, int64_t now_ns)
{
    size_t living = 0;
    for (size_t i = 0; i <= w->mask; i++) {
        hf_stripe *s = enter_stripe(w, i);
        for (size_t at = 0; at < s->size; at++) {
            hf_cell *cell = s->place[at].cell;
            living += cell != NULL && cell_ends_ns(w, cell) > now_ns;
            hf_cell_free(w->kind, cell);
        }
        free(s->place);
        s->place = NULL;
        s->size = s->used = s->bytes = s->hand = 0;
        hf_lock_give(&s->lock);
    }
    return living;
}

void
hf_windows_end(hf_windows *w)
{
    (void)hf_windows_reset(w, INT64_MAX);
}

size_t
hf_windows_held(hf_windows *w)
{
    size_t held = 0;
    for (size_t i = 0; i <= w->mask; i++) {
        hf_stripe *s = enter_stripe(w, i);
        held += s->used;
        hf_lock_give(&s->lock);
    }
    return held;
}

uint64_t
hf_windows_evicted(hf_windows *w)
{
    uint64_t evicted = 0;
    for (size_t i = 0; i <= w->mask; i++) {
        hf_stripe *s = enter_stripe(w, i);
        evicted += s->evicted;
        hf_lock_give(&s->lock);
    }
    return evicted;
}

static hf_cell *
copy_of(hf_window_kind kind, const hf_cell *cell)
{
    const size_t size = sizeof(hf_cell) + cell->length;
    hf_cell *copy = malloc(size);
    if (copy == NULL)
        return NULL;
    memcpy(copy, cell, size);
    if (kind == HF_MOVING && cell->moving.ring != NULL) {
        const uint64_t room = hf_load_relaxed(&cell->moving.room);
        hf_run *ring = malloc(room * sizeof *ring);
        if (ring == NULL) {
            free(copy);
            return NULL;
        }
        (void)hf_moving_window_move(&copy->moving, ring, room);
    }
    return copy;
}

int
hf_windows_copy(hf_windows *w, int64_t now_ns, hf_cell ***cells, size_t *n)
{
    bool enough = true;
    *cells = NULL;
    *n = 0;
    for (size_t i = 0; i <= w->mask && enough; i++) {
        hf_stripe *s = enter_stripe(w, i);
        hf_cell **more = realloc(*cells, (*n + s->used + 1) * sizeof *more);
        enough = more != NULL;
        if (enough)
            *cells = more;
        for (size_t at = 0; at < s->size && enough; at++) {
            const hf_cell *cell = s->place[at].cell;
            if (cell == NULL || cell_ends_ns(w, cell) <= now_ns)
                continue;
            more[*n] = copy_of(w->kind, cell);
            enough = more[*n] != NULL;
            *n += enough;
        }
        hf_lock_give(&s->lock);
    }
    if (enough)
        return 0;
    hf_cells_free(w->kind, *cells, *n);
    *cells = NULL;
    return -1;
}

void
hf_cells_free(hf_window_kind kind, hf_cell **cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hf_cell_free(kind, cells[i]);
    free(cells);
}
