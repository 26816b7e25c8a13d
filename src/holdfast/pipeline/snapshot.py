"""What pipelines show of themselves at one moment."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["PipelineSnapshot"]


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """The snapshots of a pipeline's policies, outermost first."""

    name: str
    policies: tuple[Any, ...]
