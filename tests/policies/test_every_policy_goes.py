"""What every policy leaves behind: of its calls, in a forked child, and when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import weakref

import pytest

import holdfast as hf
from tests.apart import run_apart
from tests.interpreters import classes_can_die
from tests.policies.drivers import ASYNC, DRIVERS
from tests.policies.members import MEMBERS, FailedError, fail

each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
pytestmark = pytest.mark.filterwarnings("ignore:.*blocks the event loop:RuntimeWarning")

CALLS = 60


def growth(use):
    """Return how many blocks of memory a use adds, once all caches are full; 0 for a few blocks."""
    for _ in range(8):
        blocks = sys.getallocatedblocks()
        use()
        gc.collect()
        grown = sys.getallocatedblocks() - blocks
        if grown < CALLS / 2:
            return 0
    return grown


@classes_can_die  # one driver makes a class for each call
@each_member
def test_calls_leave_no_memory_behind(member):  # trap 59
    policy = member.make(clock=hf.ManualClock(), mode="enforce")
    names = DRIVERS.keys() - member.refused

    def use_in_thread():
        for name in names.difference(ASYNC):
            for work in (int, fail) * (CALLS // 2):
                with contextlib.suppress(FailedError):
                    DRIVERS[name](policy, work)
                policy.reset()

    async def use_in_task():
        for name in names.intersection(ASYNC):
            for work in (int, fail) * (CALLS // 2):
                with contextlib.suppress(FailedError):
                    await DRIVERS[name](policy, work)
                policy.reset()

    assert growth(use_in_thread) == 0
    assert growth(lambda: asyncio.run(use_in_task())) == 0


@each_member
def test_a_policy_that_nobody_refers_to_is_collected(member):  # trap 67
    policy = member.make(clock=hf.ManualClock(), mode="enforce")
    policy.on_event(print)()
    policy.try_call(int)
    policy.snapshot()
    gone = weakref.ref(policy)
    del policy
    gc.collect()
    assert gone() is None
    assert hf.registry.all() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_a_child_that_is_forked_inside_of_a_call_is_not_inside_and_calls_on(mode):  # trap 58
    run_apart(
        f"""
    import sys; sys.path.insert(0, {os.getcwd()!r})
    import holdfast as hf
    from tests.apart import in_child
    from tests.policies.members import MEMBERS
    from tests.policies.test_every_policy import House

    for whose, member in MEMBERS.items():
        house = House(member, {mode!r})

        def check():
            assert house.held() == 0, whose  # the deadline around the fork is in force
            assert [whole.call(int) for whole in house.wholes] == [0, 0, 0], whose
            assert house.held() == 0, whose

        house.policy.call(in_child, check)
        house.wholes[1].call(in_child, check)
        assert house.is_empty(), whose
    """
    )
