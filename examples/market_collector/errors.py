"""What an exchange can do wrong, in classes that policies tell apart.

Errors of the connection stay those of httpx, whose categories holdfast knows.
"""

from __future__ import annotations

from holdfast.categories import register

__all__ = [
    "BusyError",
    "ClosedError",
    "ExchangeError",
    "GarbageError",
    "RefusedError",
    "UnavailableError",
]


class ExchangeError(Exception):
    """An exchange did not give what it was asked for.

    Attributes:
        exchange: Its name.
    """

    def __init__(self, exchange: str, message: str) -> None:
        super().__init__(f"{exchange}: {message}")
        self.exchange = exchange


class BusyError(ExchangeError):
    """The exchange wants to be asked later: status 429, or 503 with a time. It works.

    Attributes:
        retry_after: Seconds until it may be asked again, which a retry waits; None: it has not
            said.
        was_asked: False if it was left alone, because it had said so before.
    """

    def __init__(
        self, exchange: str, retry_after: float | None = None, *, was_asked: bool = True
    ) -> None:
        when = "later" if retry_after is None else f"in {retry_after:.3g} s"
        super().__init__(exchange, f"busy, ask again {when}")
        self.retry_after = retry_after
        self.was_asked = was_asked


class UnavailableError(ExchangeError):
    """The exchange reports a failure of its own: a status of 500 to 599, or 408.

    Attributes:
        status: The status.
    """

    def __init__(self, exchange: str, status: int) -> None:
        super().__init__(exchange, f"status {status}")
        self.status = status


class RefusedError(ExchangeError):
    """The exchange refuses this request, and would again: another status of 300 to 499.

    Attributes:
        status: The status.
    """

    def __init__(self, exchange: str, status: int, asked: str) -> None:
        super().__init__(exchange, f"status {status} for {asked}")
        self.status = status


class GarbageError(ExchangeError):
    """The exchange has answered with something that is no answer; asking again is no help."""


class ClosedError(ExchangeError):
    """The client was closed."""

    def __init__(self, exchange: str) -> None:
        super().__init__(exchange, "the client is closed")


register(BusyError, "transient")
register(UnavailableError, "transient")
register(RefusedError, "permanent")
register(GarbageError, "permanent")
register(ClosedError, "logic")
