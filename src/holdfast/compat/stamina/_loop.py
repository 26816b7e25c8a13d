"""The attempts of one generator, or of one block in a loop.

Elsewhere: whether another attempt follows (``_plan``), the public face (``_core``).
"""

from __future__ import annotations

from holdfast.compat._retrying import is_final
from holdfast.compat.stamina._plan import Retried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from holdfast.compat._retrying import FaceRetry
    from holdfast.compat.stamina._plan import Judge, Plan

__all__ = ["BLOCK", "Block", "Loop"]

# What hooks are told of a block: its name and its arguments.
BLOCK: tuple[str, tuple[Any, ...], dict[str, Any]] = ("<context block>", (), {})


def _nothing() -> None:
    """Stand for a block where faults strike calls."""


async def _anothing() -> None:
    """Stand for a block where faults strike calls of a task."""


class Loop:
    """One course of attempts. Belongs to one thread or task.

    Attributes:
        number: Which attempt it is, from 1; 0 before the first.
        failed: Whether it has failed.
    """

    __slots__ = (
        "_about",
        "_call",
        "_error",
        "_judge",
        "_plan",
        "_since",
        "failed",
        "number",
        "policy",
    )

    def __init__(
        self,
        policy: FaceRetry,
        plan: Plan,
        judge: Judge,
        about: tuple[str, tuple[Any, ...], dict[str, Any]],
    ) -> None:
        self.number = 0
        self.failed = False
        self.policy = policy
        self._plan = plan
        self._judge = judge
        self._about = about
        self._since = 0.0
        self._call: Retried | None = None  # from the first failure on
        self._error: BaseException | None = None  # where nothing is judged

    def goes_on(self) -> bool:
        """Wait for the next attempt that no fault strikes. False: none follows."""
        while not self.number or (self.failed and self._call is not None and self._call.follows()):
            self._begin()
            if self.policy.faults is None:
                return True
            try:
                self.policy.run(_nothing, (), {})
            except BaseException as error:  # noqa: BLE001 - it is judged, and raised again
                self.fail(error)
            else:
                return True
        return False

    async def agoes_on(self) -> bool:
        """Do what ``goes_on`` does, in a task of asyncio or trio."""
        while not self.number or (
            self.failed and self._call is not None and await self._call.afollows()
        ):
            self._begin()
            if self.policy.faults is None:
                return True
            try:
                await self.policy.arun(_anothing, (), {})
            except BaseException as error:  # noqa: BLE001
                self.fail(error)
            else:
                return True
        return False

    def _begin(self) -> None:
        if not self.number and self._plan.timeout is not None:
            self._since = self.policy.now()
        self.number += 1
        self.failed = False

    def fail(self, error: BaseException) -> None:
        """Take note that the attempt has raised."""
        self.failed = True
        if self.policy.is_off:
            self._error = error
        elif self._call is None:
            self._call = Retried(
                self.policy, self._plan, self._judge, self._since, self._about, error
            )
        else:
            self._call.error = error

    def succeed(self) -> None:
        """Take note that the attempt has ended well."""
        self.failed = False
        if self._call is not None:
            self._call.succeed()
        elif not self.policy.is_off:
            self.policy.count_success(0)

    def refuse(self, error: BaseException) -> None:
        """Take note that the attempt was ended by its caller, who has the error."""
        self.fail(error)
        if self._call is not None:
            self._call.refuse(error)
        self.take()

    def leave(self) -> None:
        """Take note that nobody asks for another attempt."""
        if self.failed and self._call is not None and not self._call.ended:
            self._call.stop(GeneratorExit())
            self.take()

    def take(self) -> BaseException:
        """Return the error of the last attempt, which is the caller's: this lets go of it."""
        if self._call is not None:
            return self._call.take()
        error, self._error = self._error, None
        assert error is not None  # of an attempt that has failed
        return error


class Block:
    """One attempt at a block: what it ends with. It says of itself what tenacity's states say."""

    __slots__ = ("_loop", "attempt_number")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.attempt_number = loop.number

    @property
    def retry_state(self) -> Self:
        """Who knows the number of the attempt."""
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            self._loop.succeed()
            return False
        if is_final(error):
            self._loop.refuse(error)
            return False
        self._loop.fail(error)  # the loop raises it, unless another attempt follows
        return True
