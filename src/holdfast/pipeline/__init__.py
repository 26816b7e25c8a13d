"""Composition of policies."""
