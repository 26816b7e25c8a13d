"""The pytest plugin of holdfast: fixtures, and a marker that switches retries off.

    @pytest.mark.holdfast(retries=False)
    def test_it_fails_at_once(holdfast_clock, holdfast_events): ...

A package of its own, and without an import of holdfast: pytest loads it before coverage starts,
and what is imported by then is never measured.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.clock import ManualClock
    from holdfast.registry import Registry
    from holdfast.testing import Recorder
    from holdfast.testing.chaos import Chaos

MARKER = "holdfast"
_switched = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "holdfast(retries): retries=False has no call tried again while the test runs"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Switch what the test's marker asks for, before its fixtures are made."""
    marker = item.get_closest_marker(MARKER)
    if marker is not None and _retries_of(item, marker) is False:
        from holdfast.testing import retries_off

        stack = item.stash[_switched] = ExitStack()
        stack.enter_context(retries_off())


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Switch it back, after its fixtures are gone."""
    if _switched in item.stash:
        item.stash[_switched].close()
        del item.stash[_switched]


def _retries_of(item: pytest.Item, marker: pytest.Mark) -> bool:
    """Return whether the test is to have retries; end it where the marker says something else."""
    retries = marker.kwargs.get("retries", True)
    if marker.args or set(marker.kwargs) - {"retries"} or not isinstance(retries, bool):
        given = [*map(repr, marker.args), *(f"{k}={v!r}" for k, v in marker.kwargs.items())]
        raise pytest.UsageError(
            f"{item.nodeid}: mark holdfast: got {', '.join(given)}, "
            "allowed retries=True or retries=False"
        )
    return retries


@pytest.fixture
def holdfast_clock() -> Iterator[ManualClock]:
    """A manual clock, which policies made during the test read unless given another one."""
    from holdfast.testing import ManualClock, use_clock

    clock = ManualClock()
    with use_clock(clock):
        yield clock


@pytest.fixture
def holdfast_registry() -> Iterator[Registry]:
    """``holdfast.registry``, empty at the beginning of the test, as before after its end."""
    from holdfast.testing import isolated_registry

    with isolated_registry() as registry:
        yield registry


@pytest.fixture
def holdfast_events(holdfast_registry: Registry) -> Iterator[Recorder]:
    """What policies made during the test do, in order."""
    from holdfast.testing import recorded

    with recorded() as events:
        yield events


@pytest.fixture
def holdfast_chaos() -> Iterator[Chaos]:
    """Chaos, enabled during the test: ``holdfast_chaos("payments").fail(ConnectionError)``."""
    from holdfast.testing import chaos_enabled

    with chaos_enabled() as chaos:
        yield chaos
