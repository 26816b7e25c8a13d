/*
 * Wrong on purpose: a downtime whose end is published before it is added up.
 *
 * Who reads may be shown less than before. The explorer must find it.
 */
#ifndef HF_WRONG_COMPONENT_H
#define HF_WRONG_COMPONENT_H

#include "holdfast/hf_component.h"

static inline void
wrong_component_be(hf_component *k, hf_component_state state, int64_t now_ns)
{
    const int64_t lead = hf_load_relaxed(&k->lead_ns);
    if (lead == HF_COMPONENT_NO_LEAD) {
        hf_component_be(k, state, now_ns);
        return;
    }
    hf_store_release(&k->lead_ns, HF_COMPONENT_NO_LEAD);
    hf_store_relaxed(&k->down_ns, hf__component_led_ns(lead, now_ns));
}

#endif /* HF_WRONG_COMPONENT_H */
