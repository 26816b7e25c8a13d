"""Correlated: faults that strike several calls at the same time, and failures that cascade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.chaos.composite import Group
from holdfast.chaos.fault import PROBABILITY, Fault
from holdfast.policies.base import settings_of
from holdfast.validation import seconds_to_ns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Correlated"]


class Correlated(Group):
    """Strikes in episodes: while one lasts, every call that passes the fault is struck.

    Put one such fault into several pipelines, and what they call is down at the same time, as
    behind a common network or database. An episode can cause episodes of other faults after some
    time: a failure that cascades.

    Args:
        *faults: What strikes the calls during an episode, in this order; the first error ends the
            sequence.
        episode: How long an episode lasts, in seconds.
        then: Other ``Correlated`` faults, of which an episode follows each episode of this one.
        after: How long after the beginning of an episode those of ``then`` begin, in seconds.
        name: For messages, metrics and the registry; None uses "correlated".
        probability: The share of calls that are struck, 0 to 1.
        duration: Seconds from ``chaos.enable`` on, after which the fault strikes no call; None
            for as long as chaos is enabled.
        limit: The number of calls that are struck at most each time chaos is enabled; None for no
            limit.
        seed: The seed of the random numbers, 0 to 2**64 - 1; None derives it from the seed of
            ``chaos.enable``.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared fault of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> from holdfast.chaos import Error
    >>> orders = Correlated(Error(TimeoutError), name="orders", probability=0, episode=30)
    >>> database = Correlated(Error(), name="database", episode=60, then=[orders], after=10)
    >>> database.call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ("_after", "_episode", "_then")

    def __init__(
        self,
        *faults: Fault,
        episode: float | timedelta = 5.0,
        then: Sequence[Correlated] = (),
        after: float | timedelta = 0.0,
        name: str | None = None,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._members = faults
        self._episode: Any = episode
        self._then: Any = then
        self._after: Any = after
        super().__init__(
            name,
            probability=probability,
            duration=duration,
            limit=limit,
            seed=seed,
            clock=clock,
            mode=mode,
            shared=shared,
        )

    _setting_names = settings_of(__init__)
    _setting_names = ("faults", *_setting_names)

    def _checked(self, problems: Problems) -> dict[str, Any]:
        self._read_members(problems)
        problems.duration("episode", self._episode, least_ns=1)
        problems.duration("after", self._after)
        if isinstance(self._then, Correlated):
            self._then = (self._then,)
        if not isinstance(self._then, (list, tuple)):
            problems.refuse("then", self._then, "a sequence of Correlated faults")
            self._then = ()
        for at, other in enumerate(self._then):
            problems.instance(f"then[{at}]", other, Correlated, "a Correlated fault")
        self._then = tuple(self._then)
        return {
            "faults": self._members,
            "episode": self._episode,
            "then": self._then,
            "after": self._after,
        }

    def begin_episode(self, *, after: float | timedelta = 0.0) -> None:
        """Begin an episode, and those of ``then`` after it. No effect while chaos is disabled.

        Args:
            after: How long from now it begins, in seconds.

        Raises:
            ConfigError: ``after`` is not a duration.
        """
        after_ns = seconds_to_ns("after", after)
        self.strike(self._episode, after=after_ns / 1e9)
        self._say("fault_changed", "begins an episode in %g s", after_ns / 1e9)
        follows_ns = after_ns + seconds_to_ns("after", self._after)
        for other in self._then:
            other.begin_episode(after=follows_ns / 1e9)

    def _chosen(self, injection: Injection) -> Sequence[Fault]:  # noqa: ARG002 - all of them
        if not self._kernel.in_episode(self._clock.now_ns()):
            self.begin_episode()
        return self._members
