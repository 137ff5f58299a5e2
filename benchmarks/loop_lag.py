"""How late the event loop is while 64 calls run at once and every other request is repeated.

A heartbeat that wants to beat each 5 ms measures it: beside raw aiohttp doing the same requests, on
a machine that has nothing else to do and on one whose cores are busy. `--quick` only shows that
everything runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import aiohttp
from _server import running

from lattice_lock.errors.retry import RetryPolicy
from lattice_lock.exceptions import APIClientError
from lattice_lock.messages import ChatRequest, Message, ModelId
from lattice_lock.providers.discovery import client_class
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_BEAT_S = 0.005
_CONCURRENCY = 64
_RETRY = RetryPolicy(max_attempts=3, base_s=0.02, cap_s=0.05)


async def _lag_ms(work: Awaitable[object]) -> list[float]:
    """Milliseconds by which each beat was late while `work` ran, in rising order."""
    loop = asyncio.get_running_loop()
    late: list[float] = []

    async def beat() -> None:
        while True:
            due = loop.time() + _BEAT_S
            await asyncio.sleep(_BEAT_S)
            late.append((loop.time() - due) * 1000.0)

    heart = asyncio.create_task(beat())
    try:
        await work
    finally:
        heart.cancel()
        with suppress(asyncio.CancelledError):
            await heart
    return sorted(late)


async def _together(call: Callable[[], Awaitable[object]], number: int) -> None:
    left = iter(range(number))

    async def worker() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(worker() for _ in range(_CONCURRENCY)))


async def _ours(address: str, number: int) -> list[float]:
    environment = {"GROQ_BASE_URL": f"{address}/busy/v1", "GROQ_API_KEY": "k"}
    settings = await asyncio.to_thread(Settings.load, environment=environment)
    kind = await asyncio.to_thread(client_class, "groq")
    model = ModelId(provider="groq", name="m")
    async with Transport(settings) as transport:
        client = kind(settings, transport, retry=_RETRY)

        async def call() -> None:
            request = ChatRequest(model=model, messages=(Message.user("Hello"),))
            with suppress(APIClientError):  # an outage is not multiplied: the quota may be used up
                await client.chat_completion(request)

        return await _lag_ms(_together(call, number))


async def _raw(address: str, number: int) -> list[float]:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    async with aiohttp.ClientSession() as session:

        async def call() -> None:
            async with session.post(f"{address}/busy/v1/chat/completions", json=body) as response:
                await response.read()

        return await _lag_ms(_together(call, number))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few calls of each kind")
    number = 200 if parser.parse_args().quick else 20_000
    print(f"{'lag of the event loop, ms':<34}{'median':>8}{'p99':>8}{'max':>8}")
    with running() as address:
        for busy in (False, True):
            with ExitStack() as stack:
                for _ in range(os.cpu_count() or 1 if busy else 0):
                    spin = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                    stack.callback(spin.wait)
                    stack.callback(spin.terminate)
                for name, measure in (("aiohttp", _raw), ("lattice-lock, with retries", _ours)):
                    late = asyncio.run(measure(address, number))
                    cells = (late[len(late) // 2], late[int(len(late) * 0.99)], late[-1])
                    where = "busy" if busy else "idle"
                    print(f"{f'{name}, {where}':<34}" + "".join(f"{cell:>8.2f}" for cell in cells))


if __name__ == "__main__":
    main()
