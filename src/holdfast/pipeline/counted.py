"""Pipelines whose calls count for an operation: the operation stays, its pipeline may be replaced.

Elsewhere: what an operation is, and of which policies it consists (``manager``).
"""

from __future__ import annotations

from holdfast._native.histogram import Ends
from holdfast.pipeline.pipeline import Pipeline
from holdfast.stores.figures import OPERATION
from holdfast.stores.ledger import ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from holdfast.policies.base import Policy

__all__ = ["count_for", "counters_of", "pipeline_of"]


def counters_of(operation: Any, *, critical: bool) -> Ends:
    """Return the counters of an operation, which metrics show as long as it lives.

    Args:
        operation: It has a ``kind``, "operation", and a ``name``. Asked again, its counters are
            the same.
        critical: Whether it is shown as critical from here on.
    """
    ledger.prepare()
    ends: Ends = ledger.extend(operation, (OPERATION, Ends(), 0), enters=True)
    ends.critical = critical
    return ends


def pipeline_of(name: str, policies: Iterable[Policy], ends: Ends) -> Pipeline:
    """Return a pipeline whose calls count for an operation, and which the registry does not know.

    Args:
        name: The name of the operation, for messages.
        policies: Its policies, outermost first; at least one.
        ends: The counters of the operation, which may have counted for other pipelines before.

    Raises:
        ConfigError: There are too many policies, or one cannot be part of a pipeline.
    """
    made: Pipeline = type.__call__(Pipeline, name, *policies)
    count_for(made, ends)
    return made


def count_for(gate: Any, ends: Ends) -> None:
    """Have the calls of a new gate counted, with what of them runs in threads of its policies."""
    while gate is not None:
        gate._keep_ends(ends)
        gate = gate._rest
