"""Every policy around every other one: calls end as they should, and leave nothing behind."""

from __future__ import annotations

import asyncio

import pytest

import holdfast as hf
from tests.policies.drivers import DRIVERS, coroutine_of, drive
from tests.policies.members import MEMBERS, STAND_IN, FailedError, fail
from tests.policies.test_every_policy import House

NAMES = ("call", "acall", "generator", "async with")
pytestmark = pytest.mark.filterwarnings("ignore:.*blocks the event loop:RuntimeWarning")


class Pair(House):
    """Two policies in one pipeline, each with a bulkhead inside of it."""

    def __init__(self, outer, inner):
        super().__init__(inner, "enforce")
        self.around = House(outer, "enforce")
        self.whole = hf.Pipeline("pair", self.around.wholes[1], self.wholes[2])
        self.names = [name for name in NAMES if name not in outer.refused | inner.refused]

    def is_empty(self):
        return super().is_empty() and self.around.is_empty()


def outcome_of(name, policy, work):
    try:
        return drive(DRIVERS[name], policy, work)
    except FailedError as error:
        return error


@pytest.mark.parametrize("outer", MEMBERS.values(), ids=MEMBERS)
def test_a_call_through_two_policies_ends_as_its_work_does(outer):
    for whose, inner in MEMBERS.items():
        pair = Pair(outer, inner)
        for name in pair.names:
            assert outcome_of(name, pair.whole, int) == 0, (whose, name)
            failed = outcome_of(name, pair.whole, fail)
            replaced = outer.replaces or inner.replaces
            expected = failed in (STAND_IN, *STAND_IN) if replaced else type(failed) is FailedError
            assert expected, (whose, name, failed)
            assert pair.is_empty(), (whose, name)


@pytest.mark.parametrize("outer", MEMBERS.values(), ids=MEMBERS)
def test_a_call_through_two_policies_that_fails_once_and_is_cancelled_leaves_nothing(outer):
    async def is_cancelled_after(turns, policy):
        errors = [FailedError("once")]

        def work():
            if errors:
                raise errors.pop()

        task = asyncio.ensure_future(policy.acall(coroutine_of(work)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return task.cancelled()

    for whose, inner in MEMBERS.items():
        pair, turns = Pair(outer, inner), 0
        while asyncio.run(is_cancelled_after(turns, pair.whole)):
            assert pair.is_empty(), (whose, turns)
            turns += 1
        assert turns > 1, whose
        assert pair.is_empty(), whose
