"""How hooks are told of a retry, and what they return is entered for the time of its pause."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from holdfast.compat.stamina.instrumentation._data import RetryDetails, RetryHook

__all__ = ["Told"]


class Told:
    """The hooks that were told of one retry; a context around its pause.

    Each context manager that a hook has returned is left once, the last one first, however the
    pause ends. None of them ends an error that the pause raises.

    Args:
        hooks: Who is told, at once. If one raises, those before it are left.
        details: Of what.
    """

    __slots__ = ("_contexts",)

    def __init__(self, hooks: tuple[RetryHook, ...], details: RetryDetails) -> None:
        self._contexts = contexts = ExitStack()
        try:
            for hook in hooks:
                answer = hook(details)
                if isinstance(answer, AbstractContextManager):
                    contexts.enter_context(answer)
        except BaseException as error:
            contexts.__exit__(type(error), error, error.__traceback__)
            raise

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._contexts.__exit__(kind, error, traceback)
