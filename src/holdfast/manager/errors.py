"""What a manager raises of its own."""

from __future__ import annotations

from holdfast.errors import HoldfastError

__all__ = ["UnprotectedError"]


class UnprotectedError(HoldfastError, LookupError):
    """A call under a name without policies, which would be unprotected.

    The function did not run.
    """

    code = "UNPROTECTED"
    summary = "no policy is registered under this name"
