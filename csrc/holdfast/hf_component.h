/*
 * Component: what a supervisor counts of one of its components, whether it is up, and for how long it was down.
 *
 * Downtime goes on while a component is down, and nobody has to look for that: what is stored is the
 * downtime less the time, a number that stays the same. One word says it, so whoever reads, at any time and also
 * in another process, adds the time and has the downtime of that moment; what is read never falls.
 *
 *   lead_ns == HF_COMPONENT_NO_LEAD    not down:  downtime = down_ns
 *   else                               down:      downtime = lead_ns + now, and at least down_ns
 *
 * down_ns is the downtime at the last change. It is written before lead_ns: so who reads a lead finds the
 * downtime with which that began, or a later one, and who took the time before the change is not shown less than
 * whoever came before. Whoever ends a downtime takes the time last of all: until then it goes on.
 *
 * One caller at a time changes the state; anybody counts and reads at any time. What the states are
 * for, and when a component has one, is decided where they are written.
 */
#ifndef HF_COMPONENT_H
#define HF_COMPONENT_H

#include "hf_atomic.h"

typedef enum hf_component_state {
    HF_COMPONENT_STOPPED, /* nobody wants it to run: it is neither up nor down */
    HF_COMPONENT_UP,
    HF_COMPONENT_DOWN,    /* this state and those below */
    HF_COMPONENT_COOLING, /* its attempts are spent; after a pause there are others */
    HF_COMPONENT_GIVEN_UP,
    HF_COMPONENT_STATES
} hf_component_state;

/* What is counted, in this order. */
typedef enum hf_component_event {
    HF_COMPONENT_ATTEMPT,   /* to recover it */
    HF_COMPONENT_RECOVERED, /* its check has passed after an attempt */
    HF_COMPONENT_FAILED, /* the attempts of a recovery are spent, or it ended otherwise without success */
    HF_COMPONENT_RESTARTED, /* without an order */
    HF_COMPONENT_ESCALATED, /* one restart more than the supervisor allows */
    HF_COMPONENT_EVENTS
} hf_component_event;

#define HF_COMPONENT_NO_LEAD INT64_MAX

typedef struct hf_component {
    hf_au64 state;
    hf_ai64 lead_ns;
    hf_au64 down_ns;
    hf_ai64 looked_ns; /* with a clock of its own: the last time that is known */
    hf_au64 counted[HF_COMPONENT_EVENTS];
    bool own_clock; /* its time is not the machine's; set by init, read-only afterwards */
} hf_component;

static inline void
hf_component_init(hf_component *k, bool own_clock)
{
    hf_store_relaxed(&k->state, HF_COMPONENT_STOPPED);
    hf_store_relaxed(&k->lead_ns, HF_COMPONENT_NO_LEAD);
    hf_store_relaxed(&k->down_ns, 0);
    hf_store_relaxed(&k->looked_ns, INT64_MIN);
    for (unsigned event = 0; event < HF_COMPONENT_EVENTS; event++)
        hf_store_relaxed(&k->counted[event], 0);
    k->own_clock = own_clock;
}

/* In a forked child: counts start at zero, and nothing runs that the parent has started. */
static inline void
hf_component_forget(hf_component *k)
{
    hf_store_relaxed(&k->state, HF_COMPONENT_STOPPED);
    hf_store_relaxed(&k->lead_ns, HF_COMPONENT_NO_LEAD);
    hf_count_forget(&k->down_ns);
    for (unsigned event = 0; event < HF_COMPONENT_EVENTS; event++)
        hf_count_forget(&k->counted[event]);
}

static inline void
hf_component_count(hf_component *k, hf_component_event event)
{
    hf_count(&k->counted[event], 1);
}

/* The downtime with a lead, at a time. Signed overflow is possible with damaged words, and harmless. */
static inline uint64_t
hf__component_led_ns(int64_t lead_ns, int64_t now_ns)
{
    const int64_t down = (int64_t)((uint64_t)lead_ns + (uint64_t)now_ns);
    return down > 0 ? (uint64_t)down : 0;
}

/* The downtime at a time; with a clock of its own, at the last time that is known. */
static inline uint64_t
hf_component_down_ns(const hf_component *k, int64_t now_ns)
{
    /* Acquire pairs with the release in hf_component_look(): the lead is no older than this time. */
    const int64_t now = k->own_clock ? hf_load_acquire(&k->looked_ns) : now_ns;
    /* Acquire pairs with the release in hf_component_be(): down_ns is there. */
    const int64_t lead = hf_load_acquire(&k->lead_ns);
    const uint64_t least = hf_load_relaxed(&k->down_ns);
    if (lead == HF_COMPONENT_NO_LEAD)
        return least;
    const uint64_t led = hf__component_led_ns(lead, now);
    return led > least ? led : least;
}

/* With a clock of its own: make the time known, for downtime as of now. */
static inline void
hf_component_look(hf_component *k, int64_t now_ns)
{
    int64_t looked = hf_load_relaxed(&k->looked_ns);
    do {
        if (now_ns <= looked)
            return;
    } while (!hf_cas_weak_release(&k->looked_ns, &looked, now_ns));
}

/* Have it be in a state from now on. One caller at a time; who comes with an older time adds no downtime. */
static inline void
hf_component_be(hf_component *k, hf_component_state state, int64_t now_ns)
{
    const int64_t lead = hf_load_relaxed(&k->lead_ns);
    const bool was_down = lead != HF_COMPONENT_NO_LEAD, is_down = state >= HF_COMPONENT_DOWN;
    hf_component_look(k, now_ns); /* before the lead: who reads it knows a time that it began by */
    hf_store_release(&k->state, (uint64_t)state);
    if (is_down == was_down)
        return;
    if (was_down) {
        const uint64_t led = hf__component_led_ns(lead, now_ns);
        if (led > hf_load_relaxed(&k->down_ns))
            hf_store_relaxed(&k->down_ns, led);
        hf_store_release(&k->lead_ns, HF_COMPONENT_NO_LEAD);
    } else {
        const uint64_t down = hf_load_relaxed(&k->down_ns);
        hf_store_release(&k->lead_ns, (int64_t)(down - (uint64_t)now_ns));
    }
}

#endif /* HF_COMPONENT_H */
