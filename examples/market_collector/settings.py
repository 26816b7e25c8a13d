"""The settings of the collector: ``config/error_recovery.yaml``, and the environment before it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.agent.config import CollectorSettings, load

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE", "read_settings"]

FILE = Path(__file__).with_name("config") / "error_recovery.yaml"


def read_settings(
    file: Path | str | None = FILE, environ: Mapping[str, str] | None = None
) -> CollectorSettings:
    """Return the settings.

    Args:
        file: The file; None for the environment only.
        environ: The environment; None for that of the process.

    Raises:
        ConfigError: Something is wrong; ``problems`` has a line for each.
    """
    return load(CollectorSettings, file, environ=environ)
