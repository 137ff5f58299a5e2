"""Deadlines, retries and breakers while the wall clock of the machine jumps by years."""

from __future__ import annotations

import subprocess
import sys

_PROCESS = """
import asyncio, itertools, sys, time
sys.path.insert(0, {support!r})
from lattice_lock.exceptions import ProviderTimeoutError, ProviderUnavailableError, ServerError
from wire_server import answer, ask, client_of, serving, whole

years = 365 * 86400.0
jumps = itertools.cycle((30 * years, -30 * years, 0.0))
honest = time.time
time.time = lambda: honest() + next(jumps)  # the clock of the machine, not a function of ours

async def silent(wire):
    await wire.until_hung_up()

async def main():
    busy = answer({{"error": {{"message": "busy"}}}}, 500)
    async with serving(busy, busy, answer(whole())) as server, client_of(server.url) as client:
        answered = await client.chat_completion(ask())
        print("repeated", answered.text, answered.attempts, 0 < answered.latency_ms < 60_000)
    async with serving(silent) as server, client_of(server.url) as client:
        began = time.monotonic()
        try:
            await client.chat_completion(ask(timeout_s=0.2))
        except ProviderTimeoutError as error:
            print("late", error.attempt, 0.15 < time.monotonic() - began < 20)
    soon = answer({{"error": {{"message": "slow"}}}}, 429, Retry_After="0")
    async with serving(soon, answer(whole())) as server, client_of(server.url) as client:
        print("after a wait", (await client.chat_completion(ask())).attempts)

asyncio.run(main())
print("jumped", abs(time.time() - honest()) > years or abs(time.time() - honest()) > years)
"""


def test_a_jumping_wall_clock_changes_nothing() -> None:
    """Attempts, waits and deadlines follow a clock that only grows, whatever the date becomes."""
    support = next(path for path in sys.path if path.endswith("support"))
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS.format(support=support)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "repeated Hi 3 True",
        "late 1 True",
        "after a wait 2",
        "jumped True",
    ], done.stderr
