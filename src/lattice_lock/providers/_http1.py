"""One HTTP/1.1 connection: what is written to it, and what becomes of what comes.

The grammar is httptools'; what a message means, how much of it is kept, when it is late and whether
the connection can be used again is decided here. Nothing here knows of providers or pools.

Source: RFC 9110 and RFC 9112.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from lattice_lock.settings import Secret

    Lateness: TypeAlias = Literal["total", "first byte", "pause"]

__all__ = [
    "BrokenError",
    "Connection",
    "ExchangeError",
    "Headers",
    "LateError",
    "NotHttpError",
    "drop_frames",
    "request_head",
]

# Nothing else bounds a head: httptools keeps a header field until it is complete.
_MAX_HEAD_BYTES = 64 * 1024
_MAX_INTERIM_HEADS = 10_000
# A consumer that is slower than the server makes it wait; with what one read brings besides.
_MAX_BUFFERED_BYTES = 256 * 1024
_WRITE_BYTES = 64 * 1024
_INFORMATIONAL = range(100, 200)
_SWITCHING = 101
# What follows from the address and the body, or says something that is not so.
_OUR_FIELDS = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ]
)
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class ExchangeError(Exception):
    """A request that got no answer, or only a part of one."""


class BrokenError(ExchangeError):
    """The connection ended before the answer did."""


class NotHttpError(ExchangeError):
    """What came is no head of an HTTP answer."""


class LateError(ExchangeError):
    """Time is up; `which` says whose."""

    def __init__(self, which: Lateness) -> None:
        super().__init__(which)
        self.which: Lateness = which


class Headers(Mapping[str, str]):
    """Header fields by name in any case; of several with one name the first."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        self._fields = fields  # names in lower case

    @override
    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower().encode("latin-1", "replace")].decode("latin-1").strip()

    @override
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower().encode("latin-1", "replace") in self._fields

    @override
    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    @override
    def __len__(self) -> int:
        return len(self._fields)


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way.

    `begin`, `send`, `head` and `chunk` in this order make an exchange. In between the connection
    is at `rest`, and whatever happens to it then ends it. Time is watched by one timer, which is
    moved only where it would come too late: an exchange of the usual kind sets none.

    Attributes:
        closed: whether it is of no use any more.
        complete: whether all of the answer has come, if not all of it was taken.
        failure: why no more of the answer will come.
        fields: the header fields of the answer.
        status: the status of the answer, 0 until its head has come.
    """

    __slots__ = (
        "_awaits_end",
        "_bodiless",
        "_body_began",
        "_buffered",
        "_busy",
        "_chunks",
        "_deadline_at",
        "_first_byte_at",
        "_interim_heads",
        "_keeps_alive",
        "_loop",
        "_max_pause_s",
        "_parser",
        "_reading_paused",
        "_rests_until",
        "_room",
        "_timer",
        "_transport",
        "_unsent",
        "_waiter",
        "_waiting_since",
        "_wakes_at",
        "_writing_paused",
        "closed",
        "complete",
        "failure",
        "fields",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf
        self._rests_until = math.inf
        self._waiter: asyncio.Future[None] | None = None
        self._waiting_since: float | None = None
        self._unsent: memoryview | None = None
        self._writing_paused = self._reading_paused = False
        self._busy = False
        self.closed = False
        self.failure: ExchangeError | None = None

    # What the owner of the connection does.

    def begin(
        self, *, deadline_at: float, first_byte_at: float, max_pause_s: float, bodiless: bool
    ) -> None:
        """Expect an answer.

        Args:
            deadline_at: when all of it has to be there, on the loop's clock.
            first_byte_at: when its body has to have begun.
            max_pause_s: how long a reader waits for the next bytes of the body.
            bodiless: whether the request is one whose answer has no body whatever its head says.
        """
        self._busy = True
        self._bodiless = bodiless
        self._deadline_at = deadline_at
        self._first_byte_at = first_byte_at
        self._max_pause_s = max_pause_s
        self._room = _MAX_HEAD_BYTES
        self._interim_heads = 0
        self._body_began = self._awaits_end = self._keeps_alive = False
        self._chunks: list[bytes] = []
        self._buffered = 0
        self.status = 0
        self.fields: dict[bytes, bytes] = {}
        self.complete = False
        self._watch(min(deadline_at, first_byte_at))

    def send(self, head: bytes, body: bytes | None) -> None:
        """Write a request, as fast as the other side takes it and no faster."""
        if self._transport is None or self.closed:
            return  # `failure` tells why
        if body is None or len(body) <= _WRITE_BYTES:
            self._transport.write(head + body if body else head)
        else:
            self._transport.write(head)
            self._unsent = memoryview(body)
            self._write_on()

    async def head(self) -> None:
        """Wait for the head of the answer.

        Raises:
            ExchangeError: none comes.
        """
        while not self.status:
            if self.failure is not None:
                raise self.failure
            await self._news()

    async def chunk(self) -> bytes:
        """What has come of the body since the last call, waiting for it; empty at its end.

        Raises:
            ExchangeError: no more comes, and the end is missing.
        """
        chunks = self._chunks
        if not chunks:
            if not self.complete:
                await self._until_body()
            if not chunks:
                return b""
        chunk = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered = 0
        if self._reading_paused and not self.closed and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return chunk

    def end_by(self, moment: float) -> None:
        """Bring the deadline forward to `moment`."""
        self._deadline_at = min(self._deadline_at, moment)
        self._watch(self._deadline_at)

    def rest(self, until: float) -> bool:
        """End the exchange; whether the connection can take another one, by `until`."""
        reusable = (
            self._keeps_alive
            and self.complete
            and not self._writing_paused
            and not self._reading_paused
            and not self.closed
        )
        self._chunks.clear()
        if reusable:
            self._busy = False
            self._rests_until = until
            self._watch(until)
        else:
            self.close()
        return reusable

    def close(self) -> None:
        """Close the socket at once, whatever is under way."""
        if self.closed:
            return
        self.closed = True
        self._keeps_alive = False
        if self._busy and not self.complete and self.failure is None:
            self.failure = BrokenError("the connection was closed here")
            self._wake()
        self._parser = self._unsent = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        self._on_close()

    # What asyncio tells.

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)
        # A line may end in a bare LF, and a size be padded, as RFC 9112 lets a recipient accept.
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )

    @override
    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            return
        if not self._busy:  # nothing was asked: whatever it is, it answers nothing
            self.close()
            return
        try:
            if self.status:
                self._feed_body(parser, data)
            else:
                self._feed_head(parser, data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._misread(error)
        if self._buffered:
            self._mind_buffer()
        if self._waiter is not None and (self.status or self.failure is not None):
            self._wake()

    @override
    def eof_received(self) -> None:
        self._ended(None)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        drop_frames(exc)  # they hold what was written
        self._ended(exc)
        self._transport = None

    @override
    def pause_writing(self) -> None:
        self._writing_paused = True

    @override
    def resume_writing(self) -> None:
        self._writing_paused = False
        self._write_on()

    # What the parser tells. The next message after the answer is none of ours.

    def on_message_begin(self) -> None:
        if self.complete:
            self._keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # else a trailer
            self.fields.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        parser = self._parser
        if self.status or parser is None:
            return
        status = parser.get_status_code()
        if status in _INFORMATIONAL:
            self._skip_interim(status)
            return
        fields = self.fields
        coding = fields.get(b"transfer-encoding")
        if status < _INFORMATIONAL.start or (
            coding is not None and coding.strip().lower() != b"chunked"
        ):
            self._fail(NotHttpError("the status or the transfer coding is unknown"))
            return
        self.status = status
        self._keeps_alive = parser.should_keep_alive() and not self._bodiless
        self._awaits_end = coding is None and b"content-length" not in fields
        self.complete = self._bodiless

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self._chunks.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True

    # How it works.

    def _on_close(self) -> None:
        """Called once, when the connection is of no use any more."""

    def _feed_head(self, parser: HttpResponseParser, data: bytes) -> None:
        """Feed no more than a head may have, so that where packets end makes no difference."""
        while data and self.failure is None:
            if self.status:
                self._feed_body(parser, data)
                return
            piece = data[: self._room]
            data = data[len(piece) :]
            self._room -= len(piece)
            parser.feed_data(piece)
            if not self._room and not self.status:
                self._fail(NotHttpError("the head is too long"))

    def _feed_body(self, parser: HttpResponseParser, data: bytes) -> None:
        """Feed part of a body, with no more than a head in between two pieces of it."""
        before = self._buffered
        parser.feed_data(data)
        if self._buffered != before or self.complete:
            self._room = _MAX_HEAD_BYTES
        else:
            self._room -= len(data)
            if self._room < 0:
                self._fail(BrokenError("the body goes on without a byte"))

    def _skip_interim(self, status: int) -> None:
        self.fields = {}
        self._room += _MAX_HEAD_BYTES
        self._interim_heads += 1
        if status == _SWITCHING or self._interim_heads > _MAX_INTERIM_HEADS:
            self._fail(NotHttpError("interim answers lead nowhere"))

    def _misread(self, error: Exception) -> None:
        if self.complete:
            self._keeps_alive = False
        elif self.status:
            self._fail(BrokenError(f"the body is framed wrongly ({error})"))
        else:
            self._fail(NotHttpError(str(error)))

    def _ended(self, error: Exception | None) -> None:
        """The other side sends no more."""
        if not self.closed and self._busy and not self.complete:
            if error is None and self._awaits_end and self.status:
                self.complete = True
            else:
                reason = str(error) if error is not None else "the server closed the connection"
                self._fail(BrokenError(reason or type(error).__name__))
        self.close()
        self._wake()

    def _fail(self, error: ExchangeError) -> None:
        if self.failure is None:
            self.failure = error
            self.close()

    def _mind_buffer(self) -> None:
        """Let the server wait where nobody reads, and the clock run from the first byte on."""
        if self.complete or self.closed:
            return
        if not self._body_began:
            self._body_began = True
            self._watch(min(self._loop.time() + self._max_pause_s, self._deadline_at))
        if self._buffered > _MAX_BUFFERED_BYTES and not self._reading_paused:
            self._reading_paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def _write_on(self) -> None:
        transport = self._transport
        while self._unsent is not None and transport is not None:
            if self._writing_paused or transport.is_closing():
                return
            piece, rest = self._unsent[:_WRITE_BYTES], self._unsent[_WRITE_BYTES:]
            self._unsent = rest if len(rest) else None
            transport.write(piece)

    async def _until_body(self) -> None:
        """Wait for the next bytes of the body or its end."""
        self._waiting_since = self._loop.time()
        try:
            while not (self._chunks or self.complete):
                if self.failure is not None:
                    raise self.failure
                await self._news()
        finally:
            self._waiting_since = None

    async def _news(self) -> None:
        """Wait until something has come, or nothing will."""
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _watch(self, at: float) -> None:
        """See to it that `_look` comes at `at` or before."""
        if at < self._wakes_at and not self.closed:
            if self._timer is not None:
                self._timer.cancel()
            self._wakes_at = at
            self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        """Whether anything is late; if not, when to look again."""
        self._wakes_at = math.inf
        self._timer = None
        now = self._loop.time()
        if not self._busy:
            if now >= self._rests_until:
                self.close()
            else:
                self._watch(self._rests_until)
            return
        if self.complete or self.failure is not None:
            return
        if now >= self._deadline_at:
            self._expire("total")
        elif self._body_began:
            since = now if self._waiting_since is None else self._waiting_since
            if now >= since + self._max_pause_s:
                self._expire("pause")
            else:
                self._watch(min(since + self._max_pause_s, self._deadline_at))
        elif now >= self._first_byte_at:
            self._expire("first byte")
        else:
            self._watch(min(self._first_byte_at, self._deadline_at))

    def _expire(self, which: Lateness) -> None:
        self._chunks.clear()  # nobody has waited for them in time
        self._fail(LateError(which))
        self._wake()


def request_head(
    start: str, headers: Mapping[str, str], secrets: Mapping[str, Secret], body: bytes | None
) -> bytes | None:
    """The head of a request, or None where a header cannot be sent.

    It does not raise, because its variables hold what is secret.

    Args:
        start: the request line and the fields that do not change, without the last line end.
        headers: more fields.
        secrets: more fields, revealed here.
        body: what will follow, None for a request without a body.
    """
    lines = [start]
    for name, value in headers.items():
        lines.append(f"{name}: {value}")
    for name, secret in secrets.items():
        lines.append(f"{name}: {secret.reveal()}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1 + start.count("\r\n")
    if (
        text.count("\n") != breaks
        or text.count("\r") != breaks
        or "\0" in text
        or not all(map(_is_field_name, headers))
        or not all(map(_is_field_name, secrets))
    ):
        return None
    try:
        return f"{text}\r\n\r\n".encode("latin-1")
    except UnicodeEncodeError:
        return None


@lru_cache(maxsize=256)
def _is_field_name(name: str) -> bool:
    """Whether a caller may set the header field `name`."""
    return bool(name) and _TOKEN.issuperset(name) and name.lower() not in _OUR_FIELDS


def drop_frames(error: BaseException | None) -> None:
    """Forget where `error` and its causes came from: those frames may hold what is secret.

    Reporters that print the variables of each frame would print the key.
    """
    while error is not None:
        error.__traceback__ = None
        drop_frames(error.__cause__)
        error = error.__context__
