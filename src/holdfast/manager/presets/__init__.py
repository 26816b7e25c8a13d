"""Presets: ready sets of what a manager registers.

>>> from holdfast.manager import presets
>>> presets.get("dwcp").circuit_breakers["sync"]["max_failures"]
3
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.manager.presets.collector import COLLECTOR
from holdfast.manager.presets.dwcp import DWCP
from holdfast.manager.presets.preset import Preset
from holdfast.manager.presets.settings import breaker_settings, retry_settings
from holdfast.manager.presets.standard import STANDARD
from holdfast.validation import Problems, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Presets: TypeAlias = str | Preset | Iterable[str | Preset] | None

__all__ = ["Preset", "breaker_settings", "get", "names", "read", "retry_settings"]

_ALL = {preset.name: preset for preset in (DWCP, COLLECTOR, STANDARD)}


def get(name: str) -> Preset:
    """Return the preset of this name.

    Raises:
        ConfigError: There is none; the message has the nearest name.
    """
    problems = Problems("presets")
    preset = _found(problems, "name", name)
    problems.done()
    assert preset is not None
    return preset


def names() -> tuple[str, ...]:
    """Return the names of the presets that there are."""
    return tuple(_ALL)


def read(problems: Problems, field: str, value: Any) -> tuple[Preset, ...]:
    """Return presets that were given as a name, a ``Preset``, several of both, or None.

    Args:
        problems: Where a name that does not exist is noted.
        field: The name of the argument.
        value: What was given.
    """
    if value is None:
        return ()
    several = isinstance(value, Iterable) and not isinstance(value, str)
    found = [_found(problems, field, one) for one in (value if several else (value,))]
    return tuple(preset for preset in found if preset is not None)


def _found(problems: Problems, field: str, value: Any) -> Preset | None:
    if isinstance(value, Preset):
        return value
    if isinstance(value, str) and value in _ALL:
        return _ALL[value]
    there = ", ".join(map(repr, _ALL))
    problems.refuse(field, value, f"{there}, or a Preset{nearest(value, tuple(_ALL))}")
    return None
