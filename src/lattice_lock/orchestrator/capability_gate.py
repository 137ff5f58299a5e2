"""Refuses, before anything is sent, what a model is known not to be able to do."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from typing_extensions import override

from lattice_lock.messages import FilePart, ImagePart, ReasoningEffort, ToolResult
from lattice_lock.orchestrator.tasks import Capability
from lattice_lock.providers.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from lattice_lock.exceptions import InvalidRequestError
    from lattice_lock.messages import ChatRequest, ChatResponse, StreamEvent
    from lattice_lock.orchestrator.registry import ModelFacts, ModelRegistry
    from lattice_lock.providers.middleware import CallNext, StreamNext

__all__ = ["CapabilityGate", "needed_capabilities"]

_NAMED = 5
_WORDS = {
    Capability.VISION: ("messages", "pictures"),
    Capability.FILES: ("messages", "files"),
    Capability.TOOLS: ("tools", "tools"),
    Capability.PARALLEL_TOOL_CALLS: ("parallel_tool_calls", "several tool calls at once"),
    Capability.STRUCTURED_OUTPUT: ("response_schema", "answers by a schema"),
    Capability.REASONING: ("reasoning_effort", "reasoning"),
    Capability.SAMPLING: ("temperature", "`temperature` and `top_p`"),
}


class CapabilityGate(Middleware):
    """Knows what models cannot do; what it does not know, it lets pass."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        await self._ensure_able(request)
        return await call_next(request)

    @override
    async def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        await self._ensure_able(request)
        async with aclosing(call_next(request)) as events:
            async for event in events:
                yield event

    async def _ensure_able(self, request: ChatRequest) -> None:
        facts = self._registry.get(request.model)
        if facts is None:
            return
        if facts.cannot:
            for capability in needed_capabilities(request):
                if capability in facts.cannot:
                    raise await asyncio.to_thread(self._refusal, request, capability)
        wanted, most = request.max_output_tokens, facts.max_output_tokens
        if wanted is not None and most is not None and wanted > most:
            raise request.refusal(
                "max_output_tokens",
                f"`{request.model}` writes at most {most} tokens, and {wanted} are asked for.",
                hint=f"Ask for {most} or fewer.",
            )

    def _refusal(self, request: ChatRequest, capability: Capability) -> InvalidRequestError:
        parameter, words = _WORDS[capability]
        able = list(self._able(request, capability))
        return request.refusal(
            parameter,
            f"`{request.model}` does not have the capability `{capability}`: it takes no {words}.",
            hint=f"These have it: {', '.join(f'`{one.id}`' for one in able)}." if able else None,
        )

    def _able(self, request: ChatRequest, capability: Capability) -> Iterator[ModelFacts]:
        """Some models that have it and are not about to end, first those of the same provider."""
        models = [
            facts
            for facts in self._registry.models()
            if capability in facts.can and facts.served() and facts.shutdown_date is None
        ]
        models.sort(key=lambda facts: facts.id.provider != request.model.provider)
        yield from models[:_NAMED]


def needed_capabilities(request: ChatRequest) -> Iterator[Capability]:
    """What a model must be able to do for `request`."""
    parts = [part for message in request.messages for part in message.content]
    inside = [part for result in parts if isinstance(result, ToolResult) for part in result.content]
    if any(isinstance(part, ImagePart) for part in (*parts, *inside)):
        yield Capability.VISION
    if any(isinstance(part, FilePart) for part in parts):
        yield Capability.FILES
    if request.tools:
        yield Capability.TOOLS
        if request.parallel_tool_calls:
            yield Capability.PARALLEL_TOOL_CALLS
    if request.response_schema is not None:
        yield Capability.STRUCTURED_OUTPUT
    if request.reasoning_effort not in {None, ReasoningEffort.NONE}:
        yield Capability.REASONING
    if request.temperature is not None or request.top_p is not None:
        yield Capability.SAMPLING
