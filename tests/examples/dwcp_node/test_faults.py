"""What breaks on the way: cut connections, corrupted bytes, silence, slow and full links."""

import asyncio
import contextlib
import random

import pytest

from examples.dwcp_node.compression import Compression
from examples.dwcp_node.errors import LinkFullError, NotSentError, UnknownOutcomeError
from examples.dwcp_node.settings import Settings
from holdfast.supervision.component import Exit
from tests.examples.dwcp_node.faulty import Relay
from tests.examples.dwcp_node.nodes import alive, node, nodes, take, until

#: Peers stay worth a try for long: the faults of a test do not make them unreachable.
STUBBORN = Settings(retry_backoff=0.01, most_backoff=0.02, heartbeat=0.2, retries=10_000)


def flipped(data, at, bits):
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


@contextlib.asynccontextmanager
async def pair(folder, settings=STUBBORN, **others):
    """Start two transports; what the first sends passes a relay."""
    async with (
        nodes(folder, "a", "b", settings=settings, **others) as (a, b),
        Relay(b.port) as relay,
    ):
        a.add_peer("b", ("127.0.0.1", relay.port))
        await a.connected("b")
        yield a, b, relay


def test_a_connection_cut_in_the_middle_of_a_frame_is_made_again_and_the_frame_sent_again(tmp_path):
    async def scene():
        async with pair(tmp_path) as (a, b, relay):
            events = []
            a.on_event(events.append)
            cut = []

            def harm(way, before, data):
                if way == "there" and before > 50_000 and not cut:
                    cut.append(before)
                    return None
                return data

            relay.harm = harm
            payload = random.Random(1).randbytes(200_000)
            accepted = await a.send("b", payload)
            assert cut
            assert accepted.number == 1
            assert await take(b, 1) == [payload]
            assert [event.kind for event in events][:2] == ["link_lost", "link_up"]

    alive(scene)


def test_a_lost_acknowledgement_is_learnt_from_the_next_greeting(tmp_path):
    async def scene():
        async with pair(tmp_path) as (a, b, relay):
            before = relay.connections
            # After the greeting, nothing comes back on this connection: no acknowledgement either.
            relay.harm = lambda way, _, data: (
                b"" if way == "back" and relay.connections == before else data
            )
            accepted = await a.send("b", b"1")
            assert relay.connections > before
            assert await take(b, 1) == [b"1"]
            assert (await a.send("b", b"2")).number == accepted.number + 1
            assert await take(b, 1) == [b"2"]

    alive(scene)


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_corrupted_byte_is_noticed_wherever_it_is(tmp_path, way):
    async def scene():
        async with pair(tmp_path) as (a, b, relay):
            for place in range(0, 130, 13):
                first = relay.connections + 1

                def harm(its_way, before, data, first=first, place=place):
                    at = place - before
                    if its_way == way and relay.connections == first and 0 <= at < len(data):
                        return flipped(data, at, 0x10)
                    return data

                relay.harm = harm
                a.cut("b")
                await a.connected("b")
                await a.send("b", b"1" * 40)
                assert await take(b, 1) == [b"1" * 40]
                await until(lambda first=first: relay.connections > first)
            assert b.statistics()["backlog"] == 0
            if way == "there":
                assert set(b.statistics()["refused"]) == {"checksum", "magic"}

    alive(scene)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 2))]
)
def test_two_hundred_messages_survive_random_cuts_and_corruptions_both_ways(tmp_path, seed):
    async def scene():
        chance = random.Random(seed)
        compression = Compression()
        await compression.start()
        async with pair(tmp_path, compression=compression) as (a, b, relay):
            harms = 0

            def harm(way, before, data):
                nonlocal harms
                fate = chance.random()
                if fate < 0.04:
                    harms += 1
                    return None
                if fate < 0.08:
                    harms += 1
                    at = chance.randrange(len(data))
                    return (
                        data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
                    )
                return data

            relay.harm = harm
            sent = [
                b"%d " % number + chance.randbytes(chance.choice([0, 10, 5000]))
                for number in range(200)
            ]
            receiving = asyncio.create_task(take(b, len(sent)))
            await asyncio.gather(*(a.send("b", payload, timeout=None) for payload in sent))
            assert await receiving == sent
            assert harms > 3
            assert b.statistics()["backlog"] == 0

    alive(scene)


def test_a_silent_peer_loses_its_link_and_gets_everything_when_it_speaks_again(tmp_path):
    async def scene():
        async with pair(tmp_path) as (a, b, relay):
            relay.held = True
            sending = asyncio.create_task(a.send("b", b"1", timeout=None))
            await until(lambda: a.peers()["b"].state != "connected")
            assert not sending.done()
            relay.held = False
            assert (await sending).number == 1
            assert await take(b, 1) == [b"1"]
            assert b.statistics()["backlog"] == 0

    alive(scene)


def test_a_message_that_has_left_ends_unknown_and_one_that_has_not_ends_not_sent(tmp_path):
    async def scene():
        async with pair(tmp_path) as (a, b, relay):
            relay.held = True
            with pytest.raises(UnknownOutcomeError, match="not acknowledged it within"):
                await a.send("b", b"left", key="k", timeout=0.05)
            await until(lambda: a.peers()["b"].state != "connected")
            with pytest.raises(NotSentError, match="not acknowledged it within"):
                await a.send("b", b"stayed", timeout=0.05)
            relay.held = False
            await a.send("b", b"left", key="k", timeout=None)
            await a.send("b", b"last")
            assert await take(b, 2) == [b"left", b"last"]
            assert b.statistics()["backlog"] == 0

    alive(scene)


def test_a_cancelled_send_is_withdrawn_if_it_has_not_left(tmp_path):
    async def scene():
        async with pair(tmp_path) as (a, b, relay):
            relay.held = True
            a.cut("b")
            await until(lambda: a.peers()["b"].state != "connected")
            sending = asyncio.create_task(a.send("b", b"withdrawn", timeout=None))
            await until(lambda: a.peers()["b"].waiting == 1)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert a.peers()["b"].waiting == 0
            relay.held = False
            await a.send("b", b"sent", timeout=None)
            assert await take(b, 1) == [b"sent"]

    alive(scene)


def test_a_link_that_is_full_refuses_and_loses_nothing_that_it_took(tmp_path):
    async def scene():
        settings = Settings(most_waiting=10, retries=10_000, heartbeat=0.2, retry_backoff=0.01)
        async with pair(tmp_path, settings) as (a, b, relay):
            relay.held = True
            a.cut("b")
            await until(lambda: a.peers()["b"].state != "connected")
            sends = [asyncio.create_task(a.send("b", b"%d" % n, timeout=None)) for n in range(10)]
            await until(lambda: a.peers()["b"].waiting == 10)
            with pytest.raises(LinkFullError, match=r"10 messages \(10 bytes\) wait for b"):
                await a.send("b", b"too many")
            relay.held = False
            await asyncio.gather(*sends)
            assert await take(b, 10) == [b"%d" % n for n in range(10)]

    alive(scene)


def test_a_receiver_that_takes_nothing_out_holds_its_senders_back(tmp_path):
    async def scene():
        settings = Settings(most_backlog=20, window=5, heartbeat=0.2, silence=20)
        async with nodes(tmp_path, "a", "b", settings=settings) as (a, b):
            sends = [asyncio.create_task(a.send("b", b"%d" % n, timeout=None)) for n in range(60)]
            await until(lambda: b.statistics()["backlog"] >= 20)
            for _ in range(20):
                await b.inbox.run(lambda its: None)
            assert b.statistics()["backlog"] <= 25
            assert a.peers()["b"].state == "connected"
            assert await take(b, 60) == [b"%d" % n for n in range(60)]
            await asyncio.gather(*sends)

    alive(scene)


def test_a_slow_link_is_no_silent_one(tmp_path):
    async def scene():
        settings = Settings(heartbeat=0.1, silence=3)
        async with pair(tmp_path, settings) as (a, b, relay):
            relay.rate = 500_000
            connections = relay.connections
            payload = random.Random(1).randbytes(600_000)
            await a.send("b", payload)  # takes much longer than three heartbeats
            assert await take(b, 1) == [payload]
            assert relay.connections == connections

    alive(scene)


def test_a_lost_inbox_is_noticed_and_what_was_on_its_way_ends_unknown(tmp_path):
    async def scene():
        async with pair(tmp_path) as (a, b, relay):
            events = []
            a.on_event(events.append)
            first = await a.send("b", b"1")
            relay.held = True
            sending = asyncio.create_task(a.send("b", b"2", timeout=None))
            await until(lambda: a.peers()["b"].unacknowledged == 1)
            await b.stop()
            for file in (tmp_path / "b").iterdir():
                file.unlink()
            await b.start()
            relay.held = False
            with pytest.raises(UnknownOutcomeError, match="b lost its inbox"):
                await sending
            third = await a.send("b", b"3")
            assert third.epoch > first.epoch
            assert third.number == 1
            assert await take(b, 1) == [b"3"]
            assert "inbox_lost" in [event.kind for event in events]

    alive(scene)


def test_what_a_lost_inbox_had_delivered_is_not_delivered_again_by_the_next(tmp_path):
    async def scene():
        async with pair(tmp_path) as (a, b, relay):
            relay.harm = lambda way, _, data: b"" if way == "back" else data
            sending = asyncio.create_task(a.send("b", b"1", timeout=None))
            assert await take(b, 1) == [b"1"]  # its acknowledgement is on the way, for ever
            await b.stop()
            for file in (tmp_path / "b").iterdir():
                file.unlink()
            await b.start()
            relay.harm = lambda way, _, data: data
            with pytest.raises(UnknownOutcomeError, match="b lost its inbox"):
                await sending
            await a.send("b", b"2", timeout=None)
            assert await take(b, 1) == [b"2"]

    alive(scene)


def test_an_old_copy_of_an_inbox_is_noticed_and_new_messages_are_not_taken_for_old_ones(tmp_path):
    async def scene():
        async with pair(tmp_path) as (a, b, _relay):
            await a.send("b", b"1")
            assert await take(b, 1) == [b"1"]
            await b.stop()
            copy = (tmp_path / "b" / "inbox.db").read_bytes()
            await b.start()
            await a.send("b", b"2", timeout=None)
            assert await take(b, 1) == [b"2"]
            await b.stop()
            (tmp_path / "b" / "inbox.db").write_bytes(copy)
            await b.start()
            await a.send("b", b"3", timeout=None)
            assert await take(b, 1) == [b"3"]

    alive(scene)


def test_a_sender_that_lost_its_file_and_whose_clock_went_back_starts_above_its_old_epoch(
    tmp_path, monkeypatch
):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            first = await a.send("b", b"1")
            await a.stop()
            for file in (tmp_path / "a").iterdir():
                file.unlink()
            ended = asyncio.get_running_loop().create_future()
            with monkeypatch.context() as patch:
                patch.setattr("examples.dwcp_node.inbox.time.time_ns", lambda: 10**9)
                a.watch(ended.set_result)
                await a.start()
                its_exit = await ended
            assert isinstance(its_exit, Exit)
            assert f"spoken in epoch {first.epoch} already" in str(its_exit.error)
            assert (await a.check()).verdict == "failed"
            await a.stop()
            await a.start()
            second = await a.send("b", b"2")
            assert second.epoch > first.epoch
            assert await take(b, 2) == [b"1", b"2"]

    alive(scene)


def test_a_second_node_of_the_same_name_ends_the_first_not_the_messages(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            await a.send("b", b"1")
            ended = asyncio.get_running_loop().create_future()
            a.watch(ended.set_result)
            other = node(tmp_path / "elsewhere", "a", {"b": ("127.0.0.1", b.port)})
            await other.start()
            try:
                await other.send("b", b"2")
                a.cut("b")
                assert "spoken in epoch" in str((await ended).error)
                assert await take(b, 2) == [b"1", b"2"]
            finally:
                await other.stop()

    alive(scene)


def test_a_full_disk_accepts_nothing_and_works_again_when_there_is_room(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b", settings=STUBBORN) as (a, b):
            await a.send("b", b"1")
            await b.inbox.run(lambda its: its.execute("PRAGMA max_page_count=1").fetchone())
            sending = asyncio.create_task(a.send("b", bytes(500_000), timeout=None))
            await until(lambda: b.statistics()["refused"].get("inbox", 0) >= 2)
            assert not sending.done()
            await b.inbox.run(lambda its: its.execute("PRAGMA max_page_count=1000000").fetchone())
            await sending
            assert await take(b, 2) == [b"1", bytes(500_000)]

    alive(scene)


def test_an_inbox_that_is_damaged_is_not_replaced(tmp_path):
    async def scene():
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "inbox.db").write_bytes(b"something else" * 1000)
        transport = node(tmp_path, "a")
        with pytest.raises(
            RuntimeError, match="cannot be used as an inbox: file is not a database"
        ):
            await transport.start()
        assert not transport.running
        assert (tmp_path / "a" / "inbox.db").read_bytes() == b"something else" * 1000

    alive(scene)
