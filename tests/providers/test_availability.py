"""Whether a provider can be used, and if not, why."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.providers.availability import ProviderAvailability, ProviderStatus
from lattice_lock.settings import Settings
from wire_server import Wire, answer, serving

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS = {"object": "list", "data": [{"id": "qwen"}]}
DEAD = "http://127.0.0.1:1/v1"


def settings(url: str, **environment: str) -> Settings:
    """Settings with the local server at `url`."""
    return Settings.load(
        environment={"LATTICE_LOCK_LOCAL_URL": url} | environment, dotenv=Path("/nonexistent/.env")
    )


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


async def test_a_server_that_answers_is_available() -> None:
    """Its models are part of the answer, and there is no reason against it."""
    async with serving(answer(MODELS)) as server:
        status = await ProviderAvailability(settings(server.url)).status("local")
    assert status.available
    assert [str(model) for model in status.models] == ["local/qwen"]
    assert status.reason is None


async def test_a_server_that_is_not_there_says_what_to_do() -> None:
    """A refused connection is a reason with a hint, and nothing is raised."""
    status = await ProviderAvailability(settings(DEAD)).status("local")
    assert not status.available
    assert "127.0.0.1:1" in (status.reason or "")
    assert "LATTICE_LOCK_LOCAL_URL" in (status.hint or "")


async def test_an_unknown_provider_is_unavailable() -> None:
    """A name that nobody has is answered with the names that there are."""
    for name in ("never-heard-of", "transport", "_embedded_worker", "base_client"):
        status = await ProviderAvailability(settings(DEAD)).status(name)
        assert not status.available
        assert "`local`" in (status.hint or "")


async def test_all_providers_are_found_by_their_files(tmp_path: Path) -> None:
    """Every provider file is looked at, and each one that cannot run says why."""
    looker = ProviderAvailability(settings(DEAD, LATTICE_LOCK_DATA_DIR=str(tmp_path)))
    found = {status.provider: status for status in await looker.all()}
    assert {"embedded", "local"} <= set(found)
    assert "models pull embedded" in (found["embedded"].hint or "")
    assert all(status.reason for status in found.values())


async def test_what_was_seen_expires() -> None:
    """A good answer holds half a minute, a bad one five seconds, and `forget` ends either."""
    clock = Clock()
    async with serving(answer(MODELS), answer({}, 500), answer(MODELS)) as server:
        looker = ProviderAvailability(settings(server.url), clock=clock)

        async def seen_after(seconds: float) -> tuple[bool, int]:
            clock.now += seconds
            return (await looker.status("local")).available, len(server.requests)

        assert await seen_after(0) == (True, 1)
        assert await seen_after(29) == (True, 1)
        assert await seen_after(2) == (False, 2)
        assert await seen_after(4) == (False, 2)
        assert await seen_after(2) == (True, 3)
        looker.forget("local")
        assert await seen_after(0) == (True, 4)


async def test_callers_of_one_loop_share_a_look() -> None:
    """Fifty tasks that ask at once cause one request."""
    async with serving(answer(MODELS)) as server:
        looker = ProviderAvailability(settings(server.url))
        seen = await asyncio.gather(*(looker.status("local") for _ in range(50)))
    assert len(server.requests) == 1
    assert len({id(status) for status in seen}) == 1


async def test_a_cancelled_look_is_taken_over() -> None:
    """When the one who looks is cancelled, one of those who wait looks in its place."""
    looked = asyncio.Event()

    async def silent(wire: Wire) -> None:
        looked.set()
        await wire.until_hung_up()

    async with serving(silent, answer(MODELS)) as server:
        looker = ProviderAvailability(settings(server.url))
        first = asyncio.create_task(looker.status("local"))
        await asyncio.wait_for(looked.wait(), 5)
        others = [asyncio.create_task(looker.status("local")) for _ in range(5)]
        await asyncio.sleep(0)
        others[0].cancel()
        first.cancel()
        seen = await asyncio.gather(*others[1:])
    assert all(status.available for status in seen)
    assert len(server.requests) == 2


@pytest.mark.parametrize("round_", range(5))
def test_64_threads_released_at_once_cause_one_look(
    round_: int, counting_server: Callable[[], tuple[str, Callable[[], int]]]
) -> None:
    """Threads with event loops of their own, released at a barrier, get one answer by one look."""
    url, count = counting_server()
    looker = ProviderAvailability(settings(url))
    barrier = threading.Barrier(64)

    def ask() -> ProviderStatus:
        barrier.wait()
        return asyncio.run(looker.status("local"))

    with ThreadPoolExecutor(64) as pool:
        seen = [future.result() for future in [pool.submit(ask) for _ in range(64)]]
    assert count() == 1, round_
    assert len({id(status) for status in seen}) == 1
    assert seen[0].available


@pytest.fixture
def counting_server() -> object:
    """A server in a thread of its own that counts requests."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened = []

    def start() -> tuple[str, Callable[[], int]]:
        manager = serving(answer(MODELS))
        opened.append(manager)
        server = asyncio.run_coroutine_threadsafe(manager.__aenter__(), loop).result(10)
        return server.url, lambda: len(server.requests)

    yield start
    for manager in opened:
        asyncio.run_coroutine_threadsafe(manager.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
