"""What a resource manager raises of its own. Elsewhere: invalid settings (``ConfigError``)."""

from __future__ import annotations

from holdfast.errors import HoldfastError

__all__ = ["ResourceLimitError"]


class ResourceLimitError(HoldfastError, RuntimeError):
    """A resource was not registered: a limit of its manager allows no more.

    Its category is "resource": after it ``gather_or_sequential`` goes on one by one.

    Attributes:
        name: The name of the manager.
        kind: The kind of the resource.
        limit: The limit, of the kind or of all kinds together.
        active: How much of it is in use.
        is_total: Whether it is the limit of all kinds together.

    >>> str(ResourceLimitError("shop", "connection", 100, 100))
    "resource manager 'shop': 100 of 100 of kind 'connection' are registered"
    """

    code = "RESOURCE_LIMIT"
    summary = "resource limit reached"
    name: str
    kind: str
    limit: int
    active: int
    is_total: bool

    def __init__(
        self, name: str, kind: str, limit: int, active: int, is_total: bool = False
    ) -> None:
        super().__init__(name, kind, limit, active, is_total)  # what makes a copy
        self.name = name
        self.kind = kind
        self.limit = limit
        self.active = active
        self.is_total = is_total

    def __str__(self) -> str:
        of = "resources" if self.is_total else f"of kind {self.kind!r}"
        what = f", so none of kind {self.kind!r} was added" if self.is_total else ""
        return (
            f"resource manager {self.name!r}: {self.active} of {self.limit} {of} are"
            f" registered{what}"
        )
