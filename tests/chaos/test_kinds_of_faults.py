"""What each kind of fault does, alone, in groups, and attached to policies that exist."""

import asyncio
import json
import sys
import threading
import weakref
from dataclasses import asdict

import pytest

import holdfast as hf
from holdfast import chaos
from holdfast.chaos.engine import engine
from holdfast.telemetry.prometheus import Collector
from holdfast.testing import chaos_enabled
from tests.waiting.parties import Party

ALWAYS = {"probability": 1.0}


@pytest.fixture
def clock():
    return hf.ManualClock()


def answers(policy, calls=4):
    return [repr(policy.try_call(len, "ok").error) for _ in range(calls)]


def test_a_latency_with_one_bound_above_the_usual_one_always_takes_that_long(clock):
    fault = chaos.Latency(1.0, **ALWAYS, clock=clock)
    with chaos_enabled():
        began = clock.now()
        assert fault.call(len, "ok") == 2
    assert clock.now() - began == 1.0


def test_a_timeout_fault_waits_and_raises(clock):  # CH-04
    fault = chaos.Timeout(5, clock=clock, **ALWAYS)
    chaos.enable()
    with pytest.raises(TimeoutError, match="operation timed out due to chaos injection"):
        fault.call(len, "ok")
    assert clock.now() == 5


async def test_a_timeout_fault_is_cut_by_a_shorter_deadline(clock):  # CH-04, D-CH-2
    pipe = hf.Pipeline("p", hf.Timeout(2, clock=clock), chaos.Timeout(5, clock=clock, **ALWAYS))
    chaos.enable()
    call = asyncio.ensure_future(pipe.acall(asyncio.sleep, 0))
    await asyncio.sleep(0)
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError):
        await call


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (None, chaos.InjectedPanicError, "unexpected"),
        ("out of cheese", chaos.InjectedPanicError, "out of cheese"),
        (ZeroDivisionError, ZeroDivisionError, None),
        (KeyError("k"), KeyError, "k"),
    ],
)
def test_raise_raises_what_nobody_expects(given, error, text):  # CH-05
    fault = chaos.Raise(given, **ALWAYS)
    pipe = hf.Pipeline("p", hf.Retry("r", attempts=3), fault)
    chaos.enable()
    for _ in range(2):
        with pytest.raises(error, match=text) as caught:
            pipe.call(len, "ok")
        assert len(caught.value.__notes__) == 1
    assert fault.snapshot().injected == 2


def test_errors_are_chosen_by_chance_and_never_shared():  # CH-03
    given = KeyError("k")
    fault = chaos.Error([given, ValueError], **ALWAYS)
    chaos.enable(seed=3)
    raised = [fault.try_call(len, "ok").error for _ in range(50)]
    assert {type(one) for one in raised} == {KeyError, ValueError}
    assert len({id(one) for one in raised}) == 50
    assert not hasattr(given, "__notes__")


async def test_a_custom_fault_is_a_function(clock):  # CH-11
    seen = []

    async def slowly(injection):
        await injection.fault.asleep(0)
        seen.append(injection)

    fault = chaos.Custom(seen.append, ainject=slowly, name="mine", clock=clock, **ALWAYS)
    plain = chaos.Custom(seen.append, clock=clock, **ALWAYS)
    chaos.enable(seed=1)
    assert fault.call(len, "ok") == 2
    call = asyncio.ensure_future(fault.acall(asyncio.sleep, 0, "slept"))
    await asyncio.sleep(0)
    clock.advance(0)
    assert await call == "slept"
    assert await plain.acall(asyncio.sleep, 0, "slept") == "slept"
    assert [one.number for one in seen] == [0, 1, 0]
    assert seen[0].fault is fault
    assert 1 <= seen[0].uniform(1, 2) < 2
    assert seen[1].choice("ab") in "ab"


async def test_a_subclass_needs_one_method():  # CH-11
    class Flaky(chaos.Fault):
        def inject(self, injection):
            raise ConnectionAbortedError

    fault = Flaky(**ALWAYS)
    chaos.enable()
    with pytest.raises(ConnectionAbortedError):
        fault.call(len, "ok")
    with pytest.raises(ConnectionAbortedError):
        await fault.acall(asyncio.sleep, 0)
    assert (fault.name, fault.snapshot().fault_type) == ("flaky", "flaky")
    with pytest.raises(TypeError, match="abstract"):
        chaos.Fault()


# ---- groups ----


async def test_a_composite_strikes_in_sequence_until_the_first_error(clock):  # CH-10
    slow, late = chaos.Latency(3, 3, clock=clock), chaos.Latency(9, 9, clock=clock)
    broken = chaos.Error(ConnectionError)
    group = chaos.Composite(slow, broken, late, clock=clock, **ALWAYS)
    chaos.enable()
    with pytest.raises(ConnectionError):
        group.call(len, "ok")
    assert clock.now() == 3
    call = asyncio.ensure_future(group.acall(asyncio.sleep, 0))
    await asyncio.sleep(0)
    clock.advance(3)
    with pytest.raises(ConnectionError):
        await call
    assert [one.snapshot().injected for one in (group, slow, broken, late)] == [2, 2, 2, 0]


def test_a_composite_may_strike_with_one_of_its_faults():  # CH-01
    members = [chaos.Error(error) for error in (KeyError, ValueError, OSError)]
    group = chaos.Composite(*members, choose="one", **ALWAYS)
    chaos.enable(seed=2)
    answers(group, 90)
    counts = [member.snapshot().injected for member in members]
    assert sum(counts) == 90
    assert min(counts) > 10


def test_members_that_observe_or_are_over_take_no_part(clock):
    silent, over = chaos.Error(mode="observe"), chaos.Error(duration=1, clock=clock)
    group = chaos.Composite(silent, over, chaos.Error(mode="off"), **ALWAYS)
    chaos.enable()
    clock.advance(1)
    assert group.call(len, "ok") == 2
    assert silent.snapshot().observed == 1


def test_a_correlated_fault_strikes_all_its_pipelines_in_one_episode(clock):  # CH-13
    zone = chaos.Correlated(
        chaos.Error(ConnectionError), episode=10, probability=0, limit=99, clock=clock
    )
    pipes = [hf.Pipeline(name, hf.CircuitBreaker(name), zone) for name in ("a", "b")]
    chaos.enable(clock=clock)
    assert all(pipe.try_call(len, "ok").ok for pipe in pipes)
    zone.set_probability(1)
    assert not pipes[0].try_call(len, "ok").ok
    zone.set_probability(0)
    clock.advance(9.9)
    assert not any(pipe.try_call(len, "ok").ok for pipe in pipes)
    clock.advance(0.1)
    assert all(pipe.try_call(len, "ok").ok for pipe in pipes)


def test_failures_cascade(clock):  # CH-13
    common = {"probability": 0, "clock": clock}
    shop = chaos.Correlated(chaos.Error(), name="shop", episode=5, **common)
    orders = chaos.Correlated(chaos.Error(), name="o", episode=20, then=shop, after=3, **common)
    database = chaos.Correlated(
        chaos.Error(), name="d", episode=10, then=[orders], after=4, **common
    )
    chaos.enable(clock=clock)
    database.begin_episode()
    down = []
    for _ in range(30):
        down.append([one.try_call(len, "ok").ok for one in (database, orders, shop)])
        clock.advance(1)
    spans = [[second for second, oks in enumerate(down) if not oks[at]] for at in range(3)]
    assert spans == [list(range(10)), list(range(4, 24)), list(range(7, 12))]


# ---- bad settings ----


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: chaos.Latency(2, 1), "max"),
        (lambda: chaos.Latency(-1, 1), "min"),
        (lambda: chaos.Latency(probability=1.5), "probability"),
        (lambda: chaos.Latency(duration=0), "duration"),
        (lambda: chaos.Latency(limit=-1), "limit"),
        (lambda: chaos.Latency(seed=1.5), "seed"),
        (lambda: chaos.Latency(name=""), "name"),
        (lambda: chaos.Error([]), "errors"),
        (lambda: chaos.Error(KeyboardInterrupt), "errors"),
        (lambda: chaos.Error(UnicodeDecodeError), "needs no arguments"),
        (lambda: chaos.Raise(5), "message"),
        (lambda: chaos.Timeout("5"), "after"),
        (lambda: chaos.Custom(5), "inject"),
        (lambda: chaos.Custom(print, ainject=5), "ainject"),
        (lambda: chaos.Composite(), "faults"),
        (lambda: chaos.Composite(len), r"faults\[0\]"),
        (lambda: chaos.Composite(chaos.Error(), choose="some"), "choose"),
        (lambda: chaos.Correlated(chaos.Error(), then=[chaos.Error()]), r"then\[0\]"),
        (lambda: chaos.Correlated(chaos.Error(), episode=0), "episode"),
        (lambda: chaos.Error().strike(-1), "duration"),
        (lambda: chaos.Error().set_probability(2), "probability"),
        (lambda: chaos.attach(len, "p"), "fault"),
        (lambda: chaos.attach(chaos.Error(), "nobody"), "living policy"),
        (lambda: chaos.attach(chaos.Error(), 5), "target"),
    ],
)
def test_bad_settings_are_named(make, field):
    with pytest.raises(hf.ConfigError, match=field):
        make()


def test_all_bad_settings_are_named_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        chaos.Latency(2, 1, probability=-1, limit=0.5)
    assert len(caught.value.problems) == 3


# ---- attached faults ----


def shapes(clock):
    common = {"clock": clock}
    breaker = hf.CircuitBreaker("b", **common)
    return {
        "pipeline": hf.Pipeline("p", breaker, hf.Bulkhead("h", **common)),
        "lone breaker": hf.CircuitBreaker("lone", **common),
        "bulkhead": hf.Bulkhead("alone", **common),
        "timeout": hf.Timeout(60, name="t", **common),
        "threaded timeout": hf.Timeout(60, name="tt", thread=True, **common),
        "threaded pipeline": hf.Pipeline("tp", hf.Timeout(60, thread=True, **common), breaker),
        "standard": hf.Pipeline.standard("s", attempts=1, **common),
        "with a hedge": hf.Pipeline("hp", hf.Hedge("h", delay=9, on=KeyError, **common), breaker),
        "with a fault": hf.Pipeline("f", breaker, chaos.Error(probability=0)),
    }


@pytest.mark.parametrize("shape", shapes(hf.ManualClock()))
def test_a_fault_can_be_attached_to_a_policy_that_exists(clock, shape):
    policy = shapes(clock)[shape]
    guarded = policy(lambda: "value")
    for _ in range(2):
        assert guarded() == "value"
        with chaos_enabled() as chaos_:
            chaos_(policy).fail(ConnectionResetError, times=2)
            for _ in range(2):
                with pytest.raises(ConnectionResetError):
                    guarded()
            assert guarded() == "value"
        assert guarded() == "value"


def test_what_a_breaker_alone_holds_is_left_when_an_attached_fault_strikes():
    breaker = hf.CircuitBreaker("alone", failure_threshold=2)
    with chaos_enabled() as chaos_:
        chaos_("alone").fail(OSError)
        answers(breaker, 3)
    assert (breaker.state, breaker.snapshot().rejected) == (hf.State.OPEN, 1)


def test_several_faults_can_be_attached_and_detached_one_by_one():
    pipe = hf.Pipeline("p", hf.CircuitBreaker("b"))
    chaos.enable()
    first = chaos.attach(chaos.Error(KeyError, **ALWAYS), pipe)
    second = chaos.attach(chaos.Error(OSError, **ALWAYS), pipe)
    assert answers(pipe, 1) == ["KeyError()"]
    first()
    first()
    assert answers(pipe, 1) == ["OSError()"]
    second()
    assert answers(pipe, 1) == ["None"]


def test_the_counts_are_read_while_another_thread_makes_faults(monkeypatch):
    made = []
    thread = threading.Thread(target=lambda: made.append(chaos.Error()))

    class Interrupted(weakref.WeakSet):
        def __iter__(self):
            for one in super().__iter__():
                if thread.ident is None:
                    thread.start()
                    thread.join(0.2)
                yield one

    there = chaos.Error()
    monkeypatch.setattr(engine, "_faults", Interrupted([there]))
    chaos.snapshot()
    thread.join()
    assert len(chaos.snapshot().faults) == 2


def test_a_name_means_its_pipelines_before_its_other_policies():
    pipe, breaker = hf.Pipeline.standard("shop"), hf.registry.get("circuit_breaker", "shop")
    with chaos_enabled() as chaos_:
        chaos_("shop").fail(KeyError)
        assert not pipe.try_call(len, "ok").ok
        assert breaker.try_call(len, "ok").ok


def test_a_gate_without_room_refuses_a_fault():
    full = hf.Pipeline("full", *(hf.Bulkhead(f"h{n}") for n in range(16)))
    with pytest.raises(hf.ConfigError, match="16 steps"):
        chaos.attach(chaos.Error(), full)
    with pytest.raises(hf.ConfigError, match="mode is not off"):
        chaos.attach(chaos.Error(), hf.Bulkhead("h", mode="off"))
    with pytest.raises(hf.ConfigError, match="a pipeline with the hedge"):
        chaos.attach(chaos.Error(), hf.Hedge("h", delay=1))


# ---- scenarios ----


def test_a_scenario_plays_on_a_manual_clock(clock):  # CH-12, CH-14
    pipe = hf.Pipeline("payments", hf.Bulkhead("h", clock=clock))
    scenario = chaos.Scenario(
        (10, chaos.Error(ConnectionError, clock=clock, **ALWAYS), "payments", 5),
        {"at": 20, "fault": "error", "target": "payments", "duration": 2},
        {"at": 30, "fault": {"type": "latency", "min": 4, "max": 4}, "target": pipe},
        clock=clock,
    )
    chaos.enable(clock=clock)
    log = []
    with scenario:
        assert scenario.running
        while clock.now() < 40:
            log.append((clock.now(), pipe.try_call(len, "ok").ok))
            clock.advance(1)
    failed = [second for second, ok in log if not ok]
    assert failed == [10, 11, 12, 13, 14, 20, 21]
    assert [at for at, _ in log if at >= 30] == [30, 35]
    began = clock.now()
    assert pipe.call(len, "ok") == 2
    assert clock.now() == began
    assert not scenario.running


def test_a_scenario_is_data(clock):
    steps = json.loads(
        '[{"at": 1, "fault": {"type": "error", "limit": 1}, "target": "data", "duration": 9}]'
    )
    pipe = hf.Pipeline("data", hf.Bulkhead("h"))
    for _ in range(2):  # and it can be replayed
        chaos.enable(seed=1)
        with chaos.Scenario(*steps, clock=clock):
            clock.advance(1)
            assert answers(pipe, 2)[1] == "None"


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ((1, "error"), r"steps\[0\]"),
        ({"at": 1, "fault": "error"}, r"steps\[0\]"),
        ((1, "error", "p", 2, 3), r"steps\[0\]"),
        ((1, "error", "p", 0), r"steps\[0\].duration"),
        ((-1, "error", "p"), r"steps\[0\].at"),
        ((1, "eror", "p"), r"steps\[0\].fault.type"),
        ((1, {"min": 2}, "p"), r"steps\[0\].fault.type"),
        ((1, {"type": "latency", "min": 2, "max": 1}, "p"), r"max"),
        ((1, {"type": "latency", "mim": 2}, "p"), r"mim"),
        ((1, 5, "p"), r"steps\[0\].fault"),
        ((1, "error", 5), r"steps\[0\].target"),
    ],
)
def test_a_bad_step_is_named(step, field):
    with pytest.raises(hf.ConfigError, match=field):
        chaos.Scenario(step)


def test_a_scenario_from_a_file_has_errors_and_groups_of_faults(clock):
    text = """[
        {"at": 0, "target": "p", "duration": 1, "fault":
            {"type": "error", "errors": ["KeyError", "ConnectionResetError"], "seed": 1}},
        {"at": 1, "target": "p", "duration": 1, "fault":
            {"type": "composite", "faults": [
                {"type": "latency", "min": 2, "max": 2}, {"type": "error", "errors": "OSError"}]}},
        {"at": 5, "target": "p", "fault":
            {"type": "correlated", "faults": ["timeout"], "then":
                [{"type": "correlated", "faults": ["error"]}]}}
    ]"""
    pipe = hf.Pipeline("p", hf.Timeout(60, clock=clock))
    chaos.enable(clock=clock)
    with chaos.Scenario(*json.loads(text), clock=clock):
        first = {type(pipe.try_call(len, "ok").error) for _ in range(20)}
        assert first == {KeyError, ConnectionResetError}
        clock.advance(1)
        assert (type(pipe.try_call(len, "ok").error), clock.now()) == (OSError, 3)
        clock.advance(2)
        assert isinstance(pipe.try_call(len, "ok").error, TimeoutError)


@pytest.mark.parametrize("part", ["group", "lasting", "point", "fault"])
def test_what_is_a_part_of_faults_is_no_fault_of_a_scenario(part):
    with pytest.raises(hf.ConfigError, match=r"type: got .*, allowed one of .*timeout$") as caught:
        chaos.Scenario((0, part, "p"))
    allowed = str(caught.value).partition("allowed")[2]
    assert not {"group", "lasting", "point"} & set(allowed.replace(",", "").split())


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ([{"at": 0, "fault": "error", "target": "p"}], r"Scenario\(\*steps\)"),
        ({"at": 0, "fault": "error"}, "without target"),
        ({"time": 0, "fault": "error", "target": "p"}, "without at and with 'time'"),
        (
            (0, {"type": "composite", "faults": ["error", "latncy"]}, "p"),
            r"faults\[1\]\.type: got 'latncy'.*did you mean 'latency'",
        ),
    ],
)
def test_the_message_about_a_step_says_what_is_missing_or_unknown(step, told):
    with pytest.raises(hf.ConfigError, match=told):
        chaos.Scenario(step)


def test_a_scenario_for_nobody_attaches_nothing(clock):
    pipe = hf.Pipeline("there", hf.Bulkhead("h"))
    scenario = chaos.Scenario((0, "error", "there"), (0, "error", "nobody"), clock=clock)
    chaos.enable()
    with pytest.raises(hf.ConfigError, match="nobody"):
        scenario.start()
    assert not scenario.running
    assert pipe.call(len, "ok") == 2


# ---- what is shown ----


def test_a_snapshot_counts_by_type_and_is_plain_data(clock):  # CH-01
    faults = [chaos.Error(**ALWAYS), chaos.Error(KeyError, name="k", **ALWAYS)]
    faults.append(chaos.Latency(0, 0, probability=0))
    before = chaos.snapshot()
    chaos.enable(seed=4, duration=20, clock=clock)
    clock.advance(5)
    for fault in faults:
        answers(fault, 2)
    shown = chaos.snapshot()
    assert (shown.enabled, shown.left, shown.seed) == (True, 15, 4)
    assert shown.runs == before.runs + 1
    assert shown.by_type["error"] - before.by_type.get("error", 0) == 4
    assert shown.checks - before.checks == 6
    assert json.loads(json.dumps(asdict(shown)))["seed"] == 4
    chaos.disable()
    assert (chaos.snapshot().enabled, chaos.snapshot().left) == (False, 0)


def test_metrics_count_checks_and_injections():  # MX-30
    fault = chaos.Error(name="counted in metrics", probability=0.5, seed=1)
    chaos.enable()
    answers(fault, 20)
    found = {
        sample.name: sample.value
        for family in Collector().collect()
        for sample in family.samples
        if sample.labels.get("fault") == "counted in metrics"
    }
    snapshot = fault.snapshot()
    assert found == {
        "holdfast_chaos_checks_total": 20,
        "holdfast_chaos_injections_total": snapshot.injected,
    }


def test_what_a_fault_says_of_itself():
    fault = chaos.Latency(1, 2, name="slow", probability=0.5)
    assert fault.describe() == (
        "Latency 'slow': min=1, max=2, probability=0.5, duration=None, limit=None, seed=None, "
        "clock=SystemClock(), mode='enforce'"
    )
    assert repr(fault) == "<Latency 'slow' disarmed>"
    chaos.enable()
    assert repr(fault) == "<Latency 'slow' armed>"
    line = hf.Pipeline("p", fault).describe().splitlines()[1]
    assert line.endswith(
        "[nothing while chaos is disabled, else native, and calls Python when it strikes]"
    )


def test_a_reset_begins_a_fault_afresh():
    fault = chaos.Error(limit=1, **ALWAYS)
    fault.reset()
    chaos.enable()
    assert answers(fault, 2) == [
        "InjectedError('chaos monkey injected error')",
        "None",
    ]
    fault.reset()
    assert answers(fault, 1) != ["None"]


def test_faults_are_found_and_shared_by_name():
    fault = chaos.Latency(1, 2, name="one of a name", shared=True)
    assert hf.registry.get("fault", "one of a name") is fault
    assert chaos.Latency(1, 2, name="one of a name", shared=True) is fault
    with pytest.raises(hf.ConfigError, match="min"):
        chaos.Latency(0.5, 2, name="one of a name", shared=True)


def test_chaos_may_be_switched_by_any_thread_while_calls_pass():
    pipe = hf.Pipeline("p", hf.Bulkhead("h"), chaos.Error(**ALWAYS))
    stop, ends = threading.Event(), []

    def call():
        while not stop.is_set():
            ends.append(pipe.try_call(len, "ok").ok)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        chaos.enable()
        chaos.disable()
    stop.set()
    for thread in threads:
        thread.join()
    assert pipe.policies[0].snapshot().active == 0
    assert pipe.policies[0].snapshot().admitted == len(ends)


def test_several_threads_may_attach_faults_to_one_policy():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            pipe = hf.Pipeline("p", hf.CircuitBreaker("b"))
            faults = [chaos.Error(probability=0) for _ in range(4)]
            start = threading.Barrier(len(faults))
            parties = [Party(attach_at, start, fault, pipe) for fault in faults]
            detachers = [party.result() for party in parties]
            chaos.enable()
            pipe.call(len, "ok")
            chaos.disable()
            assert [fault.snapshot().checked for fault in faults] == [1] * len(faults)
            for detach in detachers:
                detach()
    finally:
        sys.setswitchinterval(interval)


def attach_at(start, fault, pipe):
    start.wait()
    return chaos.attach(fault, pipe)
