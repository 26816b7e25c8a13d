"""A job whose process makes its policy, calls once, and ends."""

import holdfast as hf


def job():
    """Count one call."""
    hf.CircuitBreaker("job").call(int)
