"""Bulkhead: so many calls at once."""

from holdfast.policies.bulkhead.bulkhead import Bulkhead

__all__ = ["Bulkhead"]
