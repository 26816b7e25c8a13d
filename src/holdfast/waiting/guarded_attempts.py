"""`for attempt in pipeline.attempts():` and `async for`: a pipeline around a block of code.

What is outside of the retry is entered once, for the whole loop. What is inside of it is entered
for each attempt, when the loop asks for it: so a refusal may be tried again, as that of a call may.
Both are gates of their own, which nobody else enters: they hold one entry each, and give it back
when they die with a loop that was left.

Elsewhere: the loop and the decision (``attempts``), entering and leaving (``entry_open.c`` of
``csrc/python``).
"""

from __future__ import annotations

from holdfast.waiting.attempts import Attempts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast._native.gate import Gate
    from holdfast.waiting.attempts import Attempt
    from holdfast.waiting.blocks import Block

__all__ = ["GuardedAttempts"]


class GuardedAttempts(Attempts):
    """The attempts of one block that the policies around a retry and inside of it guard as well.

    Iterate over it once, in one thread or task.
    """

    __slots__ = (
        "_began_ns",
        "_blocks",
        "_blocks_outside",
        "_ends",
        "_gates",
        "_inside",
        "_outside",
        "_pipeline",
        "_ran",
    )

    def __init__(self, pipeline: Gate, policy: Gate, outer: Gate, inner: Gate) -> None:
        super().__init__(policy)
        self._pipeline = pipeline
        self._began_ns: int | None = None  # None: not yet
        self._gates: tuple[Gate, Gate] | None = (outer, inner)  # None: it is over
        self._blocks: list[Block] = []  # of the timeouts that are entered in a task
        self._blocks_outside = 0
        self._ends = pipeline._ends  # of an operation, which counts retries and timeouts as well
        if self._ends is not None:
            outer._keep_ends(self._ends)
            inner._keep_ends(self._ends)
        self._outside = False  # what is outside of the retry is entered
        self._inside = False  # so is what is inside of it
        self._ran = False  # the block did

    def __next__(self) -> Attempt:
        self._begin_block()
        while self._gates is not None:
            outer, inner = self._gates
            try:
                if not self._outside:
                    outer.__enter__()
                    self._outside = True
                attempt = super().__next__()
            except StopIteration:
                self._drop()
                raise
            except BaseException as error:
                self._end(error)
                raise
            try:
                inner.__enter__()
            except BaseException as error:
                self._ran |= getattr(error, "_injected", False) is True  # in place of the block
                if not self._follows(error):
                    raise
                continue
            self._inside = True
            return attempt
        raise StopIteration

    async def __anext__(self) -> Attempt:
        self._begin_block()
        while self._gates is not None:
            outer, inner = self._gates
            try:
                if not self._outside:
                    await self._aenter(outer)
                    self._outside = True
                    self._blocks_outside = len(self._blocks)
                attempt = await super().__anext__()
            except StopAsyncIteration:
                self._drop()
                raise
            except BaseException as error:
                self._end(error)
                raise
            try:
                await self._aenter(inner)
            except BaseException as error:
                self._ran |= getattr(error, "_injected", False) is True  # in place of the block
                if not self._follows(error):
                    raise
                continue
            self._inside = True
            return attempt
        raise StopAsyncIteration

    def __del__(self) -> None:
        super().__del__()
        if getattr(self, "_began_ns", None) is not None:
            self._drop()

    def _begin_again(self, delay_ns: int) -> Attempt:
        attempt = super()._begin_again(delay_ns)
        if self._ends is not None:
            self._ends.count_retry()
        return attempt

    def _begin_block(self) -> None:
        if self._began_ns is None:
            self._began_ns = self._pipeline._block_begins()

    def _drop(self) -> None:
        """Give all back: an attempt was granted and is never made, or its end is not known."""
        gates, self._gates = self._gates, None
        if gates is not None:
            self._count(GeneratorExit())

    def _count(self, error: BaseException | None) -> None:
        """Count how the block has ended, as a call of the pipeline."""
        began_ns = -1 if self._began_ns is None else self._began_ns
        self._pipeline._block_ended(error, began_ns, self._failed)

    async def _aenter(self, gate: Gate) -> None:
        from holdfast.waiting.blocks import open_within

        await open_within(self._blocks, gate)

    def _made(self, attempt: Attempt, error: BaseException | None, result: Any) -> bool:
        raised = self._leave_inner(error, result, attempt._returned)
        returned = attempt._returned and raised is None
        if self._follows(raised, result, returned):
            attempt.error = raised
            return True
        if raised is error:
            return False
        try:
            raise raised  # type: ignore[misc]  # instead of the block's
        finally:
            del error, raised  # they hold this frame

    def _leave_inner(
        self, error: BaseException | None, result: Any, returned: bool
    ) -> BaseException | None:
        """Leave what is inside of the retry; return what is raised instead of ``error``."""
        gates, inside = self._gates, self._inside
        self._inside = False
        self._ran = True
        self._failed = False
        del self._blocks[self._blocks_outside :]
        if gates is not None and inside:
            try:
                self._failed = gates[1]._leave_entry(error, result, returned, True)
            except BaseException as other:  # noqa: BLE001 - judged as if the block had raised it
                return other.with_traceback(None)  # of frames that hold the attempt
        return error

    def _follows(
        self, error: BaseException | None, result: Any = None, returned: bool = False
    ) -> bool:
        """Return whether another attempt follows; else leave what is outside of the retry."""
        try:
            follows = self._judge(error, result, returned)
        except BaseException as other:
            self._end(other)
            raise
        if not follows:
            self._end(error, result, returned)
        return follows

    def _end(self, error: BaseException | None, result: Any = None, returned: bool = False) -> None:
        gates, self._gates = self._gates, None
        if gates is None:
            return
        try:
            if self._outside:
                self._failed |= gates[0]._leave_entry(error, result, returned, self._ran)
        except BaseException as other:
            self._count(other)
            raise
        self._count(error)
