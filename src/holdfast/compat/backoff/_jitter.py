"""Jitter: what is made of a pause, so that clients that failed together do not come together."""

import random

__all__ = ["full_jitter", "random_jitter"]


def random_jitter(value: float) -> float:
    """Add a random part of a second.

    Args:
        value: A pause in seconds.
    """
    return value + random.random()


def full_jitter(value: float) -> float:
    """Return a random pause from 0 to ``value``, each equally likely ("Full Jitter" of AWS).

    Args:
        value: A pause in seconds.
    """
    return random.uniform(0, value)
