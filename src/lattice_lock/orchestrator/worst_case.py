"""What a call may cost at most, known before it is made, and the layer that holds that much."""

from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ConflictError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotAvailableError,
    OverloadedError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitError,
)
from lattice_lock.messages import (
    ChatRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    OpaquePart,
    StreamEnd,
    TextPart,
    ToolCall,
    ToolResult,
)
from lattice_lock.orchestrator.model_facts import ModelFacts, is_free
from lattice_lock.orchestrator.price_list import known_prices
from lattice_lock.providers.middleware import Middleware
from lattice_lock.providers.transport import NoConnectionError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.messages import (
        ChatResponse,
        EmbeddingResponse,
        Part,
        ProviderData,
        StreamEvent,
    )
    from lattice_lock.orchestrator.budget import Budget, Hold
    from lattice_lock.orchestrator.registry import ModelRegistry
    from lattice_lock.providers.middleware import CallNext, EmbedNext, StreamNext

__all__ = ["IMAGE_TOKENS", "BudgetGate", "costs_nothing", "worst_case_usd"]

IMAGE_TOKENS = 50_000
"""More than any known model counts for a picture: gpt-4o-mini takes 48,169 for its largest."""

_ZERO = Decimal(0)
_MILLION = Decimal(1_000_000)
_OWN_TOKENS = 1024  # what a provider adds of its own: hidden instructions, how tools are used
_WRAP_TOKENS = 32  # marks around each message, part, tool and text
_INDENTED = 2  # some servers write JSON with line ends and indents before the model reads it

_REFUSALS = (
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    ModelNotAvailableError,
    OverloadedError,
    PermissionDeniedError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitError,
)


def worst_case_usd(
    request: ChatRequest | EmbeddingRequest, facts: ModelFacts | None
) -> Decimal | None:
    """US dollars that one attempt at `request` costs at most; None where no bound can be given.

    Every token is at least a byte of what is sent, and nothing longer than the model's window is
    answered. All input is taken to be of its dearest class, in the dearest tier that so much input
    may fall into; a picture counts as `IMAGE_TOKENS`, a file as a full window. The answer is as
    long as the request, or else the model, allows. What a block of one provider only refers to,
    such as a file that is stored there, is not seen.

    Args:
        facts: what is known of the model; None is nothing, and unpriced models of the user's own
            machine are free.
    """
    if facts is None or not facts.prices:
        return _ZERO if is_free(request.model) else None
    tokens = _most_input_tokens(request, facts.max_input_tokens or facts.context_tokens)
    if tokens is None:
        return None
    tiers = [prices for prices in facts.prices if prices.from_input_tokens <= tokens]
    into = max(
        price
        for prices in tiers
        for price in (prices.input, prices.cached_input, prices.cache_write)
        if price is not None
    )
    out = max(prices.output for prices in tiers)
    if isinstance(request, EmbeddingRequest) or not out:
        return tokens * into / _MILLION
    answer = request.max_output_tokens or facts.max_output_tokens
    return None if answer is None else (tokens * into + answer * out) / _MILLION


def _most_input_tokens(request: ChatRequest | EmbeddingRequest, window: int | None) -> int | None:
    if isinstance(request, EmbeddingRequest):  # the window is that of each text
        return sum(_WRAP_TOKENS + _bytes(text) for text in request.inputs)
    most = _OWN_TOKENS
    for message in request.messages:
        most += _WRAP_TOKENS
        for part in message.content:
            tokens = _most_tokens(part)
            if tokens is None:
                return window
            most += tokens
    for tool in request.tools:
        text = _bytes(tool.name) + _bytes(tool.description)
        most += _WRAP_TOKENS + text + _INDENTED * len(msgspec.json.encode(tool.parameters))
    if request.response_schema is not None:
        most += _INDENTED * len(msgspec.json.encode(request.response_schema.schema))
    return most if window is None else min(most, window)


def _most_tokens(part: Part) -> int | None:
    """Tokens of a part at most, None where that depends on what a file holds."""
    match part:
        case FilePart():
            return None
        case ImagePart():
            most = IMAGE_TOKENS
        case OpaquePart():
            most = 0
        case ToolCall():
            most = _bytes(part.id) + _bytes(part.name) + _INDENTED * _bytes(part.raw_arguments)
        case ToolResult():
            inner = sum(
                _WRAP_TOKENS + (_bytes(one.text) if isinstance(one, TextPart) else IMAGE_TOKENS)
                for one in part.content
            )
            most = _bytes(part.call_id) + _bytes(part.name) + inner
        case _:
            most = _bytes(part.text)
    return _WRAP_TOKENS + most + _own_bytes(part.provider_data)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _own_bytes(data: ProviderData | None) -> int:
    return 0 if data is None else len(data.json)


def costs_nothing(error: BaseException, request: ChatRequest | EmbeddingRequest) -> bool:
    """Whether a call that failed with `error` before any of its answer came is certainly free.

    That is so where it was never sent, or refused unread. A prompt that a filter refused or that
    was too long has been read, and Azure charges for it; late, broken and unreadable answers may
    have been made in full; of several batches of texts some may have been answered.

    Source: https://learn.microsoft.com/azure/ai-services/openai/how-to/manage-costs
    """
    if not isinstance(error, APIClientError):
        return isinstance(error, _REFUSALS)
    if error.attempt is None and isinstance(error, _REFUSALS):
        return True  # refused here, before the first attempt
    if isinstance(request, EmbeddingRequest) and len(request.inputs) > 1:
        return False
    if isinstance(error, ContextLengthError):
        return error.status is None
    if isinstance(error, ProviderConnectionError):
        return isinstance(error.__cause__, NoConnectionError)
    return isinstance(error, _REFUSALS)


class BudgetGate(Middleware):
    """Holds what a call may cost before it is made, and settles what it did cost afterwards.

    Nothing is sent where the budget has not that much left, or where nobody can say how much it
    may be. What a call cost nobody knows what, as when it was cancelled or broke off, counts as
    all that was held; what certainly cost nothing counts as nothing. A cost above the hold counts
    in full. Attempts that the client repeats are not held for: providers do not normally charge
    for those that fail.

    Put it outside of `PriceTag`, which says what answers cost.

    Raises:
        BudgetExceededError: by every call: it might cost more than is left, or no bound is known.
    """

    def __init__(self, budget: Budget, registry: ModelRegistry) -> None:
        self._budget = budget
        self._registry = registry

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        hold = await self._hold(request)
        try:
            response = await call_next(request)
        except BaseException as error:
            _fail(hold, error, request)
            raise
        hold.settle(response.cost_usd)
        return response

    @override
    async def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        hold = await self._hold(request)
        delivered = False
        try:
            async with aclosing(call_next(request)) as events:
                async for event in events:
                    delivered = True
                    if isinstance(event, StreamEnd):
                        hold.settle(event.response.cost_usd)
                    yield event
        except BaseException as error:
            if not delivered:
                _fail(hold, error, request)
            raise
        finally:
            hold.settle(None)  # where nothing has ended it yet

    @override
    async def embed(self, request: EmbeddingRequest, call_next: EmbedNext) -> EmbeddingResponse:
        hold = await self._hold(request)
        try:
            response = await call_next(request)
        except BaseException as error:
            _fail(hold, error, request)
            raise
        hold.settle(response.cost_usd)
        return response

    async def _hold(self, request: ChatRequest | EmbeddingRequest) -> Hold:
        facts = self._registry.get(request.model)
        if facts is None or not facts.prices:
            prices = await known_prices(self._registry, request.model)
            facts = msgspec.structs.replace(facts or ModelFacts(id=request.model), prices=prices)
        most_usd = worst_case_usd(request, facts)
        if most_usd is not None:
            return self._budget.hold(most_usd)
        what, hint = "its prices are", "Give its `prices`"
        if facts.prices:
            what, hint = "its window is", "Give its `max_input_tokens`"
            if _most_input_tokens(request, facts.max_input_tokens or facts.context_tokens):
                what, hint = "its longest answer is", "Set `max_output_tokens`, or give it"
        raise BudgetExceededError(
            f"Nobody can say what `{request.model}` may cost at most: {what} unknown.",
            hint=f"{hint} in the file of `LATTICE_LOCK_MODELS_FILE`.",
        )


def _fail(hold: Hold, error: BaseException, request: ChatRequest | EmbeddingRequest) -> None:
    if costs_nothing(error, request):
        hold.release()
    else:
        hold.settle(None)
