"""Error budget: how much of what an objective allows to fail is used up."""

from holdfast.policies.error_budget.error_budget import ErrorBudget

__all__ = ["ErrorBudget"]
