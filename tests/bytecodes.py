"""Tracing each bytecode, as a signal handler or a finaliser may run between two."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

Trace = Callable[[FrameType, str, Any], Any]


def trace_bytecodes(trace: Trace) -> None:
    """``sys.settrace`` for a function that sets ``f_trace_opcodes`` of the frames it sees.

    CPython 3.12 looks only when ``settrace`` is called whether any frame has asked for it.
    """
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
