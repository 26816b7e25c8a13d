"""Chaos may be enabled in each test, and is disabled after it."""

from collections.abc import Iterator

import pytest

from holdfast import chaos


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HOLDFAST_CHAOS", "1")
    monkeypatch.delenv("HOLDFAST_ENV", raising=False)
    yield
    chaos.disable()
