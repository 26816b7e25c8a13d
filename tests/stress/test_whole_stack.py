"""Chaos in the whole stack: faults strike operations of a manager, in threads and tasks at once.

Afterwards the books of all that took part are the same: what the callers got, the operations, the
budgets, the policies and the faults. Real time, but nothing depends on how fast anything is.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from random import Random
from typing import Any

import pytest

import holdfast as hf
from holdfast import chaos
from holdfast._native.histogram import ENDS
from tests.stress.test_conservation import run_threads, settled
from tests.telemetry.scraped import Scrape

pytestmark = pytest.mark.stress

OPERATIONS = ("send", "message")
THREADS, LOOPS, TASKS = 6, 2, 30
CAPACITY = 16


class Books:
    """What the callers got and what ran, counted without holdfast."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.got: dict[str, Counter[str]] = {name: Counter() for name in OPERATIONS}
        self.values: dict[int, int] = {}
        self.ends: Counter[int] = Counter()
        self.runs: Counter[str] = Counter()

    def ran(self, operation: str) -> None:
        with self._lock:
            self.runs[operation] += 1

    def end(self, operation: str, number: int, ended: str, value: int | None) -> None:
        with self._lock:
            self.got[operation][ended] += 1
            self.ends[number] += 1
            if ended == "success":
                assert value is not None
                self.values[number] = value


def how(error: BaseException | None) -> str:
    """Return which outcome an operation counts for what its caller got."""
    if error is None:
        return "success"
    if isinstance(error, hf.Rejected):
        return "rejected"
    if isinstance(error, hf.DeadlineExceededError):
        return "timeout"
    return "failure" if isinstance(error, Exception) else "cancelled"


def managed(node: str, faults: list[Any]) -> hf.ResilienceManager:
    """A manager in which each policy has something to do."""
    rm = hf.ResilienceManager(node, default_timeout=30)
    for name in OPERATIONS:
        rm.register_circuit_breaker(name, max_failures=5, timeout=0.01, reset_timeout=0.002)
        rm.register_retry_policy(
            name, max_retries=2, initial_delay=0.0005, max_delay=0.001, on=(Exception,)
        )
        rm.register_error_budget(name, slo=0.5)
        rm.register_latency_budget(name, target=25)  # of the 30 s of a call: nothing exceeds it
    rm.register_error_budget("system", slo=0.5)
    rm.register_rate_limiter("outbound", rate=20_000, burst=20)
    rm.register_bulkhead("connections", CAPACITY, 40, 0.005)
    for fault in faults:
        rm.register_fault(fault)
    for name in OPERATIONS:
        rm.register_operation(
            name,
            rate_limiter="outbound",
            bulkhead="connections",
            error_budget=(name, "system"),
            critical=name == "send",
        )
    return rm


def armed(seed: int) -> list[Any]:
    """The faults of a node, and one that only a deadline ends."""
    return [
        chaos.Latency(0.0, 0.001, name=f"network-latency-{seed}", probability=0.1, seed=seed),
        chaos.Error(name=f"random-error-{seed}", probability=0.1, seed=seed + 1),
        chaos.Timeout(0.001, name=f"timeout-{seed}", probability=0.03, seed=seed + 2),
        chaos.Timeout(600.0, name=f"stall-{seed}", probability=0.01, seed=seed + 3),
        chaos.Raise(name=f"defect-{seed}", probability=0.01, seed=seed + 4),
    ]


class Traffic:
    """Calls of both operations in threads and in tasks, some of which are cancelled."""

    def __init__(self, rm: hf.ResilienceManager, seed: int, calls: int) -> None:
        self.rm, self.seed, self.calls = rm, seed, calls
        self.books = Books()
        self.begun = [0] * (THREADS + LOOPS)
        self.guarded = {name: rm.operation(name)(self.run) for name in OPERATIONS}
        self.guarded_tasks = {name: rm.operation(name)(self.arun) for name in OPERATIONS}

    def run(self, operation: str, number: int, fate: int) -> int:
        self.books.ran(operation)
        if fate == 0:
            raise ValueError(number)
        if fate == 1:
            raise KeyboardInterrupt
        return 2 * number

    async def arun(self, operation: str, number: int, fate: int) -> int:
        self.books.ran(operation)
        await asyncio.sleep(0)
        if fate == 0:
            raise ValueError(number)
        return 2 * number

    def call(self, operation: str, number: int, fate: int) -> None:
        """Call, in one of the ways there are, and write down what came back."""
        value, error = None, None
        try:
            if number % 3 == 0:
                value = self.rm.execute(operation, self.run, operation, number, fate)
            elif number % 3 == 1:
                value = self.rm.operation(operation).call(self.run, operation, number, fate)
            else:
                value = self.guarded[operation](operation, number, fate)
        except BaseException as raised:
            error = raised
        self.books.end(operation, number, how(error), value)

    async def acall(self, operation: str, number: int, fate: int) -> None:
        value, error = None, None
        try:
            if number % 3 == 0:
                value = await self.rm.aexecute(operation, self.arun, operation, number, fate)
            elif number % 3 == 1:
                handle = self.rm.operation(operation)
                value = await handle.acall(self.arun, operation, number, fate)
            else:
                value = await self.guarded_tasks[operation](operation, number, fate)
        except BaseException as raised:
            error = raised
        self.books.end(operation, number, how(error), value)

    async def caller(self, first: int, random: Random) -> int:
        numbers = range(first, first + self.calls // 3)
        for number in numbers:
            call = self.acall(random.choice(OPERATIONS), number, random.randrange(20))
            task = asyncio.ensure_future(call)
            await asyncio.sleep(0)  # it has begun: what has not is no call
            if random.random() < 0.1:
                for _ in range(random.randrange(5)):
                    await asyncio.sleep(0)
                task.cancel()
            await task
        return len(numbers)

    async def callers(self, first: int, random: Random) -> int:
        tasks = [self.caller(first + at * 100_000, Random(random.random())) for at in range(TASKS)]
        return sum(await asyncio.gather(*tasks))

    def work(self, thread: int) -> None:
        random, first = Random(self.seed * 1000 + thread), thread * 10_000_000
        if thread < LOOPS:
            self.begun[thread] = asyncio.run(self.callers(first, random))
            return
        for number in range(first, first + self.calls):
            self.call(random.choice(OPERATIONS), number, random.randrange(20))
            self.begun[thread] += 1


@pytest.fixture(params=[1, 2, 3])
def after(request: Any, stress_scale: int, holdfast_chaos: Any) -> Any:
    """The traffic and the faults after chaos."""
    threads = set(threading.enumerate())
    faults = armed(request.param)
    traffic = Traffic(managed(f"node-{request.param}", faults), request.param, 100 * stress_scale)
    run_threads(traffic.work, THREADS + LOOPS)
    gc.collect()
    left = {one for one in set(threading.enumerate()) - threads if one.name != "holdfast-periodic"}
    assert not left  # that thread belongs to all: it logs how often a record was repeated
    return traffic, faults


def test_all_books_agree_after_chaos_in_threads_and_tasks(after: Any) -> None:
    # CH-12, TS-07, RM-10, D-CH-1, D-RM-1, D-RM-5, D-RM-8
    traffic, faults = after
    rm, books = traffic.rm, traffic.books
    ended: dict[str, dict[str, int]] = {}
    for name in OPERATIONS:
        ended[name] = dict(zip(ENDS, rm.operation(name)._ends.counters(), strict=True))
    each_call_has_one_outcome(traffic, ended)
    for name in OPERATIONS:
        the_budgets_agree(rm, name, ended[name])
        the_attempts_agree(rm, name, ended[name])
    counted = [sum(ends.values()) - ends["cancelled"] for ends in ended.values()]
    failed = [
        counts - ends["success"] for counts, ends in zip(counted, ended.values(), strict=True)
    ]
    system = rm.error_budget("system").snapshot()
    assert (system.total_requests, system.failed_requests) == (sum(counted), sum(failed))
    the_limits_agree(rm, ended)
    the_faults_agree(rm, faults, books)
    the_metrics_agree(rm, faults, ended)
    each_permit_is_home(rm)


def each_call_has_one_outcome(traffic: Traffic, ended: dict[str, dict[str, int]]) -> None:
    books = traffic.books
    assert set(books.ends) == {
        number
        for thread, begun in enumerate(traffic.begun)
        for number in numbers_of(thread, begun, traffic.calls)
    }
    assert set(books.ends.values()) == {1}
    assert all(value == 2 * number for number, value in books.values.items())
    for name in OPERATIONS:
        assert books.got[name] == Counter({end: n for end, n in ended[name].items() if n})
        assert min(books.got[name][end] for end in ("success", "failure", "rejected")) > 0
    assert sum(traffic.begun) == sum(sum(ends.values()) for ends in ended.values()) > 2000


def numbers_of(thread: int, begun: int, calls: int) -> Any:
    first = thread * 10_000_000
    if thread >= LOOPS:
        return range(first, first + begun)
    return [
        first + at * 100_000 + number for at in range(TASKS) for number in range(begun // TASKS)
    ]


def each_permit_is_home(rm: hf.ResilienceManager) -> None:
    bulkhead = rm.bulkhead("connections")
    there = bulkhead.snapshot()
    assert (there.active, there.queued, there.over_released) == (0, 0, 0)
    assert there.admitted == there.completed + there.undone
    assert [bulkhead.try_enter() for _ in range(CAPACITY + 1)] == [True] * CAPACITY + [False]
    for name in OPERATIONS:
        breaker = rm.circuit_breaker(name).snapshot()
        assert (breaker.in_flight, breaker.probes, breaker.settled_twice) == (0, 0, 0)
        assert breaker.admitted == settled(breaker)
        assert breaker.abandoned == 0


def the_budgets_agree(rm: hf.ResilienceManager, name: str, ended: dict[str, int]) -> None:
    """Who cancels a call has not been failed; a call that was refused has."""
    budget = rm.error_budget(name).snapshot()
    assert budget.total_requests == sum(ended.values()) - ended["cancelled"]
    assert budget.total_requests - budget.failed_requests == ended["success"]
    latency = rm.latency_budget(name).snapshot()
    assert (latency.recorded, latency.violations) == (ended["success"], 0)


def the_attempts_agree(rm: hf.ResilienceManager, name: str, ended: dict[str, int]) -> None:
    operation, retry = rm.operation(name), rm.retry(name).snapshot()
    calls, retries = sum(ended.values()), sum(retry.retries)
    assert retries > 0
    assert operation._ends.retries() == retries
    assert retry.attempts == calls + retries
    assert retry.succeeded == ended["success"]
    gave_up = dict(retry.gave_up)
    assert gave_up.pop("rejected") == ended["rejected"]
    assert gave_up.pop("cancelled") == ended["cancelled"]
    assert sum(gave_up.values()) == ended["failure"] + ended["timeout"]
    budget = rm.retry(name).budget
    assert budget is not None
    tokens = budget.snapshot()
    assert tokens.withdrawn - tokens.given_back == retries
    # A call succeeds with the one attempt that did. The timeout of attempts is inside the breaker.
    breaker = rm.circuit_breaker(name).snapshot()
    assert breaker.succeeded == ended["success"]
    total, attempts = (one.snapshot() for one in operation.policies if one.kind == "timeout")
    assert attempts.in_time + attempts.expired == breaker.admitted
    assert operation._ends.timeouts() == attempts.expired + total.expired
    assert total.expired == 0


def the_limits_agree(rm: hf.ResilienceManager, ended: dict[str, dict[str, int]]) -> None:
    """Each refusal is the end of a call; each attempt that nobody refused ran."""
    breakers = [rm.circuit_breaker(name).snapshot() for name in OPERATIONS]
    limiter, bulkhead = (
        rm.rate_limiter("outbound").snapshot(),
        rm.bulkhead("connections").snapshot(),
    )
    refused = sum(one.rejected for one in breakers)
    refused += limiter.rejected + bulkhead.rejected + bulkhead.timed_out
    assert refused == sum(ends["rejected"] for ends in ended.values())
    ran = sum(one.admitted for one in breakers)
    assert limiter.allowed == ran == bulkhead.completed
    # Attempts that nobody counts were cancelled in a queue; others in a pause, or while they ran.
    attempts = sum(rm.retry(name).snapshot().attempts for name in OPERATIONS)
    cancelled = sum(ends["cancelled"] for ends in ended.values())
    ignored = sum(one.ignored for one in breakers)
    assert 0 <= attempts - refused - ran <= cancelled - ignored


def the_faults_agree(rm: hf.ResilienceManager, faults: list[Any], books: Books) -> None:
    latency, *others = shown = [fault.snapshot() for fault in faults]
    assert latency.checked == rm.rate_limiter("outbound").snapshot().allowed
    passed = others[0].checked
    assert 0 <= latency.checked - passed <= latency.injected  # the wait of these was cut
    for fault in others:
        assert fault.checked == passed
        passed -= fault.injected
    assert passed == books.runs.total()
    for fault in faults:  # which calls are struck follows from the seed, whoever makes them
        assert injected_in_turn(fault) == fault.snapshot().injected > 0
    everything = chaos.snapshot().faults
    assert [one for one in everything if one in shown] == shown


def injected_in_turn(fault: Any) -> int:
    """Return how many of as many calls a fault of the same seed strikes, one after the other."""
    there = fault.snapshot()
    again = chaos.Error(probability=there.probability, seed=there.seed)
    alone = hf.Pipeline("alone", again)
    for _ in range(there.checked):
        alone.try_call(int)
    assert again.snapshot().checked == there.checked
    return again.snapshot().injected


def the_metrics_agree(
    rm: hf.ResilienceManager, faults: list[Any], ended: dict[str, dict[str, int]]
) -> None:
    seen = Scrape()
    for name in OPERATIONS:
        full = f"{rm.name}/{name}"
        for end in ENDS:
            assert seen("operations_total", operation=full, result=end) == ended[name][end]
        retries = sum(rm.retry(name).snapshot().retries)
        assert seen("operation_retries_total", operation=full) == retries
        budget = rm.error_budget(name).snapshot()
        failures = seen("error_budget_requests_total", budget=full, result="failure")
        assert failures == budget.failed_requests
        breaker = rm.circuit_breaker(name).snapshot()
        for result, count in {
            "success": breaker.succeeded,
            "failure": breaker.failed,
            "rejected": breaker.rejected,
        }.items():
            assert seen("circuit_breaker_requests_total", name=full, result=result) == count
    for fault in faults:
        there = fault.snapshot()
        assert seen("chaos_checks_total", fault=fault.name) == there.checked
        assert seen("chaos_injections_total", fault=fault.name) == there.injected
