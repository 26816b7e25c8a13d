"""Preset: what a manager registers, as data that can be read, copied and changed.

Elsewhere: what the ready ones hold (``dwcp``, ``collector``, ``standard``), what the words of the
settings mean (``spellings``), and what a check or a fault in words becomes (``parts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType

from holdfast.errors import ConfigError
from holdfast.manager import spellings
from holdfast.validation import Problems, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    # A ResilienceManager, whose module imports this one.
    Manager = Any


__all__ = ["ANY", "Preset"]

# Stands for the name of an operation that is not known yet.
ANY = "*"

# What is registered under names, how its settings are read, and the method that registers it.
_POLICIES: dict[str, tuple[Callable[..., Any], str]] = {
    "circuit_breakers": (spellings.breaker, "register_circuit_breaker"),
    "retry_policies": (spellings.retry, "register_retry_policy"),
    "rate_limiters": (spellings.limiter, "register_rate_limiter"),
    "adaptive_rate_limiters": (spellings.adaptive_limiter, "register_adaptive_rate_limiter"),
    "bulkheads": (spellings.bulkhead, "register_bulkhead"),
    "timeouts": (spellings.timeout, "register_timeout"),
    "error_budgets": (spellings.error_budget, "register_error_budget"),
    "latency_budgets": (spellings.latency_budget, "register_latency_budget"),
}
# Kinds whose entries may be objects, and the word that says which one is meant.
_PARTS = {"checks": "check", "faults": "fault"}
_KINDS = (*_POLICIES, "operations", "checks", "faults", "callbacks")


def _no_entries() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Preset:
    """What a manager registers: settings by kind and name, as its ``register_*`` methods take them.

    Attributes:
        name: The name of the preset.
        summary: What it is for, in a sentence.
        circuit_breakers: Settings of breakers, by name.
        retry_policies: Settings of retries, by name.
        rate_limiters: Settings of rate limiters, by name.
        adaptive_rate_limiters: Settings of adaptive rate limiters, by name.
        bulkheads: Settings of bulkheads, by name.
        timeouts: Settings of timeouts, by name; or seconds.
        error_budgets: Settings of error budgets, by name.
        latency_budgets: Settings of latency budgets, by name.
        operations: The policies of operations that have policies of other names.
        checks: Health checks, or what they look at: ``{"check": "error_rate", "of": "send", …}``.
        faults: Faults, or their kinds and settings: ``{"fault": "latency", "min": 0.05, …}``.
        callbacks: By error budget, the component that is degraded while it is exhausted.
        monitoring: Whether the health checks run as soon as the preset is registered.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other; the message has all.

    Immutable, so safe to share.

    >>> mine = Preset("mine", circuit_breakers={"network": {"max_failures": 5, "timeout": 30}})
    >>> mine.but(circuit_breakers={"network": {"max_failures": 3}}).circuit_breakers["network"]
    mappingproxy({'timeout': 30, 'max_failures': 3})
    """

    name: str
    summary: str = ""
    circuit_breakers: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_entries)
    retry_policies: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_entries)
    rate_limiters: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_entries)
    adaptive_rate_limiters: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_entries)
    bulkheads: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_entries)
    timeouts: Mapping[str, Mapping[str, Any] | float] = field(default_factory=_no_entries)
    error_budgets: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_entries)
    latency_budgets: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_entries)
    operations: Mapping[str, Mapping[str, Any]] = field(default_factory=_no_entries)
    checks: Mapping[str, Any] = field(default_factory=_no_entries)
    faults: Mapping[str, Any] = field(default_factory=_no_entries)
    callbacks: Mapping[str, str] = field(default_factory=_no_entries)
    monitoring: bool = False

    def __post_init__(self) -> None:
        problems = Problems("Preset", self.name)
        problems.name(self.name)
        problems.flag("monitoring", self.monitoring)
        for kind in _KINDS:
            object.__setattr__(self, kind, _read_kind(problems, kind, getattr(self, kind)))
        problems.done()

    # ---- reading ----

    def as_dict(self) -> dict[str, Any]:
        """Return everything as ordinary dictionaries; ``Preset(**…)`` makes an equal preset."""
        return {one.name: _thawed(getattr(self, one.name)) for one in fields(self)}

    def describe(self) -> str:
        """Return all that the preset registers, a line for each name."""
        lines = [
            f"Preset {self.name!r}: {self.summary}" if self.summary else f"Preset {self.name!r}"
        ]
        for kind in _KINDS:
            entries = getattr(self, kind)
            if not entries:
                continue
            lines.append(f"  {kind.replace('_', ' ')}:")
            width = max(map(len, entries))
            lines += [f"    {name:{width}}  {_said(entry)}" for name, entry in entries.items()]
        lines.append(f"  monitoring: {'on' if self.monitoring else 'off'}")
        return "\n".join(lines)

    # ---- copies ----

    def but(self, **changes: Any) -> Self:
        """Return a copy in which some settings are others.

        Args:
            changes: Attributes. Those by name are merged: settings of a name replace settings of
                that name, under whichever word, and a name that is None is left out.

        Raises:
            ConfigError: An attribute does not exist, or the result contradicts itself.
        """
        problems = Problems("Preset", self.name)
        known = tuple(one.name for one in fields(self))
        for attribute, value in changes.items():
            if attribute not in known:
                allowed = f"an attribute{nearest(attribute, known)}; there are {', '.join(known)}"
                problems.refuse(attribute, value, allowed)
        problems.done()
        merged = {
            kind: _merged(problems, kind, getattr(self, kind), value) if kind in _KINDS else value
            for kind, value in changes.items()
        }
        problems.done()
        return type(self)(**{**self._values(), **merged})

    def named(self, name: str) -> Self:
        """Return a copy in which what is for any operation is for one of this name.

        Raises:
            ConfigError: The name is not one.
        """
        problems = Problems("Preset", self.name)
        problems.name(name)
        problems.done()
        values = self._values()
        for kind in _KINDS:
            entries = values[kind].items()
            values[kind] = {name if key == ANY else key: entry for key, entry in entries}
        return type(self)(**values)

    def _values(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __reduce__(self) -> tuple[Any, ...]:  # a mappingproxy cannot be pickled
        return partial(type(self), **self.as_dict()), ()

    # ---- registering ----

    def apply(self, manager: Manager) -> None:
        """Register everything with a manager, through its public ``register_*`` methods.

        Raises:
            ConfigError: The preset is for one operation (see ``named``), or the manager refuses
                something; what stands before it is registered then.
        """
        from holdfast.manager.presets.parts import made_check, made_fault

        if any(ANY in getattr(self, kind) for kind in _KINDS):
            problems = Problems("Preset", self.name)
            problems.refuse(
                "preset",
                self.name,
                "one that has names: this one is for any operation; give the "
                "operation's name with named(…)",
            )
            problems.done()
        for kind, (_, method) in _POLICIES.items():
            for name, settings in getattr(self, kind).items():
                getattr(manager, method)(name, **settings)
        for name, settings in self.operations.items():
            manager.register_operation(name, **settings)
        for name, check in self.checks.items():
            manager.register_health_check(made_check(manager, name, check))
        for name, fault in self.faults.items():
            manager.register_fault(made_fault(manager, name, fault))
        for budget, component in self.callbacks.items():
            manager.degrade_while_exhausted(budget, component)
        if self.monitoring:
            manager.start()


# ---- entries ----


def _read_kind(problems: Problems, kind: str, entries: Any) -> Mapping[str, Any]:
    """Return the entries of a kind, which cannot be changed any more; note what is wrong."""
    if not isinstance(entries, Mapping):
        problems.refuse(kind, entries, "a dict of names and settings")
        return _no_entries()
    return MappingProxyType(
        {name: _read_entry(problems, kind, name, entry) for name, entry in entries.items()}
    )


def _read_entry(problems: Problems, kind: str, name: Any, entry: Any) -> Any:
    problems.name(name, f"{kind}: name")
    if kind == "timeouts" and not isinstance(entry, Mapping):
        entry = {"duration": entry}
    if kind == "callbacks":
        return entry
    if not isinstance(entry, Mapping):
        if kind not in _PARTS:
            problems.refuse(f"{kind}[{name!r}]", entry, "a dict of settings")
        return entry
    if kind in _POLICIES:
        read, _ = _POLICIES[kind]
        try:
            read(entry)
        except ConfigError as error:
            inside = [f"{kind}[{name!r}] {problem}" for problem in error.problems]
            problems.adopt(ConfigError("", inside))
    return MappingProxyType({word: _frozen(value) for word, value in entry.items()})


def _merged(problems: Problems, kind: str, entries: Mapping[str, Any], changes: Any) -> Any:
    """Return entries of which some are changed, added, or left out (None)."""
    if changes is None:
        return {}
    if not isinstance(changes, Mapping):
        return changes  # refused by the copy
    result = dict(entries)
    for name, change in changes.items():
        if change is None:
            if name not in result:
                there = tuple(result)
                allowed = (
                    f"a name that is there{nearest(name, there)}: {', '.join(there) or 'none'}"
                )
                problems.refuse(f"{kind}[{name!r}]", None, allowed)
            result.pop(name, None)
        elif kind in _PARTS and isinstance(change, Mapping) and _PARTS[kind] in change:
            result[name] = change  # another check or fault
        elif isinstance(change, Mapping) and isinstance(result.get(name), Mapping):
            try:
                result[name] = spellings.merged(kind, result[name], change)
            except ConfigError as error:
                inside = [f"{kind}[{name!r}] {problem}" for problem in error.problems]
                problems.adopt(ConfigError("", inside))
        elif kind == "timeouts" and isinstance(result.get(name), Mapping):
            result[name] = {**result[name], "duration": change}
        else:
            result[name] = change
    return result


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _thawed(entry) for name, entry in value.items()}
    return value


def _said(entry: Any) -> str:
    """Return an entry as ``describe`` shows it."""
    if isinstance(entry, Mapping):
        return ", ".join(f"{word}={value!r}" for word, value in entry.items())
    return entry if isinstance(entry, str) else repr(entry)
