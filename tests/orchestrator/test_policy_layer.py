"""What policies do to calls through the front door, over real servers."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from lattice_lock.bootstrap import open_clients, open_orchestrator
from lattice_lock.core.policies import load_policy_file
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    AnswerRefusedError,
    PolicyViolationError,
)
from lattice_lock.messages import (
    ChatRequest,
    EmbeddingRequest,
    FilePart,
    Message,
    ModelId,
    ReasoningDelta,
    StreamEnd,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    ToolDefinition,
    ToolResult,
)
from lattice_lock.orchestrator.completing import AUTO
from lattice_lock.policies.base import Action, Context, Policy, Scan, Subject, Window
from lattice_lock.policies.policy_set import Enforced, PolicySet
from lattice_lock.settings import Settings
from wire_server import NOWHERE, answer, delta, events, serving, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from lattice_lock.messages import ChatResponse, StreamEvent
    from lattice_lock.orchestrator.orchestrator import ModelOrchestrator
    from wire_server import ScriptedServer, Step

QWEN = ModelId(provider="local", name="qwen3-coder:30b")
LISTED = answer({"object": "list", "data": [{"id": "qwen3-coder:30b"}, {"id": "llama3.2:3b"}]})
END = (delta(finish="stop"), "data: [DONE]\n\n")
TOOL = ToolDefinition(name="look_up", parameters={"type": "object"})


@asynccontextmanager
async def front_door(
    folder: Path, policies: str | PolicySet, *steps: Step
) -> AsyncIterator[tuple[ModelOrchestrator, ScriptedServer]]:
    """An orchestrator that holds calls to `policies`, before a server that follows `steps`."""
    if isinstance(policies, str):
        policies = await asyncio.to_thread(declared, folder, policies)
    async with serving(*steps) as server:
        environment = {"LATTICE_LOCK_DATA_DIR": str(folder), "LATTICE_LOCK_LOCAL_URL": server.url}
        settings = Settings.load(environment=environment, dotenv=NOWHERE)
        async with open_orchestrator(settings, policies=policies) as orchestrator:
            yield orchestrator, server


def declared(folder: Path, policies: str) -> PolicySet:
    """The policies of a file."""
    path = folder / "policies.yaml"
    path.write_text(f"policies:\n{policies}")
    return load_policy_file(path)


def banned(*, on: str, action: str, terms: str = "[Nightingale]", more: str = "") -> str:
    """A declaration that objects to a code name."""
    return f"  - {{use: banned-terms, on: [{on}], action: {action}, terms: {terms}{more}}}\n"


def ask(*messages: Message, **changes: Any) -> ChatRequest:
    """A request to the named model."""
    fields: dict[str, Any] = {"model": QWEN, "messages": messages or (Message.user("Hello?"),)}
    return ChatRequest(**(fields | changes))


async def streamed(
    orchestrator: ModelOrchestrator, request: ChatRequest
) -> tuple[list[StreamEvent], ChatResponse]:
    """Every event but the last, and the whole answer."""
    async with aclosing(orchestrator.stream(request)) as stream:
        found = [event async for event in stream]
    assert isinstance(found[-1], StreamEnd)
    return found[:-1], found[-1].response


async def collect(stream: AsyncGenerator[StreamEvent, None], into: list[StreamEvent]) -> None:
    """Keep every event, also where the stream ends with an error."""
    async with aclosing(stream) as events_of:
        async for event in events_of:
            into.append(event)  # noqa: PERF401  # what came before an error counts


async def test_a_prompt_that_is_refused_is_never_sent(tmp_path: Path) -> None:
    """Wherever in a request the term stands, the error names policy and rule, not what it found."""
    places = [
        (Message.system("Nightingale"), Message.user("Hi")),
        (Message.user("About NIGHTINGALE."),),
        (
            Message.user("x"),
            Message(
                role=Message.assistant("").role,
                content=(
                    ToolCall(id="1", name="look_up", raw_arguments='{"a": ["night\\u0069ngale"]}'),
                ),
            ),
        ),
        (Message.tool(ToolResult(call_id="1", name="t", content=(TextPart(text="nightingale"),))),),
        (
            Message(
                role=Message.user("").role,
                content=(FilePart(name="a.txt", data=b"On nightingale", media_type="text/plain"),),
            ),
        ),
    ]
    policies = banned(on="prompt", action="deny")
    async with front_door(tmp_path, policies) as (orchestrator, server):
        for messages in places:
            with pytest.raises(PolicyViolationError, match="banned-terms") as caught:
                await orchestrator.complete(ask(*messages))
            assert (caught.value.policy, caught.value.rule) == ("banned-terms", "term")
            assert "ightingale" not in str(caught.value)
            with pytest.raises(PolicyViolationError):
                await streamed(orchestrator, ask(*messages))
        described = ToolDefinition(name="t", description="Nightingale", parameters={})
        with pytest.raises(PolicyViolationError):
            await orchestrator.complete(ask(tools=(described,)))
    assert server.requests == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("restore", [False, True], ids=["kept out", "restored"])
async def test_what_is_taken_out_of_a_prompt_comes_back_where_asked(
    tmp_path: Path, *, stream: bool, restore: bool
) -> None:
    """The model sees placeholders, numbered by value; the caller sees values if told so."""
    policies = banned(
        on="prompt",
        action="redact",
        terms="[Nightingale, Lark]",
        more=", restore: true" if restore else "",
    )
    said = "[TERM_2] and [TERM_1], not [TERM_7]."
    step = events(*(delta(one) for one in said), *END) if stream else answer(whole(said))
    async with front_door(tmp_path, policies, step) as (orchestrator, server):
        request = ask(Message.user("nightingale, lark, nightingale and [TERM_3]"))
        if stream:
            pieces, response = await streamed(orchestrator, request)
            text = "".join(one.text for one in pieces if isinstance(one, TextDelta))
        else:
            response = await orchestrator.complete(request)
            text = response.text
    sent = server.requests[0].json["messages"][0]["content"]
    assert sent == "[TERM_1], [TERM_2], [TERM_1] and [TERM_3]"
    expected = "lark and nightingale, not [TERM_7]." if restore else said
    assert (text, response.text) == (expected, expected)


async def test_an_answer_that_is_refused_does_not_pass(tmp_path: Path) -> None:
    """A whole answer is an error; of a streamed one what stands before the finding has passed."""
    policies = banned(on="response", action="deny")
    text = "The name is Nightingale, of course."
    steps = (answer(whole(text)), events(*(delta(one) for one in text), *END))
    async with front_door(tmp_path, policies, *steps) as (orchestrator, _server):
        with pytest.raises(PolicyViolationError, match="character 12"):
            await orchestrator.complete(ask())
        passed: list[StreamEvent] = []
        with pytest.raises(PolicyViolationError, match="character 12"):
            await collect(orchestrator.stream(ask()), passed)
    assert "".join(one.text for one in passed if isinstance(one, TextDelta)) == "The name is "


async def test_an_answer_is_redacted_alike_whole_and_streamed(tmp_path: Path) -> None:
    """Text, reasoning and arguments of tools reach the caller with placeholders in both ways."""
    policies = banned(on="response", action="redact")
    arguments = '{"q": "of nightin\\u0067ale", "n": 1}'
    call = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": arguments}}
    message = {
        "role": "assistant",
        "content": "It is Nightingale!",
        "reasoning_content": "Think of Nightingale",
        "tool_calls": [call],
    }
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    pieces = [
        delta(reasoning_content="Think of Night"),
        delta(reasoning_content="ingale"),
        delta("It is Night"),
        delta("ingale!"),
        delta(tool_calls=[{"index": 0, **call, "function": {"name": "look_up", "arguments": ""}}]),
        *(delta(tool_calls=[{"index": 0, "function": {"arguments": one}}]) for one in arguments),
        delta(finish="tool_calls"),
        "data: [DONE]\n\n",
    ]
    steps = (answer(whole() | {"choices": [choice]}), events(*pieces))
    async with front_door(tmp_path, policies, *steps) as (orchestrator, _server):
        once = await orchestrator.complete(ask(tools=(TOOL,)))
        deltas, ended = await streamed(orchestrator, ask(tools=(TOOL,)))
    assert once.text == ended.text == "It is [TERM_1]!"
    assert once.message == ended.message
    (made,) = once.tool_calls
    assert json.loads(made.raw_arguments) == {"q": "of [TERM_2]", "n": 1}
    shown = {
        kind: "".join(getattr(one, "text", "") for one in deltas if isinstance(one, kind))
        for kind in (TextDelta, ReasoningDelta)
    }
    assert shown == {TextDelta: "It is [TERM_1]!", ReasoningDelta: "Think of [TERM_1]"}
    (last,) = [one for one in deltas if isinstance(one, ToolCallDelta)]
    assert (last.id, last.name, last.arguments) == (made.id, made.name, made.raw_arguments)
    everything = repr((once, deltas, ended)).lower()
    assert "nightin" not in everything


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_model_is_asked_again_with_what_was_wrong(
    tmp_path: Path, *, stream: bool
) -> None:
    """`retry` sends the answer and the reason back, at most twice; then the answer is refused."""
    policies = banned(on="response", action="retry")
    bad, good = "Nightingale it is.", "I cannot say."

    def step(text: str) -> Step:
        return events(delta(text), *END) if stream else answer(whole(text))

    steps = (step(bad), step(good), *(step(bad) for _ in range(3)))
    async with front_door(tmp_path, policies, *steps) as (orchestrator, server):
        if stream:
            deltas, response = await streamed(orchestrator, ask())
            assert deltas == [TextDelta(text=good)]
        else:
            response = await orchestrator.complete(ask())
        assert response.text == good
        roles = [one["role"] for one in server.requests[1].json["messages"]]
        assert roles == ["user", "assistant", "user"]
        assert "term that is banned" in server.requests[1].json["messages"][2]["content"]
        with pytest.raises(PolicyViolationError):
            await (streamed(orchestrator, ask()) if stream else orchestrator.complete(ask()))
    assert len(server.requests) == 5


async def test_another_model_is_asked_where_one_answers_wrongly(tmp_path: Path) -> None:
    """`another-model` goes on to the next candidate, and says so when none is left."""
    policies = banned(on="response", action="another-model")
    bad, good = answer(whole("Nightingale")), answer(whole("Nothing"))
    steps = (LISTED, bad, good, bad, bad, bad)
    async with front_door(tmp_path, policies, *steps) as (orchestrator, server):
        response = await orchestrator.complete(ask(model=AUTO))
        assert response.text == "Nothing"
        asked = [one.json["model"] for one in server.requests[1:]]
        assert len(set(asked)) == 2
        with pytest.raises(AllProvidersFailedError) as caught:
            await orchestrator.complete(ask(model=AUTO))
        assert [type(one) for one in caught.value.exceptions] == [AnswerRefusedError] * 2
        with pytest.raises(PolicyViolationError):
            await orchestrator.complete(ask())


async def test_a_flag_changes_nothing_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A flagged answer passes as it is; the log has policy and rule, and not the text."""
    text = "Say Nightingale."
    steps = (answer(whole(text)), events(delta(text), *END))
    policies = banned(on="response", action="flag")
    async with front_door(tmp_path, policies, *steps) as (orchestrator, _server):
        assert (await orchestrator.complete(ask())).text == text
        assert (await streamed(orchestrator, ask()))[1].text == text
    logged = [one.getMessage() for one in caplog.records if "policy.objected" in one.getMessage()]
    assert len(logged) == 2
    assert all("rule=term" in one and "action=flag" in one for one in logged)
    assert "ightingale" not in caplog.text


async def test_only_models_that_are_allowed_are_chosen_or_asked(tmp_path: Path) -> None:
    """`model-allow` takes models out of the choice, and refuses one that is named."""
    policies = "  - {use: model-allow, deny: ['local/qwen*']}\n"
    async with front_door(tmp_path, policies, LISTED, answer(whole())) as (orchestrator, server):
        response = await orchestrator.complete(ask(model=AUTO))
        assert response.model.name == "llama3.2:3b"
        with pytest.raises(PolicyViolationError, match="is denied"):
            await orchestrator.complete(ask())
        assert len(server.requests) == 2
    policies = "  - {use: model-allow, providers: [anthropic]}\n"
    async with front_door(tmp_path, policies, LISTED) as (orchestrator, server):
        with pytest.raises(PolicyViolationError, match="provider `local` is not allowed"):
            await orchestrator.complete(ask(model=AUTO))


class Broken(Policy, frozen=True, kw_only=True):
    """A policy with a defect."""

    name = "broken"

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        """Never comes to a result."""
        raise ZeroDivisionError(window.text, context)


@pytest.mark.parametrize("subject", [Subject.PROMPT, Subject.RESPONSE])
async def test_a_policy_that_breaks_down_lets_nothing_pass(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, subject: Subject
) -> None:
    """Even a policy that only flags refuses what it could not judge; the log has the event."""
    policies = PolicySet((Enforced(policy=Broken(), subjects=(subject,), action=Action.FLAG),))
    steps = (answer(whole("secret words")), events(delta("secret words"), *END))
    async with front_door(tmp_path, policies, *steps) as (orchestrator, _server):
        with pytest.raises(PolicyViolationError, match="ZeroDivisionError") as caught:
            await orchestrator.complete(ask(Message.user("secret words")))
        assert caught.value.rule == "policy-error"
        with pytest.raises(PolicyViolationError):
            await streamed(orchestrator, ask(Message.user("secret words")))
    assert "policy.failed policy=broken" in caplog.text
    assert "secret" not in caplog.text


async def test_clients_without_an_orchestrator_keep_to_policies_too(tmp_path: Path) -> None:
    """`open_clients` puts the same layer around its clients, embeddings included."""
    text = banned(on="prompt", action="redact")
    policies = await asyncio.to_thread(declared, tmp_path, text)
    vectors = {"object": "list", "data": [{"index": 0, "embedding": [0.5, 1.0]}], "model": "m"}
    async with serving(answer(whole()), answer(vectors)) as server:
        environment = {"LATTICE_LOCK_DATA_DIR": str(tmp_path), "LATTICE_LOCK_LOCAL_URL": server.url}
        settings = Settings.load(environment=environment, dotenv=NOWHERE)
        async with open_clients(settings, ["local"], policies=policies) as clients:
            await clients["local"].chat_completion(ask(Message.user("Nightingale?")))
            request = EmbeddingRequest(model=QWEN, inputs=("a Nightingale",))
            await clients["local"].embed(request)
    assert server.requests[0].json["messages"][0]["content"] == "[TERM_1]?"
    assert server.requests[1].json["input"] == ["a [TERM_1]"]
