"""A real HTTP server on loopback that answers as a script says."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lattice_lock.errors.retry import RetryPolicy
from lattice_lock.messages import ChatRequest, Message, ModelId
from lattice_lock.providers.local import LocalClient
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from typing import TypeAlias

    Step: TypeAlias = Callable[["Wire"], Awaitable[object]]

NOWHERE = Path("/nonexistent/.env")
QUICK = RetryPolicy(base_s=0.001, cap_s=0.002)


@dataclass(kw_only=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass
class Wire:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    hung_up: asyncio.Event

    async def send(self, *pieces: bytes | str) -> None:
        """Send each piece as a packet of its own."""
        for piece in pieces:
            self.writer.write(piece.encode() if isinstance(piece, str) else piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def head(self, status: int = 200, kind: str = "application/json", **more: str) -> None:
        """Send status and headers; the body ends with the connection."""
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
        await self.send("\r\n".join(lines) + "\r\n\r\n")

    async def until_hung_up(self) -> None:
        """Stay silent until the client closes the connection."""
        await self.reader.read()
        self.hung_up.set()

    def reset(self) -> None:
        """Break the connection without a farewell."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class ScriptedServer:
    """Answers request number n with step number n; the last step repeats."""

    steps: Sequence[Step]
    url: str = ""
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        try:
            while (request := await _receive(reader)) is not None:
                step = self.steps[min(len(self.requests), len(self.steps) - 1)]
                self.requests.append(request)
                if await step(Wire(reader, writer, self.hung_up)) != "keep":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.hung_up.set()
        finally:
            writer.close()


async def _receive(reader: asyncio.StreamReader) -> Received | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ")
    headers: dict[str, str] = {}
    while (header := (await reader.readline()).decode().strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method=method, path=path, headers=headers, body=body)


def whole(text: str = "Hi", **more: Any) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}
    choice["message"] |= {"content": text}  # type: ignore[operator]  # it is a dict
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "c1", "model": "served", "choices": [choice], "usage": usage} | more


def answer(body: object, status: int = 200, *, keep: bool = False, **headers: str) -> Step:
    """The step that sends `body` as JSON."""

    async def step(wire: Wire) -> object:
        content = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(content)}", *([] if keep else ["Connection: close"])]
        await wire.send("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        return "keep" if keep else "close"

    return step


def event(**chunk: Any) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(chunk)}\n\n"


def delta(text: str | None = None, finish: str | None = None, **more: Any) -> str:
    """One event of a streamed chat completion."""
    content = more if text is None else {"content": text} | more
    return event(choices=[{"index": 0, "delta": content, "finish_reason": finish}])


def events(*pieces: str | bytes) -> Step:
    """The step that streams `pieces` and ends the body."""

    async def step(wire: Wire) -> None:
        await wire.head(kind="text/event-stream", X_Request_Id="req-1")
        await wire.send(*pieces)

    return step


@asynccontextmanager
async def serving(*steps: Step) -> AsyncIterator[ScriptedServer]:
    """A server on loopback that follows `steps`."""
    script = ScriptedServer(steps)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    script.url = f"http://{host}:{port}/v1"
    async with server:
        yield script


@asynccontextmanager
async def client_of(
    url: str, *, retry: RetryPolicy = QUICK, **environment: str
) -> AsyncIterator[LocalClient]:
    """A client of `url` with its own transport."""
    settings = Settings.load(
        environment={"LATTICE_LOCK_LOCAL_URL": url} | environment, dotenv=NOWHERE
    )
    async with Transport(settings) as transport:
        yield LocalClient(settings, transport, retry=retry)


def ask(text: str = "Hello", **changes: Any) -> ChatRequest:
    """A request to the local provider."""
    model = ModelId(provider="local", name="qwen")
    fields: dict[str, Any] = {"model": model, "messages": (Message.user(text),)}
    return ChatRequest(**(fields | changes))
