"""One clean-up that somebody asks for by itself: it runs in his thread or task, and context.

So what belongs to a thread, a task or a context is closed where it was made. Nothing cuts it: if it
hangs, whoever has asked hangs, and nobody else. Elsewhere: all others (``cleanup_round``).
"""

from __future__ import annotations

import threading
from contextlib import suppress
from operator import methodcaller

from holdfast.redaction import describe_error
from holdfast.resources.awaited import Awaited
from holdfast.resources.cleanup_round import (
    loop_of,
    needs_await,
    running_loop,
    swap_within,
    within,
)
from holdfast.validation import answers_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from typing import Any

    from holdfast.resources.cleanup_round import Owner
    from holdfast.resources.resource import Resource

__all__ = ["Alone"]


_LOOK_NS = 1_000_000_000  # in case that Ctrl-C keeps its end from waking anybody
_call = methodcaller("_cleanup")


class Alone(Awaited):
    """One clean-up. Others can wait for it from ``begin`` to its end, when it leaves the rounds.

    It begins before the registration is ended: a stop that finds that ended finds this too.

    Attributes:
        rest: What is to be cleaned instead, if what the clean-up has returned has to be awaited.

    Args:
        owner: Its manager, which is told of the end.
        resource: What is to be cleaned.
        queue: Where that is found, and what it is taken from by the step that calls its clean-up:
            Ctrl-C before that leaves it there.
    """

    def __init__(self, owner: Owner, resource: Resource, queue: deque[Resource]) -> None:
        super().__init__()
        self._owner = owner
        self._resource = resource
        self._queue = queue
        # In one step, as for Ctrl-C: neither of these is Python.
        self._calls: Iterator[Any] = map(_call, iter(queue.popleft, None))
        self._thread = threading.get_ident()
        self._outer = within()
        self._chain = (*self._outer, self)
        self.rest: Resource | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and all were told."""
        return self not in self._owner._rounds

    @property
    def is_here(self) -> bool:
        """Whether it runs in this thread."""
        return self._thread == threading.get_ident()

    def is_of(self, owner: object) -> bool:
        """Whether it is a clean-up of a manager, and has not ended."""
        return self._owner is owner and not self.is_over

    def _left(self, timeout_ns: int | None, began_ns: int) -> int | None:
        left_ns = super()._left(timeout_ns, began_ns)
        return _LOOK_NS if left_ns is None else min(left_ns, _LOOK_NS)

    def begin(self) -> None:
        """Have others wait for it from now on."""
        self._owner._rounds[self] = None
        swap_within(self._outer, self._chain)

    def end(self) -> None:
        """Have those go on who wait for it; it is no longer among the rounds."""
        swap_within(self._chain, self._outer)  # not if nobody has awaited it, and it is closed
        self._wake()

    @property
    def may_call(self) -> bool:
        """Whether this thread may call it: it does not belong to an event loop that runs elsewhere.

        Such are methods of tasks, timers and transports.
        """
        with suppress(Exception):  # of a method of the user's
            loop = loop_of(self._resource._cleanup, self._resource._loop)
            return loop is None or loop is running_loop() or not loop.is_running()
        return False

    @property
    def may_await(self) -> bool:
        """Whether this task may call and await it: that blocks no event loop, and is the right one.

        A function that is not asynchronous may block. What was registered in another event loop
        that runs belongs to that one.
        """
        cleanup, loop, here = self._resource._cleanup, self._resource._loop, running_loop()
        if answers_at_once(cleanup):
            with suppress(Exception):  # of a method of the user's
                return here is not None and loop_of(cleanup, loop) is here
            return False
        return loop is None or loop is here or not loop.is_running()

    def call(self) -> bool:
        """Call it; return whether all went well so far."""
        try:
            result = next(self._calls)
            if needs_await(result):
                self.rest = self._resource._with_cleanup(lambda: result)
                return True
        except Exception as raised:  # noqa: BLE001 - the user's code: counted and logged
            self._fail(raised)
            return False
        except BaseException as raised:  # what ends programs and tasks is for whoever has asked
            self._fail(raised)
            raise
        self._owner._has_cleaned(self._resource, None)
        return True

    async def acall(self) -> bool:
        """Call it, and await what it returns; return whether all went well."""
        try:
            result = next(self._calls)
            if needs_await(result):
                await result
        except Exception as raised:  # noqa: BLE001 - as above
            self._fail(raised)
            return False
        except BaseException as raised:
            self._fail(raised)
            raise
        self._owner._has_cleaned(self._resource, None)
        return True

    def _fail(self, raised: BaseException) -> None:
        if self._queue:  # it has not begun
            return
        name, text = describe_error(raised)
        self._owner._has_cleaned(self._resource, f"{name}: {text}" if text else name)
