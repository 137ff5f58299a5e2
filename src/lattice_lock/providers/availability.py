"""The one answer to whether a provider can be used here and now, and if not, why."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lattice_lock.errors.retry import RetryPolicy
from lattice_lock.exceptions import APIClientError, UsageError
from lattice_lock.providers.discovery import client_class, provider_names
from lattice_lock.providers.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.messages import ModelId
    from lattice_lock.settings import Settings

__all__ = ["ProviderAvailability", "ProviderStatus"]

_PROBE_TIMEOUT_S = 5.0
_GOOD_FOR_S = 30.0
_BAD_FOR_S = 5.0
_ONCE = RetryPolicy(max_attempts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """What a look at a provider has shown.

    Attributes:
        models: the models that it offers, in its own order; empty where it does not say.
        reason: why it cannot be used, as a sentence; None where it can.
        hint: what to do about that, as a sentence, where it is known.
    """

    provider: str
    models: tuple[ModelId, ...] = ()
    reason: str | None = None
    hint: str | None = None

    @property
    def available(self) -> bool:
        """Whether it can be used."""
        return self.reason is None


class ProviderAvailability:
    """Looks at providers, remembers what it saw for a while, and never looks twice at once.

    One instance serves any number of threads and event loops: whoever asks first looks, in its own
    loop with connections of its own, and everyone else waits for that answer.

    Args:
        clock: seconds that only grow; what was seen expires by it.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, ProviderStatus]] = {}
        self._looking: dict[str, Future[ProviderStatus | None]] = {}

    async def status(self, provider: str) -> ProviderStatus:
        """Whether `provider` can be used, at most half a minute old.

        An unknown provider is one that cannot be used; nothing is raised.
        """
        while True:
            with self._lock:
                expires, seen = self._seen.get(provider, (0.0, None))
                if seen is not None and self._clock() < expires:
                    return seen
                running = self._looking.get(provider)
                if running is None:
                    mine: Future[ProviderStatus | None] = Future()
                    self._looking[provider] = mine
                    break
            # Shielded, because cancelling one who waits must not cancel it for the others.
            answer = await asyncio.shield(asyncio.wrap_future(running))
            if answer is not None:
                return answer
        return await self._look(provider, mine)

    async def all(self) -> tuple[ProviderStatus, ...]:
        """The status of every provider, in alphabetical order."""
        names = await asyncio.to_thread(provider_names)
        return tuple(await asyncio.gather(*map(self.status, names)))

    def forget(self, provider: str) -> None:
        """Look anew the next time that someone asks."""
        with self._lock:
            self._seen.pop(provider, None)

    async def _look(self, provider: str, mine: Future[ProviderStatus | None]) -> ProviderStatus:
        status: ProviderStatus | None = None
        try:
            status = await self._probe(provider)
            return status
        finally:
            with self._lock:
                del self._looking[provider]
                if status is not None:
                    lasts_s = _GOOD_FOR_S if status.available else _BAD_FOR_S
                    self._seen[provider] = (self._clock() + lasts_s, status)
            # None, where we were cancelled, makes one of those who wait look in our place.
            mine.set_result(status)

    async def _probe(self, provider: str) -> ProviderStatus:
        try:
            kind = await asyncio.to_thread(client_class, provider)
            missing = kind.missing_setting(self._settings)
            if missing is not None:
                return ProviderStatus(provider=provider, reason="It is not set up.", hint=missing)
            async with Transport(self._settings) as transport, asyncio.timeout(_PROBE_TIMEOUT_S):
                client = kind(self._settings, transport, retry=_ONCE)
                try:
                    models = await client.list_models()
                finally:
                    await client.aclose()
        except TimeoutError:
            reason = f"It did not answer within {_PROBE_TIMEOUT_S:g} s."
            return ProviderStatus(provider=provider, reason=reason)
        except APIClientError as error:
            return ProviderStatus(provider=provider, reason=error.message, hint=error.hint)
        except UsageError as error:  # it lists a name that no model can have
            reason = f"Its list is garbage: {error.message}"
            return ProviderStatus(provider=provider, reason=reason)
        return ProviderStatus(provider=provider, models=models)
