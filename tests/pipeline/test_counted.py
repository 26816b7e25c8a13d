"""What an operation counts, whichever pipeline its calls go through."""

import asyncio
import gc
import os
import threading

import pytest

import holdfast as hf
from holdfast._native.histogram import ENDS
from holdfast.pipeline.counted import counters_of, pipeline_of
from holdfast.registry import registry
from tests.telemetry.scraped import Scrape

LABELS = ("success", "failure", "rejected", "timeout", "cancelled")


class Operation:
    """What stays when its pipeline is replaced."""

    kind = "operation"

    def __init__(self, name):
        self.name = name


@pytest.fixture
def operation(request):
    return Operation(request.node.name)


@pytest.fixture
def ends(operation):
    return counters_of(operation, critical=False)


@pytest.fixture
def clock():
    return hf.ManualClock()


def counts(ends):
    """Return what was counted, without what was not."""
    found = dict(zip(ENDS, ends.counters(), strict=True))
    found |= {"retries": ends.retries(), "timeouts": ends.timeouts()}
    return {name: count for name, count in found.items() if count}


class Answers:
    """A function that gives answers in turn: raises errors, returns values; slow ones take long."""

    def __init__(self, clock, *answers, takes=0.0):
        self.clock, self.takes = clock, takes
        self.answers = list(answers)

    def __call__(self):
        self.clock.advance(self.takes)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def in_task(self):
        return self()


def fail(*_):
    raise ConnectionError


# ---- ends ----


def test_each_call_of_an_operation_counts_once_by_its_end(ends, clock):  # MX-29
    assert ENDS == LABELS
    breaker = hf.CircuitBreaker("b", clock=clock)
    gate = pipeline_of("send", [hf.Timeout(1, clock=clock), breaker], ends)
    gate.call(int)
    with pytest.raises(ConnectionError):
        gate.call(fail)
    with pytest.raises(hf.DeadlineExceededError):
        gate.call(clock.advance, 2)
    with pytest.raises(KeyboardInterrupt):
        gate.call(Answers(clock, KeyboardInterrupt()))
    breaker.force_open()
    with pytest.raises(hf.CircuitOpenError):
        gate.call(int)
    assert counts(ends) == {**dict.fromkeys(LABELS, 1), "timeouts": 1}


def test_an_operation_counts_on_in_the_pipeline_that_replaces_its_own(ends, clock):
    first = pipeline_of("send", [hf.Bulkhead("b")], ends)
    first.call(int)
    second = pipeline_of("send", [hf.Retry("r", attempts=2, clock=clock)], ends)
    second.call(Answers(clock, ConnectionResetError(), "there"))
    first.call(int)  # one that was in flight ends where it began
    assert counts(ends) == {"success": 3, "retries": 1}


def test_the_pipeline_of_an_operation_is_no_policy_of_its_own(operation, ends):
    before = len(registry.all())
    gate = pipeline_of("send", [hf.Bulkhead("the only one")], ends)
    gate.call(int)
    assert len(registry.all()) == before + 1
    assert all(made is not gate for made in registry.all())
    assert counters_of(operation, critical=False) is ends


# ---- retries ----


def calls_of(how, gate, fn):
    if how == "call":
        return gate.call(fn)
    if how == "task":
        return asyncio.run(gate.acall(fn.in_task))
    if how == "guard":
        return gate(fn)()
    for attempt in gate.attempts():
        with attempt:
            answer = fn()
    return answer


@pytest.mark.parametrize("how", ["call", "task", "guard", "block"])
def test_each_attempt_after_the_first_is_a_retry_of_the_operation(how, ends, clock):
    retry = hf.Retry("r", attempts=4, backoff=hf.Constant(0), clock=clock)
    policies = [retry, hf.CircuitBreaker("b", clock=clock)]
    gate = pipeline_of("send", policies, ends)
    assert calls_of(how, gate, Answers(clock, ConnectionResetError(), TimeoutError(), 7)) == 7
    assert counts(ends) == {"success": 1, "retries": 2}
    with pytest.raises(ValueError, match="no"):
        calls_of(how, gate, Answers(clock, ValueError("no")))
    assert counts(ends) == {"success": 1, "failure": 1, "retries": 2}


async def test_a_retry_that_is_never_made_is_none(ends, loop):
    retry = hf.Retry("r", attempts=4, backoff=hf.Constant(5), clock=loop.clock)
    gate = pipeline_of("send", [retry], ends)

    async def fail():
        raise ConnectionError

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7):  # in the second pause
            await gate.acall(fail)
    assert counts(ends) == {"cancelled": 1, "retries": 1}


def test_retries_behind_the_thread_of_a_timeout_count_as_well(ends, clock):
    thread = hf.Timeout(60, thread=True)
    gate = pipeline_of("send", [thread, hf.Retry("r", attempts=3, clock=clock)], ends)
    assert gate.call(Answers(clock, ConnectionResetError(), BrokenPipeError(), "there")) == "there"
    assert counts(ends) == {"success": 1, "retries": 2}


# ---- timeouts ----


@pytest.mark.parametrize("how", ["call", "guard", "block"])
def test_each_timeout_that_runs_out_counts_that_of_an_attempt_too(how, ends, clock):
    policies = [
        hf.Timeout(10, clock=clock),
        hf.Retry("r", attempts=3, clock=clock, backoff=hf.Constant(0.1)),
        hf.Timeout(1, clock=clock),
    ]
    gate = pipeline_of("send", policies, ends)
    with pytest.raises(hf.DeadlineExceededError):
        calls_of(how, gate, Answers(clock, 1, 2, 3, takes=2))
    assert counts(ends) == {"timeout": 1, "retries": 2, "timeouts": 3}
    with pytest.raises(hf.DeadlineExceededError):
        calls_of(how, gate, Answers(clock, 1, takes=20))  # both, the outer one first
    assert counts(ends) == {"timeout": 2, "retries": 2, "timeouts": 5}


async def test_timeouts_that_cut_a_task_count(ends, loop):
    def within(seconds):
        return hf.Timeout(seconds, clock=loop.clock)

    retry = hf.Retry("r", attempts=3, backoff=hf.Constant(0.1), clock=loop.clock)
    gate = pipeline_of("send", [within(10), retry, within(1)], ends)
    with pytest.raises(hf.DeadlineExceededError):
        await gate.acall(asyncio.sleep, 2)
    assert counts(ends) == {"timeout": 1, "retries": 2, "timeouts": 3}
    with pytest.raises(hf.DeadlineExceededError):  # that of another
        async with within(1), pipeline_of("send", [within(5)], ends):
            await asyncio.sleep(2)
    assert ends.timeouts() == 3
    with pytest.raises(hf.DeadlineExceededError):
        async with pipeline_of("send", [within(1)], ends):
            await asyncio.sleep(2)
    assert ends.timeouts() == 4


def test_a_timeout_that_a_fallback_stands_in_for_counts(ends, clock):
    gate = pipeline_of("send", [hf.Fallback(0), hf.Timeout(1, clock=clock)], ends)
    assert gate.call(Answers(clock, 1, takes=2)) == 0
    assert counts(ends) == {"success": 1, "timeouts": 1}


def test_a_timeout_of_a_block_and_of_a_permit_counts(ends, clock):
    gate = pipeline_of("send", [hf.Timeout(1, clock=clock), hf.Bulkhead("b")], ends)
    with pytest.raises(hf.DeadlineExceededError), gate:
        clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError), gate.acquire():
        clock.advance(2)
    permit = gate.acquire()
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError):
        permit.success()
    assert counts(ends) == {"timeout": 3, "timeouts": 3}
    with gate:
        pass
    assert counts(ends) == {"success": 1, "timeout": 3, "timeouts": 3}


def test_a_timeout_around_the_operation_is_not_one_of_it(ends, clock):
    gate = pipeline_of("send", [hf.Timeout(60, clock=clock)], ends)
    with pytest.raises(hf.DeadlineExceededError):
        hf.Timeout(1, clock=clock).call(lambda: gate.call(clock.advance, 2))
    assert ends.timeouts() == 0


def test_an_observing_timeout_counts_none(ends, clock):
    gate = pipeline_of("send", [hf.Timeout(1, clock=clock, mode="observe")], ends)
    gate.call(clock.advance, 2)
    assert counts(ends) == {"success": 1}


def test_what_a_timeout_leaves_behind_in_a_thread_counts(ends):
    release = threading.Event()
    gate = pipeline_of("send", [hf.Timeout(0.01, thread=True), hf.Bulkhead("b")], ends)
    with pytest.raises(hf.DeadlineExceededError):
        gate.call(release.wait)
    release.set()
    assert counts(ends) == {"timeout": 1, "timeouts": 1}


# ---- what metrics show ----


def test_every_series_of_an_operation_is_there_before_its_first_call(operation, ends):  # MX-29
    seen = Scrape()
    for end in LABELS:
        assert seen("operations_total", operation=operation.name, result=end) == 0
    assert seen("operation_retries_total", operation=operation.name) == 0
    assert seen("timeouts_total", operation=operation.name) == 0


def test_metrics_show_what_an_operation_has_counted(operation, ends, clock):  # MX-29
    policies = [
        hf.Retry("r", attempts=2, clock=clock),
        hf.CircuitBreaker("b", clock=clock),
        hf.Timeout(1, clock=clock),
    ]
    gate = pipeline_of("send", policies, ends)
    gate.call(Answers(clock, ConnectionResetError(), 1, takes=0.5))
    with pytest.raises(hf.DeadlineExceededError):
        gate.call(Answers(clock, 1, 1, takes=2))
    seen = Scrape()
    for end, count in zip(LABELS, (1, 0, 0, 1, 0), strict=True):
        assert seen("operations_total", operation=operation.name, result=end) == count
    assert seen("operation_retries_total", operation=operation.name) == 2
    assert seen("timeouts_total", operation=operation.name) == 2
    assert seen("operation_duration_seconds_count", operation=operation.name) == 2
    assert all(("pipeline", "send") not in labels for labels in seen.series("pipeline_calls_total"))


def shown(metric, name):
    return any(("operation", name) in labels for labels in Scrape().series(metric))


def test_a_critical_operation_is_shown_as_such_until_it_is_no_more(operation):
    counters_of(operation, critical=True)
    assert Scrape()("operation_critical", operation=operation.name) == 1
    counters_of(operation, critical=False)
    assert not shown("operation_critical", operation.name)


def test_the_series_of_an_operation_go_with_it():
    operation = Operation("gone")
    counters_of(operation, critical=True)
    assert Scrape()("operation_retries_total", operation="gone") == 0
    del operation
    gc.collect()
    assert not shown("operation_retries_total", "gone")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes here do not fork")
def test_a_forked_child_counts_from_zero_and_is_as_critical(operation, ends, clock):
    ends.critical = True
    gate = pipeline_of("send", [hf.Retry("r", attempts=2, clock=clock)], ends)
    gate.call(Answers(clock, ConnectionResetError(), 1))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        gate.call(int)
        os.write(write, repr((counts(ends), ends.critical)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000).decode() == repr(({"success": 1}, True))
    os.close(read)
    os.close(write)
    assert counts(ends) == {"success": 1, "retries": 1}
