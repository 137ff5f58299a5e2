"""Says in every answer what it has cost, where that is known."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

import msgspec
from typing_extensions import override

from lattice_lock.messages import ChatResponse, EmbeddingResponse, StreamEnd
from lattice_lock.orchestrator.model_facts import cost_usd
from lattice_lock.orchestrator.price_list import known_prices
from lattice_lock.providers.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.messages import ChatRequest, EmbeddingRequest, StreamEvent
    from lattice_lock.orchestrator.registry import ModelRegistry
    from lattice_lock.providers.middleware import CallNext, EmbedNext, StreamNext

__all__ = ["PriceTag"]

_Response = TypeVar("_Response", ChatResponse, EmbeddingResponse)


class PriceTag(Middleware):
    """Fills in `cost_usd` where the provider does not say it, by registry or price list."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        return await self._priced(await call_next(request))

    @override
    async def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(call_next(request)) as events:
            async for event in events:
                if isinstance(event, StreamEnd):
                    yield StreamEnd(response=await self._priced(event.response))
                else:
                    yield event

    @override
    async def embed(self, request: EmbeddingRequest, call_next: EmbedNext) -> EmbeddingResponse:
        return await self._priced(await call_next(request))

    async def _priced(self, response: _Response) -> _Response:
        if response.cost_usd is not None or response.usage is None:
            return response
        prices = await known_prices(self._registry, response.model)
        return msgspec.structs.replace(response, cost_usd=cost_usd(prices, response.usage))
