"""`lattice-lock gauntlet PATH` on code that has no lattice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from command_process import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sandbox

_GOOD = """
from lattice_lock.gauntlet.decorators import ensures, requires


@requires("n >= 0")
@ensures("result == n * 2")
def double(n: int) -> int:
    return n + n


@requires("n >= 0")
@ensures("result == n * 3")
def triple(n: int) -> int:
    return n + n + n
"""
_WRONG = _GOOD.replace("return n + n\n", "return n + n if n != 321 else 0\n")


async def test_a_file_that_keeps_its_contracts_passes(tmp_path: Path) -> None:
    """The table says how many examples each contract held for, and the exit code is 0."""
    (tmp_path / "good.py").write_text(_GOOD)
    done = await run(tmp_path, "gauntlet", "good.py")
    assert (done.code, done.err) == (0, "Judging 2 contracts ...\n")
    assert [line.split()[:5] for line in done.out.splitlines()[2:4]] == [
        ["good.py", "double", "line", "7", "passed"],
        ["good.py", "triple", "line", "13", "passed"],
    ]


async def test_a_folder_is_searched_and_findings_are_told_as_json(tmp_path: Path) -> None:
    """Exit code 1, and every file with its verdicts, counterexample and broken condition."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "good.py").write_text(_GOOD)
    (tmp_path / "src" / "wrong.py").write_text(_WRONG)
    (tmp_path / "src" / "plain.py").write_text("x = 1\n")
    done = await run(tmp_path, "gauntlet", "src", "--format", "json", "--method", "double")
    assert done.code == 1
    assert {path: report["passed"] for path, report in done.json.items()} == {
        "src/good.py": True,
        "src/wrong.py": False,
    }
    (verdict,) = done.json["src/wrong.py"]["verdicts"]
    assert verdict | {"examples": 0} == {
        "test": "line 7",
        "method": "double",
        "outcome": "refuted",
        "examples": 0,
        "message": "broke `result == n * 2`; returned 0",
        "counterexample": "n=321",
        "clause": "result == n * 2",
        "suggestion": (
            "Change `double` so that `result == n * 2` holds here; if the answer is what you want,"
            " change the clause."
        ),
        "calls": [],
    }


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("x = 1\n", ("file.py",), "nothing in `file.py` has a contract"),
        ("def (", ("file.py",), "`file.py` is no Python that this interpreter understands"),
        ("x = 1\n", ("none.py",), "there is no `none.py`"),
        ("x = 1\n", (".",), "there is no `lattice.yaml` in `.`"),
        (_GOOD, ("file.py", "-m", "halve"), "nothing named `halve` has a contract"),
    ],
)
async def test_wrong_use_is_explained(
    tmp_path: Path, text: str, arguments: tuple[str, ...], told: str
) -> None:
    """Exit code 2 and a message that names what is wrong."""
    (tmp_path / "file.py").write_text(text)
    done = await run(tmp_path, "gauntlet", *arguments)
    assert done.code == 2
    assert told in done.err
