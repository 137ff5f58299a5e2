"""One question, several models, real servers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar

import pytest
from typing_extensions import override

from lattice_lock.exceptions import (
    AllProvidersFailedError,
    APIClientError,
    AuthenticationError,
    ContentFilteredError,
    IncompleteStreamError,
    ModelNotAvailableError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    ServerError,
    UsageError,
)
from lattice_lock.messages import ModelId, StreamEnd, StreamEvent, TextDelta
from lattice_lock.providers.base_client import BaseAPIClient
from lattice_lock.providers.fallback import FallbackManager
from lattice_lock.providers.openai_compatible import OpenAICompatibleClient
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings
from wire_server import (
    NOWHERE,
    QUICK,
    Wire,
    answer,
    ask,
    delta,
    event,
    events,
    serving,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from lattice_lock.messages import ChatRequest, ChatResponse
    from lattice_lock.providers.transport import Deadline
    from wire_server import ScriptedServer, Step

DONE = "data: [DONE]\n\n"
DOWN = answer({}, 500)


@asynccontextmanager
async def providers(
    *steps: Sequence[Step],
) -> AsyncIterator[tuple[FallbackManager, list[ModelId], list[ScriptedServer]]]:
    """Providers `p0`, `p1`..., each with a server that follows its own steps."""
    if not steps:
        yield FallbackManager({}), [], []
        return
    settings = Settings.load(environment={}, dotenv=NOWHERE)
    clients = {}
    async with Transport(settings) as transport, _all_serving(steps) as servers:
        for n, server in enumerate(servers):

            class Client(OpenAICompatibleClient):
                provider: ClassVar[str] = f"p{n}"
                base_url: ClassVar[str] = server.url

            clients[f"p{n}"] = Client(settings, transport, retry=QUICK)
        models = [ModelId(provider=name, name="m") for name in clients]
        yield FallbackManager(clients), models, servers


@asynccontextmanager
async def _all_serving(steps: Sequence[Sequence[Step]]) -> AsyncIterator[list[ScriptedServer]]:
    if not steps:
        yield []
        return
    async with serving(*steps[0]) as first, _all_serving(steps[1:]) as rest:
        yield [first, *rest]


async def collect(
    manager: FallbackManager, models: Sequence[ModelId], seen: list[StreamEvent]
) -> None:
    """Read a stream to its end into `seen`."""
    async with aclosing(manager.stream(ask(), models)) as stream:
        async for item in stream:
            seen.append(item)  # noqa: PERF401  # what came before an error counts


async def test_the_first_that_answers_wins() -> None:
    """Candidates are asked in order until one answers, and no further."""
    refused = answer({"error": "no model"}, 404)
    async with providers([DOWN], [refused], [answer(whole("third"))], [DOWN]) as (
        manager,
        models,
        servers,
    ):
        response = await manager.chat_completion(ask(), models)
    assert (response.text, response.model) == ("third", models[2])
    assert [len(server.requests) for server in servers] == [3, 1, 1, 0]


async def test_a_stream_falls_back_without_a_trace() -> None:
    """A candidate that fails before its first event leaves nothing in the stream."""
    broken = events(event(choices=[{"delta": {"role": "assistant"}}]))
    good = events(delta("whole"), delta(finish="stop"), DONE)
    seen: list[StreamEvent] = []
    async with providers([broken], [good]) as (manager, models, _):
        await collect(manager, models, seen)
    assert seen[0] == TextDelta(text="whole")
    assert isinstance(seen[-1], StreamEnd)
    assert (len(seen), seen[-1].response.model) == (2, models[1])


@pytest.mark.parametrize("cut", range(1, 4))
async def test_answers_are_never_glued(cut: int) -> None:
    """Wherever the first answer breaks off, its text is all there is, and then the error."""
    words = ["one ", "two ", "three "][:cut]
    good = events(delta("OTHER"), delta(finish="stop"), DONE)
    seen: list[StreamEvent] = []
    async with providers([events(*map(delta, words))], [good]) as (manager, models, servers):
        with pytest.raises(IncompleteStreamError):
            await collect(manager, models, seen)
    text = "".join(item.text for item in seen if isinstance(item, TextDelta))
    assert text == "".join(words)
    assert [len(server.requests) for server in servers] == [1, 0]


@pytest.mark.parametrize("stream", [False, True])
async def test_when_all_fail_every_cause_is_kept(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """The error is a group that holds the error of each candidate, in order."""
    steps: list[list[Step]] = [
        [DOWN],
        [answer({"error": "no"}, 401)],
        [answer({"error": "no model"}, 404)],
    ]
    async with providers(*steps) as (manager, models, _):
        models.append(ModelId(provider="nobody", name="m"))
        with pytest.raises(AllProvidersFailedError) as caught:
            await (
                collect(manager, models, []) if stream else manager.chat_completion(ask(), models)
            )
    kinds = [type(error) for error in caught.value.exceptions]
    assert kinds == [
        ServerError,
        AuthenticationError,
        ModelNotAvailableError,
        ProviderUnavailableError,
    ]
    assert [error.provider for error in errors_of(caught.value)] == ["p0", "p1", "p2", "nobody"]


def errors_of(group: AllProvidersFailedError) -> list[APIClientError]:
    """The causes, with their type."""
    return [error for error in group.exceptions if isinstance(error, APIClientError)]


async def test_a_filtered_prompt_is_taken_to_nobody_else() -> None:
    """What one provider's filter refused is not tried on the next."""
    filtered = answer({"error": {"message": "no", "code": "content_filter"}}, 400)
    async with providers([filtered], [answer(whole())]) as (manager, models, servers):
        with pytest.raises(ContentFilteredError):
            await manager.chat_completion(ask(), models)
    assert not servers[1].requests


async def test_one_deadline_holds_for_all() -> None:
    """The time that a silent candidate took is gone for the others."""

    async def silent(wire: Wire) -> None:
        await wire.until_hung_up()

    async with providers([silent], [answer(whole())]) as (manager, models, servers):
        started = asyncio.get_running_loop().time()
        with pytest.raises(AllProvidersFailedError) as caught:
            await manager.chat_completion(ask(timeout_s=0.3), models)
        assert asyncio.get_running_loop().time() - started < 5.0
    assert [type(error) for error in caught.value.exceptions] == [ProviderTimeoutError] * 2
    assert not servers[1].requests


class Slow(BaseAPIClient):
    """A provider that takes its time, remembers how long it was given, and fails."""

    provider: ClassVar[str] = "slow"
    given_s: list[float]

    @override
    async def _chat_completion_impl(self, request: ChatRequest, deadline: Deadline) -> ChatResponse:
        self.given_s = [*getattr(self, "given_s", []), request.timeout_s]
        assert deadline.remaining_s() <= request.timeout_s
        await asyncio.sleep(0.05)
        raise AuthenticationError("no", provider=self.provider)

    @override
    def _stream_impl(
        self, request: ChatRequest, deadline: Deadline
    ) -> AsyncGenerator[StreamEvent, None]:
        raise NotImplementedError


async def test_each_candidate_gets_what_is_left() -> None:
    """The time of a candidate is the request's less what those before it took."""
    settings = Settings.load(environment={}, dotenv=NOWHERE)
    async with Transport(settings) as transport:
        slow = Slow(settings, transport)
        models = [ModelId(provider="slow", name=name) for name in ("a", "b", "c")]
        with pytest.raises(AllProvidersFailedError):
            await FallbackManager({"slow": slow}).chat_completion(ask(timeout_s=60.0), models)
    first, second, third = slow.given_s
    assert 60.0 >= first >= second + 0.04 >= third + 0.08


async def test_a_candidate_is_asked_once() -> None:
    """A model that is listed twice is one candidate."""
    async with providers([answer({"error": "no"}, 401)]) as (manager, models, servers):
        with pytest.raises(AllProvidersFailedError) as caught:
            await manager.chat_completion(ask(), models * 3)
    assert (len(caught.value.exceptions), len(servers[0].requests)) == (1, 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_no_candidate_is_wrong_use(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """An empty list is an error of the caller and not a failure of providers."""
    async with providers() as (manager, _, _):
        with pytest.raises(UsageError):
            await (collect(manager, [], []) if stream else manager.chat_completion(ask(), []))


async def test_closing_the_stream_hangs_up() -> None:
    """Closing what the manager gives closes the upstream connection at once."""

    async def endless(wire: Wire) -> None:
        await wire.head(kind="text/event-stream")
        await wire.send(delta("a"))
        await wire.until_hung_up()

    async with providers([endless]) as (manager, models, servers):
        stream = manager.stream(ask(), models)
        await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(servers[0].hung_up.wait(), 5)
