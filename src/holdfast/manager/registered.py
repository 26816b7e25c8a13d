"""What is registered with a manager, by kind and name.

Equal settings keep the living policy and its counts. Elsewhere: what settings are called
(``spellings``), who uses the policies (``operation``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import ConfigError
from holdfast.manager import spellings
from holdfast.policies.base import enter, unentered
from holdfast.stores.figures import TIMEOUT_ATTEMPT, TIMEOUT_TOTAL
from holdfast.validation import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from holdfast.policies.base import Policy
    from holdfast.policies.timeout import Timeout

__all__ = ["ADAPTIVE", "KINDS", "Entry", "Kind", "Registered", "kind_in", "made"]

ADAPTIVE = "adaptive_rate_limiter"


class Kind(NamedTuple):
    """A kind of policies that can be registered.

    Attributes:
        place: Where operations have it.
        words: What a message calls it.
        where: Its module and class.
        read: What makes arguments of the settings that were given; None takes them as they are.
    """

    place: str
    words: str
    where: tuple[str, str]
    read: Callable[[Any, object], dict[str, Any]] | None

    @property
    def cls(self) -> type[Policy]:
        """Its class, imported when it is asked for."""
        module, name = self.where
        cls: type[Policy] = getattr(import_module(f"holdfast.{module}"), name)
        return cls


KINDS = {
    "error_budget": Kind(
        "error_budget", "error budget", ("policies.error_budget", "ErrorBudget"),
        spellings.error_budget,
    ),
    "latency_budget": Kind(
        "latency_budget", "latency budget", ("policies.latency_budget", "LatencyBudget"),
        spellings.latency_budget,
    ),
    "fallback": Kind("fallback", "fallback", ("policies.fallback", "Fallback"), None),
    "timeout": Kind(
        "total_timeout", "timeout", ("policies.timeout", "Timeout"), spellings.timeout
    ),
    "retry": Kind("retry", "retry policy", ("policies.retry", "Retry"), spellings.retry),
    "hedge": Kind("hedge", "hedge", ("policies.hedge", "Hedge"), None),
    "circuit_breaker": Kind(
        "circuit_breaker", "circuit breaker", ("policies.breaker", "CircuitBreaker"), None
    ),
    "rate_limiter": Kind(
        "rate_limiter", "rate limiter", ("policies.limiter", "RateLimiter"), spellings.limiter
    ),
    ADAPTIVE: Kind(
        "rate_limiter", "adaptive rate limiter",
        ("policies.limiter.adaptive", "AdaptiveRateLimiter"), spellings.adaptive_limiter,
    ),
    "bulkhead": Kind("bulkhead", "bulkhead", ("policies.bulkhead", "Bulkhead"), spellings.bulkhead),
    "fault": Kind("chaos", "fault", ("chaos", "Fault"), None),
}  # fmt: skip


def kind_in(policy: Policy) -> str | None:
    """Return the kind under which a policy is registered; None if it cannot be."""
    if policy.kind == "rate_limiter" and "target_latency" in policy._setting_names:
        return ADAPTIVE
    return policy.kind if policy.kind in KINDS else None


class Entry:
    """A policy that is registered.

    Attributes:
        kind: A key of ``KINDS``.
        policy: The policy.
        call_timeout: Of a breaker: how long a call through it may take.
        operations: Of a fault: the operations whose calls it strikes; None for all.
    """

    __slots__ = ("call_timeout", "kind", "operations", "policy")

    def __init__(
        self,
        kind: str,
        policy: Any,
        call_timeout: Timeout | None = None,
        operations: frozenset[str] | None = None,
    ) -> None:
        self.kind = kind
        self.policy: Any = policy
        self.call_timeout = call_timeout
        self.operations = operations

    def equals(self, other: Entry) -> bool:
        """Return whether both stand for the same policy, or for two with equal settings."""
        return (
            self.operations == other.operations
            and _are_equal(self.policy, other.policy)
            and _are_equal(self.call_timeout, other.call_timeout)
        )

    def strikes(self, operation: str) -> bool:
        """Return whether a fault strikes calls of an operation."""
        return self.operations is None or operation in self.operations

    def enter(self) -> None:
        """Have the registry and metrics know what was made for this entry."""
        enter(self.policy, TIMEOUT_TOTAL if self.kind == "timeout" else None)
        if self.call_timeout is not None:
            enter(self.call_timeout, TIMEOUT_ATTEMPT)


def _are_equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    try:
        return not one._differences(other)
    except Exception:  # noqa: BLE001 - values of the user's that cannot be compared: not equal
        return False


def made(
    scope: str, kind: str, name: str, args: tuple[Any, ...], settings: dict[str, Any]
) -> Entry:
    """Return a new policy, which neither the registry nor metrics know yet.

    Raises:
        ConfigError: A setting is invalid; the message lists all that are.
    """
    its, given = KINDS[kind], settings
    limit = None
    common = {field: settings[field] for field in ("clock", "mode") if field in settings}
    if kind == "circuit_breaker":
        settings, limit = spellings.breaker(settings, name)
    elif its.read is not None:
        settings = its.read(settings, name)
    try:
        if kind in _NAMED_LAST:
            policy = unentered(scope, its.cls, *args, name=name, **settings)
        else:
            policy = unentered(scope, its.cls, name, *args, **settings)
    except ConfigError as error:
        raise spellings.in_words_of(kind, given, error) from None
    if limit is None:
        return Entry(kind, policy)
    from holdfast.policies.timeout import Timeout

    return Entry(kind, policy, unentered(scope, Timeout, limit, name=name, **common))


_NAMED_LAST = {"timeout", "fallback"}  # what they do comes first


class Registered:
    """The policies of one manager. Its owner has a lock."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}

    def equal(self, name: str, entry: Entry, *, by_identity: bool = False) -> Entry | None:
        """Return the living entry of a name, if its settings are equal, or its policy is this."""
        there = self._entries[entry.kind].get(name)
        if there is None or not there.equals(entry):
            return None
        return there if there.policy is entry.policy or not by_identity else None

    def put(self, name: str, entry: Entry, *, by_identity: bool = False) -> Entry | None:
        """Put in an entry; return the living one, if that equals it."""
        entries = self._entries[entry.kind]
        if (there := self.equal(name, entry, by_identity=by_identity)) is not None:
            return there
        entries[name] = entry
        return None

    def put_back(self, kind: str, name: str, before: Entry | None) -> None:
        """Have the entry that was there before."""
        if before is None:
            self._entries[kind].pop(name, None)
        else:
            self._entries[kind][name] = before

    def take(self, kind: str, name: str) -> Entry | None:
        """Take out an entry, and return it."""
        return self._entries[kind].pop(name, None)

    def get(self, kind: str, name: str) -> Entry | None:
        """Return an entry."""
        return self._entries[kind].get(name)

    def of_kind(self, kind: str) -> dict[str, Entry]:
        """Return the entries of a kind, by name."""
        return self._entries[kind].copy()

    def all(self) -> Iterator[tuple[str, str, Entry]]:
        """Yield kind, name and entry of each."""
        for kind, entries in self._entries.items():
            for name, entry in entries.copy().items():
                yield kind, name, entry

    def names(self) -> list[str]:
        """Return all names under which a policy is registered but a fault, each once."""
        every = (entries for kind, entries in self._entries.items() if kind != "fault")
        return list(dict.fromkeys(name for entries in every for name in entries.copy()))

    def hint(self, kind: str, name: object) -> str:
        """Return which name of a kind was probably meant, as the end of a message."""
        return nearest(name, tuple(self._entries[kind].copy()))
