"""The tools themselves, without the protocol."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.project import find_project
from lattice_lock.exceptions import (
    GauntletError,
    LatticeError,
    ProjectBusyError,
    ProjectError,
    UsageError,
)
from lattice_lock.mcp.tools import (
    CheckArguments,
    CompileArguments,
    ExplainArguments,
    ProjectTools,
    ProposalArguments,
    RunContractArguments,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def tools(project: Path) -> ProjectTools:
    """The tools of the project."""
    return ProjectTools(find_project(project))


async def _lattice(project: Path, old: str, new: str) -> str:
    """The text of the lattice with one change."""
    text = await asyncio.to_thread((project / "lattice.yaml").read_text)
    assert old in text
    return text.replace(old, new, 1)


def _content(project: Path) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}


async def test_check_of_a_good_project_passes(project: Path, tools: ProjectTools) -> None:
    """Nothing is found, and nothing is written."""
    before = await asyncio.to_thread(_content, project)
    answer = await tools.check(CheckArguments())
    assert answer.text.startswith("Everything holds: ")
    assert answer.data["passed"] is True
    assert await asyncio.to_thread(_content, project) == before


async def test_check_tells_drift_violation_and_counterexample(
    project: Path, tools: ProjectTools
) -> None:
    """Each kind of finding is in the text with its place, and in the data."""
    source = project / "src" / "twice.py"
    text = await asyncio.to_thread(source.read_text)
    await asyncio.to_thread(source.write_text, text.replace("number * 2", "number * 3"))
    await asyncio.to_thread((project / "src" / "wire.py").write_text, "import requests\n")
    changed = await _lattice(project, "le: 9", "le: 8")
    await asyncio.to_thread((project / "lattice.yaml").write_text, changed)
    answer = await tools.check(CheckArguments())
    assert answer.text.startswith("Not everything holds: ")
    assert "src/wire.py:1:8 forbidden-import" in answer.text
    assert "ITwice.double refuted" in answer.text
    assert "number=1" in answer.text
    assert "`interfaces.ITwice.methods.double.params.number` changed" in answer.text
    counts = answer.data["counts"]
    assert isinstance(counts, dict)
    assert (counts["violations"] > 0, counts["drift"] > 0, counts["verdicts"]) == (True, True, 1)


async def test_long_answers_are_cut_and_say_so(project: Path, tools: ProjectTools) -> None:
    """Fifty findings of a kind are shown, and all are counted."""
    lines = "import requests\n" * 60
    await asyncio.to_thread((project / "src" / "wire.py").write_text, lines)
    answer = await tools.check(CheckArguments())
    violations = answer.data["violations"]
    assert isinstance(violations, list)
    assert len(violations) == 50
    assert "... and 10 more violations." in answer.text
    assert answer.data["passed"] is False


async def test_check_is_given_up_after_its_time(project: Path) -> None:
    """The limit ends the call with an error that says what to do."""
    hasty = ProjectTools(await asyncio.to_thread(find_project, project), timeout_s=0)
    with pytest.raises(GauntletError, match="given up") as caught:
        await hasty.check(CheckArguments())
    assert "run_contract" in str(caught.value.hint)


async def test_compile_writes_only_when_asked_to(project: Path, tools: ProjectTools) -> None:
    """With `check_only` files are listed and stay; without it they are written."""
    generated = project / "src" / "shared" / "types_v1_interfaces.py"
    await asyncio.to_thread(generated.unlink)
    answer = await tools.compile(CompileArguments(check_only=True))
    assert answer.data["changed"] == ("src/shared/types_v1_interfaces.py",)
    assert not await asyncio.to_thread(generated.exists)
    assert (await tools.compile(CompileArguments())).data["written"] is True
    assert await asyncio.to_thread(generated.exists)
    assert "up to date" in (await tools.compile(CompileArguments())).text


async def test_compile_yields_to_a_command_that_holds_the_project(
    project: Path, tools: ProjectTools
) -> None:
    """While another process changes the project, nothing is written and the error is retryable."""
    descriptor = await asyncio.to_thread(os.open, project, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(ProjectBusyError) as caught:
            await tools.compile(CompileArguments())
    finally:
        os.close(descriptor)
    assert caught.value.retryable


async def test_calls_at_once_take_turns(tools: ProjectTools) -> None:
    """Several compilations at once all succeed, as each waits for the one before."""
    answers = await asyncio.gather(*(tools.compile(CompileArguments()) for _ in range(8)))
    assert all("up to date" in answer.text for answer in answers)


async def test_good_proposal_is_shown_and_not_written(project: Path, tools: ProjectTools) -> None:
    """A change that loads is answered with its diff, in either form, and writes nothing."""
    before = await asyncio.to_thread(_content, project)
    new = await _lattice(project, "le: 9", "le: 99")
    whole = await tools.propose_lattice_change(ProposalArguments(lattice=new))
    assert whole.data["valid"] is True
    diff = str(whole.data["diff"])
    assert "+        params: {number: {type: int, ge: 0, le: 99}}" in diff
    assert await tools.propose_lattice_change(ProposalArguments(patch=diff)) == whole
    assert await asyncio.to_thread(_content, project) == before


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("type: int", "type: integer", (9, 33)),
        ("result == number + number", "result == nummer", (11, 30)),
        ("result == number + number", "number >= 0", (11, 20)),
    ],
)
async def test_every_problem_of_a_proposal_has_its_place(
    old: str, new: str, place: tuple[int, int], project: Path, tools: ProjectTools
) -> None:
    """What cannot be loaded or compiled is told by file, line and column."""
    text = await _lattice(project, old, new)
    answer = await tools.propose_lattice_change(ProposalArguments(lattice=text))
    assert answer.data["valid"] is False
    problems = answer.data["problems"]
    assert isinstance(problems, list)
    assert [(one["file"], one["line"]) for one in problems] == [("lattice.yaml", place[0])]
    assert f"lattice.yaml:{place[0]}:{place[1]}: " in answer.text


@pytest.mark.parametrize(
    "arguments",
    [
        ProposalArguments(),
        ProposalArguments(lattice="a", patch="b"),
        ProposalArguments(lattice="a" * (1024 * 1024 + 1)),
        ProposalArguments(patch="not a diff"),
    ],
    ids=["neither", "both", "huge", "no diff"],
)
async def test_proposal_in_no_known_form_is_refused(
    arguments: ProposalArguments, tools: ProjectTools
) -> None:
    """Exactly one form, of bounded length, and a diff that is one."""
    with pytest.raises(UsageError):
        await tools.propose_lattice_change(arguments)


async def test_run_contract_judges_one_method(tools: ProjectTools) -> None:
    """The verdict counts examples, and a method that is not declared is refused."""
    answer = await tools.run_contract(RunContractArguments(method="ITwice.double"))
    assert answer.data["passed"] is True
    assert re.fullmatch("`ITwice.double` keeps its contract in [1-9][0-9]* examples.", answer.text)
    with pytest.raises(UsageError, match=r"ITwice\.triple"):
        await tools.run_contract(RunContractArguments(method="ITwice.triple"))


async def test_explain_answers_with_a_page(tools: ProjectTools) -> None:
    """The page is text and data alike."""
    answer = await tools.explain(ExplainArguments(name="LL-132"))
    assert answer.text == answer.data["page"]


async def test_broken_lattice_is_an_error_with_places(project: Path, tools: ProjectTools) -> None:
    """A lattice that cannot be loaded fails the call, and its text can still be read."""
    await asyncio.to_thread((project / "lattice.yaml").write_text, "version: [\n")
    with pytest.raises(LatticeError) as caught:
        await tools.check(CheckArguments())
    assert caught.value.problems
    assert await tools.lattice_text() == "version: [\n"
    await asyncio.to_thread((project / "lattice.yaml").write_bytes, b"\xff")
    with pytest.raises(ProjectError):
        await tools.lattice_text()
