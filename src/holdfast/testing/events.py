"""What policies did, as a test recorded it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.registry import registry
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from holdfast.events import Event
    from holdfast.policies.base import Policy

__all__ = ["Recorder", "recorded", "told"]


def told(event: Event) -> str:
    """Return the text of an event, in the form that ``assert_order`` accepts.

    >>> from holdfast import Event, State
    >>> told(Event("transition", None, "db", old=State.CLOSED, new=State.OPEN))
    'db: closed -> open'
    >>> told(Event("rejection", None, "db", reason="open"))
    'db: rejection (open)'
    """
    return next(iter(_ways_to_tell(event)))


def _ways_to_tell(event: Event) -> Iterator[str]:
    """Yield an event in words: with its name or without, with its reason or without."""
    what = event.kind
    if event.kind in ("transition", "override"):
        what = f"{_word(event.old)} -> {_word(event.new)}"
    names = [f"{event.name}: ", ""] if event.name is not None else [""]
    reasons = [f" ({event.reason})", ""] if event.reason else [""]
    for name in names:
        for reason in reasons:
            yield f"{name}{what}{reason}"


def _word(state: Any) -> str:
    return str(getattr(state, "value", state))


class Recorder:
    """Records events of policies, oldest first.

    Supports iteration, indexing and ``len()``. Safe to share between threads and event loops.
    Events of several threads are recorded in the order of their delivery.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._ends: list[Callable[[], None]] = []

    def watch(self, *policies: Policy) -> None:
        """Record the events of these policies from now on; for a pipeline, of its policies."""
        problems = Problems("Recorder")
        for at, policy in enumerate(policies):
            if not callable(getattr(policy, "on_event", None)):
                problems.refuse(f"policies[{at}]", policy, "a policy or a pipeline")
        problems.done()
        for policy in policies:
            self._ends.append(policy.on_event(self._events.append))

    def stop(self) -> None:
        """Stop recording. The recorded events remain."""
        while self._ends:
            self._ends.pop()()

    def of(self, name: str | None = None, kind: str | None = None) -> list[Event]:
        """Return the events with this name, this kind, or both."""
        return [
            event
            for event in self._events
            if name in (None, event.name) and kind in (None, event.kind)
        ]

    def clear(self) -> None:
        """Delete the recorded events."""
        self._events.clear()

    def assert_order(self, *expected: str, exactly: bool = False) -> None:
        """Fail unless these events occurred in this order.

        Args:
            *expected: Texts as ``told`` returns them; the name and the reason are optional: ``"db:
                closed -> open"``, ``"closed -> open"``, ``"rejection"``.
            exactly: Whether no other events may have occurred before, between or after them.

        Raises:
            AssertionError: The message lists all events and the missing one.
            TypeError: No text is given, or an argument is not a string.
        """
        if not expected or not all(type(one) is str for one in expected):  # a State is no order
            raise TypeError(f"expected: got {expected!r}, allowed strings, at least one")
        events = list(self._events)
        missing = _first_missing(events, expected, exactly)
        if missing is not None:
            raise AssertionError(
                f"{missing}\nexpected{' exactly' * exactly}:\n  "
                + "\n  ".join(expected)
                + "\nrecorded:\n"
                + (self.timeline() or "  nothing")
            )

    def timeline(self) -> str:
        """Return the recorded events, one per line, with times on the policy's clock."""
        return "\n".join(f"  {event.at:12.3f} s  {told(event)}" for event in self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(list(self._events))

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, at: int) -> Event:
        return self._events[at]

    def __repr__(self) -> str:
        return f"<Recorder of {len(self)} events>"


def _first_missing(events: list[Event], expected: tuple[str, ...], exactly: bool) -> str | None:
    """Return in words what is not as expected; None where all is."""
    at = 0
    for wanted in expected:
        while at < len(events) and wanted not in _ways_to_tell(events[at]):
            if exactly:
                return f"got {told(events[at])!r} where {wanted!r} is expected"
            at += 1
        if at == len(events):
            return f"missing: {wanted!r}"
        at += 1
    if exactly and at < len(events):
        return f"got {told(events[at])!r} beyond what is expected"
    return None


@contextmanager
def recorded(*policies: Policy) -> Iterator[Recorder]:
    """Record events in a block.

    The events are those of the given policies, or of all policies created in the block.
    """
    recorder = Recorder()
    recorder.watch(*policies)
    if not policies:
        recorder._ends.append(registry.watch(lambda made: _watch(recorder, made)))
    try:
        yield recorder
    finally:
        recorder.stop()


def _watch(recorder: Recorder, made: Policy) -> None:
    """Record a policy that was just made; a pipeline's events are those of its parts."""
    if made.kind != "pipeline":
        recorder.watch(made)
