"""Guarded functions as other processes find them: by name."""

import os

import holdfast as hf

breaker = hf.CircuitBreaker("jobs", failure_threshold=3)
pool = hf.PoolBulkhead("jobs", workers=1)


@breaker
def double(n):
    """Return twice as much, if the thread of a pool says so too."""
    return pool.submit(lambda: 2 * n).result()


@breaker
def process(_):
    """Return which process it is."""
    return os.getpid()
