"""Spans and metrics, as the real SDK of OpenTelemetry records them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from typing_extensions import override

from every_provider import CASES, client_of
from lattice_lock.exceptions import AuthenticationError, IncompleteStreamError
from lattice_lock.messages import EmbeddingRequest, ModelId, ResponseSchema
from lattice_lock.providers.middleware import Middleware
from lattice_lock.providers.telemetry import TelemetryMiddleware
from wire_server import answer, ask, delta, events, serving, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from opentelemetry.sdk.trace import ReadableSpan

    from lattice_lock.messages import ChatRequest, StreamEvent
    from lattice_lock.providers.base_client import BaseAPIClient
    from lattice_lock.providers.middleware import StreamNext
    from wire_server import Step, Wire

PROMPT = "prompt-canary-31"
ANSWER = "answer-canary-32"
DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


class Recorded:
    """A layer with a tracer and a meter of its own, and what they recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")
        meter = MeterProvider([self._reader]).get_meter("test")
        self.layer = TelemetryMiddleware(self.tracer, meter)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self._exporter.get_finished_spans()

    def points(self, name: str) -> list[Any]:
        """The points of a metric."""
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        """All that was recorded, as text."""
        spans = "".join(span.to_json() for span in self.spans)
        return spans + str(self._reader.get_metrics_data())


@pytest.fixture
def recorded() -> Recorded:
    """What is recorded in one test."""
    return Recorded()


@asynccontextmanager
async def observed(recorded: Recorded, *steps: Step) -> AsyncIterator[BaseAPIClient]:
    """A client whose calls are recorded, of a server that follows `steps`."""
    async with serving(*steps) as server, client_of(CASES["local"], server.url) as client:
        client.use(recorded.layer)
        yield client


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


async def test_a_call_is_a_span(recorded: Recorded) -> None:
    """Name, kind and attributes are those of the conventions, and a parent is kept."""
    schema = ResponseSchema(name="any", schema={"type": "string"})
    request = ask(PROMPT, max_output_tokens=9, temperature=0.5, seed=4, response_schema=schema)
    async with observed(recorded, answer(whole(f'"{ANSWER}"'))) as client:
        with recorded.tracer.start_as_current_span("outer") as outer:
            await client.chat_completion(request)
    span = recorded.spans[0]
    assert (span.name, span.kind, span.status.status_code) == (
        "chat qwen",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert span.parent is not None
    assert span.parent.span_id == outer.get_span_context().span_id
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "local",
        "gen_ai.request.model": "qwen",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.seed": 4,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "served",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "lattice_lock.attempts": 1,
    }


async def test_what_is_said_is_not_recorded(recorded: Recorded) -> None:
    """Neither prompt nor answer nor what a provider says in an error gets into a span or metric."""
    refusal = answer({"error": {"message": ANSWER}}, 401)
    async with observed(recorded, answer(whole(ANSWER)), refusal) as client:
        await client.chat_completion(ask(PROMPT))
        with pytest.raises(AuthenticationError):
            await client.chat_completion(ask(PROMPT))
    assert len(recorded.spans) == 2
    assert "canary" not in recorded.everything()


async def test_an_error_ends_its_span(recorded: Recorded) -> None:
    """The span says which error it was and after how many attempts, and so does the duration."""
    async with observed(recorded, answer({"error": {"message": "x"}}, 500)) as client:
        with pytest.raises(Exception, match="x"):
            await client.chat_completion(ask())
    (span,) = recorded.spans
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "ServerError"
    assert attributes(span)["lattice_lock.attempts"] == 3
    (point,) = recorded.points("gen_ai.client.operation.duration")
    assert point.attributes["error.type"] == "ServerError"
    assert point.count == 1


async def test_tokens_and_times_are_metrics(recorded: Recorded) -> None:
    """Input and output tokens, the duration, and the pace of a stream are measured."""
    stream = events(delta("a"), delta("b"), delta(finish="stop"), "", DONE)
    async with observed(recorded, answer(whole(usage=USAGE)), stream) as client:
        await client.chat_completion(ask())
        async with aclosing(client.stream(ask())) as answered:
            count = len([item async for item in answered])
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in recorded.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": 7, "output": 3}
    assert sum(p.count for p in recorded.points("gen_ai.client.operation.duration")) == 2
    (first,) = recorded.points("gen_ai.client.operation.time_to_first_chunk")
    (later,) = recorded.points("gen_ai.client.operation.time_per_output_chunk")
    assert (first.count, later.count) == (1, count - 1)


async def test_a_stream_is_one_span(recorded: Recorded) -> None:
    """It lasts until the stream's end; whoever reads the stream is not inside of it."""
    steps = events(delta("a"), delta("b", finish="stop"), DONE)
    async with observed(recorded, steps) as client, aclosing(client.stream(ask())) as stream:
        async for _ in stream:
            assert not trace.get_current_span().get_span_context().is_valid
    (span,) = recorded.spans
    assert span.name == "chat qwen"
    assert attributes(span)["gen_ai.response.finish_reasons"] == ("stop",)


async def test_the_span_is_current_while_the_model_is_asked(recorded: Recorded) -> None:
    """Spans that are begun further in, such as of HTTP, become its children."""
    inner: list[int] = []

    class Inside(Middleware):
        @override
        async def stream(
            self, request: ChatRequest, call_next: StreamNext
        ) -> AsyncGenerator[StreamEvent, None]:
            async with aclosing(call_next(request)) as stream:
                async for item in stream:
                    inner.append(trace.get_current_span().get_span_context().span_id)
                    yield item

    async with observed(recorded, events(delta("a"), delta("b", finish="stop"), DONE)) as client:
        client.use(recorded.layer, Inside())
        async with aclosing(client.stream(ask())) as stream:
            async for _ in stream:
                pass
    (span,) = recorded.spans
    assert span.context is not None
    assert set(inner) == {span.context.span_id}


async def test_closing_a_stream_early_is_no_error(recorded: Recorded) -> None:
    """Who has read enough ends the span, and no failure is recorded."""

    async def endless(wire: Wire) -> None:
        await wire.head(kind="text/event-stream")
        await wire.send(delta("a"))
        await wire.until_hung_up()

    async with observed(recorded, endless) as client:
        stream = client.stream(ask())
        await anext(stream)
        await stream.aclose()
    (span,) = recorded.spans
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(span)


async def test_cancelling_a_stream_ends_its_span(recorded: Recorded) -> None:
    """A task that is cancelled in the middle leaves an ended span that says so."""
    begun = asyncio.Event()

    async def endless(wire: Wire) -> None:
        await wire.head(kind="text/event-stream")
        await wire.send(delta("a"))
        await wire.until_hung_up()

    async def read(client: BaseAPIClient) -> None:
        async with aclosing(client.stream(ask())) as stream:
            async for _ in stream:
                begun.set()

    async with observed(recorded, endless) as client:
        task = asyncio.create_task(read(client))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (span,) = recorded.spans
    assert attributes(span)["error.type"] == "CancelledError"


async def test_a_broken_stream_is_an_error(recorded: Recorded) -> None:
    """What was delivered before does not hide that the stream broke."""
    async with observed(recorded, events(delta("a"))) as client:
        with pytest.raises(IncompleteStreamError):
            [_ async for _ in client.stream(ask())]
    (span,) = recorded.spans
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "IncompleteStreamError"


async def test_spans_of_many_streams_do_not_mix(recorded: Recorded) -> None:
    """Of 64 streams at once, each is the child of its own parent."""
    async with observed(recorded, events(delta("a"), delta("b", finish="stop"), DONE)) as client:

        async def read(number: int) -> None:
            with recorded.tracer.start_as_current_span(f"outer-{number}"):
                async with aclosing(client.stream(ask(seed=number))) as stream:
                    async for _ in stream:
                        await asyncio.sleep(0)

        await asyncio.gather(*(read(number) for number in range(64)))
    outer = {
        span.context.span_id: span.name
        for span in recorded.spans
        if span.context and span.name.startswith("outer")
    }
    calls = [span for span in recorded.spans if span.name == "chat qwen"]
    assert len(calls) == 64
    for span in calls:
        assert span.parent is not None
        assert outer[span.parent.span_id] == f"outer-{attributes(span)['gen_ai.request.seed']}"


async def test_embeddings_are_spans_too(recorded: Recorded) -> None:
    """The operation, the length of the vectors and the tokens are told."""
    data = [{"object": "embedding", "index": 0, "embedding": [1.0, 2.0]}]
    body = {"object": "list", "data": data, "usage": {"prompt_tokens": 4}}
    async with observed(recorded, answer(body)) as client:
        model = ModelId(provider="local", name="e")
        await client.embed(EmbeddingRequest(model=model, inputs=(PROMPT,)))
    (span,) = recorded.spans
    assert span.name == "embeddings e"
    assert attributes(span)["gen_ai.embeddings.dimension.count"] == 2
    assert attributes(span)["gen_ai.usage.input_tokens"] == 4
    assert "canary" not in recorded.everything()


_PROCESS = """
import asyncio, sys
{setup}
from lattice_lock.bootstrap import open_clients
from lattice_lock.settings import Settings
async def main():
    async with open_clients(Settings.load(environment={{}}), ["local"]) as clients:
        kinds = [type(layer).__name__ for layer in clients["local"]._middleware]
        print("TelemetryMiddleware" in kinds, "opentelemetry" in sys.modules)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("setup", "printed"), [("", "False False"), ("import opentelemetry.trace", "True True")]
)
def test_it_costs_nothing_where_it_is_not_set_up(setup: str, printed: str) -> None:
    """Clients are observed where the process has imported OpenTelemetry, and import it nowhere."""
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS.format(setup=setup)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == printed
