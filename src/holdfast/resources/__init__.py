"""Resources: who holds what, how the process and its operations perform, and what to change."""
