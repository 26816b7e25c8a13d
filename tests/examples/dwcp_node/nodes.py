"""Transports of a test, each with an inbox of its own, on real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from examples.dwcp_node.inbox import _Operation
from examples.dwcp_node.settings import Settings
from examples.dwcp_node.transport import Transport

#: Short, so that a test sees a lost connection soon; long enough for a busy machine.
QUICK = Settings(retry_backoff=0.02, most_backoff=0.1, heartbeat=0.2, silence=10)
#: How long a test waits for what must happen.
PATIENCE = 60.0


def node(folder, name, peers=None, settings=QUICK, **others):
    """Return a transport whose inbox lies in a folder; it does not survive a loss of power."""
    inbox = folder / name / "inbox.db"
    return Transport(name, peers or {}, inbox, settings=settings, is_synced=False, **others)


def meet(*transports):
    """Tell started transports where the others are."""
    for one in transports:
        for other in transports:
            if one is not other:
                one.add_peer(other.name, ("127.0.0.1", other.port))


@contextlib.asynccontextmanager
async def nodes(folder, *names, **others) -> AsyncIterator[list[Transport]]:
    """Start transports that know each other, and stop them."""
    transports = [node(folder, name, **others) for name in names]
    async with contextlib.AsyncExitStack() as stack:
        for transport in transports:
            stack.push_async_callback(transport.stop)
            await transport.start()
        meet(*transports)
        yield transports


def alive(scene: Callable[..., object], *arguments: object) -> None:
    """Run a scene in a real event loop; it fails if it takes too long or leaves a task."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            await scene(*arguments)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; the time limit is the scene's."""
    while not condition():  # noqa: ASYNC110 - whatever the test asks about has no event
        await asyncio.sleep(0.005)


def break_inbox(transport):
    """Have the thread of a transport's inbox end, as an error of its own would."""

    def fail(connection):
        raise SystemExit("broken by the test")

    breaking = _Operation(fail)
    breaking.future.add_done_callback(lambda future: future.exception())
    transport.inbox._queue.put(breaking)


async def take(transport, count, kind="message"):
    """Receive and confirm so many messages, and return their payloads."""
    payloads = []
    for _ in range(count):
        message = await transport.receive(kind)
        assert await message.confirm()
        payloads.append(message.payload)
    return payloads
