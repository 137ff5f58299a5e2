"""Everything is down: how much is sent in vain, what is reported, and what is left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from every_provider import CASES, FORMATS, TEXT, Case, client_of
from fault_proxy import refusing, resetting
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    OverloadedError,
    ProviderConnectionError,
)
from lattice_lock.providers.breaker import Breakers
from lattice_lock.providers.fallback import FallbackManager
from wire_server import serving

if TYPE_CHECKING:
    from lattice_lock.providers.base_client import BaseAPIClient
    from wire_server import Step, Wire

_CALLS = 500
_QUOTA = 10
_CANCELLED = 200
_AT_ONCE = 50
each_format = pytest.mark.parametrize("case", [CASES[name] for name in FORMATS], ids=FORMATS)


async def _failed_attempts(client: BaseAPIClient, case: Case) -> int:
    """Attempts that `_CALLS` failing calls have counted."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def call() -> int:
        async with limit:
            with pytest.raises(APIClientError) as caught:
                await client.chat_completion(case.ask())
            return caught.value.attempt or 0

    return sum(await asyncio.gather(*(call() for _ in range(_CALLS))))


@each_format
async def test_an_outage_is_not_multiplied(case: Case) -> None:
    """While all requests fail, retries stay within a tenth of the calls and the quota."""
    async with serving(case.problem(500)) as server, client_of(case, server.url) as client:
        attempts = await _failed_attempts(client, case)
    assert attempts == len(server.requests)
    assert _CALLS < attempts <= 1.1 * _CALLS + _QUOTA


async def test_refused_connections_are_not_multiplied() -> None:
    """The same holds where nobody listens."""
    case = CASES["local"]
    async with refusing() as url, client_of(case, url) as client:
        attempts = await _failed_attempts(client, case)
    assert _CALLS < attempts <= 1.1 * _CALLS + _QUOTA


async def test_an_outage_is_left_alone_by_an_open_breaker() -> None:
    """With the breakers that the command line shares, most calls send nothing at all."""
    case = CASES["local"]
    async with serving(case.problem(500)) as server, client_of(case, server.url) as client:
        client.share_breakers(Breakers())
        await _failed_attempts(client, case)
    assert 0 < len(server.requests) < _CALLS / 2


async def test_when_all_fail_every_cause_is_reported() -> None:
    """Three providers that are down in three ways give one error that holds all three."""
    local, claude, gemini = (CASES[name] for name in ("local", "anthropic", "google"))
    async with (
        refusing() as nobody,
        resetting() as rude,
        serving(gemini.problem(503)) as busy,
        client_of(local, nobody) as first,
        client_of(claude, rude) as second,
        client_of(gemini, busy.url) as third,
    ):
        manager = FallbackManager({"local": first, "anthropic": second, "google": third})
        models = [case.ask().model for case in (local, claude, gemini)]
        with pytest.raises(AllProvidersFailedError) as caught:
            await manager.chat_completion(local.ask(), models)
        with pytest.raises(AllProvidersFailedError) as streamed:
            await anext(manager.stream(local.ask(), models))
    for group in (caught.value, streamed.value):
        causes = [
            (type(error), error.provider, error.attempt)
            for error in group.exceptions
            if isinstance(error, APIClientError)
        ]
        assert causes == [
            (ProviderConnectionError, "local", 3),
            (ProviderConnectionError, "anthropic", 3),
            (OverloadedError, "google", 3),
        ]


def _held() -> tuple[int, int]:
    """Descriptors and tasks of this process."""
    return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())  # noqa: PTH208  # counts


async def _settled(before: tuple[int, int]) -> None:
    """Wait until what is held is what was held before; closing a socket takes a turn or two."""
    async with asyncio.timeout(5):
        while _held() != before:  # noqa: ASYNC110  # the kernel has no event for it
            await asyncio.sleep(0.001)


def _stops_after(case: Case, packets: int | None, reached: asyncio.Semaphore) -> Step:
    """The step that falls silent after `packets` of a stream, None before its head."""

    async def step(wire: Wire) -> None:
        if packets is not None:
            await wire.head(kind=case.stream_type)
            await wire.send(*case.pieces[:packets])
        reached.release()
        await wire.until_hung_up()

    return step


@pytest.mark.parametrize("phase", ["connected", "head", "text", "last"])
@pytest.mark.parametrize("name", ["anthropic", "bedrock"])
async def test_cancelled_streams_leave_nothing_behind(name: str, phase: str) -> None:
    """Hundreds of streams that are cancelled in one phase leave no task and no descriptor."""
    case = CASES[name]
    packets = {"connected": None, "head": 0, "text": 4, "last": len(case.pieces)}[phase]
    reached = asyncio.Semaphore(0)
    before = _held()
    step = _stops_after(case, packets, reached)
    async with serving(step) as server, client_of(case, server.url) as client:

        async def read_on() -> None:
            async with aclosing(client.stream(case.ask())) as events:
                async for _ in events:
                    pass

        for _ in itertools.repeat(None, _CANCELLED // _AT_ONCE):
            tasks = [asyncio.create_task(read_on()) for _ in range(_AT_ONCE)]
            for _ in tasks:
                await reached.acquire()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            # Behind the last event a stream may also come to its end by itself.
            assert all(
                isinstance(result, asyncio.CancelledError) or (phase == "last" and result is None)
                for result in results
            )
        assert len(server.requests) == _CANCELLED
    await _settled(before)


async def test_calls_cancelled_while_connecting_leave_nothing_behind() -> None:
    """Calls that are cancelled before they have a connection leave none behind."""
    case = CASES["anthropic"]
    before = _held()
    async with serving(case.whole) as server, client_of(case, server.url) as client:
        for turns in range(_CANCELLED):
            task = asyncio.create_task(client.chat_completion(case.ask()))
            for _ in range(turns % 12):
                await asyncio.sleep(0)
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(result, BaseException):
                assert isinstance(result, asyncio.CancelledError)
            else:
                assert result.text == TEXT
    await _settled(before)
