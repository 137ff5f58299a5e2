"""What a network and a server can do to an answer, done to the answer of any provider.

A fault gets the true answer (its head and its body) and turns it into what a client sees instead.
Every socket is real: a refused connection is refused by the kernel, a reset is a reset.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

from lattice_lock.exceptions import (
    InvalidResponseError,
    ProviderConnectionError,
    ProviderTimeoutError,
    ServerError,
)
from wire_server import Wire, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from typing import TypeAlias

    from every_provider import Case
    from lattice_lock.exceptions import APIClientError
    from wire_server import ScriptedServer, Step

    Act: TypeAlias = Callable[[Wire, "Answer"], Awaitable[object]]

BROKEN = (ProviderConnectionError,)
UNREADABLE = (InvalidResponseError,)
LATE = (ProviderTimeoutError,)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The true answer: content type, body, and the packets in which a stream would come."""

    kind: str
    packets: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        """All of the body."""
        return b"".join(self.packets)

    @property
    def middle(self) -> int:
        """An offset inside the body where something has come and something is missing."""
        return len(self.packets[0]) + 3 if len(self.packets) > 1 else len(self.body) // 2

    def head(self, *headers: str, kind: str | None = None) -> bytes:
        """A head with status 200; without `headers` the body ends with the connection."""
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind or self.kind}", "Connection: close"]
        return "\r\n".join([*lines, *headers, "", ""]).encode()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        act: what the server does in place of answering.
        whole: the errors that it may become where the answer comes whole; empty where the true
            answer is still there.
        streamed: the same for a stream.
        status: the status that the error names, None where no head comes.
        endless: whether only the deadline of the call ends it.
    """

    act: Act
    whole: tuple[type[APIClientError], ...]
    streamed: tuple[type[APIClientError], ...]
    status: int | None = field(default=None)
    endless: bool = field(default=False)


async def _reset(wire: Wire, _answer: Answer) -> None:
    wire.reset()


async def _closed(_wire: Wire, _answer: Answer) -> None:
    return


async def _half_a_head(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head()[:25])


async def _reset_after_head(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head("Content-Length: 99999"))
    wire.reset()


async def _reset_in_body(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head("Content-Length: 99999"), answer.body[: answer.middle])
    wire.reset()


async def _black_hole(wire: Wire, _answer: Answer) -> None:
    await wire.until_hung_up()


async def _silent_after_head(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head())
    await wire.until_hung_up()


async def _silent_in_body(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head(), answer.body[: answer.middle])
    await wire.until_hung_up()


async def _drip(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head())
    await wire.send(*(answer.body[n : n + 1] for n in range(len(answer.body))))


async def _drip_forever(wire: Wire, answer: Answer) -> None:
    """One byte after the other that completes nothing, for as long as somebody listens."""
    await wire.send(answer.head())
    if not answer.kind.startswith("text/event-stream"):
        for byte in answer.packets[0][:-1]:
            await wire.send(bytes([byte]))
            await asyncio.sleep(0.002)
        await wire.until_hung_up()
    while not wire.writer.is_closing():
        await wire.send(b":")
        await asyncio.sleep(0.002)


async def _too_short(wire: Wire, answer: Answer) -> None:
    length = f"Content-Length: {len(answer.body)}"
    await wire.send(answer.head(length), answer.body[: answer.middle])


async def _chunk_cut(wire: Wire, answer: Answer) -> None:
    size = b"%x\r\n" % len(answer.body)
    head = answer.head("Transfer-Encoding: chunked")
    await wire.send(head, size + answer.body[: answer.middle])


async def _no_last_chunk(wire: Wire, answer: Answer) -> None:
    part = answer.body[: answer.middle]
    head = answer.head("Transfer-Encoding: chunked")
    await wire.send(head, b"%x\r\n" % len(part) + part + b"\r\n")


async def _bad_chunk(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head("Transfer-Encoding: chunked"), b"zz\r\n" + answer.body)


async def _cut(wire: Wire, answer: Answer) -> None:
    """The body ends in its middle, and nothing says that it should not."""
    await wire.send(answer.head(), answer.body[: answer.middle])


async def _half_a_character(wire: Wire, answer: Answer) -> None:
    """The body ends inside the last character of more than one byte."""
    body = answer.body
    at = max(n for n in range(len(body)) if body[n] >= 0xC0)
    await wire.send(answer.head(), body[: at + 1])


async def _wrong_character(wire: Wire, answer: Answer) -> None:
    """One byte of a character is another one, everything around is whole."""
    body = answer.body
    at = min(n for n in range(len(body)) if body[n] >= 0xC0)
    await wire.send(answer.head(), body[: at + 1] + b"!" + body[at + 2 :])


async def _garbage(wire: Wire, answer: Answer) -> None:
    stream = answer.kind.startswith("text/event-stream")
    await wire.send(answer.head(), b"data: {]\n\n" if stream else b"{]" * 40)


async def _other_json(wire: Wire, answer: Answer) -> None:
    stream = answer.kind.startswith("text/event-stream")
    await wire.send(answer.head(), b'data: [1, "a"]\n\n' if stream else b'[1, "a"]' * 10)


async def _too_deep(wire: Wire, answer: Answer) -> None:
    deep = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    stream = answer.kind.startswith("text/event-stream")
    await wire.send(answer.head(), b"data: " + deep + b"\n\n" if stream else deep)


async def _page(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head(kind="text/html"), b"<html><body>Sign in</body></html>")


async def _plain_text(wire: Wire, answer: Answer) -> None:
    kind = answer.kind if answer.kind.startswith("application/json") else "text/plain"
    await wire.send(answer.head(kind=kind), b"The service is asleep.")


async def _empty(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head("Content-Length: 0"))


@cache
def _bomb() -> bytes:
    """Four GiB of zeros in four MiB: one block that stands for itself and is repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 24)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * 255


async def _gzip_bomb(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head("Content-Encoding: gzip"), _bomb())


async def _huge_header(wire: Wire, answer: Answer) -> None:
    await wire.send(answer.head("X-Huge: " + "a" * 1_000_000), answer.body)


async def _many_headers(wire: Wire, answer: Answer) -> None:
    many = [f"X-Header-{n}: {'a' * 100}" for n in range(50_000)]
    await wire.send(answer.head(*many), answer.body)


async def _status_line(wire: Wire, answer: Answer, line: bytes = b"") -> None:
    await wire.send(line + answer.head()[len(b"HTTP/1.1 200 OK") :], answer.body)


async def _informed(wire: Wire, answer: Answer) -> None:
    """A thousand words before the answer."""
    await wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, answer.head(), answer.body)


async def _informed_forever(wire: Wire, _answer: Answer) -> None:
    while not wire.writer.is_closing():
        await wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10)
        await asyncio.sleep(0.002)


async def _endless_refusal(wire: Wire, _answer: Answer) -> None:
    await wire.send("HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n")
    while not wire.writer.is_closing():
        await wire.send(b"no " * 20_000)


async def endless_body(wire: Wire, answer: Answer) -> None:
    """A body without an end, as fast as it goes; not in `FAULTS`, for 64 MiB take their time."""
    await wire.send(answer.head(), answer.body[: answer.middle])
    block = b"a" * (1 << 20)
    while not wire.writer.is_closing():
        wire.writer.write(block)
        await wire.writer.drain()


FAULTS: dict[str, Fault] = {
    "reset": Fault(act=_reset, whole=BROKEN, streamed=BROKEN),
    "closed": Fault(act=_closed, whole=BROKEN, streamed=BROKEN),
    "half-a-head": Fault(act=_half_a_head, whole=BROKEN, streamed=BROKEN),
    "reset-after-head": Fault(act=_reset_after_head, whole=BROKEN, streamed=BROKEN),
    "reset-in-body": Fault(act=_reset_in_body, whole=BROKEN, streamed=BROKEN),
    "black-hole": Fault(act=_black_hole, whole=LATE, streamed=LATE, endless=True),
    "silent-after-head": Fault(
        act=_silent_after_head, whole=LATE, streamed=LATE, status=200, endless=True
    ),
    "silent-in-body": Fault(
        act=_silent_in_body, whole=LATE, streamed=LATE, status=200, endless=True
    ),
    "drip": Fault(act=_drip, whole=(), streamed=()),
    "drip-forever": Fault(act=_drip_forever, whole=LATE, streamed=LATE, status=200, endless=True),
    "too-short": Fault(act=_too_short, whole=BROKEN, streamed=BROKEN, status=200),
    "chunk-cut": Fault(act=_chunk_cut, whole=BROKEN, streamed=BROKEN, status=200),
    "no-last-chunk": Fault(act=_no_last_chunk, whole=BROKEN, streamed=BROKEN, status=200),
    # Whether the head is still read when the chunk comes along with it is a matter of packets.
    "bad-chunk": Fault(act=_bad_chunk, whole=BROKEN + UNREADABLE, streamed=BROKEN + UNREADABLE),
    "cut": Fault(act=_cut, whole=UNREADABLE, streamed=BROKEN, status=200),
    "half-a-character": Fault(act=_half_a_character, whole=UNREADABLE, streamed=BROKEN, status=200),
    "wrong-character": Fault(
        act=_wrong_character, whole=UNREADABLE, streamed=UNREADABLE, status=200
    ),
    "garbage": Fault(act=_garbage, whole=UNREADABLE, streamed=UNREADABLE, status=200),
    "other-json": Fault(act=_other_json, whole=UNREADABLE, streamed=UNREADABLE, status=200),
    "too-deep": Fault(act=_too_deep, whole=UNREADABLE, streamed=UNREADABLE, status=200),
    "page": Fault(act=_page, whole=UNREADABLE, streamed=UNREADABLE, status=200),
    "plain-text": Fault(act=_plain_text, whole=UNREADABLE, streamed=UNREADABLE, status=200),
    "empty": Fault(act=_empty, whole=UNREADABLE, streamed=BROKEN, status=200),
    "gzip-bomb": Fault(act=_gzip_bomb, whole=UNREADABLE, streamed=UNREADABLE, status=200),
    "huge-header": Fault(act=_huge_header, whole=UNREADABLE, streamed=UNREADABLE),
    "many-headers": Fault(act=_many_headers, whole=UNREADABLE, streamed=UNREADABLE),
    "no-http": Fault(
        act=partial(_status_line, line=b"SSH-2.0-OpenSSH_9.6"),
        whole=UNREADABLE,
        streamed=UNREADABLE,
    ),
    "no-status": Fault(
        act=partial(_status_line, line=b"HTTP/1.1 OK"), whole=UNREADABLE, streamed=UNREADABLE
    ),
    "unknown-status": Fault(
        act=partial(_status_line, line=b"HTTP/1.1 799 What"),
        whole=UNREADABLE,
        streamed=UNREADABLE,
        status=799,
    ),
    "informed": Fault(act=_informed, whole=(), streamed=()),
    "informed-forever": Fault(act=_informed_forever, whole=LATE, streamed=LATE, endless=True),
    "endless-refusal": Fault(
        act=_endless_refusal, whole=(ServerError,), streamed=(ServerError,), status=500
    ),
}
"""Every fault of a connection that was made, by its name."""


def true_answer(case: Case, *, stream: bool) -> Answer:
    """What the provider would have said."""
    if stream:
        return Answer(kind=case.stream_type, packets=case.pieces)
    return Answer(kind="application/json", packets=(case.body,))


@asynccontextmanager
async def faulty(act: Act, answers: Sequence[Answer]) -> AsyncIterator[ScriptedServer]:
    """A server that does `act` to each of `answers` in turn, the last one again and again."""

    def step(answer: Answer) -> Step:
        return lambda wire: act(wire, answer)

    async with serving(*map(step, answers)) as server:
        yield server


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """An address that refuses connections: its port is taken, and nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@asynccontextmanager
async def resetting() -> AsyncIterator[str]:
    """An address at which connections are accepted and reset before a word is said."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        Wire(reader, writer, asyncio.Event()).reset()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
