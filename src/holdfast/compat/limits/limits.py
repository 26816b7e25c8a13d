"""What is limited: so many hits in so much time, of a namespace."""

from __future__ import annotations

from functools import total_ordering
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

from holdfast._native.limit_windows import Item, Plan
from holdfast.compat.limits._policies import limit_of, plan_named

if TYPE_CHECKING:
    from typing import Any

    from holdfast.compat.limits._policies import Limit

__all__ = [
    "GRANULARITIES",
    "TIME_TYPES",
    "Granularity",
    "RateLimitItem",
    "RateLimitItemMeta",
    "RateLimitItemPerDay",
    "RateLimitItemPerHour",
    "RateLimitItemPerMinute",
    "RateLimitItemPerMonth",
    "RateLimitItemPerSecond",
    "RateLimitItemPerYear",
    "plan_of",
    "safe_string",
]


def safe_string(value: bytes | str | int | float) -> str:
    """Return a part of a key as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


class Granularity(NamedTuple):
    """A unit of time: its seconds and its name."""

    seconds: int
    name: str


TIME_TYPES = {
    "day": Granularity(86_400, "day"),
    "month": Granularity(86_400 * 30, "month"),
    "year": Granularity(86_400 * 30 * 12, "year"),
    "hour": Granularity(3_600, "hour"),
    "minute": Granularity(60, "minute"),
    "second": Granularity(1, "second"),
}

GRANULARITIES: dict[str, type[RateLimitItem]] = {}


class RateLimitItemMeta(type):
    """Enters each class that has a ``GRANULARITY`` into ``GRANULARITIES``."""

    def __new__(
        cls, name: str, parents: tuple[type, ...], dct: dict[str, Any]
    ) -> RateLimitItemMeta:
        """Make a class of items, which has slots alone unless it says otherwise."""
        dct.setdefault("__slots__", [])
        made = super().__new__(cls, name, parents, dct)
        if "GRANULARITY" in dct:
            GRANULARITIES[dct["GRANULARITY"][1]] = cast("type[RateLimitItem]", made)
        return made


@total_ordering
class RateLimitItem(Item, metaclass=RateLimitItemMeta):
    """So many hits in so many units of time.

    Args:
        amount: Hits.
        multiples: Units of ``GRANULARITY``; None for 1.
        namespace: What is limited; the first part of each key.

    Safe to share between threads and event loops.

    >>> item = RateLimitItemPerMinute(10, 2)
    >>> item, item.get_expiry(), item.key_for("user")
    (10 per 2 minute, 120, 'LIMITER/user/10/2/minute')
    """

    __slots__ = []

    GRANULARITY: ClassVar[Granularity]

    if TYPE_CHECKING:
        namespace: str
        amount: int
        multiples: int

    def __init__(self, amount: int, multiples: int | None = 1, namespace: str = "LIMITER") -> None:
        self.namespace = namespace
        self.amount = int(amount)
        self.multiples = int(multiples or 1)

    @property
    def policy(self) -> Limit:
        """The holdfast policy that counts the hits of all items of this name."""
        return limit_of(self)

    @classmethod
    def check_granularity_string(cls, granularity_string: str) -> bool:
        """Return whether a word means this unit of time, in the singular or the plural."""
        return granularity_string.lower() in {cls.GRANULARITY.name, f"{cls.GRANULARITY.name}s"}

    def get_expiry(self) -> int:
        """Return the seconds for which the limit holds."""
        return self.GRANULARITY.seconds * self.multiples

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        """Return the key of one who is limited: its parts are joined with ``/``."""
        parts = [safe_string(one) for one in (*identifiers, self.amount, self.multiples)]
        return "/".join([f"{self.namespace}", *parts, self.GRANULARITY.name])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RateLimitItem):
            return False
        ours = self.amount, self.GRANULARITY, self.multiples
        return ours == (other.amount, other.GRANULARITY, other.multiples)

    def __repr__(self) -> str:
        return f"{self.amount} per {self.multiples} {self.GRANULARITY.name}"

    def __lt__(self, other: RateLimitItem) -> bool:
        return self.GRANULARITY.seconds < other.GRANULARITY.seconds

    def __hash__(self) -> int:
        return hash((self.namespace, self.amount, self.multiples, self.GRANULARITY))


class RateLimitItemPerYear(RateLimitItem):
    """So many hits in so many years, of 360 days."""

    GRANULARITY = TIME_TYPES["year"]


class RateLimitItemPerMonth(RateLimitItem):
    """So many hits in so many months, of 30 days."""

    GRANULARITY = TIME_TYPES["month"]


class RateLimitItemPerDay(RateLimitItem):
    """So many hits in so many days."""

    GRANULARITY = TIME_TYPES["day"]


class RateLimitItemPerHour(RateLimitItem):
    """So many hits in so many hours."""

    GRANULARITY = TIME_TYPES["hour"]


class RateLimitItemPerMinute(RateLimitItem):
    """So many hits in so many minutes."""

    GRANULARITY = TIME_TYPES["minute"]


class RateLimitItemPerSecond(RateLimitItem):
    """So many hits in so many seconds."""

    GRANULARITY = TIME_TYPES["second"]


_OWN = RateLimitItem.key_for, RateLimitItem.get_expiry


def plan_of(item: object) -> Plan | None:
    """Return how the windows keep an item; None for one that makes its keys or its time itself."""
    if not isinstance(item, RateLimitItem) or (type(item).key_for, type(item).get_expiry) != _OWN:
        return None
    tail = f"{item.amount}/{item.multiples}/{item.GRANULARITY.name}"
    return plan_named(str(item.namespace), tail, item.amount, item.get_expiry())
