"""Spans and metrics of every call, by OpenTelemetry's conventions for generative AI.

`open_clients` installs this layer in processes that have set OpenTelemetry up; elsewhere nothing of
it is imported. A span covers one call as its caller sees it, retries included, and a stream until
it is closed. What is said to a model and what it answers is never recorded.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics
"""

from __future__ import annotations

import sys
import time
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from typing_extensions import override

from lattice_lock import __version__
from lattice_lock.exceptions import APIClientError
from lattice_lock.messages import ChatRequest, StreamEnd
from lattice_lock.providers.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from lattice_lock.messages import (
        ChatResponse,
        EmbeddingRequest,
        EmbeddingResponse,
        ModelId,
        StreamEvent,
        Usage,
    )
    from lattice_lock.providers.middleware import CallNext, EmbedNext, StreamNext

__all__ = ["TelemetryMiddleware", "telemetry"]

_SCOPE = "lattice_lock"
_DURATIONS_S = tuple(0.01 * 2**step for step in range(14))
_TOKENS = tuple(4**step for step in range(14))
# The names that the conventions give to providers; others go by their own.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}


def telemetry() -> TelemetryMiddleware | None:
    """The layer for this process, None where nothing here has imported OpenTelemetry.

    Whoever sets up an exporter, or runs under `opentelemetry-instrument`, has imported it; for all
    others the import would cost start-up time and record nothing.
    """
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import metrics, trace  # noqa: PLC0415  # optional, and here already

    return TelemetryMiddleware(
        trace.get_tracer(_SCOPE, __version__), metrics.get_meter(_SCOPE, __version__)
    )


class TelemetryMiddleware(Middleware):
    """Tells a tracer and a meter of each call: model, tokens, finish, attempts and duration."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="Duration of a call to a model, retries included.",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of a call by their kind.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time from the request to the first event of a stream.",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        )
        self._next_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_per_output_chunk",
            unit="s",
            description="Time between two events of a stream.",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        )

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        from opentelemetry import trace  # noqa: PLC0415  # optional, and here already

        with self._observed(request, "chat") as call:
            with trace.use_span(call.span, record_exception=False, set_status_on_exception=False):
                response = await call_next(request)
            self._chat_answered(call, response)
            return response

    @override
    async def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        from opentelemetry import context, trace  # noqa: PLC0415  # optional, and here already

        with self._observed(request, "chat") as call:
            within = trace.set_span_in_context(call.span)
            async with aclosing(call_next(request)) as events:
                while True:
                    # The span is current while the model is waited for, and never while whoever
                    # reads the stream goes on: that may happen in another context.
                    token = context.attach(within)
                    try:
                        event = await anext(events)
                    except StopAsyncIteration:
                        return
                    finally:
                        context.detach(token)
                    self._chunk_came(call)
                    if isinstance(event, StreamEnd):
                        self._chat_answered(call, event.response)
                    yield event

    @override
    async def embed(self, request: EmbeddingRequest, call_next: EmbedNext) -> EmbeddingResponse:
        from opentelemetry import trace  # noqa: PLC0415  # optional, and here already

        with self._observed(request, "embeddings") as call:
            with trace.use_span(call.span, record_exception=False, set_status_on_exception=False):
                response = await call_next(request)
            call.span.set_attribute("gen_ai.embeddings.dimension.count", response.dimensions)
            self._answered(call, response)
            return response

    @contextmanager
    def _observed(
        self, request: ChatRequest | EmbeddingRequest, operation: str
    ) -> Iterator[_Observed]:
        """A span that lasts as long as the context, and its duration as a metric."""
        from opentelemetry import trace  # noqa: PLC0415  # optional, and here already

        common = _common(request.model, operation)
        span = self._tracer.start_span(
            f"{operation} {request.model.name}",
            kind=trace.SpanKind.CLIENT,
            attributes=common | _asked(request),
        )
        call = _Observed(span, common)
        try:
            yield call
        except GeneratorExit:  # whoever reads a stream has enough, which is no failure
            raise
        except BaseException as error:
            kind = type(error).__name__
            call.common["error.type"] = kind
            span.set_attribute("error.type", kind)
            if isinstance(error, APIClientError):
                _set(span, {"lattice_lock.attempts": error.attempt, **_request_id(error)})
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            self._duration.record(time.perf_counter() - call.started, call.common)
            span.end()

    def _chat_answered(self, call: _Observed, response: ChatResponse) -> None:
        call.span.set_attribute("gen_ai.response.finish_reasons", (str(response.finish_reason),))
        self._answered(call, response)

    def _answered(self, call: _Observed, response: ChatResponse | EmbeddingResponse) -> None:
        usage = response.usage
        if response.served_model:
            call.common["gen_ai.response.model"] = response.served_model
        _set(
            call.span,
            {
                "gen_ai.response.model": response.served_model,
                "lattice_lock.attempts": response.attempts,
                **_request_id(response),
                **_used(usage),
            },
        )
        if usage is None:
            return
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            self._tokens.record(tokens, call.common | {"gen_ai.token.type": kind})

    def _chunk_came(self, call: _Observed) -> None:
        now = time.perf_counter()
        if call.last_chunk is None:
            self._first_chunk.record(now - call.started, call.common)
        else:
            self._next_chunk.record(now - call.last_chunk, call.common)
        call.last_chunk = now


class _Observed:
    """One call while it runs: its span, and the attributes of its metrics."""

    __slots__ = ("common", "last_chunk", "span", "started")

    def __init__(self, span: Span, common: dict[str, AttributeValue]) -> None:
        self.span = span
        self.common = common
        self.started = time.perf_counter()
        self.last_chunk: float | None = None


def _common(model: ModelId, operation: str) -> dict[str, AttributeValue]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _PROVIDERS.get(model.provider, model.provider),
        "gen_ai.request.model": model.name,
    }


def _asked(request: ChatRequest | EmbeddingRequest) -> dict[str, AttributeValue]:
    if not isinstance(request, ChatRequest):
        return {}
    asked: dict[str, AttributeValue | None] = {
        "gen_ai.request.max_tokens": request.max_output_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.seed": request.seed,
        "gen_ai.request.stop_sequences": request.stop or None,
        "gen_ai.output.type": "json" if request.response_schema else None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _used(usage: Usage | None) -> dict[str, AttributeValue | None]:
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens or None,
    }


def _request_id(
    source: ChatResponse | EmbeddingResponse | APIClientError,
) -> dict[str, AttributeValue | None]:
    return {"lattice_lock.request_id": source.request_id}


def _set(span: Span, attributes: dict[str, AttributeValue | None]) -> None:
    for name, value in attributes.items():
        if value is not None:
            span.set_attribute(name, value)
