"""Whose face this is."""

from __future__ import annotations

__all__ = ["__version__", "__version_tuple__", "version", "version_tuple"]

__version__ = version = "9.2.1"
__version_tuple__: tuple[int | str, ...] = (9, 2, 1)
version_tuple: tuple[int | str, ...] = __version_tuple__
