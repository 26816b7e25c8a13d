/*
 * Wrong on purpose: a health check that closes whatever opening it finds, and opens whatever is closed.
 *
 * What it has seen began before: a failure since then has proved the contrary (trap 65). The explorer must find
 * it.
 */
#ifndef HF_WRONG_BREAKER_HEALTH_H
#define HF_WRONG_BREAKER_HEALTH_H

#include "holdfast/hf_breaker.h"

static inline hf_change
wrong_breaker_close(hf_breaker *breaker)
{
    return hf_breaker_close_opening(breaker, hf_breaker_period_now(breaker).opening);
}

static inline hf_change
wrong_breaker_open(hf_breaker *breaker, int64_t now_ns)
{
    return hf_breaker_open_generation(breaker, hf_breaker_period_now(breaker).gen, 1, now_ns);
}

#endif /* HF_WRONG_BREAKER_HEALTH_H */
