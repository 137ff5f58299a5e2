"""The server that the benchmarks call: a process of its own, so that its work is not counted.

It speaks as much of OpenAI's chat completions and Anthropic's messages as the clients need, keeps
connections open, and does as little as it can.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNKS = 64


def _response(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


_USAGE = {"prompt_tokens": 12, "completion_tokens": 64, "total_tokens": 76}
_MESSAGE = {"role": "assistant", "content": "All is well. " * 8}
_CHAT = _response(
    json.dumps(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": _MESSAGE}],
            "usage": _USAGE,
        }
    ).encode()
)
_MESSAGES = _response(
    json.dumps(
        {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": _MESSAGE["content"]}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 12, "output_tokens": 64},
        }
    ).encode()
)
_MODELS = _response(
    b'{"object": "list", "data": [{"id": "openai/gpt-oss-20b", "object": "model"}]}'
)
_BUSY = _response(b'{"error": {"message": "busy"}}', status="503 Busy")
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return _chunked(b"data: " + json.dumps(chunk | {"choices": [choice]}).encode() + b"\n\n")


_EVENTS = [
    *(_event({"role": "assistant", "content": "word "}) for _ in range(CHUNKS)),
    _event({}, "stop"),
    _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n",
]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    requests = 0
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0] or 0)
            body = await reader.readexactly(length)
            requests += 1
            if b"/busy/" in head and requests % 2:
                writer.write(_BUSY)
            elif b"/models" in head:
                writer.write(_MODELS)
            elif b"/messages" in head:
                writer.write(_MESSAGES)
            elif b'"stream":true' in body.replace(b" ", b""):
                writer.write(_STREAM_HEAD)
                for event in _EVENTS:
                    writer.write(event)
                    await writer.drain()
                    await asyncio.sleep(0)
            else:
                writer.write(_CHAT)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running() -> Iterator[str]:
    """The address of a server in a process of its own, without a path."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as server:
        port = server.stdout.readline().strip() if server.stdout else ""
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


if __name__ == "__main__":
    asyncio.run(_main())
