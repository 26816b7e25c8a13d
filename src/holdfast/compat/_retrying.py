"""What the faces of tenacity, stamina and backoff share: one retry policy a name, and its calls.

The libraries' own conditions say whether a failure is to be tried again, and after how long. A
``FaceRetry`` counts what comes of that, tells of it, and has the last word: no retry in mode
"observe" or under ``retries_off``, none that would outlast an enclosing ``Timeout``. A call that
succeeds at once costs one count; what keeps track of a call is made at its first failure.

How a face uses it::

    policy = policy_of(name_of(fn))             # once, when it decorates
    if policy.is_off: return fn(*args)
    try: result = policy.run(fn, args, kwargs)
    except BaseException as error:
        course = Course(policy)
        if is_final(error) or not <its condition>: course.refuse(error); raise
        if <its stop>: course.give_up(); raise
        if not course.again(seconds, error): raise      # counted; what its stop does
        <its hooks: if one raises, course.stop(that)>
        course.pause(seconds, sleep)                    # or: await course.apause(…)
        <attempt>                                       # then course.succeed(), or from the top
    policy.count_success(0)

Elsewhere: the decision (``hf_retry.h``), a native retry around a block (``waiting.attempts``).
"""

from __future__ import annotations

import sys
import time

from holdfast._native.gate import Gate, _deadline_here, _is_retrying
from holdfast.clock import ManualClock, read_clock
from holdfast.errors import Rejected
from holdfast.forks import mind
from holdfast.locks import RLock
from holdfast.mode import Mode
from holdfast.policies.backoff.formulas import Constant
from holdfast.policies.retry import Retry
from holdfast.registry import registry
from holdfast.validation import MAX_NS, Problems, is_name
from holdfast.waiting.cancelling import Cancelled
from holdfast.waiting.foreign import is_in_trio
from holdfast.waiting.parking import current, sleep_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any, SupportsIndex

    from holdfast.clock import Clock

__all__ = [
    "Course",
    "FaceRetry",
    "aio_sleep",
    "is_final",
    "name_of",
    "nap",
    "policy_of",
    "to_ns",
]

NAMES_MOST = 4096  # a policy of one more lives only as long as a face holds it
_NAME_MOST = 200
_MAX_SECONDS = MAX_NS / 1e9


def _decided_by_the_face(_error: object) -> bool:
    """Say what the policy of a face retries by itself: nothing."""
    return False


class FaceRetry(Retry):
    """The retry policy behind all objects of a face that have one name.

    It counts their calls and tells its listeners of them. Whether a failure is tried again is
    decided by the conditions that each of these objects was given.

    Attributes:
        is_off: Whether its mode is "off": calls are to pass as if there were no face.
        faults: Calls a function while faults of ``holdfast.chaos`` are attached; else None.

    Safe to share between threads and event loops.
    """

    __slots__ = ("_struck", "count_success", "faults", "is_off")

    is_off: bool
    faults: Gate | None
    count_success: Callable[[int], None]

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, **settings)
        self._struck: Gate | None = None
        self.faults = None
        self.is_off = self.mode is Mode.OFF
        self.count_success = self._kernel.count_success

    def now(self) -> float:
        """Return the time in seconds: of a manual clock, else the system's as others read it.

        Tests that freeze the time put a function of their own in place of ``time.monotonic``.
        """
        clock = self._clock
        return clock.now_ns() / 1e9 if isinstance(clock, ManualClock) else time.monotonic()

    def run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Make one attempt, which the attached faults strike."""
        faults = self.faults
        return fn(*args, **kwargs) if faults is None else faults.call(fn, *args, **kwargs)

    async def arun(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Make one attempt in a task, which the attached faults strike."""
        faults = self.faults
        if faults is None:
            return await fn(*args, **kwargs)
        return await faults.acall(fn, *args, **kwargs)

    def _attach(self, fault: Gate, /) -> None:
        super()._attach(fault)
        gate = Gate()
        gate._compose(self.name, (fault,))
        self._struck = gate

    def _inject(self, on: bool, /) -> None:
        super()._inject(on)
        self.faults = self._struck if on and not self.is_off else None

    def _in_words(self) -> str:
        return "of a face"

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> Any:
        return policy_of, (self.name,)  # a decorated function that is pickled by its parts


class _Names:
    """The policies of this process by name and clock, as long as the registry is the same.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._policies: dict[tuple[str, Clock], FaceRetry] = {}
        self._registered = registry._entries  # another in a test that has set it aside
        mind(self)

    def get(self, name: str) -> FaceRetry:
        clock = read_clock(_PROBLEMS, None)
        if self._registered is registry._entries:
            there = self._policies.get((name, clock))
            if there is not None:
                return there
        shown = name if is_name(name) else _printable(name)
        made = registry.get("retry", shown)
        if not isinstance(made, FaceRetry) or made._clock is not clock:
            made = FaceRetry(
                shown,
                attempts=None,
                max_time=_MAX_SECONDS,
                backoff=_NO_PAUSE,
                on=_decided_by_the_face,
                budget=None,
                clock=clock,
            )
        with self._lock:
            if self._registered is not registry._entries:
                self._registered = registry._entries
                self._policies = {}
            there = self._policies.setdefault((name, clock), made)
            while len(self._policies) > NAMES_MOST:
                del self._policies[next(iter(self._policies))]
        return there

    def _after_fork(self) -> None:
        self._lock = RLock()


_PROBLEMS = Problems("Retry")
_NO_PAUSE = Constant(0)


def _printable(name: str) -> str:
    text = "".join(one if one.isprintable() else "?" for one in name[:_NAME_MOST])
    return text or "unnamed"


_names = _Names()


def policy_of(name: str) -> FaceRetry:
    """Return the policy that all faces share that have this name.

    Args:
        name: What the user called it, ``name_of`` of the function, or the module.

    Safe to call from any thread.
    """
    return _names.get(name)


def name_of(fn: object) -> str:
    """Return a function's module and qualified name; of other callables those of their class."""
    inner = getattr(fn, "func", fn)  # of a partial
    name = getattr(inner, "__qualname__", None)
    if not isinstance(name, str):
        inner = type(inner)
        name = inner.__qualname__
    module = getattr(inner, "__module__", None)
    return f"{module}.{name}" if isinstance(module, str) and module else name


_FINAL = (KeyboardInterrupt, SystemExit, GeneratorExit, Cancelled)
# Where cancellations of others are, once somebody has imported them.
_CANCELLATIONS = (
    ("asyncio", "CancelledError"),
    ("trio", "Cancelled"),
    ("greenlet", "GreenletExit"),
)


def is_final(error: BaseException) -> bool:
    """Whether no condition may have an error tried again: its caller gave up, or the process ends.

    True of KeyboardInterrupt, SystemExit, GeneratorExit, the cancellations of asyncio, trio and
    greenlets, and a group with one of them in it.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_final, error.exceptions))
    if isinstance(error, _FINAL):
        return True
    for module, name in _CANCELLATIONS:
        cancellation = getattr(sys.modules.get(module), name, None)
        if isinstance(cancellation, type) and isinstance(error, cancellation):
            return True
    return False


def to_ns(seconds: Any) -> int:
    """Return a pause in nanoseconds: 0 for what is negative or no number, at most a century."""
    seconds = float(seconds)
    if seconds >= _MAX_SECONDS:
        return MAX_NS
    return int(seconds * 1e9) if seconds > 0 else 0


class Course:
    """What a call has come to after its first failure: its retries, counted by its policy.

    It ends once, by ``succeed``, ``refuse``, ``give_up``, ``stop``, or an ``again`` that is
    refused; what comes later counts nothing. One that is dropped before counts as cancelled.

    Attributes:
        policy: Who counts.
        retries: Attempts that have begun, but for the first.
        ended: Whether the call is counted.

    Belongs to the thread or task of the call.
    """

    __slots__ = ("ended", "policy", "retries")

    def __init__(self, policy: FaceRetry) -> None:
        self.ended = False
        self.policy = policy
        self.retries = 0

    def again(
        self, seconds: Any, error: BaseException | None = None, result: object = None
    ) -> bool:
        """Have another attempt counted that is to follow after a pause, unless it must not.

        Args:
            seconds: The pause.
            error: What the last attempt raised, if it did.
            result: What it returned, if that is to be tried again.

        Returns:
            Whether it may follow. False: the call is given up and counted; there was to be no
            retry at all, or it would begin after the deadline of an enclosing ``Timeout``.
        """
        policy = self.policy
        kernel = policy._kernel
        if policy.mode is Mode.OBSERVE and not self.ended:
            kernel.count_observed()
            self._end("exhausted")
        if policy.mode is not Mode.ENFORCE or not _is_retrying():
            self.give_up()
            return False
        delay_ns = to_ns(seconds)
        if (here := _deadline_here()) is not None:
            limit, deadline_ns = here
            now_ns = policy._clock.now_ns()
            deadline_ns = now_ns + max(0, deadline_ns - limit._clock.now_ns())
            verdict = kernel.decide(0, now_ns, now_ns, delay_ns, deadline_ns)
            if verdict != "again":
                self.give_up(verdict)
                return False
        kernel.count_delay(delay_ns)
        if policy._listening:
            policy._before_retry(self.retries + 1, delay_ns, 0, error, result)
        return True

    def begin(self) -> None:
        """Count the retry that ``again`` has granted: its pause is over, and it begins."""
        self.retries += 1
        self.policy._kernel.count_retry(self.retries)

    def pause(
        self, seconds: float, sleep: Callable[[Any], object], *, replaceable: bool = False
    ) -> None:
        """Wait in this thread for the retry that ``again`` has granted, and count it.

        Args:
            seconds: How long.
            sleep: What waits.
            replaceable: Whether ``sleep`` is the library's own, in whose place the policy's clock
                may let the time pass.

        Raises:
            BaseException: What ended the wait; the retry is counted as not made.
        """
        try:
            if replaceable:
                nap(self.policy, seconds, sleep)
            else:
                sleep(seconds)
        except BaseException as error:
            self.stop(error)
            raise
        self.begin()

    async def apause(
        self,
        seconds: float,
        sleep: Callable[[Any], Awaitable[object]] | None = None,
    ) -> None:
        """Wait in this task as ``pause`` does; None waits as ``aio_sleep`` does."""
        try:
            if sleep is None:
                await aio_sleep(self.policy, seconds)
            else:
                await sleep(seconds)
        except BaseException as error:
            self.stop(error)
            raise
        self.begin()

    def succeed(self) -> None:
        """Count a success."""
        if self.ended:
            return
        self.ended = True
        self.policy.count_success(self.retries)
        if self.retries and self.policy._listening:
            self.policy._recovered(self.retries + 1)

    def refuse(self, error: BaseException) -> None:
        """Count a failure that is not one to try again for."""
        if self.ended:
            return
        if isinstance(error, Rejected):
            self._end("rejected")
        elif not isinstance(error, Exception):
            self._end("cancelled")
        else:
            self._end("not_retryable")
            if self.policy._listening:
                self.policy._not_retried(self.retries + 1, error)

    def give_up(self, why: str = "exhausted") -> None:
        """Count a failure that would be tried again, but for ``why``: one of ``VERDICTS``."""
        if self.ended:
            return
        self._end(why)
        self.policy._emit("gave_up", old=self.retries + 1, reason=why)

    def stop(self, error: BaseException) -> None:
        """Count a retry that was granted and is not made, since a hook or the pause raised."""
        if not self.ended:
            self._end("not_retryable" if isinstance(error, Exception) else "cancelled")

    def __del__(self) -> None:
        if not getattr(self, "ended", True):
            self._end("cancelled")

    def _end(self, why: str) -> None:
        self.ended = True
        self.policy._kernel.count_end(why)


def nap(policy: FaceRetry, seconds: float, sleep: Callable[[Any], object] = time.sleep) -> None:
    """Wait in this thread by ``sleep``; on a manual clock, let the time pass there.

    Raises:
        Cancelled: The operation that this code belongs to was cancelled.
    """
    clock = policy._clock
    if isinstance(clock, ManualClock) or current.get() is not None:
        sleep_ns(clock, to_ns(seconds))
    else:
        sleep(seconds)


async def aio_sleep(policy: FaceRetry, seconds: float) -> None:
    """Wait in this task of asyncio or trio; with a manual clock, in asyncio, until it is moved."""
    if is_in_trio():
        import trio

        await trio.sleep(seconds)
    elif isinstance(policy._clock, ManualClock):
        from holdfast.waiting.aio import asleep_ns

        await asleep_ns(policy._clock, to_ns(seconds))
    else:
        import asyncio

        await asyncio.sleep(seconds)
