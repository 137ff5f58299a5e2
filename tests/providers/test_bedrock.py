"""The Bedrock provider against a server that judges it by botocore's service model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from bedrock_wire import (
    ACCESS,
    ARN,
    CLAUDE,
    KEY,
    OLD,
    SECRET,
    TOKEN,
    answered,
    any_client,
    ask,
    bedrock_server,
    collect,
    failure,
    judge,
    judge_signature,
    our_client,
    payload,
    signing_client,
    vendors,
    whole,
)
from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    ContextLengthError,
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
    FinishReason,
    Message,
    TextPart,
    ToolDefinition,
    Usage,
)
from lattice_lock.providers.bedrock import BedrockClient
from lattice_lock.settings import Settings
from wire_server import NOWHERE, answer

if TYPE_CHECKING:
    from pathlib import Path


PNG = b"\x89PNG\r\n"
WEATHER = ToolDefinition(
    name="weather",
    description="Weather of a city",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
NOW = ToolDefinition(name="now", parameters={"type": "object"}, strict=True)


async def test_a_plain_question() -> None:
    """The least request is what the vendor's client sends, and the answer is read in full."""
    body = payload("text")
    async with bedrock_server(whole(body)) as server:
        async with signing_client(server.url) as client:
            response = await client.chat_completion(ask(model=OLD, max_output_tokens=64))
        theirs = await vendors(
            server.url,
            lambda vendor: vendor.converse(
                modelId=OLD,
                messages=[{"role": "user", "content": [{"text": "Hello"}]}],
                inferenceConfig={"maxTokens": 64},
            ),
        )
    mine, of_vendor = server.requests
    assert judge(mine, signed=True) == of_vendor.json
    assert mine.path == f"/model/{OLD}/converse"
    assert of_vendor.path == mine.path.replace(":", "%3A")
    assert response.text == theirs["output"]["message"]["content"][0]["text"]
    assert (response.finish_reason, response.raw_finish_reason) == (
        FinishReason.STOP,
        theirs["stopReason"],
    )
    assert response.usage == Usage(
        input_tokens=4312, cached_input_tokens=4000, cache_write_tokens=300, output_tokens=25
    )
    assert response.request_id == theirs["ResponseMetadata"]["RequestId"] == "req-011"
    assert (response.served_model, response.model.name) == (None, OLD)
    assert response.message.content == (TextPart(text="Grüße, 漢字 and 😀."),)
    assert response.provider_data is not None
    assert response.provider_data.unpack() == {
        name: value for name, value in body.items() if name not in {"output", "stopReason"}
    }


@pytest.mark.parametrize("model", [OLD, CLAUDE, ARN])
async def test_requests_are_signed(model: str) -> None:
    """For ids and ARNs alike the signature is botocore's for the path that arrives."""
    async with (
        bedrock_server(whole(payload("text"))) as server,
        signing_client(server.url) as client,
    ):
        await client.chat_completion(ask(model=model))
        await client.chat_completion(ask(Message.user("Grüße"), model=model))
    for request in server.requests:
        judge(request, signed=True)
    first, second = (request.headers["authorization"] for request in server.requests)
    assert first != second
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in first


async def test_a_key_of_bedrock_comes_first() -> None:
    """Where there is a key, nothing is signed, and AWS credentials stay at home."""
    async with (
        bedrock_server(whole(payload("text"))) as server,
        signing_client(server.url, AWS_BEARER_TOKEN_BEDROCK=KEY) as client,
    ):
        await client.chat_completion(ask())
    (request,) = server.requests
    judge(request)
    assert not {"x-amz-date", "x-amz-security-token"} & request.headers.keys()
    assert not any(ACCESS in value or TOKEN in value for value in request.headers.values())


async def test_credentials_of_a_process(tmp_path: Path) -> None:
    """A profile's process is run off the event loop, once, though many wait for it."""
    runs = tmp_path / "runs"
    script = tmp_path / "credentials.py"
    script.write_text(
        f"import json, pathlib; pathlib.Path({str(runs)!r}).open('a').write('x')\n"
        f"print(json.dumps(dict(Version=1, AccessKeyId={ACCESS!r}, SecretAccessKey={SECRET!r})))\n"
    )
    config = tmp_path / "config"
    config.write_text(f"[profile work]\ncredential_process = {sys.executable} {script}\n")
    where = {
        "AWS_PROFILE": "work",
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }
    async with (
        bedrock_server(whole(payload("text"))) as server,
        any_client(server.url, **where) as client,
    ):
        await asyncio.gather(*(client.chat_completion(ask()) for _ in range(5)))
    for request in server.requests:
        judge_signature(request, token=None)
    assert (len(server.requests), runs.read_text()) == (5, "x")


@pytest.mark.parametrize(
    ("profile", "line"),
    [
        ("absent", ""),
        ("broken", f"credential_process = {sys.executable} -c 'import sys; sys.exit({SECRET!r})'"),
    ],
)
async def test_credentials_that_cannot_be_read(tmp_path: Path, profile: str, line: str) -> None:
    """Nothing is sent, the error says what to set, and what a process printed stays unsaid."""
    config = tmp_path / "config"
    config.write_text(f"[profile broken]\n{line}\n")
    where = {"AWS_PROFILE": profile, "AWS_CONFIG_FILE": str(config)}
    async with (
        bedrock_server(whole(payload("text"))) as server,
        any_client(server.url, **where) as client,
    ):
        with pytest.raises(ProviderUnavailableError, match="AWS_PROFILE") as caught:
            await client.chat_completion(ask())
    assert not server.requests
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__


async def test_credentials_that_come_too_late(tmp_path: Path) -> None:
    """The deadline of a call holds for its credentials, streamed or not."""
    config = tmp_path / "config"
    script = "import time; time.sleep(1)"
    config.write_text(f'[default]\ncredential_process = {sys.executable} -c "{script}"\n')
    where = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(config)}
    async with (
        bedrock_server(whole(payload("text"))) as server,
        any_client(server.url, **where) as client,
    ):
        with pytest.raises(ProviderTimeoutError):
            await client.chat_completion(ask(timeout_s=0.05))
        with pytest.raises(ProviderTimeoutError, match="credentials"):
            await collect(client, ask(timeout_s=0.05))
    assert not server.requests


ERRORS = [
    (400, "ValidationException", "stopSequences: bad", InvalidRequestError, 1),
    (400, "ValidationException", "Input is too long for requested model.", ContextLengthError, 1),
    (
        400,
        "ValidationException",
        "The provided model identifier is invalid.",
        ModelNotAvailableError,
        1,
    ),
    (
        400,
        "ValidationException",
        "Invocation of model ID x with on-demand throughput isn't supported.",
        ModelNotAvailableError,
        1,
    ),
    (400, "ServiceQuotaExceededException", "no", QuotaExhaustedError, 1),
    (403, "AccessDeniedException", "no", PermissionDeniedError, 1),
    (403, "UnrecognizedClientException", "no", AuthenticationError, 1),
    (403, "ExpiredTokenException", "no", AuthenticationError, 1),
    (403, "InvalidSignatureException", "no", AuthenticationError, 1),
    (404, "ResourceNotFoundException", "no", ModelNotAvailableError, 1),
    (408, "ModelTimeoutException", "no", ProviderTimeoutError, 3),
    (424, "ModelErrorException", "no", ServerError, 3),
    (429, "ThrottlingException", "Too many requests", RateLimitError, 3),
    (429, "ModelNotReadyException", "no", OverloadedError, 3),
    (500, "InternalServerException", "no", ServerError, 3),
    (503, "ServiceUnavailableException", "no", OverloadedError, 3),
]
ERROR_HEADER = "x-amzn-ErrorType"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "code", "message", "kind", "attempts"), ERRORS)
async def test_every_error_is_mapped(  # noqa: PLR0917  # a row of the table
    status: int,
    code: str,
    message: str,
    kind: type[APIClientError],
    attempts: int,
    stream: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Each error of the API is one of ours, with its ids, and repeated only where it may pass."""
    named: dict[str, Any] = {
        ERROR_HEADER: f"{code}:http://internal.amazon.com/coral/",
        "x-amzn-RequestId": "r-9",
    }
    error, requests = await failure(answer({"message": message}, status, **named), stream=stream)
    assert type(error) is kind
    assert (requests, error.status, error.provider_code) == (attempts, status, code)
    assert (error.request_id, error.model, error.attempt) == ("r-9", CLAUDE, attempts)
    assert error.message == message


@pytest.mark.parametrize(("status", "code", "message", "kind", "attempts"), ERRORS[9:11])
async def test_the_vendors_client_reads_the_same_errors(
    status: int, code: str, message: str, kind: type[APIClientError], attempts: int
) -> None:
    """The server's errors are real ones: the vendor's client finds class, status and id in them."""
    named: dict[str, Any] = {
        ERROR_HEADER: f"{code}:http://internal.amazon.com/coral/",
        "x-amzn-RequestId": "r-9",
    }
    async with bedrock_server(answer({"message": message}, status, **named)) as server:
        call: dict[str, Any] = {"modelId": OLD, "messages": []}
        with pytest.raises(ClientError) as caught:
            await vendors(server.url, lambda vendor: vendor.converse(**call))
    said: Any = caught.value.response
    assert said["Error"] == {"Message": message, "Code": code}
    assert (said["ResponseMetadata"]["HTTPStatusCode"], said["ResponseMetadata"]["RequestId"]) == (
        status,
        "r-9",
    )
    assert kind.retryable is (attempts > 1)


@pytest.mark.parametrize(
    "body",
    [
        {"__type": "com.amazon.coral#ThrottlingException"},
        {"code": "ThrottlingException", "Message": "slow"},
    ],
)
async def test_an_error_that_is_named_in_its_body(body: dict[str, str]) -> None:
    """Without the header the class in the body counts, and a wait in milliseconds is kept."""
    error, requests = await failure(answer(body, 429, x_amz_retry_after="45000"))
    assert (type(error), error.provider_code) == (RateLimitError, "ThrottlingException")
    assert (error.retry_after_s, requests) == (45.0, 1)


async def test_an_answer_without_a_body() -> None:
    """A refusal that says nothing at all is still one of ours, by its status."""
    error, _ = await failure(answer(None, 503))
    assert (type(error), error.status, error.provider_code) == (OverloadedError, 503, None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"output": {"message": {"content": "Hi"}}, "stopReason": "end_turn"},
        {"output": {"message": {"content": []}}},
        {"output": {"message": {"content": [{"toolUse": {"name": "x"}}]}}, "stopReason": "x"},
        [],
    ],
)
async def test_an_answer_in_another_format(body: object) -> None:
    """What is no answer of Converse is said to be unreadable, once."""
    error, requests = await failure(answer(body))
    assert (type(error), requests) == (InvalidResponseError, 1)


FINISHES = [
    ("end_turn", FinishReason.STOP),
    ("tool_use", FinishReason.TOOL_CALLS),
    ("max_tokens", FinishReason.LENGTH),
    ("stop_sequence", FinishReason.STOP),
    ("guardrail_intervened", FinishReason.CONTENT_FILTER),
    ("content_filtered", FinishReason.CONTENT_FILTER),
    ("malformed_model_output", FinishReason.ERROR),
    ("malformed_tool_use", FinishReason.ERROR),
    ("model_context_window_exceeded", FinishReason.CONTEXT_EXCEEDED),
    ("something_new", FinishReason.UNKNOWN),
]


@pytest.mark.parametrize(("raw", "finish"), FINISHES)
async def test_finish_reasons(raw: str, finish: FinishReason) -> None:
    """Each reason has its neutral meaning beside the raw word; a new one is unknown."""
    response = await answered(whole(payload("text") | {"stopReason": raw}))
    assert (response.finish_reason, response.raw_finish_reason) == (finish, raw)


async def test_models_are_listed() -> None:
    """Models that are called by their id come first, then profiles from all pages, each signed."""
    models = [
        {"modelId": "amazon.nova-lite-v1:0", "inferenceTypesSupported": ["ON_DEMAND"]},
        {"modelId": "anthropic.claude-opus-5-5", "inferenceTypesSupported": ["PROVISIONED"]},
    ]
    own = {"inferenceProfileId": "abc", "inferenceProfileArn": ARN, "type": "APPLICATION"}
    theirs = {
        "inferenceProfileId": CLAUDE,
        "inferenceProfileArn": "arn:x",
        "type": "SYSTEM_DEFINED",
    }
    async with (
        bedrock_server(
            answer({"modelSummaries": models}),
            answer({"inferenceProfileSummaries": [theirs], "nextToken": "page-2"}),
            answer({"inferenceProfileSummaries": [own]}),
        ) as server,
        signing_client(server.url) as client,
    ):
        found = await client.list_models()
    assert [model.name for model in found] == ["amazon.nova-lite-v1:0", CLAUDE, ARN]
    assert [request.path for request in server.requests] == [
        "/foundation-models?byOutputModality=TEXT",
        "/inference-profiles?maxResults=1000",
        "/inference-profiles?maxResults=1000&nextToken=page-2",
    ]
    for request in server.requests:
        judge_signature(request)


async def test_models_that_may_not_be_listed() -> None:
    """Who may call models but not list them sees none, while wrong credentials are an error."""
    denied = answer({"message": "no", "__type": "AccessDeniedException"}, 403)
    wrong = answer({"message": "no", "__type": "UnrecognizedClientException"}, 403)
    async with bedrock_server(denied, wrong) as server, our_client(server.url) as client:
        assert await client.list_models() == ()
        with pytest.raises(AuthenticationError):
            await client.list_models()


async def test_secrets_are_sent_and_never_shown() -> None:
    """What AWS quotes of a signed request is not repeated, and no repr or error holds a secret."""
    quoted = f"The Canonical String should have been 'POST {'x' * 440} x-amz-security-token:{TOKEN}"
    echo = {"message": f"{SECRET} {quoted}"}
    named: dict[str, Any] = {ERROR_HEADER: "InvalidSignatureException", "x-amzn-RequestId": TOKEN}
    async with (
        bedrock_server(answer(echo, 403, **named)) as server,
        signing_client(server.url) as client,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await client.chat_completion(ask())
        shown = f"{caught.value!r} {caught.value} {vars(caught.value)} {vars(client)}"
    (request,) = server.requests
    assert request.headers["x-amz-security-token"] == TOKEN
    assert not any(secret in shown for secret in (SECRET, TOKEN[:8]))
    assert SECRET not in f"{request.headers} {request.path}"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "AWS_REGION"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, None),
        ({"AWS_REGION": "eu-west-1", "AWS_BEARER_TOKEN_BEDROCK": KEY}, None),
        ({"AWS_REGION": "evil.example/"}, "AWS_REGION"),
        ({"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_BEDROCK": "ftp://x"}, "AWS_ENDPOINT_URL_B"),
    ],
)
def test_missing_settings(environment: dict[str, str], named: str | None) -> None:
    """A region or an address that cannot be used is told in one sentence, without values."""
    missing = BedrockClient.missing_setting(Settings.load(environment=environment, dotenv=NOWHERE))
    assert (named is None) == (missing is None)
    assert named is None or named in f"{missing}"


async def test_a_missing_region_is_named() -> None:
    """Without a region nothing is sent, and the error says what to set."""
    async with (
        bedrock_server(whole(payload("text"))) as server,
        our_client(server.url, AWS_REGION="") as client,
    ):
        with pytest.raises(ProviderUnavailableError, match="AWS_REGION"):
            await client.chat_completion(ask())
    assert not server.requests


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "bedrock-runtime.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_where_a_region_is(region: str, host: str) -> None:
    """The address is the one that the vendor's own client takes for the region."""
    client: Any = BedrockClient(
        Settings.load(environment={"AWS_REGION": region}, dotenv=NOWHERE),
        transport=None,  # type: ignore[arg-type]  # nothing is sent
    )
    with closing(
        Session().create_client(
            "bedrock-runtime",
            region_name=region,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
        )
    ) as theirs:
        endpoint = theirs.meta.endpoint_url
    assert client._base_url() == endpoint == f"https://{host}"


_WITHOUT_BOTOCORE = """
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import lattice_lock.providers.bedrock as bedrock
from lattice_lock.settings import Settings

assert "botocore" not in sys.modules

class Hiding:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name == "botocore" else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
for key in ({}, {"AWS_BEARER_TOKEN_BEDROCK": "k"}):
    settings = Settings.load(environment={"AWS_REGION": "eu-west-1"} | key, dotenv=Path("/none"))
    print(bedrock.BedrockClient.missing_setting(settings))
"""


def test_without_botocore() -> None:
    """Importing the provider imports no botocore; without it only a key can be used."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_BOTOCORE], capture_output=True, text=True, check=True
    )
    missing, none = done.stdout.splitlines()
    assert "`lattice-lock[bedrock]`" in missing
    assert none == "None"
