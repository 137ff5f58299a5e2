"""`lattice-lock chain`, as real processes against a real server."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from command_process import finished, isolated, run, started
from wire_server import answer, serving, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_process import Outcome
    from wire_server import Received, Wire

_ALL_LOCAL = ("--model", "local/qwen")
_PANEL = """\
name: panel
inputs: {topic: , tone: kind}
steps:
  - id: plan
    prompt: "{{ inputs.topic }}"
    response_schema: {type: array, items: {type: string}}
  - id: write
    for_each: plan
    concurrency: 1
    prompt: "{{ item }} {{ inputs.tone }}"
  - id: join
    model: local/own
    prompt: "{{ write }}"
"""


def _prompt(request: Received) -> str:
    return str(request.json["messages"][-1]["content"])


def _panel(tmp_path: Path) -> str:
    (tmp_path / "panel.yaml").write_text(_PANEL, encoding="utf-8")
    return "panel.yaml"


async def test_draft_then_refine(tmp_path: Path) -> None:
    """Three questions to the models named, and only the last answer is on standard output."""
    steps = (answer(whole("draft")), answer(whole("review")), answer(whole("final\x1b[2J")))
    async with serving(*steps) as server:
        outcome = await run(
            tmp_path,
            *("chain", "run", "draft-then-refine", "--input", "task=Sing = shout", *_ALL_LOCAL),
            *("--model", "critique=local/critic"),
            LATTICE_LOCK_LOCAL_URL=server.url,
        )
    assert (outcome.code, outcome.out) == (0, "final\\x1b[2J\n")
    assert [request.json["model"] for request in server.requests] == ["qwen", "critic", "qwen"]
    assert _prompt(server.requests[0]) == "Sing = shout"
    assert "<review>\nreview\n</review>" in _prompt(server.requests[2])
    lines = outcome.err.splitlines()
    assert lines[:2] == ["Running the chain draft-then-refine ...", "draft: asking local/qwen ..."]
    assert lines[2].startswith("draft: local/qwen answered in ")
    assert lines[3] == "critique: asking local/critic ..."
    assert lines[-1] == "3 answers, 0 USD, 15 tokens."


async def test_json_holds_every_answer(tmp_path: Path) -> None:
    """JSON has the output, every answer with its model, item and cost, and the totals."""
    steps = (
        answer(whole('["a", "b"]')),
        answer(whole("A")),
        answer(whole("B")),
        answer(whole("C")),
    )
    (tmp_path / "topic.txt").write_text("tides", encoding="utf-8")
    async with serving(*steps) as server:
        outcome = await run(
            tmp_path,
            *("chain", "run", _panel(tmp_path), "--input-file", "topic=topic.txt"),
            *("--model", "plan=local/p", "--model", "write=local/w", "--format", "json"),
            LATTICE_LOCK_LOCAL_URL=server.url,
        )
    assert outcome.code == 0
    assert [_prompt(one) for one in server.requests] == ["tides", "a kind", "b kind", '["A","B"]']
    result = outcome.json
    assert (result["chain"], result["output"], result["cost_usd"]) == ("panel", "C", "0")
    assert [(one["step"], one["item"], one["text"]) for one in result["answers"][1:]] == [
        ("write", 1, "A"), ("write", 2, "B"), ("join", None, "C")
    ]  # fmt: skip
    assert result["answers"][3]["model"] == {"provider": "local", "name": "own"}
    assert result["answers"][0]["resumed"] is False
    assert "write [2/2]: asking local/w ..." in outcome.err


async def test_model_is_chosen_where_none_is_named(tmp_path: Path) -> None:
    """A step that names no model is answered by one that can run here."""
    (tmp_path / "one.yaml").write_text("name: one\nsteps: [{id: a, prompt: Hello}]\n", "utf-8")
    listed = {"object": "list", "data": [{"id": "first"}]}

    async def either(wire: Wire) -> object:
        request = server.requests[-1]
        return await answer(listed if request.method == "GET" else whole("Hi"))(wire)

    async with serving(either) as server:
        outcome = await run(tmp_path, "chain", "run", "one.yaml", LATTICE_LOCK_LOCAL_URL=server.url)
    assert (outcome.code, outcome.out) == (0, "Hi\n")
    assert "a: asking a model ..." in outcome.err
    assert "a: local/first answered in" in outcome.err


async def test_failed_run_goes_on_from_its_state(tmp_path: Path) -> None:
    """A step that fails is code 1; the same command goes on, and asks nothing a second time."""
    command = (
        *("chain", "run", "draft-then-refine", "--input", "task=Sing", *_ALL_LOCAL),
        *("--state", "run.json"),
    )
    refusal = answer({"error": {"message": "no", "code": "model_not_found"}}, 404)
    async with serving(answer(whole("draft")), refusal) as server:
        failed = await run(tmp_path, *command, LATTICE_LOCK_LOCAL_URL=server.url)
    assert (failed.code, failed.out) == (1, "")
    assert "error[LL-546]: The step `critique` failed: [LL-520]" in failed.err
    assert "What was answered is kept in run.json" in failed.err
    async with serving(answer(whole("review")), answer(whole("final"))) as server:
        resumed = await run(tmp_path, *command, LATTICE_LOCK_LOCAL_URL=server.url)
    assert (resumed.code, resumed.out) == (0, "final\n")
    assert "<draft>\ndraft\n</draft>" in _prompt(server.requests[0])
    assert "draft: answered in an earlier run\n" in resumed.err
    assert resumed.err.endswith("3 answers (1 from earlier runs), 0 USD, 15 tokens.\n")
    again = await run(tmp_path, *command)
    assert (again.code, again.out) == (0, "final\n")
    other = await run(tmp_path, *command, "--input", "task=Dance")
    assert other.code == 2
    text = tuple("task=Dance" if one == "task=Sing" else one for one in command)
    assert "with other inputs" in (await run(tmp_path, *text)).err


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
async def test_killed_run_has_kept_every_answer(
    how: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Ended between two answers, even without a chance to react, a run pays for none again.

    Until then a second process is refused the file.
    """
    command = (
        *("chain", "run", "draft-then-refine", "--input", "task=Sing", *_ALL_LOCAL),
        *("--state", "run.json"),
    )
    asked = asyncio.Event()

    async def hang(wire: Wire) -> None:
        asked.set()
        await wire.until_hung_up()

    async with (
        serving(answer(whole("draft")), hang) as server,
        started(tmp_path, *command, LATTICE_LOCK_LOCAL_URL=server.url) as process,
    ):
        async with asyncio.timeout(60):
            await asked.wait()
        second = await run(tmp_path, *command, LATTICE_LOCK_LOCAL_URL=server.url)
        assert (second.code, "Another run of a chain is using" in second.err) == (2, True)
        process.send_signal(how)
        assert (await finished(process)).code == code
        await server.hung_up.wait()
    assert len(server.requests) == 2
    async with serving(answer(whole("review")), answer(whole("final"))) as server:
        resumed = await run(tmp_path, *command, LATTICE_LOCK_LOCAL_URL=server.url)
    assert (resumed.code, resumed.out, len(server.requests)) == (0, "final\n", 2)


async def test_deadline_and_budget_are_for_the_whole_chain(tmp_path: Path) -> None:
    """When the time is over the step is named; a call that might cost too much is not made."""

    async def silence(wire: Wire) -> None:
        await wire.until_hung_up()

    command = ("chain", "run", "draft-then-refine", "--input", "task=Sing")
    async with serving(answer(whole("draft")), silence) as server:
        late = await run(
            tmp_path, *command, *_ALL_LOCAL, "--timeout", "1", LATTICE_LOCK_LOCAL_URL=server.url
        )
        await server.hung_up.wait()
    assert late.code == 1
    assert "`critique`" in late.err
    async with serving(answer(whole())) as server:
        poor = await run(
            tmp_path,
            *(*command, "--model", "openai/gpt-4o-mini", "--max-cost", "0.0000001"),
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=server.url,
        )
    assert (poor.code, "LL-541" in poor.err, server.requests) == (1, True, [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "needs the input `task`"),
        (("--input", "task"), "does not say which input"),
        (("--input", "task=a", "--input-file", "task=b"), "given twice"),
        (("--input-file", "task=nowhere"), "`nowhere` cannot be read: No such file"),
        (("--input-file", "task=bytes"), "`bytes` is not UTF-8"),
        (("--input", "tusk=a"), "Did you mean `task`?"),
        (("--input", "task=a", "--model", "drft=local/x"), "Did you mean `draft`?"),
        (("--input", "task=a", "--model", "x/y", "--model", "y/z"), "Several models"),
        (("--input", "task=a", "--max-cost", "dear"), "not an amount of money"),
        (("--input", "task=a", "--max-cost", "-1"), "not an amount of money"),
        (("--input", "task=a", "--timeout", "0"), "--timeout"),
        (("--input", "task=a", "--state", "bytes"), "holds no state of a chain"),
    ],
)
def test_wrong_use_is_code_2(
    options: tuple[str, ...],
    said: str,
    tmp_path: Path,
    lattice_lock: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be run is refused with what to write instead, and no model is asked."""
    monkeypatch.chdir(tmp_path)
    for name, value in isolated(tmp_path).items():
        monkeypatch.setenv(name, value)
    Path("bytes").write_bytes(b"\xff")
    outcome = lattice_lock("chain", "run", "draft-then-refine", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


async def test_retired_model_is_refused_before_anything_is_paid_for(tmp_path: Path) -> None:
    """A model that is not served any more is refused, whichever step would ask it."""
    async with serving(answer(whole())) as server:
        outcome = await run(
            tmp_path,
            *("chain", "run", "draft-then-refine", "--input", "task=a", *_ALL_LOCAL),
            *("--model", "refine=anthropic/claude-3.5-opus"),
            LATTICE_LOCK_LOCAL_URL=server.url,
        )
    assert (outcome.code, server.requests) == (1, [])
    assert "error[LL-520]" in outcome.err


def test_check_shows_the_order(lattice_lock: Callable[..., Outcome], tmp_path: Path) -> None:
    """The steps are listed by when they run, with what each needs, for people and programs."""
    path = str(tmp_path / _panel(tmp_path))
    text = lattice_lock("chain", "check", path)
    assert (text.code, text.err) == (0, "")
    rows = [line.split("  ") for line in text.out.splitlines()]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows[2:5]] == [
        ["1", "plan", "once", "chosen", "-"],
        ["2", "write", "for each of plan", "chosen", "plan"],
        ["3", "join", "once", "local/own", "write"],
    ]
    assert text.out.endswith("Inputs: topic, tone (optional). Output: join.\n")
    told: Any = lattice_lock("chain", "check", path, "--format", "json").json
    assert [(step["id"], step["stage"], step["needs"]) for step in told["steps"]] == [
        ("plan", 1, []), ("write", 2, ["plan"]), ("join", 3, ["write"])
    ]  # fmt: skip
    assert told["inputs"] == [
        {"name": "topic", "default": None},
        {"name": "tone", "default": "kind"},
    ]
    assert (told["output"], told["steps"][2]["model"]) == ("join", "local/own")


def test_check_finds_what_is_wrong(lattice_lock: Callable[..., Outcome], tmp_path: Path) -> None:
    """A chain that cannot run is code 2 with the place, as text and as JSON."""
    path = tmp_path / "wrong.yaml"
    path.write_text(_PANEL.replace("for_each: plan", "for_each: plam"), encoding="utf-8")
    text = lattice_lock("chain", "check", str(path))
    assert (text.code, text.out) == (2, "")
    assert "wrong.yaml:8:15: There is no step `plam`. Did you mean `plan`?" in text.err
    told = lattice_lock("chain", "check", str(path), "--format", "json")
    assert (told.code, told.json["error"]["code"]) == (2, "LL-544")
    assert lattice_lock("chain", "check", "nowhere").code == 2


def test_list_shows_ready_chains(lattice_lock: Callable[..., Outcome]) -> None:
    """What ships is listed with its inputs, and can be checked by name."""
    text = lattice_lock("chain", "list")
    assert (text.code, "draft-then-refine" in text.out) == (0, True)
    (first, *_) = lattice_lock("chain", "list", "--format", "json").json["chains"]
    assert (first["name"], first["inputs"]) == ("draft-then-refine", ["task"])
    assert first["steps"] == ["draft", "critique", "refine"]
    assert lattice_lock("chain", "check", "draft-then-refine").code == 0
