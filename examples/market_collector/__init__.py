"""A market-data collector: it polls exchanges that fail, and goes on with the others."""
