"""An operation: which policies its calls pass, in which order, and the handle that they use.

Elsewhere: what is registered (``registered``), the order (``order``), when an operation is compiled
anew (``manager``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from holdfast.errors import ConfigError
from holdfast.manager.order import ATTEMPT, ORDERS, TOTAL
from holdfast.manager.registered import ADAPTIVE, KINDS, kind_in
from holdfast.manager.stand_in import Handle
from holdfast.pipeline.pipeline import Pipeline
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

__all__ = ["FIELDS", "Definition", "Operation", "Unresolved", "arranged", "definition", "resolve"]

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
# Where each is looked up; the first wins.
LOOKED_UP = {field: (field,) for field in FIELDS} | {"rate_limiter": ("rate_limiter", ADAPTIVE)}


class Definition:
    """What ``register_operation`` was given; an operation without it has what bears its name.

    Attributes:
        joined: By field: the name of a policy, a policy, or None for none. A field that is not
            there means the policy of the operation's own name, if there is one.
        degradation: The component that follows the operation's breaker and error budget.
        critical: Whether metrics and alerts mark it as critical.
        order: A key of ``ORDERS``; None for the manager's.
    """

    __slots__ = ("_seconds", "critical", "degradation", "joined", "order")

    def __init__(
        self,
        joined: Mapping[str, Any] | None = None,
        *,
        seconds: Any = None,
        degradation: str | None = None,
        critical: bool = False,
        order: str | None = None,
    ) -> None:
        self.joined: dict[str, Any] = dict(joined or {})
        self._seconds = seconds  # what a timeout was made of
        self.degradation = degradation
        self.critical = critical
        self.order = order

    def equals(self, other: Definition) -> bool:
        """Return whether both say the same."""
        return (
            self.degradation == other.degradation
            and self.critical is other.critical
            and self.order == other.order
            and self.joined.keys() == other.joined.keys()
            and self._seconds == other._seconds
            and all(
                one is other.joined[field]
                or (isinstance(one, str) and one == other.joined[field])
                or (field == "timeout" and self._seconds is not None)
                for field, one in self.joined.items()
            )
        )

    def made(self) -> list[Policy]:
        """Return the policies that were made for it alone."""
        return [] if self._seconds is None else [self.joined["timeout"]]

    def names(self) -> set[str]:
        """Return the names of policies that it needs."""
        return {one for one in self.joined.values() if isinstance(one, str)}


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
    for field, given in joined.items():
        if given is None:
            continue
        kinds = LOOKED_UP[field]
        if isinstance(given, str):
            joined[field] = problems.name(given, field)
        elif field == "timeout" and not isinstance(given, Policy):
            seconds = given
            try:
                joined[field] = unentered(scope, Timeout, given, name=name, **common)
            except ConfigError as error:
                problems.adopt(ConfigError("", [_as_field(one) for one in error.problems]))
        elif not isinstance(given, Policy) or kind_in(given) not in kinds:
            words = " or ".join(KINDS[kind].words for kind in kinds)
            problems.refuse(field, given, f"the name of a registered {words}, a {words}, or None")
    if more["degradation"] is not None:
        problems.name(more["degradation"], "degradation")
    problems.flag("critical", more["critical"])
    if more["order"] is not None:
        problems.choice("order", more["order"], tuple(ORDERS))
    problems.done()
    return Definition(joined, seconds=seconds, **more)


def _as_field(problem: str) -> str:
    return "timeout" + problem[problem.index(":") :] if ":" in problem else problem


class Unresolved(Exception):  # noqa: N818 - not for users
    """An operation cannot be compiled. ``problems``: why, a text each; none: nothing is there."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def resolve(
    name: str, defined: Definition | None, registered: Registered
) -> tuple[dict[str, Policy], list[Entry]]:
    """Return which policy is in each place of an operation, and those that are passed over.

    Raises:
        Unresolved: It names a policy that is not registered, or has none.
    """
    joined = {} if defined is None else defined.joined
    places: dict[str, Any] = {}
    over: list[Entry] = []
    problems: list[str] = []
    for field, place in FIELDS.items():
        given = joined.get(field, name)
        if given is None:
            continue
        entries = []
        if isinstance(given, str):
            found = (registered.get(kind, given) for kind in LOOKED_UP[field])
            entries = [entry for entry in found if entry is not None]
            if not entries:
                if field in joined:
                    words = KINDS[field].words
                    problems.append(
                        f"no {words} {given!r} is registered{registered.hint(field, given)}"
                    )
                continue
        places[place] = entries[0].policy if entries else given
        over += entries[1:]
        if entries and entries[0].call_timeout is not None:
            places[ATTEMPT] = entries[0].call_timeout
    if problems or not places:
        raise Unresolved(problems)
    return places, over


def arranged(places: Mapping[str, Policy], faults: list[Policy], order: str) -> list[Policy]:
    """Return the policies of an operation, outermost first."""
    steps: list[Policy] = []
    for place in ORDERS[order]:
        if place == "chaos":
            steps += faults
        elif place in places:
            steps.append(places[place])
    return steps


class Operation(Handle):
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

    critical: bool
    order: str

    def __init__(self, name: str, manager: Manager) -> None:
        super().__init__(name)
        self._manager = ref(manager)
        self._scope: str = manager.name
        self._default: Timeout | None = None  # the manager's, for an operation without its own
        self._is_new = False  # that timeout: registry and metrics do not know it yet
        self.critical = False
        self.order = "recommended"

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies that a call passes, from the outermost to the innermost."""
        gate: Any = self._gate
        return () if gate is None else gate.policies

    def describe(self) -> str:
        """Return a line per policy, outermost first, with its settings and the cost of a call."""
        gate: Any = self._gate
        words = ", critical" if self.critical else ""
        if gate is None:
            return f"Operation {self.name!r} of manager {self._scope!r}{words}: nothing"
        lines: list[str] = gate.describe().splitlines()
        head = f"Operation {self.name!r} of manager {self._scope!r}{words}, outermost first:"
        return "\n".join([head, *lines[1:]])

    def lint(self) -> list[Finding]:
        """Return warnings about settings that are valid but probably unintended.

        See ``Pipeline.lint``.
        """
        gate: Any = self._gate
        return [] if gate is None else gate.lint()

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

    def _compile(self, policies: list[Policy]) -> Pipeline | None:
        """Pass these policies from the next call on; None: it does already."""
        gate: Any = self._gate
        if gate is not None and gate.policies == tuple(policies):
            return None
        made = unentered(self._scope, Pipeline, self.name, *policies)
        self._turn_to(made)
        return made
