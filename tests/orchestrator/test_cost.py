"""The record of what every call used and cost."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
import subprocess
import sys
from contextlib import aclosing, closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from lattice_lock.bootstrap import open_clients
from lattice_lock.exceptions import (
    APIClientError,
    AuthenticationError,
    BudgetExceededError,
    IncompleteStreamError,
    RateLimitError,
    ServerError,
    UsageError,
)
from lattice_lock.messages import (
    ChatRequest,
    ChatResponse,
    EmbeddingRequest,
    FinishReason,
    Message,
    ModelId,
    StreamEnd,
    TextDelta,
    Usage,
)
from lattice_lock.orchestrator.cost import CostTracker
from lattice_lock.orchestrator.tasks import TaskType
from lattice_lock.settings import Settings
from lattice_lock.storage import spending
from lattice_lock.storage.spending import Dimension, SpendingStore
from openai_wire import KEY, PAYLOADS
from wire_server import NOWHERE, answer, delta, event, events, serving, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from lattice_lock.messages import StreamEvent

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MODEL = ModelId(provider="openai", name="gpt-4o-mini")
REQUEST = ChatRequest(model=MODEL, messages=(Message.user("Hi"),))
RESPONSE = ChatResponse(
    model=MODEL,
    message=Message.assistant("Hi"),
    finish_reason=FinishReason.STOP,
    usage=Usage(input_tokens=10, cached_input_tokens=4, output_tokens=5, reasoning_tokens=2),
    attempts=2,
    cost_usd=Decimal("0.0000075"),
)
PAGE = PAYLOADS.parents[2] / "docs" / "how-to" / "track-costs.md"


async def answers(_: ChatRequest) -> ChatResponse:
    """The model, at its best."""
    return RESPONSE


async def streams(_: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
    """The model, bit by bit."""
    yield TextDelta(text="H")
    yield TextDelta(text="i")
    yield StreamEnd(response=RESPONSE)


def rows(folder: Path) -> list[dict[str, Any]]:
    """What the store in `folder` has, in the order in which it came."""
    with closing(sqlite3.connect(SpendingStore(folder).path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM calls ORDER BY rowid")]


async def kept(tracker: CostTracker, folder: Path) -> list[dict[str, Any]]:
    """What the store has once `tracker` has written everything."""
    await tracker.flush()
    return await asyncio.to_thread(rows, folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While it lasts, nobody else can write into the store."""
    path = SpendingStore(folder).path
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_a_call_is_recorded_with_all_that_is_known(tmp_path: Path) -> None:
    """Time, labels, model, classes of tokens, attempts, outcome and cost are in the record."""
    async with CostTracker(tmp_path, now=lambda: NOON) as tracker:
        layer = tracker.labelled(task=TaskType.REASONING, project="shop")
        assert await layer.chat_completion(REQUEST, answers) is RESPONSE
        (row,) = await kept(tracker, tmp_path)
        assert row.pop("id")
        assert 0 < row.pop("latency_ms") < 1000
        assert row == {
            "at": "2026-11-24T12:00:00.000000+00:00",
            "provider": "openai",
            "model": "gpt-4o-mini",
            "task": "reasoning",
            "project": "shop",
            "fresh_input_tokens": 6,
            "cached_input_tokens": 4,
            "cache_write_tokens": 0,
            "visible_output_tokens": 3,
            "reasoning_tokens": 2,
            "attempts": 2,
            "outcome": "answered",
            "cost_usd": "0.0000075",
        }
        assert tracker.problem is None


async def test_ids_are_unique(tmp_path: Path) -> None:
    """Calls of one tracker and of several do not take each other's place."""
    async with CostTracker(tmp_path) as one, CostTracker(tmp_path) as other:
        for layer in (one.labelled(), one.labelled(), other.labelled()):
            await asyncio.gather(*(layer.chat_completion(REQUEST, answers) for _ in range(50)))
        await one.flush()
        assert len(await kept(other, tmp_path)) == 150


@pytest.mark.parametrize(
    ("error", "provider", "cost"),
    [
        (RateLimitError("No.", provider="openai", status=429, attempt=3), "openai", "0"),
        (AuthenticationError("No.", provider="openai", status=401, attempt=1), "openai", "0"),
        (BudgetExceededError("No."), "openai", "0"),
        (ServerError("No.", provider="openai", status=500, attempt=3), "openai", None),
        (ServerError("No.", provider="local", status=500, attempt=3), "local", "0"),
        (ZeroDivisionError(), "openai", None),
    ],
)
async def test_a_failure_is_recorded_and_raised(
    tmp_path: Path, error: Exception, provider: str, cost: str | None
) -> None:
    """It costs nothing where that is certain, and else nobody knows; tokens are unknown."""

    async def fails(_: ChatRequest) -> ChatResponse:
        raise error

    model = ModelId(provider=provider, name="m")
    request = ChatRequest(model=model, messages=(Message.user("Hi"),))
    async with CostTracker(tmp_path) as tracker:
        with pytest.raises(type(error)):
            await tracker.labelled().chat_completion(request, fails)
        (row,) = await kept(tracker, tmp_path)
    attempts = error.attempt if isinstance(error, APIClientError) else None
    assert (row["outcome"], row["cost_usd"], row["attempts"]) == ("failed", cost, attempts)
    assert (row["fresh_input_tokens"], row["task"], row["project"]) == (None, None, None)


async def test_a_cancelled_call_is_recorded(tmp_path: Path) -> None:
    """A call that is cancelled while it waits is one of unknown cost."""
    asked = asyncio.Event()

    async def waits(_: ChatRequest) -> ChatResponse:
        asked.set()
        await asyncio.Event().wait()
        return RESPONSE

    async with CostTracker(tmp_path) as tracker:
        task = asyncio.create_task(tracker.labelled().chat_completion(REQUEST, waits))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (row,) = await kept(tracker, tmp_path)
    assert (row["outcome"], row["cost_usd"]) == ("cancelled", None)


@pytest.mark.parametrize(
    ("stop_after", "outcome", "cost"),
    [(1, "cancelled", None), (2, "cancelled", None), (3, "answered", "0.0000075")],
)
async def test_a_stream_is_recorded_once_wherever_its_reader_stops(
    tmp_path: Path, stop_after: int, outcome: str, cost: str | None
) -> None:
    """Closed early it is cancelled; closed after its last event it has been answered."""
    async with CostTracker(tmp_path) as tracker:
        seen = 0
        async with aclosing(tracker.labelled().stream(REQUEST, streams)) as stream:
            async for _ in stream:
                seen += 1
                if seen == stop_after:
                    break
        (row,) = await kept(tracker, tmp_path)
    assert (row["outcome"], row["cost_usd"]) == (outcome, cost)


async def test_a_stream_read_to_its_end_is_recorded_once(tmp_path: Path) -> None:
    """The events come as they are, and one record has the usage of the last."""
    async with CostTracker(tmp_path) as tracker:
        seen = [one async for one in tracker.labelled().stream(REQUEST, streams)]
        (row,) = await kept(tracker, tmp_path)
    assert seen == [TextDelta(text="H"), TextDelta(text="i"), StreamEnd(response=RESPONSE)]
    assert (row["outcome"], row["fresh_input_tokens"]) == ("answered", 6)


async def test_a_stream_that_is_never_read_is_no_call(tmp_path: Path) -> None:
    """Nothing was asked, so nothing is recorded."""
    async with CostTracker(tmp_path) as tracker:
        await tracker.labelled().stream(REQUEST, streams).aclose()
    assert SpendingStore(tmp_path).path.exists() is False


@pytest.mark.parametrize("first", [True, False])
async def test_a_broken_stream_is_recorded(tmp_path: Path, first: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """An error that certainly cost nothing before the first event may have cost after it."""

    async def breaks(_: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        if not first:
            yield TextDelta(text="H")
        raise RateLimitError("No.", provider="openai", attempt=1)

    async with CostTracker(tmp_path) as tracker:
        with pytest.raises(RateLimitError):
            [_ async for _ in tracker.labelled().stream(REQUEST, breaks)]
        (row,) = await kept(tracker, tmp_path)
    assert (row["outcome"], row["cost_usd"]) == ("failed", "0" if first else None)


async def test_a_stream_without_an_end_has_failed(tmp_path: Path) -> None:
    """A layer within that swallows the end leaves a call of unknown cost."""

    async def endless(_: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        yield TextDelta(text="H")

    async with CostTracker(tmp_path) as tracker:
        assert len([_ async for _ in tracker.labelled().stream(REQUEST, endless)]) == 1
        (row,) = await kept(tracker, tmp_path)
    assert (row["outcome"], row["cost_usd"]) == ("failed", None)


async def test_a_cancelled_stream_is_recorded_once(tmp_path: Path) -> None:
    """Cancelling who reads a stream leaves one record."""
    started = asyncio.Event()

    async def hangs(_: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        yield TextDelta(text="H")
        started.set()
        await asyncio.Event().wait()

    async with CostTracker(tmp_path) as tracker:

        async def read() -> None:
            async with aclosing(tracker.labelled().stream(REQUEST, hangs)) as stream:
                async for _ in stream:
                    pass

        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (row,) = await kept(tracker, tmp_path)
    assert row["outcome"] == "cancelled"


@pytest.mark.parametrize("label", ["", "a\nb", "\ud800"])
def test_labels_are_printable(tmp_path: Path, label: str) -> None:
    """What a terminal or the file could not hold is refused before a call is paid for."""
    tracker = CostTracker(tmp_path)
    with pytest.raises(UsageError, match="no label of a project"):
        tracker.labelled(project=label)
    with pytest.raises(UsageError, match="no label of a task"):
        tracker.labelled(task=label)


async def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    """After `aclose` every record is in the store; what ends later is told to the log."""
    tracker = CostTracker(tmp_path)
    layer = tracker.labelled()
    await asyncio.gather(*(layer.chat_completion(REQUEST, answers) for _ in range(2000)))
    await tracker.aclose()
    await tracker.aclose()
    assert [one.calls for one in await asyncio.to_thread(SpendingStore(tmp_path).spending)] == [
        2000
    ]
    assert tracker.problem is None
    await layer.chat_completion(REQUEST, answers)
    assert "after" in str(tracker.problem)


def test_an_interpreter_that_ends_has_written_everything(tmp_path: Path) -> None:
    """Whoever forgets to close the tracker loses nothing and hangs nowhere."""
    program = """\
import asyncio, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_cost import REQUEST, answers
from lattice_lock.orchestrator.cost import CostTracker

async def main():
    layer = CostTracker(Path(sys.argv[1])).labelled()
    for _ in range(10):
        await layer.chat_completion(REQUEST, answers)

asyncio.run(main())
"""
    folders = [str(PAYLOADS.parents[1] / name) for name in ("orchestrator", "support")]
    subprocess.run([sys.executable, "-c", program, str(tmp_path), *folders], check=True, timeout=60)
    assert [one.calls for one in SpendingStore(tmp_path).spending()] == [10]


async def test_a_full_queue_makes_calls_wait_and_loses_nothing(tmp_path: Path) -> None:
    """While the store is busy a call beyond the bound is not made before there is room."""
    await asyncio.to_thread(SpendingStore(tmp_path).add, [])
    made = 0

    async def counts(_: ChatRequest) -> ChatResponse:
        nonlocal made
        made += 1
        return RESPONSE

    async with CostTracker(tmp_path, capacity=3) as tracker:
        layer = tracker.labelled()
        with locked(tmp_path):
            tasks = [asyncio.create_task(layer.chat_completion(REQUEST, counts)) for _ in range(3)]
            await asyncio.gather(*tasks)
            late = asyncio.create_task(layer.chat_completion(REQUEST, counts))
            for _ in range(20):
                await asyncio.sleep(0)
            assert (made, late.done()) == (3, False)
        await late
        assert len(await kept(tracker, tmp_path)) == made == 4


async def test_a_store_that_fails_fails_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`problem` and the log say why, and what goes beyond the bound is told to the log in full."""
    path = SpendingStore(tmp_path).path
    path.write_text("This is no database. " * 100)
    with caplog.at_level(logging.ERROR):
        async with CostTracker(tmp_path, capacity=2) as tracker:
            layer = tracker.labelled(project="shop")
            for _ in range(2):
                await layer.chat_completion(REQUEST, answers)
            await tracker.flush()
            assert f"`{path}` cannot be used" in str(tracker.problem)
            assert await layer.chat_completion(REQUEST, answers) is RESPONSE
            assert sum("cost.lost" in text for text in caplog.messages) == 1
        assert tracker.problem is not None
    lost = [text for text in caplog.messages if "cost.lost" in text]
    assert len(lost) == 3
    assert all("project=shop" in text and "cost_usd=0.0000075" in text for text in lost)
    assert sum("cost.unwritten" in text for text in caplog.messages) == 1


async def test_what_could_not_be_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the store works again it gets what it missed, and there is no problem any more."""
    monkeypatch.setattr(spending, "_BUSY_S", 0.01)
    await asyncio.to_thread(SpendingStore(tmp_path).add, [])
    async with CostTracker(tmp_path) as tracker:
        layer = tracker.labelled()
        with locked(tmp_path):
            await layer.chat_completion(REQUEST, answers)
            await tracker.flush()
            assert "locked" in str(tracker.problem)
        await layer.chat_completion(REQUEST, answers)
        assert len(await kept(tracker, tmp_path)) == 2
        assert tracker.problem is None


async def test_embeddings_are_recorded(tmp_path: Path) -> None:
    """Vectors cost money too, and an error in one of several batches may have cost some."""
    vectors = {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 1000}}
    refusal = {"error": {"message": "No.", "code": "invalid_api_key"}}
    async with (
        CostTracker(tmp_path) as tracker,
        serving(answer(vectors), answer(refusal, 401)) as server,
    ):
        models = tmp_path / "models.jsonl"
        prices = {"input": "0.02", "output": "0"}
        line = {"provider": "openai", "name": "embeds", "prices": [prices]}
        await asyncio.to_thread(models.write_text, json.dumps(line))
        environment = {
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": KEY,
            "LATTICE_LOCK_MODELS_FILE": str(models),
        }
        settings = Settings.load(environment=environment, dotenv=NOWHERE)
        model = ModelId(provider="openai", name="embeds")
        async with open_clients(
            settings, ["openai"], middleware=[tracker.labelled(task="index")]
        ) as clients:
            await clients["openai"].embed(EmbeddingRequest(model=model, inputs=("x",)))
            for inputs in (("x",), ("x", "y")):
                with pytest.raises(AuthenticationError):
                    await clients["openai"].embed(EmbeddingRequest(model=model, inputs=inputs))
        found = await kept(tracker, tmp_path)
    assert [row["outcome"] for row in found] == ["answered", "failed", "failed"]
    assert found[0]["fresh_input_tokens"] == 1000
    assert [row["cost_usd"] for row in found] == ["0.00002", "0", None]


async def test_calls_over_the_wire_are_recorded(tmp_path: Path) -> None:
    """Around a real client, inside which prices are told and attempts are repeated."""
    steps = [
        answer(whole(usage={"prompt_tokens": 1000, "completion_tokens": 100})),
        answer({}, 500),
        events(
            delta("Hi"),
            delta(finish="stop"),
            event(choices=[], usage={"prompt_tokens": 10, "completion_tokens": 1}),
            "data: [DONE]\n\n",
        ),
        events(delta("Hi")),
    ]
    async with CostTracker(tmp_path) as tracker, serving(*steps) as server:
        environment = {
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": KEY,
            "LATTICE_LOCK_OPENAI_API": "chat",
        }
        settings = Settings.load(environment=environment, dotenv=NOWHERE)
        layer = tracker.labelled(task="talk")
        async with open_clients(settings, ["openai"], middleware=[layer]) as clients:
            await clients["openai"].chat_completion(REQUEST)
            assert [_ async for _ in clients["openai"].stream(REQUEST)]
            with pytest.raises(IncompleteStreamError):
                [_ async for _ in clients["openai"].stream(REQUEST)]
        found = await kept(tracker, tmp_path)
    assert [(row["outcome"], row["cost_usd"], row["attempts"]) for row in found] == [
        ("answered", "0.00021", 1),
        ("answered", "0.0000021", 2),
        ("failed", None, 1),
    ]


async def test_layers_nest(tmp_path: Path) -> None:
    """Two layers with different labels each record the call that passes both."""
    async with CostTracker(tmp_path) as tracker:
        outer, inner = tracker.labelled(task="outer"), tracker.labelled(task="inner")

        async def within(request: ChatRequest) -> ChatResponse:
            return await inner.chat_completion(request, answers)

        await outer.chat_completion(REQUEST, within)
        assert [row["task"] for row in await kept(tracker, tmp_path)] == ["inner", "outer"]


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every Python example of the how-to page does what the page says."""
    monkeypatch.setenv("LATTICE_LOCK_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), {"__name__": "__main__"})  # noqa: S102  # our own page
    assert capsys.readouterr().out.strip()
    found = SpendingStore(tmp_path).spending([Dimension.PROJECT])
    assert [one.group for one in found] == [("shop",)]
