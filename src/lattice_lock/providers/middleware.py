"""What stands around every call of a client: policies, cost, receipts, telemetry.

A layer sees one call as its caller does, retries included. It may change the request, answer in
place of the model, look at or change the answer, or raise. The first layer is the outermost.

    class Stamp(Middleware):
        async def chat_completion(self, request, call_next):
            response = await call_next(request)
            return stamped(response)
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from lattice_lock.messages import (
        ChatRequest,
        ChatResponse,
        EmbeddingRequest,
        EmbeddingResponse,
        StreamEvent,
    )

    CallNext: TypeAlias = Callable[[ChatRequest], Awaitable[ChatResponse]]
    StreamNext: TypeAlias = Callable[[ChatRequest], AsyncGenerator[StreamEvent, None]]
    EmbedNext: TypeAlias = Callable[[EmbeddingRequest], Awaitable[EmbeddingResponse]]

__all__ = ["Middleware", "around_call", "around_embed", "around_stream"]


class Middleware:
    """One layer; as it stands it changes nothing. It serves many calls at once."""

    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        """The answer to `request`; `call_next` asks the layers within, and the model last."""
        return await call_next(request)

    def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        """The answer as it is made, a `StreamEnd` last.

        Read `call_next` with `aclosing`, so that closing this stream closes that one at once.
        """
        return call_next(request)

    async def embed(self, request: EmbeddingRequest, call_next: EmbedNext) -> EmbeddingResponse:
        """The vectors for `request`; `call_next` asks the layers within, and the model last."""
        return await call_next(request)


def around_call(layers: Sequence[Middleware], innermost: CallNext) -> CallNext:
    """`innermost` with all `layers` around it."""
    for layer in reversed(layers):
        innermost = partial(layer.chat_completion, call_next=innermost)
    return innermost


def around_stream(layers: Sequence[Middleware], innermost: StreamNext) -> StreamNext:
    """`innermost` with all `layers` around it."""
    for layer in reversed(layers):
        innermost = partial(layer.stream, call_next=innermost)
    return innermost


def around_embed(layers: Sequence[Middleware], innermost: EmbedNext) -> EmbedNext:
    """`innermost` with all `layers` around it."""
    for layer in reversed(layers):
        innermost = partial(layer.embed, call_next=innermost)
    return innermost
