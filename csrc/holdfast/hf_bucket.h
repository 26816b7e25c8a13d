/*
 * Token bucket: at most `burst` tokens at once and `num` every `den` nanoseconds after that.
 *
 * Kept as a theoretical arrival time (ATM Forum TM 4.0, GCRA): the moment at which everything
 * issued so far is paid for. One word moved by one CAS per take, no refill, no fraction lost:
 * time is counted in units of 1/num ns, in which both a nanosecond (num) and a token (den) are
 * whole numbers. A take costs one multiplication; only a wait divides.
 *
 * A rate lives in one of four banks, which the word names. A change of rate fills a free bank and
 * publishes it by the CAS of the word, so a take sees the old rate or the other, never half of
 * each, and the tokens move with it. The same step moves the base of time along, every hour or so:
 * no idle gap is too long. A bank may be filled again while a slow thread still reads it; what that
 * thread makes of it counts only if the word is as it was (see hf__bucket_move_slow).
 *
 * Tokens only: who waits, and for what, is not here. `now_ns` comes from hf_clock. One that is older
 * than another thread's finds fewer tokens, never more.
 */
#ifndef HF_BUCKET_H
#define HF_BUCKET_H

#include "hf_clock.h"
#include "hf_compiler.h"

typedef struct hf_rate {
    uint64_t num;   /* tokens … 1 to HF_RATE_NUM_MAX */
    uint64_t den;   /* … every so many ns, at least 1 */
    uint64_t burst; /* at least 1; den * burst at most HF_RATE_SPAN_MAX */
} hf_rate;

#define HF_RATE_NUM_MAX UINT64_C(200000)
#define HF_RATE_SPAN_MAX (UINT64_C(1) << 60)

/* What reserve and wait answer when there is no wait after which the tokens would be there. */
#define HF_BUCKET_NEVER INT64_MAX

/* One rate; written before the word names it and while nobody else may (see `claimed`). */
typedef struct hf__bank {
    hf_ai64 base_ns; /* unit 0 of the arrival time */
    hf_au64 num;     /* units in a nanosecond */
    hf_au64 cost;    /* units in a token: den */
    hf_au64 burst;
    hf_au64 limit; /* burst * cost: the debt of an empty bucket */
} hf__bank;

/*
 *  63    62 61                           0
 *  +-------+-----------------------------+
 *  | bank  |   arrival, in 1/num ns      |    debt = max(arrival - now, 0), in units since the
 *  +-------+-----------------------------+    bank's base_ns; tokens = (limit - debt) / cost
 */
typedef struct hf_bucket {
    hf_au64 word;
    hf_au64 claimed;                     /* bit v: bank v is named by the word, or being filled */
    hf_au64 changes;                     /* of rate or base, begun so far */
    hf_au64 allowed, rejected, refunded; /* calls, not tokens */
    hf__bank bank[4];
} hf_bucket;

enum { HF__BUCKET_BITS = 62 };
#define HF__ARRIVAL_MAX ((UINT64_C(1) << HF__BUCKET_BITS) - 1)
/* A base serves for 2^42 ns (73 minutes): 2^42 * HF_RATE_NUM_MAX < 2^60 leaves room for the debt.
   It is set half of that into the past, for threads that read the clock a little earlier. */
#define HF__BASE_NS (UINT64_C(1) << 42)
#define HF__LEAD_NS (INT64_C(1) << 41)
#define HF__LATE_NEVER UINT64_MAX

static inline bool
hf_rate_is_valid(hf_rate r)
{
    return r.num >= 1 && r.num <= HF_RATE_NUM_MAX && r.den >= 1 && r.burst >= 1 &&
           r.burst <= HF_RATE_SPAN_MAX / r.den;
}

/* What a word means at a moment. */
typedef struct hf__bucket_view {
    uint64_t now, arrival, num, cost, burst, limit;
    bool far; /* now is out of the base's reach: `now` is held at its end, and the base must move */
} hf__bucket_view;

/* Of a bucket in a file that was truncated there may be zeros left (hf_rescue.h). */
static inline uint64_t
hf__divisor(uint64_t n)
{
    return n + (n == 0);
}

static inline hf__bucket_view
hf__bucket_look(const hf_bucket *b, uint64_t word, int64_t now_ns)
{
    /* Acquire pairs with the release in hf__bank_fill(): whoever sees a field of the bank's next
       use also sees that the word has left the bank, and its CAS fails. */
    const hf__bank *k = &b->bank[word >> HF__BUCKET_BITS];
    int64_t base_ns = hf_load_acquire(&k->base_ns);
    hf__bucket_view v = {
        .arrival = word & HF__ARRIVAL_MAX,
        .num = hf_load_acquire(&k->num),
        .cost = hf_load_acquire(&k->cost),
        .burst = hf_load_acquire(&k->burst),
        .limit = hf_load_acquire(&k->limit),
    };
    uint64_t elapsed = (uint64_t)now_ns - (uint64_t)base_ns;
    if (elapsed <= HF__BASE_NS) {
        v.now = elapsed * v.num;
    } else if (now_ns > base_ns) {
        v.far = true;
        v.now = elapsed <= HF__ARRIVAL_MAX / hf__divisor(v.num) ? elapsed * v.num : HF__ARRIVAL_MAX;
    } /* else before the base: counts as the base */
    return v;
}

static inline uint64_t
hf__bucket_debt(const hf__bucket_view *v)
{
    return v->arrival > v->now ? v->arrival - v->now : 0;
}

/* Units to wait until n tokens are there, 0: they are; and the arrival time once they are taken. */
static inline uint64_t
hf__bucket_late(const hf__bucket_view *v, uint64_t n, uint64_t *arrival)
{
    if (n > v->burst)
        return HF__LATE_NEVER;
    uint64_t last = v->now + v->limit; /* each of these terms is below 2^62 */
    *arrival = (v->arrival > v->now ? v->arrival : v->now) + n * v->cost;
    if (*arrival <= last)
        return 0;
    return *arrival <= HF__ARRIVAL_MAX ? *arrival - last : HF__LATE_NEVER;
}

/* Rounded up: after so many ns the tokens are there, and one ns earlier they are not. */
static inline int64_t
hf__bucket_ns(uint64_t late, uint64_t num)
{
    if (late == HF__LATE_NEVER)
        return HF_BUCKET_NEVER;
    return (int64_t)(late / hf__divisor(num) + (late % hf__divisor(num) != 0));
}

/*
 * a * b / c without a wider type, rounded down or up, held at HF__ARRIVAL_MAX.
 * a <= HF__ARRIVAL_MAX; b and c from 1 to HF_RATE_SPAN_MAX. Long multiplication, high bit first:
 * after each bit q * c + r is b times the bits of a so far, and r < c.
 */
HF_RARE uint64_t
hf__muldiv_slow(uint64_t a, uint64_t b, uint64_t c, bool up)
{
    uint64_t q = 0, r = 0;
    for (int bit = HF__BUCKET_BITS - 1; bit >= 0; bit--) {
        if (q > HF__ARRIVAL_MAX / 2)
            return HF__ARRIVAL_MAX;
        q *= 2;
        r *= 2;
        if (a >> bit & 1) {
            q += b / c;
            r += b % c;
        }
        q += r / c;
        r %= c;
    }
    q += up && r != 0;
    return q < HF__ARRIVAL_MAX ? q : HF__ARRIVAL_MAX;
}

static inline void
hf__bank_fill(hf__bank *k, hf_rate r, int64_t base_ns)
{
    /* Release pairs with the acquire in hf__bucket_look(). */
    hf_store_release(&k->base_ns, base_ns);
    hf_store_release(&k->num, r.num);
    hf_store_release(&k->cost, r.den);
    hf_store_release(&k->burst, r.burst);
    hf_store_release(&k->limit, r.burst * r.den);
}

/*
 * A free bank to fill, in turn, so that each rests for a while after its use. Three changes of rate
 * can be under way; a fourth at the same instant waits here for one of them to be published.
 */
HF_RARE uint64_t
hf__bank_claim_slow(hf_bucket *b)
{
    uint64_t v = hf_load_relaxed(&b->word) >> HF__BUCKET_BITS;
    for (;;) {
        uint64_t claimed = hf_load_relaxed(&b->claimed);
        v = (v + 1) % 4;
        /* Acquire pairs with the release in hf__bank_free_slow(). */
        if (!(claimed >> v & 1) &&
            hf_cas_weak_acquire(&b->claimed, &claimed, claimed | UINT64_C(1) << v))
            return v;
    }
}

HF_RARE void
hf__bank_free_slow(hf_bucket *b, uint64_t v)
{
    uint64_t claimed = hf_load_relaxed(&b->claimed);
    /* Release pairs with the acquire in hf__bank_claim_slow(): the word has left bank v. */
    while (!hf_cas_weak_release(&b->claimed, &claimed, claimed & ~(UINT64_C(1) << v)))
        ;
}

/* Debt under another rate: as many tokens, to the unit, less what the burst cannot hold. */
HF_RARE uint64_t
hf__bucket_carry_slow(const hf__bucket_view *v, hf_rate r)
{
    uint64_t debt = hf__bucket_debt(v), limit = r.burst * r.den;
    if (debt <= v->limit) {
        uint64_t tokens = hf__muldiv_slow(v->limit - debt, r.den, hf__divisor(v->cost), false);
        return tokens < limit ? limit - tokens : 0;
    }
    return limit + hf__muldiv_slow(debt - v->limit, r.den, hf__divisor(v->cost), true);
}

/*
 * Move the tokens to a bank of this rate, based on now; `rate` NULL: keep it, if the base is far.
 *
 * Were the bases of two changes equally far from their now, equal debts would make equal words, and
 * a thread that read the bank of one could take the other's word for it. So each base is a
 * nanosecond off that of the change before, and the arrival time with it.
 */
HF_RARE void
hf__bucket_move_slow(hf_bucket *b, const hf_rate *rate, int64_t now_ns)
{
    uint64_t change = hf_fetch_add_relaxed(&b->changes, 1) & UINT32_MAX;
    uint64_t bank = hf__bank_claim_slow(b), word, arrival;
    do {
        word = hf_load_acquire(&b->word);
        hf__bucket_view v = hf__bucket_look(b, word, now_ns);
        if (!rate && !v.far) {
            hf__bank_free_slow(b, bank); /* another thread has moved it */
            return;
        }
        hf_rate r = rate ? *rate : (hf_rate){.num = v.num, .den = v.cost, .burst = v.burst};
        int64_t base_ns = hf_load_relaxed(&b->bank[word >> HF__BUCKET_BITS].base_ns);
        int64_t wanted_ns = hf_ns_add(hf_ns_sub(now_ns, HF__LEAD_NS), (int64_t)change);
        if (base_ns < wanted_ns) /* else the caller's time is old: the base stays */
            base_ns = wanted_ns;
        hf__bank_fill(&b->bank[bank], r, base_ns);
        arrival = hf__bucket_carry_slow(&v, r);
        if (now_ns > base_ns)
            arrival += (uint64_t)(now_ns - base_ns) * r.num;
        if (arrival > HF__ARRIVAL_MAX)
            arrival = HF__ARRIVAL_MAX;
        /* Release publishes the bank to the acquire with which a take loads the word. */
    } while (!hf_cas_weak_acq_rel(&b->word, &word, bank << HF__BUCKET_BITS | arrival));
    hf__bank_free_slow(b, word >> HF__BUCKET_BITS);
}

/* A bucket that is full as of now. The rate must be valid. */
static inline void
hf_bucket_init(hf_bucket *b, hf_rate rate, int64_t now_ns)
{
    int64_t base_ns = hf_ns_sub(now_ns, HF__LEAD_NS);
    for (int v = 0; v < 4; v++)
        hf__bank_fill(&b->bank[v], rate, base_ns);
    hf_store_relaxed(&b->claimed, 1);
    hf_store_relaxed(&b->changes, 1);
    hf_store_relaxed(&b->allowed, 0);
    hf_store_relaxed(&b->rejected, 0);
    hf_store_relaxed(&b->refunded, 0);
    hf_store_release(&b->word, (uint64_t)(now_ns - base_ns) * rate.num);
}

/*
 * In a forked child: counts start at zero, tokens and bookings stay. A bank that a thread of the parent was
 * filling is free again: nobody here will publish it.
 */
static inline void
hf_bucket_forget(hf_bucket *b)
{
    const uint64_t named = UINT64_C(1) << (hf_load_relaxed(&b->word) >> HF__BUCKET_BITS);
    if (hf_load_relaxed(&b->claimed) != named)
        hf_store_relaxed(&b->claimed, named);
    hf_count_forget(&b->allowed);
    hf_count_forget(&b->rejected);
    hf_count_forget(&b->refunded);
}

/* Whether the word is another by now, which *word receives: then what was seen proves nothing. */
static inline bool
hf__bucket_has_moved(const hf_bucket *b, uint64_t *word)
{
    uint64_t seen = *word;
    *word = hf_load_acquire(&b->word);
    return *word != seen;
}

/* What the bucket is at a moment, for those who change nothing. */
static inline hf__bucket_view
hf__bucket_read(const hf_bucket *b, int64_t now_ns)
{
    uint64_t word = hf_load_acquire(&b->word);
    hf__bucket_view v;
    do {
        v = hf__bucket_look(b, word, now_ns);
    } while (hf__bucket_has_moved(b, &word));
    return v;
}

/* As hf__bucket_look(), of the word as it is once the base is in reach; *word receives it. */
static inline hf__bucket_view
hf__bucket_near(hf_bucket *b, uint64_t *word, int64_t now_ns)
{
    hf__bucket_view v = hf__bucket_look(b, *word, now_ns);
    while (v.far) {
        hf__bucket_move_slow(b, NULL, now_ns);
        *word = hf_load_acquire(&b->word);
        v = hf__bucket_look(b, *word, now_ns);
    }
    return v;
}

/*
 * Book n tokens that are there within max_wait_ns; negative is as 0.
 * Returns the ns to wait until they are the caller's, 0: at once; or -1 and books nothing: they
 * would come too late or never, so nobody waits in vain. A caller that gives up refunds.
 */
static inline int64_t
hf_bucket_take_within(hf_bucket *b, uint64_t n, int64_t now_ns, int64_t max_wait_ns)
{
    uint64_t arrival, word = hf_load_acquire(&b->word);
    for (;;) {
        hf__bucket_view v = hf__bucket_near(b, &word, now_ns);
        uint64_t late = hf__bucket_late(&v, n, &arrival);
        int64_t wait_ns = 0;
        if (late != 0) /* the only place that divides, and not for a caller that cannot wait */
            wait_ns = max_wait_ns > 0 ? hf__bucket_ns(late, v.num) : HF_BUCKET_NEVER;
        if (wait_ns == HF_BUCKET_NEVER || (wait_ns != 0 && wait_ns > max_wait_ns)) {
            if (hf__bucket_has_moved(b, &word))
                continue;
            hf_count(&b->rejected, 1);
            return -1;
        }
        /* Acquire, on failure too: the word may name another bank (release: hf__bucket_move_slow). */
        if (hf_cas_weak_acq_rel(&b->word, &word, (word & ~HF__ARRIVAL_MAX) | arrival)) {
            hf_count(&b->allowed, 1);
            return wait_ns;
        }
    }
}

/*
 * Take n tokens if they are there. Never waits.
 * True: they are taken; refund() returns them. False: nothing is taken, and the call is counted
 * as rejected.
 */
static inline bool
hf_bucket_try_take(hf_bucket *b, uint64_t n, int64_t now_ns)
{
    return hf_bucket_take_within(b, n, now_ns, 0) == 0;
}

/*
 * Book n tokens however long it takes. Returns the ns to wait, or HF_BUCKET_NEVER and books
 * nothing: n is more than the burst, or 2^61 / num ns of waiting (three hours at the least)
 * are booked already.
 */
static inline int64_t
hf_bucket_reserve(hf_bucket *b, uint64_t n, int64_t now_ns)
{
    int64_t wait_ns = hf_bucket_take_within(b, n, now_ns, INT64_MAX);
    return wait_ns < 0 ? HF_BUCKET_NEVER : wait_ns;
}

/* The ns until n tokens will be there if nobody takes any, or HF_BUCKET_NEVER. Changes nothing. */
static inline int64_t
hf_bucket_wait_ns(const hf_bucket *b, uint64_t n, int64_t now_ns)
{
    uint64_t arrival;
    hf__bucket_view v = hf__bucket_read(b, now_ns);
    return hf__bucket_ns(hf__bucket_late(&v, n, &arrival), v.num);
}

/*
 * The ns until a booking is due after which n tokens in all were booked: what the caller of take_within()
 * was told, as of now, less what those before him have given back. Changes nothing.
 */
static inline int64_t
hf_bucket_due_ns(const hf_bucket *b, uint64_t after, int64_t now_ns)
{
    hf__bucket_view v = hf__bucket_read(b, now_ns);
    uint64_t mine = after <= v.arrival / hf__divisor(v.cost) ? v.arrival - after * v.cost : 0;
    uint64_t last = v.now + v.limit;
    return hf__bucket_ns(mine > last ? mine - last : 0, v.num);
}

/* As hf_bucket_refund(), for who is not counted here: a booking of a forked child's parent. */
static inline void
hf_bucket_unbook(hf_bucket *b, uint64_t n)
{
    uint64_t arrival, word = hf_load_acquire(&b->word);
    do {
        uint64_t cost = hf_load_acquire(&b->bank[word >> HF__BUCKET_BITS].cost);
        arrival = word & HF__ARRIVAL_MAX;
        arrival = n <= arrival / hf__divisor(cost) ? arrival - n * cost : 0;
    } while (!hf_cas_weak_acq_rel(&b->word, &word, (word & ~HF__ARRIVAL_MAX) | arrival));
}

/* Return the n tokens of one take that was not used. Never fills beyond the burst. */
static inline void
hf_bucket_refund(hf_bucket *b, uint64_t n)
{
    hf_bucket_unbook(b, n);
    hf_count(&b->refunded, 1);
}

/* Whole tokens there are; 0 in debt. */
static inline uint64_t
hf_bucket_available(const hf_bucket *b, int64_t now_ns)
{
    hf__bucket_view v = hf__bucket_read(b, now_ns);
    uint64_t debt = hf__bucket_debt(&v);
    return debt < v.limit ? (v.limit - debt) / hf__divisor(v.cost) : 0;
}

/*
 * Change the rate, which must be valid. The tokens there are stay, at most the burst of the
 * other rate; booked tokens stay booked, and are due as hf_bucket_due_ns() says.
 */
static inline void
hf_bucket_resize(hf_bucket *b, hf_rate rate, int64_t now_ns)
{
    hf__bucket_move_slow(b, &rate, now_ns);
}

/* Full, as after a long idle time; all bookings are forgotten. The counters stay. */
static inline void
hf_bucket_clear(hf_bucket *b)
{
    uint64_t word = hf_load_relaxed(&b->word);
    while (!hf_cas_weak_relaxed(&b->word, &word, word & ~HF__ARRIVAL_MAX))
        ;
}

/*
 * As if it had been full and n tokens had been booked now: for those who go on waiting, in one step, so that
 * nobody passes them. All other bookings are forgotten. The counters stay.
 */
static inline void
hf_bucket_clear_but(hf_bucket *b, uint64_t n, int64_t now_ns)
{
    uint64_t arrival, word = hf_load_acquire(&b->word);
    do {
        hf__bucket_view v = hf__bucket_near(b, &word, now_ns);
        uint64_t most = (HF__ARRIVAL_MAX - v.now) / hf__divisor(v.cost);
        arrival = n == 0 ? 0 : v.now + (n < most ? n : most) * v.cost;
    } while (!hf_cas_weak_acq_rel(&b->word, &word, (word & ~HF__ARRIVAL_MAX) | arrival));
}

static inline hf_rate
hf_bucket_rate(const hf_bucket *b)
{
    hf__bucket_view v = hf__bucket_read(b, 0);
    return (hf_rate){.num = v.num, .den = v.cost, .burst = v.burst};
}

#endif /* HF_BUCKET_H */
