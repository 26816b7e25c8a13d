"""The manager: full protection of a service under the names of its operations."""
