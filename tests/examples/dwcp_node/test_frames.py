"""Frames: whatever is sent arrives as it was, and nothing else passes for a frame."""

import contextlib
import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from examples.dwcp_node.frames import (
    HEADER_BYTES,
    Decoder,
    Envelope,
    Frame,
    FrameError,
    Kind,
    decode_envelope,
    decode_fields,
    encode,
    encode_envelope,
    encode_fields,
)

FRAMES = st.builds(
    Frame,
    st.sampled_from(Kind),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=50),
    st.integers(0, 255),
)


@settings(max_examples=50)
@given(st.lists(FRAMES, max_size=5), st.data())
def test_frames_come_out_as_they_went_in_however_the_bytes_are_cut(frames, data):
    stream = b"".join(map(encode, frames))
    decoder = Decoder(50)
    found = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert found == frames
    assert decoder.is_between_frames


@settings(max_examples=50)
@given(FRAMES, st.data())
def test_no_flipped_bit_goes_unnoticed(frame, data):
    stream = bytearray(encode(frame))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    decoder = Decoder(50)
    with pytest.raises(FrameError):
        decoder.feed(bytes(stream))


@settings(max_examples=50)
@given(st.binary(max_size=200))
@example(bytes(200))
def test_random_bytes_are_no_frames_and_take_no_memory(junk):
    decoder = Decoder(100)
    with contextlib.suppress(FrameError):
        assert decoder.feed(junk) == []
    assert len(decoder._bytes) <= max(0, HEADER_BYTES - 1)


def test_a_frame_that_is_too_long_is_refused_by_its_header_alone():
    frame = encode(Frame(Kind.DATA, 1, bytes(101)))
    with pytest.raises(FrameError, match="a body of 101 bytes; at most 100 here") as caught:
        Decoder(100).feed(frame[:HEADER_BYTES])
    assert caught.value.reason == "length"


@pytest.mark.parametrize(("place", "reason"), [(2, "version"), (3, "kind")])
def test_frames_of_another_version_or_kind_are_refused(place, reason):
    frame = bytearray(encode(Frame(Kind.PING)))
    frame[place] = 99
    frame[22:26] = struct.pack(">I", zlib.crc32(frame[:22]))
    with pytest.raises(FrameError) as caught:
        Decoder(0).feed(bytes(frame))
    assert caught.value.reason == reason


def test_the_first_frame_can_be_taken_alone():
    decoder = Decoder(10)
    pings = [Frame(Kind.PING, number) for number in range(3)]
    assert decoder.feed(b"".join(map(encode, pings)), most=1) == pings[:1]
    assert not decoder.is_between_frames
    assert decoder.feed(b"") == pings[1:]


ENVELOPES = st.builds(
    Envelope,
    st.text("aé", min_size=1, max_size=32),
    st.none() | st.text("kü", min_size=1, max_size=100),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=20),
)


@settings(max_examples=50)
@given(ENVELOPES)
def test_envelopes_come_out_as_they_went_in(envelope):
    assert decode_envelope(encode_envelope(envelope)) == envelope


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_a_damaged_envelope_is_refused_and_nothing_else_is_raised(body):
    with contextlib.suppress(FrameError):
        assert encode_envelope(decode_envelope(body)) == body


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"1", b"{}", b'{"epoch":true}', b'{"epoch":"1"}', b'{"epoch":1e3}',
     b"[" * 1024, b'{"epoch":' + b"9" * 1000],
    ids=repr,
)  # fmt: skip
def test_a_greeting_without_its_fields_is_refused(body):
    with pytest.raises(FrameError) as caught:
        decode_fields(body, epoch=int)
    assert caught.value.reason == "fields"
    assert decode_fields(encode_fields({"epoch": 1}), epoch=int) == {"epoch": 1}
