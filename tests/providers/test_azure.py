"""The provider `azure` against a server that judges it with the vendor's own types."""

from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING, Any

import openai
import pytest

from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ContentFilteredError,
    InvalidRequestError,
    ModelNotAvailableError,
    OverloadedError,
    PermissionDeniedError,
    ProviderUnavailableError,
    RateLimitError,
)
from lattice_lock.messages import FinishReason, Message, StreamEnd, TextDelta
from lattice_lock.providers.azure import AzureClient
from openai_wire import (
    KEY,
    PAYLOADS,
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
    whole,
)
from wire_server import answer

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from wire_server import ScriptedServer

ENTRA = {"AZURE_OPENAI_AD_TOKEN": "canary-entra"}
DATED = {"OPENAI_API_VERSION": "2025-04-01-preview"}
FILTERED = json.loads((PAYLOADS / "azure/prompt_filtered.json").read_text(encoding="utf-8"))


def resource(server: ScriptedServer) -> str:
    """Where the resource is."""
    return server.url.removesuffix("/v1")


def our_client(
    server: ScriptedServer, **environment: str
) -> AbstractAsyncContextManager[AzureClient]:
    """Our client of `server`."""
    ours = {"AZURE_OPENAI_ENDPOINT": resource(server), "AZURE_OPENAI_API_KEY": KEY}
    return client_for(AzureClient, **(ours | environment))


@pytest.mark.parametrize(
    ("model", "environment", "path"),
    [
        ("my-gpt", {}, "/openai/v1/chat/completions"),
        ("gpt-6.1-sol", {}, "/openai/v1/responses"),
        ("gpt-4.1", {}, "/openai/v1/chat/completions"),
        ("my-gpt", {"LATTICE_LOCK_AZURE_API": "responses"}, "/openai/v1/responses"),
        ("gpt-6.1-sol", {"LATTICE_LOCK_AZURE_API": "chat"}, "/openai/v1/chat/completions"),
        (
            "my gpt/eu",
            DATED,
            "/openai/deployments/my%20gpt%2Feu/chat/completions?api-version=2025-04-01-preview",
        ),
        ("gpt-6.1-sol", DATED, "/openai/responses?api-version=2025-04-01-preview"),
        (
            "gpt-6.1-sol",
            {"OPENAI_API_VERSION": "2024-10-21"},
            "/openai/deployments/gpt-6.1-sol/chat/completions?api-version=2024-10-21",
        ),
    ],
)
async def test_each_surface_has_its_address(
    model: str, environment: dict[str, str], path: str
) -> None:
    """Version and deployment give the address, and the deployment is the model in the body."""
    kind = "openai/text" if "/responses" in path else "azure/chat"
    async with (
        openai_server(whole(payload(kind))) as server,
        our_client(server, **environment) as client,
    ):
        await client.chat_completion(ask(f"azure/{model}", Message.system("s"), Message.user("u")))
    (request,) = server.requests
    assert request.path == path
    assert judge(request)["model"] == model
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers


@pytest.mark.parametrize("ending", ["", "/", "/openai", "/openai/v1/"])
async def test_an_endpoint_may_name_the_surface(ending: str) -> None:
    """The base that the vendor's plain client wants is understood as well."""
    async with openai_server(whole(payload("azure/chat"))) as server:
        endpoint = {"AZURE_OPENAI_ENDPOINT": resource(server) + ending}
        async with our_client(server, **endpoint) as client:
            await client.chat_completion(ask("azure/d"))
    assert server.requests[0].path == "/openai/v1/chat/completions"


async def test_a_token_of_entra_wins_and_goes_alone() -> None:
    """With a token the key is not sent at all."""
    async with (
        openai_server(whole(payload("azure/chat"))) as server,
        our_client(server, **ENTRA) as client,
    ):
        await client.chat_completion(ask("azure/d"))
    headers = server.requests[0].headers
    assert headers["authorization"] == "Bearer canary-entra"
    assert "api-key" not in headers


async def test_the_vendor_sends_the_same() -> None:
    """The vendor's Azure client reaches the same addresses with the same headers and bodies."""
    steps = whole(payload("azure/chat")), whole(payload("openai/text"))
    said: Any = {"role": "user", "content": "Hello"}
    async with openai_server(*steps) as server, our_client(server, **DATED) as client:
        await client.chat_completion(ask("azure/d"))
        await client.chat_completion(ask("azure/gpt-6.1-sol"))
    async with (
        openai_server(*steps) as theirs,
        openai.AsyncAzureOpenAI(
            azure_endpoint=resource(theirs),
            api_version=DATED["OPENAI_API_VERSION"],
            api_key=KEY,
            max_retries=0,
            _strict_response_validation=True,
        ) as vendor,
    ):
        await vendor.chat.completions.create(model="d", messages=[said])
        await vendor.responses.create(
            model="gpt-6.1-sol",
            input=[said],
            store=False,
            include=["reasoning.encrypted_content"],
        )
    for one, other in zip(server.requests, theirs.requests, strict=True):
        assert (one.path, one.headers["api-key"]) == (other.path, other.headers["api-key"])
        assert one.json == other.json


async def test_what_the_filter_says_does_not_disturb() -> None:
    """Chunks that hold only results of the filter are passed over; a filtered end is a result."""
    body = payload("azure/chat")
    results: dict[str, Any] = {"prompt_index": 0, "content_filter_results": {}}
    first = {"choices": [], "prompt_filter_results": [results]}
    middle = {"choices": [{"index": 0, "delta": {}, "content_filter_results": {"error": {}}}]}
    marks = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in (first, middle))
    async with (
        openai_server(as_stream(marks, chunks(body)), whole(body)) as server,
        our_client(server) as client,
    ):
        *events, end = await collect(client, ask("azure/d"))
        direct = await client.chat_completion(ask("azure/d"))
    assert isinstance(end, StreamEnd)
    assert end.response.text == direct.text == "Four, as asked."
    assert end.response.finish_reason is direct.finish_reason is FinishReason.CONTENT_FILTER
    assert all(isinstance(event, TextDelta) for event in events)


async def test_a_stream_over_responses() -> None:
    """The dated surface streams Responses as OpenAI does."""
    body = payload("openai/tools")
    async with (
        openai_server(as_stream(sse(*streamed(body)))) as server,
        our_client(server, **DATED) as client,
    ):
        *_, end = await collect(client, ask("azure/gpt-6.1-sol"))
    assert isinstance(end, StreamEnd)
    assert [call.id for call in end.response.tool_calls] == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, FILTERED, ContentFilteredError),
        (401, {"error": {"code": "401", "message": "Access denied."}}, AuthenticationError),
        (403, {"error": {"code": "403", "message": "Firewall."}}, PermissionDeniedError),
        (404, {"error": {"code": "DeploymentNotFound", "message": "m"}}, ModelNotAvailableError),
        (429, {"error": {"code": "429", "message": "Wait."}}, RateLimitError),
        (503, {"error": {"code": "503", "message": "Busy."}}, OverloadedError),
    ],
)
async def test_every_refusal_is_its_own_error(
    status: int, body: dict[str, Any], kind: type[APIClientError]
) -> None:
    """Status and code give the class, and the gateway's id stands in for a missing one."""
    step = answer(body, status, apim_request_id="apim-1", retry_after_ms="1")
    async with openai_server(step) as server, our_client(server) as client:
        with pytest.raises(APIClientError) as caught:
            await client.chat_completion(ask("azure/d"))
    error = caught.value
    assert type(error) is kind
    assert (error.request_id, error.status, error.retry_after_s) == ("apim-1", status, 0.001)
    assert KEY not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"AZURE_OPENAI_ENDPOINT": ""}, "AZURE_OPENAI_ENDPOINT"),
        ({"AZURE_OPENAI_ENDPOINT": "my-resource"}, "AZURE_OPENAI_ENDPOINT"),
        ({"AZURE_OPENAI_API_KEY": ""}, "AZURE_OPENAI_API_KEY"),
    ],
)
async def test_what_is_not_set_up_is_said(environment: dict[str, str], words: str) -> None:
    """Without a resource, or without anything to open it, no request is made."""
    async with openai_server() as server, our_client(server, **environment) as client:
        with pytest.raises(ProviderUnavailableError, match=words):
            await client.chat_completion(ask("azure/d"))
    assert server.requests == []


@pytest.mark.parametrize("name", [".", ".."])
async def test_a_deployment_cannot_lead_elsewhere(name: str) -> None:
    """A name that an address would read as a step upwards is refused."""
    async with openai_server() as server, our_client(server, **DATED) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.chat_completion(ask(f"azure/{name}"))
    assert caught.value.parameter == "model"


async def test_deployments_are_not_listed() -> None:
    """The list of base models names nothing that can be called, so it is not asked for."""
    async with openai_server() as server, our_client(server) as client:
        assert await client.list_models() == ()
    assert server.requests == []
