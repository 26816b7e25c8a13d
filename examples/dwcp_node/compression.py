"""Compression: smaller payloads, by zstd where Python has it, else by zlib.

Nothing is decompressed beyond the size that its envelope declares: a few kilobytes that would
become gigabytes (a bomb) are refused after at most that many bytes.

Elsewhere: what a payload is, and who refuses declared sizes that are too large (``arrivals``).
"""

from __future__ import annotations

import asyncio
import importlib
import os
import zlib
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from holdfast.health import CheckResult
from holdfast.supervision.component import Component
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    Coder = Callable[[bytes, int], bytes]  # compresses a payload at a level

__all__ = ["Codec", "Compression", "CompressionError", "decompress", "known_codecs"]

#: Payloads above this size are worked on in another thread, so that the event loop does not wait.
IN_THREAD_BYTES = 64 * 1024
#: So much from the middle of a large payload shows whether compressing is worth the time.
SAMPLE_BYTES = 8 * 1024
#: A zstd frame that asks for a window above 32 MiB is refused; ours ask for 8 MiB at most.
_MOST_WINDOW_LOG = 25


class Codec(IntEnum):
    """How a payload is compressed: a number in the header of its frame."""

    NONE = 0
    ZLIB = 1
    ZSTD = 2


class CompressionError(ValueError):
    """A payload that cannot be decompressed: damaged, of another size, or of no known codec."""


def _find_zstd() -> ModuleType | None:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_zstd = _find_zstd()


def known_codecs() -> tuple[Codec, ...]:
    """Return the codecs of this Python, the best one first."""
    return (Codec.ZLIB,) if _zstd is None else (Codec.ZSTD, Codec.ZLIB)


def decompress(codec: int, content: bytes, size: int) -> bytes:
    """Return a payload.

    Args:
        codec: How it is compressed.
        content: The compressed payload.
        size: Its size when it is decompressed, in bytes. Never more is decompressed.

    Raises:
        CompressionError: The content is damaged, not of this size, or the codec is not known here.
    """
    if codec == Codec.NONE:
        payload, is_whole = content, True
    elif codec == Codec.ZLIB:
        inflating = zlib.decompressobj()
        try:
            payload = inflating.decompress(content, size + 1)
        except zlib.error as error:
            raise CompressionError(f"damaged zlib content: {error}") from None
        is_whole = inflating.eof and not inflating.unused_data
    elif codec == Codec.ZSTD and _zstd is not None:
        window = {_zstd.DecompressionParameter.window_log_max: _MOST_WINDOW_LOG}
        decompressor = _zstd.ZstdDecompressor(options=window)
        try:
            payload = decompressor.decompress(content, size + 1)
        except (_zstd.ZstdError, EOFError) as error:
            raise CompressionError(f"damaged zstd content: {error}") from None
        is_whole = decompressor.eof and not decompressor.unused_data
    else:
        raise CompressionError(f"codec {codec} is not known here")
    if len(payload) != size or not is_whole:
        raise CompressionError(f"the content is not the {size} bytes that its envelope declares")
    return payload


class Compression(Component):
    """Compresses payloads while it runs; while it does not, they travel as they are.

    Args:
        name: For messages and metrics.
        codec: The codec to prefer; None: the best of this Python.
        level: How hard to try, 1 to 9.
        smallest: Payloads below this size, in bytes, are not compressed.

    Raises:
        ConfigError: An argument is invalid; the message names all of them.

    Safe to share between threads and event loops.
    """

    def __init__(
        self,
        name: str = "compression",
        *,
        codec: Codec | None = None,
        level: int = 3,
        smallest: int = 256,
    ) -> None:
        super().__init__(name)
        problems = Problems(type(self).__name__, name)
        if codec is not None and codec not in known_codecs():
            allowed = ", ".join(one.name for one in known_codecs())
            problems.refuse("codec", codec, f"one that this Python has ({allowed}), or None")
        problems.integer("level", level, least=1, most=9)
        problems.integer("smallest", smallest, least=0, most=2**31)
        problems.done()
        self.codec = codec or known_codecs()[0]
        self.level = level
        self.smallest = smallest
        self._runs = False
        #: What compresses, by codec: made anew by each start.
        self.coders: dict[Codec, Coder] = {}

    async def start(self) -> None:
        """Compress from now on, with what each codec needs made anew."""
        if not self._runs:
            self.coders = {codec: partial(_compress, codec) for codec in known_codecs()}
            self._runs = True

    async def stop(self) -> None:
        """Leave payloads as they are from now on."""
        self._runs = False

    @property
    def running(self) -> bool:
        """Whether it compresses."""
        return self._runs

    def check(self) -> CheckResult:
        """Compress and decompress a sample with each codec, and see that a bomb is refused."""
        if not self._runs:
            return CheckResult.failed("compression is stopped")
        sample = os.urandom(64) * 64
        for codec in known_codecs():
            content = self.coders[codec](sample, self.level)
            try:
                is_back = decompress(codec, content, len(sample)) == sample
            except CompressionError:
                is_back = False
            if not is_back:
                return CheckResult.failed(f"{codec.name} does not give back what it took")
            try:
                decompress(codec, content, len(sample) // 2)
            except CompressionError:
                continue
            return CheckResult.failed(f"{codec.name} lets a bomb pass")
        return CheckResult.passed(codec=self.codec.name)

    def compress(
        self, payload: bytes, accepted: Iterable[int] | None = None
    ) -> tuple[Codec, bytes]:
        """Return the codec and the content for a payload: the payload itself if that is shorter.

        Args:
            payload: What to compress.
            accepted: The codecs that the receiver knows; None: all.
        """
        codec = self._choose(payload, accepted)
        return self._squeeze(codec, payload)

    async def acompress(
        self, payload: bytes, accepted: Iterable[int] | None = None
    ) -> tuple[Codec, bytes]:
        """As ``compress``; a large payload is compressed in another thread."""
        codec = self._choose(payload, accepted)
        if codec is Codec.NONE or len(payload) < IN_THREAD_BYTES:
            return self._squeeze(codec, payload)
        return await asyncio.to_thread(self._squeeze, codec, payload)

    def _choose(self, payload: bytes, accepted: Iterable[int] | None) -> Codec:
        if not self._runs or len(payload) < self.smallest:
            return Codec.NONE
        wanted = (self.codec, *known_codecs())
        if accepted is None:
            return wanted[0]
        known = set(accepted)
        return next((codec for codec in wanted if codec in known), Codec.NONE)

    def _squeeze(self, codec: Codec, payload: bytes) -> tuple[Codec, bytes]:
        if codec is Codec.NONE:
            return codec, payload
        if len(payload) > IN_THREAD_BYTES:
            middle = len(payload) // 2
            sample = payload[middle : middle + SAMPLE_BYTES]
            if len(self.coders[codec](sample, 1)) > SAMPLE_BYTES * 0.95:
                return Codec.NONE, payload
        content = self.coders[codec](payload, self.level)
        return (codec, content) if len(content) < len(payload) else (Codec.NONE, payload)


def _compress(codec: Codec, payload: bytes, level: int) -> bytes:
    if codec is Codec.ZLIB:
        return zlib.compress(payload, level)
    if _zstd is None:
        raise CompressionError(f"codec {codec.name} is not known here")
    content: bytes = _zstd.compress(payload, level)
    return content
