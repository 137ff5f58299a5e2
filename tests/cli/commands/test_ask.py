"""`lattice-lock ask`, as a real process against a real server."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from command_process import finished, run, started
from wire_server import answer, delta, events, serving, whole

if TYPE_CHECKING:
    from pathlib import Path

    from wire_server import Wire

_LISTED = {"object": "list", "data": [{"id": "first"}, {"id": "second"}]}
_DONE = "data: [DONE]\n\n"
_MODEL = ("--model", "local/qwen")


async def test_answer_goes_to_standard_output_alone(tmp_path: Path) -> None:
    """The model named gets the prompt, and nothing but its answer is on standard output."""
    async with serving(answer(whole("Paris"))) as server:
        outcome = await run(
            tmp_path,
            *("ask", "Capital of France?", *_MODEL, "--max-tokens", "7"),
            LATTICE_LOCK_LOCAL_URL=server.url,
        )
    assert (outcome.code, outcome.out) == (0, "Paris\n")
    assert outcome.err == "Asking local/qwen ...\n"
    (request,) = server.requests
    assert (request.json["model"], request.json["max_tokens"]) == ("qwen", 7)
    assert request.json["messages"] == [{"role": "user", "content": "Capital of France?"}]


async def test_json_carries_the_whole_answer(tmp_path: Path) -> None:
    """JSON holds model, text, tokens and cost."""
    async with serving(answer(whole("Paris"))) as server:
        outcome = await run(
            tmp_path, "ask", "?", *_MODEL, "--format", "json", LATTICE_LOCK_LOCAL_URL=server.url
        )
    response = outcome.json
    assert response["model"] == {"provider": "local", "name": "qwen"}
    assert response["message"]["content"][0]["text"] == "Paris"
    assert (response["usage"]["output_tokens"], response["cost_usd"]) == (2, "0")


async def test_stream_is_printed_as_it_comes(tmp_path: Path) -> None:
    """Text deltas follow each other, without what could drive the terminal."""
    async with serving(events(delta("Pa"), delta("ris\x1b[2J"), delta(finish="stop"), _DONE)) as s:
        outcome = await run(tmp_path, "ask", "?", *_MODEL, "--stream", LATTICE_LOCK_LOCAL_URL=s.url)
    assert (outcome.code, outcome.out, outcome.err) == (0, "Paris\\x1b[2J\n", "")


async def test_stream_as_json_is_one_event_a_line(tmp_path: Path) -> None:
    """Each event is one line of JSON, the last with the whole answer."""
    async with serving(events(delta("Pa"), delta("ris"), delta(finish="stop"), _DONE)) as server:
        outcome = await run(
            tmp_path,
            *("ask", "?", *_MODEL, "--stream", "--format=json"),
            LATTICE_LOCK_LOCAL_URL=server.url,
        )
    *deltas, end = [json.loads(line) for line in outcome.out.splitlines()]
    assert [event["text"] for event in deltas] == ["Pa", "ris"]
    assert end["type"] == "stream_end"
    assert end["response"]["message"]["content"][0]["text"] == "Paris"


async def test_model_is_found_where_none_is_named(tmp_path: Path) -> None:
    """Without `--model` the model that suits the prompt is asked, and named beside the answer."""
    async with serving(answer(_LISTED), answer(whole())) as server:
        outcome = await run(tmp_path, "ask", "?", LATTICE_LOCK_LOCAL_URL=server.url)
    assert (outcome.code, outcome.out) == (0, "Hi\n")
    chosen = server.requests[1].json["model"]
    assert chosen in {"first", "second"}
    assert outcome.err == f"Asking a model ...\nlocal/{chosen} was chosen.\n"


async def test_the_choice_can_be_steered(tmp_path: Path) -> None:
    """Strategy and task go into the choice, also of a stream; with a model they are refused."""
    steered = ("--strategy", "local-first", "--task", "maths")
    stream = events(delta("Hi"), delta(finish="stop"), _DONE)
    async with serving(answer(_LISTED), stream) as server:
        outcome = await run(
            tmp_path, "ask", "?", *steered, "--stream", LATTICE_LOCK_LOCAL_URL=server.url
        )
    assert (outcome.code, outcome.out) == (0, "Hi\n")
    outcome = await run(tmp_path, "ask", "?", *_MODEL, *steered)
    assert (outcome.code, "`--model` names one" in outcome.err) == (2, True)


async def test_a_call_above_the_most_it_may_cost_is_not_made(tmp_path: Path) -> None:
    """`--max-cost` stops a call that might cost more, before anything is sent."""
    async with serving(answer(whole())) as server:
        outcome = await run(
            tmp_path,
            *("ask", "?", "--model", "groq/llama-3.3-70b-versatile", "--max-cost", "0.000001"),
            GROQ_BASE_URL=server.url,
            GROQ_API_KEY="k",
        )
        assert server.requests == []
    assert (outcome.code, "error[LL-541]" in outcome.err) == (1, True)
    outcome = await run(tmp_path, "ask", "?", *_MODEL, "--max-cost", "much")
    assert (outcome.code, "'much' is not an amount of money" in outcome.err) == (2, True)


async def test_an_empty_prompt_is_refused(tmp_path: Path) -> None:
    """Nothing is asked where nothing is said."""
    outcome = await run(tmp_path, "ask", "", *_MODEL)
    assert (outcome.code, "The prompt is empty" in outcome.err) == (2, True)


async def test_no_model_at_all_says_how_to_get_one(tmp_path: Path) -> None:
    """Where nothing can be asked the error names the command that changes that."""
    outcome = await run(tmp_path, "ask", "?")
    assert (outcome.code, outcome.out) == (2, "")
    assert "error[LL-801]: No model can be asked" in outcome.err
    assert "lattice-lock models pull embedded" in outcome.err


async def test_interrupt_ends_the_model_too(tmp_path: Path) -> None:
    """Ctrl-C in the middle of an answer ends with 130, and the server is hung up on."""

    async def one_delta_then_silence(wire: Wire) -> None:
        await wire.head(kind="text/event-stream")
        await wire.send(delta("Par"))
        await wire.until_hung_up()

    async with (
        serving(one_delta_then_silence) as server,
        started(
            tmp_path, "ask", "?", *_MODEL, "--stream", LATTICE_LOCK_LOCAL_URL=server.url
        ) as process,
    ):
        assert process.stdout is not None
        assert await process.stdout.readexactly(3) == b"Par"
        process.send_signal(signal.SIGINT)
        outcome = await finished(process)
        await server.hung_up.wait()
    assert (outcome.code, outcome.out, outcome.err) == (130, "\n", "Interrupted.\n")


async def test_refused_key_is_not_shown(tmp_path: Path) -> None:
    """A refused key is code 1 and LL-510, and the key is in neither stream."""
    canary = "canary" + "-0123456789"
    body = {"error": {"message": f"Incorrect API key provided: {canary}", "code": "invalid"}}
    async with serving(answer(body, 401)) as server:
        outcome = await run(
            tmp_path,
            *("ask", "?", *_MODEL),
            LATTICE_LOCK_LOCAL_URL=server.url,
            LATTICE_LOCK_LOCAL_API_KEY=canary,
            LATTICE_LOCK_DEBUG="1",
        )
    assert server.requests[0].headers["authorization"] == f"Bearer {canary}"
    assert (outcome.code, "[LL-510]" in outcome.err) == (1, True)
    assert canary not in outcome.out + outcome.err


async def test_broken_stream_keeps_what_came(tmp_path: Path) -> None:
    """A stream that breaks off leaves its first part, an error on a line of its own and code 1."""
    async with serving(events(delta("Par"))) as server:
        outcome = await run(
            tmp_path, "ask", "?", *_MODEL, "--stream", LATTICE_LOCK_LOCAL_URL=server.url
        )
    assert (outcome.code, outcome.out) == (1, "Par\n")
    assert outcome.err.startswith("error[LL-503]")


@pytest.mark.parametrize(("reason", "code"), [("length", 0), ("content_filter", 1)])
async def test_unusual_end_is_said(reason: str, code: int, tmp_path: Path) -> None:
    """An answer that was cut off is said to be, and one that was withheld is code 1."""
    body = whole("Par")
    body["choices"][0]["finish_reason"] = reason
    async with serving(answer(body)) as server:
        outcome = await run(tmp_path, "ask", "?", *_MODEL, LATTICE_LOCK_LOCAL_URL=server.url)
    assert (outcome.code, outcome.out) == (code, "Par\n")
    assert outcome.err.endswith(f"The model stopped for this reason: {reason}.\n")


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("qwen", 1, "No model `qwen` is known"),
        ("claude-3.5-opus", 1, "`anthropic/claude-opus-5-5`"),
        ("nope/qwen", 1, "There is no provider `nope`"),
        ("local/qwen", 1, "[LL-501]"),
    ],
)
async def test_wrong_model_is_named(model: str, code: int, message: str, tmp_path: Path) -> None:
    """A model without provider, an unknown provider, a server that is not there: each is told."""
    outcome = await run(tmp_path, "ask", "?", "--model", model)
    assert (outcome.code, outcome.out, message in outcome.err) == (code, "", True)
