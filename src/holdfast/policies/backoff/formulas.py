"""How long to wait before a retry: the back-offs that are one formula, and their settings.

Elsewhere: what the formulas give (``hf_backoff.h``), back-offs made of others
(``backoff_parts.py``, ``adaptive_backoff.py``).
"""

from __future__ import annotations

from functools import partial

from holdfast._native import backoff as _native
from holdfast.errors import ConfigError
from holdfast.policies.backoff.base import Backoff, Chain
from holdfast.seeds import fresh_seed
from holdfast.validation import MAX_NS, Problems, duration_to_ns, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

__all__ = [
    "Backoff",
    "Constant",
    "Decorrelated",
    "Exponential",
    "Fibonacci",
    "Linear",
    "chain",
    "kernel_of",
    "read_backoff",
]

MAX_FACTOR = 1000.0
SPREAD = 0.1  # what jitter=True means
LONGEST = 60.0
_MODES = ("add", "around", "full", "equal")  # enum hf_jitter_mode
_DURATIONS = ("base", "delay", "increment", "max")  # settings that are kept in ns
_WHOLE_MODES = ("full", "equal")  # spread the whole delay or half of it, whatever the jitter


class _Formula(_native.Backoff, Backoff):
    """A native back-off: a frozen value, equal to another of the same class and settings."""

    __slots__ = ("_settings",)

    _settings: dict[str, Any]

    def _make(
        self,
        kind: int,
        problems: Problems,
        settings: dict[str, Any],
        *,
        seed: int | None,
        jitter: bool | float = 0.0,
        jitter_mode: str = "add",
    ) -> None:
        """Check what all have in common; make it of these settings, of which the base is first."""
        mode = problems.choice("jitter_mode", jitter_mode, _MODES)
        spread = _read_jitter(problems, jitter, mode)
        if seed is not None:
            seed = problems.integer("seed", seed, least=0, most=2**64 - 1)
        problems.done()
        _native.Backoff.__init__(
            self,
            kind,
            next(iter(settings.values())),
            settings.get("max", MAX_NS),
            increment_ns=settings.get("increment", 0),
            factor=settings.get("factor", 1.0),
            mode=_MODES.index(mode),
            jitter=spread,
            seed=fresh_seed() if seed is None else seed,
        )
        if seed is None:
            self._reseed_in_children()
        self._settings = {**settings, "jitter": spread, "jitter_mode": mode, "seed": seed}

    def _least_ns(self, attempt: int) -> int:
        if kernel_of(self) is None or type(self).__module__ != __name__:
            return 0  # a subclass of the user's
        arguments = {**self._arguments(), "jitter": 0.0, "jitter_mode": "add"}
        jitter, mode = self._settings["jitter"], self._settings["jitter_mode"]
        shares = {"add": 1.0, "around": 1.0 - jitter, "equal": 0.5, "full": 0.0}
        return int(type(self)(**arguments)._delay_ns(attempt, -1) * shares[mode])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Formula) or type(self) is not type(other):
            return NotImplemented
        return self._settings == other._settings

    def __hash__(self) -> int:
        return hash((type(self), *self._settings.items()))

    def __repr__(self) -> str:
        (_, first), *others = self._arguments().items()
        given = [_plain(first), *(f"{field}={_plain(value)}" for field, value in others)]
        return f"{type(self).__name__}({', '.join(given)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self._arguments()), ()

    def _arguments(self) -> dict[str, Any]:
        """Return what makes one like it, without what goes without saying."""
        return {
            field: value / 1e9 if field in _DURATIONS else value
            for field, value in self._settings.items()
            if (field, value) not in self._unsaid
        }

    _unsaid: tuple[tuple[str, Any], ...] = (("jitter_mode", "add"), ("seed", None))


class Exponential(_Formula):
    """``base × factor^attempt``: 0.1, 0.2, 0.4 … seconds.

    Args:
        base: The delay before the first retry, in seconds or as a timedelta, 0 to a hundred
            years.
        factor: The ratio of a delay to the previous delay, 1 to 1000.
        max: The longest delay, ``base`` to a hundred years; jitter does not exceed it.
        jitter: The random share of a delay, 0 to 1, which prevents clients from retrying at the
            same time. True is 0.1, False is 0.
        jitter_mode: ``"add"`` adds up to that share; ``"around"`` adds or subtracts up to that
            share; ``"full"`` draws from 0 to the delay; ``"equal"`` draws from half of the delay
            to the delay. "full" and "equal" ignore the share and also spread the longest delays
            ("Exponential Backoff And Jitter", AWS Architecture Blog 2015).
        seed: Makes the jitter reproducible, 0 to 2**64 - 1; None uses a seed from the system.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads, event loops and policies.

    >>> [Exponential(0.1, max=10, jitter=False).delay(n) for n in (0, 1, 2, 100)]
    [0.1, 0.2, 0.4, 10.0]
    """

    __slots__ = ()

    @explains_names
    def __init__(
        self,
        base: float | timedelta,
        factor: float = 2.0,
        max: float | timedelta = LONGEST,  # noqa: A002 - what everybody calls it
        *,
        jitter: bool | float = SPREAD,
        jitter_mode: str = "add",
        seed: int | None = None,
    ) -> None:
        problems = Problems(type(self).__name__)
        settings: dict[str, Any] = {
            "base": (base_ns := problems.duration("base", base)),
            "factor": problems.number("factor", factor, least=1.0, most=MAX_FACTOR),
            "max": problems.duration("max", max, least_ns=base_ns),
        }
        self._make(
            _native.EXPONENTIAL,
            problems,
            settings,
            jitter=jitter,
            jitter_mode=jitter_mode,
            seed=seed,
        )


class Linear(_Formula):
    """``base + n × increment``: 1, 1.5, 2 … seconds.

    Args:
        base: The delay before the first retry, in seconds or as a timedelta, 0 to a hundred
            years.
        increment: The difference between a delay and the previous delay, 0 to a hundred years.
        max: The longest delay, ``base`` to a hundred years; jitter does not exceed it.
        jitter: See ``Exponential``.
        jitter_mode: See ``Exponential``.
        seed: See ``Exponential``.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads, event loops and policies.

    >>> [Linear(1, 0.5, jitter=False).delay(n) for n in (0, 1, 2, 1000)]
    [1.0, 1.5, 2.0, 60.0]
    """

    __slots__ = ()

    @explains_names
    def __init__(
        self,
        base: float | timedelta,
        increment: float | timedelta,
        max: float | timedelta = LONGEST,  # noqa: A002 - what everybody calls it
        *,
        jitter: bool | float = SPREAD,
        jitter_mode: str = "add",
        seed: int | None = None,
    ) -> None:
        problems = Problems(type(self).__name__)
        settings: dict[str, Any] = {
            "base": (base_ns := problems.duration("base", base)),
            "increment": problems.duration("increment", increment),
            "max": problems.duration("max", max, least_ns=base_ns),
        }
        self._make(
            _native.LINEAR, problems, settings, jitter=jitter, jitter_mode=jitter_mode, seed=seed
        )


class Fibonacci(_Formula):
    """``base`` times 1, 1, 2, 3, 5, 8 …: each delay is about 1.6 times the previous delay.

    Args:
        base: The delay before the first retry, in seconds or as a timedelta, 0 to a hundred
            years.
        max: The longest delay, ``base`` to a hundred years; jitter does not exceed it.
        jitter: See ``Exponential``.
        jitter_mode: See ``Exponential``.
        seed: See ``Exponential``.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads, event loops and policies.

    >>> [Fibonacci(1, jitter=False).delay(n) for n in range(6)]
    [1.0, 1.0, 2.0, 3.0, 5.0, 8.0]
    """

    __slots__ = ()

    @explains_names
    def __init__(
        self,
        base: float | timedelta,
        max: float | timedelta = LONGEST,  # noqa: A002 - what everybody calls it
        *,
        jitter: bool | float = SPREAD,
        jitter_mode: str = "add",
        seed: int | None = None,
    ) -> None:
        problems = Problems(type(self).__name__)
        settings: dict[str, Any] = {
            "base": (base_ns := problems.duration("base", base)),
            "max": problems.duration("max", max, least_ns=base_ns),
        }
        self._make(
            _native.FIBONACCI, problems, settings, jitter=jitter, jitter_mode=jitter_mode, seed=seed
        )


class Constant(_Formula):
    """The same delay before each retry, by default without jitter.

    Args:
        delay: The delay, in seconds or as a timedelta, 0 to a hundred years.
        jitter: See ``Exponential``.
        jitter_mode: See ``Exponential``.
        seed: See ``Exponential``.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads, event loops and policies.

    >>> Constant(0.5).delay(7)
    0.5
    """

    __slots__ = ()

    _unsaid = (*_Formula._unsaid, ("jitter", 0.0))

    @explains_names
    def __init__(
        self,
        delay: float | timedelta,
        *,
        jitter: bool | float = 0.0,
        jitter_mode: str = "add",
        seed: int | None = None,
    ) -> None:
        problems = Problems(type(self).__name__)
        settings = {"delay": problems.duration("delay", delay)}
        self._make(
            _native.CONSTANT, problems, settings, jitter=jitter, jitter_mode=jitter_mode, seed=seed
        )


class Decorrelated(_Formula):
    """A random delay from ``base`` to three times the previous delay.

    This is "decorrelated jitter" from "Exponential Backoff And Jitter", AWS Architecture Blog
    2015. Before the first retry, ``base`` replaces the previous delay. The number of the attempt
    has no effect.

    Args:
        base: The shortest delay, in seconds or as a timedelta, 0 to a hundred years.
        max: The longest delay, ``base`` to a hundred years.
        seed: See ``Exponential``.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads, event loops and policies, because the caller stores the
    previous delay.

    >>> 0.1 <= Decorrelated(0.1, max=10).delay(4, previous=1.0) <= 3.0
    True
    """

    __slots__ = ()

    _unsaid = (*_Formula._unsaid, ("jitter", 0.0))

    @explains_names
    def __init__(
        self,
        base: float | timedelta,
        max: float | timedelta = LONGEST,  # noqa: A002 - what everybody calls it
        *,
        seed: int | None = None,
    ) -> None:
        problems = Problems(type(self).__name__)
        settings = {
            "base": (base_ns := problems.duration("base", base)),
            "max": problems.duration("max", max, least_ns=base_ns),
        }
        self._make(_native.DECORRELATED, problems, settings, seed=seed)

    def _least_ns(self, attempt: int) -> int:  # noqa: ARG002 - plays no part
        return int(self._settings["base"]) if type(self) is Decorrelated else 0


def chain(*backoffs: Backoff | float | timedelta) -> Backoff:
    """Return a back-off that uses the given back-offs one after another.

    Each back-off except the last gives its first delay once. The last one gives all further
    delays. A back-off that uses the previous delay gets none at its first delay.

    Args:
        *backoffs: One or more back-offs. Seconds or a timedelta are a constant delay.

    Raises:
        ConfigError: No back-off is given, or an argument is not a back-off.

    >>> from holdfast import Linear
    >>> [chain(0, Linear(1, 1, jitter=False)).delay(n) for n in range(4)]
    [0.0, 1.0, 2.0, 3.0]
    """
    problems = Problems("chain")
    if not backoffs:
        problems.refuse("backoffs", backoffs, "one Backoff or more")
    parts = [read_backoff(problems, f"backoffs[{n}]", one) for n, one in enumerate(backoffs)]
    problems.done()
    return Chain(tuple(part for part in parts if part is not None))


def read_backoff(problems: Problems, field: str, value: Any) -> Backoff | None:
    """Check a back-off, which may be one of the user's own; a duration is a constant delay."""
    if isinstance(value, Backoff):
        return value
    allowed = "a Backoff, as Exponential(0.1), or the seconds of a constant delay"
    if duration_to_ns(value) is not None:
        try:
            return Constant(value)
        except ConfigError:
            pass
    problems.refuse(field, value, allowed)
    return None


def kernel_of(backoff: Backoff) -> object | None:
    """Return the capsule of a back-off that is a native formula; of all others, None.

    What a subclass overrides is no part of the kernel, so one that does has none either.
    """
    if isinstance(backoff, _Formula) and type(backoff)._delay_ns is _native.Backoff._delay_ns:
        return backoff._capsule()
    return None


def _read_jitter(problems: Problems, jitter: bool | float, mode: str) -> float:
    if jitter is True:
        return SPREAD
    if jitter is False:
        if mode in _WHOLE_MODES:
            problems.refuse("jitter", jitter, f"True or a number with jitter_mode {mode!r}")
        return 0.0
    return problems.fraction("jitter", jitter)


def _plain(value: object) -> str:
    return repr(value).removesuffix(".0")
