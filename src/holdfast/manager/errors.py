"""What a manager raises of its own."""

from __future__ import annotations

from holdfast.errors import HoldfastError

__all__ = ["UnprotectedError"]


class UnprotectedError(HoldfastError, LookupError):
    """A call under a name for which nothing is registered, so nothing would protect it.

    The function did not run.
    """

    code = "UNPROTECTED"
    summary = "nothing is registered under this name"
