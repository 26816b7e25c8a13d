"""The client: sending, receiving and discovering under protection, a breaker for each peer."""

import asyncio
import dataclasses

import pytest

import holdfast as hf
from examples.dwcp_node.client import ClientConfig, ResilientClient
from examples.dwcp_node.errors import NotSentError, UnknownPeerError
from examples.dwcp_node.settings import Settings
from tests.examples.dwcp_node.faulty import Relay
from tests.examples.dwcp_node.nodes import alive, meet, node, nodes, take, until

SHORT = ClientConfig(
    max_failures=2, max_retries=1, initial_retry_delay=0.01, max_retry_delay=0.02,
    circuit_reset_time=0.2,
)  # fmt: skip


def test_the_defaults_are_those_of_the_original():  # RM-09
    config = ClientConfig()
    assert (config.max_failures, config.circuit_timeout, config.circuit_reset_time) == (5, 30, 60)
    assert (config.max_retries, config.initial_retry_delay, config.max_retry_delay) == (3, 0.1, 10)
    assert (config.health_check_interval, config.health_check_timeout) == (10, 5)
    assert (config.requests_per_second, config.burst_size, config.max_concurrent) == (
        1000,
        100,
        100,
    )
    assert (config.max_queue_size, config.max_wait_time, config.retry_multiplier) == (50, 5, 2)


def test_the_client_discovers_connects_sends_and_receives(tmp_path):  # RM-09, MG-19, NX-22
    async def scene():
        async with nodes(tmp_path, "a", "b", "c") as (a, b, _c):  # noqa: SIM117 - it reads better
            async with ResilientClient(a) as client, ResilientClient(b) as other:
                assert sorted(await client.discover_peers()) == ["b", "c"]
                assert (await client.establish_connection("b")).state == "connected"
                await client.send_message("b", b"hello")
                message = await other.receive_message()
                assert (message.sender, message.payload) == ("a", b"hello")
                assert await message.confirm()
                assert (await client.health_status())["transport"] == "healthy"
                metrics = client.metrics()
                assert (metrics["requests"], metrics["failed"]) == (1, 0)
                assert metrics["breakers"] == {"b": "closed"}
                assert metrics["transport"]["accepted"] == {"b": 1, "c": 0}

    alive(scene)


def test_a_dead_peer_opens_its_own_breaker_and_no_other(tmp_path):  # MG-19
    async def scene():
        async with nodes(tmp_path, "a", "b", "c") as (a, b, c):
            await b.stop()
            async with ResilientClient(a, SHORT) as client:
                with pytest.raises(NotSentError, match="b cannot be reached"):
                    await client.send_message("b", b"1")
                with pytest.raises(hf.CircuitOpenError):
                    await client.send_message("b", b"2")
                await client.send_message("c", b"3")
                assert await take(c, 1) == [b"3"]
                assert client.metrics()["breakers"] == {"b": "open", "c": "closed"}
                await b.start()
                await a.connected("b")
                breaker = client.manager.keyed("message", "b").circuit_breaker
                await until(lambda: breaker.retry_after == 0)
                await client.send_message("b", b"4")
                assert await take(b, 1) == [b"4"]

    alive(scene)


def test_a_retry_of_a_message_that_had_left_delivers_it_once(tmp_path):  # MG-19, RM-09
    async def scene():
        settings = Settings(
            retries=1000, retry_backoff=0.01, heartbeat=0.1, greeting_timeout=0.3
        )  # fmt: skip
        config = ClientConfig(
            circuit_timeout=0.3, max_retries=1000, initial_retry_delay=0.01, max_failures=1000
        )  # fmt: skip
        async with nodes(tmp_path, "a", "b", settings=settings) as (a, b), Relay(b.port) as relay:
            a.add_peer("b", ("127.0.0.1", relay.port))
            async with ResilientClient(a, config) as client:
                await a.connected("b")
                await client.establish_connection("b")
                relay.harm = lambda way, _, data: b"" if way == "back" else data
                sending = asyncio.create_task(client.send_message("b", b"once"))
                await until(lambda: b.statistics()["backlog"] == 1)
                attempts = client.manager.keyed("message", "b").circuit_breaker
                await until(lambda: attempts.snapshot().admitted > 1)
                relay.harm = lambda way, _, data: data
                a.cut("b")  # no connection goes on after it has lost bytes
                await sending
                await client.send_message("b", b"last")
                assert await take(b, 2) == [b"once", b"last"]

    alive(scene)


def test_an_idle_network_is_no_failure_of_receiving(tmp_path):  # MG-19
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):  # noqa: SIM117 - it reads better
            async with ResilientClient(b, ClientConfig(circuit_timeout=0.05)) as client:
                receiving = asyncio.create_task(client.receive_message())
                await asyncio.sleep(0.15)  # longer than one attempt may take
                await a.send("b", b"late")
                assert (await receiving).payload == b"late"
                budget = client.manager.error_budget("receive").snapshot()
                assert (budget.total_requests, budget.failed_requests) == (1, 0)

    alive(scene)


def test_no_peer_at_all_is_an_error_and_then_an_open_breaker(tmp_path):  # RM-09
    async def scene():
        lonely = node(tmp_path, "a", {"b": ("127.0.0.1", 9)})
        config = dataclasses.replace(SHORT, max_failures=4)
        async with ResilientClient(lonely, config) as client:
            for error in (ConnectionError, hf.CircuitOpenError):
                with pytest.raises(error):
                    await client.discover_peers()
            with pytest.raises(NotSentError):
                await client.establish_connection("b")
        assert not lonely.running

    alive(scene)


def test_an_unknown_peer_and_a_wrong_payload_are_no_failures_of_the_network(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, _b), ResilientClient(a) as client:
            with pytest.raises(UnknownPeerError, match="known: b"):
                await client.send_message("x", b"")
            with pytest.raises(hf.ConfigError, match="payload"):
                await client.send_message("b", "text")
            assert client.metrics()["requests"] == 0

    alive(scene)


def test_the_client_leaves_a_transport_running_that_it_did_not_start(tmp_path):  # RM-09
    async def scene():
        async with nodes(tmp_path, "a", "b") as (a, b):
            client = ResilientClient(a)
            await client.start()
            await client.shutdown()
            await client.shutdown()
            assert a.running
            owner = ResilientClient(node(tmp_path, "d"))
            await owner.start()
            meet(owner.transport, b)
            await owner.send_message("b", b"1")
            await owner.shutdown()
            assert not owner.transport.running
            assert not owner.manager.running

    alive(scene)
