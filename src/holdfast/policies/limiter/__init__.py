"""Rate limiter: so many calls in so much time."""

from holdfast.policies.limiter.limiter import RateLimiter

__all__ = ["RateLimiter"]
