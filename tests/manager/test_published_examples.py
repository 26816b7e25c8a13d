"""The two published examples of the original run here, and do what a reader expects of them.

There, both returned without an error and without having called anything.
"""

import importlib.util
import sys
from pathlib import Path

import pytest

import holdfast as hf

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "resilient_client.py"


@pytest.fixture
def clock():
    return hf.ManualClock()


# ---- the example of the manager ----


@pytest.fixture
def rm(clock):
    """As published: the breaker and the retry of one operation have different names."""
    rm = hf.ResilienceManager("dwcp", clock=clock)
    rm.register_circuit_breaker("network-send", max_failures=5, timeout=30, reset_timeout=60)
    rm.register_retry_policy(
        "network-retry", max_retries=3, initial_delay=0.1, max_delay=10, multiplier=2, jitter=True
    )
    rm.register_rate_limiter("outbound", rate=1000, burst=100)
    rm.register_bulkhead("connections", 100, 50, 5.0)
    return rm


@pytest.fixture
def joined(rm):
    """The line that joins them."""
    rm.register_operation(
        "network-send", retry="network-retry", rate_limiter="outbound", bulkhead="connections"
    )
    return rm


class Network:
    """Sends what it is given, after it has refused so often."""

    def __init__(self, refuses=0):
        self.refuses = refuses
        self.asked = 0
        self.sent = []

    def send(self, message):
        self.asked += 1
        if self.refuses:
            self.refuses -= 1
            raise ConnectionRefusedError
        self.sent.append(message)
        return len(self.sent)


def test_the_function_runs_under_all_protection_and_its_result_comes_back(joined):
    # RM-04, D-RM-2
    network = Network(refuses=3)
    assert joined.execute("network-send", network.send, "hello") == 1
    assert (network.asked, network.sent) == (4, ["hello"])
    assert joined.retry("network-retry").snapshot().recovered == 1
    assert joined.circuit_breaker("network-send").snapshot().failed == 3
    assert joined.rate_limiter("outbound").snapshot().allowed == 4
    assert joined.bulkhead("connections").snapshot().admitted == 4


def test_a_failure_below_the_limiter_reaches_the_caller(joined):  # D-RM-1
    network = Network(refuses=1000)
    with pytest.raises(ConnectionRefusedError):
        joined.execute("network-send", network.send, "hello")
    assert network.asked == 4
    with pytest.raises(hf.CircuitOpenError):  # the fifth failure opens it, and is told
        joined.execute("network-send", network.send, "hello")
    assert (network.asked, network.sent) == (5, [])


def test_a_call_that_takes_longer_than_the_timeout_is_a_failure_of_the_breaker(joined, clock):
    # CB-22
    def slow():
        clock.advance(30)

    with pytest.raises(hf.DeadlineExceededError):
        joined.execute("network-send", slow)
    assert joined.circuit_breaker("network-send").snapshot().failed == 1


@pytest.mark.parametrize(("name", "attempts"), [("network-send", 1), ("network-retry", 4)])
def test_without_the_joining_line_each_name_protects_with_what_bears_it(rm, name, attempts):
    # D-RM-2
    network = Network(refuses=1000)
    with pytest.raises(ConnectionRefusedError):
        rm.execute(name, network.send, "hello")
    assert network.asked == attempts


def test_a_name_that_protects_nothing_is_an_error_and_no_call_that_did_not_run(rm):  # D-RM-2
    network = Network()
    with pytest.raises(LookupError, match="network-send"):
        rm.execute("network-sent", network.send, "hello")
    assert network.asked == 0


# ---- the example of the client ----


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("resilient_client", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def server(example):
    server = example.serve()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def peer(server):
    return server.address


@pytest.fixture
def client(example, peer):
    client = example.Client(example.Config(initial_retry_delay=0.001), [peer])
    yield client
    client.shutdown()


def test_the_client_has_the_numbers_of_the_original(example):  # RM-09
    config = example.Config()
    preset = config.preset()
    assert preset.circuit_breakers["network"] == {
        "max_failures": 5,
        "timeout": 30.0,
        "reset_timeout": 60.0,
        "half_open_max_requests": 3,
    }
    assert preset.circuit_breakers["peer-discovery"]["max_failures"] == 2  # CB-14
    assert preset.retry_policies["network"] == {
        "max_retries": 3,
        "initial_delay": 0.1,
        "max_delay": 10.0,
        "multiplier": 2.0,
        "jitter": True,
    }
    assert preset.rate_limiters["outbound-messages"] == {"rate": 1000, "burst": 100}
    assert preset.bulkheads["connections"] == {
        "max_concurrent": 100,
        "max_waiting": 50,
        "max_wait": 5.0,
    }


def test_the_client_sends_and_gets_an_answer(client, peer):  # RM-09, D-RM-2
    assert client.discover_peers() == [peer]
    assert client.send_message(peer, "hello") == "HELLO"
    metrics = client.get_metrics()
    assert (metrics["attempts"], metrics["requests"], metrics["failed"]) == (1, 1, 0)
    assert client.manager.latency_budget("p95-latency").snapshot().total_requests == 1
    assert client.manager.error_budget("slo-latency").snapshot().total_requests == 1
    assert client.manager.error_budget("system").snapshot().total_requests == 1


def test_the_client_tells_that_nothing_was_sent(client, server, peer):  # D-RM-1, RM-09
    server.shutdown()
    server.server_close()
    for _ in range(2):
        with pytest.raises((ConnectionRefusedError, hf.CircuitOpenError)):
            client.send_message(peer, "hello")
    metrics = client.get_metrics()
    assert (metrics["attempts"], metrics["requests"], metrics["failed"]) == (5, 2, 2)
    with pytest.raises(hf.CircuitOpenError):
        client.send_message(peer, "hello")
    assert client.get_metrics()["rejected"] == 2


def test_a_client_that_finds_no_peer_says_so(client, server):  # RM-09
    server.shutdown()
    server.server_close()
    with pytest.raises((ConnectionError, hf.CircuitOpenError)):
        client.discover_peers()


def test_the_health_of_the_client_is_that_of_its_checks(client):  # RM-09, HC-12
    assert client.get_health_status().keys() == {
        "transport",
        "send-error-rate",
        "system-error-rate",
    }
    assert set(client.get_health_status().values()) == {"healthy"}


def test_after_shutdown_nothing_of_the_client_runs(client):  # RM-09
    assert client.manager.running
    client.shutdown()
    assert not client.manager.running
