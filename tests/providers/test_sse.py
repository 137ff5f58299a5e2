"""Server-sent events out of bytes that arrive cut anywhere."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.providers.sse import SseEvent, SseParser

_TEXT = st.text(alphabet="aé漢😀 :{}", max_size=6)


def parse(*chunks: bytes) -> list[SseEvent]:
    """All events of a stream that comes as `chunks`."""
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.finish()


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[SseEvent]]:
    """A stream with one kind of line end, and the events in it."""
    end = draw(st.sampled_from([b"\n", b"\r", b"\r\n"]))
    lines: list[bytes] = []
    expected: list[SseEvent] = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["", "ping", "é"]))
        texts = draw(st.lists(_TEXT, min_size=1, max_size=3))
        lines += [b"event: " + name.encode()] if name else []
        for text in texts:
            lines += draw(st.sampled_from([[], [b": keep-alive"], [b"id: 7", b"retry"]]))
            lines.append(b"data: " + text.encode())
        lines.append(b"")
        expected.append(SseEvent(name or "message", "\n".join(texts).encode()))
    return b"".join(line + end for line in lines), expected


@given(stream=streams(), cuts=st.lists(st.integers(0, 200)))
def test_every_cut_gives_the_same_events(
    stream: tuple[bytes, list[SseEvent]], cuts: list[int]
) -> None:
    """Wherever the bytes are cut, in a line end or in a character too, the events are the same."""
    wire, expected = stream
    at = sorted({min(cut, len(wire)) for cut in cuts} | {0, len(wire)})
    assert parse(*(wire[a:b] for a, b in pairwise(at))) == expected
    assert parse(*(wire[n : n + 1] for n in range(len(wire)))) == expected


def test_every_pair_of_cuts_of_a_hard_stream() -> None:
    """Two cuts anywhere in a stream of mixed ends, comments and wide characters change nothing."""
    text = "\ufeff: hello\r\nevent: a\rdata: 漢\r\ndata:😀\n\n:x\r\rdata: b: c\r\n\r\ndata\n\n"
    wire = text.encode()
    expected = [
        SseEvent("a", "漢\n😀".encode()),
        SseEvent("message", b"b: c"),
        SseEvent("message", b""),
    ]
    for one in range(len(wire) + 1):
        for two in range(one, len(wire) + 1):
            assert parse(wire[:one], wire[one:two], wire[two:]) == expected, (one, two)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"data: a\n", [SseEvent("message", b"a")]),
        (b"data: a\n\ndata: [DO", [SseEvent("message", b"a")]),
        (b"data: a\r", [SseEvent("message", b"a")]),
        (b"event: x\n\n", []),
        (b"event: x\n\ndata: a\n\n", [SseEvent("message", b"a")]),
        (b"retry: 5\nnonsense\n\n", []),
        (b"", []),
    ],
)
def test_the_end_of_a_stream(wire: bytes, expected: list[SseEvent]) -> None:
    """A last event without its blank line counts, a line that was cut off does not."""
    assert parse(wire) == expected


def test_a_dripping_giant_line_takes_linear_time() -> None:
    """One line of two megabytes that comes in small pieces is no quadratic work."""
    parser = SseParser()
    start = time.process_time()
    for _ in range(200_000):
        assert parser.feed(b"0123456789") == []
    assert len(parser.feed(b"\n\n")) == 0
    assert time.process_time() - start < 5.0
