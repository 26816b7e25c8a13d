"""Faults that are injected on purpose, to test what an application does with them."""
