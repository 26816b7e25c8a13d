"""Pool bulkhead: tasks in a bounded number of threads."""

from holdfast.policies.pool.pool import PoolBulkhead

__all__ = ["PoolBulkhead"]
