"""Messages between all nodes while harm is done, and what became of each of them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from examples.dwcp_node.control import Control, ControlError
from examples.dwcp_node.report import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SIZES = (20, 200, 2_000)  # of payloads, in characters
_ARRIVES_WITHIN = 20.0
_ANSWERS_WITHIN = 30.0


@dataclass
class Tally:
    """What the senders of one scenario know, by receiver."""

    accepted: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    given_up: int = 0
    again: Counter[str] = field(default_factory=Counter[str])

    def accept(self, receiver: str, message: str) -> None:
        """The transport has said that the receiver has it."""
        self.accepted.setdefault(receiver, set()).add(message)

    def missing(self, delivered: Mapping[str, Mapping[str, int]]) -> int:
        """Return how many of those accepted are not delivered yet."""
        return sum(
            len(messages - delivered.get(receiver, {}).keys())
            for receiver, messages in self.accepted.items()
        )

    def counts(self, delivered: Mapping[str, Mapping[str, int]]) -> Counts:
        """Compare with what the receivers got: how often each message, by receiver."""
        accepted = sum(map(len, self.accepted.values()))
        lost = self.missing(delivered)
        twice = sum(times > 1 for got in delivered.values() for times in got.values())
        return Counts(accepted, accepted - lost, lost, twice, self.given_up)


class Workload:
    """Has every node send to every other, so many messages a second in all, until it is stopped.

    Args:
        controls: The control connection of each node, by its name.
        label: Part of each message, so that one scenario's messages are told from another's.
        per_second: Messages a second, of all nodes together.
        patience: For how many seconds after its end a message that failed is sent again.
    """

    def __init__(
        self,
        controls: Mapping[str, Control],
        label: str,
        *,
        per_second: float = 60.0,
        patience: float = 10.0,
    ) -> None:
        self._controls = controls
        self._label = label
        self._pairs = list(itertools.permutations(controls, 2))
        self._pause = len(self._pairs) / per_second
        self._tasks: list[asyncio.Task[None]] = []
        self._patience = patience
        self._patient_until = 0.0
        self._ends = asyncio.Event()
        self.tally = Tally()

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [asyncio.create_task(self._send_on(*pair)) for pair in self._pairs]

    async def stop(self) -> None:
        """Send no more; returns when each message is accepted or has failed."""
        self._patient_until = time.monotonic() + self._patience
        self._ends.set()
        await asyncio.gather(*self._tasks)

    async def counts(self) -> Counts:
        """Return what became of the messages, once those accepted have had time to arrive.

        Raises:
            TimeoutError: A node does not say what has arrived.
        """
        delivered: dict[str, Counter[str]] = {}
        clock = asyncio.get_running_loop()
        until = clock.time() + _ARRIVES_WITHIN
        while True:
            for name, control in self._controls.items():
                try:
                    async with asyncio.timeout(_ANSWERS_WITHIN):
                        delivered[name] = Counter(await _delivered(control, self._label))
                except TimeoutError:
                    raise TimeoutError(f"node {name} does not say what has arrived") from None
            if not self.tally.missing(delivered) or clock.time() > until:
                break
            await asyncio.sleep(0.1)
        for control in self._controls.values():
            with suppress(ControlError, OSError):  # what stays only takes room
                await control.ask("forget", prefix=self._label + "/")
        return self.tally.counts(delivered)

    async def _send_on(self, sender: str, receiver: str) -> None:
        sizes = itertools.cycle(_SIZES)
        for number in itertools.count():
            message = f"{self._label}/{sender}>{receiver}/{number}"
            payload = message.ljust(next(sizes), ".")
            # Whoever does not know whether it was accepted sends it again, with the same key.
            while not await self._send(sender, receiver, message, payload):
                if await self._pause_is_the_end() and time.monotonic() > self._patient_until:
                    self.tally.given_up += 1
                    return
            if await self._pause_is_the_end():
                return

    async def _send(self, sender: str, receiver: str, key: str, payload: str) -> bool:
        try:
            await self._controls[sender].ask(
                "send", peer=receiver, payload=payload, key=key, within=15.0
            )
        except ControlError as error:
            self.tally.again[error.kind] += 1
        except OSError as error:
            self.tally.again[type(error).__name__] += 1
        else:
            self.tally.accept(receiver, key)
            return True
        return False

    async def _pause_is_the_end(self) -> bool:
        if self._ends.is_set():
            await asyncio.sleep(0.05)
            return True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ends.wait(), self._pause)
        return self._ends.is_set()


async def _delivered(control: Control, label: str) -> Iterable[str]:
    """Ask until the node answers: it, or its transport, may be on its way back."""
    while True:
        try:
            texts: list[str] = await control.ask("delivered", prefix=label + "/", within=5.0)
        except (ControlError, OSError):
            await asyncio.sleep(0.1)
        else:
            return (text.rstrip(".") for text in texts)
