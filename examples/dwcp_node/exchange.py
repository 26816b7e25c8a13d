"""Exchange: questions to peers and their answers, over a transport that carries one-way messages.

Each question has a number, and an answer names it. Numbers of an earlier start are unknown to a
later one, so an old answer is never taken for a new one. Elsewhere: what is asked (``compare``,
``sync``), and what is answered (``answers``).
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Body = dict[str, Any]

__all__ = ["AnswerError", "Exchange", "Message", "Transport"]

log = logging.getLogger("dwcp_node.sync")

_KIND = "sync"
_MOST_BYTES = 4 * 1024 * 1024
_MOST_AT_ONCE = 64  # questions that are being answered; those beyond are dropped


class Message(Protocol):
    """A message that the transport delivers."""

    @property
    def sender(self) -> str:
        """The name of the peer."""
        ...

    @property
    def payload(self) -> bytes:
        """What it has sent."""
        ...


class Transport(Protocol):
    """What is needed of a transport."""

    async def send(self, peer: str, payload: bytes, *, kind: str = ...) -> object:
        """Send a message; return when the peer has stored it."""
        ...

    def handle(self, kind: str, handler: Callable[[Any], Awaitable[object]], /) -> object:
        """Have a function called with each message of a kind."""
        ...


class AnswerError(RuntimeError):
    """A peer has answered that it cannot answer, or with something else."""


class Exchange:
    """Asks peers, and answers them.

    Args:
        transport: Returns the present transport: it is another one after a recovery.
        answer: Returns what to answer to a question; a ``ValueError`` or ``RuntimeError`` it
            raises is answered as an error.
        within: How many seconds a question may take, until its answer is here.

    Used in one event loop.
    """

    def __init__(
        self,
        transport: Callable[[], Transport],
        answer: Callable[[str, Body], Awaitable[Body]],
        within: float,
    ) -> None:
        self._transport = transport
        self._answer = answer
        self._within = within
        self._life = ""
        self._number = 0
        self._waiting: dict[str, tuple[str, asyncio.Future[Body]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listens_on: Transport | None = None
        #: What was dropped, by reason.
        self.dropped: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to answer."""
        self._life = secrets.token_hex(6)
        self.listen()

    async def stop(self) -> None:
        """End all answers; questions that wait are cancelled."""
        self._life = ""
        self._listens_on = None
        for _, future in self._waiting.values():
            future.cancel()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def listen(self) -> None:
        """Have the present transport deliver to here, if it is another one than before."""
        transport = self._transport()
        if transport is not self._listens_on:
            transport.handle(_KIND, self._receive)
            self._listens_on = transport

    async def ask(self, peer: str, question: Body, sent: Callable[[], object] = int) -> Body:
        """Return a peer's answer.

        Args:
            peer: The name of the peer.
            question: What is asked, as JSON; "is" says what.
            sent: Called when the peer has stored the question.

        Raises:
            TimeoutError: There was no answer in time.
            OSError: The transport could not send it.
            AnswerError: The peer has answered with an error.
        """
        self._number += 1
        number = f"{self._life}-{self._number}"
        future: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (peer, future)
        try:
            async with asyncio.timeout(self._within):
                await self._send(peer, {**question, "question": number})
                sent()
                answer = await future
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise AnswerError(f"{peer}: {str(answer['error'])[:200]}")
        return answer

    async def _send(self, peer: str, body: Body) -> None:
        payload = json.dumps(body, separators=(",", ":")).encode()
        await self._transport().send(peer, payload, kind=_KIND)

    async def _receive(self, message: Message) -> None:
        """Take a message. It never raises: the transport would deliver the same one again."""
        if not self._life:
            self.dropped["stopped"] += 1
            return
        body = _read(message.payload)
        if body is None:
            self.dropped["unreadable"] += 1
            log.warning("%s has sent a message that cannot be read", message.sender)
        elif "question" in body:
            if len(self._tasks) >= _MOST_AT_ONCE:
                self.dropped["too many"] += 1
                return
            task = asyncio.create_task(self._reply(message.sender, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            peer, future = self._waiting.get(str(body.get("answers")), ("", None))
            if future is None or peer != message.sender:
                self.dropped["late"] += 1
            elif not future.done():
                future.set_result(body)

    async def _reply(self, peer: str, question: Body) -> None:
        try:
            answer = await self._answer(peer, question)
        except (ValueError, RuntimeError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        try:
            async with asyncio.timeout(self._within):
                await self._send(peer, {**answer, "answers": question["question"]})
        except (OSError, LookupError) as error:  # it will ask again
            self.dropped["not sent"] += 1
            log.debug("the answer to %s was not sent: %s", peer, error)


def _read(payload: bytes) -> Body | None:
    if len(payload) > _MOST_BYTES:
        return None
    try:
        body: object = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return cast("Body", body) if isinstance(body, dict) else None
