"""The layer that holds prompts and answers to a project's policies.

Prompts are judged, and redacted, before they are sent; answers before the caller sees them. Text
passes while it streams; reasoning passes block by block, and a tool's arguments once they are
complete, because nobody can call it earlier. Where a policy asks again instead of refusing, the
answer streams only once it is whole.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import AnswerRefusedError
from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    Message,
    ReasoningDelta,
    ReasoningPart,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
)
from lattice_lock.orchestrator.model_facts import FREE_PROVIDERS
from lattice_lock.orchestrator.policed_call import (
    PolicedCall,
    Refused,
    answer_size,
    log_objections,
    size_of,
)
from lattice_lock.orchestrator.worst_case import worst_case_usd
from lattice_lock.policies.base import (
    OWN_MACHINE,
    Action,
    Context,
    Source,
    Subject,
)
from lattice_lock.policies.placeholders import Restoring
from lattice_lock.policies.stream import TextFilter
from lattice_lock.providers.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

    from lattice_lock.messages import EmbeddingRequest, EmbeddingResponse, StreamEvent
    from lattice_lock.orchestrator.registry import ModelRegistry
    from lattice_lock.policies.policy_set import Objection, PolicySet
    from lattice_lock.providers.middleware import CallNext, EmbedNext, StreamNext

__all__ = ["PolicyLayer", "call_context"]

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

_RETRIES = 2
_LONG = 20_000  # characters that take about a millisecond to judge


class PolicyLayer(Middleware):
    """Refuses, redacts or flags what the policies of a project object to. Put it outermost.

    Args:
        policies: what is enforced.
        about: what is known of the call that a request makes: where it goes and what it may cost.
        alone: whether no other model can be asked, so that `another-model` refuses at once.
    """

    def __init__(
        self, policies: PolicySet, *, about: Callable[[ChatRequest], Context], alone: bool = True
    ) -> None:
        self._prompt = policies.on(Subject.PROMPT)
        self._response = policies.on(Subject.RESPONSE)
        self._about = about
        self._alone = alone
        self._asks_again = any(
            one.action in {Action.RETRY, Action.ANOTHER_MODEL} for one in self._response
        )

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        call = PolicedCall(self._prompt, self._response, self._about(request))
        sent = await _offloaded(size_of(request), call.prompt, request)
        retries = 0
        while True:
            with call.failures():
                answer = await call_next(sent)
            try:
                return await _offloaded(answer_size(answer), call.answer, answer)
            except Refused as refused:
                action = refused.objection.action
                error = refused.objection.error(Subject.RESPONSE)
                if action is Action.RETRY and retries < _RETRIES:
                    retries += 1
                    _LOG.info("policy.retry policy=%s number=%d", error.policy, retries)
                    sent = _with_feedback(sent, answer, refused.objection)
                elif action is Action.ANOTHER_MODEL and not self._alone:
                    raise AnswerRefusedError(
                        error.message, provider=request.model.provider, model=request.model.name
                    ) from error
                else:
                    raise error from None

    @override
    def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        held = self._stream_whole if self._asks_again else self._stream_on
        return held(request, call_next)

    async def _stream_on(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        call = PolicedCall(self._prompt, self._response, self._about(request))
        sent = await _offloaded(size_of(request), call.prompt, request)
        if not self._response and not call.placeholders.restores:
            async with aclosing(call_next(sent)) as events:
                async for event in events:
                    yield event
            return
        lanes = _Lanes(call)
        with call.failures():
            async with aclosing(call_next(sent)) as events:
                async for event in events:
                    if isinstance(event, StreamEnd):
                        async for passed in _last(event.response, call, lanes):
                            yield passed
                        return
                    if isinstance(event, TextDelta) and not lanes.thinking:
                        text = lanes.text(event.text)  # most events, and nothing made for them
                        if text:
                            yield TextDelta(text=text)
                    else:
                        for passed in lanes.feed(event):
                            yield passed
                    if lanes.refusal is not None:
                        lanes.ensure_allowed()

    @override
    async def embed(self, request: EmbeddingRequest, call_next: EmbedNext) -> EmbeddingResponse:
        if not self._prompt:
            return await call_next(request)
        messages = tuple(Message.user(text) for text in request.inputs)
        chat = ChatRequest(model=request.model, messages=messages)
        call = PolicedCall(self._prompt, (), self._about(chat))
        judged = await _offloaded(size_of(chat), call.prompt, chat)
        inputs = tuple(message.text for message in judged.messages)
        return await call_next(msgspec.structs.replace(request, inputs=inputs))

    async def _stream_whole(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        async def whole(sent: ChatRequest) -> ChatResponse:
            async with aclosing(call_next(sent)) as events:
                async for event in events:
                    if isinstance(event, StreamEnd):
                        return event.response
            raise AssertionError("a stream ends with `StreamEnd` or an error")

        answer = await self.chat_completion(request, whole)
        for event in _events(answer):
            yield event


async def _last(
    answer: ChatResponse, call: PolicedCall, lanes: _Lanes
) -> AsyncGenerator[StreamEvent, None]:
    """What is held back of a stream whose whole answer is known now.

    Raises:
        PolicyViolationError: a policy refuses it.
    """
    for passed in lanes.finish():
        yield passed
    lanes.ensure_allowed()
    try:
        end = await _offloaded(answer_size(answer), call.answer, answer)
    except Refused as refused:
        raise refused.objection.error(Subject.RESPONSE) from None
    for index, made in enumerate(end.tool_calls):
        yield ToolCallDelta(index=index, id=made.id, name=made.name, arguments=made.raw_arguments)
    yield StreamEnd(response=end)


def call_context(
    request: ChatRequest,
    registry: ModelRegistry,
    provider_regions: Mapping[str, str] = MappingProxyType({}),
) -> Context:
    """What policies may know of the call that `request` makes.

    Args:
        provider_regions: where the user's endpoint of a provider is, where that is known.
    """
    model = request.model
    facts = registry.get(model)
    endpoint = provider_regions.get(model.provider)
    if model.provider in FREE_PROVIDERS:
        regions = frozenset({OWN_MACHINE})
    elif endpoint is not None:
        regions = frozenset({endpoint})
    else:
        regions = facts.regions if facts else frozenset()
    return Context(
        subject=Subject.PROMPT,
        model=model,
        regions=regions,
        max_cost_usd=worst_case_usd(request, facts),
    )


class _Lanes:
    """What passes of an answer that streams."""

    def __init__(self, call: PolicedCall) -> None:
        self._call = call
        self._text = TextFilter(
            call.response, call.about(Subject.RESPONSE, Source.ASSISTANT), call.placeholders
        )
        self._reasoning: TextFilter | None = None
        self._restoring = Restoring(call.placeholders) if call.placeholders.restores else None
        self.refusal: Objection | None = None

    def feed(self, event: StreamEvent) -> Iterator[StreamEvent]:
        """What may pass now that `event` has come."""
        if isinstance(event, ReasoningDelta):
            if self._reasoning is None:
                context = self._call.about(Subject.RESPONSE, Source.REASONING)
                self._reasoning = TextFilter(self._call.unread, context, self._call.placeholders)
            passed = self._reasoning.feed(event.text)
            self.refusal = self._reasoning.refusal
            if passed:
                yield ReasoningDelta(text=passed)
            return
        yield from self._end_reasoning()
        if isinstance(event, TextDelta) and self.refusal is None:
            text = self.text(event.text)
            if text:
                yield TextDelta(text=text)

    def finish(self) -> Iterator[StreamEvent]:
        """What may pass of the rest."""
        yield from self._end_reasoning()
        if self.refusal is None:
            text = self._restored(self._text.finish())
            if text:
                yield TextDelta(text=text)
        if self._restoring is not None and self.refusal is None:
            rest = self._restoring.finish()
            if rest:
                yield TextDelta(text=rest)

    def ensure_allowed(self) -> None:
        """Raise where a policy has ended the answer.

        Raises:
            PolicyViolationError: it has.
        """
        if self.refusal is not None:
            log_objections((self.refusal,), self._call.about(Subject.RESPONSE, None))
            raise self.refusal.error(Subject.RESPONSE)

    @property
    def thinking(self) -> bool:
        """Whether reasoning has to end before text goes on."""
        return self._reasoning is not None

    def text(self, piece: str) -> str:
        """What may pass now of the visible text."""
        passed = self._text.feed(piece)
        if passed or self._text.refusal is not None:
            return self._restored(passed)
        return ""

    def _restored(self, passed: str) -> str:
        self.refusal = self._text.refusal
        if passed and self._restoring is not None:
            return self._restoring.feed(passed)
        return passed

    def _end_reasoning(self) -> Iterator[StreamEvent]:
        if self._reasoning is None:
            return
        passed = self._reasoning.finish()
        self.refusal = self._reasoning.refusal
        self._reasoning = None
        if passed:
            yield ReasoningDelta(text=passed)


async def _offloaded(size: int, judged: Callable[[_T], _T], value: _T) -> _T:
    """`judged(value)`, in a thread where there is much to judge."""
    return judged(value) if size < _LONG else await asyncio.to_thread(judged, value)


def _with_feedback(sent: ChatRequest, answer: ChatResponse, objection: Objection) -> ChatRequest:
    """`sent`, followed by the answer and by what was wrong with it."""
    fix = f" {objection.finding.fix}" if objection.finding.fix else ""
    feedback = (
        f"Your answer cannot be used: {objection.finding.message}{fix} "
        "Answer the request again without that."
    )
    said = answer.text or "(no text)"
    messages = (*sent.messages, Message.assistant(said), Message.user(feedback))
    return msgspec.structs.replace(sent, messages=messages)


def _events(answer: ChatResponse) -> Iterator[StreamEvent]:
    calls = 0
    for part in answer.message.content:
        if isinstance(part, TextPart) and part.text:
            yield TextDelta(text=part.text)
        elif isinstance(part, ReasoningPart) and part.text:
            yield ReasoningDelta(text=part.text)
        elif isinstance(part, ToolCall):
            yield ToolCallDelta(
                index=calls, id=part.id, name=part.name, arguments=part.raw_arguments
            )
            calls += 1
    yield StreamEnd(response=answer)
