"""Fallback: what stands in for a call that failed."""

from holdfast.policies.fallback.fallback import Fallback

__all__ = ["Fallback"]
