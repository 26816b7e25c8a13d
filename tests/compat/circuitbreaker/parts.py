"""Failures, guarded functions and a subclass, which several files of tests use."""

import pytest

from holdfast.compat.circuitbreaker import (
    CircuitBreaker,
)


class OutageError(Exception):
    pass


def guarded(breaker, errors):
    """Return a guarded function that raises what the list has, as long as it has any."""

    def remote(value=None):
        if errors:
            raise errors[0]
        return value

    return breaker(remote)


def fail(call, times=1, error=OutageError):
    for _ in range(times):
        with pytest.raises(error):
            call()


class Told(CircuitBreaker):
    """A subclass that overrides what a call consists of: the native guard alone will not do."""

    def __init__(self, *args, **kwargs):
        self.told = []
        super().__init__(*args, **kwargs)

    def __exit__(self, exc_type, exc_value, traceback):
        self.told.append(exc_type)
        return super().__exit__(exc_type, exc_value, traceback)
