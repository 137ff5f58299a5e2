"""What clients of HTTP providers share, over a real server."""

from __future__ import annotations

import pytest

from lattice_lock.exceptions import InvalidRequestError, ServerError
from lattice_lock.messages import StreamEnd, ToolCall, ToolDefinition
from wire_server import answer, ask, client_of, delta, events, serving, whole

DOWN = answer({}, 500)
BAD = {"error": {"message": "odd", "type": "invalid_request_error"}}


@pytest.mark.parametrize("stream", [False, True])
async def test_one_call_has_one_idempotency_key(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Every attempt of a call carries the same key, and the next call another."""
    good = events(delta("Hi", "stop"), "data: [DONE]\n\n") if stream else answer(whole())
    async with serving(DOWN, DOWN, good) as server, client_of(server.url) as client:
        for _ in range(2):
            if stream:
                seen = [event async for event in client.stream(ask())]
                assert isinstance(seen[-1], StreamEnd)
            else:
                await client.chat_completion(ask())
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(keys) == 4
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert all(len(key) >= 32 for key in keys)


async def test_reading_carries_no_idempotency_key() -> None:
    """A request that changes nothing is not marked."""
    async with serving(answer({"data": []})) as server, client_of(server.url) as client:
        await client.list_models()
    assert "idempotency-key" not in server.requests[0].headers


async def test_a_provider_may_forbid_the_retry() -> None:
    """`x-should-retry: false` ends the call even where its status would allow another attempt."""
    final = answer({}, 500, X_Should_Retry="false")
    async with serving(final, answer(whole())) as server, client_of(server.url) as client:
        with pytest.raises(ServerError) as caught:
            await client.chat_completion(ask())
    assert (len(server.requests), caught.value.should_retry) == (1, False)


async def test_a_provider_may_ask_for_the_retry() -> None:
    """`x-should-retry: true` allows bounded attempts after a status that forbids them."""
    again = answer(BAD, 400, X_Should_Retry="true")
    async with serving(again, answer(whole())) as server, client_of(server.url) as client:
        assert (await client.chat_completion(ask())).attempts == 2
    async with serving(again) as server, client_of(server.url) as client:
        with pytest.raises(InvalidRequestError):
            await client.chat_completion(ask())
    assert len(server.requests) == 3


async def test_an_unknown_word_decides_nothing() -> None:
    """Any other value of the header leaves the decision to the status."""
    odd = answer(BAD, 400, X_Should_Retry="perhaps")
    async with serving(odd) as server, client_of(server.url) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.chat_completion(ask())
    assert (len(server.requests), caught.value.should_retry) == (1, None)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_json_cannot_say_is_refused_and_not_sent(*, stream: bool) -> None:
    """Half of a character, and a tool nested too deep, are errors of the request."""
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    tool = ToolDefinition(name="deep", parameters=deep)
    async with serving(answer(whole())) as server, client_of(server.url) as client:
        for request, said in ((ask("\ud800"), "half of a character"), (ask(tools=(tool,)), "deep")):
            events_ = client.stream(request)
            with pytest.raises(InvalidRequestError, match=said):
                await (anext(events_) if stream else client.chat_completion(request))
        assert server.requests == []


@pytest.mark.parametrize("raw", ["[" * 100_000, "{", "[1]", '{"a": "\ud800"}'])
def test_arguments_that_are_no_object_are_none(raw: str) -> None:
    """A model may write anything as arguments, and nothing of it breaks who looks at them."""
    assert ToolCall(id="1", name="t", raw_arguments=raw).arguments is None
