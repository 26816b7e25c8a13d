"""Names of a package that are imported when somebody asks for them, so that the import is quick."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

__all__ = ["import_later"]


def import_later(
    package: str, modules: Mapping[str, str], names: Iterable[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: Its full name.
        modules: By public name, the module of the package that defines it.
        names: All public names.
    """
    there = sys.modules[package].__dict__

    def find(name: str) -> Any:
        if (module := modules.get(name)) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        value = there[name] = getattr(import_module(f"{package}.{module}"), name)
        return value

    def listed() -> list[str]:
        return sorted({*names, *(name for name in there if name.startswith("__"))})

    return find, listed
