"""Which effects the store of a node has accepted, in their order, for whoever judges them.

Elsewhere: what is refused (``store``), and who asks whom (``sync``).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from examples.dwcp_node.store import Store

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from examples.dwcp_node.entries import Version

_KEPT = 10_000


class RememberingStore(Store):
    """A store that remembers the revision and the writer of each effect it accepts."""

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        super().__init__(path, name)
        self.accepted: deque[tuple[int, str]] = deque(maxlen=_KEPT)

    def apply(self, effect: Mapping[str, Any]) -> Version:
        """As ``Store.apply``."""
        version = super().apply(effect)
        self.accepted.append((version.revision, version.writer))
        return version
