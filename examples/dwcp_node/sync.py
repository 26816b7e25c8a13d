"""Sync: keeps the stores of all nodes equal, and notices if it does not.

What a node writes is sent to its peers at once. Besides, each node compares its digest with each
peer, again and again, and repairs what differs: after a partition, a crash or a lost file.
Effects of the leader go to a majority of the stores. Elsewhere: one comparison (``compare``).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from examples.dwcp_node.answers import Answers, Tickets, hear_fence
from examples.dwcp_node.compare import Comparison, compare, push
from examples.dwcp_node.entries import Entry, Version
from examples.dwcp_node.exchange import AnswerError, Exchange
from examples.dwcp_node.store import Fenced, StoreError, read_effect
from holdfast.health import CheckResult
from holdfast.supervision import Component, Exit
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from examples.dwcp_node.exchange import Transport
    from examples.dwcp_node.store import Store

    Body = dict[str, Any]
    Aside = Callable[..., Awaitable[Any]]

__all__ = ["NotAccepted", "PeerSync", "Sync"]

log = logging.getLogger("dwcp_node.sync")

_MOST_PENDING = 10_000  # keys to send to one peer; what is beyond is left to comparing
_UNREACHABLE = (OSError, LookupError)  # of the transport; TimeoutError is an OSError


class NotAccepted(RuntimeError):  # noqa: N818 - what became of it
    """An effect was not accepted by a majority of the stores.

    Attributes:
        took: How many stores have taken it.
        is_certain: Whether no store has taken it, and none will.
    """

    def __init__(self, message: str, took: int, is_certain: bool) -> None:
        super().__init__(message)
        self.took = took
        self.is_certain = is_certain


@dataclass(frozen=True, slots=True)
class PeerSync:
    """How far this node and one peer agree.

    Attributes:
        peer: The name of the peer.
        state: "new", "equal", "differs", "silent" (it takes questions and answers none),
            "unreachable" or "failing" (it answers with errors).
        since: Seconds since the two agreed on all that was written until then, or since the start.
        comparisons: How many comparisons have ended.
        received: How many newer entries came from it.
        sent: How many entries it has taken in comparisons.
        error: Why the last exchange failed; "" if it did not.
    """

    peer: str
    state: str
    since: float
    comparisons: int
    received: int
    sent: int
    error: str


class _Peer:
    """What is known of one peer since the start."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.began = now
        self.equal_at: float | None = None
        self.answered_at: float | None = None
        self.compared_at: float | None = None
        self.asked_at: float | None = None  # the first question it has stored, but not answered
        self.is_sure = False
        self.comparisons = self.received = self.sent = 0
        self.error = ""
        self.state = "new"
        self.pending: set[str] = set()
        self.wake = asyncio.Event()
        #: Differences that the last comparison has seen, with when they were first seen.
        self.differing: dict[str, tuple[object, float]] = {}

    def stored(self, now: float) -> None:
        if self.asked_at is None:
            self.asked_at = now

    def answered(self, now: float) -> None:
        self.answered_at = now
        self.asked_at = None

    def compared(self, result: Comparison, now: float) -> None:
        """Take the result of a comparison; the same difference as before keeps its age."""
        self.comparisons += 1
        self.received += result.received
        self.sent += result.sent
        self.is_sure = result.peer_is_sure
        self.error = ""
        self.state = "equal" if result.is_equal else "differs"
        found: dict[str, object] = dict(result.differing)
        if result.is_equal:
            self.equal_at = now
        elif not found:
            found["(the digests)"] = result.digests  # they differ, and no entry does
        old = self.differing
        kept = {
            key: old[key] for key, marks in found.items() if key in old and old[key][0] == marks
        }
        if not kept and not result.is_equal:
            self.equal_at = self.compared_at  # what differs has been written since
        self.differing = {key: kept.get(key, (marks, now)) for key, marks in found.items()}
        self.compared_at = now

    def stuck(self, patience: float) -> list[str]:
        """Return the differences that the last comparison has seen, and one long before it.

        Those to a peer that went away meanwhile are none: nobody has tried to repair them.
        """
        at = self.compared_at or 0.0
        return [key for key, (_, since) in self.differing.items() if at - since > patience]


class Sync(Component):
    """Keeps the store of this node equal to those of its peers.

    Args:
        store: The store of this node, opened and closed by this component.
        transport: Returns the present transport: it is another one after a recovery. Its
            ``send(peer, payload, kind="sync")`` returns when the peer has stored a message, and
            ``handle("sync", …)`` has a function called with each message.
        peers: The names of all other nodes of the cluster, whether they run or not.
        revision: Returns the revision with which this node leads, or None. It is asked directly
            before an effect is sent.
        interval: Seconds from one comparison with a peer to the next, 0.01 to 60.
        patience: Seconds after which a difference that stays counts as a failure, 0.1 to 600.
        within: Seconds a peer has for an answer, 0.05 to 60.
        ticket: Seconds a peer's permission for an effect is good; less than what remains of the
            lease when a leader ceases to believe in it, 0.01 to 10.
        aside: Calls a function where it may wait for the disk.
        now: Seconds that never go back.

    Raises:
        ConfigError: An argument is invalid.

    Used in one event loop.
    """

    def __init__(
        self,
        store: Store,
        transport: Callable[[], Transport],
        peers: Sequence[str],
        *,
        revision: Callable[[], int | None] | None = None,
        interval: float = 0.5,
        patience: float = 5.0,
        within: float = 2.0,
        ticket: float = 0.2,
        aside: Aside = asyncio.to_thread,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("sync")
        problems = Problems("Sync", store.name)
        self.peers = tuple(problems.name(peer, "peers") for peer in peers)
        if len({*self.peers, store.name}) <= len(self.peers):
            problems.refuse("peers", peers, "different names, without that of this node")
        self._interval = problems.number("interval", interval, least=0.01, most=60)
        self._patience = problems.number("patience", patience, least=0.1, most=600)
        within = problems.number("within", within, least=0.05, most=60)
        ticket = problems.number("ticket", ticket, least=0.01, most=10)
        problems.callable("transport", transport, none=False)
        problems.done()
        self._within = within
        self.store = store
        self._revision = revision
        self._aside = aside
        self._now = now
        self._answers = Answers(store, Tickets(ticket, now))
        self._exchange = Exchange(transport, self._answer, within)
        self._states: dict[str, _Peer] = {}
        self._task: asyncio.Task[None] | None = None
        self._ended: Callable[[Exit], object] | None = None
        self._looked_at = 0.0
        self._effects = asyncio.Lock()
        self._offers: set[asyncio.Task[object]] = set()
        #: What was found damaged when the store was opened last.
        self.dropped: list[str] = []

    # ---- Component ----

    async def start(self) -> None:
        """Open the store, and begin to compare it with the peers.

        Raises:
            StoreError: The store cannot be opened.
        """
        if self._task is not None:
            return
        self.dropped = await self._aside(self.store.open)
        for damage in self.dropped:
            log.warning("%s: %s; the peers have it, perhaps", self.store.name, damage)
        now = self._now()
        self._looked_at = now
        self._states = {name: _Peer(name, now) for name in self.peers}
        loop = asyncio.get_running_loop()
        self.store.on_write = lambda entry: loop.call_soon_threadsafe(self._note, entry.key)
        self._exchange.start()
        self._task = asyncio.create_task(self._run(), name=f"sync of {self.store.name}")
        self._task.add_done_callback(self._done)

    async def stop(self) -> None:
        """End all exchanges, and close the store."""
        task, self._task = self._task, None
        tasks = {*self._offers} if task is None else {task, *self._offers}
        for one in tasks:
            one.cancel()
        tasks.discard(cast("asyncio.Task[object]", asyncio.current_task()))
        if tasks:
            await asyncio.wait(tasks)
        await self._exchange.stop()
        self.store.on_write = None
        await self._aside(self.store.close)

    def watch(self, ended: Callable[[Exit], object]) -> None:
        """Take what to call when comparing ends by an error."""
        self._ended = ended

    async def check(self) -> CheckResult:
        """Look whether the stores still become equal, and whether this one is damaged."""
        task = self._task
        if task is None or task.done():
            return CheckResult.failed("is not running")
        self._exchange.listen()  # the transport may be another one
        if damage := await self._aside(self.store.verify):
            return CheckResult.failed(f"the store is damaged: {damage}")
        now = self._now()
        idle = now - self._looked_at
        if self.peers and idle > self._patience + self._interval:
            return CheckResult.failed(f"has compared with nobody for {idle:.1f} s")
        for state in self._states.values():
            if stuck := state.stuck(self._patience):
                return CheckResult.failed(
                    f"{len(stuck)} differences to {state.name} are not repaired, such as"
                    f" {stuck[0]!r}",
                    peer=state.name,
                )
        if silent := self._silent(now):
            return CheckResult.failed(f"no peer answers, and {', '.join(silent)} could")
        return self._judge_peers()

    def _silent(self, now: float) -> list[str]:
        """Return the peers that store questions and answer none, if no peer answers any."""
        late = now - self._patience
        silent = [
            state.name
            for state in self._states.values()
            if state.asked_at is not None and state.asked_at < late
        ]
        heard = [one for one in self._states.values() if (one.answered_at or 0.0) > late]
        # One silent peer may be that peer's fault; if it is the only one, a restart does no harm.
        return [] if heard or len(silent) < min(2, len(self.peers)) else silent

    def _judge_peers(self) -> CheckResult:
        behind = [
            f"{one.peer} is {one.state} for {one.since:.0f} s"
            for one in self.status()
            if one.since > self._patience and one.state != "equal"
        ]
        details = {one.peer: one.state for one in self.status()}
        if not self.store.is_sure:
            behind.append("the highest revision is not known yet: no effects")
        if behind:
            return CheckResult("degraded", "; ".join(behind), details)
        return CheckResult("passed", f"digest {self.store.digest()[:8]}", details)

    # ---- what others use ----

    async def put(self, key: str, value: Any) -> Version:
        """Write a value, as any node may; raises what ``Store.put`` raises."""
        return cast("Version", await self._aside(self.store.put, key, value))

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key in the store of this node."""
        return await self._aside(self.store.get, key, default)

    def status(self) -> list[PeerSync]:
        """Return how far this node and each peer agree."""
        now = self._now()
        return [
            PeerSync(
                one.name, one.state, now - (one.equal_at or one.began),
                one.comparisons, one.received, one.sent, one.error,
            )
            for one in self._states.values()
        ]  # fmt: skip

    async def effect(self, effect: Mapping[str, Any]) -> Version:
        """Have a majority of the stores accept an effect of this node.

        The peers decide first, and this node's store last: if this node was deposed, they know.
        Each peer gives a ticket; then this node looks whether it still leads; then it sends the
        effect with the ticket, which is good for a short time. So no store takes an effect that
        was on its way for longer than that.

        Args:
            effect: ``{"revision": r, "writer": name, "key": …, "value": …}``, as of
                ``Consensus.effect``.

        Returns:
            The version of the entry, once a majority has it on its disks.

        Raises:
            Fenced: This node was deposed; the effect is nowhere.
            NotAccepted: Too few stores have accepted it. Unless ``is_certain``, it may be in some,
                and come to the others: as after a timeout, only a later effect says which.
            ValueError: The effect is invalid.
            StoreError: The store cannot be used.
        """
        given, is_stamped = read_effect(effect)
        if is_stamped:
            raise ValueError("effect: it gets its counter here")
        if self._task is None:
            raise StoreError("sync is not running")
        async with self._effects:
            v = given.version
            await self._aside(self.store.admit, v.revision, v.writer)
            counter = await self._aside(self.store.stamp)
            entry = Entry(given.key, given.text, Version(v.revision, counter, v.writer))
            await self._offer_to_all(entry)
            await self._aside(self.store.accept, entry)
        return entry.version

    async def _offer_to_all(self, entry: Entry) -> None:
        """Return when so many peers have taken an effect that this store makes the majority."""
        needed = (len(self.peers) + 1) // 2
        if not needed and not self._leads(entry.version):
            raise Fenced("this node does not lead any more", entry.version.revision, -1)
        waiting = {asyncio.create_task(self._offer(peer, entry)) for peer in self.peers}
        self._offers |= cast("set[asyncio.Task[object]]", waiting)
        for task in waiting:
            task.add_done_callback(self._offers.discard)
        outcomes: list[str] = []
        while waiting and outcomes.count("took") < needed:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            outcomes += ["unknown" if task.cancelled() else task.result() for task in done]
        took = outcomes.count("took")
        if took >= needed:
            return
        text = f"{took} of {needed} peers needed have taken it: " + ", ".join(outcomes)
        v = entry.version
        if "fenced" in outcomes and took == 0 and "unknown" not in outcomes:
            await self._aside(self.store.admit, v.revision, v.writer)  # raises, as a rule
            raise Fenced(text, v.revision, self.store.highest)
        raise NotAccepted(text, took, not took and "unknown" not in outcomes)

    async def _offer(self, peer: str, entry: Entry) -> str:
        """Return what became of an effect at a peer: took, fenced, deposed, refused, unknown."""
        v = entry.version
        outcome = "refused"
        ends = self._now() + self._within
        while self._now() < ends:  # a ticket that came too late is asked for again
            try:
                answer = await self._ask(
                    peer, {"is": "ticket", "revision": v.revision, "writer": v.writer}
                )
                if "fenced" not in answer:
                    if not self._leads(v):
                        return "deposed"
                    outcome = "unknown"  # until there is an answer
                    answer = await self._ask(
                        peer,
                        {"is": "effect", "ticket": answer.get("ticket"), "entry": entry.as_list()},
                    )
                    outcome = "refused"
                if "took" in answer:
                    return "took"
                if "fenced" in answer:
                    await self._aside(hear_fence, self.store, answer)
                    return "fenced"
            except (AnswerError, StoreError, ValueError, *_UNREACHABLE) as error:
                log.debug("%s has not taken an effect: %s", peer, error)
                return outcome
        return outcome

    def _leads(self, version: Version) -> bool:
        return self._revision is None or self._revision() == version.revision

    # ---- exchanges ----

    async def _answer(self, peer: str, question: Body) -> Body:
        if peer not in self._states:
            raise ValueError(f"{peer!r} is no node of this cluster")
        return cast("Body", await self._aside(self._answers.answer, peer, question))

    async def _ask(self, peer: str, question: Body) -> Body:
        state = self._states[peer]
        is_stored = False

        def stored() -> None:
            nonlocal is_stored
            is_stored = True
            state.stored(self._now())

        try:
            answer = await self._exchange.ask(peer, question, stored)
        except AnswerError:
            state.answered(self._now())
            raise
        except _UNREACHABLE:
            if not is_stored:
                state.asked_at = None  # it is not silent, but out of reach
            raise
        state.answered(self._now())
        return answer

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for state in self._states.values():
                group.create_task(self._follow(state))
            if not self._states:
                await asyncio.get_running_loop().create_future()  # until it is stopped

    async def _follow(self, state: _Peer) -> None:
        """Send one peer what is new, and compare with it, until stopped."""
        due = self._now()
        while True:
            self._exchange.listen()
            try:
                if state.pending and state.state not in ("unreachable", "silent"):
                    keys, state.pending = state.pending, set()
                    await push(self.store, partial(self._ask, state.name), self._aside, keys)
                if self._now() >= due:
                    self._looked_at = self._now()
                    due = self._now() + self._interval * random.uniform(0.8, 1.2)
                    result = await self._compare(state)
                    if result.received or result.sent:
                        due = self._now()  # look at once whether that was all
            except AnswerError as error:
                self._failed(state, "failing", error)
            except StoreError as error:  # the check says so
                self._failed(state, "failing", error)
            except _UNREACHABLE as error:
                is_silent = state.asked_at is not None
                self._failed(state, "silent" if is_silent else "unreachable", error)
            state.wake.clear()
            try:
                async with asyncio.timeout(max(0.001, due - self._now())):
                    await state.wake.wait()
                await asyncio.sleep(min(0.01, self._interval))  # gather what is written together
            except TimeoutError:
                continue

    async def _compare(self, state: _Peer) -> Comparison:
        result = await compare(self.store, partial(self._ask, state.name), self._aside)
        state.compared(result, self._now())
        if not self.store.is_sure and self._knows_enough():
            await self._aside(self.store.confirm)
        return result

    def _knows_enough(self) -> bool:
        """Return whether so many peers were heard that one was in each possible majority."""
        nodes = len(self.peers) + 1
        sure = sum(one.is_sure for one in self._states.values())
        return sure >= nodes - (nodes // 2 + 1) + 1

    def _failed(self, state: _Peer, how: str, error: BaseException) -> None:
        text = str(error) or type(error).__name__
        if state.state != how:
            log.info("%s: %s is %s: %s", self.store.name, state.name, how, text)
        state.state, state.error = how, text

    def _note(self, key: str) -> None:
        for state in self._states.values():
            if len(state.pending) < _MOST_PENDING:
                state.pending.add(key)
            state.wake.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task is not self._task:
            return
        error = task.exception()
        log.error("comparing has ended: %s", error, exc_info=error)
        if self._ended is not None:
            self._ended(Exit(error=error))
