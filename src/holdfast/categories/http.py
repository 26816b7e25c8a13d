"""What the status of an HTTP response means, for responses and for errors alike.

The list is that of Microsoft.Extensions.Http.Resilience: 408, 429 and each 5xx. RFC 9110 lets a
client repeat a request after 408, RFC 6585 after 429; a 5xx is the failure of the server. The
defaults of other libraries are shorter: 429, 500, 502, 503 and 504 in most settings of urllib3.
"""

from __future__ import annotations

from contextlib import suppress
from types import CoroutineType

from holdfast.categories.rules import PERMANENT, TRANSIENT, attribute, integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.categories.category import Category

__all__ = [
    "category_of_status",
    "is_failure",
    "let_go",
    "of_own_status",
    "of_response",
    "status_of",
]


# A redirection or a client error is permanent: the same request gets the same response.
_STATUSES: dict[int | None, Category] = {
    **dict.fromkeys(range(300, 500), PERMANENT),
    **dict.fromkeys((408, 429, *range(500, 600)), TRANSIENT),
}


def category_of_status(status: int | None) -> Category | None:
    """Return the category of an error that is made of a response; None for a successful one."""
    return _STATUSES.get(status)


def status_of(response: object) -> int | None:
    """Return the status of a response: ``status_code``, or ``status`` if that is an int."""
    status = integer(response, "status_code")
    return integer(response, "status") if status is None else status


def is_failure(result: object) -> bool:
    """Return whether a result is a response that reports a transient failure.

    Its ``status_code`` (requests, httpx) or ``status`` (aiohttp, urllib3, http.client) is 408, 429
    or 500 to 599. A result without such a number is no failure.
    """
    return category_of_status(status_of(result)) is TRANSIENT


def let_go(response: object) -> None:
    """Close a response that nobody will read, so that its connection is free for other calls.

    urllib3 has another method for its place in the pool, and httpx one for streams of tasks.
    """
    for name in ("close", "release_conn"):
        method = attribute(response, name)
        if not callable(method):
            continue
        try:
            _finish(method())
        except Exception:  # noqa: BLE001 - the caller's object; the next attempt matters
            with suppress(Exception):
                _finish(response.aclose())  # type: ignore[attr-defined]  # or it raises


_closing: set[object] = set()  # tasks, which a loop does not keep


def _finish(closing: object) -> None:
    """Let a task do what only a task can, while the retry waits."""
    if not isinstance(closing, CoroutineType):
        return

    async def close() -> None:
        with suppress(Exception):
            await closing

    from asyncio import get_running_loop

    try:
        loop = get_running_loop()
    except RuntimeError:  # it belongs to no task of asyncio
        closing.close()
        return
    task = loop.create_task(close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def of_response(error: Any) -> Category | None:
    """Return the category of an error that has a ``response``."""
    try:
        return category_of_status(error.response.status_code)
    except Exception:  # noqa: BLE001 - the caller's object, which may have another form
        return category_of_status(status_of(attribute(error, "response")))


def of_own_status(error: BaseException) -> Category | None:
    """Return the category of an error that has the status itself."""
    return category_of_status(status_of(error))
