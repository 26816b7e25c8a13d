"""What the status of a response says of the call."""

from __future__ import annotations

__all__ = ["is_failure"]

# The same call may succeed later. A server does not change its mind about 501 and 505.
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def is_failure(result: object) -> bool:
    """Return whether a response has a status that means that the same call may succeed later.

    Args:
        result: Anything. A response of requests and httpx has a ``status_code``, one of aiohttp
            and urllib3 a ``status``.

    >>> is_failure(object())
    False
    """
    status = getattr(result, "status_code", None)
    if not isinstance(status, int):
        status = getattr(result, "status", None)
    return isinstance(status, int) and status in _TRANSIENT
