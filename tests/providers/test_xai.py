"""The provider `xai` against a server that judges it with OpenAI's types, which it follows."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    InvalidRequestError,
    ModelNotAvailableError,
    QuotaExhaustedError,
    RateLimitError,
)
from lattice_lock.messages import (
    Message,
    ReasoningEffort,
    ReasoningPart,
    StreamEnd,
    ToolDefinition,
    Usage,
)
from lattice_lock.providers.xai import XAIClient
from openai_wire import (
    KEY,
    as_stream,
    ask,
    chunks,
    client_for,
    collect,
    judge,
    openai_server,
    payload,
    sse,
    streamed,
    vendor_client,
    whole,
)
from wire_server import answer

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from wire_server import ScriptedServer

GROK = "xai/grok-4.7"
CHAT = {"LATTICE_LOCK_XAI_API": "chat"}


def our_client(
    server: ScriptedServer, **environment: str
) -> AbstractAsyncContextManager[XAIClient]:
    """Our client of `server`."""
    return client_for(XAIClient, XAI_BASE_URL=server.url, XAI_API_KEY=KEY, **environment)


def priced(name: str, ticks: int) -> dict[str, Any]:
    """A recorded answer with the cost that xAI adds to it, which OpenAI's types do not know."""
    body = payload(name)
    return body | {"usage": body["usage"] | {"cost_in_usd_ticks": ticks}}


async def test_an_answer_over_responses() -> None:
    """The system speaks as `system`, labels stay at home, and the exact cost comes back."""
    body = priced("xai/responses", 37756000)
    request = ask(
        GROK,
        Message.system("Be brief"),
        Message.user("2+2?"),
        metadata={"tenant": "a"},
        temperature=0.5,
        reasoning_effort=ReasoningEffort.XHIGH,
    )
    async with openai_server(whole(body)) as server, our_client(server) as client:
        response = await client.chat_completion(request)
    (received,) = server.requests
    assert received.path == "/v1/responses"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.json == {
        "model": "grok-4.7",
        "input": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "2+2?"},
        ],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "temperature": 0.5,
        "reasoning": {"effort": "xhigh"},
    }
    assert response.text == "Four."
    assert response.cost_usd == Decimal("0.0037756")
    assert response.usage == Usage(
        input_tokens=30, cached_input_tokens=10, output_tokens=50, reasoning_tokens=44
    )


async def test_a_stream_and_the_next_turn() -> None:
    """A streamed answer costs the same, and its reasoning goes back as it came."""
    body = priced("xai/responses", 200000000)
    steps = as_stream(sse(*streamed(body))), whole(body)
    async with openai_server(*steps) as server, our_client(server) as client:
        *_, end = await collect(client, ask(GROK))
        assert isinstance(end, StreamEnd)
        await client.chat_completion(ask(GROK, Message.user("a"), end.response.message))
    assert end.response.cost_usd == Decimal("0.02")
    assert isinstance(end.response.message.content[0], ReasoningPart)
    assert judge(server.requests[1])["input"][1:] == body["output"]


async def test_the_vendor_of_the_types_accepts_the_server() -> None:
    """OpenAI's client, which xAI recommends, reads the same answers."""
    steps = whole(payload("xai/responses")), whole(payload("xai/chat"))
    async with openai_server(*steps) as server, vendor_client(server.url) as vendor:
        said: Any = {"role": "user", "content": "2+2?"}
        first = await vendor.responses.create(model="grok-4.7", input="2+2?", store=False)
        second = await vendor.chat.completions.create(model="grok-4.3", messages=[said])
    assert first.output_text == second.choices[0].message.content == "Four."


async def test_reasoning_is_counted_once() -> None:
    """Chat completions count reasoning beside the answer; the total tells, whole and streamed."""
    body = priced("xai/chat", 10**10)
    steps = whole(body), as_stream(chunks(payload("xai/chat")))
    async with openai_server(*steps) as server, our_client(server, **CHAT) as client:
        response = await client.chat_completion(ask("xai/grok-4.3", max_output_tokens=9))
        *_, end = await collect(client, ask("xai/grok-4.3"))
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].json["max_completion_tokens"] == 9
    assert response.cost_usd == Decimal(1)
    assert isinstance(end, StreamEnd)
    assert end.response.cost_usd is None
    assert response.usage == end.response.usage
    assert response.usage == Usage(
        input_tokens=30, cached_input_tokens=10, output_tokens=54, reasoning_tokens=50
    )


@pytest.mark.parametrize(
    ("model", "changes", "environment", "parameter"),
    [
        ("grok-4.7", {"stop": ("x",)}, {}, "stop"),
        ("grok-4.7", {"stop": ("x",)}, CHAT, "stop"),
        ("grok-4.7", {"seed": 1}, {}, "seed"),
        ("grok-4.7", {"reasoning_effort": ReasoningEffort.MAX}, {}, "reasoning_effort"),
        ("grok-4.7", {"reasoning_effort": ReasoningEffort.MINIMAL}, CHAT, "reasoning_effort"),
        ("grok-4.5", {"reasoning_effort": ReasoningEffort.NONE}, {}, "reasoning_effort"),
        (
            "grok-4.20-non-reasoning",
            {"reasoning_effort": ReasoningEffort.LOW},
            {},
            "reasoning_effort",
        ),
    ],
)
async def test_what_grok_cannot_do_is_refused_before_the_call(
    model: str, changes: dict[str, Any], environment: dict[str, str], parameter: str
) -> None:
    """Nothing is dropped in silence: the error names the parameter and a way out."""
    async with openai_server() as server, our_client(server, **environment) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.chat_completion(ask(f"xai/{model}", **changes))
    assert caught.value.parameter == parameter
    assert caught.value.hint
    assert server.requests == []


async def test_models_that_do_not_reason_are_not_asked_to() -> None:
    """Such a model takes stop texts over chat completions, and is asked for no reasoning."""
    name = "xai/grok-4.20-non-reasoning"
    steps = whole(payload("xai/chat")), whole(payload("xai/responses"))
    async with openai_server(*steps) as server:
        async with our_client(server, **CHAT) as client:
            await client.chat_completion(ask(name, stop=("END",)))
        async with our_client(server) as client:
            tool = ToolDefinition(name="f", parameters={"type": "object"})
            await client.chat_completion(ask(name, tools=(tool,)))
    assert judge(server.requests[0])["stop"] == ["END"]
    assert "include" not in judge(server.requests[1])


_WRONG_KEY = {
    "code": "Client specified an invalid argument",
    "error": f"Incorrect%20API%20key%20provided:%20{KEY}.",
}
_NO_CREDIT = "Your team has either used all available credits or reached its spending limit."


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, _WRONG_KEY, AuthenticationError),
        (400, {"error": "Incorrect API key provided: ba***na."}, AuthenticationError),
        (400, {"code": "invalid-argument", "error": "Bad schema."}, InvalidRequestError),
        (401, {"error": {"code": 401, "message": "No header."}}, AuthenticationError),
        (403, {"code": "permission-denied", "error": _NO_CREDIT}, QuotaExhaustedError),
        (404, {"code": "not-found", "error": "No such model."}, ModelNotAvailableError),
        (429, {"code": "exhausted", "error": _NO_CREDIT}, QuotaExhaustedError),
        (429, {"code": "rate", "error": "Too many requests."}, RateLimitError),
    ],
)
async def test_flat_errors_are_understood(
    status: int, body: dict[str, Any], kind: type[APIClientError]
) -> None:
    """A wrong key and exhausted credit are told from what their status alone would say."""
    async with (
        openai_server(answer(body, status)) as server,
        our_client(server) as client,
    ):
        with pytest.raises(APIClientError) as caught:
            await client.chat_completion(ask(GROK))
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    if isinstance(body["error"], str) and "code" in body:
        assert caught.value.provider_code == body["code"]
