"""Hand-overs: the leader is harmed, another one follows, and no effect of the old one is accepted.

Each time, the old leader holds an effect back: it has looked whether it leads, and has not sent
the effect yet. Then the harm is done, the next leader makes effects, and the old one sends what it
held. Three kinds of harm:

* ``stop``: the process stands still (SIGSTOP) between its check and its effect;
* ``partition``: nothing passes between the process and etcd;
* ``lease``: etcd ends the lease while its holder still relies on it.

Owns the contenders (``contender``), the harm, and the judgement, which trusts neither the
contenders nor the stores.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from examples.dwcp_node.etcd import HOST, component, plan
from examples.dwcp_node.gateway import Gateway
from examples.dwcp_node.proxy import FaultProxy
from examples.dwcp_node.store import Fenced, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from examples.dwcp_node.etcd import Member

    Offer = Callable[[dict[str, Any]], bool]  # offers an effect to a store: is it accepted?

Kind = Literal["stop", "partition", "lease"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Seconds that are not judged: how long processes take to start is up to the machine.
_STARTS_WITHIN = 120.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class HandOver:
    """One hand-over.

    Attributes:
        kind: What was done to the old leader.
        old: The name of the old leader.
        new: The name of the next one; the same where all went slowly, and it was elected again.
        revisions: The fencing tokens of both.
        seconds: From the harm to the election of the next leader.
        gap: Seconds from the last effect that the old leader made, but for the one it held, to the
            election of the next one. Below zero, both have believed to lead.
        refused: How many stores have refused the effect that was held back.
        late: Seconds by which etcd or another contender than the old leader was late meanwhile,
            because the machine had too much to do: then ``seconds`` is no evidence.
    """

    kind: Kind
    old: str
    new: str
    revisions: tuple[int, int]
    seconds: float
    gap: float
    refused: int
    late: float


@dataclass
class _Judged:
    """A store, and what it has accepted."""

    offer: Offer
    accepted: Counter[int] = field(default_factory=Counter[int])  # effects by revision
    writers: dict[int, str] = field(default_factory=dict[int, str])
    highest: int = 0


@dataclass
class _Seat:
    """One contender, as far as it is known."""

    name: str
    proxy: FaultProxy = field(repr=False)
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    writer: asyncio.StreamWriter | None = field(default=None, repr=False)
    revision: int | None = None
    last_made: float = 0.0
    holds_at: float | None = None
    has_missed: bool = False  # it was to hold an effect back, and made none
    held: int = 0  # effects that were held back and have arrived
    held_refused: int = 0  # by how many stores the last of them


class Arena:
    """Some contenders, an election and some stores; use it with ``async with``.

    Args:
        endpoint: The client URL of etcd, on the loopback. Each contender reaches it through a
            proxy of its own.
        stores: What effects are offered to: each returns whether it has accepted one.
        lease: Seconds after which a leader that is gone is replaced.
        names: The contenders, two or more.
        election: The name of the election: each arena of one etcd needs its own.

    Attributes:
        violations: What must not be, in words: empty if all is well.
    """

    def __init__(
        self,
        endpoint: str,
        stores: Sequence[Offer],
        *,
        lease: float,
        names: Sequence[str] = ("a", "b", "c"),
        election: str = "dwcp",
    ) -> None:
        self.lease = lease
        self.election = election
        self.violations: list[str] = []
        self._endpoint = endpoint
        self._stores = [_Judged(offer) for offer in stores]
        port = int(endpoint.rpartition(":")[2])
        self._seats = {name: _Seat(name, FaultProxy(port, name=name)) for name in names}
        self._server: asyncio.Server | None = None
        self._elections: dict[int, tuple[str, float]] = {}  # by revision: whose, and when
        self._lates: deque[tuple[str, float, float]] = deque(maxlen=1000)
        self._changed = asyncio.Condition()
        self._offering = asyncio.Lock()
        self._readers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Arena:
        """Start the contenders, and wait until one of them leads."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        port = self._server.sockets[0].getsockname()[1]
        try:
            for seat in self._seats.values():
                await seat.proxy.start()
                seat.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "examples.dwcp_node.contender", seat.name),
                    *("--port", f"{port}", "--lease", f"{self.lease}"),
                    *("--election", self.election),
                    *("--etcd", f"http://{HOST}:{seat.proxy.port}"),
                    cwd=_ROOT,
                )
            await self._until(
                lambda: all(seat.writer for seat in self._seats.values()), _STARTS_WITHIN
            )
            await self._until(lambda: self._leader() is not None, _STARTS_WITHIN)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all contenders."""
        for seat in self._seats.values():
            if seat.process is not None:
                if seat.process.returncode is None:
                    seat.process.kill()
                await seat.process.wait()
            await seat.proxy.close()
        if self._server is not None:
            self._server.close()
            await asyncio.gather(*self._readers, return_exceptions=True)
            await self._server.wait_closed()

    async def hand_over(self, kind: Kind) -> HandOver:
        """Depose the leader, and let it send what it held once the next one has made effects.

        Raises:
            TimeoutError: Something that must follow has not followed.
        """
        old, term = await self._have_one_hold(kind)
        held_before = old.held
        harmed_at = await self._harm(kind, old, term)
        await self._until(lambda: max(self._elections) > term, 30)
        revision = min(each for each in self._elections if each > term)
        new, elected_at = self._elections[revision]
        await self._until(lambda: all(each.highest > term for each in self._stores), 30)
        self._release(kind, old)
        await self._until(lambda: old.held > held_before, 30)
        await self._until(lambda: old.revision != term, 30)
        over = HandOver(
            kind=kind,
            old=old.name,
            new=new,
            revisions=(term, revision),
            seconds=elected_at - harmed_at,
            gap=elected_at - old.last_made,
            refused=old.held_refused,
            late=self._late(old, harmed_at, elected_at),
        )
        self._judge(over)
        return over

    # ---- harm ----

    async def _have_one_hold(self, kind: Kind) -> tuple[_Seat, int]:
        """Have the leader hold an effect back; return it and its revision."""
        while True:
            await self._until(lambda: self._leader() is not None, self.lease + 30)
            old = self._leader()
            assert old is not None
            assert old.revision is not None
            term = old.revision
            old.holds_at, old.has_missed = None, False
            self._tell(old, kind)
            await self._until(partial(_is_settled, old), self.lease + 10)
            if not old.has_missed:
                return old, term
            # It was deposed meanwhile, as on a machine with too much to do.

    async def _harm(self, kind: Kind, old: _Seat, revision: int) -> float:
        """Do harm; return when it was done."""
        assert old.holds_at is not None
        if kind == "stop":
            return old.holds_at  # it has stopped itself right after that
        harmed_at = time.monotonic()
        if kind == "partition":
            old.proxy.part()
        else:
            await self._end_lease(revision)
        return harmed_at

    async def _end_lease(self, revision: int) -> None:
        gateway = Gateway([self._endpoint], timeout=5)
        try:
            leader = (await gateway.view(self.election)).leader
            if leader is not None and leader.revision == revision:  # or it has ended by itself
                await gateway.revoke(leader.lease)
        finally:
            await gateway.close()

    def _release(self, kind: Kind, old: _Seat) -> None:
        if kind == "stop":
            assert old.process is not None
            old.process.send_signal(signal.SIGCONT)
        else:
            self._tell(old, "let go")
            old.proxy.heal()

    # ---- judgement ----

    def _judge(self, over: HandOver) -> None:
        if over.refused != len(self._stores):
            self.violations.append(f"the effect that was held back was accepted: {over}")
        if over.kind != "lease" and over.gap <= 0:
            self.violations.append(f"two nodes have believed to lead: {over}")
        if over.seconds > self.lease + 0.1 and not over.late:
            self.violations.append(f"nobody led for longer than lease + 0.1 s: {over}")

    def _late(self, old: _Seat, begin: float, end: float) -> float:
        found = [s for name, at, s in self._lates if name != old.name and begin <= at <= end + 0.1]
        return max(found, default=0.0)

    def _offer(self, name: str, effect: dict[str, Any]) -> int:
        """Offer an effect to the stores, one after the other; return how many refuse it."""
        revision, refused = effect["revision"], 0
        for each in self._stores:
            if not each.offer(effect):
                refused += 1
                continue
            each.accepted[revision] += 1
            if revision < each.highest:
                self.violations.append(
                    f"accepted from {name}: revision {revision} after {each.highest}"
                )
            if each.writers.setdefault(revision, name) != name:
                self.violations.append(f"two writers with revision {revision}")
            each.highest = max(each.highest, revision)
        return refused

    # ---- contenders ----

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._readers.add(task)
        try:
            while line := await reader.readline():
                said = json.loads(line)
                await self._heard(self._seats[said["name"]], said, writer)
        except OSError:
            pass  # it was killed
        finally:
            writer.close()
            self._readers.discard(task)

    async def _heard(self, seat: _Seat, said: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        match said["say"]:
            case "here":
                seat.writer = writer
            case "elected":
                seat.revision = said["revision"]
                self._elections.setdefault(said["revision"], (seat.name, said["at"]))
            case "deposed":
                seat.revision = None
            case "late":
                self._lates.append((seat.name, said["at"], said["seconds"]))
            case "missed":
                seat.has_missed = True
            case "holds":
                seat.holds_at = said["at"]
            case "effect":
                if not said["held"]:
                    seat.last_made = said["at"]
                # In a thread: the proxies of the contenders run in this loop.
                async with self._offering:
                    refused = await asyncio.to_thread(self._offer, seat.name, said["effect"])
                if said["held"]:
                    seat.held, seat.held_refused = seat.held + 1, refused
            case _:
                return
        async with self._changed:
            self._changed.notify_all()

    def _tell(self, seat: _Seat, what: str) -> None:
        assert seat.writer is not None
        seat.writer.write(json.dumps({"do": what}).encode() + b"\n")

    def _leader(self) -> _Seat | None:
        leading = [seat for seat in self._seats.values() if seat.revision is not None]
        return max(leading, key=lambda seat: seat.revision or 0, default=None)

    async def _until(self, condition: Callable[[], object], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            known = ", ".join(map(str, self._seats.values()))
            raise TimeoutError(f"{self.election}: waited {seconds:g} s in vain: {known}") from None


async def hand_overs(
    folder: Path,
    count: int,
    *,
    kinds: Sequence[Kind] = KINDS,
    lease: float = 3.0,
    say: Callable[[HandOver], object] = lambda _: None,
) -> list[HandOver]:
    """Have the leader deposed again and again, with an etcd and three stores of its own.

    Args:
        folder: For the files of etcd and of the stores, which stay there.
        count: How many times for each kind.
        kinds: What is done to the leader; all kinds go on at the same time.
        lease: Seconds after which a leader that is gone is replaced.
        say: Called with each hand-over.

    Raises:
        AssertionError: Something was as it must not be; the message lists it.
        FileNotFoundError: Etcd is not installed.
        TimeoutError: What must follow has not followed.
    """
    # Etcd grants no lease that is shorter than 15 heartbeats.
    [member] = plan(folder / "etcd", heartbeat=0.02)
    process = component(member)
    await asyncio.to_thread(process.start)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_some(folder / kind, member, kind, count, lease, say))
                for kind in kinds
            ]
    finally:
        await asyncio.to_thread(process.stop)
    return [over for task in tasks for over in task.result()]


async def _some(
    folder: Path,
    member: Member,
    kind: Kind,
    count: int,
    lease: float,
    say: Callable[[HandOver], object],
) -> list[HandOver]:
    overs: list[HandOver] = []
    stores = [Store(folder / name / "state.db", name) for name in "xyz"]
    try:
        for store in stores:
            await asyncio.to_thread(store.open)
        offers = [partial(_accepts, store) for store in stores]
        url = member.client_url
        async with Arena(url, offers, lease=lease, names="ab", election=kind) as arena:
            for _ in range(count):
                over = await arena.hand_over(kind)
                overs.append(over)
                say(over)
    finally:
        for store in stores:
            store.close()
    if arena.violations:
        raise AssertionError("; ".join(arena.violations))
    return overs


def _is_settled(seat: _Seat) -> bool:
    return seat.holds_at is not None or seat.has_missed


def _accepts(store: Store, effect: dict[str, Any]) -> bool:
    try:
        store.apply(effect)
    except Fenced:
        return False
    return True
