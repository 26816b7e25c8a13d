"""What a plain word of a file or of an environment variable is: a number, a bool, or text.

These are the rules of YAML 1.2: ``no`` and ``012`` and ``1:30`` are text, and a setting that wants
something else refuses them, where YAML 1.1 has false, ten and ninety.
"""

from __future__ import annotations

import re

__all__ = ["plain"]

_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MOST_DIGITS = 100  # beyond that it is no number that anybody means
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def plain(text: str) -> str | int | float | bool | None:
    """Return the value of a word that stands without quotes.

    >>> [plain(word) for word in ("5", "2.0", "true", "no", "60s", "")]
    [5, 2.0, True, 'no', '60s', None]
    """
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if len(text) > _MOST_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
