"""Sync over real transports: sockets, files, threads, and proxies that part the nodes."""

import asyncio
import contextlib
import random

from examples.dwcp_node.prediction import Prediction
from examples.dwcp_node.proxy import FaultProxy
from examples.dwcp_node.store import Store
from examples.dwcp_node.sync import Sync
from tests.examples.dwcp_node.nodes import alive, node, until


@contextlib.asynccontextmanager
async def synced(folder, names="abc"):
    """Start a transport and a sync for each name; each link passes a proxy."""
    async with contextlib.AsyncExitStack() as stack:
        transports = {name: node(folder, name) for name in names}
        proxies = {}
        for transport in transports.values():
            stack.push_async_callback(transport.stop)
            await transport.start()
        for name, transport in transports.items():
            for other in names.replace(name, ""):
                proxy = FaultProxy(transports[other].port, name=f"{name}-{other}")
                proxies[name, other] = await stack.enter_async_context(proxy)
                transport.add_peer(other, ("127.0.0.1", proxy.port))
        syncs = {}
        for name in names:
            store = Store(folder / name / "state.db", name)
            peers = [*names.replace(name, "")]
            syncs[name] = Sync(
                store, lambda name=name: transports[name], peers, interval=0.25, ticket=5.0
            )
            stack.push_async_callback(syncs[name].stop)
            await syncs[name].start()
        yield transports, proxies, syncs


def are_equal(syncs):
    return len({sync.store.digest() for sync in syncs.values()}) == 1


async def steps_until(condition, most):
    """Wait for a condition, and return after how many steps of 10 ms: lateness does not count."""
    for step in range(most):
        if condition():
            return step
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {most / 100:g} s")


def test_a_thousand_random_writes_on_three_nodes_give_equal_digests_5_s_after_healing(tmp_path):
    """And an effect of the leader is in all of them."""  # NX-22

    async def scene():
        async with synced(tmp_path) as (_, proxies, syncs):
            await until(
                lambda: all(one.state == "equal" for s in syncs.values() for one in s.status())
            )
            for proxy in proxies.values():
                proxy.part()
            rng = random.Random(1)

            def write(sync, seed):
                mine = random.Random(seed)
                for number in range(334):
                    sync.store.put(f"key{mine.randrange(400)}", [sync.store.name, number])

            await asyncio.gather(
                *(asyncio.to_thread(write, sync, rng.random()) for sync in syncs.values())
            )
            assert not are_equal(syncs)
            for proxy in proxies.values():
                proxy.heal()
            await steps_until(lambda: are_equal(syncs), 500)
            items = [sync.store.items() for sync in syncs.values()]
            assert items[0] == items[1] == items[2]
            effect = {"revision": 3, "writer": "a", "key": "leader", "value": "a"}
            await syncs["a"].effect(effect)
            assert sum(sync.store.get("leader") == "a" for sync in syncs.values()) >= 2
            await steps_until(lambda: are_equal(syncs), 500)
            for sync in syncs.values():
                while (await sync.check()).verdict != "passed":  # noqa: ASYNC110 - it asks
                    await asyncio.sleep(0.05)

    alive(scene)


def test_a_transport_that_is_stopped_and_started_is_used_again(tmp_path):
    async def scene():
        async with synced(tmp_path) as (transports, _, syncs):
            await transports["a"].stop()
            await syncs["b"].put("k", 1)
            await until(lambda: syncs["c"].store.get("k") == 1)
            await until(lambda: syncs["a"].status()[0].state == "unreachable")
            assert (await syncs["a"].check()).verdict in ("passed", "degraded")
            await transports["a"].start()
            await until(lambda: are_equal(syncs))
            assert syncs["a"].store.get("k") == 1

    alive(scene)


def test_connections_that_break_all_the_time_only_make_it_slower(tmp_path):
    async def scene():
        async with synced(tmp_path) as (_, proxies, syncs):
            rng = random.Random(2)
            for number in range(60):
                sync = syncs[rng.choice("abc")]
                await sync.put(f"k{rng.randrange(30)}", number)
                proxy = rng.choice([*proxies.values()])
                rng.choice([proxy.cut, proxy.corrupt, proxy.reset])()
                await asyncio.sleep(0.01)
            for proxy in proxies.values():
                proxy.heal()
            await until(lambda: are_equal(syncs))
            assert len(syncs["a"].store) > 20

    alive(scene)


def test_what_sync_sends_is_not_taken_for_a_slow_link(tmp_path):
    async def scene():
        async with synced(tmp_path, "ab") as (transports, _, syncs):
            prediction = Prediction(lambda: transports["a"])
            await prediction.start()
            for number in range(40):
                await syncs["a"].put(f"k{number}", "x" * 20_000)
            await until(lambda: are_equal(syncs))
            assert (await prediction.check()).verdict == "passed"
            await prediction.stop()

    alive(scene)
