"""Records of ``logging`` as JSON, one line each.

Elsewhere: which records there are (``records``), and what is taken for a secret (``redaction``).
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from math import isfinite

from holdfast.redaction import is_secret_name, redact_long
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["JsonFormatter"]

_DEEPEST = 5
_MOST_ITEMS = 100
# What each record of logging has; all else was added by who logs.
_OF_LOGGING = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_OURS = ("timestamp", "level", "logger", "message", "error", "traceback", "stack")


class JsonFormatter(logging.Formatter):
    r"""Formats each record as one line of JSON.

    A line has "timestamp" (UTC), "level", "logger" and "message"; of an exception "error" and
    "traceback"; and the fields of the record: those of holdfast, and those of ``extra``. A field
    of one of these names gets a ``_`` at its end. Line breaks, control characters and all that is
    not ASCII are escaped. Secrets are replaced by ``***``: values of fields such as "password",
    and passwords, keys and tokens in a text.

    Args:
        redact: Whether to replace secrets.
        fields: Further fields of each line, such as ``component="collector"``.

    Raises:
        ConfigError: ``redact`` is not a bool, or a field has one of the names above.

    Values that JSON does not have are shown as text: each record gives a line. Safe to share
    between threads and handlers.

    >>> record = logging.makeLogRecord({"msg": "two\nlines", "levelname": "INFO", "name": "shop"})
    >>> json.loads(JsonFormatter(flow="prices").format(record))["message"]
    'two\nlines'
    """

    def __init__(self, *, redact: bool = True, **fields: object) -> None:
        super().__init__()
        problems = Problems("JsonFormatter")
        self._redacts = problems.flag("redact", redact)
        for name in fields:
            if name in _OURS:
                problems.refuse("fields", name, f"names other than {', '.join(_OURS)}")
        problems.done()
        self._fields = {name: self._value(name, fields[name], 0) for name in fields}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without the line break at its end."""
        line: dict[str, Any] = {
            "timestamp": _safely(_time_of, record),
            "level": self._value(None, record.levelname, 0),
            "logger": self._value(None, record.name, 0),
            "message": self._text(_message_of(record)),
            **self._fields,
        }
        for name, value in list(vars(record).items()):
            if name not in _OF_LOGGING:
                line[f"{name}_" if name in _OURS else str(name)] = self._value(name, value, 0)
        if record.exc_info:
            line["error"] = _error_in(record.exc_info)
            record.exc_text = record.exc_text or _safely(self.formatException, record.exc_info)
        if record.exc_text:
            line["traceback"] = self._text(_safely(str, record.exc_text))
        if record.stack_info:
            line["stack"] = self._text(_safely(str, record.stack_info))
        return json.dumps(line, allow_nan=False)

    def _text(self, text: str) -> str:
        return redact_long(text) if self._redacts else text

    def _value(self, name: object, value: Any, depth: int) -> Any:
        """Return a value that JSON has: numbers and texts as they are, others as text."""
        try:
            return self._as_json(name, value, depth)
        except Exception:  # noqa: BLE001 - the user's object, such as a proxy of nothing
            return self._text(_safely(str, value))

    def _as_json(self, name: object, value: Any, depth: int) -> Any:
        if value is None:
            return value
        if isinstance(value, bool):
            return bool(value)
        if self._redacts and isinstance(name, str) and is_secret_name(name):
            return "***"
        if isinstance(value, int):
            return int(value) if value.bit_length() <= 64 else _safely(hex, value)
        if isinstance(value, float):
            return float(value) if isfinite(value) else repr(float(value))
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if depth < _DEEPEST and isinstance(value, dict):
            return self._items(value.items(), depth)
        names: Any = getattr(value, "_fields", None) if isinstance(value, tuple) else None
        if depth < _DEEPEST and names is not None:  # a named tuple
            return self._items(zip(names, value, strict=True), depth)
        if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
            several = list(value)[:_MOST_ITEMS]
            # Of a pair, such as a header, the first may be the name of the second.
            names = [None, _safely(str, several[0])] if _is_pair(value) else [None] * len(several)
            return [
                self._value(its, one, depth + 1) for its, one in zip(names, several, strict=True)
            ]
        return self._text(_safely(str, value))

    def _items(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        named = [(_safely(str, key), one) for key, one in list(items)[:_MOST_ITEMS]]
        return {self._text(key): self._value(key, one, depth + 1) for key, one in named}


def _is_pair(value: Any) -> bool:
    """Return whether the first of two may be the name of the second."""
    return (
        isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], (str, bytes))
    )


def _error_in(given: Any) -> str | None:
    """Return the class of the exception that a record has: by itself, or as logging has it."""
    error = given[1] if isinstance(given, tuple) and len(given) == 3 else given
    return type(error).__qualname__ if isinstance(error, BaseException) else None


def _time_of(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def _message_of(record: logging.LogRecord) -> str:
    try:
        return str.__str__(record.getMessage())
    except Exception as error:  # noqa: BLE001 - of who logs; the record is shown all the same
        return f"{_safely(repr, record.msg)} ({type(error).__name__}: its arguments do not fit)"


def _safely(make: Any, value: Any) -> str:
    try:
        return str.__str__(make(value))
    except Exception as error:  # noqa: BLE001 - the user's object
        return f"<{type(error).__name__} in its text>"
