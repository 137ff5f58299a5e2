"""`lattice-lock ask` with every provider, as a real process against servers that judge requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

import anthropic_wire
import bedrock_wire
import google_wire
import openai_wire
from command_process import run
from every_provider import CASES, KEY, TEXT
from lattice_lock.providers.discovery import provider_names
from wire_server import serving

if TYPE_CHECKING:
    from pathlib import Path

    from every_provider import Case
    from wire_server import Received

NAMES = provider_names()  # looked up here, because importing blocks an event loop


def judge(case: Case, request: Received, *, stream: bool) -> None:
    """Hold a request against the vendor's own types."""
    match case.provider:
        case "anthropic":
            body = anthropic_wire._bodies(stream=stream).validate_json(request.body)
            assert body
        case "google":
            google_wire._bodies().validate_json(request.body, by_alias=True, by_name=False)
        case "bedrock":
            operation = "ConverseStream" if stream else "Converse"
            name = request.path.split("/")[2]
            shape = bedrock_wire._operation(operation).input_shape
            bedrock_wire.check(shape, request.json | {"modelId": name})
        case "mistral":  # whose own field for the seed and the like no type of OpenAI knows
            assert request.json["messages"]
        case _ if b'"max_tokens"' in request.body or case.provider in {"local", "dial"}:
            assert request.json["messages"]
        case _:
            openai_wire.judge(request)
    assert KEY in str(request.headers) or "AWS4-HMAC-SHA256" in request.headers["authorization"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CASES)
async def test_every_provider_can_be_asked(name: str, tmp_path: Path, *, stream: bool) -> None:
    """The prompt goes out in a request that the vendor would take, and its answer comes back."""
    case = CASES[name]
    how = ("--stream",) if stream else ()
    async with serving(case.streamed if stream else case.whole) as server:
        origin = re.sub(r"(://[^/]+).*", r"\1", server.url)
        outcome = await run(
            tmp_path,
            *("ask", "Greet me.", "--model", f"{case.provider}/{case.model}", *how),
            **case.environment(origin, KEY),
        )
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{TEXT}\n"
    (request,) = server.requests
    assert b"Greet me." in request.body
    judge(case, request, stream=stream)


async def test_doctor_lists_every_provider(tmp_path: Path) -> None:
    """Each provider is there, usable or with the reason why not and what to do."""
    outcome = await run(tmp_path, "doctor", "--format", "json")
    checks = {
        check["name"].removeprefix("provider "): check
        for check in json.loads(outcome.out)["checks"]
        if check["name"].startswith("provider ")
    }
    assert set(checks) == set(NAMES)
    for name, check in checks.items():
        assert check["state"] == "ok" or (check["detail"] and check["hint"]), name


@pytest.mark.embedded
@pytest.mark.parametrize("how", [(), ("--stream",)], ids=["whole", "streamed"])
async def test_the_embedded_model_can_be_asked(
    how: tuple[str, ...], embedded_data_dir: Path, tmp_path: Path
) -> None:
    """The model that needs no server answers on the command line, whole and streamed."""
    outcome = await run(
        tmp_path,
        *("ask", "Say hello.", "--model", "embedded/smollm2-135m-instruct"),
        *("--max-tokens", "8", *how),
        LATTICE_LOCK_DATA_DIR=str(embedded_data_dir),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.strip()
