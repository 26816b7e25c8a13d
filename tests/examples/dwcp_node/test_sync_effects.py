"""Effects: a majority of the stores accepts them, and none of them is a deposed leader's."""

import asyncio
import random

import pytest

from examples.dwcp_node import database
from examples.dwcp_node.answers import Tickets
from examples.dwcp_node.store import Fenced, StoreError
from examples.dwcp_node.sync import NotAccepted
from holdfast import ManualClock
from tests.examples.dwcp_node.memory import are_equal, cluster, until


@pytest.fixture(autouse=True)
def _forget_at_a_loss_of_power(monkeypatch):
    """Do not wait for the disk: it is the store's test that what is written stays."""
    quick = [one.replace("FULL", "OFF") for one in database._SETTINGS]
    monkeypatch.setattr(database, "_SETTINGS", quick)


def effect(node, revision, key="k", value=0):
    return {"revision": revision, "writer": node.name, "key": key, "value": value}


async def test_an_effect_is_in_a_majority_of_the_stores_when_it_is_accepted(tmp_path):
    async with cluster(tmp_path) as (network, nodes):
        [a, b, c] = nodes
        network.part("c")
        version = await a.sync.effect(effect(a, 5, value="x"))
        assert (version.revision, version.writer) == (5, "a")
        assert a.store.entry("k") == b.store.entry("k")
        assert (a.store.get("k"), c.store.get("k")) == ("x", None)
        network.heal()
        await until(lambda: are_equal(nodes))
        second = await a.sync.effect(effect(a, 5, value="y"))
        assert second > version
        await until(lambda: c.store.get("k") == "y")


async def test_effects_of_one_leader_on_one_key_are_in_the_order_in_which_they_were_made(tmp_path):
    async with cluster(tmp_path) as (_, nodes):
        await asyncio.gather(
            *(nodes[0].sync.effect(effect(nodes[0], 5, value=i)) for i in range(9))
        )
        assert nodes[0].store.get("k") == 8
        await until(lambda: are_equal(nodes))


async def test_an_effect_without_a_majority_is_nowhere(tmp_path):
    async with cluster(tmp_path, within=0.5) as (network, nodes):
        [a, _, _] = nodes
        await asyncio.sleep(1.0)
        network.part("a")
        with pytest.raises(NotAccepted, match="0 of 1 peers needed have taken it") as caught:
            await a.sync.effect(effect(a, 5))
        assert (caught.value.took, caught.value.is_certain) == (0, True)
        network.heal()
        await asyncio.sleep(5.0)
        assert [node.store.get("k") for node in nodes] == [None] * 3


async def test_a_deposed_leader_whose_own_store_does_not_know_it_is_refused_by_the_others(tmp_path):
    async with cluster(tmp_path) as (network, nodes):
        [a, b, c] = nodes
        network.part("a")
        await b.sync.effect(effect(b, 7, value="new"))
        assert (a.store.highest, c.store.highest) == (-1, 7)
        network.heal()
        a.sync._states["b"].wake.clear()
        with pytest.raises(Fenced, match="revision 5 is lower than 7"):
            await a.sync.effect(effect(a, 5, value="old"))
        assert a.store.highest == 7  # it knows now
        await asyncio.sleep(2.0)
        assert [node.store.get("k") for node in nodes] == ["new"] * 3


async def test_a_leader_that_ceases_to_lead_before_it_sends_sends_nothing(tmp_path):
    async with cluster(tmp_path) as (_network, nodes):
        [a, _, _] = nodes
        a.sync._revision = lambda: None
        with pytest.raises(NotAccepted, match="deposed, deposed") as caught:
            await a.sync.effect(effect(a, 5))
        assert caught.value.is_certain
        await asyncio.sleep(2.0)
        assert [node.store.get("k") for node in nodes] == [None] * 3


async def test_an_effect_that_was_on_its_way_for_too_long_is_taken_by_nobody(tmp_path):
    async with cluster(tmp_path, within=1.0) as (network, nodes):
        [a, _, _] = nodes
        await asyncio.sleep(1.0)
        asked = 0

        def leads():
            nonlocal asked
            asked += 1
            if asked == 2:  # both peers have given a ticket; what is sent now, is held up
                network.part("a")
            return 5

        a.sync._revision = leads
        with pytest.raises(NotAccepted) as caught:
            await a.sync.effect(effect(a, 5))
        assert not caught.value.is_certain  # it cannot know
        await asyncio.sleep(5.0)
        network.heal()  # the effect arrives
        await asyncio.sleep(5.0)
        assert [node.store.get("k") for node in nodes] == [None] * 3
        a.sync._revision = None
        await a.sync.effect(effect(a, 5, value="again"))
        await until(lambda: are_equal(nodes))


async def test_a_ticket_is_for_one_effect_of_one_node_and_for_a_short_time():
    clock = ManualClock()
    tickets = Tickets(0.2, clock.now)
    good = tickets.give("a", 5)
    assert not tickets.take("other", "a", 5)
    assert not tickets.take(None, "a", 5)
    assert not tickets.take(tickets.give("a", 5), "b", 5)
    assert not tickets.take(tickets.give("a", 5), "a", 6)
    clock.advance(0.2)
    assert tickets.take(good, "a", 5)
    assert not tickets.take(good, "a", 5)
    late = tickets.give("a", 5)
    clock.advance(0.21)
    assert not tickets.take(late, "a", 5)
    first = tickets.give("a", 5)
    for _ in range(1_000):
        last = tickets.give("a", 5)
    assert not tickets.take(first, "a", 5)  # they do not fill the memory
    assert tickets.take(last, "a", 5)


async def test_without_an_election_only_the_declared_writer_makes_effects(tmp_path):
    async with cluster(tmp_path) as (_, nodes):
        [a, b, c] = nodes
        for node in nodes:
            node.store.declare("a")
        await a.sync.effect(effect(a, 0, value="declared"))
        with pytest.raises(Fenced, match="revision 0 is that of 'a', not of 'b'"):
            await b.sync.effect(effect(b, 0))
        c.store.fence(12, "c")
        await until(lambda: a.store.highest == 12)
        with pytest.raises(Fenced, match="revision 0 is lower than 12"):
            await a.sync.effect(effect(a, 0))
        assert await c.sync.effect(effect(c, 12, value="elected"))
        await until(lambda: {node.store.get("k") for node in nodes} == {"elected"})


async def test_two_nodes_that_declare_themselves_are_never_two_writers(tmp_path):
    async with cluster(tmp_path) as (_, nodes):
        [a, b, c] = nodes
        accepted = []
        a.store.declare("a")
        b.store.declare("b")
        c.store.declare("a")
        for node in (a, b):
            try:
                await node.sync.effect(effect(node, 0, key=node.name))
                accepted.append(node.name)
            except (Fenced, NotAccepted):
                pass
        assert accepted == ["a"]
        await asyncio.sleep(2.0)
        assert c.store.get("b") is None


async def test_an_invalid_effect_and_one_of_a_stopped_node_are_refused(tmp_path):
    async with cluster(tmp_path) as (_, [a, _b, _c]):
        with pytest.raises(ValueError, match="it gets its counter here"):
            await a.sync.effect({**effect(a, 5), "counter": 3})
        with pytest.raises(ValueError, match="missing: key"):
            await a.sync.effect({"revision": 5, "writer": "a", "value": 1})
        await a.sync.stop()
        with pytest.raises(StoreError, match="not running"):
            await a.sync.effect(effect(a, 5))


class Election:
    """What etcd does: a lease of two seconds, of which its holder relies on nine tenths."""

    LEASE, USABLE = 2.0, 1.8

    def __init__(self, rng, nodes):
        self.rng = rng
        self.nodes = nodes
        self.now = asyncio.get_running_loop().time
        self.revision = 0
        self.ended = {}  # by revision: when the lease ended; from then on another may lead
        self.believes = {node.name: (0, 0.0) for node in nodes}

    def leads(self, node):
        revision, until = self.believes[node.name]
        return revision if self.now() < until else None

    async def run(self):
        while True:
            leader = self.rng.choice(self.nodes)
            self.revision += 1
            revision = self.revision
            for _ in range(self.rng.randrange(1, 5)):
                self.believes[leader.name] = revision, self.now() + self.USABLE
                renewed = self.now()
                if self.rng.random() < 0.7 and leader.store.is_open:
                    leader.store.fence(revision, leader.name)
                await asyncio.sleep(0.4)
            await asyncio.sleep(renewed + self.LEASE - self.now())
            self.ended[revision] = self.now()
            await asyncio.sleep(self.rng.choice([0.0, 0.0, 0.5]))


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_late_no_store_takes_an_effect_after_its_leaders_lease(tmp_path, seed):
    """Random partitions, delays and pauses of leaders, in virtual time."""  # NX-22
    rng = random.Random(seed)
    settings = {"within": 0.8, "interval": 0.3}
    async with cluster(tmp_path, delay=lambda: rng.choice([0.001, 0.01, 0.15]), **settings) as (
        network, nodes,
    ):  # fmt: skip
        election = Election(rng, nodes)
        taken, accepted, certain = [], set(), set()
        for node in nodes:
            spoil(rng, node, election, taken)

        async def lead(node):
            for number in range(10_000):
                if (revision := election.leads(node)) is None:
                    await asyncio.sleep(0.05)
                    continue
                key = f"{node.name}{number}"
                await asyncio.sleep(rng.choice([0, 0, 0, 1.0, 2.5]))  # stopped after it has looked
                try:
                    await node.sync.effect(effect(node, revision, key))
                    accepted.add(key)
                except Fenced:
                    certain.add(key)
                except NotAccepted as error:
                    if error.is_certain:
                        certain.add(key)
                await asyncio.sleep(0.05)

        async def harm():
            while True:
                await asyncio.sleep(rng.uniform(0.1, 1.5))
                network.part(*rng.sample("abc", rng.randrange(3)))
                await asyncio.sleep(rng.uniform(0.1, 1.5))
                network.heal()

        tasks = [asyncio.create_task(one) for one in (election.run(), harm(), *map(lead, nodes))]
        await asyncio.sleep(25.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        network.heal()
        network.delay = 0.001
        await asyncio.sleep(5.0)
        assert are_equal(nodes)
        left = nodes[0].store.items()
        assert accepted <= left.keys()
        assert not certain & left.keys()
        assert accepted
        assert certain
    for at, _, revision in taken:
        assert at <= election.ended.get(revision, at), f"revision {revision} was deposed"
    for name in "abc":
        revisions = [revision for _, where, revision in taken if where == name]
        assert revisions == sorted(revisions)


def spoil(rng, node, election, taken):
    """Let a node be stopped between any two steps, and note which effects its store takes."""
    node.sync._revision = lambda: election.leads(node)
    send, apply = node.sync._exchange._send, node.store.apply

    async def late(peer, body):
        if body.get("is") in ("effect", "ticket"):
            await asyncio.sleep(rng.choice([0, 0, 0, 0.1, 0.3, 0.7]))
        await send(peer, body)

    def noted(given):
        version = apply(given)
        taken.append((election.now(), node.name, version.revision))
        return version

    node.sync._exchange._send, node.store.apply = late, noted
