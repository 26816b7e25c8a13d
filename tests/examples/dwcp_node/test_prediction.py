"""Prediction: estimates of bandwidth and latency, and a check that notices when they are wrong."""

import asyncio
import math
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.dwcp_node.estimator import Estimator
from examples.dwcp_node.prediction import Prediction
from examples.dwcp_node.proxy import FaultProxy, Way
from holdfast import ConfigError, ManualClock
from tests.examples.dwcp_node.nodes import alive, node, nodes

MB = 1_000_000


class Link:
    """A link of known bandwidth, whose transfers a prediction is told of."""

    def __init__(self, bandwidth, latency=0.002, fixed=0.001, noise=0.1, seed=1):
        self.clock = ManualClock()
        self.prediction = Prediction(now=self.clock.now)
        asyncio.run(self.prediction.start())
        self.bandwidth, self.latency, self.fixed, self.noise = bandwidth, latency, fixed, noise
        self.rng = random.Random(seed)

    def ping(self):
        self.clock.advance(0.1)
        rtt = self.latency * self._noise()
        self.prediction.observe("b", 0, rtt, rtt)

    def send(self, size, *, busy=False, stall=0.0):
        seconds = size / self.bandwidth * self._noise() + stall
        if not busy:
            seconds += (self.latency + self.fixed) * self._noise()
        self.clock.advance(seconds)
        self.prediction.observe("b", size, seconds, None, busy=busy)

    def check(self):
        with pytest.raises(StopIteration) as ended:  # it waits for nothing: it needs no loop
            self.prediction.check().send(None)
        return ended.value.value

    def _noise(self):
        return 1 + self.rng.uniform(0, self.noise)


# ---- estimates ----


@pytest.mark.parametrize("bandwidth", [0.1 * MB, 1 * MB, 5 * MB, 20 * MB, 1_000 * MB])
@pytest.mark.parametrize("latency", [0.0001, 0.002, 0.05])
@pytest.mark.parametrize("busy", [False, True])
def test_the_bandwidth_is_found_from_messages_of_all_sizes(bandwidth, latency, busy):
    link = Link(bandwidth, latency)
    for _ in range(20):
        link.ping()
    for size in [200, 3_000, 10_000, 50_000, 200_000, 2_000_000, 64_000_000] * 6:
        link.send(size, busy=busy)
    assert link.prediction.bandwidth("b") == pytest.approx(bandwidth, rel=0.25)
    assert link.prediction.latency("b") == pytest.approx(latency, rel=0.25)
    for size in () if busy else (10, 1_000_000, 50_000_000):
        expected = latency + 0.001 + size / bandwidth
        assert link.prediction.seconds("b", size) == pytest.approx(expected, rel=0.4)
    assert link.check().verdict == "passed"


def test_short_messages_alone_show_how_long_short_messages_take_and_nothing_else():
    link = Link(5 * MB)
    assert link.prediction.estimate("b") is None
    assert link.prediction.seconds("b", 10) is None
    for _ in range(50):
        link.send(300)
    assert link.prediction.bandwidth("b") is None
    assert link.prediction.seconds("b", 300) == pytest.approx(0.003, rel=0.2)
    assert link.prediction.seconds("b", 1_000_000) is None
    assert link.check().verdict == "passed"


@pytest.mark.parametrize("change", [20.0, 2.0, 0.5, 0.05])
def test_a_link_that_changes_is_followed_within_a_few_transfers(change):
    link = Link(5 * MB)
    for _ in range(100):
        link.send(300)
        link.send(500_000)
    link.bandwidth *= change
    for _ in range(6):
        link.send(500_000)
        assert link.check().verdict == "passed"
    assert link.prediction.bandwidth("b") == pytest.approx(5 * MB * change, rel=0.25)


def test_a_stall_or_a_burst_among_many_transfers_changes_little():
    link = Link(5 * MB)
    for number in range(60):
        link.send(100_000, stall=30.0 if number % 10 == 5 else 0.0)
    assert link.prediction.bandwidth("b") == pytest.approx(5 * MB, rel=0.25)
    link.bandwidth = 500 * MB  # what a token bucket lets through at once
    for _ in range(4):
        link.send(50_000)
    link.bandwidth = 5 * MB
    link.send(100_000)
    assert link.prediction.bandwidth("b") == pytest.approx(5 * MB, rel=0.25)
    assert link.check().verdict == "passed"


def test_what_was_learned_stays_while_the_link_is_quiet():
    link = Link(5 * MB)
    for _ in range(20):
        link.ping()
        link.send(200_000)
    link.clock.advance(86_400)
    assert link.prediction.bandwidth("b") == pytest.approx(5 * MB, rel=0.25)
    assert link.prediction.latency("b") == pytest.approx(0.002, rel=0.25)
    link.bandwidth = 1 * MB
    link.send(200_000)  # one sample of today says more than many of yesterday
    assert link.prediction.bandwidth("b") == pytest.approx(1 * MB, rel=0.25)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e5), st.floats(1e-3, 1e12), st.integers(1, 2**40)
        ), min_size=1, max_size=300
    )
)  # fmt: skip
def test_the_estimate_is_always_among_the_rates_shown(samples):
    estimator = Estimator()
    at = 0.0
    for pause, rate, size in samples:
        at += pause
        estimator.add(at, rate, size)
    rates = [rate for _, rate, _ in samples]
    assert min(rates) * 0.999 <= estimator.bandwidth <= max(rates) * 1.001
    assert estimator.count == len(samples)
    assert 1 <= estimator.samples <= 128


#: How many seconds a link is tried before the machine counts as too busy.
BUSY = 15.0


@pytest.mark.parametrize("bandwidth", [1 * MB, 5 * MB, 20 * MB])
def test_a_throttled_connection_is_estimated_within_a_quarter(tmp_path, bandwidth):
    """Real transports, and a proxy that passes on no more than so many bytes a second.

    A busy machine may pass on less: a round that took longer than it had to proves nothing.
    """
    payload = random.Random(1).randbytes(bandwidth // 40)
    sent = 16 * len(payload)

    async def scene():
        loop = asyncio.get_running_loop()
        async with nodes(tmp_path, "b") as (b,), FaultProxy(b.port) as proxy:
            proxy.throttle(bandwidth, Way.OUT)
            a = node(tmp_path, "a", {"b": ("127.0.0.1", proxy.port)})
            prediction = Prediction(lambda: a)
            await a.start()
            b.add_peer("a", ("127.0.0.1", a.port))
            is_proven, until = False, loop.time() + BUSY
            while not is_proven:
                if loop.time() > until:
                    await a.stop()
                    pytest.skip("the machine is too busy to pass on so many bytes a second")
                await prediction.stop()
                await prediction.start()  # what an earlier round has shown is forgotten
                began = loop.time()
                await asyncio.gather(*(a.send("b", payload) for _ in range(16)))
                is_proven = 0.85 < sent / (loop.time() - began) / bandwidth < 1.15
                assert (await prediction.check()).verdict == "passed"
            assert prediction.bandwidth("b") == pytest.approx(bandwidth, rel=0.25)
            await prediction.stop()
            assert a.samples == []
            await a.stop()

    alive(scene)


# ---- the check ----


def filled():
    link = Link(5 * MB)
    for _ in range(30):
        link.ping()
        link.send(200_000)
    assert link.check().verdict == "passed"
    return link


def test_an_estimator_that_takes_no_more_samples_fails_the_check():
    link = filled()
    link.prediction.links["b"].estimator.add = lambda *_: None
    link.send(200_000)
    result = link.check()
    assert result.verdict == "failed"
    assert result.message == "b: 1 of 31 samples are not in the estimate"


def test_an_estimate_that_stays_while_the_link_changes_fails_the_check():
    link = filled()
    link.prediction.links["b"].estimator._estimate = lambda: 5.0 * MB
    link.bandwidth = 1 * MB
    for _ in range(16):
        link.send(200_000)
    result = link.check()
    assert result.verdict == "failed"
    assert result.message.startswith("b: the estimate is 5e+06 bytes a second, and the last 16")


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0, None])
def test_an_estimate_that_is_no_rate_fails_the_check(value):
    link = filled()
    link.prediction.links["b"].estimator._known = value
    assert link.check().message == f"b: the estimate is {value} in spite of 30 samples"


def test_a_restart_begins_anew_and_the_check_passes_again():
    link = filled()
    link.prediction.links["b"].estimator.add = lambda *_: None
    link.send(200_000)
    assert not link.check()
    asyncio.run(link.prediction.stop())
    assert link.check().message == "is not running"
    link.send(200_000)  # a stopped one takes nothing
    asyncio.run(link.prediction.start())
    assert link.prediction.estimate("b") is None
    for _ in range(10):
        link.send(200_000)
    assert link.check().verdict == "passed"
    assert link.prediction.bandwidth("b") == pytest.approx(5 * MB, rel=0.25)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_a_link_does_an_estimator_that_works_never_fails_the_check(seed):
    rng = random.Random(seed)
    link = Link(5 * MB, noise=rng.choice([0.1, 1.0, 10.0]), seed=seed)
    for _ in range(600):
        if rng.random() < 0.05:
            link.bandwidth = rng.choice([0.1, 1, 5, 20, 1_000]) * MB
            link.latency = rng.choice([0.0001, 0.002, 0.2])
        size = rng.choice([100, 5_000, 20_000, 200_000, 5_000_000])
        if rng.random() < 0.2:
            link.ping()
        link.send(size, busy=rng.random() < 0.5, stall=rng.choice([0, 0, 0, 0, 3.0]))
        assert link.check().verdict == "passed"


def test_another_transport_is_listened_to_from_the_next_check_on():
    transport = SimpleNamespace(samples=[])
    sample = SimpleNamespace(peer="b", bytes=50_000, seconds=0.05, rtt=0.001, busy=False)

    async def scene():
        nonlocal transport
        prediction = Prediction(lambda: transport)
        await prediction.start()
        await prediction.start()
        [take] = transport.samples
        take(sample)
        assert prediction.bandwidth("b") == pytest.approx(1 * MB, rel=0.1)
        transport = SimpleNamespace(samples=[])
        result = await prediction.check()
        assert (result.verdict, result.message) == (
            "degraded", "was not told of samples; it is again",
        )  # fmt: skip
        assert (await prediction.check()).verdict == "passed"
        transport.samples[0](sample)
        assert prediction.estimate("b").samples == 2
        transport.samples.clear()
        assert (await prediction.check()).verdict == "degraded"
        await prediction.stop()
        assert transport.samples == []

    asyncio.run(scene())


# ---- bad input ----


@pytest.mark.parametrize(
    "sample",
    [(-1, 1.0, None), (9, -1.0, None), (9, math.nan, None), (9, math.inf, None), (9, 1.0, math.nan),
     (9, 1.0, -5.0), (9, 1e9, None)],
)  # fmt: skip
def test_what_is_no_sample_is_counted_and_changes_nothing(sample):
    link = filled()
    before = link.prediction.estimates()
    link.prediction.observe("b", *sample)
    link.prediction.observe("c", *sample)
    assert link.prediction.estimates() == before
    assert link.prediction.refused == 2


def test_peers_that_come_and_go_do_not_fill_the_memory():
    link = Link(5 * MB)
    for number in range(1_500):
        link.clock.advance(1.0)
        link.prediction.observe(f"p{number}", 100_000, 0.1)
    assert len(link.prediction.estimates()) == 1_000
    assert link.prediction.bandwidth("p1499") is not None
    assert link.prediction.bandwidth("p0") is None


def test_wrong_settings_are_refused_by_name():
    with pytest.raises(ConfigError, match="transport: got 3"):
        Prediction(3)
