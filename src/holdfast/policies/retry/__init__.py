"""Retry: tries again what failed, within a budget."""

from holdfast.policies.retry.budget import RetryBudget
from holdfast.policies.retry.retry import Retry

__all__ = ["Retry", "RetryBudget"]
