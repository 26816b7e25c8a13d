"""kill -9 of the sender, of the receiver, and of both: what was accepted is delivered once."""

import asyncio
import contextlib
import multiprocessing
import os
import random
import select
import signal
import sqlite3
import time

import pytest

from examples.dwcp_node.errors import NotSentError, UnknownOutcomeError
from tests.examples.dwcp_node.nodes import PATIENCE, node
from tests.ports import held_port

CONTEXT = multiprocessing.get_context("fork")
#: Most messages between two kills.
MOST_BETWEEN = 200
CREATE = "CREATE TABLE IF NOT EXISTS delivered (payload TEXT)"
INSERT = "INSERT INTO delivered VALUES (?)"


def run(scene):
    """What a child does until it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(scene)


def receiver(folder, port, by_handler):
    """Write each payload into the inbox's file, as the effect of its confirmation."""

    async def scene():
        transport = node(folder, "b", {"a": ("127.0.0.1", 9)}, port=port)

        def effect(message):
            return lambda its: its.execute(INSERT, (message.payload.decode(),))

        async def handler(message):
            return effect(message)

        if by_handler:
            transport.handle("message", handler)
        await transport.start()
        await transport.inbox.run(lambda its: its.execute(CREATE) and None)
        while not by_handler:
            message = await transport.receive()
            await message.confirm(effect(message))
        await asyncio.Event().wait()

    run(scene())


def sender(folder, port, pipe, first, last, life):
    """Send numbers, many at a time, and tell through the pipe which were accepted.

    With a life, each start sends other messages; without, a restart repeats messages by their key.
    """

    async def scene():
        transport = node(folder, "a", {"b": ("127.0.0.1", port)})
        await transport.start()
        gate = asyncio.Semaphore(20)

        async def send(number):
            async with gate:
                payload = f"{number}" if life is None else f"{number} of life {life}"
                key = f"{number}" if life is None else None
                while True:
                    try:
                        await transport.send("b", payload.encode(), key=key)
                        break
                    except NotSentError:
                        await asyncio.sleep(0.01)
                    except UnknownOutcomeError:
                        if key is None:
                            return
                os.write(pipe, f"{number}:{payload}\n".encode())

        await asyncio.gather(*(send(number) for number in range(first, last)))
        os.write(pipe, b"done\n")
        await asyncio.Event().wait()

    run(scene())


class Child:
    """A process that is killed and started again."""

    def __init__(self, target, *arguments):
        self.process = CONTEXT.Process(target=target, args=arguments, daemon=True)
        self.process.start()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.process.close()


class Reader:
    """Reads what the senders say."""

    def __init__(self):
        self.source, self.pipe = os.pipe()
        self.accepted = {}
        self.done = False
        self._rest = b""

    def read(self, more=None):
        """Read until so many more were accepted, or until all are; 0: what is there."""
        wanted = None if more is None else len(self.accepted) + more
        end = time.monotonic() + (PATIENCE if more != 0 else 0)
        while not self.done and (wanted is None or more == 0 or len(self.accepted) < wanted):
            left = max(0, end - time.monotonic())
            if not select.select([self.source], [], [], left)[0]:
                assert more == 0, "the sender is stuck"
                return
            *lines, self._rest = (self._rest + os.read(self.source, 65536)).split(b"\n")
            for line in lines:
                if line == b"done":
                    self.done = True
                else:
                    number, _, payload = line.decode().partition(":")
                    self.accepted[int(number)] = payload

    def close(self):
        os.close(self.source)
        os.close(self.pipe)


def delivered(folder):
    """Return what the receiver has written. Its process is dead."""
    with contextlib.closing(sqlite3.connect(folder / "b" / "inbox.db")) as its:
        waiting = its.execute("SELECT count(*) FROM messages").fetchone()[0]
        return waiting, [payload for (payload,) in its.execute("SELECT payload FROM delivered")]


@pytest.fixture
def port():
    with held_port() as port:
        yield port


def scene(folder, port, seed, kills, count, keyed, by_handler):
    """Kill either side at random moments; return what was accepted and what was delivered."""
    chance = random.Random(seed)
    reader = Reader()
    life = 0
    sides = {
        "b": Child(receiver, folder, port, by_handler),
        "a": Child(sender, folder, port, reader.pipe, 0, count, None if keyed else life),
    }
    try:
        for _ in range(kills):
            reader.read(chance.randrange(1, MOST_BETWEEN))
            for side in chance.choice([["a"], ["b"], ["a", "b"]]):
                sides[side].kill()
                if side == "b":
                    sides["b"] = Child(receiver, folder, port, by_handler)
                    continue
                life += 1
                reader.read(0)
                reader.done = False
                first = 0 if keyed else max(reader.accepted, default=-1) + 1
                sides["a"] = Child(
                    sender, folder, port, reader.pipe, first, count, None if keyed else life
                )
        reader.read()
        end = time.monotonic() + PATIENCE
        while True:
            sides["b"].kill()
            waiting, payloads = delivered(folder)
            if not waiting:
                return reader.accepted, payloads
            assert time.monotonic() < end
            sides["b"] = Child(receiver, folder, port, by_handler)
            time.sleep(0.3)
    finally:
        sides["a"].kill()
        with contextlib.suppress(ValueError):
            sides["b"].kill()
        reader.close()


def check(accepted, payloads, count, keyed):
    assert len(payloads) == len(set(payloads))
    assert set(accepted.values()) <= set(payloads)
    if keyed:
        assert sorted(payloads, key=int) == [str(number) for number in range(count)]
        assert len(accepted) == count


@pytest.mark.parametrize(
    ("keyed", "by_handler"),
    [
        pytest.param(True, True, id="repeated by key-handler"),
        pytest.param(False, False, id="not repeated-receive"),
        pytest.param(True, False, id="repeated by key-receive", marks=pytest.mark.slow),
        pytest.param(False, True, id="not repeated-handler", marks=pytest.mark.slow),
    ],
)
def test_what_was_accepted_is_delivered_once_whoever_is_killed(tmp_path, port, keyed, by_handler):
    accepted, payloads = scene(tmp_path, port, 1, 6, 6 * MOST_BETWEEN, keyed, by_handler)
    check(accepted, payloads, 6 * MOST_BETWEEN, keyed)
    if not keyed:
        assert len({payload.split()[-1] for payload in accepted.values()}) > 2  # lives


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_sixty_kills_lose_and_double_nothing(tmp_path, port, seed):
    keyed = seed % 2 == 0
    accepted, payloads = scene(tmp_path, port, seed, 60, 60 * MOST_BETWEEN, keyed, seed % 4 < 2)
    check(accepted, payloads, 60 * MOST_BETWEEN, keyed)
