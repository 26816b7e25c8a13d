"""CompositeCheck: several checks as one, which passes if enough of them do.

Elsewhere: who runs its members at the same time (``monitor``).
"""

from __future__ import annotations

from collections import Counter
from math import ceil

from holdfast.health.check import TIMEOUT, Check
from holdfast.health.result import CheckResult
from holdfast.validation import explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["CompositeCheck"]

_MOST_MEMBERS = 10_000


class CompositeCheck(Check):
    """Runs several checks, and passes if enough of them pass.

    A monitor runs the members at the same time, each within its own timeout, and decides as soon
    as the result is certain. The composite is degraded if only members that are degraded make up
    the quorum. A failed composite names its first member that failed. Of the settings of a member,
    only its timeout has an effect. A member may be a composite.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        *checks: The members, at least one, each with another name.
        quorum: The share of the members that have to pass, above 0 and up to 1; at least one
            member has to.
        interval: Seconds from one run to the next; None: that of the monitor.
        timeout: How many seconds one run may take; None: that of the monitor.
        failures: How many failed runs in a row make the check unhealthy.
        successes: How many passed runs in a row make it healthy again.
        start_period: Seconds after the start during which failed runs do not count before the
            first pass.
        jitter: The share of the interval by which a run may be delayed; None: that of the monitor.
        critical: Whether the service cannot work without this dependency.
        liveness: Whether a restart of this process would help if the check is unhealthy.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable and without state, so safe to share between threads, event loops and monitors.

    >>> from holdfast.health import PingCheck
    >>> workers = [PingCheck(f"worker-{n}", lambda n=n: n > 0) for n in range(3)]
    >>> CompositeCheck("workers", *workers, quorum=0.5).run().verdict
    'passed'
    """

    __slots__ = ("_checks", "_counts_members", "_members", "_needed", "_quorum")

    @explains_names
    def __init__(
        self,
        name: str,
        *checks: Check,
        quorum: float = 1.0,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._checks: tuple[Check, ...] = checks
        self._members: tuple[Check, ...] = ()
        self._quorum = quorum
        self._needed = 1
        self._counts_members = False  # whether the numbers of verdicts alone decide
        super().__init__(
            name,
            interval=interval,
            timeout=timeout,
            failures=failures,
            successes=successes,
            start_period=start_period,
            jitter=jitter,
            critical=critical,
            liveness=liveness,
        )
        self._is_async = any(member.is_async for member in self.members)

    def _checked(self, problems: Problems) -> None:
        self._quorum = problems.fraction("quorum", self._quorum, zero=False)
        wrong = len(self._checks)
        for at, check in enumerate(self._checks):
            wrong -= problems.instance(f"checks[{at}]", check, Check, "a check") is not None
        if not self._checks:
            problems.refuse("checks", self._checks, "at least one check")
        if wrong or not self._checks:
            return
        self._members = tuple(one for check in self._checks for one in members_of(check))
        names = Counter(member.name for member in self._members)
        if len(self._members) > _MOST_MEMBERS:
            problems.refuse("checks", len(self._members), f"at most {_MOST_MEMBERS} members")
        if twice := sorted(name for name, number in names.items() if number > 1):
            problems.refuse("checks", twice[0], "members of which each has another name")
        has_nested = any(isinstance(check, CompositeCheck) for check in self._checks)
        self._counts_members = type(self).judge is CompositeCheck.judge and not has_nested
        # 0.7 of 10 members are 7, though 0.7 * 10 is a little more.
        self._needed = max(1, ceil(self._quorum * len(self._checks) - 1e-9))

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks that it was made of."""
        return self._checks

    @property
    def members(self) -> tuple[Check, ...]:
        """The checks that have to run: those of composites among ``checks``, not these."""
        return self._members

    @property
    def quorum(self) -> float:
        """The share of the checks that have to pass."""
        return self._quorum

    @property
    def measures_self(self) -> bool:  # type: ignore[override]  # it follows from the members
        """Whether all members are about this process itself."""
        return all(member.measures_self for member in self._members)

    def judge(self, results: Sequence[CheckResult | None]) -> CheckResult | None:
        """Return the result that follows from those of the members; None: it is not certain.

        Args:
            results: A result for each of ``members``, in their order; None while it is missing.

        Raises:
            ValueError: There are more or fewer results than members.
        """
        if len(results) != len(self._members):
            raise ValueError(f"{len(results)} results of {len(self._members)} members")
        return self._judge(self._of_checks(results))

    def _may_judge(self, counts: Mapping[str, int]) -> bool:
        """Return whether ``judge`` may be certain, of so many results of each verdict.

        It spares a composite of many members from judging each time that one has ended.
        """
        if not self._counts_members:
            return True
        passed, failed = counts.get("passed", 0), counts.get("failed", 0)
        good = passed + counts.get("degraded", 0)
        everything, needed = len(self._members), self._needed
        missing = everything - sum(counts.values())
        return (
            missing <= 0
            or passed >= needed
            or failed > everything - needed
            or (good >= needed and passed + missing < needed)
        )

    def _of_checks(self, results: Sequence[CheckResult | None]) -> list[CheckResult | None]:
        """Return a result for each of the checks: composites judge those of their members."""
        own: list[CheckResult | None] = []
        at = 0
        for check in self._checks:
            if isinstance(check, CompositeCheck):
                count = len(check._members)
                own.append(check.judge(results[at : at + count]))
                at += count
            else:
                own.append(results[at])
                at += 1
        return own

    def _judge(self, results: list[CheckResult | None]) -> CheckResult | None:
        verdicts = [None if result is None else result.verdict for result in results]
        passed, degraded = verdicts.count("passed"), verdicts.count("degraded")
        missing = verdicts.count(None)
        failed, needed = verdicts.count("failed"), self._needed
        details: dict[str, Any] = {
            "members": len(verdicts),
            "needed": needed,
            "passed": passed,
            "degraded": degraded,
            "failed": failed,
        }
        if passed >= needed:
            return CheckResult("passed", self._first(results, "failed"), details)
        if passed + degraded >= needed and passed + missing < needed:
            return CheckResult("degraded", self._first(results, "degraded"), details)
        if failed > len(verdicts) - needed:
            return CheckResult("failed", self._first(results, "failed"), details)
        if missing:
            return None
        return CheckResult("unproven", self._first(results, "unproven"), details)

    def _first(self, results: list[CheckResult | None], verdict: str) -> str:
        """Return the name and message of the first check with a verdict, and how many there are."""
        found = [
            f"{check.name}: {result.message or verdict}"
            for check, result in zip(self._checks, results, strict=True)
            if result is not None and result.verdict == verdict
        ]
        more = f" ({len(found)} of {len(results)} {verdict})" if len(found) > 1 else ""
        return found[0] + more if found else ""

    def _limit_of(self, member: Check) -> float:
        return min(self.time_left(), member.timeout or TIMEOUT)

    def probe(self) -> CheckResult:
        """Run the members one after the other in this thread, until the result is certain."""
        results: list[CheckResult | None] = [None] * len(self._members)
        for at, member in enumerate(self._members):
            results[at] = member.run(self._limit_of(member))
            if (result := self.judge(results)) is not None:
                return result
        raise AssertionError("the results of all members decide")

    async def aprobe(self) -> CheckResult:
        """Run the members one after the other in this task, until the result is certain."""
        results: list[CheckResult | None] = [None] * len(self._members)
        for at, member in enumerate(self._members):
            results[at] = await member.arun(self._limit_of(member))
            if (result := self.judge(results)) is not None:
                return result
        raise AssertionError("the results of all members decide")


def members_of(check: Check) -> tuple[Check, ...]:
    """Return what has to run for a check: itself, or the members of a composite."""
    return check.members if isinstance(check, CompositeCheck) else (check,)
