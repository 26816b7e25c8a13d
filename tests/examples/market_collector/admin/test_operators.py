"""An operator and a real collector, whose exchanges are processes."""

import time

import httpx
import pytest

from examples.market_collector.admin import AdminServer
from tests.examples.market_collector.admin.asking import BREAKERS
from tests.examples.market_collector.parts import Settings
from tests.examples.market_collector.running import running

LONG = 60.0  # seconds: a test that waits so long has failed


class Patient(Settings):
    """Settings with which a breaker opens soon, and does not close by itself while a test runs."""

    def preset(self):
        breaker = {"failure_threshold": 3, "timeout": 3600.0, "success_threshold": 1}
        return super().preset().but(circuit_breakers={"exchange": breaker})


def until(is_so):
    """Wait until something is so."""
    end = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < end, "it has not become so"
        time.sleep(0.02)


@pytest.fixture
def stage(tmp_path):
    with running(tmp_path, Patient(api_call=30.0), ("alpha", "beta"), interval=0.1) as stage:
        yield stage


@pytest.fixture
def operator(stage, tmp_path):
    with AdminServer(stage.collector, tmp_path / "token") as admin:
        token = (tmp_path / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=admin.url, headers=headers, timeout=LONG) as client:
            yield client


def test_an_operator_sees_an_outage_and_brings_an_exchange_back(stage, operator):  # MS-11, HC-20
    def state_of(exchange):
        return operator.get(BREAKERS).json()["circuit_breakers"][f"exchange/{exchange}"]["state"]

    def health():
        answer = operator.get("/health")
        return answer.status_code, answer.json()["workers"]["running"]

    states = stage.collector.states
    until(lambda: all(state.collected for state in states().values()))
    assert (health(), state_of("alpha"), state_of("beta")) == ((200, 2), "closed", "closed")

    stage.exchanges["alpha"].set_fault("error")
    until(lambda: state_of("alpha") == "open" and health() == (200, 1))  # half of them is enough
    stage.exchanges["beta"].set_fault("error")
    until(lambda: state_of("beta") == "open" and health() == (503, 0))
    assert operator.get("/ready").status_code == 503
    assert operator.get("/live").status_code == 200

    stage.exchanges["alpha"].clear()
    collected = states()["alpha"].collected
    assert operator.post(f"{BREAKERS}/exchange/alpha/reset").status_code == 200
    until(lambda: states()["alpha"].collected > collected and health() == (200, 1))
    assert state_of("beta") == "open"  # nobody has reset it

    stage.exchanges["beta"].clear()
    assert "exchange/beta" in operator.post(f"{BREAKERS}/reset-all").json()["reset"]
    until(lambda: health() == (200, 2))
    assert operator.get("/ready").status_code == 200
