"""What the native module will have: a handle that follows its gate, and a directory of handles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast._native.gate import Gate

__all__ = ["Directory", "Handle"]


class Handle:
    """Calls through a gate that may be replaced."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._gate: Any = None

    def _turn_to(self, gate: Gate | None) -> None:
        self._gate = gate

    def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call ``fn``."""
        return self._gate.call(fn, *args, **kwargs)

    def try_call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call ``fn`` for an outcome."""
        return self._gate.try_call(fn, *args, **kwargs)

    def acall(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Await ``fn``."""
        return self._gate.acall(fn, *args, **kwargs)

    def try_acall(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Await ``fn`` for an outcome."""
        return self._gate.try_acall(fn, *args, **kwargs)

    def acquire(self) -> Any:
        """Admit one call by hand."""
        return self._gate.acquire()

    def __call__(self, fn: Any, /) -> Any:
        """Guard ``fn``."""
        return self._gate(fn)


class Directory:
    """Handles by name."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    def _missing(self, name: str) -> Any:
        raise NotImplementedError

    def execute(self, name: str, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call ``fn``."""
        handle = self._handles.get(name) or self._missing(name)
        return handle.call(fn, *args, **kwargs)

    def aexecute(self, name: str, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Await ``fn``."""
        handle = self._handles.get(name) or self._missing(name)
        return handle.acall(fn, *args, **kwargs)
