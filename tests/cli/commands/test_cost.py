"""`lattice-lock cost`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from command_process import run
from lattice_lock.messages import ModelId, Usage
from lattice_lock.storage.spending import Outcome, RecordedCall, SpendingStore

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(tz=UTC)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
USED = Usage(
    input_tokens=100,
    cached_input_tokens=30,
    cache_write_tokens=20,
    output_tokens=10,
    reasoning_tokens=4,
)


def call(number: int, cost: str | None = "0.01", **changes: Any) -> RecordedCall:
    """A call that was answered."""
    fields: dict[str, Any] = {
        "at": NOON,
        "model": ModelId.parse("openai/gpt-6-luna"),
        "task": None,
        "project": "shop",
    }
    return RecordedCall(
        id=str(number),
        usage=USED,
        attempts=1,
        latency_ms=1.0,
        outcome=Outcome.ANSWERED,
        cost_usd=None if cost is None else Decimal(cost),
        **(fields | changes),
    )


async def keep(folder: Path, *calls: RecordedCall) -> None:
    """Put `calls` where the command looks for them."""
    await asyncio.to_thread(SpendingStore(folder / "data").add, calls)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what a few days cost."""
    cheap = ModelId.parse("embedded/smollm2-135m-instruct")
    SpendingStore(tmp_path / "data").add(
        [
            call(1, "0.0000002"),
            call(2, "0.03", model=ModelId.parse("anthropic/claude-opus-5-5"), task="reasoning"),
            call(3, None, at=NOON + timedelta(days=1)),
            call(4, "0", model=cheap, project=None, at=NOON + timedelta(days=2)),
            call(5, "0.01", at=NOON + timedelta(days=2)),
        ]
    )
    return tmp_path


async def test_models_are_listed_and_days_are_drawn(folder: Path) -> None:
    """The dearest model comes first, the total last, and the bars are as long as the costs."""
    outcome = await run(folder, "cost", PYTHONIOENCODING="utf-8")
    assert (outcome.code, outcome.err) == (0, "")
    table, chart = (block.splitlines() for block in outcome.out.strip().split("\n\n"))
    assert table[0].split()[:4] == ["model", "calls", "input", "cached"]
    assert [line.split() for line in table[2:]] == [
        ["anthropic/claude-opus-5-5", "1", "50", "30", "20", "6", "4", "0.030000"],
        ["openai/gpt-6-luna", "3", "150", "90", "60", "18", "12", "0.010000", "1"],
        ["embedded/smollm2-135m-instruct", "1", "50", "30", "20", "6", "4", "0.000000"],
        ["total", "5", "250", "150", "100", "30", "20", "0.040000", "1"],
    ]
    assert [line.split() for line in chart[2:]] == [
        ["2026-11-24", "█" * 40, "0.030000"],
        ["2026-11-25", "-"],
        ["2026-11-26", "█" * 13, "0.010000"],
    ]


async def test_json_is_exact_and_complete(folder: Path) -> None:
    """Programs get every digit, and null for what has no label."""
    outcome = await run(folder, "cost", "--by", "project", "--by", "day", "--format", "json")
    assert outcome.code == 0
    found = outcome.json
    assert (found["since"], found["until"], found["project"]) == (None, None, None)
    assert found["by"] == ["project", "day"]
    assert [(one["project"], one["day"], one["cost_usd"]) for one in found["groups"]] == [
        (None, "2026-11-26", "0"),
        ("shop", "2026-11-24", "0.0300002"),
        ("shop", "2026-11-25", "0"),
        ("shop", "2026-11-26", "0.01"),
    ]
    assert [one["unknown_cost_calls"] for one in found["groups"]] == [0, 0, 1, 0]
    assert found["total"] == {
        "calls": 5,
        "fresh_input_tokens": 250,
        "cached_input_tokens": 150,
        "cache_write_tokens": 100,
        "visible_output_tokens": 30,
        "reasoning_tokens": 20,
        "cost_usd": "0.0400002",
        "unknown_cost_calls": 1,
    }


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        (["--since", "2026-11-25"], 3),
        (["--until", "2026-11-25"], 3),
        (["--since", "2026-11-25", "--until", "2026-11-25"], 1),
        (["--project", "shop"], 4),
    ],
)
async def test_periods_and_projects_narrow(folder: Path, options: list[str], calls: int) -> None:
    """Dates are whole days, both of them included, and a project is the only one counted."""
    outcome = await run(folder, "cost", *options, "--format", "json")
    assert outcome.json["total"]["calls"] == calls


async def test_how_long_ago_narrows(tmp_path: Path) -> None:
    """Hours and days are counted back from now."""
    calls = [call(hours, at=NOW - timedelta(hours=hours)) for hours in (1, 30, 200)]
    await keep(tmp_path, *calls)
    for options, count in ((["24h"], 1), (["7d"], 2), (["30d", "--until", "2d"], 1)):
        outcome = await run(tmp_path, "cost", "--since", *options, "--format", "json")
        assert outcome.json["total"]["calls"] == count


async def test_the_chart_follows_the_first_grouping(folder: Path) -> None:
    """What a narrow encoding cannot print is drawn with signs that it can."""
    outcome = await run(folder, "cost", "--by", "task", "--by", "model", PYTHONIOENCODING="ascii")
    chart = outcome.out.strip().split("\n\n")[1].splitlines()
    assert [line.split() for line in chart[2:]] == [
        ["reasoning", "#" * 40, "0.030000"],
        ["-", "#" * 13, "0.010000"],
    ]


async def test_where_nothing_cost_anything_calls_are_drawn(tmp_path: Path) -> None:
    """Who only asks models of their own sees how many calls there were."""
    await keep(tmp_path, *(call(one, "0", at=NOON + timedelta(days=one // 2)) for one in range(3)))
    outcome = await run(tmp_path, "cost", PYTHONIOENCODING="ascii")
    chart = outcome.out.strip().split("\n\n")[1].splitlines()
    assert chart[0].split() == ["day", "calls", "by", "day"]
    assert [line.split() for line in chart[2:]] == [
        ["2026-11-24", "#" * 40, "2"],
        ["2026-11-25", "#" * 20, "1"],
    ]


async def test_a_long_chart_is_cut(tmp_path: Path) -> None:
    """The last thirty days are drawn, and how many came before them is said."""
    await keep(tmp_path, *(call(one, at=NOON + timedelta(days=one)) for one in range(35)))
    outcome = await run(tmp_path, "cost", "--by", "day")
    table, chart = outcome.out.strip().split("\n\n")
    assert len(table.splitlines()) == 2 + 35 + 1
    assert len(chart.splitlines()) == 2 + 30 + 1
    assert chart.endswith("and 5 days before")
    assert "2026-12-28" in chart


async def test_a_tiny_cost_is_not_shown_as_none(tmp_path: Path) -> None:
    """What rounds to nothing is shown as less than a millionth, and its bar is a short one."""
    await keep(tmp_path, call(1, "0.0000002"), call(2, "5", at=NOON + timedelta(days=1)))
    outcome = await run(tmp_path, "cost", "--by", "day", PYTHONIOENCODING="ascii")
    assert outcome.out.count(" <0.000001") == 2
    assert outcome.out.splitlines()[-2].split() == ["2026-11-24", "#", "<0.000001"]


async def test_an_empty_store_is_no_error(folder: Path, tmp_path: Path) -> None:
    """Where nothing was recorded, or nothing that fits, that is said and nothing is created."""
    empty = tmp_path / "empty"
    empty.mkdir()
    outcome = await run(empty, "cost")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("No calls are recorded in `")
    assert list(empty.iterdir()) == []
    outcome = await run(empty, "cost", "--format", "json")
    assert (outcome.code, outcome.json["groups"], outcome.json["total"]) == (0, [], None)
    outcome = await run(folder, "cost", "--project", "other")
    assert (outcome.code, outcome.out[:35]) == (0, "No calls are recorded that fit in `")


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-02-30", "7w", "-1d", "2026-11-01T10:00", "999999d", "\u0667d", ""]
)
async def test_what_is_no_moment_is_refused(tmp_path: Path, moment: str) -> None:
    """A wrong period is wrong use, and the hint shows both forms."""
    outcome = await run(tmp_path, "cost", f"--since={moment}")
    assert (outcome.code, outcome.out) == (2, "")
    assert "error[LL-802]: `--since` is " in outcome.err
    assert "`7d`" in outcome.err


async def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    """The error says which file it is and what to do with it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spending.sqlite3").write_text("A letter. " * 500)
    outcome = await run(tmp_path, "cost")
    assert (outcome.code, outcome.out) == (2, "")
    assert "error[LL-750]: `" in outcome.err
    assert "Move the file away" in outcome.err
