"""The local provider against a real server on loopback, faults included."""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from lattice_lock.errors.retry import RetryPolicy
from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ContextLengthError,
    IncompleteStreamError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotAvailableError,
    OverloadedError,
    ProviderConnectionError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitError,
    ServerError,
)
from lattice_lock.messages import (
    FinishReason,
    Message,
    ModelId,
    StreamEnd,
    StreamEvent,
    TextDelta,
    ToolDefinition,
    Usage,
)
from wire_server import Wire, answer, ask, client_of, delta, event, events, serving, whole

if TYPE_CHECKING:
    from lattice_lock.messages import ChatRequest
    from lattice_lock.providers.local import LocalClient
    from wire_server import Step

CANARY = "canary-5e1f0a77"
DONE = "data: [DONE]\n\n"


async def collect(client: LocalClient, request: ChatRequest) -> list[StreamEvent]:
    """Every event of a stream."""
    async with aclosing(client.stream(request)) as stream:
        return [item async for item in stream]


async def failure(*steps: Step, stream: bool = False) -> tuple[APIClientError, int]:
    """The error that a call ends with, and how many requests it took."""
    async with serving(*steps) as server, client_of(server.url) as client:
        with pytest.raises(APIClientError) as caught:
            await (collect(client, ask()) if stream else client.chat_completion(ask()))
        return caught.value, len(server.requests)


async def refused(wire: Wire) -> None:
    """Close without a word."""
    wire.writer.close()


async def reset(wire: Wire) -> None:
    """Break the connection."""
    wire.reset()


async def test_a_whole_answer() -> None:
    """One request gives text, usage, request id, timing and a cost of zero."""
    async with (
        serving(answer(whole("Hello"), X_Request_Id="r1")) as server,
        client_of(server.url) as client,
    ):
        response = await client.chat_completion(ask("Hi", max_output_tokens=5))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json == {
        "model": "qwen",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
    }
    assert "authorization" not in request.headers
    assert response.text == "Hello"
    assert response.usage == Usage(input_tokens=3, output_tokens=2)
    assert (response.request_id, response.attempts, response.served_model) == ("r1", 1, "served")
    assert (response.cost_usd, response.finish_reason) == (Decimal(0), FinishReason.STOP)
    assert 0 < response.latency_ms < 60_000


async def test_a_stream() -> None:
    """Deltas come in order, and the last event holds the whole answer."""
    script = events(
        ": hello\n\n",
        delta(role="assistant"),
        delta("Hel"),
        delta("lo", usage=None),
        delta(finish="stop"),
        event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2}),
        DONE,
    )
    async with serving(script) as server, client_of(server.url) as client:
        first, second, end = await collect(client, ask())
    assert (first, second) == (TextDelta(text="Hel"), TextDelta(text="lo"))
    assert isinstance(end, StreamEnd)
    assert (end.response.text, end.response.request_id) == ("Hello", "req-1")
    assert end.response.usage == Usage(input_tokens=3, output_tokens=2)
    assert server.requests[0].json["stream_options"] == {"include_usage": True}


async def test_characters_and_line_ends_cut_anywhere() -> None:
    """A stream that arrives byte by byte, with CRLF line ends, gives the same text."""
    text = (delta("漢😀") + delta(finish="stop") + DONE).replace("\n", "\r\n").encode()
    script = events(*(text[n : n + 1] for n in range(len(text))))
    async with serving(script) as server, client_of(server.url) as client:
        *_, end = await collect(client, ask())
    assert isinstance(end, StreamEnd)
    assert end.response.text == "漢😀"


async def test_connections_are_reused() -> None:
    """Calls one after the other share a connection."""
    async with serving(answer(whole(), keep=True)) as server, client_of(server.url) as client:
        for _ in range(5):
            await client.chat_completion(ask())
    assert (len(server.requests), server.connections) == (5, 1)


async def test_a_read_stream_leaves_its_connection_usable() -> None:
    """After `[DONE]` the rest of the body is read, and the next call needs no new connection."""
    body = (delta("a") + delta(finish="stop") + DONE).encode()

    async def chunked(wire: Wire) -> object:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        await wire.send(head, "Transfer-Encoding: chunked\r\n\r\n")
        await wire.send(f"{len(body):x}\r\n", body, "\r\n0\r\n\r\n")
        return "keep"

    async with serving(chunked) as server, client_of(server.url) as client:
        for _ in range(3):
            await collect(client, ask())
    assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (answer({"error": {"message": "slow", "type": "x"}}, 429), RateLimitError),
        (answer({"error": "queue full"}, 503), OverloadedError),
        (answer({}, 500), ServerError),
        (answer({}, 529), OverloadedError),
        (refused, ProviderConnectionError),
        (reset, ProviderConnectionError),
    ],
)
async def test_what_passes_is_retried(
    step: Step,
    kind: type[APIClientError],
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Transient failures are tried three times, and the last one says that it was the third."""
    error, requests = await failure(step, stream=stream)
    assert type(error) is kind
    assert (requests, error.attempt, error.provider, error.model) == (3, 3, "local", "qwen")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "m", "param": "stop"}}, InvalidRequestError),
        (400, {"error": {"message": "m", "type": "exceed_context_size_error"}}, ContextLengthError),
        (401, {"error": {"message": "m", "code": 401}}, AuthenticationError),
        (404, {"error": "model 'qwen' not found"}, ModelNotAvailableError),
        (404, {}, ProviderUnavailableError),
        (422, {"detail": [{"loc": ["body"]}]}, InvalidRequestError),
        (302, {}, InvalidResponseError),
    ],
)
async def test_what_cannot_succeed_is_sent_once(
    status: int,
    body: object,
    kind: type[APIClientError],
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A refusal is mapped with its status and request id, and not repeated."""
    error, requests = await failure(answer(body, status, X_Request_Id="r9"), stream=stream)
    assert type(error) is kind
    assert (requests, error.status, error.request_id, error.attempt) == (1, status, "r9", 1)


async def test_a_retry_can_succeed() -> None:
    """An overloaded server that recovers gives the answer, and says it took two attempts."""
    busy = answer({"error": "busy"}, 503, Retry_After="0")
    async with serving(busy, answer(whole("ok"))) as server, client_of(server.url) as client:
        response = await client.chat_completion(ask())
    assert (response.text, response.attempts, len(server.requests)) == ("ok", 2, 2)


async def test_a_stream_is_retried_before_its_first_event_only() -> None:
    """Nothing was delivered, so the second attempt's text stands alone."""
    good = events(delta("whole"), delta(finish="stop"), DONE)
    async with serving(refused, good) as server, client_of(server.url) as client:
        first, end = await collect(client, ask())
    assert first == TextDelta(text="whole")
    assert isinstance(end, StreamEnd)
    assert end.response.attempts == 2


async def test_a_stream_that_breaks_is_never_begun_anew() -> None:
    """After the first text a failure is raised in its place; no second answer is glued to it."""
    seen: list[StreamEvent] = []

    async def consume(client: LocalClient) -> None:
        async with aclosing(client.stream(ask())) as stream:
            async for item in stream:
                seen.append(item)  # noqa: PERF401  # what came before the error is the point

    async with serving(events(delta("half"))) as server, client_of(server.url) as client:
        with pytest.raises(IncompleteStreamError) as caught:
            await consume(client)
    assert seen == [TextDelta(text="half")]
    assert (len(server.requests), caught.value.attempt) == (1, 1)
    assert caught.value.request_id == "req-1"


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([delta("a")], IncompleteStreamError),
        ([delta("a"), delta(finish="stop")], IncompleteStreamError),
        ([delta("a"), DONE], IncompleteStreamError),
        ([delta("a"), event(error={"message": "out", "code": 500})], ServerError),
        ([delta("a"), event(error="strange")], InvalidResponseError),
        ([delta("a"), "data: {garbage\n\n"], InvalidResponseError),
        ([delta("a"), b'data: {"choices": "\xe6\xbc"}\n\n'], InvalidResponseError),
        ([delta("a"), 'data: {"choices": 5}\n\n'], InvalidResponseError),
    ],
)
async def test_a_bad_stream_raises(pieces: list[str | bytes], kind: type[APIClientError]) -> None:
    """A stream that ends, fails or babbles before its terminal event raises; it never returns."""
    error, requests = await failure(events(*pieces), stream=True)
    assert type(error) is kind
    assert requests == 1


async def test_a_stream_that_is_cut_off_raises() -> None:
    """A chunked body that breaks in the middle is a connection error, with the id so far."""

    async def cut(wire: Wire) -> None:
        await wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        await wire.send("Transfer-Encoding: chunked\r\n\r\n", "ff\r\n", delta("a"))

    error, _ = await failure(cut, stream=True)
    assert type(error) is ProviderConnectionError


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<html>Sign in</html>", "text/html"),
        (b'{"choices": [', "application/json"),
        (b'{"choices": []}', "application/json"),
        (b'{"object": "list", "data": []}', "application/json"),
        (b'{"choices": [{"message": {"content": "\xe6\xbc"}}]}', "application/json"),
        (b"", "application/json"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_another_kind_is_no_answer(
    content: bytes,
    kind: str,
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Garbage, a login page or an empty body with status 200 is an error and not an empty text."""

    async def step(wire: Wire) -> None:
        await wire.head(kind=kind)
        await wire.send(content)

    error, requests = await failure(step, stream=stream)
    assert type(error) is InvalidResponseError
    assert requests == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_inside_a_success_is_an_error(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A body that holds an error is mapped by the code in it, whatever the status says."""
    body = {"error": {"message": "full", "type": "exceed_context_size_error"}}
    error, _ = await failure(answer(body), stream=stream)
    assert type(error) is ContextLengthError


@pytest.mark.parametrize("stream", [False, True])
async def test_silence_ends_at_the_deadline(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A server that accepts and says nothing holds a call no longer than its deadline."""

    async def silent(wire: Wire) -> None:
        await wire.until_hung_up()

    async with serving(silent) as server, client_of(server.url) as client:
        request = ask(timeout_s=0.2)
        with pytest.raises(ProviderTimeoutError):
            await (collect(client, request) if stream else client.chat_completion(request))
        await asyncio.wait_for(server.hung_up.wait(), 5)


@pytest.mark.parametrize("stream", [False, True])
async def test_silence_after_the_head_ends_at_the_deadline(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """A server that stops after its headers holds a call no longer, and is hung up on."""

    async def stuck(wire: Wire) -> None:
        await wire.head(kind="text/event-stream" if stream else "application/json")
        await wire.until_hung_up()

    async with serving(stuck) as server, client_of(server.url) as client:
        request = ask(timeout_s=0.2)
        with pytest.raises(ProviderTimeoutError):
            await (collect(client, request) if stream else client.chat_completion(request))
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_one_deadline_holds_for_all_attempts() -> None:
    """A wait that does not fit into what is left is not begun."""
    busy = answer({"error": "busy"}, 503, Retry_After="5")
    async with serving(busy) as server, client_of(server.url) as client:
        started = asyncio.get_running_loop().time()
        with pytest.raises(OverloadedError) as caught:
            await client.chat_completion(ask(timeout_s=2.0))
        assert asyncio.get_running_loop().time() - started < 2.0
    assert (len(server.requests), caught.value.retry_after_s) == (1, 5.0)


@pytest.mark.parametrize("phase", ["before the head", "after the head", "in the text"])
@pytest.mark.parametrize("way", ["cancel", "close"])
async def test_stopping_the_consumer_hangs_up(phase: str, way: str) -> None:
    """Cancelling or closing a stream in any phase closes the upstream connection at once."""
    reached = asyncio.Event()

    async def step(wire: Wire) -> None:
        if phase != "before the head":
            await wire.head(kind="text/event-stream")
        if phase == "in the text":
            await wire.send(delta("a"))
        reached.set()
        await wire.until_hung_up()

    async with serving(step) as server, client_of(server.url) as client:
        stream = client.stream(ask())
        task = asyncio.ensure_future(anext(stream))
        await asyncio.wait_for(reached.wait(), 5)
        if phase == "in the text":
            assert await task == TextDelta(text="a")
            if way == "cancel":
                task = asyncio.ensure_future(anext(stream))
                await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await stream.aclose()
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_cancelling_a_call_hangs_up() -> None:
    """A whole call that is cancelled closes its connection at once, and is not retried."""
    reached = asyncio.Event()

    async def step(wire: Wire) -> None:
        reached.set()
        await wire.until_hung_up()

    async with serving(step) as server, client_of(server.url) as client:
        task = asyncio.ensure_future(client.chat_completion(ask()))
        await asyncio.wait_for(reached.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.hung_up.wait(), 5)
    assert len(server.requests) == 1


async def test_an_outage_is_not_multiplied() -> None:
    """With the server down for good, requests stay within 1.1 times the calls plus the quota."""
    calls = 60
    async with serving(answer({}, 503)) as server, client_of(server.url) as client:
        for _ in range(calls):
            with pytest.raises(OverloadedError):
                await client.chat_completion(ask())
    assert calls < len(server.requests) <= 1.1 * calls + 10


async def test_nobody_there() -> None:
    """A port that nothing listens on is named, with what to do."""
    async with client_of("http://127.0.0.1:1/v1") as client:
        with pytest.raises(ProviderConnectionError, match=r"127\.0\.0\.1:1") as caught:
            await client.chat_completion(ask())
    assert "LATTICE_LOCK_LOCAL_URL" in str(caught.value)


async def test_an_unknown_host_is_a_connection_error() -> None:
    """A name that does not resolve is reported without blocking the loop."""
    async with client_of("http://nowhere.invalid/v1", retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(ProviderConnectionError, match=r"nowhere\.invalid"):
            await client.chat_completion(ask(timeout_s=20.0))


async def test_what_answers_is_not_http() -> None:
    """A server of another protocol is an error that says so."""

    async def banner(wire: Wire) -> None:
        await wire.send("220 smtp.example ESMTP ready\r\n")

    error, _ = await failure(banner)
    assert type(error) is InvalidResponseError


async def test_an_endless_body_is_refused() -> None:
    """A body beyond the limit ends the call instead of filling the memory."""

    async def flood(wire: Wire) -> None:
        await wire.head()
        piece = b" " * (1024 * 1024)
        while not wire.hung_up.is_set():
            await wire.send(piece)

    error, _ = await failure(flood)
    assert type(error) is InvalidResponseError
    assert "longer than" in str(error)


async def test_a_model_of_another_provider_is_refused() -> None:
    """A client never sends what is meant for another provider."""
    async with serving(answer(whole())) as server, client_of(server.url) as client:
        with pytest.raises(InvalidRequestError):
            await client.chat_completion(ask(model=ModelId.parse("openai/x")))
        with pytest.raises(InvalidRequestError):
            await collect(client, ask(model=ModelId.parse("openai/x")))
    assert not server.requests


async def test_models_are_listed() -> None:
    """The models of the server are given in its order."""
    body = {"object": "list", "data": [{"id": "b:1b", "object": "model"}, {"id": "org/a"}]}
    async with serving(answer(body)) as server, client_of(server.url) as client:
        models = await client.list_models()
    assert [str(model) for model in models] == ["local/b:1b", "local/org/a"]
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models")


async def test_the_key_goes_to_the_configured_host_only(caplog: pytest.LogCaptureFixture) -> None:
    """The key is sent as a bearer; a redirect to another host is not followed."""
    async with serving(answer(whole())) as other:
        moved = answer({}, 307, Location=f"{other.url}/chat/completions")
        async with (
            serving(moved) as server,
            client_of(server.url, LATTICE_LOCK_LOCAL_API_KEY=CANARY) as client,
        ):
            with pytest.raises(InvalidResponseError, match="redirect"):
                await client.chat_completion(ask())
        assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    assert not other.requests
    assert CANARY not in caplog.text


async def test_no_failure_reveals_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """A key is in no error, traceback, log or repr, even where the server echoes it."""
    caplog.set_level(logging.DEBUG)

    async def echo_in_head(wire: Wire) -> None:
        await wire.head(401, X_Request_Id=CANARY)
        await wire.send(f"bad key {CANARY}")

    async def bad_head(wire: Wire) -> None:
        await wire.send(f"HTTP/1.1 200 OK\r\nbad header {CANARY}\r\n\r\n")

    echo = {"error": {"message": f"Incorrect key {CANARY}", "code": f"k-{CANARY}"}}
    steps: list[Step] = [
        answer(echo, 401), answer(echo), answer({"detail": [CANARY]}, 422), echo_in_head, bad_head,
        events(delta("a"), event(error={"message": CANARY})), events(f"data: {CANARY}\n\n"),
        refused, reset, answer(whole(CANARY[:0])),
    ]  # fmt: skip
    written = []
    for step in steps:
        async with (
            serving(step) as server,
            client_of(server.url, LATTICE_LOCK_LOCAL_API_KEY=CANARY) as client,
        ):
            for stream in (False, True):
                try:
                    await (collect(client, ask()) if stream else client.chat_completion(ask()))
                except APIClientError as error:
                    chain: BaseException | None = error
                    while chain is not None:
                        written.append(f"{chain!r} {chain} {vars(chain)}")
                        chain = chain.__cause__ or chain.__context__
                    written += traceback.format_exception(error)
            written.append(repr(client) + repr(vars(client)))
    assert len(written) > 30
    assert CANARY not in "".join(written) + caplog.text


async def test_a_key_that_is_no_header_is_refused() -> None:
    """A key with a line end in it is an error that says so and does not show it."""
    async with client_of("http://127.0.0.1:1/v1", LATTICE_LOCK_LOCAL_API_KEY="a\nb") as client:
        with pytest.raises(ProviderUnavailableError, match="characters"):
            await client.chat_completion(ask())


async def test_a_request_for_tools_is_sent_whole() -> None:
    """Tools and a choice arrive, and a call comes back with its arguments."""
    call = {"id": "c1", "function": {"name": "look", "arguments": '{"a": 1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = whole() | {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    tool = ToolDefinition(name="look", parameters={"type": "object"})
    async with serving(answer(body)) as server, client_of(server.url) as client:
        response = await client.chat_completion(
            ask(messages=(Message.user("Look"),), tools=(tool,), tool_choice="required")
        )
    assert server.requests[0].json["tool_choice"] == "required"
    assert response.tool_calls[0].arguments == {"a": 1}
    assert response.finish_reason is FinishReason.TOOL_CALLS
