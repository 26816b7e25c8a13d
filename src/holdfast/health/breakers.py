"""What a health check proves about a circuit breaker: closed by passes, opened by failures.

The probe, and not the traffic of users, finds out that a dependency is back. Evidence counts only
in the period in which its run began: a pass from before an opening closes nothing.
Elsewhere: the moves (``hf_breaker.h``), and when checks run (``monitor``).
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from holdfast.mode import Mode
from holdfast.policies.breaker.state import State
from holdfast.policies.telling import Telling
from holdfast.validation import seconds_to_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.policies.breaker.breaker import CircuitBreaker

    #: The generation of the breaker, and the opening it is in; None: of neither open nor half-open.
    Period = tuple[int, int | None]
    _Result = tuple[Period, int, bool, int, str]

__all__ = ["NOTHING", "BreakerLink"]

#: What a run is evidence of that began before anybody looked at the breaker.
NOTHING: Period = (-1, None)

# A breaker that opens again and again needs up to so many times the passes.
MOST_DOUBLINGS = 10
_SHUT = (State.OPEN, State.HALF_OPEN, State.FORCED_OPEN)
_CLOSABLE = (State.OPEN, State.HALF_OPEN)
_PASSED, _LIMPED, _FAILED, _UNPROVEN = range(4)
_GENERATIONS = 1 << 35


class BreakerLink:
    """Has the results of one check move one breaker.

    ``successes`` passes in a row close the breaker if it is open or half-open. If it opens again
    soon, or before a call has succeeded, the check passes although calls fail: then it takes twice
    as many passes, and each time twice as many again. A breaker that is forced open, disabled or
    counts only is never moved.

    Args:
        breaker: The breaker.
        check: The name of the check, for the reason of an opening.
        successes: Passes in a row that close it, 1 to 1,000.
        opens: Whether the check opens the breaker when it becomes unhealthy.

    Whoever runs the check calls ``begin`` and ``put``, under a lock of his own, and then
    ``settle`` without it: there listeners of the breaker are called. Results count in the order in
    which they were put in, whichever threads settle. Safe to share between threads.
    """

    __slots__ = (
        "_check",
        "_closed_ns",
        "_closings",
        "_doublings",
        "_due",
        "_found",
        "_generation",
        "_has_closed",
        "_has_passed",
        "_opening",
        "_opens",
        "_passes",
        "_reopened_ns",
        "_succeeded",
        "_successes",
        "_telling",
        "_unhealthy",
        "breaker",
    )

    def __init__(
        self, breaker: CircuitBreaker, check: str, *, successes: int, opens: bool = False
    ) -> None:
        self.breaker = breaker
        self._check = check
        self._successes = successes
        self._opens = opens
        self._opening: int | None = None  # of which the passes are evidence
        self._passes = 0
        self._doublings = 0
        # Whether this check has closed it, and has not passed in an opening since. The rest is of
        # this closing: the generation that it began, when it was and when the breaker was first
        # seen to be open again.
        self._has_closed = False
        self._generation = self._closed_ns = self._succeeded = 0
        self._reopened_ns: int | None = None
        self._closings = -1  # of the breaker, up to and with the last by this check
        self._unhealthy = self._due = False
        self._has_passed = False  # the last result that was put in
        self._found: deque[_Result | None] = deque()  # None: forget
        self._telling = Telling()

    @property
    def is_shut(self) -> bool:
        """Whether the breaker keeps users' calls away: it is open, half-open or forced open."""
        return self.breaker.state in _SHUT and self.breaker.mode is Mode.ENFORCE

    @property
    def is_closing(self) -> bool:
        """Whether the next runs are likely to close it: it is open, and the check passes.

        Not if it opens again and again though the check passes: there is no hurry then.
        """
        return self._has_passed and not self._doublings and self.breaker.state in _CLOSABLE

    @property
    def needed(self) -> int:
        """How many passes in a row close the breaker at present."""
        return self._successes << self._doublings

    def begin(self) -> Period:
        """Return what the result of a run that begins now is evidence of."""
        period = self.breaker._kernel.period()
        if self._has_closed and period[1] is not None and self._reopened_ns is None:
            self._reopened_ns = self.breaker._clock.now_ns()
        return period

    def forget(self) -> None:
        """Begin anew, as the check does when its monitor starts: no run goes on."""
        self._has_passed = False
        self._found.append(None)

    def put(
        self, began: Period, verdict: int, *, unhealthy: bool, failures: int, why: str = ""
    ) -> None:
        """Take in the result of a run, for ``settle``.

        Args:
            began: What ``begin`` returned when the run began.
            verdict: 0 passed, 1 degraded, 2 failed, 3 unproven.
            unhealthy: Whether the check is unhealthy, this result included.
            failures: The failures in a row, this result included.
            why: The message of the result.
        """
        if verdict == _UNPROVEN or self.breaker.mode is Mode.OFF:
            return
        self._has_passed = verdict == _PASSED
        self._found.append((began, verdict, unhealthy, failures, why))

    def settle(self) -> None:
        """Move the breaker as the results say that were put in, unless another thread does."""
        self._telling.change(self._take, self._settle)

    def _take(self) -> list[tuple[_Result | None]]:
        found: list[tuple[_Result | None]] = []
        with suppress(IndexError):
            while True:
                found.append((self._found.popleft(),))
        return found

    def _settle(self, result: _Result | None) -> None:
        if result is None:
            self._passes = 0
            self._opening = None
            self._unhealthy = self._due = False
            return
        began, verdict, unhealthy, failures, why = result
        self._due = unhealthy and (self._due or not self._unhealthy)
        self._unhealthy = unhealthy
        if verdict == _PASSED:
            self._pass(began[1])
            return
        self._passes = 0
        if verdict == _FAILED and self._due and self._opens and began is not NOTHING:
            self._open(began[0], failures, why)

    # ---- closing ----

    def _pass(self, opening: int | None) -> None:
        if opening is None:  # the breaker was closed, or is not ours to move
            self._passes = 0
            return
        if opening != self._opening:
            self._opening, self._passes = opening, 0
            self._look_back(opening)
        self._passes += 1
        if self._passes < self.needed:
            return
        generation = self.breaker._close_opening(opening)
        if generation is not None:
            self._passes = 0
            self._remember(generation)

    def _remember(self, generation: int) -> None:
        """Keep in mind that this check has closed the breaker, and what was counted before."""
        kernel = self.breaker._kernel
        self._closed_ns = self.breaker._clock.now_ns()
        self._succeeded = kernel.counters()[1]
        self._closings = _closings(kernel.changes())
        self._reopened_ns = None
        self._generation = generation
        self._has_closed = True

    def _look_back(self, opening: int) -> None:
        """At the first pass in another opening: was it a relapse after a closing by this check?"""
        if _closings(self.breaker._kernel.changes()) != self._closings:
            self._doublings = 0  # others have closed it since: calls have succeeded, or an order
        elif self._has_closed:
            relapsed = self._is_relapse(opening)
            self._doublings = min(self._doublings + 1, MOST_DOUBLINGS) if relapsed else 0
        # Else a failed probe has opened it anew: nothing speaks for fewer passes.
        self._has_closed = False

    def _is_relapse(self, opening: int) -> bool:
        """Return whether it opened too soon after this check has closed it.

        Nobody else has closed it since. So this opening follows, or failed probes have opened it
        anew meanwhile.
        """
        breaker = self.breaker
        if breaker._kernel.counters()[1] == self._succeeded:
            return True
        reopened_ns = self._reopened_ns
        opened = (breaker._clock.now_ns() if reopened_ns is None else reopened_ns) / 1e9
        trip = breaker.snapshot().trip
        is_first = opening == (self._generation + 1) % _GENERATIONS
        if is_first and trip is not None and trip.generation == opening:
            opened = trip.at  # before anybody looked
        open_ns = seconds_to_ns("reset_timeout", breaker._setting("reset_timeout"))
        return opened - self._closed_ns / 1e9 < open_ns / 1e9

    # ---- opening ----

    def _open(self, generation: int, failures: int, why: str) -> None:
        text = f"{self._check}: {why}" if why else self._check
        breaker = self.breaker
        if breaker._open_generation(generation, failures, text) or breaker.state in _SHUT[::2]:
            self._due = False  # else the breaker was closed after this run began: the next decides


def _closings(changes: tuple[int, ...]) -> int:
    """Return how often a breaker was closed, whoever did it."""
    return sum(changes[::6])
