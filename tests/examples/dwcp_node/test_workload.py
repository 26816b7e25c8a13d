"""Every message that was accepted is looked for, and one that came twice is found."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from examples.dwcp_node import workload
from examples.dwcp_node.control import Control, ControlServer
from examples.dwcp_node.report import Counts
from examples.dwcp_node.workload import Tally, Workload


class Nodes:
    """Two nodes in one process. They hand messages over as ``deliver`` says."""

    def __init__(self, deliver: Callable[[list[str], str], None]) -> None:
        self.got: dict[str, list[str]] = {"a": [], "b": []}
        self._deliver = deliver
        self.controls: dict[str, Control] = {}
        self.enough = asyncio.Event()  # of messages that were accepted
        self.forgotten: dict[str, int] = {}
        self._sent = 0
        self._servers: list[ControlServer] = []

    async def __aenter__(self) -> "Nodes":
        for name in self.got:
            server = ControlServer(
                {
                    "send": self._send,
                    "delivered": self._delivered_at(name),
                    "forget": self._forget_at(name),
                }
            )
            await server.start()
            self._servers.append(server)
            self.controls[name] = Control(server.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        for control in self.controls.values():
            await control.close()
        for server in self._servers:
            await server.close()

    async def _send(self, peer: str, payload: str, key: str) -> None:
        assert payload.startswith(key)
        self._deliver(self.got[peer], key)
        self._sent += 1
        if self._sent > 50:
            self.enough.set()

    def _delivered_at(self, name: str):
        async def delivered(prefix: str) -> list[str]:
            return [each for each in self.got[name] if each.startswith(prefix)]

        return delivered

    def _forget_at(self, name: str):
        async def forget(prefix: str) -> int:
            self.forgotten[name] = len(self.got[name])
            return 0

        return forget


def played(deliver: Callable[[list[str], str], None]) -> tuple[Counts, Tally]:
    async def test() -> tuple[Counts, Tally]:
        async with Nodes(deliver) as nodes:
            load = Workload(nodes.controls, "1-kill", per_second=400.0, patience=0.1)
            load.start()
            async with asyncio.timeout(20):
                await nodes.enough.wait()
            await load.stop()
            counts = await load.counts()
            assert nodes.forgotten.keys() == {"a", "b"}  # what was counted takes no room
            return counts, load.tally

    return asyncio.run(test())


def test_what_is_accepted_and_delivered_once_is_counted_so():
    counts, _ = played(lambda got, key: got.append(key))
    assert counts.accepted >= 40
    assert (counts.delivered, counts.lost, counts.twice) == (counts.accepted, 0, 0)


def test_a_message_that_was_accepted_and_never_came_is_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workload, "_ARRIVES_WITHIN", 0.1)
    counts, _ = played(lambda got, key: got.append(key) if not key.endswith("/3") else None)
    assert (counts.lost, counts.twice) == (2, 0)  # one a direction
    assert counts.delivered == counts.accepted - 2


def test_a_message_that_came_twice_is_found():
    counts, _ = played(lambda got, key: got.extend([key] * (2 if key.endswith(">b/3") else 1)))
    assert (counts.lost, counts.twice) == (0, 1)


def test_a_message_of_which_nobody_knows_is_sent_again_with_the_same_key():
    tries: Counter[str] = Counter()

    def deliver(got: list[str], key: str) -> None:
        tries[key] += 1
        if key.endswith("/2") and tries[key] < 3:
            raise ConnectionResetError("the link has ended")
        got.append(key)

    counts, tally = played(deliver)
    assert (counts.lost, counts.twice) == (0, 0)
    assert tally.again == {"ConnectionResetError": 4}


def test_a_node_that_never_says_what_has_arrived_ends_the_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workload, "_ANSWERS_WITHIN", 0.2)

    async def test() -> None:
        server = ControlServer({})  # each command fails
        await server.start()
        control = Control(server.port)
        with pytest.raises(TimeoutError, match="node a does not say what has arrived"):
            await Workload({"a": control}, "1-kill").counts()
        await control.close()
        await server.close()

    asyncio.run(test())


def test_what_is_not_accepted_when_it_ends_is_given_up_and_not_lost():
    def deliver(got: list[str], key: str) -> None:
        if ">b/" in key:
            raise ConnectionRefusedError("nobody there")
        got.append(key)

    counts, _ = played(deliver)
    assert (counts.given_up, counts.lost) == (1, 0)
    assert counts.delivered == counts.accepted
