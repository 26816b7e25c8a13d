"""UsageCheck: what checks of memory, processors and disks share, two limits for a used share."""

from __future__ import annotations

from holdfast.health.check import Check
from holdfast.health.result import CheckResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.validation import Problems

__all__ = ["UsageCheck", "bytes_shown"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class UsageCheck(Check):
    """The abstract base class of checks that compare a used share with limits, in per cent."""

    __slots__ = ("_degraded_percent", "_failed_percent")

    _degraded_percent: float | None
    _failed_percent: float | None

    def _checked(self, problems: Problems) -> None:
        for field in ("degraded_percent", "failed_percent"):
            value = getattr(self, f"_{field}")
            number = problems.number(field, value, above=0.0, most=100.0, none=True)
            if number is not None and 0 < number < 1:  # a share, as other settings are
                problems.refuse(field, value, f"a percentage from 1 on: write {100 * number:g}")
            setattr(self, f"_{field}", number)
        self._order(problems, "degraded_percent", "failed_percent")
        if not self._has_limit():
            problems.refuse("degraded_percent", None, "a number, if no other limit is given")

    def _has_limit(self) -> bool:
        return self._degraded_percent is not None or self._failed_percent is not None

    def _order(self, problems: Problems, lower: str, upper: str) -> None:
        """Refuse two limits of which the one that is reached first is the greater one."""
        low, high = getattr(self, f"_{lower}"), getattr(self, f"_{upper}")
        if low is not None and high is not None and low >= high:
            problems.refuse(lower, low, f"less than {upper}, which is {high:g}")

    @property
    def degraded_percent(self) -> float | None:
        """Above this percentage the check is degraded; None for no limit."""
        return self._degraded_percent

    @property
    def failed_percent(self) -> float | None:
        """Above this percentage the check fails; None for no limit."""
        return self._failed_percent

    def _judge(self, percent: float, of: str, details: dict[str, object]) -> CheckResult:
        """Return what a used percentage shows, of something that a message calls ``of``."""
        details = {"percent": round(percent, 2), **details}
        if self._failed_percent is not None and percent > self._failed_percent:
            text = _above(percent, of, self._failed_percent)
            return CheckResult("failed", text, details)
        if self._degraded_percent is not None and percent > self._degraded_percent:
            text = _above(percent, of, self._degraded_percent)
            return CheckResult("degraded", text, details)
        return CheckResult("passed", "", details)


def bytes_shown(size: float) -> str:
    """Return a size as people write it, such as "1.5 GiB"."""
    at = 0
    while size >= 1024 and at < len(_UNITS) - 1:
        size /= 1024
        at += 1
    return f"{size:.1f} {_UNITS[at]}" if at else f"{size:.0f} B"


def _above(percent: float, of: str, limit: float) -> str:
    shown = f"{percent:.1f}"
    if float(shown) <= limit:  # above it by less than is shown
        shown = f"{percent:.4g}" if float(f"{percent:.4g}") > limit else repr(percent)
    return f"{shown} % of {of} in use, more than {limit:g} %"
