"""`lattice-lock gauntlet` with `--strength` and with `--symbolic`."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import pytest

from command_process import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sandbox

_SHOP = """\
from lattice_lock.gauntlet.decorators import ensures, requires


@requires("n >= 0")
@ensures("result >= n")
def grown(n: int) -> int:
    return n + 5
"""


async def test_survivors_are_shown_with_what_is_missing(tmp_path: Path) -> None:
    """Change, place, missing clause and input are told; without a minimum the exit code is 0."""
    (tmp_path / "shop.py").write_text(_SHOP)
    done = await run(tmp_path, "gauntlet", "shop.py", "--strength", "--max-mutants", "5")
    assert (done.code, done.err) == (0, "Judging mutants ...\n")
    assert [line.split() for line in done.out.splitlines()[:1]] == [
        ["function", "killed", "timed", "out", "survived", "equivalent", "possible"]
    ]
    assert (
        "shop.py:7 survived: operand dropped\n"
        "    -    return n + 5\n"
        "    +    return n\n"
        "  Both are allowed by what `grown` says of `result`: `result >= n`.\n"
        "  `result` is 0 instead of 5\n"
        "  with n=0\n"
    ) in done.out
    assert done.out.splitlines()[-1].startswith("Strength: 0.")
    assert (tmp_path / "shop.py").read_text() == _SHOP


async def test_a_minimum_makes_the_command_fail(tmp_path: Path) -> None:
    """Below `--min-strength` the exit code is 1, and the JSON report tells every mutant."""
    (tmp_path / "shop.py").write_text(_SHOP)
    options = ("--strength", "--min-strength", "0.9", "--max-mutants", "4", "--format", "json")
    done = await run(tmp_path, "gauntlet", "shop.py", *options)
    assert done.code == 1
    (function,) = done.json["functions"]
    assert function["killed"] + function["survived"] + function["probably_equivalent"] == 4
    assert done.json["score"] == function["killed"] / (function["killed"] + function["survived"])
    assert {one["fate"] for one in function["mutants"]} <= {
        "killed",
        "survived",
        "probably equivalent",
        "timed out",
    }


async def test_the_page_shows_what_the_command_prints(tmp_path: Path, root: Path) -> None:
    """The example of the how-to page has the survivor that the page shows."""
    page = (root / "docs/how-to/measure-contract-strength.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown = page[page.index("    shop.py:15 survived") : page.index("\nAdd `@ensures")]
    (tmp_path / "shop.py").write_text(code)
    done = await run(tmp_path, "gauntlet", "shop.py", "--strength")
    assert textwrap.dedent(shown) in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("shop.py", "--min-strength", "0.5"), "`--min-strength` says nothing without"),
        (("shop.py", "--strength", "--symbolic"), "do not go together"),
        (("shop.py", "--strength", "-m", "none"), "nothing named `none` has a contract"),
        (("shop.py", "--strength", "--min-strength", "2"), "0<=x<=1"),
    ],
)
async def test_wrong_use_is_explained(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """Exit code 2 and a message that names what is wrong."""
    (tmp_path / "shop.py").write_text(_SHOP)
    done = await run(tmp_path, "gauntlet", *arguments)
    assert done.code == 2
    assert told in done.err


async def test_a_lattice_has_no_symbolic_engine(tmp_path: Path) -> None:
    """The option is refused where contracts stand in a lattice."""
    (tmp_path / "lattice.yaml").write_text("version: v1.0\ngenerated_module: types_v1\n")
    done = await run(tmp_path, "gauntlet", "--symbolic")
    assert done.code == 2
    assert "`--symbolic` is for contracts that stand beside code" in done.err
