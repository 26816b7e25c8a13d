"""A manager is registered with and called from many threads and tasks at once."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.manager.living import managers
from holdfast.telemetry.prometheus import Collector
from tests.apart import run_apart
from tests.policies.test_forked import IN_CHILD

THREADS = 16
CALLS = 300


@pytest.fixture
def fast_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(*functions):
    """Run functions at the same time, each in a thread, and return what they return."""
    start = threading.Barrier(len(functions))

    def run(fn):
        start.wait(30)
        return fn()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [one.result(60) for one in [pool.submit(run, fn) for fn in functions]]


def value(metric, **labels):
    registry = CollectorRegistry()
    registry.register(Collector())
    return registry.get_sample_value(metric, labels)


@pytest.mark.parametrize("decorated", [False, True])
def test_registering_while_16_threads_execute_loses_no_call_and_no_count(
    decorated, stress_scale
):  # D-RM-3, GEN-03
    rm = hf.ResilienceManager("busy")
    calls = CALLS * stress_scale

    def register(n):
        rm.register_circuit_breaker("send", max_failures=5 + n % 2, timeout=30)
        rm.register_bulkhead("send", 100 + n % 3)
        rm.register_retry_policy("send", max_retries=n % 4, initial_delay=0.001)
        rm.register_timeout("send", 20 + n % 2)
        rm.register_error_budget("send", slo=0.9 if n % 2 else 0.99)

    register(0)
    ran = [0] * THREADS
    done = threading.Event()

    @rm.operation("send")
    def guarded(at):
        ran[at] += 1
        return at

    def execute(at):
        def one():
            for _ in range(calls):
                result = guarded(at) if decorated else rm.execute("send", guarded.__wrapped__, at)
                assert result == at

        return one

    def keep_registering():
        n = 0
        while not done.is_set():
            n += 1
            register(n)
        return n

    def all_executions():
        try:
            together(*map(execute, range(THREADS)))
        finally:
            done.set()

    registered, _ = together(keep_registering, all_executions)
    assert registered > 1
    assert ran == [calls] * THREADS
    total = THREADS * calls
    assert value("holdfast_operations_total", operation="busy/send", result="success") == total
    gc.collect()
    requests = value("holdfast_circuit_breaker_requests_total", name="busy/send", result="success")
    assert requests == total  # those of replaced breakers included
    assert rm.bulkhead("send").snapshot().active == 0
    assert value("holdfast_bulkhead_concurrent", bulkhead="busy/send") == 0


async def test_registering_while_tasks_execute_ends_each_call_on_the_policies_it_began_with():
    rm = hf.ResilienceManager("busy")
    inside, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def wait():
        inside.release()
        await go_on.wait()
        return "done"

    old = rm.register_bulkhead("send", 10)
    tasks = [asyncio.ensure_future(rm.aexecute("send", wait)) for _ in range(10)]
    for _ in tasks:
        await inside.acquire()
    new = rm.register_bulkhead("send", 20)
    more = [asyncio.ensure_future(rm.aexecute("send", wait)) for _ in range(20)]
    for _ in more:
        await inside.acquire()
    assert (old.snapshot().active, new.snapshot().active) == (10, 20)
    go_on.set()
    assert await asyncio.gather(*tasks, *more) == ["done"] * 30
    assert (old.snapshot().completed, new.snapshot().completed) == (10, 20)
    assert (old.snapshot().active, new.snapshot().active) == (0, 0)


def test_of_many_that_register_equal_settings_at_once_one_policy_lives():  # D-RM-3
    for _ in range(20):
        rm = hf.ResilienceManager("equal")
        made = together(*[partial(rm.register_circuit_breaker, "send", max_failures=3)] * THREADS)
        assert len(set(map(id, made))) == 1
        assert rm.circuit_breaker("send") is made[0]


def test_threads_that_register_and_call_different_names_find_them_all():  # D-RM-3
    rm = hf.ResilienceManager("many")

    def own(at):
        def one():
            for n in range(30):
                name = f"{at}-{n}"
                rm.register_bulkhead(name, 5)
                rm.register_operation(f"op-{name}", bulkhead=name)
                assert rm.execute(f"op-{name}", int) == 0
                assert rm.execute(name, int) == 0

        return one

    together(*map(own, range(8)))
    assert len(rm.policies()["bulkhead"]) == 240
    assert len(rm.operations) == 480
    assert rm.lint() == []


def test_threads_that_call_a_name_for_the_first_time_get_one_operation():
    for _ in range(20):
        rm = hf.ResilienceManager("first")
        rm.register_bulkhead("send", 50)
        found = together(*[partial(rm.operation, "send")] * 8)
        assert len(set(map(id, found))) == 1


def test_a_finaliser_that_registers_meanwhile_neither_hangs_nor_is_lost():
    rm = hf.ResilienceManager("finaliser")

    class Registers:
        def __del__(self):
            rm.register_bulkhead("late", 7)
            rm.register_circuit_breaker("send", max_failures=9)

    for n in range(5, 40):
        cycle = [Registers()]
        cycle.append(cycle)
        del cycle
        rm.register_bulkhead("send", n)
        rm.execute("send", int)
        gc.collect(0)
    gc.collect()
    assert rm.bulkhead("late").snapshot().capacity == 7
    assert rm.circuit_breaker("send") in rm.operation("send").policies


def test_what_hears_of_new_policies_may_wait_for_a_thread_that_registers():
    rm = hf.ResilienceManager("watched")

    def made(policy):
        if policy.kind == "circuit_breaker":
            with ThreadPoolExecutor(1) as pool:
                pool.submit(rm.register_bulkhead, "other", 3).result(20)

    end = hf.registry.watch(made)
    try:
        rm.register_circuit_breaker("send", max_failures=3)
    finally:
        end()
    assert rm.bulkhead("other").snapshot().capacity == 3


def test_a_forked_child_registers_although_a_thread_of_its_parent_did():  # trap 58
    run_apart(
        IN_CHILD
        + """
    import threading
    rm = hf.ResilienceManager("forked", clock=hf.ManualClock())
    rm.register_circuit_breaker("send", max_failures=3)
    rm.register_health_check(hf.PingCheck("ping", lambda: True))
    rm.start()
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with rm._lock:
            held.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)

    def tell():
        before = rm.running
        rm.register_bulkhead("send", 3)
        return before, rm.execute("send", len, "ok"), rm.stop()

    assert in_child(tell) == "(False, 2, True)"
    go_on.set()
    thread.join()
    assert rm.running
    rm.stop()
    """
    )


def test_parts_know_what_was_registered_last_whoever_registers(fast_switches):  # D-RM-3, RM-02
    rm = hf.ResilienceManager("parts")
    rm.register_circuit_breaker("b", max_failures=100)
    check = hf.PingCheck("p", lambda: True)
    rm.register_health_check(check, closes="b")
    rm.on_event(lambda event: None)

    def register(k):
        for n in range(100):
            rm.register_error_budget("b", slo=0.9 + 0.0001 * ((7 * n + k) % 50))
            rm.register_latency_budget("b", target=0.1 + 0.001 * ((7 * n + k) % 50))
            rm.register_circuit_breaker("b", max_failures=1 + (7 * n + k) % 50)
            rm.register_health_check(hf.PingCheck("other", lambda: True))
            assert {one.name for one in rm.slo} <= {"b"}

    together(*[partial(register, k) for k in range(4)])

    assert set(rm.slo) == {rm.error_budget("b"), rm.latency_budget("b")}
    watched = rm.health._checks
    assert watched["p"].link.breaker is rm.circuit_breaker("b")
    assert sorted(watched) == ["other", "p"]
    (listening,) = rm._listening.values()
    heard = {id(policy) for policy, *_ in listening._at.values()}
    assert heard == {id(one) for named in rm.policies().values() for one in named.values()}


def test_managers_are_made_while_others_look_at_the_process(fast_switches):  # GEN-09
    done = threading.Event()

    def make():
        made = []
        while not done.is_set():
            made.append(hf.ResilienceManager("short"))
            del made[:-50]

    def look():
        try:
            for _ in range(300):
                managers()
        finally:
            done.set()

    together(make, look)
