"""Consensus: which node may make effects. Etcd elects it, and numbers its term.

Owns the candidacy of this node: its lease, its renewals, and until when it believes that it
leads. Belief is not proof: a process may be stopped between the question "do I lead?" and its
effect. So every effect carries the revision of the election, and the stores refuse one that is
lower than the highest they have seen (``store``). Elsewhere: the requests (``gateway``), what
follows from an answer (``terms``), and starting etcd (``etcd``).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import holdfast as hf
from examples.dwcp_node.gateway import EtcdError, Gateway, LeaseLost, Unreachable
from examples.dwcp_node.terms import Term, WentBack, Witness, seconds_of, usable_until
from holdfast.health import CheckResult
from holdfast.supervision import Component, Exit
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from examples.dwcp_node.gateway import Lease, View

log = logging.getLogger("dwcp_node.consensus")

# Shares of a lease: from one renewal to the next, and how long a member may take to answer.
PAUSE = 1 / 5
PATIENCE = 1 / 3
_STUCK = 10.0  # seconds without a question to etcd, beyond the lease
_LONGEST_NAME = 200
_DECLARED = 0  # the revision of a writer whom no election has chosen


class NotFenced(EtcdError):  # noqa: N818 - a state of the store
    """The store cannot refuse earlier leaders at this moment: this node must not lead."""


class NotTheWriter(RuntimeError):  # noqa: N818 - what the caller is
    """This node may not make effects; the message says who may."""


@dataclass(frozen=True, slots=True)
class Change:
    """What has changed.

    Attributes:
        kind: "elected": this node leads; "deposed": it no longer does; "leader": another node
            leads, or nobody is known to.
        leader: The name of the node that leads, or None.
        revision: The fencing token of the term that began or ended, or None.
    """

    kind: Literal["elected", "deposed", "leader"]
    leader: str | None
    revision: int | None


class Consensus(Component):
    """Says whether this node may make effects, and with which fencing token.

    With ``endpoints``, etcd elects one node of those that take part. While etcd cannot be reached,
    nobody makes effects. Without etcd, the one declared ``writer`` does, with revision 0, unless
    its store has seen an election.

    Args:
        node: The name of this node. Two lives of one node are two candidates.
        endpoints: The client URLs of etcd's members.
        writer: Without etcd: the node that makes effects. All nodes must be told the same.
        election: The name of the election, without a slash.
        lease: Seconds after which a leader that is gone is replaced, 1.5 to 60.
        floor: Returns the highest revision that this node's store has seen.
        fence: Told the revision and the name of each leader that etcd names, in a thread, and
            before this node acts on it: its store must refuse lower revisions from then on. While
            it raises ``NotFenced``, this node stands for no election, so that another one leads.
        clock: Seconds that never go back, also counted while the machine sleeps.

    Raises:
        ConfigError: An argument is invalid, or neither or both of endpoints and writer are given.

    Started, stopped and checked in one event loop. ``leader``, ``revision`` and ``effect`` may be
    used from any thread.
    """

    def __init__(
        self,
        node: str,
        *,
        endpoints: Sequence[str] = (),
        writer: str | None = None,
        election: str = "dwcp",
        lease: float = 3.0,
        floor: Callable[[], int] = lambda: 0,
        fence: Callable[[int, str], object] = lambda _revision, _leader: None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__("consensus")
        problems = Problems("Consensus", node)
        self.node = problems.name(node, "node")
        self.lease = problems.number("lease", lease, least=1.5, most=60)
        self.election = problems.name(election, "election")
        if "/" in self.election:
            problems.refuse("election", election, "a name without a slash")
        if bool(endpoints) == (writer is not None):
            # Two sources of leaders would be two leaders.
            problems.refuse("writer", writer, "a node's name without endpoints, or None with them")
        self._writer = writer if writer is None else problems.name(writer, "writer")
        problems.done()
        self._seconds = seconds_of(self.lease)
        self._endpoints = tuple(endpoints)
        if endpoints:
            Gateway(endpoints)  # refuse them now, and not at the first start
        self._life = secrets.token_hex(4)
        self._floor, self._fence = floor, fence
        self._clock = clock or _seconds
        self._witness = Witness()
        self._listeners: list[Callable[[Change], object]] = []
        self._ended: Callable[[Exit], object] | None = None
        self._task: asyncio.Task[None] | None = None
        self._term: Term | None = None
        self._leader: str | None = None
        self._heard_at: float | None = None  # the last good answer was asked for at that time
        self._asked_at = 0.0  # it was asked, with or without success
        #: How many questions etcd has not answered in time, since this was made.
        self.unanswered = 0
        self._fault: str = "etcd was not asked yet"
        self._went_back: bool = False
        self._told: tuple[str | None, int | None] = (None, None)

    # ---- what others ask ----

    @property
    def leader(self) -> str | None:
        """The node that leads, as far as is known; None: nobody, or etcd has been silent."""
        if self._writer is not None:
            return self._writer
        heard = self._heard_at
        fresh = heard is not None and self._clock() < heard + self.lease
        return self._leader if fresh else None

    @property
    def revision(self) -> int | None:
        """The fencing token for effects of this node; None: it must make none."""
        if self._writer is not None:
            is_writer = self._writer == self.node and self._task is not None
            return _DECLARED if is_writer and self._floor() <= _DECLARED else None
        term = self._term
        return term.revision if term is not None and self._clock() < term.until else None

    @property
    def silence(self) -> float | None:
        """Seconds since etcd was asked with success; None if it never was since the start."""
        heard = self._heard_at
        return None if heard is None else self._clock() - heard

    def effect(self, key: str, value: object) -> dict[str, object]:
        """Return an effect for the stores, with this node's fencing token.

        Raises:
            NotTheWriter: This node does not lead.
        """
        revision = self.revision
        if revision is None:
            raise NotTheWriter(f"{self.node} makes no effects: {self.check().message}")
        return {"revision": revision, "writer": self.node, "key": key, "value": value}

    def on_change(self, listener: Callable[[Change], object]) -> None:
        """Have a function called with each ``Change``, in the event loop."""
        self._listeners.append(listener)

    # ---- Component ----

    async def start(self) -> None:
        """Begin the candidacy; it goes on until ``stop``, whether etcd answers or not."""
        if self._task is None:
            self._fault, self._went_back = "etcd was not asked yet", False
            self._heard_at, self._asked_at = None, self._clock()
            self._task = asyncio.create_task(self._run(), name=f"consensus of {self.node}")
            self._task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Make no more effects, and leave the election, so that another node leads at once."""
        self._term = None  # before anything is awaited
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        if task is not asyncio.current_task():  # a listener may stop it
            await asyncio.wait({task})

    def watch(self, ended: Callable[[Exit], object]) -> None:
        """Take what to call when the candidacy ends by an error."""
        self._ended = ended

    def check(self) -> CheckResult:
        """Look whether the candidacy goes on, and whether somebody makes effects.

        An etcd that does not answer makes it degraded: a restart would not help, and a supervisor
        that gave up meanwhile would leave the nodes without a leader when etcd is back. It fails if
        etcd has gone back, for which people have to do something.
        """
        if self._task is None or self._task.done():
            return CheckResult.failed("is not running")
        if self._writer is not None:
            if self._floor() > _DECLARED:
                return CheckResult.failed(
                    f"the store has seen revision {self._floor()} of an election: "
                    f"the declared writer {self._writer} may not write"
                )
            return CheckResult.passed(f"no etcd: {self._writer} is the declared writer")
        idle = self._clock() - self._asked_at
        if idle > self.lease + _STUCK:
            return CheckResult.failed(f"has not asked etcd for {idle:.1f} s")
        if self._went_back:
            return CheckResult.failed(f"nobody writes: {self._fault}")
        leader, revision = self.leader, self.revision
        if self._fault and leader is None:
            silence = self.silence
            since = "" if silence is None else f" for {silence:.1f} s"
            return CheckResult.degraded(f"nobody writes: no use of etcd{since}: {self._fault}")
        if leader is None:
            return CheckResult.degraded("nobody leads yet")
        if revision is None and leader == self.node:
            return CheckResult.degraded(f"has led, and waits for etcd: {self._fault}")
        if revision is None:
            return CheckResult.passed(f"{leader} leads", leader=leader)
        return CheckResult.passed(f"leads with revision {revision}", revision=revision)

    # ---- the candidacy ----

    async def _run(self) -> None:
        if self._writer is not None:
            self._tell()
            await asyncio.get_running_loop().create_future()  # until it is stopped
        gateway = Gateway(self._endpoints, timeout=self._seconds * PATIENCE)
        delays = hf.Exponential(0.05, factor=2, max=1.0)
        tries = 0
        try:
            while True:
                heard = self._heard_at
                try:
                    await self._stand(gateway)
                except EtcdError as error:
                    self._note(error)
                self._tell()
                tries = 0 if self._heard_at != heard else tries + 1
                await asyncio.sleep(delays.delay(min(tries, 10)))
        finally:
            self._term = None
            await gateway.close()

    async def _stand(self, gateway: Gateway) -> None:
        """Be a candidate, and perhaps the leader, until the lease is lost.

        One lease serves one candidacy. Etcd deletes the key of a campaign whose connection has
        ended, but later than the end is seen here: a second campaign with the same lease would get
        that key, and lose it.
        """
        await self._look(gateway)  # is it the etcd that this node knows?
        lease = await gateway.grant(self._seconds)
        if lease.seconds > self._seconds:
            log.warning(
                "etcd grants no less than %d s: a new leader may take %.1f s more than lease=%g",
                lease.seconds,
                lease.seconds - self._seconds,
                self.lease,
            )
        value = f"{self.node}#{self._life}"
        campaign = asyncio.create_task(gateway.campaign(self.election, lease.number, value))
        try:
            await self._hold(gateway, lease, campaign)
        finally:
            self._term = None
            campaign.add_done_callback(_had)
            campaign.cancel()
            try:
                await asyncio.wait({campaign})
            finally:
                # Perhaps etcd has elected it meanwhile. What is not revoked expires.
                with suppress(EtcdError):
                    await gateway.revoke(lease.number)
            self._tell()

    async def _hold(
        self, gateway: Gateway, lease: Lease, campaign: asyncio.Task[tuple[bytes, int]]
    ) -> None:
        own = f"{self.election}/{lease.number:x}".encode()  # as etcd names it
        pause = lease.seconds * PAUSE
        is_asked = False  # whether the key must exist
        elected: int | None = None
        while True:
            try:
                elected = await self._beat(gateway, lease, own, elected, must=is_asked)
                self._fault, self._went_back = "", False
            except (LeaseLost, WentBack, NotFenced):
                raise
            except EtcdError as error:
                self._note(error)  # the lease may live on: until it is known, it is asked for
            self._tell()
            if is_asked:
                await asyncio.sleep(pause)
            else:
                await asyncio.wait({campaign}, timeout=pause)
                if campaign.done():
                    key, _ = campaign.result()
                    if key != own:
                        raise EtcdError(f"etcd has named the candidate's key {key!r:.60}")
                    is_asked = True

    async def _beat(
        self, gateway: Gateway, lease: Lease, own: bytes, elected: int | None, *, must: bool
    ) -> int | None:
        """Renew the lease and look who leads; return the revision with which this node does."""
        sent, floor = self._clock(), self._floor()
        self._asked_at = sent
        renewed = await gateway.renew(lease.number)
        view = await self._look(gateway, own)
        mine = view.own
        if mine is None:
            if must or elected is not None:
                raise LeaseLost("etcd has deleted the key of this candidate")
            return None
        if view.leader != mine:
            self._term = None
            return None
        if mine.revision != elected:
            self._witness.need_above(mine.revision, floor)
        # A member that was deposed within etcd may renew a lease for no longer than itself.
        if renewed.header.raft_term == view.header.raft_term:
            self._term = Term(mine.revision, usable_until(sent, renewed.seconds))
        return mine.revision

    async def _look(self, gateway: Gateway, own: bytes = b"") -> View:
        sent, floor = self._clock(), self._floor()  # before it is asked: it may only be higher
        self._asked_at = sent
        view = await gateway.view(self.election, own)
        self._witness.look(view, floor)
        self._heard_at = sent
        if view.leader is None:
            self._leader = None
        else:
            name = _name_in(view.leader.value)
            if view.leader.revision > floor:
                await asyncio.to_thread(self._fence, view.leader.revision, name)  # it may wait
            self._leader = name
        return view

    # ---- telling ----

    def _note(self, error: EtcdError) -> None:
        self.unanswered += isinstance(error, Unreachable)
        text = f"{error}" or type(error).__name__
        if text != self._fault:
            log.warning("%s: %s", self.node, text)
        self._fault, self._went_back = text, isinstance(error, WentBack)
        if self._went_back:
            self._leader = None

    def _tell(self) -> None:
        """Tell the listeners what has changed since they were told last."""
        (old_leader, old), (leader, new) = self._told, (self.leader, self.revision)
        self._told = (leader, new)
        if old is not None and old != new:
            log.warning("%s no longer leads with revision %d", self.node, old)
            self._call(Change("deposed", leader, old))
        if new is not None and old != new:
            log.info("%s leads with revision %d", self.node, new)
            self._call(Change("elected", leader, new))
        if leader != old_leader:
            self._call(Change("leader", leader, None))

    def _call(self, change: Change) -> None:
        for listener in list(self._listeners):
            try:
                listener(change)
            except Exception:
                log.exception("a listener of %s has failed", self.node)

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._task is not task and (task.cancelled() or task.exception() is None):
            return  # it was stopped
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        log.error("%s: the candidacy has ended: %r", self.node, error)
        if self._ended is not None:
            self._ended(Exit(error=error))


def _name_in(value: str) -> str:
    """Return the node's name in a candidate's value; somebody else's candidate may have any."""
    name = value.rpartition("#")[0] or value
    return name if 0 < len(name) <= _LONGEST_NAME and name.isprintable() else "unknown"


def _had(campaign: asyncio.Task[tuple[bytes, int]]) -> None:
    """Take the error of a campaign that nobody waits for any longer."""
    if not campaign.cancelled():
        campaign.exception()


def _seconds() -> float:
    """Return the seconds since the machine was started, including those it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


if not hasattr(time, "CLOCK_BOOTTIME"):  # no Linux
    _seconds = time.monotonic
