"""Options that the examples share: how long a run lasts, and where it logs."""

from __future__ import annotations

import argparse
import logging
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST = 604_800  # seconds: a week


def seconds(text: str) -> float:
    """Return how long a run lasts; for ``type=`` of an argument.

    Raises:
        argparse.ArgumentTypeError: It is no possible length.
    """
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if 0 < found <= _LONGEST:
        return found
    raise argparse.ArgumentTypeError(f"got {text!r}, allowed: more than 0, up to {_LONGEST}")


def log_to(file: Path | None) -> str | None:
    """Log to a file, or nowhere; return why that cannot be, in a sentence."""
    root = logging.getLogger()
    if file is None:
        root.addHandler(logging.NullHandler())  # what a run tells is what matters
        return None
    try:
        handler = logging.FileHandler(file)
    except OSError as error:
        return f"--log {file}: cannot be written: {error.strerror}"
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # A line for each request would hide all others.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return None
