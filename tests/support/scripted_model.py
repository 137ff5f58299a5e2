"""A model that says what a test wrote down for it, and remembers what it was asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from lattice_lock.messages import ChatResponse, FinishReason, Message, ModelId, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lattice_lock.messages import ChatRequest

Reply: TypeAlias = str | Exception | Callable[["ChatRequest"], Awaitable[str]]

SMALL = ModelId(provider="local", name="small")
LARGE = ModelId(provider="local", name="large")


class ScriptedModel:
    """Answers the calls to each model in order; the last reply is repeated.

    Args:
        replies: by model name. An exception is raised, a coroutine function asked for the text.
        cost_usd: price of each answer.
    """

    def __init__(
        self, replies: Mapping[str, Iterable[Reply]], *, cost_usd: Decimal | None = Decimal(0)
    ) -> None:
        self._replies = {name: list(given) for name, given in replies.items()}
        self._cost_usd = cost_usd
        self.requests: dict[str, list[ChatRequest]] = defaultdict(list)

    async def chat_completion(self, request: ChatRequest) -> ChatResponse:
        """The next reply of the model that the request names."""
        asked = self.requests[request.model.name]
        asked.append(request)
        replies = self._replies[request.model.name]
        reply = replies[min(len(asked), len(replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        text = reply if isinstance(reply, str) else await reply(request)
        return ChatResponse(
            model=request.model,
            message=Message.assistant(text),
            finish_reason=FinishReason.STOP,
            usage=Usage(input_tokens=100, output_tokens=10),
            cost_usd=self._cost_usd,
        )
