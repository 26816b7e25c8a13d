"""Link: what asks one exchange, as a component: it is made at the start, and closed at the end.

Worker and backfiller of an exchange depend on it, and share what it has: what an exchange has said
to one of them, as when to be asked again, holds for both.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from holdfast.supervision import Component

if TYPE_CHECKING:
    from collections.abc import Callable

    import holdfast as hf
    from examples.market_collector.worker import Feed

__all__ = ["Link"]


class Link(Component):
    """Asks one exchange.

    Args:
        exchange: The name of the exchange.
        connect: Makes what asks it.
        resources: Where that is registered, as a connection.

    Safe to share between threads.
    """

    def __init__(
        self, exchange: str, connect: Callable[[], Feed], resources: hf.ResourceManager
    ) -> None:
        self.name = f"client:{exchange}"
        self._connect = connect
        self._resources = resources
        self._lock = Lock()
        self._feed: Feed | None = None
        self._resource: hf.Resource | None = None

    @property
    def feed(self) -> Feed:
        """What asks the exchange; made anew if its resource was cleaned meanwhile.

        Raises:
            RuntimeError: It is not started.
        """
        with self._lock:
            if self._feed is None or self._resource is None:
                raise RuntimeError(f"{self.name} is not started")
            if not self._resource.is_registered:
                self._make()
            return self._feed

    def start(self) -> None:
        """Make what asks the exchange."""
        with self._lock:
            self._make()

    def _make(self) -> None:
        feed = self._connect()
        self._resource = self._resources.register(self.name, "connection", feed.close)
        self._feed = feed

    def stop(self) -> None:
        """Close it; requests on their way fail."""
        with self._lock:
            self._feed = None
        self._resources.cleanup(self.name)

    def touch(self) -> None:
        """Say that it is needed, so that it does not count as idle."""
        resource = self._resource
        if resource is not None:
            resource.touch()
