"""The Google provider against a server that judges it by the vendor's own types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.genai import types

from google_wire import (
    KEY,
    MODEL,
    as_stream,
    ask,
    collect,
    google_server,
    judge,
    normal,
    our_client,
    payload,
    sse,
    streamed,
    vendor_client,
)
from lattice_lock.exceptions import (
    AuthenticationError,
    ProviderUnavailableError,
)
from lattice_lock.messages import (
    FinishReason,
    ImagePart,
    Message,
    ModelId,
    OpaquePart,
    ReasoningEffort,
    ResponseSchema,
    StreamEnd,
    TextPart,
    ToolDefinition,
    ToolResult,
    Usage,
)
from lattice_lock.providers.google import GoogleClient
from lattice_lock.settings import Settings
from wire_server import NOWHERE, answer

if TYPE_CHECKING:
    from lattice_lock.messages import ChatResponse

PNG = b"\x89PNG\r\n"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = ToolDefinition(name="weather", description="Weather of a city", parameters=SCHEMA)
NOW = ToolDefinition(name="now", parameters={"type": "object"})


async def test_a_plain_question() -> None:
    """The answer is read in full, and the vendor's client sends and reads the same."""
    async with google_server(answer(payload("text"))) as server:
        async with our_client(server.url) as client:
            response = await client.chat_completion(ask(max_output_tokens=64, temperature=0.5))
        async with vendor_client(server.url) as vendor:
            theirs = await vendor.models.generate_content(
                model=MODEL,
                contents="Hello",
                config=types.GenerateContentConfig(max_output_tokens=64, temperature=0.5),
            )
    mine, vendors = server.requests
    assert judge(mine) == normal(vendors.json)
    assert (mine.path, mine.headers["x-goog-api-key"]) == (
        vendors.path,
        vendors.headers["x-goog-api-key"],
    )
    assert (response.text, response.served_model) == (theirs.text, theirs.model_version)
    assert response.text == "Grüße, 漢字 and 😀."
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.STOP, "STOP")
    assert response.usage == Usage(
        input_tokens=4320, cached_input_tokens=4000, output_tokens=65, reasoning_tokens=40
    )
    assert response.usage.total_tokens == payload("text")["usageMetadata"]["totalTokenCount"]
    assert response.request_id == theirs.response_id
    assert response.message.content == (TextPart(text="Grüße, 漢字 and 😀."),)
    assert response.provider_data is not None
    assert "safetyRatings" in response.provider_data.unpack()


@pytest.mark.parametrize("name", ["text", "tools"])
async def test_the_vendors_client_reads_the_same_stream(name: str) -> None:
    """The server's streams are real ones: the vendor's client finds the same text in them."""
    whole = payload(name)
    async with google_server(as_stream(sse(*streamed(whole)))) as server:
        async with vendor_client(server.url) as vendor:
            stream = await vendor.models.generate_content_stream(model=MODEL, contents="Hello")
            chunks = [chunk async for chunk in stream]
        async with our_client(server.url) as client:
            *_, end = await collect(client, ask())
    assert isinstance(end, StreamEnd)
    parts = [
        part
        for chunk in chunks
        for candidate in chunk.candidates or []
        for part in (candidate.content.parts if candidate.content else None) or []
    ]
    shown = "".join(part.text for part in parts if part.text and not part.thought)
    assert shown == end.response.text
    assert [part.function_call.args or {} for part in parts if part.function_call] == [
        call.arguments for call in end.response.tool_calls
    ]
    theirs, mine = server.requests
    assert theirs.path == mine.path
    assert normal(theirs.json) == judge(mine, method="streamGenerateContent?alt=sse")


async def test_the_vendors_client_sends_the_same_conversation() -> None:
    """A whole conversation with tools, schema and thinking has the same body from both clients."""
    parts = payload("tools")["candidates"][0]["content"]["parts"]
    parts[2]["functionCall"] |= {"id": "fc-18", "args": {}}
    called = payload("tools")
    called["candidates"][0]["content"]["parts"] = parts
    last = payload("text")
    last["candidates"][0]["content"]["parts"][0]["text"] = "{}"
    async with google_server(answer(called), answer(last)) as server:
        async with our_client(server.url) as client:
            first = await client.chat_completion(ask())
            results = [
                ToolResult(call_id=call.id, name=call.name, content=(TextPart(text="ok"),))
                for call in first.tool_calls
            ]
            await client.chat_completion(
                ask(
                    Message.system("Be brief."),
                    Message.user("Hello"),
                    first.message,
                    Message.tool(*results),
                    tools=(WEATHER,),
                    tool_choice="auto",
                    seed=7,
                    top_p=0.5,
                    stop=("END",),
                    reasoning_effort=ReasoningEffort.LOW,
                    response_schema=ResponseSchema(name="s", schema=SCHEMA),
                )
            )
        async with vendor_client(server.url) as vendor:
            await vendor.models.generate_content(
                model=MODEL,
                contents=[
                    types.Content(role="user", parts=[types.Part(text="Hello")]),
                    types.Content.model_validate(called["candidates"][0]["content"]),
                    types.Content(
                        role="user",
                        parts=[
                            types.Part(
                                function_response=types.FunctionResponse(
                                    id=call.id, name=call.name, response={"output": "ok"}
                                )
                            )
                            for call in first.tool_calls
                        ],
                    ),
                ],
                config=types.GenerateContentConfig(
                    system_instruction=types.Content(parts=[types.Part(text="Be brief.")]),
                    tools=[
                        types.Tool(
                            function_declarations=[
                                types.FunctionDeclaration(
                                    name="weather",
                                    description="Weather of a city",
                                    parameters_json_schema=SCHEMA,
                                )
                            ]
                        )
                    ],
                    tool_config=types.ToolConfig(
                        function_calling_config=types.FunctionCallingConfig(
                            mode=types.FunctionCallingConfigMode.AUTO
                        )
                    ),
                    seed=7,
                    top_p=0.5,
                    stop_sequences=["END"],
                    thinking_config=types.ThinkingConfig(
                        thinking_level=types.ThinkingLevel.LOW, include_thoughts=True
                    ),
                    response_mime_type="application/json",
                    response_json_schema=SCHEMA,
                ),
            )
    _, mine, theirs = server.requests
    assert normal(judge(mine)) == normal(theirs.json)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_with_tools(
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Two calls, their results and the next question: signatures go back as they came."""
    called, last = payload("tools"), payload("text")
    steps = (
        (as_stream(sse(*streamed(called, cut=999))), as_stream(sse(*streamed(last))))
        if stream
        else (answer(called), answer(last))
    )
    question = Message.user("How is the weather?")
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    async with google_server(*steps) as server, our_client(server.url) as client:

        async def turn(*messages: Message) -> ChatResponse:
            request = ask(*messages, tools=(WEATHER, NOW))
            if not stream:
                return await client.chat_completion(request)
            *_, end = await collect(client, request)
            assert isinstance(end, StreamEnd)
            return end.response

        first = await turn(question)
        assert (first.finish_reason, first.raw_finish_reason) == (FinishReason.TOOL_CALLS, "STOP")
        assert first.usage == Usage(input_tokens=400, output_tokens=120, reasoning_tokens=80)
        weather, now = first.tool_calls
        assert weather.arguments is not None
        assert (weather.id, weather.arguments["city"], now.arguments) == ("fc-17", "Zürich", {})
        assert now.id not in {"", weather.id}
        results = Message.tool(
            ToolResult(call_id=weather.id, name="weather", content=(TextPart(text="sunny"),)),
            ToolResult(
                call_id=now.id,
                name="now",
                content=(
                    TextPart(text="no clock"),
                    ImagePart(data=PNG, media_type="image/png"),
                ),
                is_error=True,
            ),
        )
        second = await turn(question, first.message, results)
    assert second.text == "Grüße, 漢字 and 😀."
    body = judge(server.requests[1], method=method)
    _, model, user = body["contents"]
    sent_back = called["candidates"][0]["content"]
    sent_back["parts"][2]["functionCall"]["args"] = {}
    assert model == sent_back
    assert b"123456789012345678901234567890" in server.requests[1].body
    assert user["parts"] == [
        {"functionResponse": {"id": "fc-17", "name": "weather", "response": {"output": "sunny"}}},
        {
            "functionResponse": {
                "name": "now",
                "response": {"error": "no clock"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}}],
            }
        },
    ]
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "Weather of a city",
                    "parametersJsonSchema": SCHEMA,
                },
                {"name": "now", "parametersJsonSchema": {"type": "object"}},
            ]
        }
    ]


async def test_what_came_goes_back_untouched() -> None:
    """Pictures, hosted code and signatures return at their places, each part as it came."""
    mixed = payload("mixed")
    async with (
        google_server(answer(mixed), answer(payload("text"))) as server,
        our_client(server.url) as client,
    ):
        first = await client.chat_completion(ask())
        await client.chat_completion(
            ask(Message.user("Hello"), first.message, Message.user("Sure?"))
        )
    assert judge(server.requests[1])["contents"][1] == mixed["candidates"][0]["content"]
    picture, code, result, sound, *texts = first.message.content
    assert isinstance(picture, ImagePart)
    assert picture.data == PNG
    assert all(isinstance(part, OpaquePart) for part in (code, result, sound))
    assert [part.text for part in texts if isinstance(part, TextPart)] == ["It is ", "42.", ""]
    assert (first.text, first.finish_reason) == ("It is 42.", FinishReason.LENGTH)
    assert first.usage is None


async def test_models_are_listed() -> None:
    """All pages are read; models that cannot chat are left out, and so is the prefix."""
    chat = {"name": "models/gemini-b", "supportedGenerationMethods": ["generateContent"]}
    embed = {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]}
    pages = [
        {"models": [chat, embed], "nextPageToken": "a=/b"},
        {"models": [{"name": "models/gemini-a"}]},
    ]
    async with (
        google_server(*(answer(page) for page in pages)) as server,
        our_client(server.url) as client,
    ):
        models = await client.list_models()
    assert [str(model) for model in models] == ["google/gemini-b", "google/gemini-a"]
    first, second = server.requests
    assert (first.method, first.path) == ("GET", "/v1/models?pageSize=1000")
    assert second.path.partition("pageToken=")[2] in {"a%3D/b", "a=/b"}
    assert second.headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize(
    ("version", "name", "path"),
    [
        ("beta", "gemini-flash-latest", "/v1beta/models/gemini-flash-latest:generateContent"),
        ("v1alpha", "models/x", "/v1alpha/models/x:generateContent"),
        ("", "tunedModels/mine-1", "/v1/tunedModels/mine-1:generateContent"),
    ],
)
async def test_the_path_names_version_and_model(version: str, name: str, path: str) -> None:
    """The version is the setting's, and a bare model gets its prefix."""
    async with (
        google_server(answer(payload("text"))) as server,
        our_client(server.url, GOOGLE_GENAI_API_VERSION=version) as client,
    ):
        await client.chat_completion(ask(model=ModelId(provider="google", name=name)))
    assert server.requests[0].path == path


async def test_the_key_is_sent_and_never_shown() -> None:
    """The key is in one header of the configured host, and in no address, error or repr."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    message = f"API key {KEY} not valid"
    echo = {"error": {"code": 400, "message": message, "status": KEY, "details": details}}
    async with google_server(answer(echo, 400)) as server, our_client(server.url) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.chat_completion(ask())
        shown = f"{caught.value!r} {caught.value} {vars(caught.value)} {vars(client)}"
    (request,) = server.requests
    assert [name for name, value in request.headers.items() if KEY in value] == ["x-goog-api-key"]
    assert KEY not in shown + request.path


async def test_one_key_stands_in_for_the_other() -> None:
    """`GEMINI_API_KEY` is used where `GOOGLE_API_KEY` is empty; without both nothing is sent."""
    async with google_server(answer(payload("text"))) as server:
        async with our_client(server.url, GOOGLE_API_KEY="", GEMINI_API_KEY="g2") as client:
            await client.chat_completion(ask())
        async with our_client(server.url, GEMINI_API_KEY="g2") as client:
            await client.chat_completion(ask())
        async with our_client(server.url, GOOGLE_API_KEY="") as client:
            with pytest.raises(ProviderUnavailableError, match="GOOGLE_API_KEY"):
                await client.chat_completion(ask())
    assert [request.headers["x-goog-api-key"] for request in server.requests] == ["g2", KEY]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "GEMINI_API_KEY"),
        ({"GOOGLE_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": "x"}, "GOOGLE_GEMINI_BASE_URL"),
        ({"GOOGLE_API_KEY": KEY, "GOOGLE_GENAI_API_VERSION": "../x"}, "GOOGLE_GENAI_API_VERSION"),
        ({"GEMINI_API_KEY": KEY, "GOOGLE_GENAI_API_VERSION": "beta"}, None),
    ],
)
def test_missing_settings(environment: dict[str, str], named: str | None) -> None:
    """A key, address or version that cannot be used is told in one sentence, without values."""
    missing = GoogleClient.missing_setting(Settings.load(environment=environment, dotenv=NOWHERE))
    assert (named is None) == (missing is None)
    assert named is None or named in f"{missing}"
    assert KEY not in f"{missing}"
