"""The front door to every model, over real servers."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.bootstrap import open_orchestrator
from lattice_lock.exceptions import (
    AllProvidersFailedError,
    BudgetExceededError,
    ConfigurationError,
    InvalidRequestError,
    ModelNotAvailableError,
    NoCandidateError,
    ProviderUnavailableError,
    UsageError,
)
from lattice_lock.messages import ChatRequest, Message, ModelId, StreamEnd, TextDelta
from lattice_lock.orchestrator.budget import Budget
from lattice_lock.orchestrator.completing import AUTO, Strategy
from lattice_lock.orchestrator.quality import PRIOR
from lattice_lock.orchestrator.routing import Conditions, RejectionKind
from lattice_lock.orchestrator.tasks import TaskType
from lattice_lock.settings import Settings
from lattice_lock.storage.spending import Dimension, SpendingStore
from wire_server import NOWHERE, answer, delta, events, serving, whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lattice_lock.orchestrator.orchestrator import ModelOrchestrator
    from wire_server import ScriptedServer, Step

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "ask-models.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
LOCAL = ("qwen3-coder:30b", "llama3.2:3b")
GOOD = events(delta("Hi"), delta(finish="stop"), "data: [DONE]\n\n")
LISTED = answer({"object": "list", "data": [{"id": name} for name in LOCAL]})


def settings_of(folder: Path, url: str, **more: str) -> Settings:
    """Settings under which only the server at `url` can be asked, as `local`."""
    environment = {"LATTICE_LOCK_DATA_DIR": str(folder), "LATTICE_LOCK_LOCAL_URL": url}
    return Settings.load(environment=environment | more, dotenv=NOWHERE)


@asynccontextmanager
async def front_door(
    folder: Path, *steps: Step, listed: Step = LISTED, **options: Any
) -> AsyncIterator[tuple[ModelOrchestrator, ScriptedServer]]:
    """An orchestrator before a server that lists its models first and then follows `steps`."""
    async with serving(listed, *steps) as server:
        settings = settings_of(folder, server.url)
        async with open_orchestrator(settings, **options) as orchestrator:
            yield orchestrator, server


def ask(**changes: Any) -> ChatRequest:
    """A request that leaves the model open."""
    fields: dict[str, Any] = {"model": AUTO, "messages": (Message.user("Hello?"),)}
    return ChatRequest(**(fields | changes))


async def test_a_model_is_chosen_and_the_choice_explained(tmp_path: Path) -> None:
    """The best of the models that can run here answers; the ranking has a place for each."""
    async with front_door(tmp_path, answer(whole())) as (orchestrator, server):
        routed = await orchestrator.route_request("Write a Python function that adds two numbers.")
    assert routed.response.text == "Hi"
    assert routed.requirements is not None
    assert routed.requirements.task_type is TaskType.CODE_GENERATION
    assert routed.ranking is not None
    best, *others = routed.ranking.ranked
    assert str(best.model) == str(routed.response.model)
    assert {str(one.model) for one in (best, *others)} == {f"local/{name}" for name in LOCAL}
    assert server.requests[1].json["model"] == best.model.name
    assert routed.response.cost_usd == 0


async def test_what_is_said_about_the_choice_counts(tmp_path: Path) -> None:
    """Task, strategy and conditions of the caller go into the ranking that is given back."""
    async with front_door(tmp_path, answer(whole())) as (orchestrator, _server):
        routed = await orchestrator.route_request(
            [Message.system("Be brief."), Message.user("Hello?")],
            task_type=TaskType.MATHS,
            strategy=Strategy.COST,
            conditions=Conditions(denied=("local/qwen*",)),
            max_output_tokens=7,
        )
    assert routed.requirements is not None
    assert (routed.requirements.task_type, routed.requirements.confidence) == (TaskType.MATHS, 1.0)
    assert routed.ranking is not None
    assert routed.ranking.strategy is Strategy.COST
    (rejection,) = routed.ranking.rejected
    assert [reason.kind for reason in rejection.reasons] == [RejectionKind.DENIED]
    assert routed.response.model == ModelId(provider="local", name="llama3.2:3b")


async def test_a_model_that_is_named_is_asked_without_a_choice(tmp_path: Path) -> None:
    """Nothing is listed and nothing ranked where the caller names a model, known or not."""
    async with front_door(tmp_path, listed=answer(whole())) as (orchestrator, server):
        for model in ("local/qwen", ModelId(provider="local", name="qwen")):
            routed = await orchestrator.route_request("Hello?", model_id=model)
            assert (routed.ranking, routed.requirements) == (None, None)
            assert routed.response.text == "Hi"
        assert await orchestrator.complete(ask(model=ModelId.parse("local/qwen")))
    assert [request.json["model"] for request in server.requests] == ["qwen"] * 3


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("claude-3.5-opus", "`anthropic/claude-3.5-opus` was never released"),
        ("openai/o1", "is not served since 2026-10-23"),
        ("gpt-4o-mimi", "No model `gpt-4o-mimi` is known"),
    ],
)
async def test_a_model_that_is_not_served_is_refused(model: str, said: str, tmp_path: Path) -> None:
    """A name that nobody serves is an error that names what to ask instead; nothing is sent."""
    async with front_door(tmp_path) as (orchestrator, server):
        with pytest.raises(ModelNotAvailableError, match=said) as caught:
            await orchestrator.route_request("Hello?", model_id=model)
        assert "`" in (caught.value.hint or "")
        assert server.requests == []


async def test_an_alias_finds_its_model(tmp_path: Path) -> None:
    """The name without its provider, and an alias, stand for the model."""
    async with front_door(tmp_path) as (orchestrator, _server):
        found = await orchestrator.find_model("gpt-4o-mini")
        assert found == ModelId(provider="openai", name="gpt-4o-mini")
        assert await orchestrator.find_model(found) == found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_next_candidate_answers_unseen(tmp_path: Path, *, stream: bool) -> None:
    """Where the best candidate fails, the second answers; a stream falls back before its text."""
    refused = answer({"error": {"message": "no", "code": "model_not_found"}}, 404)
    async with front_door(tmp_path, refused, GOOD if stream else answer(whole())) as (door, server):
        if stream:
            async with aclosing(door.stream(ask())) as made:
                first, end = [event async for event in made]
            assert isinstance(first, TextDelta)
            assert isinstance(end, StreamEnd)
            response = end.response
        else:
            response = await door.complete(ask())
    asked = [request.json["model"] for request in server.requests[1:]]
    assert sorted(asked) == sorted(LOCAL)
    assert (response.text, response.model.name) == ("Hi", asked[1])


async def test_what_failed_of_late_is_asked_later(tmp_path: Path) -> None:
    """Of two models of which nothing else is known, the one that has just failed comes last."""
    twins = answer({"object": "list", "data": [{"id": "first"}, {"id": "second"}]})
    refused = answer({"error": {"message": "no", "code": "model_not_found"}}, 404)
    async with front_door(tmp_path, refused, answer(whole()), listed=twins) as (door, server):
        await door.complete(ask())
        await door.complete(ask())
    failed, answered, again = [request.json["model"] for request in server.requests[1:]]
    assert failed != answered == again


async def test_when_all_fail_every_cause_is_kept(tmp_path: Path) -> None:
    """One error holds what each candidate said."""
    async with front_door(tmp_path, answer({"error": {"message": "no"}}, 400)) as (door, _server):
        with pytest.raises(AllProvidersFailedError) as caught:
            await door.complete(ask())
    assert [type(error) for error in caught.value.exceptions] == [InvalidRequestError] * 2


async def test_nobody_to_ask_says_what_to_do(tmp_path: Path) -> None:
    """Without any model the error names the command that gets one; with some, their reasons."""
    async with open_orchestrator(settings_of(tmp_path, "http://127.0.0.1:9/v1")) as orchestrator:
        with pytest.raises(ConfigurationError, match="No model can be asked") as caught:
            await orchestrator.complete(ask())
    assert "models pull embedded" in (caught.value.hint or "")
    async with front_door(tmp_path) as (door, server):
        with pytest.raises(NoCandidateError, match="None of 2 models can and may answer") as error:
            await door.route_request("?", conditions=Conditions(allowed=("openai",)))
        assert "Only `openai` may be asked." in error.value.message
        assert len(server.requests) == 1


async def test_a_model_known_by_its_name_alone_is_placed_by_its_line(tmp_path: Path) -> None:
    """A tag of a local server that no data file names has the expectations of its line, free."""
    async with front_door(tmp_path) as (door, _server):
        _, ranking = await door.rank(ask())
    assert [one.quality_source for one in ranking.ranked] == [PRIOR] * 2
    assert [one.cost_usd for one in ranking.ranked] == [0] * 2


@pytest.mark.parametrize("prompt", ["", [], [Message(role="user", content=())]])  # type: ignore[arg-type]
async def test_an_empty_prompt_is_refused(prompt: Any, tmp_path: Path) -> None:
    """Nothing is asked where nothing is said."""
    async with front_door(tmp_path) as (door, server):
        with pytest.raises(UsageError, match="The prompt is empty"):
            await door.route_request(prompt)
        assert server.requests == []


async def test_an_unknown_provider_is_named(tmp_path: Path) -> None:
    """A provider that does not exist is refused with those that do."""
    async with front_door(tmp_path) as (door, _server):
        with pytest.raises(ProviderUnavailableError, match="There is no provider `nope`"):
            await door.route_request("Hello?", model_id="nope/qwen")


async def test_a_budget_stops_a_call_before_it_is_sent(tmp_path: Path) -> None:
    """What might cost more than is left is not sent; what was sent is settled to its price."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    async with serving(answer(whole(usage=usage))) as server:
        settings = settings_of(
            tmp_path, "http://127.0.0.1:9/v1", GROQ_API_KEY="k", GROQ_BASE_URL=server.url
        )
        everyone = Budget(Decimal("0.05"), name="everyone")
        async with open_orchestrator(settings, budget=everyone, project="shop") as door:
            with pytest.raises(BudgetExceededError, match="`tiny`"):
                await door.route_request(
                    "Hello?",
                    model_id="groq/llama-3.3-70b-versatile",
                    max_output_tokens=100,
                    budget=Budget(Decimal("0.000001"), name="tiny"),
                )
            assert server.requests == []
            own = Budget(Decimal("0.01"))
            routed = await door.route_request(
                "Hello?",
                model_id="groq/llama-3.3-70b-versatile",
                task_type=TaskType.GENERAL,
                max_output_tokens=100,
                budget=own,
            )
    cost_usd = routed.response.cost_usd
    assert cost_usd is not None
    assert cost_usd > 0
    for budget in (own, everyone):
        assert budget.spent_usd == cost_usd
        assert budget.held_usd == 0
    by = (Dimension.PROJECT, Dimension.TASK)
    spent = await asyncio.to_thread(SpendingStore(tmp_path).spending, by)
    assert [row.cost_usd for row in spent if "general" in row.group] == [cost_usd]


async def test_many_tasks_share_one_orchestrator(tmp_path: Path) -> None:
    """Sixty-four calls at once look at the providers once, and each gets its answer."""
    async with front_door(tmp_path, answer(whole())) as (door, server):
        responses = await asyncio.gather(*(door.complete(ask()) for _ in range(64)))
    assert [response.text for response in responses] == ["Hi"] * 64
    assert [request.path for request in server.requests].count("/v1/models") == 1


async def test_ranking_asks_nobody(tmp_path: Path) -> None:
    """`rank` names every known model once, those that cannot run here with the reason."""
    async with front_door(tmp_path) as (door, server):
        requirements, ranking = await door.rank(ask(), strategy=Strategy.LOCAL_FIRST)
    assert requirements.task_type is TaskType.QUICK_RESPONSE
    assert {str(one.model) for one in ranking.ranked} == {f"local/{name}" for name in LOCAL}
    rejected = {str(one.model): one.reasons for one in ranking.rejected}
    kinds = {reason.kind for reason in rejected["openai/gpt-6-luna"]}
    assert kinds == {RejectionKind.UNAVAILABLE}
    assert "OPENAI_API_KEY" in rejected["openai/gpt-6-luna"][0].sentence
    assert [request.path for request in server.requests] == ["/v1/models"]


@pytest.mark.parametrize("example", EXAMPLES)
async def test_the_examples_of_the_page_run(
    example: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page shows does what it says, as a program of its own would."""
    stream = "stream(" in example
    async with serving(LISTED, GOOD if stream else answer(whole())) as server:
        settings = settings_of(tmp_path, server.url)
        code = compile(example.replace("asyncio.run(main(Settings.load()))", ""), PAGE.name, "exec")
        names: dict[str, Any] = {}
        exec(code, names)  # noqa: S102  # the page's own code
        await names["main"](settings)
    assert "Hi" in capsys.readouterr().out


def test_the_page_has_examples() -> None:
    """The test above is not about nothing."""
    assert len(EXAMPLES) == 2
