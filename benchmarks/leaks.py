"""What streams leave behind that were cancelled or broke, 10,000 of each in each of five phases.

Sockets (as descriptors) and tasks have to be back at what they were; memory is printed. Streams are
those of the provider `local`; the tests cancel those of other providers too, though fewer.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from lattice_lock.errors.retry import RetryPolicy
from lattice_lock.messages import ChatRequest, Message, ModelId
from lattice_lock.providers.local import LocalClient
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    _Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_STREAMS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
_AT_ONCE = 50
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
_LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
# What the server sends before it falls silent; None: cancelled before there is a connection.
_PHASES = {
    "connecting": None,
    "waiting for the head": b"",
    "after the head": _HEAD,
    "in the text": _HEAD + _TEXT,
    "after the last event": _HEAD + _TEXT + _LAST,
}


def _held() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())  # noqa: PTH208  # counts


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _script(sent: bytes, reached: asyncio.Semaphore, *, fails: bool) -> _Serve:
    """A server that sends `sent`, then says so and falls silent, or breaks the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            await writer.drain()
            reached.release()
            if fails:
                writer.transport.abort()
            while await reader.read(65536):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return serve


async def _end_all(sent: bytes | None, count: int, *, fails: bool) -> None:
    """Cancel `count` streams after the server has sent `sent`, or have the server break them."""
    reached = asyncio.Semaphore(0)
    server = await asyncio.start_server(_script(sent or b"", reached, fails=fails), "127.0.0.1", 0)
    port = 1 if fails and sent is None else server.sockets[0].getsockname()[1]
    environment = {"LATTICE_LOCK_LOCAL_URL": f"http://127.0.0.1:{port}/v1"}
    settings = Settings.load(environment=environment, dotenv=Path("/nonexistent/.env"))
    model = ModelId(provider="local", name="m")
    request = ChatRequest(model=model, messages=(Message.user("Hello"),))
    async with server, Transport(settings) as transport:
        client = LocalClient(settings, transport, retry=RetryPolicy(max_attempts=1))

        async def read_on() -> None:
            async with aclosing(client.stream(request)) as events:
                async for _ in events:
                    pass

        for _ in range(count // _AT_ONCE):
            tasks = [asyncio.create_task(read_on()) for _ in range(_AT_ONCE)]
            if not fails:
                await _reach(reached, 0 if sent is None else len(tasks))
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _reach(reached: asyncio.Semaphore, count: int) -> None:
    """Wait until `count` streams are where they are to be; for none, until they have begun."""
    await asyncio.sleep(0)
    for _ in range(count):
        await reached.acquire()


async def _settled(before: tuple[int, int]) -> tuple[int, int]:
    """What is held when nothing changes any more, or after five seconds."""
    for _ in range(500):
        if _held() == before:
            break
        await asyncio.sleep(0.01)
    return _held()


async def main() -> bool:
    """Print the table; whether nothing was left."""
    print(f"leaks: {_STREAMS} streams of each kind in each phase")
    print(f"{'':<34} {'descriptors':>12} {'tasks':>6} {'MiB more':>9}")
    clean = True
    for fails, (phase, sent) in itertools.product((False, True), _PHASES.items()):
        before = _held()
        await _end_all(sent, 500, fails=fails)  # fills caches and the allocator's arenas
        await _settled(before)
        gc.collect()
        resident_mib = _resident_mib()
        await _end_all(sent, _STREAMS, fails=fails)
        descriptors, tasks = (
            now - then for now, then in zip(await _settled(before), before, strict=True)
        )
        gc.collect()
        grown_mib = _resident_mib() - resident_mib
        how = f"{'broken' if fails else 'cancelled'}, {phase}"
        print(f"{how:<34} {descriptors:>+12} {tasks:>+6} {grown_mib:>+9.1f}")
        clean = clean and not descriptors and not tasks
    return clean


if __name__ == "__main__":
    raise SystemExit(0 if asyncio.run(main()) else 1)
