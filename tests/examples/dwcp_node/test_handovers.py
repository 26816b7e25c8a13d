"""Leaders that are deposed while they hold an effect back, with a real etcd and real processes."""

import asyncio

import pytest

from examples.dwcp_node import etcd
from examples.dwcp_node.handovers import KINDS, Arena, HandOver, hand_overs

LEASE = 2.0


@pytest.fixture
def loop():
    return asyncio.new_event_loop()


@pytest.fixture(autouse=True)
def installed(require_real):
    if etcd.installed() is None:
        require_real("there is no etcd (Debian: etcd-server)")


async def test_no_effect_of_a_deposed_leader_is_accepted_and_a_new_one_leads_in_time(
    loop, tmp_path
):  # by SIGSTOP between the check and the effect, by partition, by an ended lease
    overs = await hand_overs(tmp_path, 1, lease=LEASE)
    assert [over.kind for over in overs] == [*KINDS]
    for over in overs:
        assert over.refused == 3, over  # what was held back, by every store
        assert over.revisions[0] < over.revisions[1]
        assert over.seconds <= LEASE + 0.1 or over.late > 0.1, over


class WithoutFence:
    """A store that accepts everything."""

    def __call__(self, effect):
        return True


async def test_stores_without_a_fence_are_found_out(loop, tmp_path):  # the judgement bites
    [member] = etcd.plan(tmp_path, heartbeat=0.02)
    process = etcd.component(member)
    process.start()
    try:
        async with Arena(member.client_url, [WithoutFence()], lease=2, names="ab") as arena:
            over = await arena.hand_over("lease")
    finally:
        process.stop()
    assert over.refused == 0
    assert any("was accepted" in each for each in arena.violations)
    assert any(
        f"{over.revisions[0]} after {over.revisions[1]}" in each for each in arena.violations
    )


@pytest.mark.slow
async def test_a_hundred_hand_overs_end_like_the_first(loop, tmp_path):
    overs: list[HandOver] = []
    await hand_overs(tmp_path, 34, say=overs.append)
    assert len(overs) == 102
