"""Finds tasks that wait for places of a bulkhead which they hold themselves, so without end.

Only tasks that have waited without limit for a while, in which nobody came in, are looked at; no
call pays for it. What a task is inside of shows its places: blocks, calls, streams and context
managers, of the bulkhead or of a pipeline around it. It leaves these after this wait only, so the
wait fails. A permit, or a place by hand, somebody else may give back: that wait is warned of, once
a policy. Elsewhere: the waits (``rooms``), and threads (``standstill``).
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from contextlib import (
    AsyncExitStack,
    ExitStack,
    _AsyncGeneratorContextManager,
    _GeneratorContextManager,
)
from contextvars import Context
from types import AsyncGeneratorType, BuiltinMethodType, CoroutineType, GeneratorType, MethodType
from weakref import WeakKeyDictionary, WeakSet, ref

from holdfast._native.gate import Gate, GuardedCoroutine, Permit, _referents
from holdfast.validation import titled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from holdfast.waiting.aio import TaskWaiter

__all__ = ["OwnPlaces"]

LOOK_EVERY = 0.1  # seconds
LOOK_AT_MOST = 50  # of those who wait, at once: each takes some 0.1 ms
_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_STREAMS = (GeneratorType, AsyncGeneratorType)
_STEPPED = (CoroutineType, GuardedCoroutine, *_STREAMS)
_MANAGERS = (_GeneratorContextManager, _AsyncGeneratorContextManager)
_STACKS = (ExitStack, AsyncExitStack)
_warned: WeakSet[Gate] = WeakSet()


class OwnPlaces:
    """Finds tasks that wait without limit for places of one bulkhead which they have themselves.

    The first who waits sets a timer. If by then, and for as long again, nobody has come in, those
    who wait are looked at, each once: while a task rests, what it holds does not change.
    """

    __slots__ = ("_by_hand", "_limit", "_unseen")

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._by_hand: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
        # Those who were not looked at yet, by loop; only the timer of the loop keeps them.
        self._unseen: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[deque[TaskWaiter]]]
        self._unseen = WeakKeyDictionary()

    def take(self) -> None:
        """Note that the running task has taken a place by hand."""
        task = asyncio.current_task()
        if task is not None:
            self._by_hand[task] = self._by_hand.get(task, 0) + 1

    def give_back(self) -> None:
        """Note that one was given back. If another than its task did so, all notes are void."""
        if not self._by_hand:
            return
        task = asyncio.current_task() if asyncio._get_running_loop() is not None else None
        taken = self._by_hand.get(task, 0) if task is not None else 0
        if task is None or taken == 0:
            self._by_hand.clear()
        else:
            self._by_hand[task] = taken - 1  # another thread may have cleared it meanwhile

    def watch(self, waiter: TaskWaiter, policy: Gate, first: Callable[[], object]) -> None:
        """Make the wait of the running task fail if the task holds all places itself.

        Args:
            waiter: Its wait.
            policy: Whose places.
            first: Tells who is the next to come in.
        """
        waiter.task = asyncio.current_task()
        there = self._unseen.get(waiter.loop)
        unseen = None if there is None else there()
        if unseen is None:
            unseen = deque()
            self._unseen[waiter.loop] = ref(unseen)
            self._look_later(waiter.loop, policy, first, unseen, first())
        unseen.append(waiter)

    def _look_later(self, loop: asyncio.AbstractEventLoop, *now: Any) -> None:
        loop.call_later(LOOK_EVERY, self._look, loop, *now, context=Context())

    def _look(
        self,
        loop: asyncio.AbstractEventLoop,
        policy: Gate,
        first: Callable[[], object],
        unseen: deque[TaskWaiter],
        was_next: object,
    ) -> None:
        while unseen and not unseen[0].waits:
            unseen.popleft()
        is_next = first()
        for _ in range(min(len(unseen), LOOK_AT_MOST) if is_next is was_next else 0):
            self._look_at(unseen.popleft(), policy)
        if unseen:
            self._look_later(loop, policy, first, unseen, is_next)
        else:
            self._unseen.pop(loop, None)

    def _look_at(self, waiter: TaskWaiter, policy: Gate) -> None:
        task: Any = waiter.task
        waiter.task = None
        if not waiter.waits:
            return
        way = list(_way_to(waiter, task.get_coro()))
        sure, unsure = _Places(policy), _Places(policy)
        for one in way:
            sure.add_inside(one)
            for part in map(_owner_of, _parts_of(one)):
                if _is(part, Permit):
                    unsure.add(part)
        limit = self._limit()
        if sure.n >= limit:
            error = (
                f"this task would wait for {titled(policy)} without end: it holds all slots "
                "itself; leave the bulkhead first, or set max_wait"
            )
            waiter.fail(RuntimeError(error))
        elif sure.n + unsure.without(sure) + self._by_hand.get(task, 0) >= limit:
            _warn(policy, waiter, way)


def _warn(policy: Gate, waiter: TaskWaiter, way: list[Any]) -> None:
    from warnings import warn_explicit

    if policy in _warned or not way:
        return
    frames = [frame for one in way if (frame := _frame_of(one)) is not None]
    users = [frame for frame in frames if not frame.f_code.co_filename.startswith(_HERE)]
    at = (users or frames)[-1]
    message = (
        f"a task waits for {titled(policy)} without limit, but has taken all slots itself: "
        "the wait ends only if another task gives one back; leave the bulkhead first, or set "
        "max_wait"
    )
    try:
        warn_explicit(message, RuntimeWarning, at.f_code.co_filename, at.f_lineno)
        _warned.add(policy)
    except RuntimeWarning as warning:  # it is to be an error: the task's
        waiter.fail(warning)


def _way_to(waiter: TaskWaiter, one: Any) -> Iterator[Any]:
    """Yield the coroutines and streams from the task's own to the one that waits, in this order.

    Nothing is yielded where the chain cannot be followed.
    """
    way: dict[int, Any] = {}
    while one is not None and id(one) not in way:
        if _is(one, _STEPPED):
            way[id(one)] = one
            if any(part is waiter for part in _referents(one)):
                yield from way.values()
                return
            one = _awaited_by(one)
        else:  # one step of a stream, or what stands for a coroutine
            one = next((part for part in _referents(one) if _is(part, _STEPPED)), None)


def _awaited_by(one: Any) -> Any:
    name = {GeneratorType: "gi_yieldfrom", AsyncGeneratorType: "ag_await"}
    return getattr(one, name.get(type(one), "cr_await"))


def _frame_of(one: Any) -> Any:
    name = {GeneratorType: "gi_frame", AsyncGeneratorType: "ag_frame", CoroutineType: "cr_frame"}
    return getattr(one, name[type(one)]) if type(one) in name else None


def _parts_of(one: Any) -> list[Any]:
    return [] if _is(one, GuardedCoroutine) else _referents(one)


def _owner_of(part: Any) -> Any:
    return part.__self__ if _is(part, (MethodType, BuiltinMethodType)) else part


def _is(one: Any, of: Any) -> bool:
    return issubclass(type(one), of)  # nothing of the user's is asked, as isinstance() may


class _Places:
    """Places of one policy, by who has them, each counted once."""

    def __init__(self, policy: Gate) -> None:
        self._policy = policy
        self._by: dict[int, int] = {}
        self._seen: dict[int, Any] = {}  # kept alive, so that their ids are theirs

    @property
    def n(self) -> int:
        """How many there are."""
        return sum(self._by.values())

    def without(self, others: _Places) -> int:
        """Return how many there are that are not among the others."""
        return sum(n for holder, n in self._by.items() if holder not in others._by)

    def add(self, holder: Any) -> None:
        """Count the places of a holder."""
        self._seen[id(holder)] = holder
        self._by[id(holder)] = self._policy._places_in(holder)

    def add_inside(self, one: Any) -> None:
        """Count the places of a suspended coroutine or stream, in its blocks and loops too.

        The exits of its blocks and the streams it iterates have no name: only the interpreter
        holds them, so no other task can end them.
        """
        if id(one) in self._seen:
            return
        self.add(one)
        frame = _frame_of(one)
        if frame is None:
            return
        named = Counter(map(id, frame.f_locals.values()))
        for part in _referents(one):
            if named[id(part)] > 0:
                named[id(part)] -= 1
            else:
                self._add_part(part)

    def _add_part(self, part: Any) -> None:
        part = _owner_of(part)
        if _is(part, _STREAMS):
            self.add_inside(part)
        elif _is(part, _MANAGERS):
            self._add_part(part.gen)
        elif _is(part, _STACKS) and id(part) not in self._seen:
            self._seen[id(part)] = part
            for _, leave in part._exit_callbacks:
                self._add_left(_owner_of(leave))
        elif not _is(part, (Gate, CoroutineType, GuardedCoroutine)):
            self.add(part)

    def _add_left(self, part: Any) -> None:
        """Count one entry of an exit stack; a policy that was entered twice is there twice."""
        if type(part).__name__ == "Entry" and not self._policy._places_in(part):
            # From 3.15 on a stack looks an exit up by itself: that of no entry, so of any.
            part = next((one for one in _referents(part) if _is(one, Gate)), part)
        if _is(part, Gate):
            self._by[id(part)] = self._by.get(id(part), 0) + self._policy._places_in(part)
        else:
            self._add_part(part)
