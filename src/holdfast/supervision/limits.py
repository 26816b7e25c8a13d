"""Resource limits of processes: their names, their values, and how a process gets them.

Pure but for ``apply``. Elsewhere: when (``spawn``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from holdfast.validation import Problems

    Limits = Mapping[str, tuple[int | None, int | None]]  # soft and hard, by name

__all__ = ["apply", "no_limits", "read_limits"]

_MOST = (1 << 63) - 1


def no_limits() -> Limits:
    """Return no limits."""
    return {}


def read_limits(problems: Problems, given: object) -> Limits:
    """Check the limits that a user has given: one number each, or soft and hard."""
    found: dict[str, tuple[int | None, int | None]] = {}
    names = _names()
    limits: Any = {} if given is None else given  # read as any: it may hold anything
    if not isinstance(given, dict | None):
        problems.refuse("limits", limits, "a dict such as {'nofile': 1024}, or None")
        return found
    if limits and not names:
        problems.refuse("limits", limits, "none on this system, which has no prlimit()")
        return found
    for name, value in limits.items():
        if name not in names:
            problems.refuse("limits", name, "names out of " + ", ".join(sorted(names)))
            continue
        soft, hard = _soft_and_hard(value)
        field = f"limits[{name!r}]"
        pair = (
            problems.integer(field, soft, least=0, most=_MOST, none=True),
            problems.integer(field, hard, least=0, most=_MOST, none=True),
        )
        if pair[1] is not None and (pair[0] is None or pair[0] > pair[1]):
            problems.refuse(field, value, "a soft limit that is not above the hard one")
        found[name] = pair
    return found


def _soft_and_hard(value: Any) -> tuple[Any, Any]:
    try:
        soft, hard = value
    except (TypeError, ValueError):
        return value, value
    return soft, hard


def apply(pid: int, limits: Limits) -> None:
    """Give a process its limits.

    Raises:
        PermissionError: A hard limit is above that of this process.
        OSError: The kernel does not allow a value.
    """
    import resource

    names = _names()
    for name, (soft, hard) in limits.items():
        pair = tuple(resource.RLIM_INFINITY if one is None else one for one in (soft, hard))
        try:
            resource.prlimit(pid, names[name], pair)  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None)
            raise type(error)(
                number, f"the limit {name!r} cannot be set to {(soft, hard)}: {error}"
            ) from error


def _names() -> dict[str, int]:
    """Return the limits of this system: ``nofile`` is RLIMIT_NOFILE."""
    try:
        import resource
    except ImportError:
        return {}
    if not hasattr(resource, "prlimit"):
        return {}
    prefix = "RLIMIT_"
    return {
        name.removeprefix(prefix).lower(): getattr(resource, name)
        for name in dir(resource)
        if name.startswith(prefix)
    }
