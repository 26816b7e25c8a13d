"""Composite: several faults as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.chaos.fault import PROBABILITY, Fault
from holdfast.policies.base import settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from typing import Any, Literal

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Composite", "Group"]


class Group(Fault):
    """Several faults that strike together. Which calls are struck is decided once, for all."""

    __slots__ = ("_members",)

    fault_type = ""  # of no fault that a scenario can name
    _members: tuple[Fault, ...]

    def _chosen(self, injection: Injection) -> Sequence[Fault]:
        raise NotImplementedError

    def _read_members(self, problems: Problems) -> None:
        for at, member in enumerate(self._members):
            problems.instance(f"faults[{at}]", member, Fault, "a fault")
        if not self._members:
            problems.refuse("faults", self._members, "at least one fault")

    def inject(self, injection: Injection) -> None:
        """Have the faults strike one after the other; the first error ends this."""
        for member in self._chosen(injection):
            member._strike_for(injection)

    async def ainject(self, injection: Injection) -> None:
        """Do in a task what ``inject`` does in a thread."""
        for member in self._chosen(injection):
            await member._astrike_for(injection)


class Composite(Group):
    """Strikes with several faults, one after the other, or with one of them.

    The composite decides which calls are struck; the probabilities and limits of its faults do not
    matter. Each of its faults counts and logs its own injections.

    Args:
        *faults: The faults, in the order in which they strike. The first error ends the sequence.
        choose: "all" strikes with all faults. "one" strikes with one of them, each with the same
            probability.
        name: For messages, metrics and the registry; None uses "composite".
        probability: The share of calls that are struck, 0 to 1.
        duration: Seconds from ``chaos.enable`` on, after which the fault strikes no call; None
            for as long as chaos is enabled.
        limit: The number of calls that are struck at most each time chaos is enabled; None for no
            limit.
        seed: The seed of the random numbers, 0 to 2**64 - 1; None derives it from the seed of
            ``chaos.enable``.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared fault of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> from holdfast.chaos import Error, Latency
    >>> slow_and_broken = Composite(Latency(1, 2), Error(), probability=0.1)
    >>> slow_and_broken.call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ("_choose",)

    def __init__(
        self,
        *faults: Fault,
        choose: Literal["all", "one"] = "all",
        name: str | None = None,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._members = faults
        self._choose: Any = choose
        super().__init__(
            name,
            probability=probability,
            duration=duration,
            limit=limit,
            seed=seed,
            clock=clock,
            mode=mode,
            shared=shared,
        )

    _setting_names = settings_of(__init__)
    _setting_names = ("faults", *_setting_names)

    def _checked(self, problems: Problems) -> dict[str, Any]:
        self._read_members(problems)
        problems.choice("choose", self._choose, ("all", "one"))
        return {"faults": self._members, "choose": self._choose}

    def _chosen(self, injection: Injection) -> Sequence[Fault]:
        members = self._members
        return (injection.choice(members),) if self._choose == "one" else members
