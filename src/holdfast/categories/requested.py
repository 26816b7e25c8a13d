"""Which delay a response, or an error that is made of one, requests before the next call.

Elsewhere: how a delay is understood (``asked_delay``), and how much of it a retry grants.
"""

from __future__ import annotations

from holdfast.asked_delay import read_delay_ns
from holdfast.categories.rules import attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["pushes_back", "retry_after"]

# Milliseconds come first where a server sends both: they are more exact.
_HEADERS = (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("retry-after", 1))
_PUSHBACK = "grpc-retry-pushback-ms"


def retry_after(response_or_error: object) -> float | None:
    """Return the delay that a response or an error requests, in seconds.

    It is read from the ``Retry-After`` header (seconds or a date) of responses of requests, httpx,
    aiohttp, urllib3, http.client and botocore, and of their errors; from the trailing metadata of
    errors of gRPC; and from a ``retry_after`` attribute. The header may also be in a mapping of
    headers.

    Args:
        response_or_error: Any object.

    Returns:
        Seconds; None if no delay is requested, if the date has passed, and for anything that is
        no delay. The longest delay of the exceptions in a group.

    Never raises. Safe to call from any thread.

    >>> retry_after({"Retry-After": "3"})
    3.0
    """
    try:
        ns = _requested_ns(response_or_error)
    except Exception:  # noqa: BLE001 - the caller's object; it requests nothing that is understood
        return None
    return None if ns is None else ns / 1e9


def _requested_ns(about: Any) -> int | None:
    if isinstance(about, BaseExceptionGroup):
        delays = [_requested_ns(one) for one in about.exceptions]
        return max((ns for ns in delays if ns is not None), default=None)
    response = attribute(about, "response")
    for source in (about, response):
        if source is None:
            continue
        if (ns := _read_ns(attribute(source, "retry_after"))) is not None:
            return ns
        if (ns := _in_headers(_headers_of(source))) is not None:
            return ns
    return _in_metadata(about) if isinstance(about, BaseException) else None


def _headers_of(source: Any) -> object:
    """Return the headers of a response, or the mapping that has them itself."""
    if (headers := attribute(source, "headers")) is not None:
        return headers
    if isinstance(source, dict):
        metadata = source.get("ResponseMetadata")  # botocore
        return metadata.get("HTTPHeaders") if isinstance(metadata, dict) else source
    return None


def _in_headers(headers: Any) -> int | None:
    items = attribute(headers, "items")
    if not callable(items):
        return None
    found: dict[str, object] = {}
    for name, value in items():
        found.setdefault(name.lower() if isinstance(name, str) else "", value)
    for name, parts in _HEADERS:
        if (ns := _read_ns(found.get(name), parts)) is not None:
            return ns
    return None


def pushes_back(error: object) -> bool:
    """Return whether a server of gRPC asks that the call is not repeated: by a negative delay."""
    try:
        return str(_pushback_of(error)).lstrip().startswith("-")
    except Exception:  # noqa: BLE001 - the caller's object, which asks for nothing then
        return False


def _in_metadata(error: Any) -> int | None:
    return _read_ns(_pushback_of(error), 1000)


def _pushback_of(error: Any) -> object:
    """Return the milliseconds in the trailing metadata of gRPC; None if there are none."""
    trailing = attribute(error, "trailing_metadata")
    for name, value in (trailing() or ()) if callable(trailing) else ():
        if name == _PUSHBACK:
            return value
    return None


def _read_ns(value: object, parts: int = 1) -> int | None:
    """Return a delay in nanoseconds, given in seconds or in so many parts of a second."""
    if value is None or callable(value):  # a method of that name, or a mock
        return None
    if (ns := read_delay_ns(value)) is None or ns < 0:
        return None
    return ns // parts
