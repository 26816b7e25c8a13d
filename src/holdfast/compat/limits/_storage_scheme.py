"""Which storage a URI means, and what is in a URI."""

from __future__ import annotations

import dataclasses
import urllib.parse
from abc import ABCMeta
from typing import TYPE_CHECKING

from holdfast.compat.limits.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["SCHEMES", "StorageRegistry", "StorageURIOptions", "parse_storage_uri"]

SCHEMES: dict[str, StorageRegistry] = {}

# Told when an attribute of a class of storages is replaced, as a test does that makes one fail.
replaced: list[Callable[[str], object]] = []


class StorageRegistry(ABCMeta):
    """Enters each class that has a ``STORAGE_SCHEME`` into ``SCHEMES``."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], dct: dict[str, Any], **kwargs: Any
    ) -> StorageRegistry:
        """Make a class of storages."""
        cls = super().__new__(mcs, name, bases, dct, **kwargs)
        schemes = dct.get("STORAGE_SCHEME") or ()
        for scheme in [schemes] if isinstance(schemes, str) else schemes:
            SCHEMES[scheme] = cls
        return cls

    def __setattr__(cls, name: str, value: object) -> None:
        super().__setattr__(name, value)
        for tell in replaced:
            tell(name)

    def __delattr__(cls, name: str) -> None:
        super().__delattr__(name)
        for tell in replaced:
            tell(name)


@dataclasses.dataclass
class StorageURIOptions:
    """What is in the URI of a storage."""

    scheme: str
    username: str | None
    password: str | None
    locations: list[tuple[str, int]]
    path: str | None
    query: dict[str, list[str]]

    @property
    def empty(self) -> bool:
        """Whether there is nothing but the scheme."""
        named = self.username is not None or self.password is not None
        return not (named or self.locations or self.path or self.query)


def parse_storage_uri(uri: str) -> StorageURIOptions:
    """Return what is in the URI of a storage.

    Raises:
        ConfigurationError: A location has no host or no port, or the port is no number.
    """
    parsed = urllib.parse.urlparse(uri)
    hosts = parsed.netloc.rpartition("@")[2] if "@" in parsed.netloc else parsed.netloc
    try:
        locations = [_location(one) for one in hosts.split(",")] if hosts else []
    except ValueError as error:
        raise ConfigurationError(f"Unable to parse storage uri {uri}") from error
    return StorageURIOptions(
        parsed.scheme,
        parsed.username,
        parsed.password,
        locations,
        parsed.path,
        urllib.parse.parse_qs(parsed.query),
    )


def _location(text: str) -> tuple[str, int]:
    one = urllib.parse.urlparse(f"fake://{text.strip()}")
    if one.hostname is None or one.port is None:
        raise ConfigurationError(f"Missing host or port in location {text}")
    return one.hostname, one.port
