"""The scenarios: what is broken, who has to notice, and what has to be so afterwards.

Each is a coroutine function of a ``Scene``. While it runs, every node sends to every other; what
was accepted must be delivered, once, whatever the scenario breaks.

Elsewhere: how a scenario waits and tells (``scene``), and how it is played (``play``).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from examples.dwcp_node.cluster import ETCD
from examples.dwcp_node.happenings import Happening
from examples.story import duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from examples.dwcp_node.scene import Match, Scene

    Play = Callable[[Scene], Awaitable[None]]

#: How long after a lease has run out there may be no new leader, in seconds.
NO_LEADER = 0.1
EQUAL_WITHIN = 5.0
_WRITES = 1_000
_EFFECTS = 5


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        name: In one word, as ``--scenario`` takes it.
        title: What is broken.
        play: What breaks it, and waits for what has to follow.
        needs_etcd: Whether it says nothing without etcd.
    """

    name: str
    title: str
    play: Play
    needs_etcd: bool = False


def told(who: str, *kinds: str, where: str | None = None) -> Match:
    """Return whether somebody tells one of these."""

    def match(happening: Happening) -> bool:
        return (
            happening.who == who
            and happening.kind in kinds
            and (where is None or happening.where == where)
        )

    return match


async def kill(scene: Scene) -> None:
    """A peer is killed: the supervisor starts it again, and its peers send again."""
    node = scene.any_node()
    peer = scene.another(node)
    at = time.monotonic()  # before: it may be noticed sooner than this goes on
    scene.broke(f"node {node}: kill -9 of process {scene.cluster.kill(node)}", at)
    await scene.noticed(told(f"node {node}", "exited"))
    await scene.done(told(f"node {node}", "recovering"))
    await scene.noticed(told(f"link to {node}", "lost", where=peer))
    await scene.recovered(told(f"node {node}", "recovered"))
    await scene.done(told(f"link to {node}", "up", where=peer))
    await scene.probe(peer, node)
    await scene.probe(node, peer)


async def cut(scene: Scene) -> None:
    """A connection ends in the middle of a frame: what had not arrived is sent again."""
    sender, receiver = scene.any_link()
    proxy = scene.cluster.links[sender, receiver]
    before = proxy.counts.cut
    proxy.cut()
    await scene.eventually(
        lambda: _is_so(proxy.counts.cut > before), "nothing was sent to be cut", 10.0
    )
    scene.broke(f"link {sender} to {receiver}: cut in the middle of a frame", proxy.harmed_at)
    await scene.noticed(told(f"link to {receiver}", "lost", where=sender))
    await scene.done(told(f"link to {receiver}", "up", where=sender))
    await scene.probe(sender, receiver)


async def corrupt(scene: Scene) -> None:
    """A byte changes on its way: the receiver believes nothing of it, and gets it once more."""
    sender, receiver = scene.any_link()
    proxy = scene.cluster.links[sender, receiver]
    before = proxy.counts.corrupted
    proxy.corrupt()
    await scene.eventually(
        lambda: _is_so(proxy.counts.corrupted > before), "nothing was sent to be changed", 10.0
    )
    scene.broke(f"link {sender} to {receiver}: one bit of a frame is changed", proxy.harmed_at)
    await scene.noticed(told(f"link from {sender}", "refused", "lost", where=receiver))
    await scene.done(told(f"link to {receiver}", "up", where=sender))
    await scene.probe(sender, receiver)


async def stall(scene: Scene) -> None:
    """A peer is stopped: its peers hear nothing, and the supervisor replaces it."""
    node = scene.any_node()
    peer = scene.another(node)
    at = time.monotonic()
    scene.broke(f"node {node}: SIGSTOP to process {scene.cluster.stall(node)}, for good", at)
    await scene.noticed(told(f"link to {node}", "lost", where=peer))
    await scene.noticed(told(f"node {node}", "unhealthy"))
    await scene.done(told(f"node {node}", "recovering"))
    await scene.recovered(told(f"node {node}", "recovered"))
    await scene.probe(peer, node)
    await scene.probe(node, peer)


async def full(scene: Scene) -> None:
    """A link takes less than is sent: senders are refused or wait, and nothing piles up."""
    sender, receiver = scene.any_link()
    proxy = scene.cluster.links[sender, receiver]
    rate, size, number = 50_000, 40_000, 100
    proxy.throttle(rate)
    scene.broke(
        f"link {sender} to {receiver} takes {rate // 1000} kB/s; {number} messages of "
        f"{size // 1000} kB are sent at once"
    )
    sending = [
        asyncio.create_task(scene.send(sender, receiver, size, within=4.0)) for _ in range(number)
    ]
    await scene.noticed(told(f"link to {receiver}", "full", "slow", where=sender))
    outcomes = await asyncio.gather(*sending)
    refused = Counter(outcome for outcome in outcomes if outcome is not None)
    why = ", ".join(f"{count} {kind}" for kind, count in refused.most_common())
    scene.did(f"link to {receiver} of node {sender}", f"accepted {outcomes.count(None)}; {why}")
    scene.require(bool(refused), "a full link has taken everything")
    proxy.throttle(None)
    await scene.probe(sender, receiver)


async def slow(scene: Scene) -> None:
    """A link becomes slow: the prediction says how slow, within a quarter."""
    sender, receiver = scene.any_link()
    proxy = scene.cluster.links[sender, receiver]
    for rate in (1_000_000, 5_000_000, 20_000_000):
        proxy.throttle(rate)
        scene.broke(f"link {sender} to {receiver} takes {rate / 1e6:g} MB/s")
        predicted: Any = await scene.eventually(
            partial(_predicted, scene, sender, receiver, rate),
            f"the prediction is not within a quarter of {rate / 1e6:g} MB/s",
            20.0,
        )
        scene.saw(f"prediction of node {sender}", f"{predicted / 1e6:.2f} MB/s")
        scene.verified("the prediction is within a quarter of what the link passes")
    proxy.throttle(None)
    await scene.probe(sender, receiver)


async def _predicted(scene: Scene, sender: str, receiver: str, rate: float) -> float | bool:
    """Fill the link for a second; return what is predicted, or False if it is not right.

    Right is what the link takes or, on a machine that cannot send as much, what has passed.
    """
    proxy = scene.cluster.links[sender, receiver]
    began, before = time.monotonic(), proxy.counts.bytes_out
    predicted: float | None = await scene.cluster.ask(
        sender, "stream", peer=receiver, seconds=1.0, size=int(rate / 40), within=30.0
    )
    passed = (proxy.counts.bytes_out - before) / (time.monotonic() - began)
    right = any(predicted and 0.75 * one <= predicted <= 1.25 * one for one in (rate, passed))
    return predicted if predicted and right else False


async def partition(scene: Scene) -> None:
    """A node is alone for a while, and all go on writing: afterwards all stores are equal."""
    node = scene.any_node()
    cluster = scene.cluster
    for proxy in cluster.links_of(node):
        proxy.part()
    scene.broke(f"node {node} is parted from the others; {_WRITES:,} writes on all three nodes")
    shares = {name: _WRITES // len(cluster.names) for name in cluster.names}
    shares[node] += _WRITES - sum(shares.values())
    await asyncio.gather(
        *(
            cluster.ask(name, "write", count=count, seed=scene.random.random(), within=60.0)
            for name, count in shares.items()
        )
    )
    await scene.noticed(told(f"link to {node}", "lost"))
    await scene.noticed(told("sync", "unreachable", "silent"))
    digests = await scene.digests()
    scene.require(len(set(digests)) > 1, "the stores were equal although a node was alone")
    healed = time.monotonic()
    for proxy in cluster.links_of(node):
        proxy.heal()
    scene.say(f"the link heals; the digests were {', '.join(each[:8] for each in digests)}")
    await scene.eventually(scene.are_equal, "the digests differ", 30.0)
    took = time.monotonic() - healed
    scene.require(took <= EQUAL_WITHIN, f"the digests were equal only {duration(took)} after")
    scene.did("sync of all nodes", "compared and repaired")
    scene.verified(f"all digests are equal {duration(took)} after healing")


async def depose(scene: Scene) -> None:
    """The leader is stopped until its lease has run out, and goes on: it has no say any more."""
    cluster = scene.cluster
    old = await cluster.until_leader()
    revision = (await cluster.ask(old, "status"))["revision"]
    scene.broke(
        f"node {old} leads with revision {revision}: SIGSTOP to process {cluster.stall(old)}"
    )
    elected = await scene.noticed(
        lambda it: it.who == "consensus" and it.kind == "elected" and it.where != old
    )
    took = elected.at - scene.broken_at
    most = cluster.lease + NO_LEADER
    scene.require(took <= most, f"a new leader only after {duration(took)}, not {duration(most)}")
    for _ in range(_EFFECTS):
        await scene.eventually(
            lambda: cluster.ask(elected.where, "effect"), "the new leader has no effect", 10.0
        )
    cluster.go_on(old)
    refused: Any = await scene.eventually(
        lambda: cluster.ask(old, "stale_effect", revision=revision),
        f"node {old} does not answer",
        20.0,
    )
    scene.require(not refused["accepted"], f"an effect of revision {revision} was accepted")
    scene.say(f"node {old} goes on and tries its effect: {refused['why']}")
    await scene.check_effects()
    scene.verified(f"node {elected.where} leads; no effect of revision {revision} after it")


async def etcd(scene: Scene) -> None:
    """Etcd is killed: nobody makes effects until it is back."""
    cluster = scene.cluster
    await cluster.until_leader()
    at = time.monotonic()
    scene.broke(f"etcd: kill -9 of process {cluster.kill(ETCD)}", at)
    member = cluster.processes[ETCD].name
    await scene.noticed(told(member, "exited"))
    await scene.done(told(member, "recovering"))
    await scene.recovered(told(member, "recovered"))
    leader = await cluster.until_leader(within=30.0)
    await scene.eventually(lambda: cluster.ask(leader, "effect"), "no effect is accepted", 10.0)
    await scene.check_effects()
    scene.verified(f"node {leader} leads, and its effects are accepted")


async def components(scene: Scene) -> None:
    """Each component of a node is broken from within: its manager finds out and mends it."""
    node = scene.any_node()
    for component in ("transport", "compression", "prediction", "sync", "consensus"):
        at = time.monotonic()
        how = await scene.cluster.ask(node, "sabotage", component=component)
        scene.broke(f"{component} of node {node}: {how}", at)
        await scene.noticed(told(component, "unhealthy", "exited", where=node))
        await scene.done(told(component, "recovering", where=node))
        await scene.recovered(told(component, "recovered", where=node))
    await scene.probe(scene.another(node), node)


async def _is_so(value: bool) -> bool:
    return value


ALL = (
    Scenario("kill", "a peer is killed with kill -9", kill),
    Scenario("cut", "a connection is cut in the middle of a frame", cut),
    Scenario("corrupt", "a frame is corrupted", corrupt),
    Scenario("stall", "a peer stalls (SIGSTOP)", stall),
    Scenario("full", "a link is filled", full),
    Scenario("slow", "a link becomes slow", slow),
    Scenario("partition", "a node is parted from the others, and the link heals", partition),
    Scenario("components", "each component of a node is broken from within", components),
    Scenario("depose", "the leader stalls until another one is elected", depose, needs_etcd=True),
    Scenario("etcd", "etcd is killed", etcd, needs_etcd=True),
)
