"""Layers around calls, over a real server."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
import pytest
from typing_extensions import override

from lattice_lock.exceptions import PolicyViolationError, ServerError
from lattice_lock.messages import (
    ChatResponse,
    FinishReason,
    Message,
    ModelId,
    StreamEnd,
    TextDelta,
)
from lattice_lock.providers.fallback import FallbackManager
from lattice_lock.providers.middleware import Middleware
from wire_server import Wire, answer, ask, client_of, delta, events, serving, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lattice_lock.messages import ChatRequest, StreamEvent
    from lattice_lock.providers.middleware import CallNext, StreamNext

GOOD = events(delta("Hi"), delta(finish="stop"), "data: [DONE]\n\n")


class Noting(Middleware):
    """Notes what passes, and asks for a certain temperature."""

    def __init__(self, name: str, notes: list[str], temperature: float) -> None:
        self._name = name
        self._notes = notes
        self._temperature = temperature

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        self._notes.append(f"{self._name} in")
        changed = msgspec.structs.replace(request, temperature=self._temperature)
        try:
            return await call_next(changed)
        finally:
            self._notes.append(f"{self._name} out")

    @override
    async def stream(
        self, request: ChatRequest, call_next: StreamNext
    ) -> AsyncGenerator[StreamEvent, None]:
        self._notes.append(f"{self._name} in")
        changed = msgspec.structs.replace(request, temperature=self._temperature)
        try:
            async with aclosing(call_next(changed)) as items:
                async for item in items:
                    yield item
        finally:
            self._notes.append(f"{self._name} out")


class Refusing(Middleware):
    """Lets no call through."""

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        raise PolicyViolationError("No.", policy="nothing")


class Answering(Middleware):
    """Answers in place of the model."""

    @override
    async def chat_completion(self, request: ChatRequest, call_next: CallNext) -> ChatResponse:
        said = Message.assistant("cached")
        return ChatResponse(model=request.model, message=said, finish_reason=FinishReason.STOP)


@pytest.mark.parametrize("stream", [False, True])
async def test_layers_are_nested(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """The first layer is the outermost, and the last to change the request has the last word."""
    notes: list[str] = []
    async with (
        serving(GOOD if stream else answer(whole())) as server,
        client_of(server.url) as client,
    ):
        client.use(Noting("outer", notes, 0.1), Noting("inner", notes, 0.9))
        if stream:
            seen = [item async for item in client.stream(ask())]
            assert isinstance(seen[-1], StreamEnd)
            assert seen[0] == TextDelta(text="Hi")
        else:
            assert (await client.chat_completion(ask())).text == "Hi"
    assert notes == ["outer in", "inner in", "inner out", "outer out"]
    assert [request.json["temperature"] for request in server.requests] == [0.9]


async def test_a_layer_sees_one_call_whatever_it_takes() -> None:
    """Retries happen within, and the error that comes out passes every layer once."""
    notes: list[str] = []
    async with serving(answer({}, 500)) as server, client_of(server.url) as client:
        client.use(Noting("a", notes, 0.5))
        with pytest.raises(ServerError) as caught:
            await client.chat_completion(ask())
    assert (caught.value.attempt, len(server.requests), notes) == (3, 3, ["a in", "a out"])


async def test_a_layer_may_refuse_or_answer_itself() -> None:
    """What a layer does not pass on never reaches the provider."""
    async with serving(answer(whole())) as server, client_of(server.url) as client:
        client.use(Refusing())
        with pytest.raises(PolicyViolationError):
            await client.chat_completion(ask())
        client.use(Answering(), Refusing())
        assert (await client.chat_completion(ask())).text == "cached"
        assert server.requests == []
        client.use(Middleware())
        assert (await client.chat_completion(ask())).text == "Hi"


async def test_closing_a_stream_hangs_up_through_every_layer() -> None:
    """Closing the outermost stream closes the connection at once."""

    async def endless(wire: Wire) -> None:
        await wire.head(kind="text/event-stream")
        await wire.send(delta("a"))
        await wire.until_hung_up()

    notes: list[str] = []
    async with serving(endless) as server, client_of(server.url) as client:
        client.use(Middleware(), Noting("a", notes, 0.5), Noting("b", notes, 0.5))
        stream = client.stream(ask())
        assert await anext(stream) == TextDelta(text="a")
        await stream.aclose()
        await asyncio.wait_for(server.hung_up.wait(), 5)
    assert notes == ["a in", "b in", "b out", "a out"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_layers_of_one_call_are_outermost_and_for_that_call_alone(*, stream: bool) -> None:
    """What a call brings along stands outside of what the client has, and is gone afterwards."""
    notes: list[str] = []
    async with (
        serving(GOOD if stream else answer(whole())) as server,
        client_of(server.url) as client,
    ):
        client.use(Noting("own", notes, 0.1))
        for layers in ([Noting("call", notes, 0.9)], []):
            if stream:
                assert [one async for one in client.stream(ask(), layers=layers)]
            else:
                await client.chat_completion(ask(), layers=layers)
    assert notes == ["call in", "own in", "own out", "call out", "own in", "own out"]
    assert [request.json["temperature"] for request in server.requests] == [0.1, 0.1]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_layers_stand_around_each_candidate(*, stream: bool) -> None:
    """A fallback puts its layers around every candidate that it asks, not around all at once."""
    notes: list[str] = []
    good = GOOD if stream else answer(whole())
    async with serving(answer({}, 400), good) as server, client_of(server.url) as client:
        manager = FallbackManager({"local": client})
        candidates = [ask().model, ModelId(provider="local", name="other")]
        layers = [Noting("call", notes, 0.9)]
        if stream:
            assert [one async for one in manager.stream(ask(), candidates, layers=layers)]
        else:
            await manager.chat_completion(ask(), candidates, layers=layers)
    assert notes == ["call in", "call out"] * 2
