"""Composition of policies, and the only code that sleeps, awaits, parks or spawns for a call."""

from holdfast.pipeline.driving import ThreadsAndTasks
from holdfast.policies.base import install_driver

install_driver(ThreadsAndTasks())
