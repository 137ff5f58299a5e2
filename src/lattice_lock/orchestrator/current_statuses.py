"""Which providers can run, without a call ever waiting for what was known a moment ago."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.providers.availability import ProviderAvailability, ProviderStatus

__all__ = ["CurrentStatuses"]

_FRESH_S = 30.0


class CurrentStatuses:
    """The status of every provider, looked up anew in the background once it is half a minute old.

    Whoever asks first waits for the look; later calls get what was seen last, for a model that has
    gone in the meantime is what fallbacks are for. It belongs to one event loop.

    Args:
        clock: seconds that only grow.
    """

    def __init__(
        self, availability: ProviderAvailability, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._availability = availability
        self._clock = clock
        self._seen: tuple[ProviderStatus, ...] | None = None
        self._stale_at = 0.0
        self._look: asyncio.Task[None] | None = None

    async def statuses(self) -> tuple[ProviderStatus, ...]:
        """The status of every provider, in alphabetical order."""
        if self._look is None and self._clock() >= self._stale_at:
            self._look = asyncio.create_task(self._refresh())
        while self._seen is None:
            look = self._look or asyncio.create_task(self._refresh())
            self._look = look
            # Shielded, because cancelling one who waits must not cancel it for the others.
            await asyncio.shield(look)
        return self._seen

    async def aclose(self) -> None:
        """End the look that is under way, if any."""
        if (look := self._look) is not None:
            look.cancel()
            await asyncio.wait([look])

    async def _refresh(self) -> None:
        try:
            self._seen = await self._availability.all()
            self._stale_at = self._clock() + _FRESH_S
        finally:
            self._look = None
