"""What a callable is called, for those who are told of its retries, and what has no name."""

from __future__ import annotations

import sys

__all__ = ["guess_name", "module_of_caller"]


def guess_name(obj: object) -> str:
    """Return the module and the qualified name of a callable; of a builtin only the latter.

    Args:
        obj: Anything; what it does not tell is replaced by a text in angle brackets.

    >>> guess_name(ValueError)
    'ValueError'
    """
    name = getattr(obj, "__qualname__", None) or "<unnamed object>"
    module = getattr(obj, "__module__", None) or "<unknown module>"
    return str(name) if module == "builtins" else f"{module}.{name}"


def module_of_caller() -> str:
    """Return the name of the module that called who calls this."""
    name = sys._getframe(2).f_globals.get("__name__")
    return name if isinstance(name, str) else "<unknown module>"
