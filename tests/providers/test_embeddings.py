"""Vectors of texts: every provider that has them, judged by the vendors' own types."""

from __future__ import annotations

import json
import math
from array import array
from base64 import b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import openai
import pytest
from google.genai import types  # noqa: TC002  # pydantic reads annotations
from pydantic import BaseModel, ConfigDict, TypeAdapter
from typing_extensions import override

import bedrock_wire
import google_wire
import openai_wire
from every_provider import CASES, client_of
from lattice_lock.exceptions import (
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitError,
    UsageError,
)
from lattice_lock.messages import EmbeddingRequest, ModelId, Usage
from lattice_lock.providers.middleware import Middleware
from wire_server import QUICK, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lattice_lock.messages import EmbeddingResponse
    from lattice_lock.providers.middleware import EmbedNext
    from wire_server import Received, ScriptedServer, Wire

    Reply = Callable[[Received], object]

TEXTS = ("a", "four", "seven77")
OVER_CHAT = (
    *("openai", "azure", "azure-deployment", "dial", "local"),
    *("fireworks", "mistral", "openrouter", "together"),
)
WITHOUT = ("anthropic", "cerebras", "deepseek", "groq", "xai")
TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-multilingual-v3"
each_over_chat = pytest.mark.parametrize("name", OVER_CHAT)


def numbers(text: str) -> list[float]:
    """A vector by which a text is recognised."""
    return [float(len(text)), 0.5, -1.0]


def wanted(case: str, *texts: str, model: str = "embed-1", **changes: Any) -> EmbeddingRequest:
    """A request for the vectors of `texts`."""
    identifier = ModelId(provider=CASES[case].provider, name=model)
    return EmbeddingRequest(model=identifier, inputs=texts or TEXTS, **changes)


@asynccontextmanager
async def replying(reply: Reply, **headers: Any) -> AsyncIterator[ScriptedServer]:
    """A server whose every answer is made of the request."""

    async def step(wire: Wire) -> object:
        return await answer(reply(server.requests[-1]), **headers)(wire)

    async with serving(step) as server:
        yield server


def in_openais_format(request: Received) -> dict[str, Any]:
    """What OpenAI answers, out of order; base64 where that was asked for."""
    body = openai_wire.judge(request) if b"output_dimension" not in request.body else request.json
    packed = body.get("encoding_format") == "base64"
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": b64encode(array("f", numbers(text)).tobytes()).decode()
            if packed
            else numbers(text),
        }
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
    return {"object": "list", "data": data[::-1], "model": "served", "usage": usage}


def check(answered: EmbeddingResponse, texts: tuple[str, ...] = TEXTS) -> None:
    """The vectors are those of `texts`, in their order."""
    assert [list(vector) for vector in answered.vectors] == [numbers(text) for text in texts]
    assert answered.dimensions == 3
    assert answered.latency_ms > 0


@each_over_chat
async def test_servers_that_speak_openais_format_give_vectors(name: str) -> None:
    """The request is one that OpenAI's types allow; vectors come back in the order of the texts."""
    async with (
        replying(in_openais_format, X_Request_Id="req-7") as server,
        client_of(CASES[name], server.url) as client,
    ):
        answered = await client.embed(wanted(name))
    check(answered)
    assert (answered.usage, answered.attempts) == (Usage(input_tokens=3), 1)
    assert (answered.served_model, answered.request_id) == ("served", "req-7")
    assert len(server.requests) == 1
    assert server.requests[0].path.partition("?")[0].endswith("/embeddings")


async def test_paths_of_deployments_name_the_deployment() -> None:
    """Azure's dated version and DIAL have the model in the path, with the version of the API."""
    for name in ("azure-deployment", "dial"):
        async with (
            replying(in_openais_format) as server,
            client_of(CASES[name], server.url) as client,
        ):
            await client.embed(wanted(name))
        path, _, query = server.requests[0].path.partition("?")
        assert path.endswith("/openai/deployments/embed-1/embeddings")
        assert query.startswith("api-version=20")


@pytest.mark.parametrize(
    ("name", "field"), [("openai", "dimensions"), ("mistral", "output_dimension")]
)
async def test_the_length_of_vectors_is_asked_for(name: str, field: str) -> None:
    """`dimensions` goes into the provider's own field, and a longer vector is refused."""
    async with (
        replying(in_openais_format) as server,
        client_of(CASES[name], server.url) as client,
    ):
        check(await client.embed(wanted(name, dimensions=3)))
        with pytest.raises(InvalidResponseError, match="Of 2 dimensions asked for, 3 came"):
            await client.embed(wanted(name, dimensions=2))
    assert server.requests[0].json[field] == 3


async def test_openais_own_client_reads_the_same_server() -> None:
    """The server is not narrower than the truth: the vendor's client gets the same vectors."""
    async with (
        replying(in_openais_format) as server,
        openai_wire.vendor_client(server.url) as client,
    ):
        listed = await client.embeddings.create(
            model="embed-1", input=list(TEXTS), encoding_format="float"
        )
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0) as plain:
            packed = await plain.embeddings.create(model="embed-1", input=list(TEXTS))
    assert "base64" in server.requests[1].body.decode()
    assert packed.data == listed.data
    by_index = sorted(listed.data, key=lambda item: item.index)
    assert [item.embedding for item in by_index] == [numbers(text) for text in TEXTS]


class _Wanted(BaseModel):
    """One request of a batch, out of the vendor's own types."""

    model_config = ConfigDict(extra="forbid")
    model: str
    content: types.Content
    outputDimensionality: int | None = None  # noqa: N815  # the wire's own name


class _Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")
    requests: list[_Wanted]


def in_googles_format(request: Received) -> dict[str, Any]:
    """What Google answers: a vector for each request of the batch."""
    assert request.path.startswith("/v1/models/embed-1:batchEmbedContents")
    assert request.headers["x-goog-api-key"] == google_wire.KEY
    batch = TypeAdapter(_Batch).validate_json(request.body)
    assert 0 < len(batch.requests) <= 100
    texts = []
    for one in batch.requests:
        assert one.model == "models/embed-1"
        (part,) = one.content.parts or []
        texts.append(part.text or "")
    return {"embeddings": [{"values": numbers(text)} for text in texts]}


async def test_google_gives_a_vector_for_each_text() -> None:
    """Each text is a request of its own in batches of a hundred, and order is kept across them."""
    texts = tuple("x" * (number % 50 + 1) for number in range(230))
    async with replying(in_googles_format) as server:
        url = server.url.removesuffix("/v1")
        async with google_wire.our_client(url) as client:
            answered = await client.embed(wanted("google", *texts))
    check(answered, texts)
    assert len(server.requests) == answered.attempts == 3
    assert answered.usage is None


async def test_googles_own_client_reads_the_same_server() -> None:
    """The vendor's client gets its vector out of the same answer."""
    async with (
        replying(in_googles_format) as server,
        google_wire.vendor_client(server.url.removesuffix("/v1")) as client,
    ):
        found = await client.models.embed_content(model="embed-1", contents="four")
    (embedding,) = found.embeddings or []
    assert embedding.values == numbers("four")


def in_bedrocks_formats(request: Received) -> dict[str, Any]:
    """What Titan or Cohere answer behind `InvokeModel`."""
    model, operation = request.path.removeprefix("/model/").rsplit("/", 1)
    assert operation == "invoke"
    body = request.json
    if unquote(model) == TITAN:
        assert set(body) <= {"inputText", "dimensions", "normalize", "embeddingTypes"}
        return {"embedding": numbers(body["inputText"]), "inputTextTokenCount": 1}
    assert body["input_type"] == "search_document"
    assert 0 < len(body["texts"]) <= 96
    return {"embeddings": {"float": [numbers(text) for text in body["texts"]]}, "id": "1"}


@pytest.mark.parametrize(("model", "requests"), [(TITAN, 3), (COHERE, 1)])
@pytest.mark.parametrize("signed", [False, True])
async def test_bedrock_speaks_each_vendors_format(
    model: str, requests: int, *, signed: bool
) -> None:
    """Titan takes one text a request and Cohere many, with a key or a signature that holds."""
    name = "bedrock-signed" if signed else "bedrock"
    headers = {"X_Amzn_Bedrock_Input_Token_Count": "2", "X_Amzn_Requestid": "r-1"}
    async with replying(in_bedrocks_formats, **headers) as server:
        connect = bedrock_wire.signing_client if signed else bedrock_wire.our_client
        async with connect(server.url.removesuffix("/v1")) as client:
            answered = await client.embed(wanted(name, model=model))
    check(answered)
    assert answered.usage == Usage(input_tokens=2 * requests)
    assert (len(server.requests), answered.request_id) == (requests, "r-1")
    if signed:
        for request in server.requests:
            bedrock_wire.judge_signature(request)


async def test_bedrocks_own_client_reads_the_same_server() -> None:
    """The vendor's client sends what the server takes, and gets the vector."""
    async with replying(in_bedrocks_formats) as server:
        body = json.dumps({"inputText": "four"})
        content = await bedrock_wire.vendors(
            server.url.removesuffix("/v1"),
            lambda client: client.invoke_model(modelId=TITAN, body=body)["body"].read(),
        )
    assert json.loads(content)["embedding"] == numbers("four")


@pytest.mark.parametrize("name", WITHOUT)
async def test_a_provider_without_embeddings_says_so(name: str) -> None:
    """It is refused before anything is sent, with models that have them."""
    async with serving(answer({})) as server, client_of(CASES[name], server.url) as client:
        with pytest.raises(InvalidRequestError, match="has no embeddings") as caught:
            await client.embed(wanted(name))
    assert caught.value.parameter == "model"
    assert "openai/text-embedding-3-small" in (caught.value.hint or "")
    assert server.requests == []


async def test_an_unknown_model_of_bedrock_is_refused() -> None:
    """Nobody guesses at the body that a model wants."""
    async with (
        serving(answer({})) as server,
        bedrock_wire.our_client(server.url) as client,
    ):
        with pytest.raises(InvalidRequestError, match="not known to embed"):
            await client.embed(wanted("bedrock", model="anthropic.claude-sonnet-4"))
    assert server.requests == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": ()}, "There is no text"),
        ({"inputs": ("a", "")}, "number 2 is empty"),
        ({"dimensions": 0}, "at least 1"),
        ({"timeout_s": math.inf}, "finite number of seconds"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    """No text, an empty text, no dimension and no end are refused when they are written."""
    fields: dict[str, Any] = {"model": ModelId(provider="local", name="e"), "inputs": ("a",)}
    with pytest.raises(InvalidRequestError, match=words):
        EmbeddingRequest(**(fields | changes))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "3 texts got 0 vectors"),
        ([{"index": n, "embedding": [1.0]} for n in (0, 1)], "3 texts got 2 vectors"),
        ([{"index": n, "embedding": [1.0]} for n in (0, 1, 3)], "numbered from 0"),
        ([{"index": n, "embedding": [1.0]} for n in (0, 1, 1)], "numbered from 0"),
        ([{"index": n, "embedding": [1.0] * n} for n in (0, 1, 2)], "one length"),
        ([{"index": n, "embedding": []} for n in (0, 1, 2)], "one length"),
        ([{"index": n, "embedding": [1e300]} for n in (0, 1, 2)], "finite"),
        ([{"index": n, "embedding": "AAA"} for n in (0, 1, 2)], "unreadable"),
        ([{"index": n, "embedding": "AAAA"} for n in (0, 1, 2)], "unreadable"),
        ([{"index": n, "embedding": "AA!AgD8="} for n in (0, 1, 2)], "unreadable"),
        ([{"index": n, "embedding": "AADAfw=="} for n in (0, 1, 2)], "finite"),
        ([{"index": n, "embedding": ["1"]} for n in (0, 1, 2)], "not in the format"),
        ("many", "not in the format"),
    ],
)
async def test_vectors_that_cannot_be_used_are_refused(data: object, words: str) -> None:
    """Missing, doubled, uneven, infinite or unreadable vectors are an error, never an answer."""
    async with (
        serving(answer({"object": "list", "data": data})) as server,
        client_of(CASES["local"], server.url) as client,
    ):
        with pytest.raises(InvalidResponseError, match=words) as caught:
            await client.embed(wanted("local"))
    assert (caught.value.provider, caught.value.attempt) == ("local", 1)


async def test_batches_that_do_not_fit_together_are_refused() -> None:
    """Vectors of one length in one batch and of another in the next are no answer."""
    texts = tuple(str(number) for number in range(65))

    def longer(request: Received) -> dict[str, Any]:
        body = in_openais_format(request)
        if len(body["data"]) == 1:
            body["data"][0]["embedding"].append(1.0)
        return body

    async with replying(longer) as server, client_of(CASES["local"], server.url) as client:
        with pytest.raises(InvalidResponseError, match="one length"):
            await client.embed(wanted("local", *texts))


@pytest.mark.parametrize(("name", "most"), [("openai", 2048), ("azure", 2048), ("mistral", 64)])
async def test_no_request_carries_more_than_it_may(name: str, most: int) -> None:
    """One text more than a provider takes at once is sent in a request of its own."""
    texts = tuple("x" for _ in range(most + 1))
    async with (
        replying(in_openais_format) as server,
        client_of(CASES[name], server.url) as client,
    ):
        answered = await client.embed(wanted(name, *texts))
    assert len(answered.vectors) == most + 1
    assert [len(request.json["input"]) for request in server.requests] == [most, 1]
    assert all(
        (request.json.get("encoding_format") == "base64") == (name != "mistral")
        for request in server.requests
    )


async def test_google_and_bedrock_are_asked_for_a_length() -> None:
    """The length of vectors is in the field that each of their formats has for it."""
    async with (
        replying(in_googles_format) as server,
        google_wire.our_client(server.url.removesuffix("/v1")) as google,
    ):
        check(await google.embed(wanted("google", dimensions=3)))
    assert {one["outputDimensionality"] for one in server.requests[0].json["requests"]} == {3}
    async with (
        replying(in_bedrocks_formats) as server,
        bedrock_wire.our_client(server.url.removesuffix("/v1")) as bedrock,
    ):
        for model in (TITAN, COHERE):
            check(await bedrock.embed(wanted("bedrock", model=model, dimensions=3)))
    assert server.requests[0].json["dimensions"] == 3
    assert server.requests[-1].json["output_dimension"] == 3


async def test_an_error_of_embeddings_knows_its_model_and_cools_down() -> None:
    """The error names model and attempt, and a wait that was asked for holds for later calls."""
    busy = answer({"error": {"message": "slow"}}, 429, Retry_After="60")
    async with serving(busy) as server, client_of(CASES["openai"], server.url) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.embed(wanted("openai"))
        with pytest.raises(ProviderUnavailableError, match="left alone"):
            await client.embed(wanted("openai"))
    assert (caught.value.model, caught.value.attempt) == ("embed-1", 1)
    assert len(server.requests) == 1


async def test_a_batch_that_fails_is_repeated_alone() -> None:
    """Of several batches only the one that failed is sent again."""
    texts = tuple(str(number) for number in range(130))
    seen: list[int] = []

    async def step(wire: Wire) -> object:
        seen.append(len(server.requests[-1].json["input"]))
        if len(seen) == 2:
            return await answer({"error": {"message": "busy"}}, 503)(wire)
        return await answer(in_openais_format(server.requests[-1]))(wire)

    async with serving(step) as server, client_of(CASES["local"], server.url) as client:
        answered = await client.embed(wanted("local", *texts))
    check(answered, texts)
    assert seen == [64, 64, 64, 2]
    assert answered.attempts == 4


async def test_failures_are_the_same_as_of_chats() -> None:
    """Attempts are bounded, and one deadline holds for all batches."""
    async with (
        serving(answer({"error": {"message": "busy"}}, 503)) as server,
        client_of(CASES["local"], server.url) as client,
    ):
        with pytest.raises(OverloadedError) as caught:
            await client.embed(wanted("local"))
        assert caught.value.attempt == len(server.requests) == QUICK.max_attempts

    async def silent(wire: Wire) -> None:
        await wire.until_hung_up()

    async with serving(silent) as server, client_of(CASES["local"], server.url) as client:
        with pytest.raises(ProviderTimeoutError):
            await client.embed(wanted("local", timeout_s=0.05))
        await server.hung_up.wait()


async def test_layers_stand_around_embeddings() -> None:
    """Middleware sees one call with all texts, and may change what is asked."""

    class Lower(Middleware):
        @override
        async def embed(self, request: EmbeddingRequest, call_next: EmbedNext) -> EmbeddingResponse:
            texts = tuple(text.lower() for text in request.inputs)
            return await call_next(wanted("local", *texts))

    async with (
        replying(in_openais_format) as server,
        client_of(CASES["local"], server.url) as client,
    ):
        client.use(Lower(), Middleware())
        check(await client.embed(wanted("local", "A", "FOUR")), ("a", "four"))
    assert server.requests[0].json["input"] == ["a", "four"]


def test_a_model_of_no_provider_is_no_model() -> None:
    """The model's name is checked as everywhere."""
    with pytest.raises(UsageError):
        EmbeddingRequest(model=ModelId.parse("nowhere"), inputs=("a",))
