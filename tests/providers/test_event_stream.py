"""Frames of AWS event streams, against botocore's own decoder."""

from __future__ import annotations

from itertools import pairwise
from struct import pack
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from bedrock_wire import event, exception, frame, payload, streamed
from lattice_lock.messages import ChatResponse, ModelId, StreamEvent
from lattice_lock.providers._bedrock_answer import StreamAssembler
from lattice_lock.providers.event_stream import CorruptFrameError, EventStreamParser, Frame

_MODEL = ModelId(provider="bedrock", name="m")
_NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
_HEADERS = st.dictionaries(_NAMES, st.text(min_size=1, max_size=40), max_size=4)
_FRAMES = st.lists(st.tuples(_HEADERS, st.binary(max_size=200)), max_size=4)


def parsed(*pieces: bytes) -> list[Frame]:
    """All frames of `pieces`, with nothing left over."""
    parser = EventStreamParser()
    frames = [found for piece in pieces for found in parser.feed(piece)]
    assert parser.pending == 0
    return frames


def theirs(data: bytes) -> list[Frame]:
    """What botocore makes of `data`; of headers only the texts."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [
        Frame({k: v for k, v in m.headers.items() if isinstance(v, str)}, m.payload) for m in buffer
    ]


def with_headers(packed: bytes, body: bytes = b"") -> bytes:
    """A frame whose checksums are right, whatever its headers are."""
    lengths = pack(">II", 16 + len(packed) + len(body), len(packed))
    whole = lengths + pack(">I", crc32(lengths)) + packed + body
    return whole + pack(">I", crc32(whole))


@given(_FRAMES, st.lists(st.integers(0, 2000), max_size=6))
def test_frames_are_botocores_however_they_are_cut(
    frames: list[tuple[dict[str, str], bytes]], cuts: list[int]
) -> None:
    """What our encoder writes, botocore and our parser read alike, in any pieces."""
    data = b"".join(frame(headers, body) for headers, body in frames)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert parsed(*pieces) == theirs(data) == [Frame(h, b) for h, b in frames]


def test_every_kind_of_header_is_passed_over() -> None:
    """Headers that are no text are skipped by their exact length, as botocore reads them."""
    kinds = [
        (0, b""),
        (1, b""),
        (2, b"\x01"),
        (3, pack(">h", -2)),
        (4, pack(">i", -3)),
        (5, pack(">q", -4)),
        (6, pack(">H", 3) + b"raw"),
        (8, pack(">q", 1_700_000_000_000)),
        (9, bytes(range(16))),
    ]
    packed = b"".join(b"\x02h" + str(k).encode() + bytes([k]) + v for k, v in kinds)
    text = "Grüße".encode()
    packed += b"\x04last\x07" + pack(">H", len(text)) + text
    data = with_headers(packed, b"body")
    assert parsed(data) == theirs(data)[:1] == [Frame({"last": "Grüße"}, b"body")]


@pytest.mark.parametrize(
    "packed",
    [
        b"\x01a\x0a",  # no such type
        b"\x09a",  # a name longer than all headers
        b"\x01a",  # no type
        b"\x01a\x07\x00",  # half a length
        b"\x01a\x07\x00\x05abc",  # a value longer than all headers
        b"\x01a\x04\x00",  # half a number
        b"\x01a\x07\x00\x01\xff",  # no UTF-8
        b"\x01\xff\x00",  # no UTF-8 in a name
    ],
)
def test_headers_that_cannot_be_read(packed: bytes) -> None:
    """Right checksums around broken headers are still no frame."""
    with pytest.raises(CorruptFrameError):
        parsed(with_headers(packed))


def test_every_damaged_byte_is_found() -> None:
    """Whichever byte is another one, no frame comes out and the damage is reported."""
    data = event("contentBlockDelta", contentBlockIndex=0, delta={"text": "Hello"})
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x40
        with pytest.raises(CorruptFrameError):
            EventStreamParser().feed(bytes(damaged))


@pytest.mark.parametrize(
    ("total", "headers"),
    [(15, 0), (16, 1), (16 + 24 * 1024 * 1024 + 1, 0), (2**20, 128 * 1024 + 1)],
)
def test_impossible_lengths_are_refused_at_once(total: int, headers: int) -> None:
    """A length that no frame has ends the stream before its bytes are waited for."""
    lengths = pack(">II", total, headers)
    with pytest.raises(CorruptFrameError, match="bytes"):
        EventStreamParser().feed(lengths + pack(">I", crc32(lengths)))


def assembled(*pieces: bytes) -> tuple[list[StreamEvent], ChatResponse | None]:
    """What comes out of the pieces of a body; None where the answer is not whole."""
    parser, assembler = EventStreamParser(), StreamAssembler(_MODEL)
    events = [
        found
        for piece in pieces
        for item in parser.feed(piece)
        for found in assembler.feed(item.headers[":event-type"], item.payload)
    ]
    return events, assembler.finish() if assembler.ended else None


@pytest.mark.parametrize("name", ["text", "tools", "search"])
def test_a_stream_may_be_cut_anywhere(name: str) -> None:
    """Cut in two at any byte, a stream says the same; without its last byte, it is not whole."""
    data = b"".join(streamed(payload(name), cut=20))
    expected = assembled(data)
    assert expected[1] is not None
    for place in range(len(data)):
        assert assembled(data[:place], data[place:]) == expected
        events, answer = assembled(data[:place])
        assert answer is None
        assert events == expected[0][: len(events)]
    assert assembled(*(data[at : at + 1] for at in range(len(data)))) == expected


def test_exceptions_are_frames_that_botocore_raises() -> None:
    """The server's exceptions are real ones: botocore reads status 400 and the class in them."""
    buffer = EventStreamBuffer()
    buffer.add_data(exception("throttlingException", "Too many"))
    (message,) = buffer
    said = message.to_response_dict()
    assert (said["status_code"], message.payload) == (400, b'{"message": "Too many"}')
    assert said["headers"][":exception-type"] == "throttlingException"
