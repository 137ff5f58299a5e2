"""The provider `openai` against a server that judges it with the vendor's own types."""

from __future__ import annotations

import asyncio
import json
import traceback
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import openai
import pytest

from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ConflictError,
    ContentFilteredError,
    ContextLengthError,
    IncompleteStreamError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotAvailableError,
    OverloadedError,
    PermissionDeniedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitError,
    ServerError,
)
from lattice_lock.messages import (
    FilePart,
    FinishReason,
    ImagePart,
    Message,
    ModelId,
    NamedTool,
    OpaquePart,
    ReasoningDelta,
    ReasoningEffort,
    ReasoningPart,
    ResponseSchema,
    Role,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolDefinition,
    ToolResult,
    Usage,
)
from lattice_lock.providers.openai import OpenAIClient
from openai_wire import (
    KEY,
    REQUEST_ID,
    as_stream,
    ask,
    chunks,
    client_for,
    collect,
    judge,
    openai_server,
    payload,
    problem,
    sse,
    streamed,
    vendor_client,
    whole,
)
from wire_server import answer, serving

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from lattice_lock.messages import ChatRequest, ChatResponse
    from wire_server import ScriptedServer, Step, Wire

NEW = "openai/gpt-6.1-sol"
OLD = "openai/gpt-4.1"
WEATHER = ToolDefinition(
    name="weather",
    description="Weather of a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
PIXEL = b"\x89PNG\r\n"


def our_client(
    server: ScriptedServer, **environment: str
) -> AbstractAsyncContextManager[OpenAIClient]:
    """Our client of `server`."""
    ours = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY}
    return client_for(OpenAIClient, **(ours | environment))


async def call(*steps: Step, request: ChatRequest) -> tuple[ChatResponse, list[dict[str, Any]]]:
    """The answer of a server that follows `steps`, and the bodies that it was sent."""
    async with openai_server(*steps) as server, our_client(server) as client:
        response = await client.chat_completion(request)
    return response, [judge(request) for request in server.requests]


async def failure(*steps: Step, request: ChatRequest, stream: bool = False) -> APIClientError:
    """The error that a call ends with."""
    async with openai_server(*steps) as server, our_client(server) as client:
        with pytest.raises(APIClientError) as caught:
            await (collect(client, request) if stream else client.chat_completion(request))
        return caught.value


async def refused(request: ChatRequest, **environment: str) -> InvalidRequestError:
    """The refusal of a request that never reaches the server."""
    async with openai_server() as server, our_client(server, **environment) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.chat_completion(request)
        with pytest.raises(InvalidRequestError):
            await collect(client, request)
    assert server.requests == []
    return caught.value


async def test_a_whole_answer() -> None:
    """A plain question goes to Responses, is not stored, and comes back with all its figures."""
    async with (
        openai_server(whole(payload("openai/text"))) as server,
        our_client(server, OPENAI_ORG_ID="org-1", OPENAI_PROJECT_ID="proj_1") as client,
    ):
        response = await client.chat_completion(
            ask(NEW, Message.system("Be brief"), Message.user("2+2?"), max_output_tokens=200)
        )
    (request,) = server.requests
    assert request.path == "/v1/responses"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["openai-organization"] == "org-1"
    assert request.headers["openai-project"] == "proj_1"
    assert request.json == {
        "model": "gpt-6.1-sol",
        "input": [
            {"role": "developer", "content": "Be brief"},
            {"role": "user", "content": "2+2?"},
        ],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 200,
    }
    assert response.text == "Vier, 四 — 4️⃣."
    assert response.finish_reason is FinishReason.STOP
    assert (response.served_model, response.raw_finish_reason) == ("gpt-6.1-sol", "completed")
    assert (response.request_id, response.cost_usd) == (REQUEST_ID, None)
    assert response.usage == Usage(
        input_tokens=2048,
        cached_input_tokens=1024,
        cache_write_tokens=512,
        output_tokens=90,
        reasoning_tokens=64,
    )


async def test_the_vendor_accepts_the_same_server() -> None:
    """The vendor's own client reads every recorded answer, whole and streamed, as we do."""
    for name in ("openai/text", "openai/tools"):
        body = payload(name)
        steps = whole(body), as_stream(sse(*streamed(body)))
        async with openai_server(*steps) as server, our_client(server) as client:
            ours = await client.chat_completion(ask(NEW))
        async with openai_server(*steps) as server, vendor_client(server.url) as vendor:
            theirs = await vendor.responses.create(model="gpt-6.1-sol", input="Hello", store=False)
            stream = await vendor.responses.create(
                model="gpt-6.1-sol", input="Hello", store=False, stream=True
            )
            ends = [event async for event in stream if event.type == "response.completed"]
        assert theirs.output_text == ours.text == ends[0].response.output_text
        calls = [item for item in theirs.output if item.type == "function_call"]
        assert [c.call_id for c in calls] == [c.id for c in ours.tool_calls]


async def test_a_stream() -> None:
    """Text, reasoning and two calls come as deltas that add up to the whole answer."""
    body = payload("openai/tools")
    async with (
        openai_server(as_stream(sse(*streamed(body))), whole(body)) as server,
        our_client(server) as client,
    ):
        *events, end = await collect(client, ask(NEW, tools=(WEATHER,)))
        direct = await client.chat_completion(ask(NEW, tools=(WEATHER,)))
    assert isinstance(end, StreamEnd)
    assert end.response.message == direct.message
    assert end.response.usage == direct.usage
    assert end.response.finish_reason is FinishReason.TOOL_CALLS
    assert end.response.request_id == REQUEST_ID
    thought = "".join(e.text for e in events if isinstance(e, ReasoningDelta))
    assert thought == "Two cities are asked for.\n\nSo two calls."
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == direct.text
    deltas = [e for e in events if isinstance(e, ToolCallDelta)]
    firsts = [(e.index, e.id, e.name) for e in deltas if e.id]
    assert firsts == [(0, "call_1", "weather"), (1, "call_2", "weather")]
    for index, made in enumerate(direct.tool_calls):
        assert "".join(e.arguments for e in deltas if e.index == index) == made.raw_arguments
    assert server.requests[0].json["stream"] is True


async def test_a_call_that_comes_in_one_piece_is_a_delta_too() -> None:
    """A server that sends a call only when it is finished, as xAI may, still gives its delta."""
    body = payload("openai/tools")
    kept = [
        event
        for event in streamed(body)
        if "function_call_arguments" not in event["type"]
        and not (
            event["type"] == "response.output_item.added"
            and event["item"]["type"] == "function_call"
        )
    ]
    async with openai_server(as_stream(sse(*kept))) as server, our_client(server) as client:
        events = await collect(client, ask(NEW, tools=(WEATHER,)))
    deltas = [e for e in events if isinstance(e, ToolCallDelta)]
    assert deltas == [
        ToolCallDelta(index=0, id="call_1", name="weather", arguments='{"city":"Oslo"}'),
        ToolCallDelta(index=1, id="call_2", name="weather", arguments='{"city":"Lima"}'),
    ]


async def test_a_call_that_is_begun_and_then_finished_at_once_is_whole() -> None:
    """Arguments that no delta has brought come with the event that finishes the call."""
    kept = [
        event
        for event in streamed(payload("openai/tools"))
        if "function_call_arguments" not in event["type"]
    ]
    async with openai_server(as_stream(sse(*kept))) as server, our_client(server) as client:
        events = await collect(client, ask(NEW, tools=(WEATHER,)))
    deltas = [e for e in events if isinstance(e, ToolCallDelta)]
    assert deltas == [
        ToolCallDelta(index=0, id="call_1", name="weather"),
        ToolCallDelta(index=0, arguments='{"city":"Oslo"}'),
        ToolCallDelta(index=1, id="call_2", name="weather"),
        ToolCallDelta(index=1, arguments='{"city":"Lima"}'),
    ]


async def test_a_last_event_that_lists_less_loses_nothing() -> None:
    """Items that were finished on the way are in the answer, whatever the last event lists."""
    body = payload("openai/tools")
    *events, end = streamed(body)
    thought = {k: v for k, v in body["output"][0].items() if k != "encrypted_content"}
    for output in ([], [thought], [thought, *body["output"][1:]]):
        last = end | {"response": body | {"output": output}}
        async with (
            openai_server(as_stream(sse(*events, last))) as server,
            our_client(server) as client,
        ):
            *_, finished = await collect(client, ask(NEW))
        assert isinstance(finished, StreamEnd)
        direct, _ = await call(whole(body), request=ask(NEW))
        assert finished.response.message == direct.message


async def test_tools_over_several_turns() -> None:
    """Reasoning, text and calls go back as they came, followed by the results of the calls."""
    first = payload("openai/tools")
    answers = whole(first), whole(payload("openai/text"))
    question = Message.user("Weather in Oslo and Lima?")
    options: dict[str, Any] = {
        "tools": (WEATHER,),
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning_effort": ReasoningEffort.LOW,
    }
    async with openai_server(*answers) as server, our_client(server) as client:
        response = await client.chat_completion(ask(NEW, question, **options))
        results = [
            ToolResult(call_id=c.id, name=c.name, content=(TextPart(text="sun"),))
            for c in response.tool_calls
        ]
        await client.chat_completion(
            ask(NEW, question, response.message, Message.tool(*results), **options)
        )
    begun, continued = (judge(request) for request in server.requests)
    assert begun["tools"] == [
        {
            "type": "function",
            "name": "weather",
            "description": "Weather of a city.",
            "parameters": WEATHER.parameters,
            "strict": False,
        }
    ]
    assert (begun["tool_choice"], begun["parallel_tool_calls"]) == ("auto", True)
    assert begun["reasoning"] == {"effort": "low"}
    assert continued["input"] == [
        {"role": "user", "content": "Weather in Oslo and Lima?"},
        *first["output"],
        {"type": "function_call_output", "call_id": "call_1", "output": "sun"},
        {"type": "function_call_output", "call_id": "call_2", "output": "sun"},
    ]
    assert [call.arguments for call in response.tool_calls] == [{"city": "Oslo"}, {"city": "Lima"}]


async def test_reasoning_is_whole_after_a_stream() -> None:
    """Encrypted reasoning is that of the event which finishes it, not of the one that begins it."""
    body = payload("openai/tools")
    async with (
        openai_server(as_stream(sse(*streamed(body)))) as server,
        our_client(server) as client,
    ):
        *_, end = await collect(client, ask(NEW))
    assert isinstance(end, StreamEnd)
    thought = end.response.message.content[0]
    assert isinstance(thought, ReasoningPart)
    assert thought.text == "Two cities are asked for.\n\nSo two calls."
    assert thought.provider_data is not None
    assert thought.provider_data.unpack() == body["output"][0]


async def test_reasoning_goes_back_to_the_byte_and_nowhere_else() -> None:
    """Encrypted reasoning returns as it was written, and never reaches chat completions."""
    item = '{"type":"reasoning",  "id":"rs_9","summary":[], "encrypted_content":"gA/+=","n":1.50}'
    text = '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"}]}'

    async def step(wire: Wire) -> None:
        await wire.head()
        await wire.send(f'{{"status":"completed","output":[{item},{text}]}}')

    older = whole(payload("openai/chat"))
    async with serving(step, step, older) as server, our_client(server) as client:
        response = await client.chat_completion(ask(NEW))
        turns = (Message.user("a"), response.message, Message.user("b"))
        await client.chat_completion(ask(NEW, *turns))
        await client.chat_completion(ask(OLD, *turns))
    assert server.requests[1].body.count(item.encode()) == 1
    assert server.requests[2].json["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
    ]


async def test_an_unknown_item_is_kept_at_its_place() -> None:
    """Items that we have no words for come back where they stood; so do those of other vendors."""
    hosted = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    hosted["action"] = {"type": "search", "query": "q", "queries": ["q"]}  # type: ignore[assignment]  # any JSON
    new = {"type": "hologram", "id": "h_1", "frames": [{"deep": [1, None, "x"]}]}
    body = payload("openai/text")
    body["output"] = [hosted, *body["output"], new]
    async with openai_server(whole(body), whole(body)) as server, our_client(server) as client:
        response = await client.chat_completion(ask(NEW))
        await client.chat_completion(ask(NEW, Message.user("a"), response.message))
        assert server.requests.pop().json["input"][1:] == body["output"]
    kinds = [type(part) for part in response.message.content]
    assert kinds == [OpaquePart, TextPart, OpaquePart]
    assert response.text == "Vier, 四 — 4️⃣."


async def test_pictures_and_files() -> None:
    """Bytes go as data URLs, addresses as they are, in questions and in results of tools."""
    picture = ImagePart(data=PIXEL, media_type="image/png")
    question = Message(
        role=Role.USER,
        content=(
            TextPart(text="What is this?"),
            picture,
            ImagePart(url="https://example.com/a.png"),
            FilePart(name="a.pdf", data=b"%PDF", media_type="application/pdf"),
            FilePart(name="b.pdf", url="https://example.com/b.pdf"),
        ),
    )
    shown = ToolResult(call_id="call_1", name="look", content=(TextPart(text="here:"), picture))
    before = ask(NEW, question)
    body = payload("openai/tools")
    body["output"] = body["output"][2:3]
    _, (sent, after) = await call_twice(body, before, Message.tool(shown))
    data_url = "data:image/png;base64,iVBORw0K"
    assert sent["input"][0]["content"] == [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "detail": "auto", "image_url": data_url},
        {"type": "input_image", "detail": "auto", "image_url": "https://example.com/a.png"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,JVBERg==",
        },
        {"type": "input_file", "file_url": "https://example.com/b.pdf"},
    ]
    assert after["input"][-1]["output"] == [
        {"type": "input_text", "text": "here:"},
        {"type": "input_image", "detail": "auto", "image_url": data_url},
    ]


async def call_twice(
    body: dict[str, Any], request: ChatRequest, more: Message
) -> tuple[ChatResponse, list[dict[str, Any]]]:
    """Ask, and ask again with the answer and `more` behind it."""
    async with openai_server(whole(body)) as server, our_client(server) as client:
        response = await client.chat_completion(request)
        second = await client.chat_completion(ask(NEW, *request.messages, response.message, more))
    return second, [judge(request) for request in server.requests]


async def test_structured_output_and_a_forced_tool() -> None:
    """A schema, a named tool, labels and a summary of reasoning go where Responses have them."""
    schema = ResponseSchema(name="city", schema=WEATHER.parameters)
    strict = ToolDefinition(name="look", parameters=WEATHER.parameters, strict=True)
    request = ask(
        NEW,
        response_schema=schema,
        tools=(strict,),
        tool_choice=NamedTool(name="look"),
        metadata={"tenant": "a"},
    )
    said = payload("openai/text")
    said["output"][0]["content"][0]["text"] = '{"city": "Bern"}'
    async with (
        openai_server(whole(said)) as server,
        our_client(server, LATTICE_LOCK_REASONING_SUMMARY="detailed") as client,
    ):
        await client.chat_completion(request)
    body = judge(server.requests[0])
    assert body["text"] == {
        "format": {
            "type": "json_schema",
            "name": "city",
            "schema": WEATHER.parameters,
            "strict": True,
        }
    }
    assert body["tool_choice"] == {"type": "function", "name": "look"}
    assert body["tools"][0]["strict"] is True
    assert body["metadata"] == {"tenant": "a"}
    assert body["reasoning"] == {"summary": "detailed"}


@pytest.mark.parametrize(
    ("changes", "finish", "raw"),
    [
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            FinishReason.LENGTH,
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            FinishReason.CONTENT_FILTER,
            "content_filter",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "steered"}},
            FinishReason.UNKNOWN,
            "steered",
        ),
        ({"status": "cancelled"}, FinishReason.CANCELLED, "cancelled"),
        (
            {
                "output": [
                    {
                        "type": "message",
                        "id": "m",
                        "role": "assistant",
                        "status": "completed",
                        "content": [{"type": "refusal", "refusal": "I will not."}],
                    }
                ]
            },
            FinishReason.REFUSAL,
            "completed",
        ),
    ],
)
async def test_why_it_stopped(changes: dict[str, Any], finish: FinishReason, raw: str) -> None:
    """Each way to end has its own reason, beside the provider's word; a refusal is text as well."""
    body = payload("openai/text", **changes)
    response, _ = await call(whole(body), request=ask(NEW))
    assert (response.finish_reason, response.raw_finish_reason) == (finish, raw)
    assert response.text
    if body["status"] != "cancelled":  # which no stream ends with
        async with (
            openai_server(as_stream(sse(*streamed(body)))) as server,
            our_client(server) as client,
        ):
            *events, end = await collect(client, ask(NEW))
        assert isinstance(end, StreamEnd)
        assert end.response.finish_reason is finish
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == response.text


async def test_a_refusal_goes_back_as_a_refusal() -> None:
    """What the model refused is said again in the form in which it came."""
    piece = {"type": "refusal", "refusal": "I will not."}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    body = payload("openai/text", output=[item | {"content": [piece]}])
    _, (_, again) = await call_twice(body, ask(NEW), Message.user("Why?"))
    assert again["input"][1] == item | {"content": [piece]}


async def test_what_others_said_goes_as_plain_text() -> None:
    """An answer of another provider goes without its reasoning, its text in one piece."""
    other = Message(
        role=Role.ASSISTANT,
        content=(ReasoningPart(text="hm"), TextPart(text="a"), TextPart(text="b")),
    )
    _, (body,) = await call(
        whole(payload("openai/text")), request=ask(NEW, Message.user("x"), other, Message.user("y"))
    )
    assert body["input"][1] == {"role": "assistant", "content": "ab"}


async def test_older_models_are_asked_over_chat_completions() -> None:
    """A model that does not reason goes to chat completions, with what only they have."""
    body = payload("openai/chat")
    request = ask(
        OLD,
        Message.system("Be brief"),
        Message.user("Weather?"),
        stop=("END",),
        seed=7,
        temperature=0.2,
        top_p=0.9,
        max_output_tokens=50,
        tools=(WEATHER,),
        tool_choice="required",
        parallel_tool_calls=False,
        response_schema=ResponseSchema(name="city", schema=WEATHER.parameters),
    )
    async with (
        openai_server(whole(body), as_stream(chunks(body))) as server,
        our_client(server) as client,
    ):
        response = await client.chat_completion(request)
        *_, end = await collect(client, request)
    sent = server.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.json["messages"][0] == {"role": "system", "content": "Be brief"}
    assert (sent.json["stop"], sent.json["seed"]) == (["END"], 7)
    assert (sent.json["max_completion_tokens"], sent.json["top_p"]) == (50, 0.9)
    assert response.usage == Usage(input_tokens=12, cached_input_tokens=4, output_tokens=9)
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert isinstance(end, StreamEnd)
    assert end.response.message == response.message
    assert end.response.usage == response.usage


async def test_the_vendor_accepts_the_same_chat_completions() -> None:
    """The vendor's client reads the recorded chat completion, whole and streamed."""
    body = payload("openai/chat")
    async with (
        openai_server(whole(body), as_stream(chunks(body))) as server,
        vendor_client(server.url) as vendor,
    ):
        said: Any = {"role": "user", "content": "Hello"}
        theirs = await vendor.chat.completions.create(model="gpt-4.1", messages=[said])
        stream = await vendor.chat.completions.create(model="gpt-4.1", messages=[said], stream=True)
        texts = [c.choices[0].delta.content or "" async for c in stream if c.choices]
    assert theirs.choices[0].message.content == "".join(texts) == "One moment."


@pytest.mark.parametrize(("chosen", "model"), [("chat", NEW), ("responses", OLD)])
async def test_the_api_can_be_chosen(chosen: str, model: str) -> None:
    """The variable sends every model to one API; a model that cannot reason is not asked to."""
    body = payload("openai/chat" if chosen == "chat" else "openai/text")
    async with (
        openai_server(whole(body)) as server,
        our_client(server, LATTICE_LOCK_OPENAI_API=chosen) as client,
    ):
        await client.chat_completion(ask(model, Message.system("s"), Message.user("u")))
    sent = judge(server.requests[0])
    if chosen == "chat":
        assert sent["messages"][0]["role"] == "developer"
    else:
        assert sent["input"][0]["role"] == "system"
        assert "include" not in sent


async def test_an_unknown_model_is_taken_for_a_new_one() -> None:
    """A name that nobody knows goes to Responses, and nothing is refused on its behalf."""
    request = ask("openai/gpt-9-nova", temperature=0.5, reasoning_effort=ReasoningEffort.NONE)
    _, (body,) = await call(whole(payload("openai/text")), request=request)
    assert (body["temperature"], body["reasoning"]) == (0.5, {"effort": "none"})


CHAT = {"LATTICE_LOCK_OPENAI_API": "chat"}
_PICTURE = Message(role=Role.SYSTEM, content=(ImagePart(url="https://example.com/a.png"),))


@pytest.mark.parametrize(
    ("model", "changes", "environment", "parameter"),
    [
        ("gpt-6.1-sol", {"stop": ("x",)}, {}, "stop"),
        ("gpt-6.1-sol", {"seed": 0}, {}, "seed"),
        ("gpt-6-luna", {"temperature": 0.5}, {}, "temperature"),
        ("gpt-5", {"top_p": 0.5}, {}, "top_p"),
        (
            "gpt-5.4",
            {"top_p": 0.5, "reasoning_effort": ReasoningEffort.LOW},
            {},
            "top_p",
        ),
        ("gpt-6-astra", {"reasoning_effort": ReasoningEffort.NONE}, {}, "reasoning_effort"),
        ("o3", {"reasoning_effort": ReasoningEffort.MINIMAL}, {}, "reasoning_effort"),
        ("gpt-4.1", {"reasoning_effort": ReasoningEffort.LOW}, {}, "reasoning_effort"),
        ("gpt-5-chat-latest", {"reasoning_effort": ReasoningEffort.LOW}, {}, "reasoning_effort"),
        (
            "gpt-5.5-pro",
            {"response_schema": ResponseSchema(name="a", schema={})},
            {},
            "response_schema",
        ),
        ("o3-pro", {}, CHAT, "model"),
        ("gpt-5-pro-2025-10-06", {}, CHAT, "model"),
        ("o4-mini", {"stop": ("x",)}, CHAT, "stop"),
        (
            "gpt-5.6-luna",
            {"tools": (WEATHER,), "reasoning_effort": ReasoningEffort.HIGH},
            CHAT,
            "reasoning_effort",
        ),
        ("gpt-6-sol", {"tools": (WEATHER,)}, CHAT, "reasoning_effort"),
        ("gpt-6-sol", {"messages": (_PICTURE,)}, {}, "messages"),
        ("gpt-6-sol", {"messages": (_PICTURE,)}, CHAT, "messages"),
    ],
)
async def test_what_a_model_cannot_do_is_refused_before_the_call(
    model: str, changes: dict[str, Any], environment: dict[str, str], parameter: str
) -> None:
    """Nothing is dropped in silence: the error names the parameter, the model and a way out."""
    error = await refused(ask(f"openai/{model}", **changes), **environment)
    assert error.parameter == parameter
    assert f"openai/{model}" in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("model", "changes", "environment"),
    [
        ("gpt-5.4", {"temperature": 0.5}, {}),
        ("gpt-5.6-sol", {"temperature": 0.5, "reasoning_effort": ReasoningEffort.NONE}, {}),
        ("gpt-5", {"reasoning_effort": ReasoningEffort.MINIMAL}, {}),
        ("gpt-5.4", {"reasoning_effort": ReasoningEffort.XHIGH}, {}),
        ("ft:gpt-4o:acme::1", {"temperature": 0.5}, {}),
        ("gpt-5.6-luna", {"tools": (WEATHER,)}, CHAT),
        (
            "gpt-6-luna",
            {"tools": (WEATHER,), "reasoning_effort": ReasoningEffort.NONE},
            CHAT,
        ),
    ],
)
async def test_what_a_model_can_do_is_sent(
    model: str, changes: dict[str, Any], environment: dict[str, str]
) -> None:
    """The refusals reach no further than what a model is known to refuse."""
    chat = bool(environment) or model.startswith("ft:")
    body = payload("openai/chat" if chat else "openai/text")
    async with openai_server(whole(body)) as server, our_client(server, **environment) as client:
        await client.chat_completion(ask(f"openai/{model}", **changes))
    assert server.requests[0].path.endswith("chat/completions") is chat


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [NEW, OLD])
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "unsupported_parameter", InvalidRequestError),
        (400, "context_length_exceeded", ContextLengthError),
        (400, "content_policy_violation", ContentFilteredError),
        (400, "invalid_prompt", ContentFilteredError),
        (401, "invalid_api_key", AuthenticationError),
        (403, "unsupported_country_region_territory", PermissionDeniedError),
        (404, "model_not_found", ModelNotAvailableError),
        (408, None, ProviderTimeoutError),
        (409, None, ConflictError),
        (413, None, ContextLengthError),
        (422, None, InvalidRequestError),
        (429, "rate_limit_exceeded", RateLimitError),
        (429, "slow_down", RateLimitError),
        (429, "insufficient_quota", QuotaExhaustedError),
        (429, "credit_balance_exhausted", QuotaExhaustedError),
        (500, "server_error", ServerError),
        (503, None, OverloadedError),
    ],
)
async def test_every_refusal_is_its_own_error(
    status: int,
    code: str | None,
    kind: type[APIClientError],
    model: str,
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Status and code give the class; the request id is there, and the key is not."""
    error = await failure(problem(status, code), request=ask(model), stream=stream)
    assert type(error) is kind
    assert (error.status, error.request_id, error.provider) == (status, REQUEST_ID, "openai")
    assert error.provider_code == (code or "invalid_request_error")
    assert KEY not in "".join(traceback.format_exception(error))
    if isinstance(error, InvalidRequestError):
        assert error.parameter == "input"


async def test_the_vendor_sees_the_same_refusals() -> None:
    """Where we raise, the vendor's client raises its own error with the same code and id."""
    async with (
        openai_server(problem(429, "insufficient_quota")) as server,
        vendor_client(server.url) as vendor,
    ):
        with pytest.raises(openai.RateLimitError) as caught:
            await vendor.responses.create(model="m", input="x", store=False)
    assert (caught.value.code, caught.value.request_id) == ("insufficient_quota", REQUEST_ID)


async def test_the_wait_that_the_server_asks_for() -> None:
    """Milliseconds count before seconds, and too long a wait is left to the caller."""
    body = {"error": {"message": "m", "type": "tokens", "code": "rate_limit_exceeded"}}
    slow = answer(body, 429, retry_after_ms="90500", Retry_After="1")
    error = await failure(slow, request=ask(NEW))
    assert (error.retry_after_s, error.attempt) == (90.5, 1)


def failed(code: str) -> dict[str, Any]:
    """A `response.failed` event."""
    error = {"code": code, "message": "It broke."}
    body = payload("openai/text", status="failed", output=[])
    return {"type": "response.failed", "sequence_number": 9, "response": body | {"error": error}}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "code": "server_error", "message": "m", "param": None}, ServerError),
        ({"type": "error", "code": None, "message": "m", "param": None}, ServerError),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, RateLimitError),
        ({"type": "error", "code": "insufficient_quota", "message": "m"}, QuotaExhaustedError),
        (
            {"type": "error", "error": {"code": "context_length_exceeded", "message": "m"}},
            ContextLengthError,
        ),
        ({"error": {"message": "m", "type": "server_error", "code": None}}, ServerError),
        ({"type": "error"}, InvalidResponseError),
        (failed("server_error"), ServerError),
        (failed("rate_limit_exceeded"), RateLimitError),
        (failed("invalid_image_url"), InvalidRequestError),
        (failed("bio_policy"), ContentFilteredError),
        (failed("vector_store_timeout"), ServerError),
        ({"type": "response.failed", "response": {"error": None}}, InvalidResponseError),
    ],
)
async def test_an_error_inside_a_stream_is_raised(
    event: dict[str, Any], kind: type[APIClientError]
) -> None:
    """An error after the first text ends the stream with its class, and nothing is begun anew."""
    event = {"type": "", "sequence_number": 9} | event
    begun = streamed(payload("openai/text"))[:6]
    text = sse(*begun) + f"data: {json.dumps(event)}\n\n"
    async with openai_server(as_stream(text)) as server, our_client(server) as client:
        with pytest.raises(APIClientError) as caught:
            await collect(client, ask(NEW))
    assert type(caught.value) is kind
    assert (caught.value.request_id, len(server.requests)) == (REQUEST_ID, 1)


async def test_an_answer_that_failed_is_an_error() -> None:
    """A failed answer with status 200 is the error in it, whole as in a stream."""
    error = await failure(whole(failed("server_error")["response"]), request=ask(NEW))
    assert type(error) is ServerError
    assert error.attempt == 3


@pytest.mark.parametrize("kept", range(11))
async def test_a_stream_without_its_last_event_is_incomplete(kept: int) -> None:
    """Wherever a stream ends before its last event, the text so far is not an answer."""
    *events, _ = streamed(payload("openai/text"))
    assert len(events) == 10
    error = await failure(as_stream(sse(*events[:kept])), request=ask(NEW), stream=True)
    assert type(error) is IncompleteStreamError


async def test_a_stream_may_end_with_done() -> None:
    """Servers that send the end mark of chat completions after the last event are understood."""
    text = sse(*streamed(payload("openai/text"))) + "data: [DONE]\n\n"
    async with openai_server(as_stream(text)) as server, our_client(server) as client:
        *_, end = await collect(client, ask(NEW))
    assert isinstance(end, StreamEnd)


async def test_a_stream_cut_anywhere_gives_the_same_answer() -> None:
    """One byte at a time, with the other line ends, nothing is lost and nothing is doubled."""
    body = payload("openai/text")
    text = sse(*streamed(body, cut=1)).replace("\n", "\r\n").encode()
    pieces = [text[n : n + 97] for n in range(0, len(text), 97)]
    async with openai_server(as_stream(*pieces)) as server, our_client(server) as client:
        *events, end = await collect(client, ask(NEW))
    assert isinstance(end, StreamEnd)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == end.response.text


async def test_events_of_a_new_kind_are_passed_over() -> None:
    """A kind of event that nobody knows yet, whatever its delta is, does not break a stream."""
    events = streamed(payload("openai/text"))
    new = {"type": "response.new_kind.delta", "delta": {"x": 1}, "output_index": 0}
    events.insert(4, new)
    async with openai_server(as_stream(sse(*events))) as server, our_client(server) as client:
        *_, end = await collect(client, ask(NEW))
    assert isinstance(end, StreamEnd)
    assert end.response.text == "Vier, 四 — 4️⃣."


@pytest.mark.parametrize(
    "event",
    [
        '{"type": "response.output_text.delta", "delta": 5}',
        '{"type": "response.output_item.done", "item": {"type": 5}}',
        '{"type": "response.output_item.done", "item": {"type": "function_call"}}',
        '{"type": "response.completed", "response": {"status": "completed"}}',
        '{"type": "response.completed"}',
        '{"type": "response.completed", "response": {"status": "queued", "output": []}}',
        '{"type": "response.completed", "response": {"status": "completed", "output": [{}]}}',
        "[1]",
        "{broken",
    ],
)
async def test_a_malformed_stream_is_an_error(event: str) -> None:
    """What is not in the format is never taken for an empty answer."""
    error = await failure(as_stream(f"data: {event}\n\n"), request=ask(NEW), stream=True)
    assert type(error) is InvalidResponseError


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "completed"},
        {"status": "in_progress", "output": []},
        {"status": "completed", "output": [{"type": "function_call", "name": "f"}]},
        {"status": "completed", "output": [{"type": "message", "content": [{}]}]},
        {"status": "completed", "output": [{"type": "message", "content": 5}]},
        {"status": "completed", "output": [5]},
    ],
)
async def test_a_malformed_answer_is_an_error(body: dict[str, Any]) -> None:
    """An answer without its parts, or with parts of another form, is an error."""
    error = await failure(answer(body), request=ask(NEW))
    assert type(error) is InvalidResponseError


async def test_closing_a_stream_hangs_up() -> None:
    """Whoever stops reading ends the connection at once."""
    begun = sse(*streamed(payload("openai/text"))[:6])

    async def endless(wire: Wire) -> None:
        await wire.head(kind="text/event-stream")
        await wire.send(begun)
        await wire.until_hung_up()

    async with openai_server(endless) as server, our_client(server) as client:
        async with aclosing(client.stream(ask(NEW))) as events:
            assert await anext(events) == TextDelta(text="Vier,")
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_models_are_listed() -> None:
    """The list holds the ids in the vendor's order, and the vendor's client reads it too."""
    entries = [
        {"id": name, "object": "model", "created": 1, "owned_by": "openai", "shutdown_date": None}
        for name in ("gpt-6.1-sol", "gpt-4.1")
    ]
    step = answer({"object": "list", "data": entries})
    async with openai_server(step) as server, our_client(server) as client:
        assert await client.list_models() == (ModelId.parse(NEW), ModelId.parse(OLD))
        async with vendor_client(server.url) as vendor:
            assert [model.id async for model in vendor.models.list()] == ["gpt-6.1-sol", "gpt-4.1"]
    assert {(r.method, r.path) for r in server.requests} == {("GET", "/v1/models")}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "Set `OPENAI_API_KEY`."),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "api.example"}, "OPENAI_BASE_URL"),
        ({"OPENAI_API_KEY": "two words"}, "quotes"),
    ],
)
async def test_what_is_not_set_up_is_said(environment: dict[str, str], words: str) -> None:
    """Without a key, with an unusable one or with a wrong address no request is made."""
    async with client_for(OpenAIClient, **environment) as client:
        with pytest.raises(ProviderUnavailableError) as caught:
            await client.chat_completion(ask(NEW))
    assert words in str(caught.value)
    assert KEY not in str(caught.value)


async def test_the_key_goes_to_the_configured_host_only() -> None:
    """A redirect is an error and is not followed, so nobody else sees the key."""
    async with openai_server(answer({})) as other:
        step = answer({}, 307, Location=f"{other.url}/responses")
        error = await failure(step, request=ask(NEW))
    assert type(error) is InvalidResponseError
    assert other.requests == []
    assert KEY not in repr(error)
