"""What holds for every policy, through every driver and in every mode."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import itertools
import json
import pickle
import threading
from typing import Any

import pytest

import holdfast as hf
from holdfast import chaos
from holdfast._native import gate
from holdfast.pipeline.steps import flat
from holdfast.telemetry.prometheus import Collector
from holdfast.testing import chaos_enabled
from tests.policies.drivers import ACALLS, ASYNC, CALLS, DRIVERS, STREAMS, drive
from tests.policies.members import CLASSES, MEMBERS, STAND_IN, FailedError, Member, fail

MODES = ["enforce", "observe", "off"]


class House:
    """A policy, and pipelines around it whose bulkheads show whether a call is still inside.

    Attributes:
        wholes: The policy alone, in a pipeline, and in a pipeline of a pipeline.
    """

    def __init__(self, member: Member, mode: str) -> None:
        self.policy: Any = member.make(clock=hf.ManualClock(), mode=mode)
        self.bulkheads = [hf.Bulkhead("around"), hf.Bulkhead("inside")]
        around, inside = self.bulkheads
        self.wholes: list[Any] = [
            self.policy,
            hf.Pipeline("whole", around, self.policy, inside),
            hf.Pipeline("whole", around, hf.Pipeline("inner", self.policy, inside)),
        ]

    def is_empty(self) -> bool:
        """Return whether no call is inside, no call waits, and no deadline is in force."""
        return not self.held() and hf.deadline() is None and gate._limits_in_force() == 0

    def held(self) -> int:
        """Return how many slots and places in queues are taken."""
        return sum(
            getattr(part.snapshot(), field, 0)
            for part in (*flat([self.policy]), *self.bulkheads)
            for field in ("in_flight", "active", "queued", "waiting", "running")
        )


def pairs(drivers):
    """Return each member with each of the drivers that it does not refuse."""
    return [
        pytest.param(member, name, id=f"{whose}-{name}")
        for whose, member in MEMBERS.items()
        for name in drivers
        if name not in member.refused
    ]


each_mode = pytest.mark.parametrize("mode", ["enforce", "observe", "off"])
each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
each_driver = pytest.mark.parametrize(("member", "name"), pairs(DRIVERS))
# An asynchronous block starts by a plain call, which a timeout may move to a thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*blocks the event loop:RuntimeWarning")


# ---- calls ----


@each_mode
@each_driver
def test_a_call_returns_its_value(member, name, mode):
    house, value, ran = House(member, mode), object(), []

    def work():
        ran.append(1)
        return value

    for whole in house.wholes:
        assert drive(DRIVERS[name], whole, work) is value
        assert house.is_empty()
    assert len(ran) == len(house.wholes)


@each_mode
@each_driver
def test_only_a_policy_that_enforces_changes_what_a_failure_becomes(member, name, mode):
    house, error, ran = House(member, mode), FailedError("down"), []
    enforces = mode == "enforce"
    expected = (STAND_IN, *STAND_IN) if member.replaces and enforces else (error,)

    def work():
        ran.append(1)
        raise error

    def outcome_of(whole):
        try:
            return drive(DRIVERS[name], whole, work)
        except FailedError as raised:
            return raised

    for whole in house.wholes:
        ran.clear()
        assert outcome_of(whole) in expected
        assert (len(ran) > 1) == (member.repeats and enforces)
        assert house.is_empty()


@each_driver
def test_what_ends_the_program_or_the_task_passes_at_once(member, name):
    house, ran = House(member, "enforce"), []

    def work():
        ran.append(1)
        raise error

    for error in (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
        for whole in house.wholes:
            ran.clear()
            with pytest.raises(error):
                drive(DRIVERS[name], whole, work)
            assert ran == [1]
            assert house.is_empty()


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize(("member", "name"), pairs(ASYNC))
def test_a_call_that_is_cancelled_at_any_moment_leaves_nothing_behind(member, name, mode):
    house = House(member, mode)

    async def call():
        return await DRIVERS[name](house.wholes[1], object)

    async def is_cancelled_after(turns):
        task = asyncio.ensure_future(call())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return task.cancelled()

    turns = 0
    while asyncio.run(is_cancelled_after(turns)):
        assert house.is_empty()
        turns += 1
    assert turns > 2, "the call was cancelled before it began, and twice inside of it"
    assert house.is_empty()


@each_member
@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_what_makes_no_sense_for_a_policy_is_refused_in_words(member, mode):
    house = House(member, mode)
    for name in member.refused:
        for whole in house.wholes:
            with pytest.raises((TypeError, AttributeError)) as caught:
                drive(DRIVERS[name], whole, pytest.fail)
            assert type(whole).__name__ in str(caught.value)
            assert house.is_empty()


@each_member
def test_a_policy_that_is_off_counts_nothing_and_tells_nothing(member):
    policy, events = House(member, "off").policy, []
    policy.on_event(events.append)
    before = policy.snapshot()
    for name in CALLS | ACALLS | STREAMS:
        assert drive(DRIVERS[name], policy, int) == 0
        with pytest.raises(FailedError):
            drive(DRIVERS[name], policy, fail)
    assert policy.snapshot() == before
    assert events == []


@each_mode
@each_member
def test_calls_of_several_threads_leave_nothing_behind(member, mode):
    house, barrier = House(member, mode), threading.Barrier(3)

    def use():
        barrier.wait()
        for _ in range(8):
            house.wholes[1].try_call(int)
            house.wholes[2].try_call(fail)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert house.bulkheads[0].snapshot().admitted == 3 * 8 * 2
    assert house.is_empty()


# ---- faults ----


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize(
    ("member", "name"), [pair for pair in pairs(DRIVERS) if pair.id.split("-")[0] != "fault"]
)
def test_a_fault_inside_of_a_policy_is_a_failure_of_the_work(member, name, mode):
    clock = hf.ManualClock()
    fault = chaos.Error(FailedError, probability=1, clock=clock, mode=mode)
    policy = member.make(clock=clock, mode="enforce")
    pipe, ran = hf.Pipeline("pipe", policy, fault), []
    with chaos_enabled(clock=clock):
        outcome = outcome_of(DRIVERS[name], pipe, lambda: ran.append(1))
    assert bool(ran) == (mode == "observe")
    shown = fault.snapshot()
    if mode == "observe":
        assert (outcome, shown.injected) == (None, 0)
        assert shown.observed >= 1
    else:
        assert outcome in (STAND_IN, *STAND_IN) if member.replaces else outcome is FailedError
        assert (shown.injected > 1) == member.repeats
    ran.clear()
    drive(DRIVERS[name], pipe, lambda: ran.append(1))
    assert ran == [1], "chaos is disabled again"


def outcome_of(driver, policy, work):
    try:
        return drive(driver, policy, work)
    except FailedError as error:
        return type(error)


# ---- what every policy shows ----


@each_mode
@each_member
def test_a_policy_shows_itself_in_words_and_as_plain_data(member, mode):
    house = House(member, mode)
    policy, pipe = house.policy, house.wholes[1]
    title = f"{type(policy).__name__} 'p'"
    for work in (int, fail):
        pipe.try_call(work)
        assert repr(policy).startswith(f"<{title}")
        assert policy.describe().startswith(title)
        assert title in pipe.describe()
        data = dataclasses.asdict(policy.snapshot())
        assert json.loads(json.dumps(data, allow_nan=False)).keys() == data.keys()
        assert (data["kind"], data["name"]) == (policy.kind, "p")
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.snapshot().name = "q"
    policy.reset()
    assert type(policy.snapshot()).__name__.endswith("Snapshot")


@each_member
def test_a_policy_is_one_object_that_the_registry_finds_and_no_pickle_holds(member):
    policy = House(member, "enforce").policy
    assert hf.registry.get(policy.kind, "p") is policy
    assert copy.copy(policy) is copy.deepcopy(policy) is policy
    with pytest.raises(TypeError, match="belongs to one process"):
        pickle.dumps(policy)
    if policy.kind != "pipeline":
        common = {"clock": hf.ManualClock(), "mode": "enforce", "shared": True}
        assert member.make(**common) is member.make(**common)


@each_member
def test_a_listener_that_raises_or_is_gone_changes_no_call(member):
    house = House(member, "enforce")

    def listen(event):
        raise RuntimeError

    remove = house.policy.on_event(listen)
    for _ in range(2):
        assert house.policy.call(int) == 0
        assert isinstance(house.policy.try_call(fail), hf.Outcome)
        remove()
        remove()
    assert house.is_empty()


@each_mode
@each_member
def test_the_metrics_of_a_policy_bear_its_name_and_never_fall(member, mode):
    house = House(member, mode)

    def scrape():
        return {
            (metric.type, sample.name, *sorted(sample.labels.items())): sample.value
            for metric in Collector(house.policy).collect()
            for sample in metric.samples
        }

    scrapes = [scrape()]
    for work in (int, lambda: scrapes.append(scrape()), fail, house.policy.reset):
        house.wholes[2].try_call(work)
        scrapes.append(scrape())
    for before, after in itertools.pairwise(scrapes):
        for key, value in before.items():
            assert key[0] == "gauge" or after[key] >= value, key
            assert "p" in dict(key[2:]).values()
    assert any(one != scrapes[0] for one in scrapes) == (mode != "off" and member.counts)


def test_every_public_policy_is_in_the_table():
    public = {getattr(hf, name) for name in hf.__all__ if name not in {"Policy", "PoolBulkhead"}}
    assert {one for one in public if isinstance(one, type) and issubclass(one, hf.Policy)} <= {
        *CLASSES
    }
