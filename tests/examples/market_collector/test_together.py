"""A collector, its exchange, its cache and its admin server, all of them real."""

import httpx
import pytest

from examples.market_collector.admin import AdminServer
from examples.market_collector.cache import MemoryCache
from examples.market_collector.collector import MarketCollector, make_manager
from examples.market_collector.settings import read_settings
from examples.market_collector.store import Store


@pytest.fixture
def collector(exchange, tmp_path):
    settings = read_settings(environ={})
    rm = make_manager(settings)
    with (
        Store(tmp_path / "prices.db", rm) as store,
        MarketCollector(
            settings,
            {exchange.name: exchange.url},
            cache=MemoryCache(),
            store=store,
            rm=rm,
            interval=0.05,
        ) as collector,
    ):
        yield collector


def test_the_admin_server_tells_how_the_workers_of_a_collector_are(
    collector, exchange, tmp_path, until
):  # MS-11, HC-20
    with (
        AdminServer(collector, tmp_path / "token") as admin,
        httpx.Client(base_url=admin.url, timeout=60, trust_env=False) as client,
    ):

        def told():
            answer = client.get("/health")
            return answer.status_code, answer.json()["workers"]

        until(lambda: told() == (200, {"running": 1, "total": 1}))
        exchange.set_fault("error")
        until(lambda: told() == (503, {"running": 0, "total": 1}))
        exchange.clear()
        collector.rm.keyed("exchange", exchange.name).circuit_breaker.reset()
        until(lambda: told() == (200, {"running": 1, "total": 1}))
        token = (tmp_path / "token").read_text().strip()
        listed = client.get(
            "/api/v1/admin/circuit-breakers", headers={"Authorization": f"Bearer {token}"}
        )
        assert f"exchange/{exchange.name}" in listed.text
