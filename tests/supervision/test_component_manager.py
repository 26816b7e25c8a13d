"""A component manager starts the parts of a node, brings them back, and guards its transport."""

from __future__ import annotations

import asyncio
import logging
import os
import threading

import pytest

import holdfast as hf
from holdfast.supervision import (
    AlreadyStartedError,
    ComponentManager,
    NotInitializedError,
    PhaseStartError,
)
from holdfast.supervision.layers import ComponentLayer
from tests.supervision.parts import AsyncTransport, Part, Transport
from tests.supervision.processes import wait_until

FIVE = ("compression", "prediction", "sync", "consensus")


class Node:
    """A manager of all parts, on a manual clock, and what was done."""

    def __init__(self, clock, **settings):
        self.clock = clock
        self.done = []
        self.transports = []
        self.parts = {name: Part(name, self.done) for name in FIVE}
        parts = {"transport": self.make_transport, **self.parts, "clock": clock}
        self.manager = ComponentManager("node", **{**parts, **settings})
        self.told = []
        self.manager.on_event(lambda event: self.told.append((event.kind, event.name)))

    def make_transport(self):
        self.transports.append(Transport(self.done))
        return self.transports[-1]

    def state(self, name):
        return self.manager.status()[name].state


@pytest.fixture
def node(clock):
    node = Node(clock)
    yield node
    node.manager.stop(0)


def said(caplog):
    return [record.getMessage() for record in caplog.records]


# ---- life ----


def test_the_parts_start_in_phases_and_stop_in_reverse(node):  # MG-08, MG-09, GEN-07
    node.manager.start()
    order = ["transport", *FIVE]
    assert node.done == [("start", name) for name in order]
    node.done.clear()
    assert node.manager.stop()
    assert [name for what, name in node.done if what == "stop"] == order[::-1]
    assert node.clock.next_due_ns() is None


def test_a_manager_starts_again_after_a_stop_and_watches_again(node):  # D-HC-2, GEN-07
    for _ in range(3):
        with node.manager:
            assert node.manager.running
            node.parts["sync"].healthy = False
            node.clock.advance(60)
            assert ("unhealthy", "sync") in node.told
            node.parts["sync"].healthy = True
            node.clock.advance(60)
            assert node.manager.is_healthy()
        assert not node.manager.running
        node.told.clear()


def test_each_start_makes_what_a_factory_makes_anew(node):
    for _ in range(3):
        with node.manager:
            assert node.manager.transport is node.transports[-1]
            assert sum(one.is_open for one in node.transports) == 1
        assert not any(one.is_open for one in node.transports)


@pytest.mark.parametrize(("name", "phase"), [
    ("compression", 0), ("prediction", 1), ("sync", 2), ("consensus", 2),
])  # fmt: skip
def test_a_part_that_does_not_start_takes_back_the_whole_node(node, name, phase):
    # MG-12, GEN-08, D-MG-6
    node.parts[name].fails = OSError("no port is free")
    with pytest.raises(PhaseStartError, match=f"{name}.*no port is free") as caught:
        node.manager.start()
    assert caught.value.code == f"PHASE{phase}_START_FAILED"
    assert not any(part.runs for part in node.parts.values())
    assert not any(one.is_open for one in node.transports)
    assert node.clock.next_due_ns() is None  # no recovery is left
    assert not node.manager.running
    node.parts[name].fails = None
    node.manager.start()
    assert node.manager.is_healthy()


def test_a_part_whose_check_does_not_pass_has_not_started(clock):  # MG-12, D-MG-4
    node = Node(clock, start_timeout=20)
    node.parts["prediction"].healthy = False
    with pytest.raises(PhaseStartError, match="prediction") as caught:
        node.manager.start()
    assert caught.value.code == "PHASE1_START_FAILED"
    assert 20 <= clock.now() < 21
    assert node.parts["sync"].starts == 0
    assert not node.parts["prediction"].runs


def test_a_second_start_is_an_error_and_a_second_stop_is_none(node):  # MG-11, GEN-08
    node.manager.start()
    with pytest.raises(AlreadyStartedError, match="'node' was started already") as caught:
        node.manager.start()
    assert caught.value.code == "ALREADY_STARTED"
    assert node.manager.is_healthy()
    assert node.manager.stop()
    assert node.manager.stop()


def test_a_disabled_manager_starts_nothing_and_is_healthy(clock):  # MG-03, MG-11
    node = Node(clock, enabled=False)
    node.manager.start()
    assert node.done == []
    assert not node.manager.running
    assert node.manager.is_healthy()
    assert clock.next_due_ns() is None
    assert node.manager.stop()


def test_a_manager_that_was_not_started_is_unhealthy(node):  # MG-11, MG-13, MG-20
    assert not node.manager.is_healthy()
    assert node.manager.check().verdict == "failed"
    node.manager.start()
    assert node.manager.is_healthy()
    assert node.manager.check().verdict == "passed"
    assert node.manager.stop()
    assert not node.manager.is_healthy()


def test_settings_change_only_while_the_manager_is_stopped(node):  # MG-11, CB-15
    node.manager.start()
    with pytest.raises(AlreadyStartedError, match="cannot be configured while it runs"):
        node.manager.configure(interval=1.0)
    assert node.manager.stop()
    node.manager.configure(interval=1.0, max_failures=1, attempts=1, cool_down=7.0)
    node.manager.start()
    node.parts["sync"].healthy = False
    node.clock.advance(5)
    assert ("unhealthy", "sync") in node.told  # listeners are told as before
    node.transports[-1].error = ConnectionError("cut")
    with pytest.raises(ConnectionError):
        node.manager.send_with_circuit_breaker("a", b"")
    assert node.manager.circuit_breaker_state() == "open"


def test_a_setting_that_is_refused_changes_nothing(node):
    with pytest.raises(hf.ConfigError, match=r"max_failures.*interval"):
        node.manager.configure(interval=-1, max_failures=0, enabled=False)
    assert node.manager.enabled
    node.manager.start()
    assert node.manager.is_healthy()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attempts": 0, "cool_down": -1}, "ComponentManager 'node': cool_down.*attempts"),
        ({"transprt": object()}, "transprt: .*did you mean 'transport'"),
        ({"backof": 1}, "backof: .*did you mean 'backoff'"),
        ({"depends_on": "a", "recreate": 1}, "depends_on: .*recreate: "),
        ({"on_exit": {1: "again"}}, r"on_exit\[1\]: "),
    ],
)
@pytest.mark.parametrize("parts", [{}, {"sync": object}])
def test_settings_of_components_are_refused_before_there_is_one(settings, message, parts):
    with pytest.raises(hf.ConfigError, match=f"(?s){message}"):
        ComponentManager("node", **parts, **settings)
    manager = ComponentManager("node")
    with pytest.raises(hf.ConfigError, match="(?s)" + message.removeprefix("ComponentManager ")):
        manager.configure(**parts, **settings)
    manager.configure(attempts=2, on_exit={1: "finish"})
    with pytest.raises(hf.ConfigError, match="attempts: got 0"):
        manager.add(object, name="late", attempts=0)


# ---- recovery ----


@pytest.mark.parametrize("name", FIVE)
def test_an_unhealthy_part_is_stopped_and_started_again(node, name):  # MG-01..07, TS-01
    node.manager.start()
    node.done.clear()
    node.told.clear()
    node.parts[name].healthy = False
    while ("unhealthy", name) not in node.told:
        assert node.clock.now() < 40
        node.clock.advance(0.5)
    node.parts[name].healthy = True
    node.clock.advance(3)
    assert node.done == [("stop", name), ("start", name)]
    assert node.told == [("unhealthy", name), ("recovering", name), ("recovered", name)]
    assert node.manager.is_healthy()


def test_the_transport_is_closed_made_anew_and_started(node):  # MG-06, MG-07, D-MG-4, TS-02
    node.manager.start()
    first = node.manager.transport
    first.error = ConnectionError("cut")
    node.clock.advance(40)
    second = node.manager.transport
    assert second is not first
    assert second is node.transports[-1]
    assert second.is_open
    assert not first.is_open
    assert node.manager.send_with_circuit_breaker("peer", b"again") == 1
    assert second.sent == [("peer", b"again")]


def test_three_attempts_follow_after_1_2_and_4_seconds(node, caplog):  # MG-05, RT-17, LG-01, TS-01
    caplog.set_level(logging.INFO, "holdfast.supervision")
    node.manager.start()
    starts = []
    node.manager.on_event(lambda event: starts.append((event.kind, node.clock.now())))
    part = node.parts["sync"]
    part.healthy = False
    while not starts:
        node.clock.advance(0.1)
    began = node.clock.now()
    part.fails = OSError("no")
    before = part.starts
    times = []
    while part.starts < before + 3:
        now = part.starts
        node.clock.advance(0.1)
        if part.starts > now:
            times.append(round(node.clock.now() - began))
    node.clock.advance(20)
    assert times == [1, 3, 7]
    assert part.starts == before + 3
    assert node.state("sync") == "cooling_down"
    lines = "\n".join(said(caplog))
    for words in (
        "Component health check failed",
        "Component unhealthy",
        "Attempting component recovery",
        "Recovery attempt",
        "Component recovery failed after all attempts",
    ):
        assert words in lines, words
    part.fails, part.healthy = None, True
    node.clock.advance(61)
    assert node.manager.is_healthy()
    assert "Component recovered successfully" in "\n".join(said(caplog))


def test_parts_that_fail_together_are_recovered_together(node):  # MG-04, TS-02
    node.manager.start()
    for part in node.parts.values():
        part.healthy = False
    node.transports[-1].error = ConnectionError("cut")
    node.clock.advance(12 * 3)
    for part in node.parts.values():
        part.healthy = True
    node.clock.advance(130)
    assert node.manager.is_healthy()
    assert {name for kind, name in node.told if kind == "recovered"} == {"transport", *FIVE}


def test_no_recovery_goes_on_after_a_stop(node):  # D-MG-2, D-MG-3, GEN-07
    node.manager.start()
    node.parts["sync"].healthy = False
    node.transports[-1].error = ConnectionError("cut")
    while ("recovering", "transport") not in node.told:
        node.clock.advance(0.1)
    assert node.manager.stop()
    node.done.clear()
    made = len(node.transports)
    node.clock.advance(1000)
    assert node.done == []
    assert len(node.transports) == made


def test_a_stop_from_within_a_check_stops_the_manager(clock):  # D-MG-1, D-MG-5
    node = Node(clock)
    sync = node.parts["sync"]

    def is_healthy():
        if sync.healthy == "stop":
            node.manager.stop()
        return True

    sync.is_healthy = is_healthy
    node.manager.configure(sync=sync)
    node.manager.start()
    sync.healthy = "stop"
    clock.advance(12)
    assert not node.manager.running
    assert node.manager.stop()
    assert not any(part.runs for part in node.parts.values())


def test_the_transport_sends_once_start_has_returned_whatever_listeners_do(monkeypatch):  # MG-18
    def add_and_wait(layer):
        names = add(layer)
        for name in names:
            wait_until(lambda name=name: manager.supervisor.status(name).healthy)
        return names

    add, free = ComponentLayer._add, threading.Event()
    monkeypatch.setattr(ComponentLayer, "_add", add_and_wait)
    transport = Transport()
    manager = ComponentManager("node", transport=transport)
    manager.on_event(lambda _: free.wait(20))
    manager.configure(interval=5)  # from here on the listener is told first
    try:
        manager.start()
        assert manager.send_with_circuit_breaker("b", b"x") == 1
    finally:
        free.set()
        manager.stop()


def test_a_stop_from_within_a_listener_stops_the_manager(node):  # D-MG-1
    node.manager.on_event(lambda event: event.kind == "unhealthy" and node.manager.stop())
    node.manager.start()
    node.parts["consensus"].healthy = False
    node.clock.advance(40)
    assert not node.manager.running
    assert node.manager.stop()
    assert not any(part.runs for part in node.parts.values())


def test_a_part_that_recovers_degrades_its_component_meanwhile(clock):  # NX-03, MG-16
    rm = hf.ResilienceManager("node", clock=clock)
    node = Node(clock, resilience=rm, attempts=1)
    node.manager.start()
    assert node.manager.degradation_level() == "normal"
    node.parts["sync"].healthy = False
    node.parts["sync"].fails = OSError("no")
    while node.state("sync") != "cooling_down":
        assert clock.now() < 60
        clock.advance(0.5)
    assert node.manager.degradation_level() != "normal"
    assert str(rm.degradation.level("sync")) != "NORMAL"
    node.parts["sync"].fails, node.parts["sync"].healthy = None, True
    clock.advance(300)
    assert node.manager.is_healthy()
    assert node.manager.degradation_level() == "normal"
    assert node.manager.stop()


def test_a_further_component_starts_in_its_phase_or_at_once(node):  # MG-09
    late = Part("late", node.done)
    node.manager.add(Part("partner", node.done), phase=1, depends_on=("prediction",))
    node.manager.start()
    order = [name for what, name in node.done if what == "start"]
    assert order.index("prediction") < order.index("partner") < order.index("sync")
    node.manager.add(late, phase=2)
    assert late.runs
    assert node.manager.status()["late"].healthy
    assert node.manager.stop()
    assert not late.runs
    node.manager.start()
    assert late.runs


# ---- the transport and its circuit breaker ----


def test_five_failures_open_the_breaker_and_the_first_success_closes_it(node, caplog):
    # CB-11, CB-20, CB-21, LG-01, TS-01, TS-02
    node.manager.start()
    send = node.manager.send_with_circuit_breaker
    assert node.manager.circuit_breaker_state() == "closed"
    node.manager.transport.send = lambda *_: 1 / 0
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            send("peer", b"x")
    assert node.manager.circuit_breaker_state() == "open"
    with pytest.raises(hf.CircuitOpenError, match="is open"):
        send("peer", b"x")
    assert "Circuit breaker is open" in caplog.text
    node.clock.advance(29.9)
    with pytest.raises(hf.CircuitOpenError):
        send("peer", b"x")
    node.clock.advance(0.2)
    del node.manager.transport.send
    assert send("peer", b"x") == 1
    assert node.manager.circuit_breaker_state() == "closed"


def test_data_may_be_sent_without_an_address(node):  # CB-21
    node.manager.start()
    node.manager.send_with_circuit_breaker(b"data")
    node.manager.send(b"more")
    node.manager.send("peer", b"last")
    assert node.manager.transport.sent == [(b"data",), (b"more",), ("peer", b"last")]


def test_what_is_missing_to_send_is_named(clock, node):  # CB-20, CB-21, D-MG-6
    assert node.manager.circuit_breaker_state() == "not_initialized"
    with pytest.raises(NotInitializedError, match="transport not initialized"):
        node.manager.send_with_circuit_breaker("peer", b"")
    node.manager.start()
    assert node.manager.stop()
    assert node.manager.circuit_breaker_state() == "not_initialized"
    for send in (node.manager.send_with_circuit_breaker, node.manager.send):
        with pytest.raises(NotInitializedError, match="transport not initialized"):
            send("peer", b"")
    with ComponentManager("bare", clock=clock) as bare:
        with pytest.raises(NotInitializedError, match="'bare': transport not initialized"):
            bare.receive()
        assert bare.is_healthy()

    # While the first phases start, there is a transport, and no circuit breaker yet.
    class Early(Part):
        def start(self):
            super().start()
            with pytest.raises(NotInitializedError, match="circuit breaker not initialized"):
                early.send_with_circuit_breaker("peer", b"")

    early = ComponentManager("early", transport=Transport, sync=Early("sync"), clock=clock)
    with early:
        assert early.send_with_circuit_breaker("peer", b"") == 1


def test_without_a_resilience_manager_messages_go_straight_to_the_transport(node):  # MG-19, MG-20
    node.manager.start()
    assert node.manager.send("peer", b"x") == 1
    assert node.manager.receive() == "received"
    assert node.manager.resilience_metrics() is None
    assert node.manager.degradation_level() == "normal"
    assert node.manager.check_error_budget("send")
    assert not node.manager.enable_chaos_engineering()
    node.manager.disable_chaos_engineering()
    assert node.manager.is_healthy()


# ---- the resilience layer ----


def test_messages_pass_the_policies_of_the_resilience_manager(clock, monkeypatch):  # MG-19, MG-20
    rm = hf.ResilienceManager("node", presets="dwcp", clock=clock)
    node = Node(clock, resilience=rm)
    with node.manager as manager:
        assert rm.running
        failures = [ConnectionError("cut")] * 2
        send = manager.transport.send

        def flaky(*message):
            if failures:
                raise failures.pop()
            return send(*message)

        manager.transport.send = flaky
        assert manager.send("peer", b"x") == 1  # retried
        assert manager.receive() == "received"
        assert rm.circuit_breaker("send").snapshot().failed == 2
        assert manager.resilience_metrics().name == "node"
        assert manager.check_error_budget("send")
        with pytest.raises(LookupError):
            manager.check_error_budget("sned")
        assert not manager.enable_chaos_engineering(seed=1)  # it is not allowed here
        monkeypatch.setenv("HOLDFAST_CHAOS", "1")
        try:
            assert manager.enable_chaos_engineering(seed=1, duration=5)
        finally:
            manager.disable_chaos_engineering()
    assert not rm.running


def test_a_name_without_policies_is_an_error_and_no_unprotected_call(clock):  # MG-19
    node = Node(clock, resilience=hf.ResilienceManager("node", clock=clock))
    with node.manager as manager, pytest.raises(hf.UnprotectedError):
        manager.send("peer", b"x")
    assert node.transports[0].sent == []


def test_the_resilience_layer_starts_last_and_stops_first(clock, caplog):  # MG-09, MG-10, LG-02
    caplog.set_level(logging.INFO, "holdfast.supervision")
    node = Node(clock, resilience=lambda: hf.ResilienceManager("made", clock=clock))
    node.manager.start()
    assert node.manager.stop()
    lines = [line for line in said(caplog) if "omponent manager" in line]
    assert [line.partition(": component manager")[0] for line in lines] == [
        "Starting Phase 0: Core",
        "Starting Phase 1: Intelligence",
        "Starting Phase 2: Coordination",
        "Starting Phase 3: Resilience Layer",
        "Circuit breaker initialized successfully",
        "Resilience manager started successfully",
        "Stopping Phase 3: Resilience Layer",
        "Resilience manager stopped successfully",
        "Circuit breaker stopped successfully",
        "Stopping Phase 2: Coordination",
        "Stopping Phase 1: Intelligence",
        "Stopping Phase 0: Core",
    ]


def test_a_resilience_manager_that_cannot_be_made_takes_back_the_node(clock):  # MG-10, MG-12
    def make():
        raise MemoryError("none left")

    node = Node(clock, resilience=make)
    with pytest.raises(PhaseStartError, match=r"failed to initialize resilience layer.*none") as e:
        node.manager.start()
    assert e.value.code == "PHASE3_START_FAILED"
    assert not any(part.runs for part in node.parts.values())
    assert node.manager.circuit_breaker_state() == "not_initialized"


def test_an_unhealthy_resilience_manager_makes_the_node_unhealthy(clock):  # MG-20
    rm = hf.ResilienceManager("node", clock=clock)
    rm.register_health_check(hf.PingCheck("disk", lambda: False, failures=1))
    node = Node(clock, resilience=rm)
    with node.manager as manager:
        clock.advance(1)
        assert not manager.is_healthy()
        assert "resilience" in manager.check().message


def test_metrics_are_told_every_five_seconds_while_it_runs(clock):  # MG-14
    told = []
    node = Node(clock, on_metrics=lambda snapshot: told.append((clock.now(), snapshot)))
    with node.manager:
        clock.advance(11)
    clock.advance(20)
    assert [at for at, _ in told] == [0.0, 5.0, 10.0]
    assert told[-1][1].healthy
    assert told[-1][1].circuit_breaker == "closed"
    assert list(told[-1][1].supervisor.components) == ["transport", *FIVE]


# ---- in an event loop ----


@pytest.fixture
def loop():
    """The loop of an asynchronous test: in real time, since plain parts run in threads."""
    return asyncio.new_event_loop()


async def test_asynchronous_parts_run_in_the_event_loop(loop):  # MG-08, GEN-07
    done = []
    manager = ComponentManager("node", transport=lambda: AsyncTransport(done), sync=Part("sync"))
    async with manager:
        assert manager.running
        assert manager.is_healthy()
        assert await manager.asend_with_circuit_breaker("peer", b"x") == 1
        assert await manager.asend("peer", b"y") == 2
        assert await manager.areceive() == "received"
        assert manager.transport.sent == [("peer", b"x"), ("peer", b"y")]
    assert not manager.running
    assert done == [("start", "transport"), ("stop", "transport")]


async def test_an_asynchronous_part_that_fails_takes_back_the_node(loop):  # MG-12
    part = Part("sync")
    part.fails = OSError("no")
    manager = ComponentManager("node", transport=AsyncTransport, sync=part)
    with pytest.raises(PhaseStartError, match="no"):
        await manager.astart()
    assert not manager.running
    part.fails = None
    async with manager:
        assert manager.is_healthy()


async def test_the_asynchronous_breaker_opens_too(loop, caplog):  # CB-11, CB-21
    async with ComponentManager("node", transport=AsyncTransport) as manager:
        manager.transport.error = ConnectionError("cut")
        for _ in range(5):
            with pytest.raises(ConnectionError):
                await manager.asend_with_circuit_breaker("peer", b"x")
        with pytest.raises(hf.CircuitOpenError):
            await manager.asend_with_circuit_breaker("peer", b"x")
    assert "Circuit breaker is open" in caplog.text


async def test_a_resilience_manager_is_started_and_stopped_in_the_loop(loop):  # MG-10
    rm = hf.ResilienceManager("node", presets="dwcp")
    async with ComponentManager("node", transport=AsyncTransport, resilience=rm) as manager:
        assert rm.running
        assert await manager.asend("peer", b"x") == 1
    assert not rm.running


# ---- bad input ----


@pytest.mark.parametrize(("settings", "words"), [
    ({"transport": 7}, r"transport: got 7, allowed an object with a start\(\)"),
    ({"transport": Part()}, r"transport.*send"),
    ({"sync": "sync"}, "sync: got 'sync'"),
    ({"enabled": "yes"}, "enabled: got 'yes', allowed True or False"),
    ({"max_failures": 0}, "max_failures"),
    ({"reset_timeout": -1}, "reset_timeout"),
    ({"interval": 0}, "interval"),
    ({"resilience": 3}, "resilience: got 3, allowed a ResilienceManager"),
    ({"on_metrics": 3}, "on_metrics"),
    ({"on_metrics": print, "metrics_interval": 0}, "interval"),
    ({"sync": Part(), "attempts": -1}, "attempts"),
])  # fmt: skip
def test_a_wrong_argument_is_named_with_what_is_allowed(settings, words):
    with pytest.raises(hf.ConfigError, match=words):
        ComponentManager("node", **settings)


def test_all_wrong_arguments_are_named_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        ComponentManager("node", transport=7, enabled=1, interval=0, max_failures=0)
    assert len(caught.value.problems) == 4


def test_a_component_of_a_name_that_is_there_is_refused(node):
    with pytest.raises(hf.ConfigError, match="sync"):
        node.manager.add(Part("sync"))
    with pytest.raises(hf.ConfigError, match="phase: got 3"):
        node.manager.add(Part("other"), phase=3)


def test_a_factory_that_makes_no_part_fails_the_start(clock):
    with pytest.raises((TypeError, PhaseStartError), match="factory of 'transport' returned 7"):
        ComponentManager("node", transport=lambda: 7, clock=clock).start()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_started_nothing(node):
    node.manager.start()
    child = os.fork()
    if child == 0:
        its = node.manager
        same = (its.running, its.transport, its.circuit_breaker_state(), its.stop())
        os._exit(0 if same == (False, None, "not_initialized", True) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert node.manager.running
