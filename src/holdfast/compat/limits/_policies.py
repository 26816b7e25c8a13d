"""The policy behind a limit: a rate limiter that counts the hits of all items of one name.

Elsewhere: windows, and who has used them up (``_native.limit_windows``, ``_memory``).
"""

from __future__ import annotations

from math import inf

from holdfast._native.limit_windows import Plan, Tally
from holdfast.policies.base import NATIVE_MODES, enter, unentered
from holdfast.policies.limiter.limiter import RateLimiter
from holdfast.policies.limiter.rates import MAX_BURST
from holdfast.registry import registry
from holdfast.validation import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Memory: TypeAlias = Any  # the windows of a storage, which stand above

__all__ = ["Limit", "limit_of", "memories", "plan_named"]

# Beyond so many names, limits of one namespace share a policy: names may come from requests.
NAMES_MOST = 1_000
OTHER = "limits"  # the policy of those whose namespace is no name for metrics, or one too many

_LEAST_SECONDS, _MOST_SECONDS = 1e-6, 30 * 365 * 86_400.0  # that a token bucket takes

# Of the registry that there is: a test may set it aside, and bring another back.
_limits: dict[str, Limit] = {}
_plans: dict[tuple[str, str, int, float], Plan] = {}
_registered = registry._entries

#: The storages in memory that live, by identity: weak, and changed one native step at a time.
memories: dict[int, Any] = {}


class Limit(RateLimiter):
    """What the registry, metrics and events know of all limits of one name.

    It counts the hits of a namespace, amount and time, whoever is limited, by every strategy and
    storage of this process. Its own tokens are those of one who is not listed: a call that it
    guards itself uses no window of an item.

    Attributes:
        tally: What the windows count in.

    Safe to share between threads and event loops.
    """

    __slots__ = ("_key", "tally")

    def __init__(self, name: str, amount: int, seconds: float, key: tuple[str, str]) -> None:
        super().__init__(
            name,
            rate=min(max(1, amount), MAX_BURST),
            per=min(max(_LEAST_SECONDS, seconds), _MOST_SECONDS),
        )
        self._key = key
        self.tally = Tally(self._kernels[0], NATIVE_MODES[self.mode], self)

    def clear(self) -> int:
        """Forget all hits of this name in the storages in memory. The counts continue.

        Returns:
            How many windows were dropped.
        """
        super().clear()
        return sum(memory.clear_all(*self._key) for memory in living_memories())

    def _shown(self) -> dict[str, Any]:
        shown = super()._shown()
        if self.tally.mode == 1:  # what its kernel has as rejected ran all the same
            shown["observed"] += self.tally.kernel.counters()[1]
        return shown

    def _mind_listeners(self) -> None:
        super()._mind_listeners()
        self.tally.on_refused = self._say_refused if self._listening else None

    def _say_refused(self) -> None:
        self._emit("rejection", reason="rate")


def living_memories() -> list[Memory]:
    """Return the storages in memory that live."""
    found = [ref() for ref in list(memories.values())]
    return [one for one in found if one is not None]


def limit_of(item: Any) -> Limit:
    """Return the policy of an item, or of anything that has what an item has."""
    plan = getattr(item, "plan", None)
    if isinstance(plan, Plan) and plan.tally is not None:
        kept: Limit = plan.tally.policy
        return kept
    multiples, granularity = getattr(item, "multiples", 1), getattr(item, "GRANULARITY", None)
    word = granularity[1] if granularity else f"{item.get_expiry():g}s"
    namespace = str(getattr(item, "namespace", OTHER))
    return _limit(namespace, f"{item.amount}/{multiples}/{word}", item.amount, item.get_expiry())


def plan_named(namespace: str, tail: str, amount: int, seconds: float) -> Plan:
    """Return how the windows keep an item whose keys end in ``tail``."""
    key = namespace, tail, amount, seconds
    _forget_another_registry()
    there = _plans.get(key)
    if there is not None:
        return there
    tally = _limit(namespace, tail, amount, seconds).tally
    ns = 2**60 if seconds == inf else round(seconds * 1e9)
    made = Plan(f"{namespace}/", tail, amount, ns, tally)
    return _plans.setdefault(key, made) if len(_plans) < NAMES_MOST else made


def _limit(namespace: str, tail: str, amount: int, seconds: float) -> Limit:
    name = f"{namespace}/{tail}"
    _forget_another_registry()
    there = _limits.get(name)
    if there is not None:
        return there
    key = f"{namespace}/", f"/{tail}"
    if len(_limits) >= NAMES_MOST or not is_name(name):
        name, key = namespace, (f"{namespace}/", "")
        if name not in _limits and (len(_limits) >= 2 * NAMES_MOST or not is_name(name)):
            name, key = OTHER, ("", "")
    there = _limits.get(name)
    if there is None:
        found = registry.get("rate_limiter", name)  # of an item that outlived a test
        made = (
            found
            if isinstance(found, Limit)
            else unentered(None, Limit, name, amount, seconds, key)
        )
        there = _limits.setdefault(name, made)
        if there is made and made is not found:  # of two threads, one was first
            enter(made)
    return there


def _forget_another_registry() -> None:
    global _registered  # noqa: PLW0603 - which one the names are of
    if _registered is not registry._entries:
        _registered = registry._entries
        _limits.clear()
        _plans.clear()
