"""Settings that have a name of their own, for a breaker or a retry of any name."""

from __future__ import annotations

from holdfast.validation import Problems, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["breaker_settings", "retry_settings"]

_BREAKERS: dict[str, dict[str, Any]] = {
    "conservative": {"max_failures": 5, "timeout": 30.0, "reset_timeout": 60.0},
    "aggressive": {"max_failures": 3, "timeout": 10.0, "reset_timeout": 30.0},
}
_RETRIES: dict[str, dict[str, Any]] = {
    "network": {
        "max_retries": 3,
        "initial_delay": 0.1,
        "max_delay": 10.0,
        "multiplier": 2.0,
        "jitter": True,
    },
    "database": {
        "max_retries": 5,
        "initial_delay": 0.05,
        "max_delay": 5.0,
        "multiplier": 1.5,
        "jitter": True,
    },
    "patient": {
        "max_retries": 5,
        "initial_delay": 0.5,
        "max_delay": 30.0,
        "multiplier": 2.0,
        "jitter": True,
    },
    # A database that starts together with the service: 2, 4, 8 and 16 seconds.
    "startup-database": {
        "attempts": 5,
        "initial_delay": 2.0,
        "max_delay": 16.0,
        "multiplier": 2.0,
        "jitter": False,
    },
}


def breaker_settings(name: str) -> dict[str, Any]:
    """Return settings for ``register_circuit_breaker``.

    Args:
        name: "conservative", for production: 5 failures, 30 s for a call, 60 s open. "aggressive",
            for development: 3 failures, 10 s, 30 s.

    Raises:
        ConfigError: There are no settings of this name.

    >>> breaker_settings("aggressive")
    {'max_failures': 3, 'timeout': 10.0, 'reset_timeout': 30.0}
    """
    return _copied("breaker_settings", _BREAKERS, name)


def retry_settings(name: str) -> dict[str, Any]:
    """Return settings for ``register_retry_policy``.

    Args:
        name: "network" (3 retries from 0.1 s up), "database" (5 from 0.05 s), "patient" (5 from
            0.5 s to 30 s), "startup-database" (5 attempts, 2 s doubling, for a connection that is
            needed before anything else).

    Raises:
        ConfigError: There are no settings of this name.
    """
    return _copied("retry_settings", _RETRIES, name)


def _copied(kind: str, there: Mapping[str, dict[str, Any]], name: object) -> dict[str, Any]:
    if not isinstance(name, str) or name not in there:
        problems = Problems(kind)
        known = ", ".join(map(repr, there))
        problems.refuse("name", name, f"one of {known}{nearest(name, tuple(there))}")
        problems.done()
    assert isinstance(name, str)  # or done() had raised
    return dict(there[name])
