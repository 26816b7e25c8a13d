"""What behaves otherwise in the face of a library than in the library, as data.

One module per library, named after it, with a tuple ``DIFFERENCES``. ``holdfast migrate`` prints
each text at the uses it concerns; ``docs/migration.md`` has the same as a list.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LIBRARIES", "VERSIONS", "Difference", "differences_of"]

# The libraries that have a face in holdfast.compat, under the names that programs import, and the
# versions whose faces they are.
VERSIONS = {
    "aiobreaker": "1.2.0",
    "aiolimiter": "1.3.0",
    "backoff": "2.2.1",
    "circuitbreaker": "2.1.3",
    "limits": "5.8.0",
    "pybreaker": "1.4.1",
    "stamina": "26.1.0",
    "tenacity": "9.2.1",
}
LIBRARIES = tuple(VERSIONS)


class Difference(NamedTuple):
    """Something that a face does otherwise than the library.

    Attributes:
        names: The public names whose use it concerns, without the library's own name. ``"retry"``
            is a name of the library, also of one of its submodules (``asyncio.retry`` is that of
            this submodule only). ``"CircuitBreaker.exclude"`` is the argument ``exclude`` where a
            ``CircuitBreaker`` is made, and the attribute of this name of one; in the same way
            ``"retry.reraise"`` is an argument of the decorator ``retry``, and
            ``"retry.statistics"`` an attribute of what it has decorated. Empty: it concerns
            whoever imports the library.
        text: One plain sentence, with a full stop, that makes sense alone: what the face does, and
            what the library does instead. The names of arguments and classes stand in backticks.
    """

    names: tuple[str, ...]
    text: str


def differences_of(library: str) -> tuple[Difference, ...]:
    """Return what the face of a library does otherwise.

    Args:
        library: One of ``LIBRARIES``.

    Raises:
        ValueError: It is none of them.
    """
    if library not in LIBRARIES:
        raise ValueError(f"library: got {library!r}, allowed one of {', '.join(LIBRARIES)}")
    from importlib import import_module

    found: tuple[Difference, ...] = import_module(f"{__name__}.{library}").DIFFERENCES
    return found
