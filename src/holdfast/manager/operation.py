"""An operation: which policies its calls pass, in which order, and the handle that they use.

Elsewhere: what is registered (``registered``), the order (``order``), when an operation is compiled
anew (``manager``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from holdfast._native import gate
from holdfast.errors import ConfigError
from holdfast.manager.errors import UnprotectedError
from holdfast.manager.order import ATTEMPT, ORDERS, TOTAL
from holdfast.manager.registered import ADAPTIVE, KINDS, kind_in
from holdfast.pipeline.counted import counters_of, pipeline_of
from holdfast.policies.base import Policy, unentered
from holdfast.policies.timeout import Timeout
from holdfast.validation import Problems, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from holdfast.manager.registered import Entry, Registered
    from holdfast.manager.snapshot import OperationSnapshot
    from holdfast.pipeline.lint import Finding

    Manager = Any  # ResilienceManager, which stands above

__all__ = [
    "FIELDS",
    "KEYS",
    "Definition",
    "Operation",
    "Unresolved",
    "arranged",
    "definition",
    "resolve",
]

#: The arguments of ``register_operation`` that name policies, and the place of each.
FIELDS = {
    "error_budget": "error_budget",
    "latency_budget": "latency_budget",
    "fallback": "fallback",
    "timeout": TOTAL,
    "retry": "retry",
    "hedge": "hedge",
    "circuit_breaker": "circuit_breaker",
    "rate_limiter": "rate_limiter",
    "bulkhead": "bulkhead",
}
#: How many keys of an operation are kept apart, if nothing else is said, and at most.
KEYS, KEYS_MOST = 10_000, 10_000_000
# Of these an operation may have several.
SEVERAL = frozenset({"error_budget", "latency_budget"})
# Where each is looked up; the first wins.
LOOKED_UP = {field: (field,) for field in FIELDS} | {"rate_limiter": ("rate_limiter", ADAPTIVE)}


class Definition:
    """What ``register_operation`` was given; an operation without it has what bears its name.

    Attributes:
        joined: By field: names of policies and policies, mostly one; nothing for none. A field that
            is not there means the policy of the operation's own name, if there is one.
        degradation: The component that follows the operation's breaker and error budget.
        critical: Whether metrics and alerts mark it as critical.
        order: A key of ``ORDERS``; None for the manager's.
        keys: How many keys are kept apart at most.
    """

    __slots__ = ("_seconds", "critical", "degradation", "joined", "keys", "order")

    def __init__(
        self,
        joined: Mapping[str, Any] | None = None,
        *,
        seconds: Any = None,
        degradation: str | None = None,
        critical: bool = False,
        order: str | None = None,
        keys: int = KEYS,
    ) -> None:
        self.joined: dict[str, tuple[Any, ...]] = dict(joined or {})
        self._seconds = seconds  # what a timeout was made of
        self.degradation = degradation
        self.critical = critical
        self.order = order
        self.keys = keys

    def equals(self, other: Definition) -> bool:
        """Return whether both say the same."""
        return (
            self.degradation == other.degradation
            and self.critical is other.critical
            and self.order == other.order
            and self.keys == other.keys
            and self.joined.keys() == other.joined.keys()
            and self._seconds == other._seconds
            and all(
                (field == "timeout" and self._seconds is not None)
                or _are_same(ours, other.joined[field])
                for field, ours in self.joined.items()
            )
        )

    def made(self) -> list[Policy]:
        """Return the policies that were made for it alone."""
        return [] if self._seconds is None else [*self.joined["timeout"]]

    def names(self) -> set[str]:
        """Return the names of policies that it needs."""
        return {one for given in self.joined.values() for one in given if isinstance(one, str)}


def _are_same(ours: tuple[Any, ...], its: tuple[Any, ...]) -> bool:
    """Return whether both are the same policies, and the same names."""
    return len(ours) == len(its) and all(
        one is other or (isinstance(one, str) and one == other)
        for one, other in zip(ours, its, strict=True)
    )


def definition(
    scope: str, name: str, joined: dict[str, Any], common: dict[str, Any], **more: Any
) -> Definition:
    """Check what ``register_operation`` was given.

    Raises:
        ConfigError: An argument is invalid; the message lists all that are.
    """
    problems = Problems(f"operation {shown(name)} of manager", scope)
    problems.name(name)
    seconds = None
    read: dict[str, tuple[Any, ...]] = {}
    for field, given in joined.items():
        if given is None:
            read[field] = ()
        elif field == "timeout" and not isinstance(given, (Policy, str)):
            seconds = given
            try:
                read[field] = (unentered(scope, Timeout, given, name=name, **common),)
            except ConfigError as error:
                problems.adopt(ConfigError("", [_as_field(one) for one in error.problems]))
        else:
            several = field in SEVERAL and isinstance(given, (tuple, list))
            read[field] = tuple(given) if several else (given,)
            for one in read[field]:
                _check(problems, field, one)
    if more["degradation"] is not None:
        problems.name(more["degradation"], "degradation")
    problems.flag("critical", more["critical"])
    more["keys"] = problems.integer("keys", more["keys"], least=1, most=KEYS_MOST)
    if more["order"] is not None:
        problems.choice("order", more["order"], tuple(ORDERS))
    problems.done()
    return Definition(read, seconds=seconds, **more)


def _check(problems: Problems, field: str, given: object) -> None:
    if isinstance(given, str):
        problems.name(given, field)
    elif not isinstance(given, Policy) or kind_in(given) not in LOOKED_UP[field]:
        words = " or ".join(KINDS[kind].words for kind in LOOKED_UP[field])
        more = "; or several" if field in SEVERAL else ""
        problems.refuse(field, given, f"the name of a registered {words}, a {words}, or None{more}")


def _as_field(problem: str) -> str:
    return "timeout" + problem[problem.index(":") :] if ":" in problem else problem


class Unresolved(Exception):  # noqa: N818 - not for users
    """An operation cannot be compiled. ``problems``: why, a text each; none: nothing is there."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def resolve(
    name: str, defined: Definition | None, registered: Registered
) -> tuple[dict[str, list[Policy]], list[Entry]]:
    """Return the policies in each place of an operation, and those that are passed over.

    Raises:
        Unresolved: It names a policy that is not registered, or has none.
    """
    joined = {} if defined is None else defined.joined
    places: dict[str, list[Policy]] = {}
    over: list[Entry] = []
    problems: list[str] = []
    for field, place in FIELDS.items():
        for given in joined.get(field, (name,)):
            if not isinstance(given, str):
                places.setdefault(place, []).append(given)
                continue
            found = (registered.get(kind, given) for kind in LOOKED_UP[field])
            entries = [entry for entry in found if entry is not None]
            if entries:
                places.setdefault(place, []).append(entries[0].policy)
                over += entries[1:]
                if entries[0].call_timeout is not None:
                    places[ATTEMPT] = [entries[0].call_timeout]
            elif field in joined:
                hint = registered.hint(field, given)
                problems.append(f"no {KINDS[field].words} {given!r} is registered{hint}")
    if problems or not places:
        raise Unresolved(problems)
    return places, over


def arranged(places: Mapping[str, list[Policy]], order: str) -> list[Policy]:
    """Return the policies of an operation, outermost first."""
    return [policy for place in ORDERS[order] for policy in places.get(place, ())]


class Operation(gate.Handle):
    """A named operation of a manager: what a call under this name passes.

    A decorator; ``call``, ``acall``, ``try_call`` and ``try_acall`` call one function. It follows
    the manager: what is registered later protects the next call, also that of a function which was
    decorated before.

    Made by ``ResilienceManager.operation``. Safe to share between threads and event loops.

    Attributes:
        name: The name of the operation.
        critical: Whether metrics and alerts mark it as critical.
        order: "recommended" or "classic".
    """

    __slots__ = ("_default", "_ends", "_is_new", "_manager", "_scope", "critical", "order")

    kind = "operation"
    critical: bool
    order: str

    def __init__(self, name: str, manager: Manager) -> None:
        super().__init__(name)
        self._manager = ref(manager)
        self._scope: str = manager.name
        # What its calls have counted, whichever pipeline they passed.
        self._ends = counters_of(self, critical=False)
        self._default: Timeout | None = None  # the manager's, for an operation without its own
        self._is_new = False  # that timeout: registry and metrics do not know it yet
        self.critical = False
        self.order = "recommended"

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies that a call passes, from the outermost to the innermost."""
        pipeline: Any = self._gate
        return () if pipeline is None else pipeline.policies

    def describe(self) -> str:
        """Return a line per policy, outermost first, with its settings and the cost of a call."""
        pipeline: Any = self._gate
        words = ", critical" if self.critical else ""
        if pipeline is None:
            return f"Operation {self.name!r} of manager {self._scope!r}{words}: nothing"
        lines: list[str] = pipeline.describe().splitlines()
        head = f"Operation {self.name!r} of manager {self._scope!r}{words}, outermost first:"
        return "\n".join([head, *lines[1:]])

    def lint(self) -> list[Finding]:
        """Return warnings about settings that are valid but probably unintended.

        See ``Pipeline.lint``.
        """
        pipeline: Any = self._gate
        return [] if pipeline is None else pipeline.lint()

    def snapshot(self) -> OperationSnapshot:
        """Return which policies a call passes."""
        from holdfast.manager.snapshot import OperationSnapshot

        return OperationSnapshot(
            self.name,
            critical=self.critical,
            order=self.order,
            policies=tuple((one.kind, one.name) for one in self.policies),
        )

    def __repr__(self) -> str:
        inside = ", ".join(one.kind for one in self.policies)
        return f"<Operation {self.name!r} of {self._scope!r}: {inside or 'nothing'}>"

    # ---- what the manager does, under its lock ----

    def _default_timeout(self, seconds: Any, common: dict[str, Any]) -> Timeout:
        """Return the manager's timeout for this operation, which is made once."""
        if self._default is None:
            self._default = unentered(self._scope, Timeout, seconds, name=self.name, **common)
            self._is_new = True
        return self._default

    def _take_default(self) -> Timeout | None:
        """Return the manager's timeout for this operation, once."""
        is_new, self._is_new = self._is_new, False
        return self._default if is_new else None

    def _missing(self) -> bool:
        """Turn to a gate for a call that found none and return True, or raise why there is none."""
        manager = self._manager()
        if manager is None:
            raise UnprotectedError(f"manager {self._scope!r}, which {self.name!r} is of, is gone")
        there: bool = manager.operation(self.name) is self
        return there

    def _mark(self, *, critical: bool, order: str) -> None:
        """Have metrics and snapshots show it so."""
        self.critical = self._ends.critical = critical
        self.order = order

    def _compile(self, policies: list[Policy]) -> None:
        """Pass these policies from the next call on."""
        pipeline: Any = self._gate
        if pipeline is not None and pipeline.policies == tuple(policies):
            return
        made = pipeline_of(self.name, policies, self._ends)
        made._scope = self._scope
        self._turn_to(made)


gate._own_methods(Operation)
