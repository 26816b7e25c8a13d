"""What an attempt has come to, as a future that is done."""

from __future__ import annotations

import concurrent.futures
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

__all__ = ["Future"]


class Future(concurrent.futures.Future[Any]):
    """The outcome of one attempt.

    Args:
        attempt_number: Which attempt it is, from 1.

    Attributes:
        attempt_number: The same.

    Safe to share between threads once it is done.
    """

    def __init__(self, attempt_number: int) -> None:
        super().__init__()
        self.attempt_number = attempt_number

    @property
    def failed(self) -> bool:
        """Whether the attempt raised."""
        return self.exception() is not None

    @classmethod
    def construct(cls, attempt_number: int, value: Any, has_exception: bool) -> Self:
        """Return a future that is done.

        Args:
            attempt_number: Which attempt it is, from 1.
            value: What the attempt has returned or raised.
            has_exception: Whether it was raised.
        """
        future = cls(attempt_number)
        if has_exception:
            future.set_exception(value)
        else:
            future.set_result(value)
        return future

    def __reduce__(self) -> Any:
        error = self.exception(0)
        value = self.result() if error is None else error
        return type(self).construct, (self.attempt_number, value, error is not None)
