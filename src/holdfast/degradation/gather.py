"""Calls that are made together, and one by one where that fails.

Owns what users give, and its checks. Elsewhere: what is decided (``gather_course``), and who runs
the calls (``gather_threads``, ``gather_tasks``).
"""

from __future__ import annotations

from holdfast.clock import read_clock
from holdfast.degradation.degraded_mode import DegradationMode
from holdfast.degradation.gather_course import Course, Named
from holdfast.policies.base import Policy
from holdfast.validation import Problems, answers_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import timedelta
    from typing import Any, TypeVar

    from holdfast.clock import Clock
    from holdfast.degradation.gathered import Gathered
    from holdfast.policies.base import On

    T = TypeVar("T")

__all__ = ["agather_or_sequential", "gather_or_sequential"]

MAX_CONCURRENT = 10_000
_POLICY = "a policy or a pipeline, or None"


def gather_or_sequential(
    calls: Iterable[Callable[[], T]],
    *,
    max_concurrent: int = 10,
    failure_rate: float | None = 0.5,
    min_successes: int | None = None,
    on: On = (Exception,),
    ignore: On = (),
    timeout: float | timedelta | None = None,
    grace: float | timedelta = 5.0,
    policy: Policy | None = None,
    mode: DegradationMode | None = None,
    name: str = "gather",
    clock: Clock | None = None,
) -> Gathered[T]:
    """Make calls concurrently in threads; one by one if too many fail or it takes too long.

    The calls go on one by one, in the thread of the caller, when one of these happens:

    - so many calls have failed, see ``failure_rate`` and ``min_successes``;
    - ``timeout`` seconds have passed, or a call was cancelled;
    - memory, file descriptors or threads are used up (an error of the category "resource").

    First, what still runs concurrently is stopped: calls that no thread has begun are dropped, and
    those that run are waited for, as a thread cannot be stopped. A call that runs longer than
    ``grace`` is never repeated beside itself. A call that has succeeded is never repeated.

    All calls have the deadline of the caller, and copies of its context variables. When the
    deadline has passed, no call is started.

    Args:
        calls: Functions without arguments, such as ``functools.partial(fetch, url)``.
        max_concurrent: How many run at the same time, 1 to 10,000.
        failure_rate: The share of all calls that must fail before the calls go on one by one,
            above 0 and at most 1. None: no share is too much.
        min_successes: How many calls have to succeed. None: one, if there are calls. If so many
            calls have failed that this is out of reach, the calls go on one by one.
        on: Exceptions that are failures, and after which a call may be repeated: classes,
            categories ("transient", "permanent", "resource", "logic"), several of both, or a
            predicate. Any other exception stands. A rejection by a policy is a failure.
        ignore: Exceptions that stand although ``on`` names them; as ``on``.
        timeout: Seconds that the concurrent calls may take; None for no limit except the deadline
            of the caller. Calls see it as their deadline.
        grace: Seconds in which calls that still run may end.
        policy: A policy or a pipeline that each call goes through, both ways.
        mode: A switch: whether to begin one by one, and whether to fall back at all.
        name: For messages and the names of threads.
        clock: The source of time; use a ``ManualClock`` in tests.

    Returns:
        What became of each call, in the order of the calls.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.
        GatherError: Fewer calls than ``min_successes`` succeeded, the repeated ones included.
        DeadlineExceededError: The enclosing ``Timeout`` has expired. Calls that have begun go on
            in their threads; no further call is started.

    Safe to call from several threads.

    >>> report = gather_or_sequential([lambda: 1, lambda: 2])
    >>> report.values, report.switched
    ([1, 2], None)
    """
    from holdfast.degradation.gather_threads import run_in_threads

    course = _course(
        "gather_or_sequential",
        calls,
        in_tasks=False,
        max_concurrent=max_concurrent,
        failure_rate=failure_rate,
        min_successes=min_successes,
        on=on,
        ignore=ignore,
        timeout=timeout,
        grace=grace,
        policy=policy,
        mode=mode,
        name=name,
        clock=clock,
    )
    run_in_threads(course)
    return course.report()


async def agather_or_sequential(
    calls: Iterable[Callable[[], Awaitable[T]]],
    *,
    max_concurrent: int = 10,
    failure_rate: float | None = 0.5,
    min_successes: int | None = None,
    on: On = (Exception,),
    ignore: On = (),
    timeout: float | timedelta | None = None,  # noqa: ASYNC109 - of a part of it
    grace: float | timedelta = 5.0,
    policy: Policy | None = None,
    mode: DegradationMode | None = None,
    name: str = "gather",
    clock: Clock | None = None,
) -> Gathered[T]:
    """Await calls concurrently in tasks; one by one if too many fail or it takes too long.

    As ``gather_or_sequential``, with these differences:

    - Each call runs in a task of its own, also one by one.
    - Tasks that still run are cancelled and awaited before the calls go on one by one. A task that
      ignores that for ``grace`` seconds is left behind, and its call is not repeated.
    - When the caller is cancelled, all tasks are cancelled and awaited, and the cancellation goes
      on.

    Args:
        calls: Functions without arguments that return an awaitable, such as
            ``functools.partial(fetch, url)``. An awaitable itself, as ``asyncio.gather`` takes it,
            cannot be awaited again.
        max_concurrent: As of ``gather_or_sequential``, as are the others.
        failure_rate: The share of failed calls.
        min_successes: How many calls have to succeed.
        on: Exceptions that are failures.
        ignore: Exceptions that stand.
        timeout: Seconds that the concurrent calls may take.
        grace: Seconds in which cancelled tasks may end.
        policy: A policy or a pipeline that each call goes through.
        mode: A switch.
        name: For messages and the names of tasks.
        clock: The source of time.

    Returns:
        What became of each call, in the order of the calls.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.
        GatherError: Fewer calls than ``min_successes`` succeeded.
        DeadlineExceededError: The enclosing ``Timeout`` has expired.

    For a task of asyncio.
    """
    from holdfast.degradation.gather_tasks import run_in_tasks

    course = _course(
        "agather_or_sequential",
        calls,
        in_tasks=True,
        max_concurrent=max_concurrent,
        failure_rate=failure_rate,
        min_successes=min_successes,
        on=on,
        ignore=ignore,
        timeout=timeout,
        grace=grace,
        policy=policy,
        mode=mode,
        name=name,
        clock=clock,
    )
    await run_in_tasks(course)
    return course.report()


def _course(
    function: str,
    calls: Any,
    *,
    in_tasks: bool,
    max_concurrent: int,
    failure_rate: float | None,
    min_successes: int | None,
    on: On,
    ignore: On,
    timeout: float | timedelta | None,
    grace: float | timedelta,
    policy: Policy | None,
    mode: DegradationMode | None,
    name: str,
    clock: Clock | None,
) -> Course:
    problems = Problems(function)
    given = _read_calls(problems, calls, in_tasks=in_tasks)
    max_concurrent = problems.integer(
        "max_concurrent", max_concurrent, least=1, most=MAX_CONCURRENT
    )
    failure_rate = problems.fraction("failure_rate", failure_rate, zero=False, none=True)
    min_successes = problems.integer(
        "min_successes", min_successes, least=0, most=len(given), none=True
    )
    _, classes, categories, wanted = problems.matcher("on", on, empty=False)
    _, ignored, ignored_categories, unwanted = problems.matcher("ignore", ignore)
    timeout_ns = problems.wait("timeout", timeout)
    grace_ns = problems.duration("grace", grace)
    if policy is not None:
        problems.instance("policy", policy, Policy, _POLICY)
    if mode is not None:
        problems.instance("mode", mode, DegradationMode, "a DegradationMode, or None")
    name = problems.name(name)
    clock = read_clock(problems, clock)
    problems.done()
    named = Named(
        clock,
        on=classes,
        on_categories=categories,
        wanted=wanted,
        ignore=ignored if unwanted is None else unwanted,
        ignore_categories=ignored_categories,
    )
    return Course(
        given,
        name=name,
        max_concurrent=max_concurrent,
        failure_rate=failure_rate,
        min_successes=min(1, len(given)) if min_successes is None else min_successes,
        named=named,
        timeout_ns=timeout_ns,
        grace_ns=grace_ns,
        policy=policy,
        clock=clock,
        falls_back=mode is None or mode.fallback,
        degraded=mode is not None and mode.enabled,
    )


def _read_calls(problems: Problems, calls: Any, *, in_tasks: bool) -> list[Callable[[], Any]]:
    """Check the calls; the first that cannot be made is named."""
    try:
        given = list(calls)
    except TypeError:
        problems.refuse("calls", calls, "a list of functions without arguments")
        return []
    for index, call in enumerate(given):
        allowed = _not_a_call(call, in_tasks=in_tasks)
        if allowed is not None:
            problems.refuse(f"calls[{index}]", call, allowed)
            break
    return given


def _not_a_call(call: Any, *, in_tasks: bool) -> str | None:
    """Return what is allowed instead of what cannot be made as a call."""
    if in_tasks and not callable(call):
        return (
            "a function without arguments that returns an awaitable, such as "
            "functools.partial(fetch, url): an awaitable cannot be awaited again"
        )
    if not in_tasks and not (callable(call) and answers_at_once(call)):
        return (
            "a function without arguments that is no coroutine function, such as "
            "functools.partial(fetch, url); use agather_or_sequential for coroutine functions"
        )
    return None
