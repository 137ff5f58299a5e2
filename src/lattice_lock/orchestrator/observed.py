"""How fast and how reliably models have answered of late, as seen from here."""

from __future__ import annotations

import time
from contextlib import aclosing
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

from lattice_lock.exceptions import APIClientError, ProviderTimeoutError
from lattice_lock.messages import ReasoningDelta, StreamEnd
from lattice_lock.providers.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from lattice_lock.messages import ChatRequest, ChatResponse, ModelId, StreamEvent
    from lattice_lock.providers.middleware import CallNext, StreamNext

__all__ = ["Observed", "ObservedPerformance"]

_HALF_LIFE_S = 600.0
_MAX_MODELS = 1024
_FORGOTTEN = 0.01  # calls, after which only noise is left
_NOTHING = 1e-9  # what is left of a sum after many half-lives
_REQUEST_AT_FAULT = 400
_PATIENCE_S = 5.0  # a call that gives less time says nothing about the provider when it runs out


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What calls of one model have shown; a call counts half after each half-life.

    Attributes:
        calls: how many there were, above 0.
        error_rate: which part of them failed, from 0 to 1.
        first_content_s: seconds to the first visible content of streams, None without streams.
        answer_s: seconds to the end of an answer, None where none came.
        tokens_per_s: visible tokens in a second: of streams from their first content on, of whole
            answers from the call on; None where nobody counted them.
    """

    calls: float
    error_rate: float
    first_content_s: float | None = None
    answer_s: float | None = None
    tokens_per_s: float | None = None

    def expected_s(self, output_tokens: int) -> float | None:
        """Seconds that an answer of so many tokens takes, None where no answer has come."""
        if self.tokens_per_s is None:
            return self.answer_s
        return (self.first_content_s or 0.0) + output_tokens / self.tokens_per_s


class _Sums:
    """Sums over the calls of one model, worth what they were at the time `at`."""

    __slots__ = (
        "answer_s",
        "answers",
        "at",
        "calls",
        "failures",
        "first_s",
        "firsts",
        "tokens",
        "tokens_s",
    )

    def __init__(self, at: float) -> None:
        self.at = at
        self.calls = self.failures = 0.0
        self.firsts = self.first_s = 0.0
        self.answers = self.answer_s = 0.0
        self.tokens = self.tokens_s = 0.0

    def decay(self, factor: float) -> None:
        self.calls *= factor
        self.failures *= factor
        self.firsts *= factor
        self.first_s *= factor
        self.answers *= factor
        self.answer_s *= factor
        self.tokens *= factor
        self.tokens_s *= factor


class ObservedPerformance(Middleware):
    """Watches calls as they pass; `snapshot` says what they have shown.

    Only failures that say something about the provider count: not what is wrong with a request, not
    what was refused before it was sent, and not a deadline of a few seconds. It belongs to one
    event loop, and remembers the 1,024 models that were called last.

    Args:
        half_life_s: seconds after which a call counts half as much.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        *,
        half_life_s: float = _HALF_LIFE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._half_life_s = half_life_s
        self._clock = clock
        self._sums: dict[ModelId, _Sums] = {}  # the one called last comes last

    def snapshot(self) -> Mapping[ModelId, Observed]:
        """What is known now of each model that was called of late."""
        now = self._clock()
        found = {}
        for model, sums in self._sums.items():
            calls = sums.calls * 0.5 ** ((now - sums.at) / self._half_life_s)
            if calls >= _FORGOTTEN:
                found[model] = Observed(
                    calls=calls,
                    error_rate=sums.failures / sums.calls,
                    first_content_s=_ratio(sums.first_s, sums.firsts),
                    answer_s=_ratio(sums.answer_s, sums.answers),
                    tokens_per_s=_ratio(sums.tokens, sums.tokens_s) or None,
                )
        return MappingProxyType(found)

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        began = self._clock()
        try:
            response = await call_next(request)
        except APIClientError as error:
            self._failed(request, error)
            raise
        self._answered(request, response, began, None)
        return response

    @override
    async def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        began = self._clock()
        first: float | None = None
        try:
            async with aclosing(call_next(request)) as events:
                async for event in events:
                    if isinstance(event, StreamEnd):
                        self._answered(request, event.response, began, first)
                    elif first is None and not isinstance(event, ReasoningDelta):
                        first = self._clock()
                    yield event
        except APIClientError as error:
            self._failed(request, error)
            raise

    def _answered(
        self, request: ChatRequest, response: ChatResponse, began: float, first: float | None
    ) -> None:
        sums = self._current(request.model)
        now = sums.at
        sums.calls += 1.0
        sums.answers += 1.0
        sums.answer_s += now - began
        if first is not None:
            sums.firsts += 1.0
            sums.first_s += first - began
        if response.usage is not None:
            sums.tokens += response.usage.visible_output_tokens
            sums.tokens_s += now - (began if first is None else first)

    def _failed(self, request: ChatRequest, error: APIClientError) -> None:
        if _is_of_the_provider(error, request):
            sums = self._current(request.model)
            sums.calls += 1.0
            sums.failures += 1.0

    def _current(self, model: ModelId) -> _Sums:
        """The sums of `model`, worth what they are now."""
        now = self._clock()
        sums = self._sums.pop(model, None)
        if sums is None:
            if len(self._sums) >= _MAX_MODELS:
                del self._sums[next(iter(self._sums))]
            sums = _Sums(now)
        else:
            sums.decay(0.5 ** ((now - sums.at) / self._half_life_s))
            sums.at = now
        self._sums[model] = sums
        return sums


def _ratio(total: float, weight: float) -> float | None:
    return total / weight if weight > _NOTHING else None


def _is_of_the_provider(error: APIClientError, request: ChatRequest) -> bool:
    if error.attempt is None or error.http_status == _REQUEST_AT_FAULT:
        return False
    return not (isinstance(error, ProviderTimeoutError) and request.timeout_s < _PATIENCE_S)
