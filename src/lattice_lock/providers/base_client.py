"""What every provider client does the same way.

`chat_completion`, `stream` and `embed` are final: deadline, retries, attempt count, timing and cost
sit here once. A provider translates one request into one answer, and reports every failure as an
`APIClientError`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from abc import ABC, abstractmethod
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar, final

import msgspec

from lattice_lock.errors.middleware import retrying, wait_to_retry
from lattice_lock.errors.retry import RetryPolicy, RetryQuota
from lattice_lock.exceptions import (
    APIClientError,
    ConflictError,
    IncompleteStreamError,
    InvalidRequestError,
    InvalidResponseError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from lattice_lock.messages import ChatRequest, ChatResponse, StreamEnd
from lattice_lock.providers.breaker import BreakerPolicy, Breakers, refusal
from lattice_lock.providers.embeddings import check_vectors, joined
from lattice_lock.providers.middleware import around_call, around_embed, around_stream
from lattice_lock.providers.structured_output import check_answer, schema_validator
from lattice_lock.providers.transport import Deadline

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
    from decimal import Decimal
    from types import TracebackType

    from jsonschema.protocols import Validator

    from lattice_lock.messages import EmbeddingRequest, EmbeddingResponse, ModelId, StreamEvent
    from lattice_lock.providers.middleware import Middleware
    from lattice_lock.providers.transport import Transport
    from lattice_lock.settings import Settings

__all__ = ["DEFAULT_RETRY", "BaseAPIClient"]

_T = TypeVar("_T")
DEFAULT_RETRY = RetryPolicy()
_NEVER_OPEN = BreakerPolicy(failures=sys.maxsize)
_PATIENCE_S = 5.0  # a call that gives less time says nothing about the provider when it runs out


class BaseAPIClient(ABC):
    """One provider. A client belongs to one event loop; `aclose` it when done.

    The transport is shared between clients and closed by whoever made it.
    """

    provider: ClassVar[str]
    """The provider's id, which is also the name of the file that defines the client."""

    keeps_deadline: ClassVar[bool] = False
    """Whether an attempt ends by itself at its deadline, so that nobody has to watch it besides."""

    def __init__(
        self, settings: Settings, transport: Transport, *, retry: RetryPolicy = DEFAULT_RETRY
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._retry = retry
        self._quota = RetryQuota()
        self._breakers = Breakers(_NEVER_OPEN)
        self._middleware: tuple[Middleware, ...] = ()

    @classmethod
    def missing_setting(cls, settings: Settings) -> str | None:  # noqa: ARG003  # for subclasses
        """What to set before this provider can be called, as a sentence; None if nothing."""
        return None

    @final
    def use(self, *layers: Middleware) -> None:
        """Put `layers` around every later call, the first outermost, in place of any before."""
        self._middleware = layers

    @final
    def share_breakers(self, breakers: Breakers) -> None:
        """Keep the state of this client's models in `breakers`, as other clients do.

        A client that shares none has breakers of its own, which never open.
        """
        self._breakers = breakers

    @final
    async def chat_completion(
        self,
        request: ChatRequest,
        *,
        last_resort: bool = False,
        layers: Sequence[Middleware] = (),
    ) -> ChatResponse:
        """The whole answer to `request`.

        Args:
            last_resort: ask even a model whose breaker is open, because no other is left.
            layers: what stands around this call alone, outside of what `use` has put there.

        Raises:
            APIClientError: no attempt succeeded; the error of the last one, with its number.
            InvalidResponseError: besides, the answer does not follow `response_schema`.
            ProviderUnavailableError: the model is left alone after failing; `retry_after_s` says
                how long.
        """
        around = (*layers, *self._middleware)
        if not around:
            return await self._call(request, last_resort=last_resort)
        innermost = partial(self._call, last_resort=last_resort)
        return await around_call(around, innermost)(request)

    async def _call(self, request: ChatRequest, *, last_resort: bool) -> ChatResponse:
        with await self._begin(request, last_resort=last_resort) as call:
            return await self._repeat(call, partial(self._attempt, call, request))

    async def _attempt(self, call: _Call, request: ChatRequest, number: int) -> ChatResponse:
        call.attempt = number
        try:
            made = await self._within(call, self._chat_completion_impl(request, call.deadline))
            answer = self._complete(call, made, cost_usd=self._cost_usd(made))
            if call.validator is not None:
                await call.check(answer)
        except APIClientError as error:
            self._failed(call, error)
            raise
        return answer

    @final
    def stream(
        self,
        request: ChatRequest,
        *,
        last_resort: bool = False,
        layers: Sequence[Middleware] = (),
    ) -> AsyncGenerator[StreamEvent, None]:
        """The answer as it is made; the last event is a `StreamEnd` with all of it.

        Attempts are repeated only until the first event. Close the generator, or cancel whoever
        iterates it, to stop the provider at once: `async with aclosing(client.stream(...))`.

        Args:
            last_resort, layers: as for `chat_completion`.

        Raises:
            APIClientError: before the first event, no attempt succeeded; later, the stream broke.
            ProviderUnavailableError: as for `chat_completion`.
        """
        innermost = partial(self._stream, last_resort=last_resort)
        return around_stream((*layers, *self._middleware), innermost)(request)

    async def _stream(
        self, request: ChatRequest, *, last_resort: bool
    ) -> AsyncGenerator[StreamEvent, None]:
        with await self._begin(request, last_resort=last_resort) as call:
            while True:
                call.attempt += 1
                end: StreamEnd | None = None
                try:
                    async with aclosing(self._stream_impl(request, call.deadline)) as events:
                        async for event in events:
                            if isinstance(event, StreamEnd):
                                end = event
                                break
                            call.delivers()
                            yield event
                    if end is None:
                        raise _without_end(request)
                    if call.validator is not None:
                        await call.check(end.response)
                except APIClientError as error:
                    self._failed(call, error)
                    if call.delivered or not await wait_to_retry(
                        error,
                        policy=self._retry,
                        remaining_s=call.deadline.remaining_s,
                        permit=partial(self._permit_retry, call),
                    ):
                        raise
                else:
                    made = end.response
                    cost_usd = self._cost_usd(made)
                    yield StreamEnd(response=self._complete(call, made, cost_usd=cost_usd))
                    return

    @final
    async def embed(
        self, request: EmbeddingRequest, *, layers: Sequence[Middleware] = ()
    ) -> EmbeddingResponse:
        """The vector of every text of `request`, in their order.

        What is more than one request of the provider may carry is sent in several, one after the
        other, each repeated as a chat would be; one that fails in the end fails the call.

        Raises:
            APIClientError: as for `chat_completion`.
            InvalidRequestError: besides, the provider or the model has no embeddings.
            InvalidResponseError: besides, an answer lacks vectors, or they are not finite numbers
                or not of one length.
        """
        return await around_embed((*layers, *self._middleware), self._embed)(request)

    async def _embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        size = self._embedding_batch(request)
        with await self._begin(request, last_resort=False) as call:
            parts: list[EmbeddingResponse] = []
            for start in range(0, len(request.inputs), size):
                batch = msgspec.structs.replace(
                    request, inputs=request.inputs[start : start + size]
                )
                parts.append(await self._repeat(call, partial(self._embed_attempt, call, batch)))
            answer = joined(request, parts)
            return msgspec.structs.replace(answer, latency_ms=call.elapsed_ms())

    async def _embed_attempt(
        self, call: _Call, request: EmbeddingRequest, number: int
    ) -> EmbeddingResponse:
        call.attempt = number
        try:
            answer = await self._within(call, self._embed_impl(request, call.deadline))
            await asyncio.to_thread(check_vectors, request, answer)  # millions of numbers
        except APIClientError as error:
            self._failed(call, error)
            raise
        return msgspec.structs.replace(answer, attempts=number)

    def _embedding_batch(self, request: EmbeddingRequest) -> int:
        """How many texts one request may carry.

        Raises:
            InvalidRequestError: there are no embeddings here.
        """
        raise _without_embeddings(request)

    async def list_models(self) -> tuple[ModelId, ...]:
        """The models that can be called now, in the provider's order.

        Raises:
            APIClientError: the provider cannot be asked; the error says what to do.
        """
        return ()

    async def aclose(self) -> None:  # noqa: B027  # most clients hold nothing
        """Release what this client alone holds."""

    @abstractmethod
    async def _chat_completion_impl(self, request: ChatRequest, deadline: Deadline) -> ChatResponse:
        """One attempt. Timing, attempts and cost are filled in by the caller."""

    @abstractmethod
    def _stream_impl(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        """One attempt as events, a `StreamEnd` last; it keeps the deadline itself."""

    async def _embed_impl(
        self,
        request: EmbeddingRequest,
        deadline: Deadline,  # noqa: ARG002  # for subclasses
    ) -> EmbeddingResponse:
        """One attempt at no more texts than `_embedding_batch` allows."""
        raise _without_embeddings(request)

    def _cost_usd(self, response: ChatResponse) -> Decimal | None:  # noqa: ARG002  # for subclasses
        """US dollars that the answer costs, None where that is unknown."""
        return None

    async def _begin(self, request: ChatRequest | EmbeddingRequest, *, last_resort: bool) -> _Call:
        if request.model.provider != self.provider:
            raise request.refusal(
                "model", f"`{request.model}` is no model of the provider `{self.provider}`."
            )
        self._quota.earn()
        call = _Call(request, self._breakers)
        if isinstance(request, ChatRequest) and request.response_schema is not None:
            call.validator = await asyncio.to_thread(
                schema_validator, request, request.response_schema
            )
        while (cooling_s := self._breakers.cooling_s(request.model)) > 0.0:
            wait_s = self._retry.cooled_s(cooling_s)
            if wait_s is not None and wait_s < call.deadline.remaining_s():
                await asyncio.sleep(wait_s)
            elif last_resort:
                break
            else:
                raise refusal(request.model, cooling_s)
        call.ticket = self._breakers.admit(request.model, last_resort=last_resort)
        return call

    async def _within(self, call: _Call, answer: Coroutine[None, None, _T]) -> _T:
        """`answer`, unless the call's time runs out before it is there."""
        if self.keeps_deadline:
            return await answer
        try:
            async with asyncio.timeout_at(call.deadline.at) as scope:
                return await answer
        except TimeoutError:
            if not scope.expired():
                raise
            raise ProviderTimeoutError(
                f"No answer within the {call.deadline.total_s:g} s that the call had.",
                provider=self.provider,
                model=call.request.model.name,
            ) from None

    async def _repeat(self, call: _Call, attempt: Callable[[int], Awaitable[_T]]) -> _T:
        return await retrying(
            attempt,
            policy=self._retry,
            remaining_s=call.deadline.remaining_s,
            permit=partial(self._permit_retry, call),
        )

    def _failed(self, call: _Call, error: APIClientError) -> None:
        """Say in the error which attempt it was, and let all callers wait if it asks for that."""
        call.describe(error)
        if not call.delivered and error.retryable and error.retry_after_s:
            self._breakers.cool_down(call.request.model, error.retry_after_s)

    def _permit_retry(self, call: _Call) -> bool:
        """Whether breaker and quota allow another attempt; the quota counts it."""
        return self._breakers.may_retry(call.request.model, call.ticket) and self._quota.take()

    def _complete(
        self, call: _Call, answer: ChatResponse, *, cost_usd: Decimal | None
    ) -> ChatResponse:
        return msgspec.structs.replace(
            answer, latency_ms=call.elapsed_ms(), attempts=call.attempt, cost_usd=cost_usd
        )


class _Call:
    """One call while it runs; as a context it tells the breaker how the call ended."""

    __slots__ = (
        "_breakers",
        "attempt",
        "deadline",
        "delivered",
        "request",
        "started",
        "ticket",
        "validator",
    )

    def __init__(self, request: ChatRequest | EmbeddingRequest, breakers: Breakers) -> None:
        self._breakers = breakers
        self.request = request
        self.deadline = Deadline.after(request.timeout_s)
        self.started = time.perf_counter()
        self.attempt = 0
        self.ticket = 0
        self.delivered = False
        self.validator: Validator | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        model = self.request.model
        if error is None or self._shows_life(error):
            self._breakers.answered(model, self.ticket)
        elif isinstance(error, APIClientError) and self._shows_failure(error):
            self._breakers.failed(model, self.ticket)
        else:
            self._breakers.dropped(model, self.ticket)

    def elapsed_ms(self) -> float:
        """Milliseconds since the call began."""
        return (time.perf_counter() - self.started) * 1000.0

    def delivers(self) -> None:
        """Count an event of the stream; the first proves what a probe is to prove."""
        if not self.delivered:
            self.delivered = True
            if self.ticket:
                self._breakers.answered(self.request.model, self.ticket)
                self.ticket = 0

    async def check(self, answer: ChatResponse) -> None:
        """Refuse an answer that does not follow the schema; in a thread, for it may be long."""
        request = self.request
        if self.validator is None or not isinstance(request, ChatRequest):
            return
        if (wanted := request.response_schema) is not None:
            await asyncio.to_thread(check_answer, self.validator, request, wanted, answer)

    def describe(self, error: APIClientError) -> None:
        """Say in the error which attempt of which model it was."""
        error.attempt = self.attempt
        error.model = error.model or self.request.model.name

    def _shows_life(self, error: BaseException) -> bool:
        """Whether the provider has answered, if only to say no."""
        if not isinstance(error, APIClientError):
            return self.delivered
        if isinstance(error, ProviderUnavailableError | InvalidResponseError):
            return False
        return isinstance(error, ConflictError) or not error.retryable

    def _shows_failure(self, error: APIClientError) -> bool:
        hasty = isinstance(error, ProviderTimeoutError) and self.deadline.total_s < _PATIENCE_S
        return error.retryable and not hasty


def _without_embeddings(request: EmbeddingRequest) -> InvalidRequestError:
    return request.refusal(
        "model",
        f"`{request.model.provider}` has no embeddings.",
        hint="Ask a model such as `openai/text-embedding-3-small`, `google/gemini-embedding-001`, "
        "`bedrock/amazon.titan-embed-text-v2:0` or one of a `local` server.",
    )


def _without_end(request: ChatRequest) -> IncompleteStreamError:
    return IncompleteStreamError(
        "The stream ended without saying so; the text may be cut off.",
        provider=request.model.provider,
        model=request.model.name,
    )
