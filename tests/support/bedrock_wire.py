"""A server that speaks Bedrock's Converse and judges what it is sent, and clients of it.

Judge of requests and of the server's own answers is botocore's service model: its validator checks
shapes, and the limits that it leaves to the service (values, lengths, patterns) are checked here
from the same model. Signatures are made anew by botocore and compared.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode, b64encode
from contextlib import aclosing, asynccontextmanager, closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import unquote
from zlib import crc32

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.session import Session
from botocore.validate import ParamValidator

from lattice_lock.exceptions import APIClientError, InvalidRequestError
from lattice_lock.messages import ChatRequest, Message, ModelId, StreamEnd
from lattice_lock.providers.bedrock import BedrockClient
from lattice_lock.providers.transport import Transport
from lattice_lock.settings import Settings
from wire_server import NOWHERE, QUICK, answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from lattice_lock.messages import ChatResponse, StreamEvent
    from wire_server import Received, ScriptedServer, Step

KEY = "canary-bedrock-api-key-5f2d"
ACCESS = "AKIDCANARY77"
SECRET = "canary-aws-secret-0b77"  # noqa: S105  # no real one
TOKEN = "canary-aws-session-91aa"  # noqa: S105  # no real one
REGION = "eu-central-1"
CLAUDE = "eu.anthropic.claude-opus-5-5"
OLD = "anthropic.claude-3-5-haiku-20241022-v1:0"
ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123def456"
PAYLOADS = Path(__file__).parent.parent / "providers" / "payloads" / "bedrock"
FRAMES = "application/vnd.amazon.eventstream"


@cache
def _operation(name: str) -> Any:
    return Session().get_service_model("bedrock-runtime").operation_model(name)


def check(shape: Any, value: Any) -> None:
    """Hold decoded JSON against a shape of the service model, limits included."""
    value = _with_bytes(shape, value)
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), report.generate_report()
    assert not list(_beyond(shape, value, "$")), list(_beyond(shape, value, "$"))


def _with_bytes(shape: Any, value: Any) -> Any:
    """`value` with blobs decoded, as the validator wants them."""
    if shape.type_name == "blob":
        return b64decode(value, validate=True)
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {} if getattr(shape, "is_document_type", False) else shape.members
        return {k: _with_bytes(members[k], v) if k in members else v for k, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_with_bytes(shape.member, item) for item in value]
    return value


def _beyond(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Where a value is outside what the model allows, and the validator does not look."""
    if shape.type_name == "structure":
        if not getattr(shape, "is_document_type", False):
            for name, member in value.items():
                yield from _beyond(shape.members[name], member, f"{path}.{name}")
        return
    if shape.type_name == "list":
        for number, item in enumerate(value):
            yield from _beyond(shape.member, item, f"{path}[{number}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _beyond(shape.key, key, f"{path}.<{key}>")
            yield from _beyond(shape.value, item, f"{path}.{key}")
    if not _within(shape.metadata, value):
        yield f"{path}: {value!r} is outside {dict(shape.metadata)}"


def _within(limits: Any, value: Any) -> bool:
    size = value if isinstance(value, int | float) else len(value)
    text = value if isinstance(value, str) else ""
    return (
        value in limits.get("enum", [value])
        and limits.get("min", size) <= size <= limits.get("max", size)
        and (not text or re.fullmatch(limits.get("pattern", r"[\s\S]*"), text) is not None)
    )


def payload(name: str) -> dict[str, Any]:
    """An answer, held against the service model."""
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    check(_operation("Converse").output_shape, body)
    return body


def judge(request: Received, *, signed: bool = False, stream: bool = False) -> dict[str, Any]:
    """The body of a request that Bedrock would take; anything else is an `AssertionError`."""
    _, model, name, operation = request.path.split("/")
    assert (request.method, model) == ("POST", "model")
    assert operation == ("converse-stream" if stream else "converse")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == (FRAMES if stream else "application/json")
    if signed:
        judge_signature(request)
    else:
        assert request.headers["authorization"] == f"Bearer {KEY}"
    body: dict[str, Any] = request.json
    shape = _operation("ConverseStream" if stream else "Converse").input_shape
    check(shape, body | {"modelId": unquote(name)})
    _judge_turns(body)
    return body


def judge_signature(request: Received, *, token: str | None = TOKEN) -> None:
    """The request carries the signature that botocore makes for what has arrived."""
    headers = request.headers
    when = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(tz=UTC) - when).total_seconds()) < 300
    kind = {"Content-Type": headers["content-type"]} if request.body else {}
    again = AWSRequest(
        method=request.method,
        url=f"http://{headers['host']}{request.path}",
        data=request.body,
        headers=kind,
    )
    with patch.object(botocore.auth, "get_current_datetime", lambda: when.replace(tzinfo=None)):
        SigV4Auth(Credentials(ACCESS, SECRET, token), "bedrock", REGION).add_auth(again)
    assert headers["authorization"] == again.headers["Authorization"]
    assert headers.get("x-amz-security-token") == token


def _judge_turns(body: dict[str, Any]) -> None:
    """Pairing of calls and results, tools beside them, and names of documents.

    Source: https://docs.aws.amazon.com/bedrock/latest/userguide/tool-use-inference-call.html and
    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
    """
    open_calls: set[str] = set()
    names: list[str] = []
    for turn in body["messages"]:
        blocks = turn["content"]
        assert blocks
        results = [b["toolResult"]["toolUseId"] for b in blocks if "toolResult" in b]
        if turn["role"] == "user":
            assert sorted(results) == sorted(open_calls)
        calls = [b["toolUse"] for b in blocks if "toolUse" in b]
        open_calls = {call["toolUseId"] for call in calls if "type" not in call}
        assert "toolConfig" in body or not (open_calls or (turn["role"] == "user" and results))
        assert all(isinstance(call["input"], dict) for call in calls)
        assert all(block.get("text") != "" for block in blocks)
        names += [block["document"]["name"] for block in blocks if "document" in block]
    assert all(re.fullmatch(r"(?!.*\s\s)[A-Za-z0-9\s()\[\]-]+", name) for name in names)
    assert len(set(names)) == len(names)
    schema = body.get("outputConfig", {}).get("textFormat", {}).get("structure")
    assert schema is None or isinstance(json.loads(schema["jsonSchema"]["schema"]), dict)


def frame(headers: dict[str, str], body: bytes) -> bytes:
    """One frame of an event stream."""
    packed = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + pack(">H", len(text)) + text
        for name, text in ((name, value.encode()) for name, value in headers.items())
    )
    lengths = pack(">II", 16 + len(packed) + len(body), len(packed))
    whole = lengths + pack(">I", crc32(lengths)) + packed + body
    return whole + pack(">I", crc32(whole))


def event(kind: str, **fields: Any) -> bytes:
    """One event of a stream, held against the service model."""
    members = _operation("ConverseStream").output_shape.members["stream"].members
    if kind in members:
        check(members[kind], fields)
    # As the service does, the length is hidden by padding.
    content = json.dumps(fields | {"p": "abcdefgh"}, ensure_ascii=False).encode()
    return frame(_headers("event", ":event-type", kind), content)


def exception(kind: str, message: str = "broken") -> bytes:
    """The frame with which a stream breaks."""
    body = json.dumps({"message": message}).encode()
    return frame(_headers("exception", ":exception-type", kind), body)


def _headers(message: str, name: str, kind: str) -> dict[str, str]:
    return {name: kind, ":content-type": "application/json", ":message-type": message}


def streamed(body: dict[str, Any], *, cut: int = 5) -> list[bytes]:
    """The events in which `body` would have come, its texts cut after every `cut` characters."""
    frames = [event("messageStart", role="assistant")]
    for index, block in enumerate(body["output"]["message"]["content"]):
        ((kind, value),) = block.items()
        start, deltas = _pieces(kind, value, cut)
        if start is not None:
            frames.append(event("contentBlockStart", contentBlockIndex=index, start={kind: start}))
        frames += [event("contentBlockDelta", contentBlockIndex=index, delta=d) for d in deltas]
        frames.append(event("contentBlockStop", contentBlockIndex=index))
    stop = {k: body[k] for k in ("stopReason", "additionalModelResponseFields") if k in body}
    end = {k: body[k] for k in ("usage", "metrics", "trace", "serviceTier") if k in body}
    return [*frames, event("messageStop", **stop), event("metadata", **end)]


def _pieces(kind: str, value: Any, cut: int) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    def cuts(text: str) -> list[str]:
        return [text[at : at + cut] for at in range(0, len(text), cut)]

    if kind == "text":
        return None, [{"text": piece} for piece in cuts(value)]
    if kind == "reasoningContent" and "redactedContent" in value:
        hidden = b64decode(value["redactedContent"])
        halves = [b64encode(half).decode() for half in (hidden[:7], hidden[7:])]
        return None, [{"reasoningContent": {"redactedContent": half}} for half in halves]
    if kind == "reasoningContent":
        thought = value["reasoningText"]
        deltas = [{"text": piece} for piece in cuts(thought["text"])]
        deltas += [{"signature": thought["signature"]}]
        return None, [{"reasoningContent": delta} for delta in deltas]
    if kind == "citationsContent":
        (said,) = value["content"]
        return None, [
            *({"text": piece} for piece in cuts(said["text"])),
            *({"citation": citation} for citation in value["citations"]),
        ]
    if kind == "toolResult":
        start = {"toolUseId": value["toolUseId"], "status": value["status"]}
        return start, [{"toolResult": [piece]} for piece in value["content"]]
    assert kind == "toolUse"
    fields = {name: field for name, field in value.items() if name != "input"}
    arguments = json.dumps(value["input"], ensure_ascii=False) if value["input"] else ""
    return fields, [{"toolUse": {"input": piece}} for piece in cuts(arguments)]


def whole(body: dict[str, Any]) -> Step:
    """The step that sends `body` as the answer."""
    return answer(body, x_amzn_RequestId="req-011")


def as_stream(*pieces: bytes) -> Step:
    """The step that streams `pieces` and ends the body."""

    async def step(wire: Any) -> None:
        await wire.head(kind=FRAMES, x_amzn_RequestId="req-011")
        await wire.send(*pieces)

    return step


@asynccontextmanager
async def bedrock_server(*steps: Step) -> AsyncIterator[ScriptedServer]:
    """A server on loopback whose `url` is the endpoint."""
    async with serving(*steps) as server:
        server.url = server.url.removesuffix("/v1")
        yield server


@asynccontextmanager
async def our_client(url: str, **environment: str) -> AsyncIterator[BedrockClient]:
    """Our client of the endpoint at `url`, with a key."""
    async with any_client(url, AWS_BEARER_TOKEN_BEDROCK=KEY, **environment) as client:
        yield client


@asynccontextmanager
async def signing_client(url: str, **environment: str) -> AsyncIterator[BedrockClient]:
    """Our client of the endpoint at `url`, with AWS credentials."""
    keys = {
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
    }
    async with any_client(url, **keys | environment) as client:
        yield client


@asynccontextmanager
async def any_client(url: str, **environment: str) -> AsyncIterator[BedrockClient]:
    """Our client of the endpoint at `url`, with whatever `environment` gives it."""
    ours = {"AWS_ENDPOINT_URL": url, "AWS_REGION": REGION}
    settings = Settings.load(environment=ours | environment, dotenv=NOWHERE)
    async with Transport(settings) as transport:
        yield BedrockClient(settings, transport, retry=QUICK)


async def vendors(url: str, call: Callable[[Any], Any]) -> Any:
    """What `call` makes of the vendor's own client of the endpoint at `url`, in a thread."""

    def run() -> Any:
        client: Any = Session().create_client(
            "bedrock-runtime",
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            aws_session_token=TOKEN,
            config=Config(retries={"total_max_attempts": 1}),
        )
        with closing(client):
            return call(client)

    return await asyncio.to_thread(run)


def vendors_stream(client: Any) -> list[dict[str, Any]]:
    """Every event of a stream, as the vendor's own client reads it."""
    with closing(client.converse_stream(modelId=CLAUDE, messages=[])["stream"]) as stream:
        return list(stream)


def ask(*messages: Message, model: str = CLAUDE, **changes: Any) -> ChatRequest:
    """A request to Bedrock."""
    return ChatRequest(
        model=ModelId(provider="bedrock", name=model),
        messages=messages or (Message.user("Hello"),),
        **changes,
    )


async def collect(client: BedrockClient, request: ChatRequest) -> list[StreamEvent]:
    """Every event of a stream."""
    async with aclosing(client.stream(request)) as stream:
        return [item async for item in stream]


async def sent(request: ChatRequest, *, stream: bool = False) -> dict[str, Any]:
    """The body that the server took for `request`."""
    body = payload("text")
    if request.response_schema is not None:
        body["output"]["message"]["content"] = [{"text": "{}"}]
    step = as_stream(*streamed(body)) if stream else whole(body)
    async with bedrock_server(step) as server, our_client(server.url) as client:
        await (collect(client, request) if stream else client.chat_completion(request))
    return judge(server.requests[0], stream=stream)


async def answered(*steps: Step) -> ChatResponse:
    """The answer to a plain question."""
    async with bedrock_server(*steps) as server, our_client(server.url) as client:
        return await client.chat_completion(ask())


async def streamed_answer(*pieces: bytes) -> tuple[list[StreamEvent], ChatResponse]:
    """The deltas and the whole answer of a stream."""
    async with bedrock_server(as_stream(*pieces)) as server, our_client(server.url) as client:
        *deltas, end = await collect(client, ask())
    assert isinstance(end, StreamEnd)
    return deltas, end.response


async def failure(*steps: Step, stream: bool = False) -> tuple[APIClientError, int]:
    """The error that a call ends with, and how many requests it took."""
    async with bedrock_server(*steps) as server, our_client(server.url) as client:
        with pytest.raises(APIClientError) as caught:
            await (collect(client, ask()) if stream else client.chat_completion(ask()))
        return caught.value, len(server.requests)


async def refusal(**changes: Any) -> InvalidRequestError:
    """The error with which a request is refused before anything is sent."""
    messages = changes.pop("messages", ())
    async with bedrock_server(whole(payload("text"))) as server, our_client(server.url) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.chat_completion(ask(*messages, **changes))
    assert not server.requests
    return caught.value
