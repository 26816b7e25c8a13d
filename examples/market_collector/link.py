"""Link: what asks one exchange, as a component: it is made at the start, and closed at the end.

Worker and backfiller of an exchange depend on it, and share what it has: what an exchange has said
to one of them, as when to be asked again, holds for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.supervision import Component

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

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

    def __init__(self, exchange: str, connect: Callable[[], Feed], resources: Any) -> None:
        self.name = f"client:{exchange}"
        self._connect = connect
        self._resources = resources
        self._feed: Feed | None = None
        self._resource: Any = None

    @property
    def feed(self) -> Feed:
        """What asks the exchange.

        Raises:
            RuntimeError: It is not started.
        """
        feed = self._feed
        if feed is None:
            raise RuntimeError(f"{self.name} is not started")
        return feed

    def start(self) -> None:
        """Make what asks the exchange."""
        feed = self._connect()
        self._resource = self._resources.register(self.name, "connection", feed.close)
        self._feed = feed

    def stop(self) -> None:
        """Close it; requests on their way fail."""
        self._feed = None
        self._resources.cleanup(self.name)

    def using(self) -> AbstractContextManager[Any]:
        """Return a block in which it is in use, so that it does not count as idle."""
        block: AbstractContextManager[Any] = self._resource.using()
        return block
