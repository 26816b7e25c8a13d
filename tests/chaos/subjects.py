"""What the tests of effects share: a wait for what another thread does."""

import time
from collections.abc import Callable

SECOND = 10**9


def soon(is_so: Callable[[], bool]) -> bool:
    """Wait until something is so that another thread does, for half a minute at most."""
    ends = time.monotonic() + 30
    while not is_so() and time.monotonic() < ends:
        time.sleep(0.001)
    return is_so()
