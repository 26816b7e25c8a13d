"""All that is wrong with a configuration, gathered with the place where it was written.

A value is shown short, on one line, and without secrets. Elsewhere: what is wrong.
"""

from __future__ import annotations

from holdfast.agent.config.places import Place, dotted
from holdfast.errors import ConfigError
from holdfast.redaction import is_secret_name, redact
from holdfast.validation import nearest, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from holdfast.agent.config.places import Path

__all__ = ["Reports", "shown_key"]

_HIDDEN = "***"
_MOST_KEY = 60  # letters of a key, as a message shows it
_MOST_NAMES = 12
_MOST_FOUND = 50  # that are told


class Reports:
    """What is wrong, with its places. Not shared between threads."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: list[tuple[tuple[bool, Place], str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def refuse(
        self, place: Place, path: Path, value: Any, allowed: str, *, secret: bool = False
    ) -> None:
        """Note a value that must not be there."""
        names = (*(one for one in path if isinstance(one, str)), place.source)
        names = names if place.is_variable else names[:-1]
        got = _HIDDEN if secret or any(map(is_secret_name, names)) else _shown(value)
        key = "" if place.is_variable or not path else f" {shown_key(path)}:"
        self._note(place, f"{place}:{key} got {got}, allowed {allowed}")

    def refuse_key(self, place: Place, path: Path, known: Iterable[str]) -> None:
        """Note a key that nothing reads; its value may be a misspelt secret and is not shown."""
        if len(self._found) >= _MOST_FOUND:  # to look for similar names takes long
            self._note(place, "")
            return
        there = tuple(known)
        key = str(path[-1])[:_MOST_KEY]
        listed = ", ".join(there[:_MOST_NAMES]) + (", …" if len(there) > _MOST_NAMES else "")
        self._note(
            place,
            f"{place}: {shown_key(path)}: got the key {_shown(key)}, allowed a key that exists"
            f"{nearest(key, there)}; there are {listed or 'none'}",
        )

    def say(self, place: Place, text: str) -> None:
        """Note something that is not about one value, such as a syntax error."""
        text = redact(text)
        self._note(place, f"{place}: {text if text.isprintable() else ascii(text)[1:-1]}")

    def done(self) -> None:
        """Raise if anything was noted.

        Raises:
            ConfigError: With everything, in the order of the file, variables last.
        """
        if self._found:
            told, more = sorted(self._found[:_MOST_FOUND]), len(self._found) - _MOST_FOUND
            texts = [text for _, text in told]
            if more > 0:
                texts.append(f"and {more} more")
            raise ConfigError("; ".join(texts), texts)

    def _note(self, place: Place, text: str) -> None:
        self._found.append(((place.is_variable, place), text))


def shown_key(path: Path) -> str:
    """Return keys as one word for a message: short, and on one line."""
    text = dotted(tuple(one if isinstance(one, int) else one[:_MOST_KEY] for one in path))
    return text if text.isprintable() else ascii(text)[1:-1]


def _shown(value: Any) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, str):
        return shown(redact(value[:1000]))
    if isinstance(value, dict):
        return f"a section with {_counted(value, 'key')}"
    if isinstance(value, list):
        return f"a list of {_counted(value, 'item')}"
    if value is None:
        return "nothing"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else shown(value)


def _counted(value: Any, word: str) -> str:
    return f"{len(value)} {word}" if len(value) == 1 else f"{len(value)} {word}s"
