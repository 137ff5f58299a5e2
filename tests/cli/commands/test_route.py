"""`lattice-lock route`, as a real process before servers that list models."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from command_process import Outcome, isolated, run
from wire_server import answer, serving

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "routing.md"
MODELS = ("qwen3-coder:30b", "llama3.2:3b", "nobody-knows:1b")
LISTED = answer({"object": "list", "data": [{"id": name} for name in MODELS]})
GROQ = ("groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-20b", "groq/qwen/qwen3.8-27b")


async def route(folder: Path, *arguments: str) -> Outcome:
    """The command where a local server and Groq can be used, and nobody else."""
    async with serving(LISTED, LISTED) as server:
        return await run(
            folder,
            "route",
            *arguments,
            LATTICE_LOCK_LOCAL_URL=server.url,
            GROQ_API_KEY="k",
            GROQ_BASE_URL=server.url,
        )


def models(outcome: Outcome) -> list[str]:
    """What is ranked, the best first."""
    return [one["model"] for one in outcome.json["ranked"]]


def reasons(outcome: Outcome) -> dict[str, list[str]]:
    """The kinds of what speaks against each model that is rejected."""
    return {
        one["model"]: [reason["kind"] for reason in one["reasons"]]
        for one in outcome.json["rejected"]
    }


async def test_the_ranking_is_a_table(tmp_path: Path) -> None:
    """Needs and order are on standard output; what is left out is said beside it."""
    outcome = await route(tmp_path, "Write a Python function that adds two numbers.")
    assert outcome.code == 0, outcome.err
    needs, ranking = outcome.out.split("\n\n")
    assert re.search(r"^task_type +code_generation$", needs, re.MULTILINE)
    heading, _, *rows = ranking.splitlines()
    assert heading.split() == ["#", "model", "score", "USD", "remarks"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert {row.split()[1] for row in rows} == {*GROQ, *(f"local/{name}" for name in MODELS)}
    scores = [float(row.split()[2]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert re.fullmatch(r"\d+ are rejected; `--explain` says why\.\n", outcome.err)


async def test_every_part_and_rejection_is_explained(tmp_path: Path) -> None:
    """With `--explain` each score has its parts, and each other model all that is against it."""
    outcome = await route(tmp_path, "Hello!", "--explain", "--strategy", "quality")
    assert (outcome.code, outcome.err) == (0, "")
    _, ranking, rejected = outcome.out.split("\n\n")
    heading, _, first, *_ = ranking.splitlines()
    assert "affinity x0.50  performance x0.05  accuracy x0.40  cost x0.05  factor" in heading
    assert len(re.findall(r" [01]\.\d{3}\b", first)) == 5
    assert "expected; no call was seen of late" in first
    against = [line for line in rejected.splitlines() if line.startswith("openai/o1 ")]
    assert [line.split()[1] for line in against] == ["retired", "unavailable"]
    assert "is not served since 2026-10-23" in against[0]
    assert "`OPENAI_API_KEY`" in against[1]


async def test_the_first_ten_are_shown_unless_all_are_asked_for(tmp_path: Path) -> None:
    """A long ranking is cut after ten rows, which is said, and whole with `--all`."""
    listed = answer({"object": "list", "data": [{"id": f"m{n:02}"} for n in range(12)]})
    outcomes = []
    for more in ((), ("--all",)):
        async with serving(listed) as server:
            outcome = await run(
                tmp_path, "route", "Hello!", *more, LATTICE_LOCK_LOCAL_URL=server.url
            )
        outcomes.append((outcome.out.count("local/m"), "2 more can answer" in outcome.err))
    assert outcomes == [(10, True), (12, False)]


async def test_json_is_what_the_page_says(tmp_path: Path) -> None:
    """The fields are exactly those that the page lists, with `--explain` or without."""
    plain = await route(tmp_path, "Hello!", "--format", "json")
    explained = await route(tmp_path, "Hello!", "--format", "json", "--explain")
    assert (plain.code, plain.err) == (0, "")
    assert plain.json == explained.json
    told = plain.json
    found = {*told} - {"requirements"}
    found |= {f"requirements.{name}" for name in told["requirements"]}
    found |= {f"ranked[].{name}" for one in told["ranked"] for name in one}
    found |= {f"rejected[].{name}" for one in told["rejected"] for name in one}
    assert found == _fields_of_the_page()
    for one in told["ranked"]:
        total = sum(part["value"] * part["weight"] for part in one["parts"]) * one["factor"]
        assert one["score"] == pytest.approx(total)


def _fields_of_the_page() -> set[str]:
    """The fields in the first column of its table; `.name` begins as the one before it does."""
    table = PAGE.read_text(encoding="utf-8").partition("## JSON")[2]
    found: set[str] = set()
    for cell in re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE):
        first, *others = (name.removesuffix("[]") for name in re.findall(r"`(.+?)`", cell))
        found |= {first, *(first.rpartition(".")[0] + other for other in others)}
    return found


async def test_what_is_said_counts(tmp_path: Path) -> None:
    """Task, strategy, providers and ceiling narrow and order what is ranked."""
    said = ("--task", "maths", "--strategy", "cost", "--format", "json")
    outcome = await route(tmp_path, "Hello!", *said, "--provider", "groq/*gpt*", "--max-cost", "1")
    assert outcome.code == 0
    needs = outcome.json["requirements"]
    assert (needs["task_type"], needs["confidence"]) == ("maths", 1.0)
    assert outcome.json["strategy"] == "cost"
    assert set(models(outcome)) == set(GROQ[:2])
    assert reasons(outcome)["local/llama3.2:3b"] == ["not_allowed"]
    assert reasons(outcome)[GROQ[2]] == ["not_allowed"]


async def test_local_models_can_come_first(tmp_path: Path) -> None:
    """Under `local-first` each local model says whether it suffices, and stands accordingly."""
    said = ("--strategy", "local-first", "--format", "json")
    outcome = await route(tmp_path, "Hello!", *said)
    kinds = [[one["kind"] for one in ranked["remarks"]] for ranked in outcome.json["ranked"]]
    local = [name.startswith("local/") for name in models(outcome)]
    suffices = [one == ["local_suffices"] for one in kinds]
    weak = [one == ["local_too_weak"] for one in kinds]
    assert local == [one or other for one, other in zip(suffices, weak, strict=True)]
    assert suffices == sorted(suffices, reverse=True)
    assert weak == sorted(weak)


async def test_nobody_left_is_code_1(tmp_path: Path) -> None:
    """Where no model can and may answer, that is said, every rejection is there, and it is 1."""
    said = ("--region", "eu", "--provider", "groq")
    outcome = await route(tmp_path, "Hello!", *said)
    assert (outcome.code, "No model can and may answer." in outcome.err) == (1, True)
    told = await route(tmp_path, "Hello!", *said, "--format", "json")
    assert (told.code, models(told), told.err) == (1, [], "")
    assert reasons(told)[GROQ[0]] == ["region"]
    assert reasons(told)["local/llama3.2:3b"] == ["not_allowed"]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("Übersetze das. ".encode() * 100, 1, '"input_tokens": '),
        (b"\xff", 2, "Standard input is not UTF-8."),
        (b"", 2, "The prompt is empty."),
    ],
    ids=["text", "not UTF-8", "empty"],
)
def test_the_prompt_can_be_piped_in(given: bytes, code: int, said: str, tmp_path: Path) -> None:
    """`-` reads standard input, which has to be text."""
    done = subprocess.run(
        [sys.executable, "-m", "lattice_lock", "route", "-", "--format", "json"],
        input=given,
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | isolated(tmp_path),
    )
    assert done.returncode == code
    assert said in (done.stdout + done.stderr).decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        ("Hello!", "--task", "gardening"),
        ("Hello!", "--strategy", "luck"),
        ("Hello!", "--max-cost", "-1"),
        ("Hello!", "--max-cost", "nan"),
    ],
)
async def test_wrong_use_is_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """An empty prompt and values that do not exist are refused before anything is looked at."""
    outcome = await run(tmp_path, "route", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err
