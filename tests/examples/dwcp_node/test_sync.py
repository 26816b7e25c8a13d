"""Sync: the stores of all nodes become equal, and the check notices if they do not."""

import asyncio
import json
import random

import pytest

from examples.dwcp_node import database
from examples.dwcp_node.answers import Answers, Tickets
from examples.dwcp_node.compare import compare
from examples.dwcp_node.entries import NO_REVISION, Entry, Version
from examples.dwcp_node.store import StoreError
from examples.dwcp_node.sync import Sync
from holdfast import ConfigError
from tests.examples.dwcp_node.memory import MemoryTransport, are_equal, cluster, until


@pytest.fixture(autouse=True)
def _forget_at_a_loss_of_power(monkeypatch):
    """Do not wait for the disk: it is the store's test that what is written stays."""
    quick = [one.replace("FULL", "OFF") for one in database._SETTINGS]
    monkeypatch.setattr(database, "_SETTINGS", quick)


def write_at_random(rng, nodes, count):
    for number in range(count):
        node = rng.choice(nodes)
        key = f"key{rng.randrange(count // 2)}"
        if rng.random() < 0.1:
            node.store.delete(key)
        else:
            node.store.put(key, {"by": node.name, "number": number})


# ---- becoming equal ----


async def test_a_write_reaches_the_other_nodes_at_once(tmp_path):
    async with cluster(tmp_path, interval=50.0) as (_, [a, b, c]):
        await asyncio.sleep(1.0)
        await a.sync.put("tea", 7)
        assert await until(lambda: b.store.get("tea") == c.store.get("tea") == 7) < 0.1
        assert await b.sync.get("tea") == 7


async def test_a_comparison_goes_to_the_disk_a_few_times_however_much_differs(tmp_path):
    async with cluster(tmp_path, interval=50.0) as (network, nodes):
        network.part("a", "b", "c")
        write_at_random(random.Random(3), nodes, 600)
        went = []

        async def aside(function, *arguments):
            went.append(function)
            return function(*arguments)

        for node in nodes[1:]:
            await node.sync.stop()
            await asyncio.to_thread(node.store.open)
        a, b, _ = nodes
        answers = Answers(b.store, Tickets(0.2, asyncio.get_running_loop().time))

        async def ask(question):
            return answers.answer("a", question)

        result = await compare(a.store, ask, aside)
        assert len(result.differing) > 150
        assert len(went) < 20
        assert a.store.digest() == b.store.digest()
        for node in nodes[1:]:
            node.store.close()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
async def test_a_thousand_random_writes_on_three_parted_nodes_give_equal_digests_soon_after_healing(
    tmp_path, seed
):  # NX-22
    async with cluster(tmp_path) as (network, nodes):
        network.part("a", "b", "c")
        write_at_random(random.Random(seed), nodes, 1_000)
        await asyncio.sleep(30.0)
        assert not are_equal(nodes)
        network.heal()
        assert await until(lambda: are_equal(nodes)) < 5.0
        [a, b, c] = [node.store.items() for node in nodes]
        assert a == b == c
        assert len(a) > 300
        await asyncio.sleep(1.0)
        for node in nodes:
            assert (await node.sync.check()).verdict == "passed"
            assert {one.state for one in node.sync.status()} == {"equal"}


async def test_nodes_become_equal_although_writes_never_end(tmp_path):
    async with cluster(tmp_path) as (network, nodes):
        network.part("c")

        async def write_on():
            rng = random.Random(5)
            while True:
                write_at_random(rng, nodes, 4)
                await asyncio.sleep(0.2)

        writing = asyncio.create_task(write_on())
        await asyncio.sleep(10.0)
        network.heal()
        await asyncio.sleep(10.0)
        for node in nodes:  # never equal at one moment, but nothing stays different
            assert (await node.sync.check()).verdict == "passed"
            assert max(one.since for one in node.sync.status()) < 2.0
        writing.cancel()
        assert await until(lambda: are_equal(nodes)) < 2.0


async def test_a_node_that_was_gone_gets_all_it_has_missed_in_pieces(tmp_path):
    async with cluster(tmp_path) as (_, [a, b, c]):
        await c.sync.stop()
        big = [
            Entry(f"big{i}", json.dumps("x" * 60_000), Version(NO_REVISION, 3_000 + i, "a"))
            for i in range(20)
        ]
        a.store.merge(big)
        a.store.merge(Entry(f"k{i}", "1", Version(NO_REVISION, i + 1, "a")) for i in range(1_500))
        await asyncio.sleep(5.0)
        await c.sync.start()
        assert await until(lambda: are_equal([a, b, c])) < 5.0
        assert len(c.store) == 1_520


async def test_what_is_sent_grows_with_what_differs_and_not_with_what_is_stored(tmp_path):
    sent = []
    for size in (500, 5_000):
        entries = [Entry(f"k{i}", "1", Version(NO_REVISION, i + 1, "a")) for i in range(size)]
        async with cluster(tmp_path / str(size), "ab") as (network, [a, b]):
            a.store.merge(entries)
            b.store.merge(entries)
            await until(lambda: are_equal([a, b]))
            await asyncio.sleep(2.0)
            a.store.merge([Entry("k7", "2", Version(NO_REVISION, size + 1, "a"))])  # not told
            before = network.bytes
            await until(lambda: are_equal([a, b]))
            sent.append(network.bytes - before)
    assert sent[1] < sent[0] * 2.5
    assert sent[1] < 60_000


async def test_two_nodes_and_one_alone_work_as_three_do(tmp_path):
    async with cluster(tmp_path / "two", "ab") as (_, [a, b]):
        a.store.put("k", 1)
        await until(lambda: are_equal([a, b]) and len(b.store) == 1)
    async with cluster(tmp_path / "one", "a") as (_, [a]):
        a.store.put("k", 1)
        await asyncio.sleep(60.0)
        assert (await a.sync.check()).verdict == "passed"


# ---- damage ----


async def test_a_damaged_store_fails_the_check_and_a_restart_repairs_it_from_the_peers(tmp_path):
    async with cluster(tmp_path) as (_, nodes):
        [a, b, _] = nodes
        write_at_random(random.Random(1), nodes, 200)
        await until(lambda: are_equal(nodes))
        good = b.store.items()
        for key in [*good][:5]:
            a.store._use().execute("UPDATE entries SET text = '\"bad\"' WHERE key = ?", (key,))
        a.store._use().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        result = await a.sync.check()
        assert (result.verdict, result.message[:20]) == ("failed", "the store is damaged")
        await asyncio.sleep(2.0)
        assert b.store.items() == good  # damage does not spread
        await a.sync.stop()
        await a.sync.start()
        assert a.sync.dropped == [f"{a.store.path}: 5 entries were damaged"]
        await until(lambda: are_equal(nodes))
        assert a.store.items() == good
        assert (await a.sync.check()).verdict == "passed"


async def test_a_store_that_was_lost_is_filled_again_and_takes_effects_when_it_knows_the_fence(
    tmp_path,
):
    async with cluster(tmp_path) as (network, nodes):
        [a, b, c] = nodes
        b.store.apply({"revision": 9, "writer": "b", "key": "k", "value": 1})
        write_at_random(random.Random(1), nodes, 50)
        await until(lambda: are_equal(nodes))
        await a.sync.stop()
        a.store.path.write_bytes(b"x" * 10_000)
        a.store.path.with_name("state.db.fence").write_bytes(b"")
        network.cut("a", "b")
        await a.sync.start()
        assert len(a.sync.dropped) == 2
        await until(lambda: are_equal([a, c]))
        await asyncio.sleep(20.0)
        assert not a.store.is_sure  # b may know of a higher revision
        result = await a.sync.check()
        assert result.verdict == "degraded"
        assert "the highest revision is not known yet" in result.message
        network.heal()
        await until(lambda: a.store.is_sure)
        assert a.store.highest == 9
        assert are_equal(nodes)


async def test_fences_spread_without_any_effect(tmp_path):
    async with cluster(tmp_path) as (_, [a, b, c]):
        a.store.fence(12, "a")
        await until(lambda: b.store.highest == c.store.highest == 12, within=2.0)
        assert b.store.owner == "a"


# ---- the check ----


async def test_a_store_that_takes_nothing_over_fails_the_check(tmp_path):
    async with cluster(tmp_path) as (_, [a, b, c]):
        await asyncio.sleep(1.0)
        a.store.merge = lambda entries: []
        b.store.put("k", 1)
        await asyncio.sleep(2.0)
        assert (await a.sync.check()).verdict == "passed"  # it may still be on its way
        await asyncio.sleep(6.0)
        result = await a.sync.check()
        assert result.verdict == "failed"
        assert "1 differences to" in result.message
        assert "'k'" in result.message
        del a.store.merge
        await a.sync.stop()
        await a.sync.start()
        await until(lambda: are_equal([a, b, c]))
        assert (await a.sync.check()).verdict == "passed"


async def test_a_digest_that_is_not_of_the_entries_fails_the_check(tmp_path):
    async with cluster(tmp_path) as (_, [a, b, c]):
        b.store.put("k", 1)
        await until(lambda: are_equal([a, b, c]))
        a.store.verify = lambda: ""
        a.store._groups[7][7 << 8] = 12345
        await asyncio.sleep(7.0)
        assert "'(the digests)'" in (await a.sync.check()).message
        await a.sync.stop()
        await a.sync.start()
        await asyncio.sleep(1.0)
        assert (await a.sync.check()).verdict == "passed"


async def test_a_node_that_hears_no_answers_fails_the_check(tmp_path):
    async with cluster(tmp_path) as (_, [a, b, c]):
        await asyncio.sleep(1.0)
        a.transport.handlers.clear()
        await asyncio.sleep(2.0)
        assert (await a.sync.check()).verdict == "passed"
        await asyncio.sleep(6.0)
        result = await a.sync.check()
        assert (result.verdict, result.message) == (
            "failed", "no peer answers, and b, c could",
        )  # fmt: skip
        assert (await b.sync.check()).verdict == "degraded"  # which cannot know whose fault it is
        await a.sync.stop()
        await a.sync.start()
        await asyncio.sleep(2.0)
        for node in (a, b, c):
            assert (await node.sync.check()).verdict == "passed"


async def test_peers_that_are_gone_are_no_fault_of_this_node(tmp_path):
    async with cluster(tmp_path) as (network, [a, _b, _c]):
        await asyncio.sleep(1.0)
        network.part("b")
        await asyncio.sleep(30.0)
        result = await a.sync.check()
        assert result.verdict == "degraded"
        assert "b is unreachable for" in result.message
        network.part("c")
        await asyncio.sleep(60.0)
        assert (await a.sync.check()).verdict == "degraded"
        network.heal()
        await asyncio.sleep(3.0)
        assert (await a.sync.check()).verdict == "passed"


async def test_a_difference_to_a_peer_that_went_away_is_no_fault_of_this_node(tmp_path):
    async with cluster(tmp_path) as (network, [a, b, _]):
        await asyncio.sleep(1.0)
        a.store.merge = lambda entries: []
        b.store.put("k", 1)
        await until(lambda: a.sync._states["b"].differing)
        network.part("b")
        del a.store.merge
        await asyncio.sleep(30.0)
        result = await a.sync.check()
        assert result.verdict == "degraded"
        assert "b is unreachable for" in result.message


async def test_peers_that_died_with_a_question_in_their_inbox_do_not_count_as_silent(tmp_path):
    async with cluster(tmp_path) as (network, [a, b, c]):
        await asyncio.sleep(1.0)
        b.transport.is_deaf = c.transport.is_deaf = True
        await asyncio.sleep(0.6)
        network.part("a")
        await asyncio.sleep(30.0)
        assert (await a.sync.check()).verdict == "degraded"
        network.heal()
        b.transport.is_deaf = c.transport.is_deaf = False


async def test_another_transport_is_used_as_soon_as_there_is_one(tmp_path):
    async with cluster(tmp_path) as (network, [a, b, _c]):
        await asyncio.sleep(1.0)
        a.transport = MemoryTransport(network, "a")  # as after a recovery
        b.store.put("k", 1)
        assert await until(lambda: a.store.get("k") == 1) < 2.0
        await asyncio.sleep(8.0)
        assert (await a.sync.check()).verdict == "passed"


async def test_comparing_that_has_ended_is_told_and_fails_the_check(tmp_path):
    async with cluster(tmp_path) as (_, [a, _b, _c]):
        told = []
        a.sync.watch(told.append)
        a.sync._exchange.listen = lambda: 1 / 0
        await until(lambda: told)
        assert isinstance(told[0].error, ExceptionGroup)
        result = await a.sync.check()
        assert (result.verdict, result.message) == ("failed", "is not running")
        del a.sync._exchange.listen
        await a.sync.stop()
        await a.sync.start()
        assert await a.sync.check()
        await a.sync.stop()
        assert len(told) == 1  # not for what stop() ends


async def test_a_stopped_sync_says_so_and_lets_go_of_its_store(tmp_path):
    async with cluster(tmp_path) as (_, [a, b, c]):
        await a.sync.stop()
        await a.sync.stop()
        assert not a.store.is_open
        assert (await a.sync.check()).message == "is not running"
        with pytest.raises(StoreError, match="is not open"):
            await a.sync.put("k", 1)
        await asyncio.sleep(10.0)
        assert "a is silent for" in (await b.sync.check()).message
        await a.sync.start()
        await a.sync.start()
        await a.sync.put("k", 1)
        await until(lambda: are_equal([a, b, c]))


# ---- bad input ----


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"peers": ["a", "b"]}, "peers: got .*allowed different names, without that of this node"),
        ({"peers": ["b", "b"]}, "allowed different names"),
        ({"interval": 0}, "interval: got 0"),
        ({"patience": -1}, "patience: got -1"),
        ({"transport": 3}, "transport: got 3"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path, change, told):
    from examples.dwcp_node.store import Store

    settings = {"transport": list, "peers": ["b"], **change}
    with pytest.raises(ConfigError, match=told):
        Sync(Store(tmp_path / "s.db", "a"), settings.pop("transport"), **settings)


async def test_whatever_peers_send_nothing_is_changed_and_sync_goes_on(tmp_path):
    rng = random.Random(7)
    odd = [None, True, -1, 2**80, "x", "\ud800", [], {}, [[]], [["k", "1", 5]], [1.5] * 3]
    fields = [
        "is", "digest", "groups", "leaves", "versions", "entries", "keys", "highest", "owner",
        "ticket", "entry", "revision", "writer", "question", "answers", "error",
    ]  # fmt: skip
    kinds = ["digest", "leaves", "versions", "entries", "take", "ticket", "effect"]
    async with cluster(tmp_path) as (_, [a, b, c]):
        a.store.put("k", 1)
        await until(lambda: are_equal([a, b, c]))
        before = a.store.digest()
        for number in range(800):
            body = {name: rng.choice(odd) for name in rng.sample(fields, rng.randrange(1, 8))}
            if rng.random() < 0.7:
                body |= {"is": rng.choice(kinds), "question": f"q{number}"}
            payload = json.dumps(body).encode()
            if rng.random() < 0.2:
                payload = rng.randbytes(rng.randrange(60))
            await b.transport.send("a", payload, kind="sync")
        await b.transport.send("a", b"[" * 100_000, kind="sync")
        await b.transport.send("a", b" " * 5_000_000, kind="sync")
        assert a.store.digest() == before
        assert a.sync._exchange.dropped["unreadable"] > 50
        b.store.put("k2", 2)
        await until(lambda: are_equal([a, b, c]))
        await asyncio.sleep(1.0)
        assert (await a.sync.check()).verdict == "passed"


async def test_a_peer_whose_answers_are_nonsense_is_named_and_the_others_go_on(tmp_path):
    async with cluster(tmp_path) as (_, [a, b, c]):
        rng = random.Random(3)

        def nonsense(peer, question):
            if question["is"] == "digest":
                return {"highest": -1, "owner": None, "groups": ["00"] * 256, "digest": "1"}
            return rng.choice([
                {"groups": question.get("groups", []), "leaves": [[1, "x"], [70_000, "y"]]},
                {"leaves": [], "versions": []},
                {"leaves": question.get("leaves", []), "versions": [["k", 1]]},
                {"groups": 7}, {"entries": [["k"]]}, {}, {"error": "x" * 10_000},
            ])  # fmt: skip

        b.sync._answers.answer = nonsense
        a.store.put("k", 1)
        await asyncio.sleep(10.0)
        assert c.store.get("k") == 1
        states = {one.peer: one for one in a.sync.status()}
        assert (states["b"].state, states["c"].state) == ("failing", "equal")
        assert states["b"].error
        result = await a.sync.check()
        assert result.verdict == "degraded"
        assert "b is failing for" in result.message


async def test_a_node_that_is_not_of_the_cluster_gets_no_answer(tmp_path):
    async with cluster(tmp_path) as (network, [a, _b, _c]):
        heard = []

        async def hear(message):
            heard.append(json.loads(message.payload))

        stranger = MemoryTransport(network, "stranger")
        stranger.handle("sync", hear)
        entry = Entry("k", "1", Version(99, 1, "stranger"))
        question = {"is": "take", "entries": [entry.as_list()], "question": "1"}
        await stranger.send("a", json.dumps(question).encode(), kind="sync")
        await until(lambda: heard)
        assert "no node of this cluster" in heard[0]["error"]
        assert a.store.get("k") is None
