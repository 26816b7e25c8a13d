"""Whether policies enforce, observe or stand aside.

The process has one mode, from the environment variable ``HOLDFAST_MODE``, read once; a policy
may be given its own. Elsewhere: what a policy does in each mode.
"""

from __future__ import annotations

import os
from enum import StrEnum

from holdfast.validation import Problems

__all__ = ["Mode", "process_mode", "read_mode"]

VARIABLE = "HOLDFAST_MODE"


class Mode(StrEnum):
    """How a policy applies its decisions.

    ENFORCE applies them. OBSERVE neither rejects nor delays a call, and counts the calls that
    would have been rejected or delayed. OFF passes all calls and counts none.

    Each mode is a string, its value: ``f"{Mode.OFF}"`` is "off".

    Safe to share between threads and event loops.

    >>> Mode("observe")
    <Mode.OBSERVE: 'observe'>
    """

    ENFORCE = "enforce"
    OBSERVE = "observe"
    OFF = "off"


_of_process: Mode | None = None


def process_mode() -> Mode:
    """Return the mode of this process: ``HOLDFAST_MODE`` at the time of the first use.

    Safe to call from any thread.

    Raises:
        ConfigError: The value is not enforce, observe or off.
    """
    global _of_process  # noqa: PLW0603 - the one setting of the process, read once
    mode = _of_process
    if mode is None:
        mode = _of_process = _read_variable()
    return mode


def read_mode(problems: Problems, value: Mode | str | None) -> Mode:
    """Return the mode that a policy was given; for None, the mode of the process."""
    if value is None:
        return process_mode()
    return _parse(problems, "mode", value)


def _read_variable() -> Mode:
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return Mode.ENFORCE
    problems = Problems("the environment")
    mode = _parse(problems, VARIABLE, text.lower())
    problems.done()
    return mode


def _parse(problems: Problems, field: str, value: object) -> Mode:
    if isinstance(value, Mode):
        return value
    names = [mode.value for mode in Mode]
    if isinstance(value, str) and value in names:
        return Mode(value)
    problems.refuse(field, value, "one of " + ", ".join(names))
    return Mode.ENFORCE
