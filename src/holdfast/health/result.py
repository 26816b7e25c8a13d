"""CheckResult: what one run of a check has shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.redaction import describe_error, one_line
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, Self, TypeAlias

    Verdict: TypeAlias = Literal["passed", "degraded", "failed", "unproven"]

__all__ = ["FAILED", "PASSED", "VERDICTS", "CheckResult", "failed_by", "judge_duration"]

#: As numbers 0 to 3, those of the kernel.
VERDICTS: tuple[Verdict, ...] = ("passed", "degraded", "failed", "unproven")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one run of a check.

    Args:
        verdict: "passed"; "degraded": the dependency works, but not well; "failed"; or
            "unproven": the run is no evidence about the dependency.
        message: Why, in a few words. Kept as one line of at most 200 characters, with ``***`` in
            the place of what may be a secret.
        details: Figures and facts for people and reports, by name.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    A result is true if the dependency works: if it passed, or is degraded. Immutable, so safe to
    share between threads and event loops.

    >>> CheckResult.degraded("82 of 100 connections in use", connections=82).details
    {'connections': 82}
    """

    verdict: Verdict
    message: str = ""
    details: Mapping[str, object] = field(default_factory=dict[str, object], hash=False)

    def __post_init__(self) -> None:
        problems = Problems("CheckResult")
        problems.choice("verdict", self.verdict, VERDICTS)
        problems.instance("message", self.message, str, "a string")
        try:
            details = dict(self.details)
        except (TypeError, ValueError):
            details = {}
            problems.refuse("details", self.details, "a mapping of names to values")
        for name in details:
            problems.instance("details", name, str, "names that are strings")
        problems.done()
        object.__setattr__(self, "details", details)
        if self.message:
            object.__setattr__(self, "message", one_line(self.message))

    def __bool__(self) -> bool:
        return self.verdict in ("passed", "degraded")

    @classmethod
    def passed(cls, message: str = "", /, **details: object) -> Self:
        """Return that the dependency works."""
        return cls("passed", message, details)

    @classmethod
    def degraded(cls, message: str = "", /, **details: object) -> Self:
        """Return that the dependency works, but not well."""
        return cls("degraded", message, details)

    @classmethod
    def failed(cls, message: str = "", /, **details: object) -> Self:
        """Return that the dependency does not work."""
        return cls("failed", message, details)

    @classmethod
    def unproven(cls, message: str = "", /, **details: object) -> Self:
        """Return that the run is no evidence about the dependency."""
        return cls("unproven", message, details)


#: The results of checks that have nothing else to tell.
PASSED = CheckResult("passed")
FAILED = CheckResult("failed", "the check returned False")


def judge_duration(taken_ns: int, most_ns: int) -> CheckResult:
    """Return that something took a while: degraded if this is longer than ``most_ns``."""
    seconds = taken_ns / 1e9
    if taken_ns <= most_ns:
        return CheckResult("passed", "", {"seconds": seconds})
    message = f"took {seconds:.3g} s, more than {most_ns / 1e9:g} s"
    return CheckResult("degraded", message, {"seconds": seconds})


def failed_by(error: BaseException) -> CheckResult:
    """Return the result of a check that has raised: the class of the error, and its text."""
    name, text = describe_error(error)
    return CheckResult("failed", f"{name}: {text}" if text else name)
