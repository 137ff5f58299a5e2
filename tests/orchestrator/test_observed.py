"""What calls show of a model's speed and reliability."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.exceptions import (
    APIClientError,
    ContentFilteredError,
    InvalidRequestError,
    OverloadedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    ServerError,
)
from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    Message,
    ModelId,
    ReasoningDelta,
    StreamEnd,
    TextDelta,
    Usage,
)
from lattice_lock.orchestrator import observed as observed_module
from lattice_lock.orchestrator.observed import Observed, ObservedPerformance

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.messages import StreamEvent

MODEL = ModelId(provider="acme", name="x")
HALF_LIFE_S = 100.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds since some moment."""
        return self.now


class Watched:
    """Calls of scripted length through one `ObservedPerformance`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.performance = ObservedPerformance(half_life_s=HALF_LIFE_S, clock=self.clock)

    def seen(self, model: ModelId = MODEL) -> Observed:
        """What is known of `model` now."""
        return self.performance.snapshot()[model]

    async def answer(
        self, seconds: float, *, tokens: int | None = 100, reasoning: int = 0, **request: Any
    ) -> None:
        """A whole answer that takes so long."""
        asked = _request(**request)

        async def model(_request: ChatRequest) -> ChatResponse:
            self.clock.now += seconds
            return _response(tokens, reasoning)

        await self.performance.chat_completion(asked, model)

    async def stream(self, *events: tuple[float, StreamEvent], **request: Any) -> None:
        """A stream whose events come after so many seconds each."""

        async def model(_request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
            for seconds, event in events:
                self.clock.now += seconds
                yield event

        async with aclosing(self.performance.stream(_request(**request), model)) as stream:
            assert [event async for event in stream] == [event for _, event in events]

    async def fail(self, error: BaseException, *, stream: bool = False, **request: Any) -> None:
        """A call that fails with `error`."""
        asked = _request(**request)

        async def model(_request: ChatRequest) -> ChatResponse:
            raise error

        async def events(_request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
            yield TextDelta(text="cut")
            raise error

        async def call() -> None:
            if stream:
                [event async for event in self.performance.stream(asked, events)]
            else:
                await self.performance.chat_completion(asked, model)

        with pytest.raises(type(error)):
            await call()


def _request(model: ModelId = MODEL, timeout_s: float = 60.0) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message.user("?"),), timeout_s=timeout_s)


def _response(tokens: int | None = 100, reasoning: int = 0) -> ChatResponse:
    usage = None if tokens is None else Usage(output_tokens=tokens, reasoning_tokens=reasoning)
    return ChatResponse(
        model=MODEL,
        message=Message.assistant("!"),
        finish_reason=FinishReason.STOP,
        usage=usage,
    )


def _error(kind: type[APIClientError], attempt: int | None = 1) -> APIClientError:
    return kind("It failed.", provider="acme", model="x", attempt=attempt)


async def test_nothing_is_known_at_first() -> None:
    """A model that was never called is not in the snapshot."""
    assert dict(Watched().performance.snapshot()) == {}


async def test_whole_answers_show_time_and_rate() -> None:
    """Seconds to the end are averaged over calls, tokens over the time that they took."""
    watched = Watched()
    await watched.answer(1.0, tokens=100)
    await watched.answer(3.0, tokens=20)
    seen = watched.seen()
    assert seen.calls == pytest.approx(2.0, abs=0.05)
    assert seen.answer_s == pytest.approx(2.0, abs=0.05)
    assert seen.tokens_per_s == pytest.approx(30.0, abs=0.5)
    assert (seen.error_rate, seen.first_content_s) == (0.0, None)
    assert seen.expected_s(60) == pytest.approx(2.0, abs=0.05)


async def test_streams_show_when_content_begins() -> None:
    """Reasoning is no content yet, and tokens count from the first content on, unless hidden."""
    watched = Watched()
    await watched.stream(
        (0.5, ReasoningDelta(text="hm")),
        (1.5, TextDelta(text="a")),
        (3.0, TextDelta(text="b")),
        (1.0, StreamEnd(response=_response(100, reasoning=20))),
    )
    assert watched.seen() == Observed(
        calls=1.0, error_rate=0.0, first_content_s=2.0, answer_s=6.0, tokens_per_s=20.0
    )
    assert watched.seen().expected_s(40) == 4.0


async def test_answers_without_a_count_show_their_time() -> None:
    """Where nobody counted tokens, an answer is expected to take as long as the others."""
    watched = Watched()
    await watched.answer(3.0, tokens=None)
    assert watched.seen() == Observed(calls=1.0, error_rate=0.0, answer_s=3.0)
    assert watched.seen().expected_s(1_000_000) == 3.0
    await watched.answer(3.0, tokens=0)
    assert watched.seen().tokens_per_s is None
    assert watched.seen().expected_s(1_000_000) == pytest.approx(3.0)


@pytest.mark.parametrize("stream", [False, True])
async def test_failures_of_the_provider_count(*, stream: bool) -> None:
    """One of four calls that fails is a quarter, whole or streamed, and has no time."""
    watched = Watched()
    for _ in range(3):
        await watched.answer(0.0)
    await watched.fail(_error(ServerError), stream=stream)
    seen = watched.seen()
    assert (seen.calls, seen.error_rate, seen.answer_s) == (4.0, 0.25, 0.0)


async def test_failures_alone_show_no_speed() -> None:
    """A model that only failed is known to fail, and nothing of how soon it answers."""
    watched = Watched()
    await watched.fail(_error(ProviderTimeoutError))
    assert watched.seen() == Observed(calls=1.0, error_rate=1.0)
    assert watched.seen().expected_s(100) is None


@pytest.mark.parametrize(
    ("error", "timeout_s"),
    [
        (_error(InvalidRequestError), 60.0),
        (_error(ContentFilteredError), 60.0),
        (_error(ProviderUnavailableError, attempt=None), 60.0),
        (_error(OverloadedError, attempt=None), 60.0),
        (_error(ProviderTimeoutError), 4.9),
        (asyncio.CancelledError(), 60.0),
        (ValueError("ours"), 60.0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_what_says_nothing_about_the_provider_is_ignored(
    error: BaseException, timeout_s: float
) -> None:
    """Bad requests, calls that were never sent, impatience and cancelling leave no trace."""
    watched = Watched()
    for stream in (False, True):
        await watched.fail(error, stream=stream, timeout_s=timeout_s)
    assert dict(watched.performance.snapshot()) == {}


async def test_a_stream_that_is_left_shows_nothing() -> None:
    """Whoever stops to read does not make a model look worse or better."""
    watched = Watched()

    async def model(_request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        yield TextDelta(text="a")
        yield TextDelta(text="b")

    async with aclosing(watched.performance.stream(_request(), model)) as stream:
        async for _ in stream:
            break
    assert dict(watched.performance.snapshot()) == {}


async def test_calls_count_half_after_each_half_life() -> None:
    """Old calls fade: what happened lately counts more, and at last nothing is left."""
    watched = Watched()
    await watched.fail(_error(ServerError))
    watched.clock.now += HALF_LIFE_S
    assert watched.seen().calls == 0.5
    await watched.answer(0.0)
    assert watched.seen().calls == 1.5
    assert watched.seen().error_rate == pytest.approx(1 / 3)
    watched.clock.now += 8 * HALF_LIFE_S
    assert dict(watched.performance.snapshot()) == {}
    watched.clock.now += 1e9
    await watched.answer(2.0)
    assert watched.seen() == Observed(calls=1.0, error_rate=0.0, answer_s=2.0, tokens_per_s=50.0)


async def test_what_is_told_does_not_change() -> None:
    """A snapshot is what was known when it was taken."""
    watched = Watched()
    await watched.answer(1.0)
    before = watched.performance.snapshot()
    await watched.answer(1.0)
    assert before[MODEL].calls == 1.0
    with pytest.raises(TypeError):
        before[MODEL] = watched.seen()  # type: ignore[index]  # it is read-only


async def test_models_called_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the model that was not called for longest is forgotten."""
    monkeypatch.setattr(observed_module, "_MAX_MODELS", 3)
    watched = Watched()
    models = [ModelId(provider="acme", name=name) for name in "abcd"]
    for model in (*models[:3], models[0], models[3]):
        await watched.answer(0.1, model=model)
    assert set(watched.performance.snapshot()) == {models[0], models[2], models[3]}


@given(
    st.lists(
        st.tuples(st.floats(0, 1e4), st.booleans(), st.floats(0, 1e3), st.integers(0, 10**6)),
        max_size=20,
    )
)
def test_what_is_known_is_always_within_bounds(
    calls: list[tuple[float, bool, float, int]],
) -> None:
    """Whatever calls come when, counts are positive, rates within 0 and 1 and all is finite."""
    watched = Watched()

    async def play() -> None:
        for pause_s, fails, seconds, tokens in calls:
            watched.clock.now += pause_s
            if fails:
                await watched.fail(_error(ServerError))
            else:
                await watched.answer(seconds, tokens=tokens)

    asyncio.run(play())
    for seen in watched.performance.snapshot().values():
        assert 0 < seen.calls <= len(calls)
        assert 0 <= seen.error_rate <= 1
        for value in (seen.first_content_s, seen.answer_s, seen.tokens_per_s):
            assert value is None or (value >= 0 and math.isfinite(value))
        expected = seen.expected_s(1000)
        assert expected is None or (expected >= 0 and math.isfinite(expected))
