"""Faults whose effect lasts: what starts it, what ends it, and what its settings may be."""

import asyncio
import logging
import threading

import pytest

import holdfast as hf
from holdfast import chaos
from tests.chaos.subjects import soon

MIB = 1 << 20


def faults(folder, clock, **settings):
    settings = {"probability": 1, "clock": clock} | settings
    return {
        "cpu": lambda: chaos.Cpu(load=0.01, **settings),
        "disk": lambda: chaos.Disk(folder, MIB, **settings),
        "memory": lambda: chaos.Memory(MIB, **settings),
        "partition": lambda: chaos.Partition(**settings),
    }


@pytest.fixture(params=["cpu", "disk", "memory", "partition"])
def make(request, tmp_path, clock):
    return lambda **settings: faults(tmp_path, clock, **settings)[request.param]()


def test_a_struck_call_starts_the_effect_and_time_ends_it(
    make, clock
):  # CH-06, CH-07, CH-08, CH-09
    fault = make(lasts=30)
    fault.try_call(len, "ok")
    assert not fault.is_on  # chaos is disabled
    chaos.enable(clock=clock)
    assert fault.try_call(len, "ok").ok is not isinstance(fault, chaos.Partition)
    clock.advance(29.9)
    assert fault.is_on
    clock.advance(0.1)
    assert not fault.is_on
    assert fault.snapshot().injected == 1


def test_disabling_chaos_ends_the_effect(make, clock):  # CH-14, D-CH-3
    fault = make()
    chaos.enable(clock=clock)
    fault.try_call(len, "ok")
    assert fault.is_on
    chaos.disable()
    assert not fault.is_on
    fault.try_call(len, "ok")
    fault.strike(5)
    assert not fault.is_on


@pytest.mark.parametrize(("run", "own"), [(3, None), (50, 3)])
def test_an_effect_ends_no_later_than_its_fault_may_strike(make, clock, run, own):  # CH-14
    fault = make(lasts=60, duration=own)
    chaos.enable(duration=run, clock=clock)
    fault.try_call(len, "ok")
    clock.advance(2.9)
    assert fault.is_on
    clock.advance(0.1)
    assert not fault.is_on


def test_a_fault_is_struck_without_a_call_now_and_later(make, clock):  # CH-01
    fault = make(probability=0)
    chaos.enable(clock=clock)
    fault.strike(5)
    fault.strike(2, after=10)
    fault.strike(2, after=20)
    on = []
    for _ in range(25):
        on.append(fault.is_on)
        clock.advance(1)
    assert [n for n, is_on in enumerate(on) if is_on] == [0, 1, 2, 3, 4, 10, 11, 20, 21]
    assert fault.snapshot().injected == 3


def test_disabling_chaos_cancels_what_was_to_strike_later(make, clock):  # CH-14
    fault = make(probability=0)
    chaos.enable(clock=clock)
    fault.strike(5, after=10)
    chaos.disable()
    chaos.enable(clock=clock)
    clock.advance(11)
    assert not fault.is_on


def test_an_observing_fault_has_no_effect(make, clock):
    fault = make(mode="observe")
    chaos.enable(clock=clock)
    assert fault.call(len, "ok") == 2
    assert not fault.is_on
    assert fault.snapshot().observed == 1
    fault.strike(5)
    assert not fault.is_on
    assert (fault.snapshot().observed, fault.snapshot().injected) == (2, 0)


def test_the_log_has_the_call_and_the_seed_that_started_an_effect(make, clock, caplog):  # CH-14
    caplog.set_level(logging.INFO, "holdfast.chaos")
    fault = make(seed=7, lasts=5)
    chaos.enable(clock=clock)
    fault.try_call(len, "ok")
    assert f"fault {fault.name!r} ({fault.name}) lasts for 5 s (call 0, seed 7)" in caplog.text


async def test_a_task_is_not_blocked_by_an_effect(make, clock):  # D-CH-2
    fault = make()
    chaos.enable(clock=clock)

    async def work():
        return 2

    await fault.try_acall(work)
    assert fault.is_on


def test_a_call_goes_on_if_the_effect_cannot_start(tmp_path, caplog):
    fault = chaos.Disk(tmp_path / "missing", MIB, probability=1)
    chaos.enable()
    assert fault.call(len, "ok") == 2
    assert "fault 'disk' has no effect (call 0" in caplog.text
    assert "missing" in caplog.text


def test_memory_and_disk_say_what_they_hold(tmp_path):  # CH-06, CH-09
    chaos.enable()
    for fault in chaos.Memory(3 * MIB, probability=1), chaos.Disk(tmp_path, 3 * MIB, probability=1):
        assert fault.held == 0
        fault.call(len, "ok")
        assert soon(lambda fault=fault: fault.held == 3 * MIB)
        chaos.disable()
        assert fault.held == 0
        chaos.enable()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: chaos.Memory(), "size: got None, allowed"),
        (lambda: chaos.Disk("/tmp"), "size: got None, allowed"),
        (lambda: chaos.Memory(0), "size: got 0, allowed"),
        (lambda: chaos.Memory(share=1.5), "share: got 1.5, allowed"),
        (lambda: chaos.Memory(share=0), "share: got 0, allowed"),
        (lambda: chaos.Memory(1, lasts=None), "lasts: got None, allowed"),
        (lambda: chaos.Memory(1, lasts=float("inf")), "lasts: got inf, allowed"),
        (lambda: chaos.Disk(5, 1), "folder: got 5, allowed"),
        (lambda: chaos.Disk(b"/tmp", 1), "folder: got b'/tmp', allowed"),
        (lambda: chaos.Disk("/tmp", 1, lasts=86_401), "lasts: got 86401, allowed"),
        (lambda: chaos.Cpu(0), "processors: got 0, allowed"),
        (lambda: chaos.Cpu(1025), "processors: got 1025, allowed"),
        (lambda: chaos.Cpu(load=0), "load: got 0, allowed"),
        (lambda: chaos.Cpu(lasts=float("inf")), "lasts: got inf, allowed"),
        (lambda: chaos.Partition(0), "lasts: got 0, allowed"),
        (lambda: chaos.Partition(float("inf")), "lasts: got inf, allowed"),
        (lambda: chaos.Partition(hang=1), "hang: got 1, allowed"),
        (lambda: chaos.Partition(on_recover=5), "on_recover: got 5, allowed"),
    ],
)
def test_a_fault_without_bounds_is_refused(make, problem):  # CH-14, D-CH-2
    with pytest.raises(hf.ConfigError) as refused:
        make()
    assert problem in str(refused.value)


# ---- partitions ----


def results(fault, calls):
    return [fault.try_call(len, "ok").ok for _ in range(calls)]


def test_all_calls_fail_during_a_partition_and_none_after_it(clock):  # CH-07
    fault = chaos.Partition(5, probability=0, clock=clock)
    chaos.enable(clock=clock)
    assert results(fault, 3) == [True] * 3
    fault.strike(5)
    assert results(fault, 3) == [False] * 3
    clock.advance(5)
    assert results(fault, 3) == [True] * 3
    assert fault.snapshot().injected == 1 + 3  # the beginning, and the calls


def test_a_call_may_begin_a_partition_by_chance_and_replays_with_its_seed(clock):  # CH-01, CH-07
    fault = chaos.Partition(5, probability=0.1, clock=clock, seed=5)
    runs = []
    for _ in range(2):
        chaos.enable(clock=clock)
        runs.append([])
        for _ in range(60):
            runs[-1].append(fault.try_call(len, "ok").ok)
            clock.advance(1)
    assert runs[0] == runs[1]
    lengths = [len(part) for part in "".join("01"[ok] for ok in runs[0]).split("1") if part]
    lengths.pop()  # it may be cut off by the end of the run
    assert len(lengths) > 1
    assert all(length >= 5 for length in lengths)


def test_a_partition_is_a_failure_of_the_function_to_the_policies_around_it(clock):  # D-CH-1
    cut = chaos.Partition(5, probability=1, clock=clock)
    breaker = hf.CircuitBreaker("far", failure_threshold=2, clock=clock)
    pipe = hf.Pipeline("far", breaker, cut)
    chaos.enable(clock=clock)
    for _ in range(2):
        with pytest.raises(chaos.InjectedPartitionError):
            pipe.call(len, "ok")
    assert breaker.state is hf.State.OPEN
    assert isinstance(chaos.InjectedPartitionError(), ConnectionError)


def test_callbacks_of_a_partition_are_called_also_without_calls(clock):  # CH-07
    told = []
    fault = chaos.Partition(
        on_partition=lambda: told.append("cut"), on_recover=lambda: told.append("back"), clock=clock
    )
    chaos.enable(clock=clock)
    fault.strike(5)
    assert told == ["cut"]
    clock.advance(5)
    assert told == ["cut", "back"]
    fault.strike(5)
    chaos.disable()
    assert told == ["cut", "back"] * 2


def test_a_hanging_call_fails_at_the_end_of_the_partition(clock):  # CH-07
    fault = chaos.Partition(5, hang=True, probability=1, clock=clock)
    chaos.enable(clock=clock)
    with pytest.raises(chaos.InjectedPartitionError):
        fault.call(len, "ok")
    assert clock.now() == 5


def test_a_hanging_call_ends_at_its_deadline(clock):  # CH-07, D-CH-2
    pipe = hf.Pipeline(
        "far", hf.Timeout(2, clock=clock), chaos.Partition(5, hang=True, probability=1, clock=clock)
    )
    chaos.enable(clock=clock)
    with pytest.raises(hf.DeadlineExceededError):
        pipe.call(len, "ok")
    assert clock.now() == 2


async def test_a_hanging_task_ends_at_its_deadline_and_by_cancellation(loop):  # CH-07, D-CH-2
    async def work():
        return 2

    clock = loop.clock
    cut = chaos.Partition(5, hang=True, probability=1, clock=clock)
    pipe = hf.Pipeline("far", hf.Timeout(2, clock=clock), cut)
    chaos.enable(clock=clock)
    with pytest.raises(hf.DeadlineExceededError):
        await pipe.acall(work)
    assert loop.time() == 2
    task = asyncio.ensure_future(pipe.acall(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(chaos.InjectedPartitionError):
        await cut.acall(work)
    assert loop.time() == 5


async def test_a_hanging_task_goes_on_when_chaos_is_disabled():  # D-CH-3
    async def work():
        return 2

    task = asyncio.ensure_future(chaos.Partition(5, hang=True, probability=1).acall(work))
    chaos.enable()
    await asyncio.sleep(0)
    chaos.disable()
    assert await task == 2


def test_a_scenario_and_a_composite_may_have_faults_that_last(clock):  # CH-10, CH-13
    memory = chaos.Memory(MIB, lasts=5, probability=1, clock=clock)
    both = chaos.Composite(memory, chaos.Partition(5, clock=clock), probability=1, clock=clock)
    pipe = hf.Pipeline("payments", hf.CircuitBreaker("payments", clock=clock))
    steps = [
        {"at": 10, "fault": both, "target": "payments", "duration": 3},
        {"at": 20, "fault": {"type": "partition"}, "target": "payments", "duration": 3},
    ]
    chaos.enable(clock=clock)
    failed = []
    with chaos.Scenario(*steps, clock=clock):
        for second in range(30):
            if not pipe.try_call(len, "ok").ok:
                failed.append(second)
            assert memory.is_on == (10 <= second < 15)
            clock.advance(1)
    assert failed == [10, 11, 12, 20, 21, 22]


def test_a_callback_of_a_partition_may_wait_for_a_thread_that_uses_chaos(clock):  # CH-07
    made = []

    def recover():
        thread = threading.Thread(target=lambda: made.append(chaos.Error()), daemon=True)
        thread.start()
        thread.join(10)
        made.append("recovered")

    fault = chaos.Partition(on_recover=recover, clock=clock)
    chaos.enable(clock=clock)
    fault.strike(5)
    chaos.disable()
    assert [type(one) for one in made] == [chaos.Error, str]
