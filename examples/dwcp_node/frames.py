"""Frames: what the bytes between two nodes mean. Pure: no socket, no clock, no thread.

A frame is a header of 26 bytes and a body::

    "DW" | version | kind | codec | 0 | length | number | checksum of body | checksum of header
      2       1        1      1     1     4        8             4                   4

The header has a checksum of its own, so that a corrupted length is noticed at once: nobody waits
for 4 GB that will never come. The checksums (CRC-32) find accidents. They prove nothing about who
sent a frame.

Elsewhere: what follows from a frame (``link`` for who sends, ``arrivals`` for who receives), and
what the codecs do (``compression``).
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HEADER_BYTES",
    "LONGEST_HELLO",
    "Decoder",
    "Envelope",
    "Frame",
    "FrameError",
    "Kind",
    "decode_envelope",
    "decode_fields",
    "encode",
    "encode_envelope",
    "encode_fields",
]

MAGIC = b"DW"
VERSION = 1
_HEAD = struct.Struct(">2sBBBxIQI")
_SUM = struct.Struct(">I")
HEADER_BYTES = _HEAD.size + _SUM.size

#: The longest body of the first frame of a connection, from whoever it may be.
LONGEST_HELLO = 1024
#: The longest name of a kind of message, and the longest key, in bytes.
LONGEST_KIND = 64
LONGEST_KEY = 255


class FrameError(ConnectionError):
    """Bytes that are no frame, or a frame that must not come now. The connection is of no more use.

    Attributes:
        reason: The reason in one word, for counts: "magic", "version", "kind", "length",
            "checksum", "envelope", "fields", "order" …
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Kind(IntEnum):
    """What a frame is for."""

    HELLO = 1
    """Who speaks. The first frame in each direction."""
    DATA = 2
    """A message. The frame's number is the message's number."""
    ACK = 3
    """All messages up to the frame's number are stored."""
    PING = 4
    """A question, to be answered by a PONG with the same number."""
    PONG = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Args:
        kind: What it is for.
        number: The number of a message, of an acknowledgement or of a question.
        body: Its content.
        codec: How the payload of a message is compressed; 0: it is not.
    """

    kind: Kind
    number: int = 0
    body: bytes = b""
    codec: int = 0


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    head = _HEAD.pack(
        MAGIC,
        VERSION,
        frame.kind,
        frame.codec,
        len(frame.body),
        frame.number,
        zlib.crc32(frame.body),
    )
    return b"".join((head, _SUM.pack(zlib.crc32(head)), frame.body))


class Decoder:
    """Makes frames of the bytes of one connection, however they are cut.

    Args:
        longest: The longest body to accept, in bytes. It may be changed between two frames.

    It keeps at most one incomplete frame. After a ``FrameError`` it is of no more use. For one
    connection, in one thread.

    >>> decoder = Decoder(100)
    >>> decoder.feed(encode(Frame(Kind.PING, 7))[:5])
    []
    >>> decoder.feed(encode(Frame(Kind.PING, 7))[5:])
    [Frame(kind=<Kind.PING: 4>, number=7, body=b'', codec=0)]
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._bytes = bytearray()
        self._head: tuple[Kind, int, int, int, int] | None = None

    @property
    def is_between_frames(self) -> bool:
        """Whether the last frame was complete, with nothing after it."""
        return not self._bytes and self._head is None

    def feed(self, data: bytes, most: int | None = None) -> list[Frame]:
        """Take bytes and return the frames that they complete.

        Args:
            data: What came.
            most: Return at most so many; the others come with the next call.

        Raises:
            FrameError: The bytes are no frame of this version, or its body is too long.
        """
        self._bytes += data
        frames: list[Frame] = []
        at = 0
        try:
            while most is None or len(frames) < most:
                if self._head is None:
                    if len(self._bytes) - at < HEADER_BYTES:
                        break
                    self._head = self._header(bytes(self._bytes[at : at + HEADER_BYTES]))
                    at += HEADER_BYTES
                kind, codec, length, number, checksum = self._head
                if len(self._bytes) - at < length:
                    break
                with memoryview(self._bytes) as view:
                    body = bytes(view[at : at + length])
                at += length
                self._head = None
                if zlib.crc32(body) != checksum:
                    raise FrameError("checksum", f"the body of a {kind.name} frame is corrupt")
                frames.append(Frame(kind, number, body, codec))
        except FrameError:
            at = len(self._bytes)  # what follows is of no use
            raise
        finally:
            del self._bytes[:at]
        return frames

    def _header(self, header: bytes) -> tuple[Kind, int, int, int, int]:
        head = header[: _HEAD.size]
        magic, version, kind, codec, length, number, checksum = _HEAD.unpack(head)
        if magic != MAGIC:
            raise FrameError("magic", "these bytes are no frame")
        if _SUM.unpack(header[_HEAD.size :]) != (zlib.crc32(head),):
            raise FrameError("checksum", "the header of a frame is corrupt")
        if version != VERSION:
            raise FrameError("version", f"frames of version {version}; this node speaks {VERSION}")
        if length > self.longest:
            raise FrameError("length", f"a body of {length} bytes; at most {self.longest} here")
        try:
            return Kind(kind), codec, length, number, checksum
        except ValueError:
            raise FrameError("kind", f"a frame of kind {kind}, which there is not") from None


# HELLO: a small JSON object.


def encode_fields(fields: Mapping[str, object]) -> bytes:
    """Return the body of a HELLO frame."""
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_fields(body: bytes, **expected: type) -> dict[str, Any]:
    """Return the fields of a HELLO frame.

    Args:
        body: The body of the frame.
        expected: The type of each field that there must be.

    Raises:
        FrameError: It is no JSON object, or a field is missing or of another type.
    """
    try:
        read: object = json.loads(body)
    except (ValueError, RecursionError):
        raise FrameError("fields", "a HELLO that is no JSON") from None
    if not isinstance(read, dict):
        raise FrameError("fields", "a HELLO that is no JSON object")
    fields = cast("dict[str, Any]", read)
    for name, kind in expected.items():
        value = fields.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FrameError("fields", f"a HELLO whose {name!r} is missing or of the wrong type")
    return fields


# DATA: how long the payload is, the kind of message, its key, and the payload, perhaps compressed.

_ENVELOPE = struct.Struct(">IBB")


@dataclass(frozen=True, slots=True)
class Envelope:
    """The body of a DATA frame.

    Args:
        kind: The kind of message, 1 to 64 bytes in UTF-8.
        key: What makes a repeated message the same message, at most 255 bytes; None: nothing.
        size: The length of the payload once it is decompressed, in bytes.
        content: The payload as it travels.
    """

    kind: str
    key: str | None
    size: int
    content: bytes


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the body of a DATA frame."""
    kind = envelope.kind.encode()
    key = (envelope.key or "").encode()
    start = _ENVELOPE.pack(envelope.size, len(kind), len(key))
    return b"".join((start, kind, key, envelope.content))


def decode_envelope(body: bytes) -> Envelope:
    """Return what is in the body of a DATA frame.

    Raises:
        FrameError: The body is too short, or a name is no UTF-8.
    """
    try:
        size, kind, key = _ENVELOPE.unpack_from(body)
    except struct.error:
        raise FrameError("envelope", "a message without an envelope") from None
    names = _ENVELOPE.size
    content = names + kind + key
    if not 1 <= kind <= LONGEST_KIND or len(body) < content:
        raise FrameError("envelope", "a message with a damaged envelope")
    try:
        return Envelope(
            str(body[names : names + kind], "utf-8"),
            str(body[names + kind : content], "utf-8") or None,
            size,
            body[content:],
        )
    except UnicodeDecodeError:
        raise FrameError("envelope", "a message whose names are no UTF-8") from None
