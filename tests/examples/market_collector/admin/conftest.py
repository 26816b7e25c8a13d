"""Fixtures: an admin server, and a collector that it answers for."""

import pytest

from examples.market_collector.admin import AdminServer
from tests.examples.market_collector.admin.asking import Collector


@pytest.fixture(scope="module")
def _served(tmp_path_factory):
    collector = Collector()
    file = tmp_path_factory.mktemp("admin") / "token"
    with AdminServer(collector, file) as server:
        yield collector, server, file.read_text().strip()
    assert not server.running


@pytest.fixture
def collector(_served):
    """Return the collector, as at the beginning."""
    _served[0].begin()
    return _served[0]


@pytest.fixture
def admin(_served, collector):
    """Return the server."""
    assert _served[1].running
    return _served[1]


@pytest.fixture
def token(_served):
    """Return the token of its operators."""
    return _served[2]
