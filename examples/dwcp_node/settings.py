"""The times and limits of a transport."""

from __future__ import annotations

from dataclasses import dataclass, fields

from holdfast.validation import Problems

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The times, in seconds, and the limits of a transport.

    Args:
        network: The name of the system. Nodes of another one are refused.
        connect_timeout: How long a connection may take to open.
        greeting_timeout: How long the first frame of each side may take.
        retries: After so many failed attempts in a row a peer is unreachable: messages that have
            not left fail.
        retry_backoff: The pause after the first failed attempt; it doubles.
        most_backoff: The longest pause between two attempts.
        heartbeat: The time between two pings.
        silence: A connection on which nothing came for so many heartbeats is lost.
        window: How many messages of a peer may be on their way.
        most_waiting: How many messages may wait for a peer.
        most_waiting_bytes: How many bytes of payload may wait for a peer.
        most_payload: The largest payload, in bytes.
        most_backlog: How many messages may be stored and not delivered before peers have to wait.
            Each peer may go beyond it by its window.
        most_backlog_bytes: The same in bytes of payload.
        most_strangers: How many connections may be open that have not greeted.
        most_unconfirmed: How many messages of a kind may be handed out and not confirmed.
        attempts: How often a handler is called for one message before the message is left for the
            next start.

    Raises:
        ConfigError: A setting is invalid; the message names all of them.
    """

    network: str = "dwcp"
    connect_timeout: float = 30.0
    greeting_timeout: float = 5.0
    retries: int = 3
    retry_backoff: float = 0.1
    most_backoff: float = 2.0
    heartbeat: float = 1.0
    silence: int = 3
    window: int = 64
    most_waiting: int = 1000
    most_waiting_bytes: int = 64 << 20
    most_payload: int = 16 << 20
    most_backlog: int = 10_000
    most_backlog_bytes: int = 256 << 20
    most_strangers: int = 32
    most_unconfirmed: int = 1000
    attempts: int = 5

    def __post_init__(self) -> None:
        problems = Problems(type(self).__name__)
        problems.name(self.network, "network")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "float":
                problems.number(field.name, value, above=0.0, most=3600.0)
            elif field.type == "int":
                problems.integer(field.name, value, least=1, most=2**31)
        problems.done()
