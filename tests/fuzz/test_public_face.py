"""Random input to every public constructor and operation: a clear error or a defined result.

Two seconds here; `make fuzz` goes on for ten minutes, from a seed it prints. A crash of the
process ends the run with the stack of every thread (faulthandler).
"""

import asyncio
import math
import pickle
import random
import time
import warnings
from datetime import timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction

import pytest

import holdfast as hf

pytestmark = pytest.mark.fuzz

# What bad input may raise. Anything else is a finding: SystemError, MemoryError, AttributeError …
REFUSALS = (hf.ConfigError, TypeError, ValueError, OverflowError, hf.Rejected)


class Odd(Exception):  # noqa: N818 - it is no error, it is what was asked for
    """Raised by the functions under guard."""


async def coroutine_function() -> int:
    return 1


def generator_function():
    yield 1


def plain(*args: object, **kwargs: object) -> tuple[object, ...]:
    return args


def raising(*args: object) -> None:
    raise Odd


class Word(str, Enum):  # noqa: UP042 - unlike a StrEnum it shows as Word.RED
    RED = "red"


class Number(IntEnum):
    THREE = 3


class Hostile:
    """An object that fails at whatever is asked of it."""

    def __repr__(self) -> str:
        raise Odd

    __index__ = __float__ = __bool__ = __len__ = __repr__  # type: ignore[assignment]


SCALARS = [
    None, True, False, 0, 1, -1, 2, 3, 7, 10, 100, 2**31, 2**32, 2**63 - 1, 2**63, 2**64,
    -(2**63), 10**400, 0.0, -0.0, 0.1, 0.5, 1.0, 1.5, 1e-9, 1e-300, 1e9, 1e18, 1e300, -1.0,
    math.inf, -math.inf, math.nan, "", "a", "x" * 300, "\x00", "\n", "10/second", "1/s;2/m",
    "0/s", "1/0s", "9" * 600, "\ud800", "enforce", "observe", "off", "sliding", b"bytes", (),
    (1,), (2.0, 10.0, 0.1), (0.5, -1, math.nan), [], {}, object(), timedelta(seconds=1),
    timedelta(-1), timedelta.max, hf.CountWindow(3), hf.TimeWindow(1.0), Odd, (Odd, OSError),
    BaseException, KeyboardInterrupt, int, plain, raising, coroutine_function,
    generator_function, lambda: 1, len, 1j, range(3), hf.State.OPEN, hf.Mode.OBSERVE,
    10**30, -(10**30), -1e-12, Decimal("1.5"), Fraction(1, 2), Word.RED, Number.THREE, Hostile(),
]  # fmt: skip

ARGUMENTS = {
    hf.CircuitBreaker: [*hf.CircuitBreaker._setting_names, "shared", "unknown"],
    hf.RateLimiter: [*hf.RateLimiter._setting_names, "shared", "unknown"],
    hf.Bulkhead: [*hf.Bulkhead._setting_names, "shared", "unknown"],
    hf.PoolBulkhead: [*hf.PoolBulkhead._setting_names, "shared", "unknown"],
}
# What else an argument that cannot be may be refused by: the one it does not go together with.
PARTNERS = {"slow_call_rate": "slow_call_duration", "limits": "rate", "per": "rate"}
OPERATIONS = [
    "call", "acall", "try_call", "try_acall", "call_with_stats", "acall_with_stats",
    "acquire", "try_acquire", "aacquire", "reserve",
    "test", "stats", "clear", "reset", "resize", "trip", "half_open", "force_open", "disable",
    "metrics_only", "peek", "snapshot", "describe", "on_event", "try_enter", "enter", "aenter",
    "leave", "submit", "stop", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__",
    "_permit", "_try_take", "_try_enter", "_wait_ns", "_weight", "__repr__",
]  # fmt: skip


def check_refusal(error: Exception) -> None:
    """A refusal says something, has a code, and travels to other processes."""
    assert str(error)
    if isinstance(error, hf.HoldfastError):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.code, str(copy)) == (type(error), error.code, str(error))


class Fuzzer:
    """One random walk over policies; replayed by its seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = hf.ManualClock()
        self.policies: list[hf.Policy] = []

    def value(self) -> object:
        return self.random.choice(SCALARS)

    def attempt(self, fn: object, *args: object, **kwargs: object) -> object:
        """Call; settle what comes back; tolerate refusals only."""
        try:
            answer = fn(*args, **kwargs)  # type: ignore[operator]
            if hasattr(answer, "__await__"):
                answer = self.drive(answer)
            return answer
        except REFUSALS as error:
            check_refusal(error)
        except (Odd, RuntimeError, StopIteration, asyncio.CancelledError, GeneratorExit) as other:
            return other  # the guarded function's own, or thrown in; an exit without an entry
        return None

    def drive(self, awaitable: object) -> object:
        """A few steps by hand, then the end: by itself, by throw or by close."""
        if not hasattr(awaitable, "send"):
            awaitable = awaitable.__await__()  # type: ignore[attr-defined]
        for _ in range(self.random.randrange(4)):
            try:
                next(awaitable) if not hasattr(awaitable, "send") else awaitable.send(None)
            except StopIteration as stop:
                return stop.value
        if hasattr(awaitable, "throw") and self.random.random() < 0.5:
            thrown = self.random.choice([Odd, asyncio.CancelledError, GeneratorExit])
            return awaitable.throw(thrown())
        if hasattr(awaitable, "close"):
            awaitable.close()
        return None

    def make(self) -> None:
        cls = self.random.choice(list(ARGUMENTS))
        names = self.random.sample(ARGUMENTS[cls], self.random.randrange(4))
        settings = {name: self.value() for name in names}
        settings["clock"] = self.clock  # on the system's, waits would be real
        if settings.get("max_wait", 1) is None:
            settings["max_wait"] = 1.0  # or a thread would wait for ever
        name = self.value() if self.random.random() < 0.2 else "fuzz"
        if cls is hf.RateLimiter and self.random.random() < 0.7:
            settings.setdefault("rate", 10)
        self.keep(self.attempt(cls, name, **settings))

    def compose(self) -> None:
        parts = self.random.sample(self.policies, min(len(self.policies), self.random.randrange(5)))
        if self.random.random() < 0.2:
            parts.append(self.value())  # type: ignore[arg-type]
        self.keep(self.attempt(hf.Pipeline, "fuzz", *parts))

    def keep(self, made: object) -> None:
        if isinstance(made, hf.Policy):
            self.policies.append(made)
            del self.policies[:-12]

    def operate(self) -> None:
        policy = self.random.choice(self.policies)
        operation = getattr(policy, self.random.choice(OPERATIONS), None)
        if operation is None:
            return
        args = [self.value() for _ in range(self.random.choice([0, 0, 1, 1, 2, 3, 4]))]
        if self.random.random() < 0.5 and args:
            args[0] = self.random.choice([plain, raising, coroutine_function, generator_function])
        answer = self.attempt(operation, *args)
        if isinstance(answer, hf.Permit):
            self.settle(answer)
        elif callable(answer) and self.random.random() < 0.5:
            self.attempt(answer)

    def settle(self, permit: hf.Permit) -> None:
        for _ in range(self.random.randrange(3)):
            how = self.random.choice([permit.success, permit.ignore, permit.failure])
            self.attempt(how, *([self.value()] if self.random.random() < 0.3 else []))

    def step(self) -> None:
        dice = self.random.random()
        if dice < 0.1 or not self.policies:
            self.make()
        elif dice < 0.15:
            self.compose()
        elif dice < 0.2:
            self.attempt(self.random.choice([self.clock.advance, self.clock.set]), self.value())
        else:
            self.operate()


def test_random_use_of_the_public_face_finds_no_crash(fuzz_seconds):  # D-CB-6
    end = time.monotonic() + fuzz_seconds
    seed = random.SystemRandom().randrange(2**32)
    walks = 0
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # left unawaited, left without a place: on purpose
        while walks < 20 or time.monotonic() < end:
            print(f"seed {seed + walks}")  # shown when it fails
            fuzzer = Fuzzer(seed + walks)
            for _ in range(150):
                fuzzer.step()
            walks += 1
    assert walks >= 20


def named(error: Exception, argument: str) -> None:
    """The message names the argument, or one that it does not go together with."""
    if isinstance(error, hf.ConfigError) and isinstance(error, TypeError):  # of the names
        assert error.problems[0].startswith(f"{argument}: got ")
    elif isinstance(error, hf.ConfigError):
        for problem in error.problems:
            assert problem.startswith((argument, PARTNERS.get(argument, argument)))
            assert ": got " in problem
            assert ", allowed " in problem
    else:
        assert argument in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize("value", SCALARS, ids=[f"value{i}" for i in range(len(SCALARS))])
def test_windows_clocks_budgets_and_names_take_each_value_or_name_it(value):
    for argument, make in {
        "n": hf.CountWindow,
        "seconds": hf.TimeWindow,
        "ratio": lambda ratio: hf.RetryBudget(ratio=ratio),
        "min_per_second": lambda rate: hf.RetryBudget(min_per_second=rate),
        "burst": lambda burst: hf.RetryBudget(burst=burst),
        "clock": lambda clock: hf.RetryBudget(clock=clock),
        "start": hf.ManualClock,
        "auto": lambda auto: hf.ManualClock(auto=auto),
        "name": hf.Bulkhead,
        "policies": lambda policy: hf.Pipeline("fuzz", policy),
    }.items():
        try:
            repr(make(value))
        except hf.ConfigError as error:
            named(error, argument)


@pytest.mark.parametrize("cls", ARGUMENTS)
@pytest.mark.parametrize("value", SCALARS, ids=[f"value{i}" for i in range(len(SCALARS))])
def test_each_argument_takes_each_value_or_names_it(cls, value, clock):
    for name in ARGUMENTS[cls]:
        settings = {"clock": clock, name: value}
        if cls is hf.RateLimiter and name not in ("rate", "limits"):
            settings.setdefault("rate", 10)
        try:
            made = cls("fuzz", **settings)
            assert name != "unknown"
            made.describe()
            made.snapshot()
        except (hf.ConfigError, TypeError) as error:
            named(error, name)
