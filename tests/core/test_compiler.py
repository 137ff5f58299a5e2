"""Compiling: pure, deterministic, and what it writes works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lattice_lock.core.compiler import Compilation, compile_lattice
from lattice_lock.core.loader import parse_lattice
from lattice_lock.exceptions import (
    CompileError,
    UnsupportedByTargetError,
    VacuousContractError,
)

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())


def compiled(text: str) -> Compilation:
    """What a lattice's text compiles to."""
    return compile_lattice(parse_lattice(text, file="lattice.yaml"))


def lattice_with(fields: str = "{name: str}", method: str = "params: {}, returns: int") -> str:
    """A small lattice with one entity and one method."""
    return (
        "version: v1.0\ngenerated_module: types_v1\n"
        f"entities:\n  Item:\n    fields: {fields}\n"
        "interfaces:\n  IShop:\n    file: src/services/shop.py\n    methods:\n"
        f"      total: {{{method}}}\n"
    )


@pytest.mark.parametrize("case", CASES)
def test_every_file_equals_its_golden_form(case: str) -> None:
    """A change of what is generated shows in review; run `golden/update.py`."""
    folder = GOLDEN / case
    found = compiled((folder / "lattice.yaml").read_text())
    texts = {**found.generated, **found.scaffolds}
    expected = {
        str(path.relative_to(folder / "expected")): path.read_text()
        for path in (folder / "expected").rglob("*.py")
    }
    assert texts == expected


def test_the_hash_seed_does_not_matter() -> None:
    """Two interpreters with different hash seeds write the same bytes."""
    program = (
        "import sys; from pathlib import Path\n"
        "from lattice_lock.core.compiler import compile_lattice\n"
        "from lattice_lock.core.elements import describe_elements\n"
        "from lattice_lock.core.loader import load_lattice\n"
        "lattice = load_lattice(Path(sys.argv[1])); done = compile_lattice(lattice)\n"
        "print(list({**done.generated, **done.scaffolds}.items()), describe_elements(lattice))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, str(GOLDEN / "exchange" / "lattice.yaml")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert "class LimitOrder" in outputs.pop()


@pytest.mark.parametrize("name", ["Decimal", "Field", "TypeAdapter"])
def test_a_name_that_generated_code_needs_is_refused(name: str) -> None:
    """An entity called like an imported class would hide it."""
    text = lattice_with().replace("  Item:", f"  {name}:")
    with pytest.raises(UnsupportedByTargetError, match=rf"lattice\.yaml:4:3: .*`{name}`"):
        compiled(text)


def test_two_interfaces_may_share_a_file() -> None:
    """The scaffold then holds both classes."""
    text = lattice_with() + (
        "  ITill:\n    file: src/services/shop.py\n    methods:\n"
        "      count: {params: {}, returns: int}\n"
    )
    scaffold = compiled(text).scaffolds["src/services/shop.py"]
    assert "class Shop(IShop):" in scaffold
    assert "class Till(ITill):" in scaffold


def test_two_interfaces_with_one_contract_file_are_refused() -> None:
    """`IShop` and `I_Shop` would write the same tests."""
    text = lattice_with() + (
        "  I_Shop:\n    file: src/services/other.py\n    methods:\n"
        "      count: {params: {}, returns: int}\n"
    )
    with pytest.raises(CompileError, match="`I_Shop` and `IShop` share the contract file"):
        compiled(text)


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ('params: {n: int}, returns: int, requires: ["n > 5", "n < 3"]', "No input was found"),
        ('params: {n: int}, returns: int, ensures: ["result == result"]', "cannot fail"),
        ('params: {n: {type: int, ge: 0}}, returns: int, ensures: ["n >= 0"]', "cannot fail"),
    ],
)
def test_a_contract_that_tests_nothing_is_refused(method: str, reason: str) -> None:
    """No input satisfies it, or nothing can break it."""
    with pytest.raises(VacuousContractError, match=reason):
        compiled(lattice_with(method=method))


def test_what_has_no_contract_is_said() -> None:
    """A method without a contract compiles, with a warning that names it."""
    warnings = [str(one) for one in compiled(lattice_with()).warnings]
    assert any("`IShop.total` has no contract" in one for one in warnings)


def test_a_field_named_like_its_type_keeps_its_type(tmp_path: Path) -> None:
    """`date: date | null` with a default must not turn later annotations into None."""
    text = lattice_with(fields="{date: {type: date | null, default: null}, due: date}")
    written = compiled(text).generated["src/shared/types_v1.py"]
    program = (
        "from types_v1 import Item; from datetime import date\n"
        "print(Item(date=date(2024, 1, 2), due=date(2024, 1, 3)))\n"
    )
    (tmp_path / "types_v1.py").write_text(written)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "datetime.date(2024, 1, 3)" in done.stdout, done.stderr


def test_a_field_named_like_a_built_in_class_hides_it_from_nothing(tmp_path: Path) -> None:
    """Types and defaults after a field called `list` still mean the class."""
    fields = "{list: {type: 'list[int]', default: []}, more: {type: 'list[str]', default: []}}"
    (tmp_path / "types_v1.py").write_text(
        compiled(lattice_with(fields=fields)).generated["src/shared/types_v1.py"]
    )
    program = "from types_v1 import Item; print(Item(list=[1], more=['a']), Item())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "list=[1] more=['a'] list=[] more=[]\n", done.stderr
