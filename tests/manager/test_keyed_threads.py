"""Keys come, are called and go in many threads at once."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections import Counter

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.telemetry.prometheus import Collector
from tests.apart import run_apart
from tests.interpreters import forks_beside_threads
from tests.manager.test_threads import together
from tests.policies.test_forked import IN_CHILD

THREADS = 16
CALLS = 150
KEYS = 60


def value(metric, **labels):
    registry = CollectorRegistry()
    registry.register(Collector())
    return registry.get_sample_value(metric, labels)


@pytest.fixture
def rm(clock):
    rm = hf.ResilienceManager("busy", clock=clock)
    rm.register_circuit_breaker("exchange", max_failures=5, reset_timeout=60)
    rm.register_bulkhead("exchange", 100)
    rm.register_operation("exchange", keys=KEYS // 3)
    return rm


class Holders:
    """Who holds what of a key at this moment: all that do must hold the same."""

    def __init__(self):
        self._lock = threading.Lock()
        self._held = {}
        self.two_at_once = []

    def hold(self, key, breaker):
        with self._lock:
            there, n = self._held.get(key, (breaker, 0))
            if there is not breaker:
                self.two_at_once.append(key)
            self._held[key] = there, n + 1

    def leave(self, key):
        with self._lock:
            there, n = self._held.pop(key)
            if n > 1:
                self._held[key] = there, n - 1


def test_a_key_never_has_two_breakers_and_no_count_is_lost_while_keys_go(rm, stress_scale):  # CB-25
    holders = Holders()
    calls = CALLS * stress_scale

    def work(number):
        def run():
            chosen = random.Random(number)
            overflowed = 0
            for _ in range(calls):
                key = chosen.randrange(KEYS)
                one = rm.keyed("exchange", key)
                if one.is_overflow:
                    overflowed += 1
                    one.call(len, "")
                    continue
                breaker = one.circuit_breaker
                holders.hold(key, breaker)
                assert one.call(len, "ok") == 2
                holders.leave(key)
                del one, breaker
            return overflowed

        return run

    overflowed = sum(together(*map(work, range(THREADS))))
    gc.collect()
    assert holders.two_at_once == []
    total = THREADS * calls
    ok = {"name": "busy/exchange", "result": "success"}
    assert value("holdfast_circuit_breaker_requests_total", **ok) == total
    assert value("holdfast_operations_total", operation="busy/exchange", result="success") == total
    assert value("holdfast_bulkhead_concurrent", bulkhead="busy/exchange") == 0
    counts = rm.keys("exchange").counts()
    assert counts.overflowed == overflowed
    assert counts.evicted > 0
    assert counts.living <= KEYS // 3


def test_no_breaker_that_was_opened_is_forgotten_while_keys_go(rm, stress_scale):  # CB-25
    def work(number):
        def run():
            chosen = random.Random(number)
            tripped = set()
            for at in range(CALLS * stress_scale):
                key = chosen.randrange(KEYS * 10)
                one = rm.keyed("exchange", key)
                if at % CALLS == CALLS // 2 and not one.is_overflow:
                    one.circuit_breaker.trip()
                    tripped.add(key)
                del one
            return tripped

        return run

    tripped = set().union(*together(*map(work, range(THREADS))))
    assert tripped
    shown = rm.keys("exchange").snapshot().keys
    states = Counter(shown[key].circuit_breaker.state for key in tripped if key in shown)
    assert states == {hf.State.OPEN: len(tripped)}


def test_registering_while_keys_come_and_go_loses_no_count(rm, stress_scale):
    done = threading.Event()
    calls = CALLS * stress_scale

    def work(number):
        def run():
            chosen = random.Random(number)
            for _ in range(calls):
                key = chosen.randrange(KEYS)
                assert rm.keyed("exchange", key).call(len, "ok") == 2

        return run

    def register():
        n = 0
        while not done.is_set():
            n += 1
            rm.register_bulkhead("exchange", 100 + n % 5)
            rm.register_circuit_breaker("exchange", max_failures=5 + n % 3)
        return n

    def all_calls():
        try:
            together(*map(work, range(THREADS - 1)))
        finally:
            done.set()

    registered, _ = together(register, all_calls)
    assert registered > 1
    gc.collect()
    total = (THREADS - 1) * calls
    ok = {"name": "busy/exchange", "result": "success"}
    assert value("holdfast_circuit_breaker_requests_total", **ok) == total
    assert value("holdfast_operations_total", operation="busy/exchange", result="success") == total
    capacity = rm.bulkhead("exchange").snapshot().capacity
    for key in rm.keys("exchange"):
        assert rm.keyed("exchange", key).bulkhead.snapshot().capacity == capacity


@forks_beside_threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_finds_its_keys_while_threads_of_the_parent_ask_for_others():
    run_apart(
        IN_CHILD
        + """
    import itertools, threading

    rm = hf.ResilienceManager("m")
    rm.register_circuit_breaker("exchange", max_failures=5)
    rm.register_operation("exchange", keys=20)
    rm.keyed("exchange", "open").circuit_breaker.trip()
    done = threading.Event()

    def ask():
        for n in itertools.count():
            rm.keyed("exchange", n)
            if done.is_set():
                return

    def look():
        state = rm.keyed("exchange", "open").circuit_breaker.state.value
        for n in range(100):
            rm.keyed("exchange", ("child", n)).call(len, "ok")
        keys = rm.keys("exchange")
        return state, len(keys), keys.counts().evicted + keys.counts().overflowed

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    answers = [eval(in_child(look)) for _ in range(10)]
    done.set()
    for thread in threads:
        thread.join()
    for state, living, gone in answers:
        assert state == "open" and living <= 20 and gone >= 100 - 20, answers
    """
    )
