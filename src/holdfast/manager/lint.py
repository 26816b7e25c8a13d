"""What is legal in a manager, but hardly meant.

Elsewhere: what is unwise within one operation (``pipeline.lint``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.manager.operation import FIELDS, LOOKED_UP
from holdfast.manager.registered import ADAPTIVE, KINDS
from holdfast.pipeline.lint import Finding
from holdfast.validation import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Manager = Any  # ResilienceManager, which stands above

__all__ = ["lint"]


def lint(manager: Manager) -> list[Finding]:
    """Return what all rules find in a manager."""
    return [
        *_not_registered(manager),
        *_unused(manager),
        *_passed_over(manager),
        *_strike_nothing(manager),
        *_within(manager),
    ]


def _not_registered(manager: Manager) -> Iterator[Finding]:
    registered = manager._registered
    for operation, defined in manager._defined.copy().items():
        for field, several in defined.joined.items():
            for given in several:
                if not isinstance(given, str) or any(
                    registered.get(kind, given) is not None for kind in LOOKED_UP[field]
                ):
                    continue
                words = KINDS[field].words
                yield Finding(
                    "policy_not_registered",
                    f"operation {operation!r} names {words} {given!r}, which is not registered"
                    f"{registered.hint(field, given)}: every call of it is an error",
                    (),
                )


def _used(manager: Manager) -> set[tuple[str, str]]:
    """Return kind and name of the policies that an operation names, or that bear its name."""
    used = set()
    for operation in {*manager._defined, *manager._operations}:
        defined = manager._defined.get(operation)
        for field in FIELDS:
            joined = {} if defined is None else defined.joined
            for given in joined.get(field, (operation,)):
                if isinstance(given, str):
                    used |= {(kind, given) for kind in LOOKED_UP[field]}
    return used


def _unused(manager: Manager) -> Iterator[Finding]:
    used = _used(manager)
    for kind, name, entry in manager._registered.all():
        if kind == "fault" or (kind, name) in used:
            continue
        words = KINDS[kind].words
        yield Finding(
            "policy_not_used",
            f"no operation uses {words} {name!r}: call execute({name!r}, …), or join it with "
            f"register_operation(…, {'rate_limiter' if kind == ADAPTIVE else kind}={name!r})",
            (entry.policy,),
        )


def _passed_over(manager: Manager) -> Iterator[Finding]:
    for name, entry in manager._registered.of_kind(ADAPTIVE).items():
        fixed = manager._registered.get("rate_limiter", name)
        if fixed is not None:
            yield Finding(
                "two_rate_limiters",
                f"a fixed and an adaptive rate limiter are registered as {name!r}: the fixed one "
                "wins, and the adaptive one limits nothing; unregister one of them",
                (fixed.policy, entry.policy),
            )


def _strike_nothing(manager: Manager) -> Iterator[Finding]:
    known = tuple({*manager._defined, *manager._operations, *manager._registered.names()})
    for name, entry in manager._registered.of_kind("fault").items():
        for operation in sorted(entry.operations or ()):
            if operation not in known:
                yield Finding(
                    "fault_strikes_nothing",
                    f"fault {name!r} is to strike operation {operation!r}, which is not registered"
                    f"{nearest(operation, known)}",
                    (entry.policy,),
                )


def _within(manager: Manager) -> Iterator[Finding]:
    for operation in manager.operations:
        for finding in operation.lint():
            yield Finding(
                finding.code,
                f"operation {operation.name!r}: {finding.message}",
                finding.policies,
            )
