"""Compression: what comes out is what went in, and nothing explodes."""

import asyncio
import os
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.dwcp_node.compression import (
    Codec,
    Compression,
    CompressionError,
    decompress,
    known_codecs,
)
from holdfast import ConfigError


@pytest.fixture
def running():
    compression = Compression()
    asyncio.run(compression.start())
    return compression


@settings(max_examples=40)
@given(st.binary(max_size=2000), st.sampled_from(known_codecs()))
def test_payloads_come_out_as_they_went_in(payload, codec):
    compression = Compression(codec=codec, smallest=0)
    asyncio.run(compression.start())
    used, content = compression.compress(payload * 3)
    assert len(content) <= len(payload * 3)
    assert decompress(used, content, len(payload * 3)) == payload * 3


@pytest.mark.parametrize("codec", known_codecs())
def test_a_bomb_is_refused_after_what_its_envelope_declares(codec):
    compression = Compression(codec=codec)
    asyncio.run(compression.start())
    _, bomb = compression.compress(bytes(50 << 20))
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    with pytest.raises(CompressionError, match="not the 1000 bytes that its envelope declares"):
        decompress(codec, bomb, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 << 20


@pytest.mark.parametrize("codec", known_codecs())
@settings(max_examples=40)
@given(junk=st.binary(max_size=100))
def test_damaged_content_is_an_error_of_one_kind(codec, junk):
    with pytest.raises(CompressionError):
        decompress(codec, junk, 1000)


@pytest.mark.parametrize("codec", known_codecs())
def test_content_of_another_size_or_with_something_behind_is_refused(codec):
    compression = Compression(codec=codec, smallest=0)
    asyncio.run(compression.start())
    _, content = compression.compress(b"x" * 1000)
    assert decompress(codec, content, 1000) == b"x" * 1000
    for content_, size in ((content, 999), (content, 1001), (content + b"?", 1000)):
        with pytest.raises(CompressionError):
            decompress(codec, content_, size)
    with pytest.raises(CompressionError):
        decompress(codec, content[:-1], 1000)
    with pytest.raises(CompressionError, match="codec 77 is not known here"):
        decompress(77, content, 1000)


def test_a_payload_that_does_not_shrink_travels_as_it_is(running):
    for payload in (b"short", os.urandom(1000), os.urandom(1 << 20)):
        assert running.compress(payload) == (Codec.NONE, payload)
        assert asyncio.run(running.acompress(payload)) == (Codec.NONE, payload)


def test_a_codec_that_the_receiver_does_not_know_is_not_used(running):
    payload = bytes(1000)
    assert running.compress(payload, [])[0] is Codec.NONE
    codec, content = running.compress(payload, [Codec.ZLIB])
    assert codec is Codec.ZLIB
    assert zlib.decompress(content) == payload
    assert running.compress(payload)[0] is known_codecs()[0]


def test_its_check_tells_whether_it_works(running, monkeypatch):
    assert running.check().verdict == "passed"
    with monkeypatch.context() as patch:
        sample = []
        honest = decompress
        patch.setattr(
            "examples.dwcp_node.compression.decompress",
            lambda codec, content, size: (sample.append(honest(codec, content, 4096)), sample[-1])[
                1
            ],
        )
        assert "lets a bomb pass" in running.check().message
    asyncio.run(running.stop())
    assert running.check().verdict == "failed"
    assert running.compress(bytes(1000)) == (Codec.NONE, bytes(1000))


def test_a_codec_that_has_broken_fails_the_check_and_a_restart_mends_it(running):
    for codec, coder in running.coders.items():
        running.coders[codec] = lambda *it, coder=coder: coder(*it)[:-1]
    assert "does not give back what it took" in running.check().message
    asyncio.run(running.stop())
    asyncio.run(running.start())
    assert running.check().verdict == "passed"
    payload = b"holdfast " * 1000
    assert decompress(*running.compress(payload), len(payload)) == payload


def test_wrong_settings_are_all_named():
    with pytest.raises(ConfigError, match=r"codec: got.*level: got 10.*smallest: got -1"):
        Compression(codec=9, level=10, smallest=-1)
