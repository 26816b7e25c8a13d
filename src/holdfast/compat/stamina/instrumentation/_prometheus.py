"""The hook that counts retries in the Prometheus counter ``stamina_retries_total``.

A process may use both stamina and this face. Both then count in the counter of stamina.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec

from holdfast.compat.stamina._config import CONFIG
from holdfast.compat.stamina.instrumentation._data import (
    RetryDetails,
    RetryHook,
    RetryHookFactory,
    guess_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prometheus_client import Counter, Metric

__all__ = ["PrometheusOnRetryHook", "get_prometheus_counter", "init_prometheus"]

_ORIGINAL = "stamina.instrumentation._prometheus"

RETRIES_TOTAL: Counter | None = None


def init_prometheus() -> RetryHook:
    """Return a hook that counts each retry by callable, number of the retry, and error."""
    global RETRIES_TOTAL  # noqa: PLW0603 - one counter a process
    with CONFIG.lock:
        if RETRIES_TOTAL is None:
            RETRIES_TOTAL = _counter_of_original() or _new_counter()

    def count(details: RetryDetails) -> None:
        _join_original().labels(
            callable=details.name,
            retry_num=details.retry_num,
            error_type=guess_name(type(details.caused_by)),
        ).inc()

    return count


def get_prometheus_counter() -> Counter | None:
    """Return the counter of retries; None if no hook counts them."""
    CONFIG.on_retry  # noqa: B018 - factories are called at the first look
    return RETRIES_TOTAL if RETRIES_TOTAL is None else _join_original()


PrometheusOnRetryHook = RetryHookFactory(init_prometheus)


def _counter_of_original() -> Counter | None:
    """Return the counter that stamina itself has registered, if it has."""
    original = sys.modules.get(_ORIGINAL)
    if original is None or original is sys.modules[__name__]:  # the second: an alias of this one
        return None
    return getattr(original, "RETRIES_TOTAL", None)


def _join_original() -> Counter:
    """Return the counter to count in: once there is that of stamina, that, with our counts."""
    global RETRIES_TOTAL  # noqa: PLW0603
    ours, theirs = RETRIES_TOTAL, _counter_of_original()
    assert ours is not None  # this is asked by the hook, which made it
    if theirs is None or theirs is ours:
        return ours
    with CONFIG.lock:
        if RETRIES_TOTAL is ours:
            RETRIES_TOTAL = theirs
            # Processes that share their values in files share these: they are there already.
            if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
                for metric in _all_of(ours):
                    for sample in metric.samples:
                        if sample.name.endswith("_total"):
                            theirs.labels(**sample.labels).inc(sample.value)
    return theirs


def _all_of(counter: Counter) -> Iterable[Metric]:
    return super(type(counter), counter).collect()


def _new_counter() -> Counter:
    """Return a counter beside which stamina can still register its own, if it is installed."""
    from prometheus_client import Counter

    class Shared(Counter):
        """Claims no name, and has nothing to tell once there is stamina's."""

        def describe(self) -> Iterable[Metric]:
            return []

        def collect(self) -> Iterable[Metric]:
            theirs = _counter_of_original()
            if theirs is None:
                return super().collect()
            _join_original()
            return []

    name, text = "stamina_retries_total", "Total number of retries."
    labels = ("callable", "retry_num", "error_type")
    if sys.modules.get("stamina") is None and find_spec("stamina") is None:
        return Counter(name, text, labels)
    return Shared(name, text, labels)
