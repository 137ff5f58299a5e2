"""What the orchestrator adds to a call: to a model that is named, and to one that is chosen.

The server answers at once, which no model does, so the milliseconds count and not the ratios. The
last lines set them beside a real call: of the smallest model that runs on this machine, where
`lattice-lock models pull embedded` has fetched it. `--quick` only shows that everything runs.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _server import running

from lattice_lock.bootstrap import open_clients, open_orchestrator
from lattice_lock.messages import ChatRequest, Message, ModelId
from lattice_lock.orchestrator.completing import AUTO
from lattice_lock.providers.availability import ProviderAvailability
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_MODEL = ModelId(provider="groq", name="openai/gpt-oss-20b")
_WORDS = "Say that all is well, in as many words as you like."
_ROUNDS = 5
_MOST_PERCENT = 10


def _request(model: ModelId) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message.user(_WORDS),), max_output_tokens=16)


async def _cpu_ms(call: Callable[[], Awaitable[object]], number: int) -> float:
    began = time.process_time()
    for _ in range(number):
        await call()
    return (time.process_time() - began) * 1000 / number


async def _added(address: str, folder: Path, number: int) -> dict[str, float]:
    """CPU milliseconds of a call, by the way it takes."""
    settings = await asyncio.to_thread(
        Settings.load,
        environment={
            "GROQ_BASE_URL": f"{address}/v1",
            "GROQ_API_KEY": "k",
            "LATTICE_LOCK_DATA_DIR": str(folder),
            "LATTICE_LOCK_LOCAL_URL": "http://127.0.0.1:9/v1",
        },
        dotenv=folder / "none",
    )
    async with open_clients(settings, ["groq"]) as clients, open_orchestrator(settings) as door:
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "client alone": lambda: clients["groq"].chat_completion(_request(_MODEL)),
            "model named": lambda: door.complete(_request(_MODEL)),
            "model chosen": lambda: door.complete(_request(AUTO)),
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        for call in ways.values():
            await _cpu_ms(call, 5)
        for _ in range(_ROUNDS):
            for way, call in ways.items():
                found[way].append(await _cpu_ms(call, number))
    return {way: statistics.median(each) for way, each in found.items()}


async def _embedded_ms(number: int) -> float | None:
    """Milliseconds that a real call takes, None where no embedded model is here."""
    settings = await asyncio.to_thread(Settings.load)
    status = await ProviderAvailability(settings).status("embedded")
    if not status.models:
        return None
    taken = []
    async with open_clients(settings, ["embedded"]) as clients:
        for _ in range(number + 1):
            began = time.perf_counter()
            await clients["embedded"].chat_completion(_request(status.models[0]))
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few calls of each kind")
    quick = parser.parse_args().quick
    with running() as address, tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_added(address, Path(folder), 20 if quick else 1000))
    alone = found["client alone"]
    print(f"{'CPU ms per call':<20}{'':>8}{'added':>8}")
    for way, cpu_ms in found.items():
        print(f"{way:<20}{cpu_ms:>8.3f}{cpu_ms - alone:>8.3f}")
    real_ms = asyncio.run(_embedded_ms(1 if quick else 10))
    if real_ms is None:
        print("no embedded model: `lattice-lock models pull embedded` fetches it")
        return
    print(f"a call of the embedded model, 16 tokens: {real_ms:.0f} ms")
    for way in ("model named", "model chosen"):
        percent = (found[way] - alone) / real_ms * 100
        print(f"{way}: {percent:.2f}% more (at most {_MOST_PERCENT}%)")


if __name__ == "__main__":
    main()
