"""What pipelines show of themselves at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["PipelineSnapshot"]


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """The snapshots of a pipeline's policies, outermost first, each with its kind and name."""

    kind: str = field(default="pipeline", init=False)
    name: str
    policies: tuple[Any, ...]
