"""Limits as text, what a window shows, and modules that a storage needs."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections import UserDict
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from holdfast.compat.limits.errors import ConfigurationError
from holdfast.compat.limits.limits import GRANULARITIES, RateLimitItem

if TYPE_CHECKING:
    from packaging.version import Version  # that of whoever says which version a storage needs

__all__ = [
    "EXPR",
    "SEPARATORS",
    "SINGLE_EXPR",
    "Dependency",
    "DependencyDict",
    "LazyDependency",
    "MissingModule",
    "WindowStats",
    "get_dependency",
    "get_package_data",
    "granularity_from_string",
    "parse",
    "parse_many",
]

SEPARATORS = re.compile(r"[,;|]{1}")
SINGLE_EXPR = re.compile(
    r"""
    \s*([0-9]+)
    \s*(/|\s*per\s*)
    \s*([0-9]+)?
    \s*([a-z]+)
    \s*
    """,
    re.IGNORECASE | re.VERBOSE,
)
EXPR = re.compile(
    rf"^{SINGLE_EXPR.pattern}(:?{SEPARATORS.pattern}{SINGLE_EXPR.pattern})*$",
    re.IGNORECASE | re.VERBOSE,
)


class WindowStats(NamedTuple):
    """The state of one who is limited.

    Attributes:
        reset_time: When the window is reset, in seconds since 1970.
        remaining: The hits that are left.
    """

    reset_time: float
    remaining: int


@dataclasses.dataclass
class Dependency:
    """A module that a storage needs."""

    name: str
    version_required: Version | None
    version_found: Version | None
    module: ModuleType


MissingModule = ModuleType("Missing")


class DependencyDict(UserDict[str, Dependency]):
    """Modules by name. One that is missing or too old is refused where it is asked for."""

    def __getitem__(self, key: str) -> Dependency:
        """Return a module that is there and new enough.

        Raises:
            ConfigurationError: It is missing, or too old.
        """
        one = super().__getitem__(key)
        if one.module is MissingModule:
            least = one.version_required
            text = f" A minimum version of {least} is required." if least else ""
            raise ConfigurationError(f"'{one.name}' prerequisite not available.{text}")
        if one.version_required and (
            not one.version_found or one.version_found < one.version_required
        ):
            raise ConfigurationError(
                f"The minimum version of {one.version_required} for '{one.name}' could not be "
                f"found. Found version: {one.version_found}"
            )
        return one


class LazyDependency:
    """Imports what a class needs when it is asked for."""

    DEPENDENCIES: dict[str, Version | None] | list[str] = []  # noqa: RUF012

    def __init__(self) -> None:
        self._dependencies: DependencyDict = DependencyDict()

    @property
    def dependencies(self) -> DependencyDict:
        """The modules named in ``DEPENDENCIES``."""
        if not getattr(self, "_dependencies", None):
            wanted = self.DEPENDENCIES
            least = wanted if isinstance(wanted, dict) else dict.fromkeys(wanted)
            found = DependencyDict()
            for name, version_required in least.items():
                module, version = get_dependency(name)
                found[name] = Dependency(name, version_required, version, module)
            self._dependencies = found
        return self._dependencies


def get_dependency(module_path: str) -> tuple[ModuleType, Version | None]:
    """Return a module and its version; ``MissingModule`` and None if it cannot be imported."""
    try:
        module = import_module(module_path)
    except ImportError:
        return MissingModule, None
    try:
        from packaging.version import Version
    except ImportError:  # then nobody can have asked for a version
        return module, None
    root = sys.modules[module_path.partition(".")[0]]
    return module, Version(getattr(root, "__version__", "0.0.0"))


def get_package_data(path: str) -> bytes:
    """Return a file of limits, which has to be installed."""
    from importlib.resources import files

    return files("limits").joinpath(path).read_bytes()


def parse_many(limit_string: str) -> list[RateLimitItem]:
    """Return the limits that a text names: ``"1/second; 5 per 2 minutes"``.

    Raises:
        ValueError: The text names no limits.
    """
    given: object = limit_string
    if not (isinstance(given, str) and EXPR.match(given)):
        raise ValueError(f"couldn't parse rate limit string '{limit_string}'")
    limits: list[RateLimitItem] = []
    for one in SEPARATORS.split(limit_string):
        if match := SINGLE_EXPR.match(one):
            amount, _, multiples, word = match.groups()
            limits.append(granularity_from_string(word)(int(amount), int(multiples or 0) or None))
    return limits


def parse(limit_string: str) -> RateLimitItem:
    """Return the first limit that a text names: ``"1/second"`` or ``"1 per second"``.

    Raises:
        ValueError: The text names no limit.
    """
    return parse_many(limit_string)[0]


def granularity_from_string(granularity_string: str) -> type[RateLimitItem]:
    """Return the class of items whose unit of time a word means.

    Raises:
        ValueError: There is none.
    """
    for one in GRANULARITIES.values():
        if one.check_granularity_string(granularity_string):
            return one
    raise ValueError(f"no granularity matched for {granularity_string}")
