"""The attempts of a hedged call in threads.

All of them run in the threads of the hedge, as a call of a ``Timeout(thread=True)`` does, so that
the caller goes on with the first answer. Attempts that lost run to their end there. Elsewhere: how
a call runs in a thread and is left behind (``left_behind``).
"""

from __future__ import annotations

from collections import deque

from holdfast._native import gate
from holdfast.forks import settle
from holdfast.validation import titled
from holdfast.waiting.hedged import closing_of, judge, may_begin, proves
from holdfast.waiting.left_behind import Work, leave_here, threads_of
from holdfast.waiting.parking import ThreadWaiter
from holdfast.waiting.standstill import mind_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.waiting.hedged import Hedge, Judged

__all__ = ["run_hedged"]


def run_hedged(
    policy: Hedge,
    rest: Any,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    works: list[Work | bool | None],
) -> Any:
    """Call ``fn`` through ``rest`` of a pipeline, in as many threads as the hedge says.

    The arguments and what happens to ``works`` are as of ``left_behind.run_in_thread``.

    Raises:
        DeadlineExceededError: The time of the caller is over. Attempts that have begun go on.
    """
    settle()
    mind_loop(policy)
    race = _Race(policy, (rest, fn, args, kwargs))
    left: list[Work] = []
    try:
        race.run()
    finally:  # interrupted, it leaves as much behind
        left = race.let_go()
        works.extend(left)
        leave_here(left)
    return race.take(works)


class _LostError(BaseException):
    """Ends an attempt that has lost before it has called the function; policies count nothing."""


class _Attempt(Work):
    """One attempt of a race.

    Attributes:
        number: 1 for the first.
    """

    def __init__(self, race: _Race, number: int) -> None:
        super().__init__(race.policy, race.deadline, *race.call)  # type: ignore[arg-type]
        self.number = number
        self._race = race

    def _make_call(self) -> Any:
        if self._let_go:  # meanwhile, while it waited for a policy further in
            raise _LostError
        if self.number > 1:
            self._race.count_attempt(self.number)
        return super()._make_call()

    def _tell(self) -> None:
        value, returned = self._value, self._error is None
        super()._tell()
        if self._left_behind and returned:
            closing_of(self._race.policy, value, self._race.value, in_loop=False)
        if self._left_behind and self.number > 1 and not self._called:
            self._race._give_back()
        self._race.told(self)

    @property
    def called(self) -> bool:
        """Whether the function was called."""
        return self._called

    @property
    def left_behind(self) -> bool:
        """Whether it went on when its race was over."""
        return self._left_behind

    def end(self) -> tuple[Any, BaseException | None]:
        """Return what it returned and what it raised, and hold neither any longer."""
        value, error = self._value, self._error
        self._value = self._error = None
        return value, error


class _Race:
    """The attempts of one call. Only ``told`` and ``count_attempt`` are called by other threads."""

    def __init__(self, policy: Hedge, call: tuple[Any, ...]) -> None:
        self.policy = policy
        self.call = call
        self.deadline = gate._deadline_here()
        self.value: Any = None  # the answer
        self._error: BaseException | None = None
        self._failed = False  # whether the result was judged a failure
        self._refused = False  # whether the first attempt was refused further in
        self._clock = policy._clock
        self._kernel = policy._kernel
        self._threads = threads_of(policy)
        self._made = 0  # attempts, those included that the budget has refused
        self._most = 1 + policy._max if gate._is_retrying() else 1
        self._running: list[_Attempt] = []
        self._failures: list[Judged] = []
        self._refusal: Judged | None = None  # the last attempt that was refused further in
        self._ended: deque[_Attempt] = deque()
        self._waiter = ThreadWaiter()
        self._called: dict[str, int] = {}  # which further attempt was the first to call
        self._is_over = False
        self._began_ns = self._clock.now_ns()

    # ---- in the threads of attempts ----

    def told(self, attempt: _Attempt) -> None:
        """Let the caller know that an attempt has ended."""
        self._ended.append(attempt)  # before the waiter is looked up: one of the two is seen
        self._waiter.wake()

    def count_attempt(self, number: int) -> None:
        """Count a further attempt that calls the function."""
        # In one step: two attempts may come here at once.
        self._kernel.count_attempt(self._called.setdefault("first", number) == number)

    # ---- in the thread of the caller ----

    def run(self) -> None:
        """Run attempts until one has answered, or all have failed.

        Raises:
            DeadlineExceededError: The time of the caller is over.
        """
        self._start()
        due_ns = self._due_ns()
        while not self._is_over:
            self._waiter = ThreadWaiter()
            if not self._ended and not self._park(due_ns):
                if self._is_late():
                    self._raise_exceeded()
                due_ns = self._begin_next(failed=False)
            while self._ended and not self._is_over:
                if self._take(self._ended.popleft()):
                    due_ns = self._begin_next(failed=True)
            if not self._running and not self._is_over:
                self._conclude()

    def _start(self) -> None:
        attempt = _Attempt(self, self._made + 1)
        self._running.append(attempt)
        if not self._threads.give(attempt):
            self._running.remove(attempt)
            raise RuntimeError(f"{titled(self.policy)} accepts no more calls")
        self._made += 1

    def _begin_next(self, *, failed: bool) -> int | None:
        """Begin a further attempt, if there is to be one; return when the one after is due."""
        policy = self.policy
        if self._made == self._most or self._is_over:
            return None
        if not may_begin(policy):
            self._made += 1
            return self._due_ns()
        policy._began(self._made + 1, self._failures[-1].error if failed else None, failed=failed)
        try:
            self._start()
        except RuntimeError:  # no thread can be started: the attempts that run go on
            self._made += 1
            self._give_back()
        return self._due_ns()

    def _due_ns(self) -> int | None:
        if self._made == self._most:
            return None
        return self._kernel.due_ns(self._clock.now_ns())

    def _park(self, due_ns: int | None) -> bool:
        """Wait for an attempt to end; return False once something is due."""
        if self.deadline is not None:
            owner: Any = self.deadline[0]  # on whose clock the deadline is
            left_ns = self.deadline[1] - owner._clock.now_ns()
            limit_ns = self._clock.now_ns() + left_ns
            due_ns = limit_ns if due_ns is None else min(due_ns, limit_ns)
        if due_ns is None:
            return self._waiter.park(self._clock, None)
        return self._waiter.park_until(self._clock, due_ns)

    def _is_late(self) -> bool:
        if self.deadline is None:
            return False
        owner: Any = self.deadline[0]
        late: bool = owner._clock.now_ns() >= self.deadline[1]
        return late

    def _raise_exceeded(self) -> None:
        assert self.deadline is not None
        owner: Any = self.deadline[0]
        raise owner._exceeded(owner._clock.now_ns() - self.deadline[1], False)

    def _take(self, attempt: _Attempt) -> bool:
        """Take how an attempt has ended; return whether it has failed."""
        self._running.remove(attempt)
        if not attempt.called and attempt.number > 1:
            self._give_back()
            if attempt.refused:
                return False
        value, error = attempt.end()
        if attempt.number == 1 and not attempt.called:
            self._refused = isinstance(error, Exception)
        judged = judge(self.policy, value, error)
        if judged.failed:
            self._failures.append(judged)
            return True
        if judged.refused:  # which is no reason to end the others
            self._refusal = judged
            return False
        if proves(judged.error) and (attempt.number == 1 or self._first_runs()):
            self._sample()
        self._end(judged, failed=attempt.failed)
        if attempt.number > 1:
            self._kernel.count_won()
            self.policy._emit("hedge_won", old=attempt.number)
        return False

    def _first_runs(self) -> bool:
        return any(attempt.number == 1 for attempt in self._running)

    def _sample(self) -> None:
        self._kernel.record(self._clock.now_ns() - self._began_ns)

    def _conclude(self) -> None:
        """End the race with the last failure, or with a refusal: no attempt has answered."""
        if not self._failures:
            assert self._refusal is not None
            self._end(self._refusal, failed=False)
            return
        self._kernel.count_failed()
        self.policy._all_failed([one.error for one in self._failures])
        self._end(self._failures[-1], failed=self._failures[-1].returned)

    def _end(self, judged: Judged, *, failed: bool) -> None:
        self.value, self._error, self._failed = judged.value, judged.error, failed
        self._is_over = True

    def _give_back(self) -> None:
        if self.policy.budget is not None:
            self.policy.budget.give_back()

    def let_go(self) -> list[Work]:
        """Have nobody wait for the other attempts; return those that go on."""
        self._is_over = True
        left: list[Work] = []
        for attempt in self._running:
            left += attempt.let_go()
            self._kernel.count_cancelled()
            if attempt.left_behind:
                continue  # its own thread sees to its end
            self._threads.take_back(attempt)
            if attempt.number > 1 and not attempt.called:
                self._give_back()
            if attempt.ended:
                self._close(*attempt.end())
        for failure in self._failures:
            if failure.returned:
                self._close(failure.value, None)
        return left

    def _close(self, value: Any, error: BaseException | None) -> None:
        if error is None:
            closing_of(self.policy, value, self.value, in_loop=False)

    def take(self, works: list[Work | bool | None]) -> Any:
        """Return the answer of the call, or raise it; ``works`` is told how it was judged."""
        error, self._error = self._error, None
        self._failures.clear()
        if error is None:
            if self._failed:
                works.append(False)
            return self.value
        if self._refused and not self._called:
            works.append(None)
        try:
            raise error
        finally:
            del error  # whose traceback holds this frame
