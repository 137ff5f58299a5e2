"""One client under measurement, in a process of its own; the benchmarks run it, also for peers.

    python _clients.py CLIENT ADDRESS MODE NUMBER CONCURRENCY

prints one JSON object. It imports a client's package only when that client is asked for, because
peers live in another environment, where Lattice Lock is not installed.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Call = Callable[[], Awaitable[None]]
    Stream = Callable[[], Awaitable[float]]

WORDS = "Say that all is well, in as many words as you like."
_WARM_UP = 30


@asynccontextmanager
async def _aiohttp(address: str) -> AsyncIterator[tuple[Call, Stream]]:
    import aiohttp  # noqa: PLC0415
    import msgspec  # noqa: PLC0415

    body = {"model": "m", "messages": [{"role": "user", "content": WORDS}]}
    url = f"{address}/v1/chat/completions"
    headers = {"Content-Type": "application/json", "Authorization": "Bearer k"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call() -> None:
            data = msgspec.json.encode(body)
            async with session.post(url, data=data, headers=headers) as response:
                _check(msgspec.json.decode(await response.read())["choices"][0]["message"])

        async def stream() -> float:
            data = msgspec.json.encode(body | {"stream": True})
            began = time.perf_counter()
            first = text = 0.0
            async with session.post(url, data=data, headers=headers) as response:
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        delta = msgspec.json.decode(line[6:])["choices"][0]["delta"]
                        first = first or time.perf_counter() - began
                        text += len(delta.get("content", ""))
            _check(text)
            return first

        yield call, stream


@asynccontextmanager
async def _ours(address: str) -> AsyncIterator[tuple[Call, Stream]]:
    from lattice_lock.bootstrap import open_clients  # noqa: PLC0415
    from lattice_lock.messages import ChatRequest, Message, ModelId, TextDelta  # noqa: PLC0415
    from lattice_lock.providers.middleware import Middleware  # noqa: PLC0415
    from lattice_lock.settings import Settings  # noqa: PLC0415

    environment = {"GROQ_BASE_URL": f"{address}/v1", "GROQ_API_KEY": "k"}
    settings = await asyncio.to_thread(Settings.load, environment=environment)
    model = ModelId(provider="groq", name="openai/gpt-oss-20b")
    async with open_clients(settings, ["groq"], middleware=[Middleware()]) as clients:
        client = clients["groq"]

        async def call() -> None:
            request = ChatRequest(model=model, messages=(Message.user(WORDS),))
            _check((await client.chat_completion(request)).text)

        async def stream() -> float:
            request = ChatRequest(model=model, messages=(Message.user(WORDS),))
            began = time.perf_counter()
            first = text = 0.0
            async for event in client.stream(request):
                if isinstance(event, TextDelta):
                    first = first or time.perf_counter() - began
                    text += len(event.text)
            _check(text)
            return first

        yield call, stream


@asynccontextmanager
async def _openai(address: str) -> AsyncIterator[tuple[Call, Stream]]:
    import openai  # noqa: PLC0415

    messages: Any = [{"role": "user", "content": WORDS}]
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="k") as client:

        async def call() -> None:
            answer = await client.chat.completions.create(model="m", messages=messages)
            _check(answer.choices[0].message.content)

        async def stream() -> float:
            began = time.perf_counter()
            first = text = 0.0
            async for chunk in await client.chat.completions.create(
                model="m", messages=messages, stream=True
            ):
                first = first or time.perf_counter() - began
                text += len(chunk.choices[0].delta.content or "")
            _check(text)
            return first

        yield call, stream


@asynccontextmanager
async def _anthropic(address: str) -> AsyncIterator[tuple[Call, Stream | None]]:
    import anthropic  # noqa: PLC0415

    messages: Any = [{"role": "user", "content": WORDS}]
    async with anthropic.AsyncAnthropic(base_url=address, api_key="k") as client:

        async def call() -> None:
            answer = await client.messages.create(model="m", messages=messages, max_tokens=64)
            _check(answer.content)

        yield call, None


@asynccontextmanager
async def _litellm(address: str) -> AsyncIterator[tuple[Call, Stream]]:
    import litellm  # type: ignore[import-not-found]  # noqa: PLC0415  # in the peers' environment

    common: Any = {
        "model": "openai/m",
        "messages": [{"role": "user", "content": WORDS}],
        "api_base": f"{address}/v1",
        "api_key": "k",
    }

    async def call() -> None:
        _check((await litellm.acompletion(**common)).choices[0].message.content)

    async def stream() -> float:
        began = time.perf_counter()
        first = text = 0.0
        async for chunk in await litellm.acompletion(**common, stream=True):
            first = first or time.perf_counter() - began
            text += len(chunk.choices[0].delta.content or "")
        _check(text)
        return first

    yield call, stream


CLIENTS: dict[str, Any] = {
    "aiohttp": _aiohttp,
    "lattice-lock": _ours,
    "openai": _openai,
    "anthropic": _anthropic,
    "litellm": _litellm,
}


def _check(answer: object) -> None:
    if not answer:
        raise SystemExit("an empty answer is no answer")


async def _many(work: Callable[[], Awaitable[object]], number: int, concurrency: int) -> None:
    left = iter(range(number))

    async def worker() -> None:
        for _ in left:
            await work()

    await asyncio.gather(*(worker() for _ in range(concurrency)))


def rss_mib() -> float:
    """Resident memory of this process now."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  # no path needed
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


async def _measure(
    call: Call, stream: Stream, mode: str, number: int, concurrency: int
) -> dict[str, float]:
    if mode == "once":
        await call()
        return {}
    if mode == "memory":
        return await _memory(call, stream, number)
    if mode == "calls":
        await _many(call, _WARM_UP * concurrency, concurrency)
        began = time.process_time()
        await _many(call, number, concurrency)
        return {"cpu_ms": (time.process_time() - began) * 1000 / number}
    for _ in range(_WARM_UP):
        await stream()
    began = time.process_time()
    firsts = [await stream() for _ in range(number)]
    spent = time.process_time() - began
    return {
        "cpu_us_per_chunk": spent * 1e6 / number / 64,
        "first_ms": statistics.median(firsts) * 1000,
    }


async def _memory(call: Call, stream: Stream, number: int) -> dict[str, float]:
    await _many(call, 640, 64)
    after_64 = rss_mib()
    await _many(call, number // 10, 64)
    await _many(stream, number // 100, 16)
    settled = rss_mib()
    await _many(call, number - number // 10, 64)
    after_calls = rss_mib()
    await _many(stream, number // 10 - number // 100, 16)
    return {
        "after_64_mib": after_64,
        "calls_growth_mib": after_calls - settled,
        "streams_growth_mib": rss_mib() - after_calls,
    }


async def _main(name: str, address: str, mode: str, number: int, concurrency: int) -> None:
    async with CLIENTS[name](address) as (call, stream):
        print(json.dumps(await _measure(call, stream, mode, number, concurrency)))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
