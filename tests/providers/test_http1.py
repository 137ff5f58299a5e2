"""One HTTP/1.1 connection: every form of answer, cut anywhere, and whatever is none."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from lattice_lock.providers._http1 import (
    BrokenError,
    Connection,
    ExchangeError,
    Headers,
    LateError,
    NotHttpError,
    request_head,
)
from lattice_lock.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

KIB = 1024


class Socket(asyncio.Transport):
    """What a connection writes to; it takes `room` bytes before it asks for a pause."""

    def __init__(self, room: float = math.inf) -> None:
        super().__init__()
        self.written = bytearray()
        self.largest = 0
        self.room = room
        self.aborted = False
        self.reading = True
        self.connection: Connection | None = None

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take `data`."""
        self.written += data
        self.largest = max(self.largest, len(data))
        self.room -= len(data)
        if self.room <= 0 and self.connection is not None:
            self.connection.pause_writing()

    @override
    def abort(self) -> None:
        """Close."""
        self.aborted = True

    @override
    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.aborted

    @override
    def pause_reading(self) -> None:
        """Let the other side wait."""
        self.reading = False

    @override
    def resume_reading(self) -> None:
        """Let the other side go on."""
        self.reading = True


def connected(
    *,
    first_byte_s: float = math.inf,
    total_s: float = math.inf,
    pause_s: float = math.inf,
    bodiless: bool = False,
    room: float = math.inf,
) -> tuple[Connection, Socket]:
    """A connection that waits for an answer, and its socket."""
    loop = asyncio.get_running_loop()
    connection, socket = Connection(loop), Socket(room)
    socket.connection = connection
    connection.connection_made(socket)
    connection.begin(
        deadline_at=loop.time() + total_s,
        first_byte_at=loop.time() + first_byte_s,
        max_pause_s=pause_s,
        bodiless=bodiless,
    )
    return connection, socket


async def outcome(packets: Sequence[bytes], *, ends: bool = True) -> tuple[object, ...]:
    """Status, headers, body, error and whether the connection can be used again.

    Args:
        ends: whether the other side closes the connection where the answer is not complete.
    """
    connection, socket = connected()
    for packet in packets:
        connection.data_received(packet)
    if ends and not connection.complete:
        connection.eof_received()
    body, error = bytearray(), None
    try:
        await connection.head()
        while chunk := await connection.chunk():
            body += chunk
    except ExchangeError as raised:
        error = type(raised)
    reusable = connection.rest(math.inf)
    assert reusable is not socket.aborted
    return connection.status, connection.fields, bytes(body), error, reusable


HEAD = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n"
BODY = b'{"a": "\xc3\xa4"}'
ANSWERS: dict[str, tuple[bytes, int, bytes, type[ExchangeError] | None, bool]] = {
    "length": (HEAD + b"Content-Length: 11\r\nX-A: b\r\n\r\n" + BODY, 200, BODY, None, True),
    "empty": (HEAD + b"Content-Length: 0\r\n\r\n", 200, b"", None, True),
    "chunked": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n",
        200,
        b"firstsecond",
        None,
        True,
    ),
    "extension-and-trailer": (
        HEAD + b'Transfer-Encoding: Chunked\r\n\r\n5;a="b";c\r\nfirst\r\n0\r\nX-T: u\r\n\r\n',
        200,
        b"first",
        None,
        True,
    ),
    "padded-size": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5  \r\nfirst\r\n0\r\n\r\n",
        200,
        b"first",
        None,
        True,
    ),
    "until-end": (HEAD + b"Content-Type: a/b\r\n\r\nall of it", 200, b"all of it", None, False),
    "until-end-1.0": (b"HTTP/1.0 200 OK\r\n\r\nall of it", 200, b"all of it", None, False),
    "length-1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", None, False),
    "kept-1.0": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        None,
        True,
    ),
    "close": (HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", None, False),
    "no-content": (b"HTTP/1.1 204 No\r\n\r\n", 204, b"", None, True),
    "not-modified": (b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", 304, b"", None, True),
    "interim": (
        INTERIM + b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
        503,
        b"busy",
        None,
        True,
    ),
    "bare-lf": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok", None, True),
    "no-reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", None, True),
    "odd-status": (b"HTTP/1.1 799 What\r\nContent-Length: 2\r\n\r\nok", 799, b"ok", None, True),
    "more-than-promised": (HEAD + b"Content-Length: 2\r\n\r\nok!", 200, b"ok", None, False),
    "another-answer": (
        (HEAD + b"Content-Length: 2\r\n\r\nok") + (HEAD + b"Content-Length: 4\r\n\r\nevil"),
        200,
        b"ok",
        None,
        False,
    ),
    "shorter": (HEAD + b"Content-Length: 20\r\n\r\nhalf", 200, b"half", BrokenError, False),
    "no-last-chunk": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        200,
        b"first",
        BrokenError,
        False,
    ),
    "half-a-trailer": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\nX-T: u",
        200,
        b"first",
        BrokenError,
        False,
    ),
    "bad-chunk": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nzz\r\n",
        200,
        b"first",
        BrokenError,
        False,
    ),
    "half-a-head": (HEAD + b"Content-Le", 0, b"", BrokenError, False),
    "nothing": (b"", 0, b"", BrokenError, False),
    "interim-only": (b"HTTP/1.1 103 Early\r\n\r\n", 0, b"", BrokenError, False),
    "two-lengths": (
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        0,
        b"",
        NotHttpError,
        False,
    ),
    "length-and-chunked": (
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        0,
        b"",
        NotHttpError,
        False,
    ),
    "chunked-and-length": (
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        0,
        b"",
        NotHttpError,
        False,
    ),
    "list-of-lengths": (HEAD + b"Content-Length: 2, 2\r\n\r\nok", 0, b"", NotHttpError, False),
    "negative-length": (HEAD + b"Content-Length: -2\r\n\r\nok", 0, b"", NotHttpError, False),
    "endless-length": (
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nok",
        0,
        b"",
        NotHttpError,
        False,
    ),
    "compressed-transfer": (
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        0,
        b"",
        NotHttpError,
        False,
    ),
    "other-transfer": (HEAD + b"Transfer-Encoding: br\r\n\r\nok", 0, b"", NotHttpError, False),
    "switching": (
        b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nok",
        0,
        b"",
        NotHttpError,
        False,
    ),
    "bare-switching": (b"HTTP/1.1 101 Go\r\n\r\n", 0, b"", NotHttpError, False),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n", 0, b"", NotHttpError, False),
    "tls": (b"\x15\x03\x01\x00\x02\x02\x46", 0, b"", NotHttpError, False),
    "no-status": (b"HTTP/1.1 OK\r\n\r\n", 0, b"", NotHttpError, False),
    "low-status": (b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", 0, b"", NotHttpError, False),
    "space-in-name": (HEAD + b"Content-Length : 2\r\n\r\nok", 0, b"", NotHttpError, False),
    "nul-in-value": (HEAD + b"X-A: a\0b\r\n\r\n", 0, b"", NotHttpError, False),
    "folded": (HEAD + b"X-A: a\r\n b\r\n\r\n", 0, b"", NotHttpError, False),
}

each_answer = pytest.mark.parametrize("name", ANSWERS)


@each_answer
async def test_an_answer_is_what_it_says(name: str) -> None:
    """Every way to end a body is known, and what is ambiguous or no HTTP is refused."""
    wire, *expected = ANSWERS[name]
    status, _, body, error, reusable = await outcome([wire])
    assert [status, body, error, reusable] == expected


@each_answer
async def test_packets_make_no_difference(name: str) -> None:
    """An answer cut in two anywhere, or into bytes, has the outcome of the whole one."""
    wire = ANSWERS[name][0]
    whole = await outcome([wire])
    for at in range(1, len(wire)):
        assert await outcome([wire[:at], wire[at:]]) == whole, wire[:at]
    assert await outcome([bytes([byte]) for byte in wire]) == whole


_WORDS = (
    b"HTTP/1.1 |HTTP/1.0 |200 OK|103 |\r\n|\n|\r\n\r\n|Content-Length: |3|0|: |;|-| |abc|chunked|"
    b"Transfer-Encoding: |Connection: close|\0|\xff"
)
_ALPHABET = st.sampled_from(_WORDS.split(b"|"))
_NOISE = st.one_of(st.binary(max_size=200), st.lists(_ALPHABET, max_size=30).map(b"".join))


@given(
    prefix=st.sampled_from(
        [b"", HEAD, HEAD + b"\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"]
    ),
    noise=_NOISE,
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_noise_is_an_answer_or_an_error(prefix: bytes, noise: bytes, cuts: list[int]) -> None:
    """Whatever comes ends as an answer or as one of our errors, the same for every cut."""
    wire = prefix + noise
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    packets = [wire[start:end] for start, end in pairwise(places)]

    async def both() -> tuple[object, object]:
        return await outcome([wire]), await outcome(packets)

    whole, cut = asyncio.run(both())
    assert whole == cut


async def test_a_body_that_no_request_asked_for_has_no_end() -> None:
    """The answer to HEAD is complete with its head, and its connection is not used again."""
    connection, socket = connected(bodiless=True)
    connection.data_received(HEAD + b"Content-Length: 9\r\n\r\n")
    await connection.head()
    assert await connection.chunk() == b""
    assert not connection.rest(math.inf)
    assert socket.aborted


@pytest.mark.parametrize("size", [1, 63 * KIB, 70 * KIB, 1000 * KIB])
@pytest.mark.parametrize("packet", [100_000_000, 1000])
async def test_a_head_is_bounded(size: int, packet: int) -> None:
    """A head of more than 64 KiB is refused as soon as that much has come, in whatever packets."""
    wire = HEAD + b"X-A: " + b"a" * size + b"\r\nContent-Length: 0\r\n\r\n"
    packets = [wire[start : start + packet] for start in range(0, len(wire), packet)]
    status, _, _, error, reusable = await outcome(packets)
    fits = len(wire) <= 64 * KIB
    assert (status, error, reusable) == ((200, None, True) if fits else (0, NotHttpError, False))


async def test_the_bound_of_a_head_is_exact() -> None:
    """The last byte that a head may have is the last of 64 KiB, after interim heads too."""
    interim = b"HTTP/1.1 103 Early\r\n\r\n"
    for more, expected in ((0, None), (1, NotHttpError)):
        rest = b"\r\nContent-Length: 0\r\n\r\n"
        filler = b"a" * (64 * KIB - len(HEAD + b"X-A: " + rest) + more)
        wire = HEAD + b"X-A: " + filler + rest
        assert (await outcome([wire]))[3] is expected
        assert (await outcome([interim, wire[:100], wire[100:]]))[3] is None


async def test_interim_heads_are_bounded() -> None:
    """A server that only ever announces an answer is given up on."""
    connection, _ = connected()
    for _ in range(200):
        connection.data_received(b"HTTP/1.1 103 Early\r\n\r\n" * 100)
    with pytest.raises(NotHttpError, match="lead nowhere"):
        await connection.head()


@pytest.mark.parametrize("filler", [b"5;a=%b", b"0\r\nX-T: %b"])
async def test_what_is_no_body_is_bounded(filler: bytes) -> None:
    """An extension or a trailer without an end breaks the answer and fills no memory."""
    connection, socket = connected()
    connection.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.data_received(filler % b"a")
    for _ in range(100):
        connection.data_received(b"a" * KIB)
    with pytest.raises(BrokenError, match="without a byte"):
        await connection.chunk()
    assert socket.aborted


async def test_many_small_chunks_are_no_overhead() -> None:
    """Sizes and data in packets of their own may go on for as long as there is data."""
    connection, _ = connected()
    connection.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(30 * KIB):
        connection.data_received(b"1\r\n")
        connection.data_received(b"a\r\n")
        assert await connection.chunk() == b"a"
    assert connection.failure is None


async def test_a_slow_reader_stops_the_server() -> None:
    """Beyond a quarter of a MiB unread the socket is read no more until the reader comes."""
    connection, socket = connected()
    connection.data_received(HEAD + b"\r\n")
    for _ in range(256):
        connection.data_received(b"a" * KIB)
    assert socket.reading
    connection.data_received(b"a")
    assert not socket.reading
    assert len(await connection.chunk()) == 256 * KIB + 1
    assert socket.reading


async def test_a_slow_server_stops_the_writer() -> None:
    """A long body is written piece by piece as the socket takes it, each time a bit more."""
    connection, socket = connected(room=100 * KIB)
    body = bytes(range(256)) * 4 * KIB
    connection.send(b"head", body)
    assert len(socket.written) < 200 * KIB
    turns = 0
    while len(socket.written) < len(body) + 4:
        socket.room = 100 * KIB
        connection.resume_writing()
        turns += 1
    assert turns > 4
    assert socket.largest <= 64 * KIB
    assert socket.written == b"head" + body


async def test_a_short_request_is_one_write() -> None:
    """Head and body of the usual size leave in one piece."""
    connection, socket = connected()
    connection.send(b"head", b"b" * KIB)
    assert socket.largest == len(socket.written) == 4 + KIB


async def test_an_answer_may_come_before_the_request_is_sent() -> None:
    """It is given at once, writing goes on, and a connection with half a request is closed."""
    connection, socket = connected(room=1)
    connection.send(b"head", b"b" * 300 * KIB)
    connection.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
    await connection.head()
    assert (connection.status, await connection.chunk()) == (413, b"no")
    socket.room = math.inf
    before = len(socket.written)
    connection.resume_writing()
    assert len(socket.written) == 300 * KIB + 4 > before

    connection, socket = connected(room=1)
    connection.send(b"head", b"b" * 300 * KIB)
    connection.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
    assert not connection.rest(math.inf)
    connection.resume_writing()
    assert len(socket.written) == 4


async def test_a_connection_is_used_again() -> None:
    """The next answer on a connection is read as the first one was, and nothing of that is left."""
    connection, socket = connected()
    for name in ("chunked", "length", "no-content", "interim", "empty", "extension-and-trailer"):
        wire, status, body, _, _ = ANSWERS[name]
        connection.data_received(wire)
        await connection.head()
        assert connection.status == status
        assert await connection.chunk() == body
        assert connection.rest(math.inf)
        connection.begin(
            deadline_at=math.inf,
            first_byte_at=math.inf,
            max_pause_s=math.inf,
            bodiless=False,
        )
        assert not connection.fields
    assert not socket.aborted


@pytest.mark.parametrize("event", ["data", "end", "lost", "time"])
async def test_what_happens_at_rest_ends_a_connection(event: str) -> None:
    """Bytes that nobody asked for, an end, a loss, and thirty seconds: nobody finds it again."""
    connection, socket = connected()
    connection.data_received(HEAD + b"Content-Length: 0\r\n\r\n")
    assert connection.rest(asyncio.get_running_loop().time() + (0 if event == "time" else 60))
    if event == "data":
        connection.data_received(HEAD)
    elif event == "end":
        connection.eof_received()
    elif event == "lost":
        connection.connection_lost(ConnectionResetError())
    await asyncio.sleep(0.005)
    assert connection.closed
    assert socket.aborted


@pytest.mark.parametrize("event", ["end", "reset", "closed here"])
async def test_who_waits_hears_of_the_end(event: str) -> None:
    """A reader is woken by the end of the connection, whoever ended it."""
    for wire in (b"", HEAD + b"Content-Length: 5\r\n\r\n"):
        connection, _ = connected()
        connection.data_received(wire)

        async def read(connection: Connection = connection) -> None:
            await connection.head()
            await connection.chunk()

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        if event == "end":
            connection.eof_received()
        elif event == "reset":
            connection.connection_lost(ConnectionResetError("reset"))
        else:
            connection.close()
        with pytest.raises(BrokenError):
            await reader


async def test_a_loss_without_a_farewell_may_end_a_body() -> None:
    """TLS without a closing message tells of the end only by the loss of the connection."""
    connection, _ = connected()
    connection.data_received(HEAD + b"\r\nall")
    connection.connection_lost(None)
    assert await connection.chunk() == b"all"
    assert await connection.chunk() == b""


async def test_a_loss_with_an_error_ends_no_body() -> None:
    """What came before a reset is given, and then the error."""
    connection, _ = connected()
    connection.data_received(HEAD + b"\r\nhalf")
    connection.connection_lost(ConnectionResetError("reset"))
    assert await connection.chunk() == b"half"
    with pytest.raises(BrokenError, match="reset"):
        await connection.chunk()


@pytest.mark.parametrize(
    ("wire", "limits", "which"),
    [
        (b"", {"total_s": 0.01}, "total"),
        (b"", {"first_byte_s": 0.01}, "first byte"),
        (HEAD + b"\r\n", {"first_byte_s": 0.01}, "first byte"),
        (HEAD + b"\r\n", {"total_s": 0.01}, "total"),
        (HEAD + b"\r\na", {"pause_s": 0.01}, "pause"),
        (HEAD + b"\r\na", {"total_s": 0.01, "pause_s": 60.0}, "total"),
        (HEAD + b"\r\na", {"total_s": 60.0, "pause_s": 0.01}, "pause"),
    ],
)
async def test_each_time_runs_out(wire: bytes, limits: dict[str, float], which: str) -> None:
    """The limit that passes is the one that is named, and the connection is closed."""
    connection, socket = connected(**limits)  # type: ignore[arg-type]  # no other names
    connection.data_received(wire)

    async def read() -> None:
        await connection.head()
        while await connection.chunk():
            pass

    with pytest.raises(LateError) as caught:
        await read()
    assert caught.value.which == which
    assert socket.aborted


async def test_what_nobody_took_in_time_is_late() -> None:
    """A reader that comes after the deadline gets nothing more, whatever has come before it."""
    connection, _ = connected(total_s=0.01)
    connection.data_received(HEAD + b"\r\na")
    while not connection.closed:  # noqa: ASYNC110  # nobody else waits for it
        await asyncio.sleep(0.001)
    with pytest.raises(LateError):
        await connection.chunk()


async def test_a_steady_stream_sets_no_timer_for_each_chunk() -> None:
    """However many chunks come, one timer looks after them."""
    connection, _ = connected(total_s=60.0, pause_s=30.0)
    connection.data_received(HEAD + b"\r\n")
    loop = asyncio.get_running_loop()
    timers = []
    plain = loop.call_at

    def counting(*args: object, **kwargs: object) -> asyncio.TimerHandle:
        timers.append(args)
        return plain(*args, **kwargs)  # type: ignore[arg-type]  # as they came

    loop.call_at = counting  # type: ignore[method-assign]
    try:
        for _ in range(100):
            connection.data_received(b"a")
            await connection.chunk()
    finally:
        loop.call_at = plain  # type: ignore[method-assign]
    assert len(timers) == 1
    connection.close()


async def test_bytes_that_complete_nothing_are_a_pause() -> None:
    """The size of a chunk that comes digit by digit does not hold the clock."""
    connection, _ = connected(pause_s=0.05)
    connection.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert await connection.chunk() == b"a"

    async def drip() -> None:
        while not connection.closed:
            connection.data_received(b"0")
            await asyncio.sleep(0.005)

    dripping = asyncio.create_task(drip())
    with pytest.raises(LateError):
        await connection.chunk()
    await dripping


async def test_a_cancelled_reader_leaves_the_connection_whole() -> None:
    """What comes after the wait was cancelled is there for the next reader."""
    connection, _ = connected()
    connection.data_received(HEAD + b"\r\n")
    reader = asyncio.create_task(connection.chunk())
    await asyncio.sleep(0)
    reader.cancel()
    connection.data_received(b"a")
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await connection.chunk() == b"a"


async def test_a_trailer_is_no_header() -> None:
    """What follows the body was not known when its head was judged, and is dropped."""
    _, fields, *_ = await outcome([ANSWERS["extension-and-trailer"][0]])
    assert fields == {b"transfer-encoding": b"Chunked"}


async def test_headers_are_found_in_any_case() -> None:
    """Names are looked up in any case, values are bare, and of several the first counts."""
    _, fields, *_ = await outcome([HEAD + b"x-A:  one \r\nX-a: two\r\nB: \xe4\r\n\r\n"])
    assert isinstance(fields, dict)
    headers = Headers(fields)
    assert headers["X-A"] == headers.get("x-a") == "one"
    assert headers["b"] == "ä"
    assert dict(headers) == {"x-a": "one", "b": "ä"}
    assert "X-A" in headers
    assert "c" not in headers
    assert 3 not in headers  # type: ignore[comparison-overlap]
    assert headers.get("ß") is headers.get("日") is None
    assert len(headers) == 2


def test_a_request_is_written_as_it_is() -> None:
    """Line, given fields, secrets and length stand in this order."""
    head = request_head("POST /a HTTP/1.1\r\nHost: b", {"X": "ä"}, {"Key": Secret("k")}, b"123")
    lines = [b"POST /a HTTP/1.1", b"Host: b", b"X: \xe4", b"Key: k", b"Content-Length: 3", b"", b""]
    assert head == b"\r\n".join(lines)
    bare = request_head("GET /a HTTP/1.1\r\nHost: b", {}, {}, None)
    assert bare == b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nY: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\0b"),
        ("X", "日"),
        ("X\r\nY", "a"),
        ("X: Y", "a"),
        ("", "a"),
        ("X ", "a"),
        ("Ü", "a"),
        ("host", "a"),
        ("Content-Length", "3"),
        ("TRANSFER-ENCODING", "chunked"),
    ],
)
def test_what_would_write_more_than_a_field_is_not_written(name: str, value: str) -> None:
    """A name or value that could end the field, or that the transport writes itself, is refused."""
    assert request_head("GET / HTTP/1.1", {name: value}, {}, None) is None
    assert request_head("GET / HTTP/1.1", {}, {name: Secret(value)}, None) is None
