"""Hedge: a further attempt beside one that takes unusually long; the first answer wins.

Owns the settings, the face, and what is told of attempts. When a further attempt begins is
``hf_hedge.h``, the way in and out ``csrc/python/step_hedge.c``; ``waiting`` has the attempts.
"""

from __future__ import annotations

from holdfast._native.hedge import Hedge as Kernel
from holdfast.clock import read_clock
from holdfast.errors import Rejected
from holdfast.mode import read_mode
from holdfast.policies.base import (
    NATIVE_MODES,
    Policy,
    made_within,
    read_on_result,
    scope_of,
    settings_of,
)
from holdfast.policies.hedge.quantile import Quantile
from holdfast.policies.retry.budget import RetryBudget
from holdfast.policies.retry.notes import add_note, failure_in_words
from holdfast.policies.timeout.timeout import MAX_WORKERS, Timeout
from holdfast.stores.figures import HEDGE
from holdfast.validation import Problems, takes_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from typing import Any, Literal, Self, Unpack

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.base import On, OnResult
    from holdfast.policies.hedge.settings import HedgeSettings
    from holdfast.policies.hedge.snapshot import HedgeSnapshot
    from holdfast.stores.ledger import Part

__all__ = ["Hedge"]

MAX_FURTHER = 10


class Hedge(Policy):
    """Starts a further attempt if the first takes unusually long; the first answer is returned.

    Only for calls that may run twice at the same time, such as reads. An attempt that fails
    starts the next attempt immediately. If all attempts fail, the last error is raised, with a
    note about the others. An attempt that another policy rejects has no effect on the others.

    In asyncio, the first attempt runs in the task of the caller, and each further attempt in a new
    task. The attempts that lost are cancelled once, and their results are closed. The call
    does not wait for the end of the further attempts. In threads, all attempts run in worker
    threads, and an attempt that lost runs to its end there; a synchronous call in the thread of an
    event loop, or in a worker thread of the same hedge, is not hedged. All attempts have the
    deadline of the caller, and copies of its context variables, except the first in asyncio,
    which has these variables themselves. Generators, permits and blocks cannot be hedged.

    Args:
        name: The called service, for messages, metrics and the registry.
        delay: Seconds before the next attempt starts, or a ``Quantile``.
        max: The number of further attempts of one call, 1 to 10.
        on: Exceptions that are failures of an attempt: classes, categories ("transient",
            "permanent", "resource", "logic"), several of both, or a predicate. Any other
            exception is the answer of the call.
        ignore: Exceptions that are an answer although ``on`` names them; as ``on``.
        on_result: A predicate, called with each result; True means that the attempt failed.
            "http": a response failed if its status means that the same call may succeed later.
        budget: A limit on the extra load of all calls, which retries may share. "own" creates a
            new ``RetryBudget``; None means no limit. A further attempt takes a token; an attempt
            that does not run gives it back.
        close: Called with the result of an attempt that lost; by default its ``aclose`` or
            ``close`` method is called, if it has one. In asyncio it may be asynchronous.
        workers: The number of worker threads for synchronous calls, 1 to 10,000.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared hedge of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> Hedge("search", delay=0.05).call(len, "ok")
    2
    """

    __slots__ = ("_close", "_max", "_worker_threads", "budget")

    kind = "hedge"
    _kernel: Kernel

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    budget: RetryBudget | None

    def __init__(
        self,
        name: str,
        *,
        delay: float | timedelta | Quantile = 0.05,
        max: int = 1,  # noqa: A002 - the word of the public face
        on: On = (Exception,),
        ignore: On = (),
        on_result: OnResult | None = None,
        budget: RetryBudget | Literal["own"] | None = None,
        close: Callable[[Any], object] | None = None,
        workers: int = 32,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("Hedge", name)
        name = problems.name(name)
        delay_ns = 0
        if not isinstance(delay, Quantile):
            delay_ns = problems.duration("delay", delay)
        max = problems.integer("max", max, least=1, most=MAX_FURTHER)  # noqa: A001
        on, classes, categories, wanted = problems.matcher("on", on, empty=False)
        ignore, ignored, ignored_categories, unwanted = problems.matcher("ignore", ignore)
        is_failure = read_on_result(problems, on_result)
        if budget != "own" and budget is not None:
            problems.instance("budget", budget, RetryBudget, 'a RetryBudget, "own" or None')
        given: object = close
        if given is not None and not (callable(given) and takes_one(given)):
            problems.refuse("close", close, "a callable that takes one argument, or None")
        workers = problems.integer("workers", workers, least=1, most=MAX_WORKERS)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        own = RetryBudget(clock=clock) if isinstance(budget, str) else budget
        # First of all, for it refuses to be done twice.
        self._bind(
            "hedge",
            (_kernel_of(delay, delay_ns),),
            clock,
            name,
            NATIVE_MODES[mode],
            Rejected,
            on=classes,
            on_categories=categories,
            ignore=ignored if unwanted is None else unwanted,
            ignore_categories=ignored_categories,
            is_failure=is_failure,
            wanted=wanted,
            budget=own and own._kernel,
            budget_clock=own and own._clock,
            threads=True,
        )
        self.budget = own
        self._max = max
        self._close = close
        self._worker_threads: Any = None  # threads, once one is needed
        self._keep(
            delay=delay,
            max=max,
            on=on,
            ignore=ignore,
            on_result=on_result,
            budget=budget,
            close=close,
            workers=workers,
            clock=clock,
            mode=mode,
        )

    _setting_names = settings_of(__init__)

    @property
    def delay(self) -> float | None:
        """Seconds before a further attempt starts; None while a ``Quantile`` warms up."""
        ns = self._kernel.delay_ns()
        return None if ns is None else ns / 1e9

    def with_options(self, **options: Unpack[HedgeSettings]) -> Self:
        """Return a hedge with the same name in which some settings differ.

        It shares the budget of this hedge, unless ``budget`` is given. Its counts and its
        estimate of a quantile start anew, and metrics add up all hedges of one name. It has no
        listeners.

        Args:
            **options: Settings of a ``Hedge``.

        Raises:
            ConfigError: A setting is invalid.
            TypeError: A ``Hedge`` has no such setting.

        >>> Hedge("search").with_options(delay=0.1).delay
        0.1
        """
        settings = dict(zip(self._setting_names, self._settings, strict=True))
        settings.update(budget=self.budget)
        return made_within(scope_of(self), type(self), self.name, **{**settings, **options})

    def snapshot(self) -> HedgeSnapshot:
        """Return the current delay and counts; see ``HedgeSnapshot`` for the fields."""
        from holdfast.policies.hedge.snapshot import HedgeSnapshot

        *counts, observed, abandoned, stopped = self._kernel.counters()
        calls, failed, hedged, attempts, won, cancelled, refused = counts
        return HedgeSnapshot(
            name=self.name,
            delay=self.delay,
            samples=self._kernel.samples()[0],
            calls=calls,
            failed=failed,
            hedged=hedged,
            attempts=attempts,
            won=won,
            cancelled=cancelled,
            refused=refused,
            abandoned=abandoned,
            running=abandoned - stopped,
            observed=observed,
        )

    def _in_words(self) -> str:
        delay = self.delay
        return "warming up" if delay is None else f"after {delay:g} s"

    def _figured(self) -> tuple[Part, ...]:
        return ((HEDGE, self._kernel, 0),)

    def reset(self) -> None:
        """Do nothing: a hedge has no state except its counts and its estimate, which continue."""

    def _further_costs(self) -> list[str]:
        asks = self._setting("on_result") is not None
        return [
            "reads the clock",
            *["calls Python for each result"] * asks,
            "a task or a thread for each further attempt",
            "own threads",
        ]

    # ---- what the native gate and the drivers ask ----

    # As a timeout: a timer of the event loop for each loop, which rings for all calls.
    _alarms_in: Any = Timeout._alarms_in
    _set_timer: Any = Timeout._set_timer
    __del__: Any = Timeout.__del__

    def _begin_race(self, coroutine: Any, at: int, late: bool) -> object:
        from holdfast.waiting.hedged_tasks import begin_race

        return begin_race(self, coroutine, at, late=late)

    def _works_here(self) -> bool:
        threads = self._worker_threads
        return threads is not None and threads.is_here()

    def _run_in_thread(
        self,
        rest: Any,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        works: list[Any],
    ) -> Any:
        from holdfast.waiting.hedged_threads import run_hedged

        return run_hedged(self, rest, fn, args, kwargs, works)

    def _after_fork(self) -> None:
        self._worker_threads = None  # the threads are the parent's

    def _began(self, number: int, error: BaseException | None, *, failed: bool) -> None:
        """Tell of attempt ``number``, which begins because time has passed or one has failed."""
        why = "delay" if not failed else "result" if error is None else type(error).__name__
        self._emit("hedge", old=number - 1, new=number, reason=why)

    def _all_failed(self, errors: Iterable[BaseException | None]) -> None:
        """Add a note about the other attempts to the last of several errors."""
        *others, last = errors
        if last is None or not others:
            return
        texts = ", ".join(failure_in_words(error) for error in others)
        signature = f"hedge {self.name!r}"
        note = f"{len(others) + 1} attempts failed; the others with {texts}; {signature}"
        add_note(last, note, signature)


def _kernel_of(delay: object, delay_ns: int) -> Kernel:
    if not isinstance(delay, Quantile):
        return Kernel(delay_ns)
    return Kernel(delay._initial_ns, delay.quantile, delay.warmup, delay._floor_ns)
