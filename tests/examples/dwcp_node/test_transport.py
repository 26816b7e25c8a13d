"""The transport: accepted messages are delivered once, whatever breaks in between."""

import asyncio

import pytest

from examples.dwcp_node.compression import Compression
from examples.dwcp_node.deliveries import UnconfirmedError
from examples.dwcp_node.errors import (
    NotSentError,
    TransportStoppedError,
    UnknownPeerError,
)
from examples.dwcp_node.inbox import InboxError
from examples.dwcp_node.settings import Settings
from holdfast import ConfigError
from tests.examples.dwcp_node.nodes import QUICK, alive, break_inbox, meet, node, nodes, take, until


def test_a_message_is_accepted_received_and_confirmed_once(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            accepted = await a.send("b", b"hello", key="k")
            assert (accepted.peer, accepted.number) == ("b", 1)
            message = await b.receive()
            assert (message.sender, message.kind, message.payload) == ("a", "message", b"hello")
            assert (message.key, message.epoch, message.number) == ("k", accepted.epoch, 1)
            assert not message.again
            assert await message.confirm()
            assert not await message.confirm()

    alive(scene)


def test_messages_of_one_sender_are_received_in_the_order_of_sending(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            sent = [b"%d" % number for number in range(300)]
            receiving = asyncio.create_task(take(b, len(sent)))
            await asyncio.gather(*(a.send("b", payload) for payload in sent))
            assert await receiving == sent

    alive(scene)


def test_payloads_from_nothing_to_the_most_pass_compressed_or_not(tmp_path):
    settings = Settings(most_payload=2 << 20)
    payloads = [b"", b"x", b"y" * 255, b"ab" * 50_000, bytes(settings.most_payload)]

    async def scene(compression):
        if compression is not None:
            await compression.start()
        async with nodes(tmp_path, "a", "b", compression=compression, settings=settings) as (a, b):
            for payload in payloads:
                await a.send("b", payload)
                assert await take(b, 1) == [payload]

    alive(scene, Compression())
    alive(scene, Compression(codec=None, smallest=0))
    alive(scene, None)


def test_a_handler_gets_its_kind_and_receive_the_others(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            handled = []

            async def handler(message):
                handled.append(message.payload)

            b.handle("sync", handler)
            await asyncio.gather(a.send("b", b"1", kind="sync"), a.send("b", b"2"))
            assert await take(b, 1) == [b"2"]
            await until(lambda: handled == [b"1"])
            with pytest.raises(ValueError, match="'sync' have a handler"):
                await b.receive("sync")

    alive(scene)


def test_a_handler_that_raises_is_called_again_and_its_message_is_not_lost(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            attempts = []

            async def handler(message):
                attempts.append((message.payload, message.attempt))
                if message.payload == b"1" and message.attempt < 3:
                    raise RuntimeError("not yet")

            b.handle("message", handler)
            await a.send("b", b"1")
            await a.send("b", b"2")
            await until(lambda: b.statistics()["delivered"] == 2)
            assert attempts == [(b"1", 1), (b"1", 2), (b"1", 3), (b"2", 1)]
            assert b.statistics()["backlog"] == 0

    alive(scene)


def test_a_message_that_no_attempt_can_handle_waits_for_the_next_start(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b", settings=Settings(attempts=1)) as (a, b):

            async def refuse(message):
                raise RuntimeError("never")

            b.handle("message", refuse)
            await a.send("b", b"1")
            await until(lambda: b.statistics()["given_up"] == 1)
            handled = []

            async def accept(message):
                handled.append((message.payload, message.again))

            b.handle("message", accept)
            await b.stop()
            await b.start()
            await until(lambda: b.statistics()["delivered"] == 1)
            assert handled == [(b"1", True)]

    alive(scene)


def test_an_effect_and_its_confirmation_happen_together_or_not_at_all(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            await b.inbox.run(lambda its: its.execute("CREATE TABLE done (what)") and None)
            await a.send("b", b"1")
            message = await b.receive()

            def fails(connection):
                connection.execute("INSERT INTO done VALUES ('half')")
                raise RuntimeError("in the middle")

            with pytest.raises(RuntimeError, match="in the middle"):
                await message.confirm(fails)
            write = "INSERT INTO done VALUES ('whole')"
            assert await message.confirm(lambda its: its.execute(write))
            assert not await message.confirm(lambda its: its.execute(write))
            done = await b.inbox.run(lambda its: its.execute("SELECT what FROM done").fetchall())
            assert done == [("whole",)]

    alive(scene)


def test_what_was_received_and_not_confirmed_comes_again_after_a_restart(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            for payload in (b"1", b"2", b"3"):
                await a.send("b", payload)
            assert await take(b, 1) == [b"1"]
            assert (await b.receive()).payload == b"2"
            await b.stop()
            await b.start()
            again = [await b.receive() for _ in range(2)]
            assert [(its.payload, its.again) for its in again] == [(b"2", True), (b"3", True)]

    alive(scene)


def test_a_restarted_peer_gets_what_was_sent_while_it_was_away(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b", settings=Settings(retries=1000)) as (a, b):
            await a.send("b", b"1")
            await b.stop()
            sending = asyncio.create_task(a.send("b", b"2"))
            await until(lambda: a.peers()["b"].state != "connected")
            await b.start()
            assert (await sending).number == 2
            assert await take(b, 2) == [b"1", b"2"]

    alive(scene)


def test_a_message_to_a_peer_that_is_not_there_is_not_sent(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            await b.stop()
            with pytest.raises(NotSentError, match="b cannot be reached"):
                await a.send("b", b"1")
            assert a.peers()["b"].state == "unreachable"
            result = await a.check()
            assert (result.verdict, result.message) == ("degraded", "unreachable: b")
            await b.start()
            await a.connected("b")
            await a.send("b", b"2")
            assert await take(b, 1) == [b"2"]

    alive(scene)


def test_a_key_makes_two_messages_one_also_over_a_restart_of_the_sender(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            await asyncio.gather(*(a.send("b", b"once", key="k") for _ in range(5)))
            await a.send("b", b"once", key="k")
            await a.stop()
            await a.start()
            await a.send("b", b"once", key="k")
            await a.send("b", b"other")
            assert await take(b, 2) == [b"once", b"other"]
            assert b.statistics()["backlog"] == 0

    alive(scene)


def test_two_transports_do_not_share_an_inbox(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a") as (a,):
            with pytest.raises(InboxError, match="in use by another"):
                await node(tmp_path, "a").start()
            assert (await a.check()).verdict == "passed"

    alive(scene)


def test_a_stopped_transport_sends_and_receives_nothing(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (_a, b):
            receiving = asyncio.create_task(b.receive())
            await asyncio.sleep(0)
            await b.stop()
            await b.stop()
            for waits in (receiving, b.receive(), b.send("a", b"")):
                with pytest.raises(TransportStoppedError):
                    await waits
            assert (await b.check()).verdict == "failed"

    alive(scene)


def test_wrong_messages_and_peers_are_refused_by_name(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, _b):
            with pytest.raises(UnknownPeerError, match="no peer 'c'; known: b"):
                await a.send("c", b"")
            with pytest.raises(ConfigError, match=r"payload: got 'text'.*kind: got ''.*key: got"):
                await a.send("b", "text", kind="", key="k" * 256)
            with pytest.raises(ConfigError, match="payload"):
                await a.send("b", bytes(QUICK.most_payload + 1))
            with pytest.raises(ConfigError, match="address"):
                a.add_peer("c", ("127.0.0.1", 0))
            with pytest.raises(ConfigError, match="other than the node's own"):
                a.add_peer("a", ("127.0.0.1", 1))

    alive(scene)


def test_a_peer_that_moves_is_found_at_its_new_address(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            await a.send("b", b"1")
            await b.stop()
            b.port = 0
            await b.start()
            meet(a, b)
            await a.send("b", b"2")
            assert await take(b, 2) == [b"1", b"2"]

    alive(scene)


def test_a_message_that_is_put_back_is_the_next_one(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            for payload in (b"1", b"2"):
                await a.send("b", payload)
            message = await b.receive()
            message.put_back()
            message.put_back()
            assert b.receive_nowait() is not None
            assert await take(b, 1) == [b"2"]
            await message.confirm()
            message.put_back()
            assert b.receive_nowait() is None

    alive(scene)


def test_whoever_never_confirms_is_told_so(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b", settings=Settings(most_unconfirmed=2)) as (a, b):
            for payload in (b"1", b"2", b"3"):
                await a.send("b", payload)
            first = await b.receive()
            await b.receive()
            with pytest.raises(
                UnconfirmedError, match="2 messages of kind 'message' were received"
            ):
                await b.receive()
            await first.confirm()
            assert (await b.receive()).payload == b"3"

    alive(scene)


def test_the_latest_keys_are_remembered_and_old_ones_take_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr("examples.dwcp_node.inbox.KEYS_SLACK", 1)

    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            b.inbox.remember = 5
            for number in range(20):
                await a.send("b", b"%d" % number, key=f"{number}")
            (kept,) = await b.inbox.run(
                lambda its: its.execute("SELECT count(*) FROM keys").fetchone()
            )
            assert kept == 5
            await a.send("b", b"known", key="15")
            await a.send("b", b"forgotten", key="14")
            assert await take(b, 21) == [*(b"%d" % number for number in range(20)), b"forgotten"]
            assert b.statistics()["backlog"] == 0

    alive(scene)


def test_an_inbox_whose_thread_has_ended_refuses_and_keeps_nobody_waiting(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a") as (a,):
            waiting = [asyncio.create_task(a.inbox.run(lambda its: 1)) for _ in range(20)]
            await asyncio.sleep(0)
            break_inbox(a)
            waiting += [asyncio.create_task(a.inbox.run(lambda its: 1)) for _ in range(20)]
            ends = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(end) for end in ends} <= {int, InboxError}
            assert isinstance(ends[-1], InboxError)
            await until(lambda: not a.inbox.is_open)
            result = await a.check()
            assert (result.verdict, "broken" in result.message) == ("failed", True)

    alive(scene)
