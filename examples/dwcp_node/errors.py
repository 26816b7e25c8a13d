"""What can become of a message that was not accepted."""

from __future__ import annotations

__all__ = [
    "LinkFullError",
    "NotSentError",
    "RefusedError",
    "TransportStoppedError",
    "UnknownOutcomeError",
    "UnknownPeerError",
]


class UnknownPeerError(LookupError):
    """No peer of this name is configured."""


class NotSentError(ConnectionError):
    """The message has not left this node. It will not be delivered; send it again if you wish."""


class LinkFullError(NotSentError):
    """Too many messages wait for this peer already."""


class TransportStoppedError(NotSentError):
    """The transport does not run."""


class UnknownOutcomeError(ConnectionError):
    """The message has left, and no acknowledgement came. It may be delivered, once, or not.

    Send it again with the same key: it is delivered once at most.
    """


class RefusedError(ConnectionError):
    """The peer does not talk with this node.

    Attributes:
        reason: Why, in one word.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
