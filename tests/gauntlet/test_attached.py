"""Contracts on existing code: real workers in the real sandbox, right and wrong programs."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from contract_pairs import programs
from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet.attached import (
    AttachedLimits,
    find_contract_files,
    judge_files,
    select,
)
from lattice_lock.gauntlet.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.gauntlet.verdict import GauntletReport, TestVerdict

_PAGES = sorted(Path(__file__).with_name("pairs").glob("*.md"))
_QUICK = AttachedLimits(max_examples=250)
_PER_PAGE = 4
_HEAD = """
from __future__ import annotations
from icontract import DBC, ensure, invariant, require, snapshot
from lattice_lock.gauntlet.decorators import ensures, raises, requires
"""


def _reports(path: Path, *, seed: int = 0) -> Mapping[str, GauntletReport]:
    return asyncio.run(judge_files(find_contract_files(path), seed=seed, limits=_QUICK))


def _judge(folder: Path, code: str, *, seed: int = 0) -> dict[str, TestVerdict]:
    path = folder / "program.py"
    path.write_text(_HEAD + textwrap.dedent(code), encoding="utf-8")
    (report,) = _reports(path, seed=seed).values()
    return {verdict.method: verdict for verdict in report.verdicts}


@pytest.mark.sandbox
@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_right_programs_pass_and_wrong_ones_are_refuted(page: Path, tmp_path: Path) -> None:
    """The first programs of every page: none that is right is refuted, all that are wrong are."""
    chosen = list(programs(page))[:_PER_PAGE]
    for name, _, text in chosen:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    reports = _reports(tmp_path)
    for name, is_right, _ in chosen:
        verdicts = reports[str(tmp_path / f"{name}.py")].verdicts
        outcomes = {verdict.outcome for verdict in verdicts}
        assert outcomes == {Outcome.PASSED} if is_right else Outcome.REFUTED in outcomes, verdicts


@pytest.mark.sandbox
def test_each_outcome_is_told_apart(tmp_path: Path) -> None:
    """Passed, refuted, vacuous and error, each with what there is to say about it."""
    found = _judge(
        tmp_path,
        """
        @requires("n > 0")
        @ensures("result > n")
        def good(n: int) -> int:
            return n + 1

        @ensures("result == x")
        def wrong(x: int) -> int:
            return x if x < 1234 else 0

        @requires("n > 5")
        @requires("n < 3")
        def never(n: int) -> int:
            return n

        @ensures("result")
        def endless(n: int) -> int:
            while True:
                pass

        @ensures("result")
        def leaves(n: int) -> int:
            import os
            os._exit(0)

        @ensures("result")
        def peeks(n: int) -> int:
            return len(open("/etc/passwd").read())

        @requires("n >")
        def unreadable(n: int) -> int:
            return n

        def outer():
            @requires("n > 0")
            def inner(n: int) -> int:
                return n
        """,
    )
    assert {name: verdict.outcome.value for name, verdict in found.items()} == {
        "good": "passed",
        "wrong": "refuted",
        "never": "vacuous",
        "endless": "error",
        "leaves": "error",
        "peeks": "error",
        "unreadable": "error",
        "outer.<locals>.inner": "error",
    }
    assert found["good"].examples > 100
    assert found["wrong"].counterexample == "x=1234"
    assert found["wrong"].clause == "result == x"
    assert found["wrong"].message == "broke `result == x`; returned 0"
    assert "took longer than 0.5 s with n=" in found["endless"].message
    assert "exit status 0" in found["leaves"].message
    assert "tried to open `/etc/passwd`" in found["peeks"].message
    assert "is no expression" in found["unreadable"].message
    assert "met the preconditions" in found["never"].message


@pytest.mark.sandbox
def test_inputs_meet_preconditions_by_construction(tmp_path: Path) -> None:
    """Preconditions that chance hardly ever meets leave hundreds of examples."""
    found = _judge(
        tmp_path,
        r"""
        import re

        @requires("10**9 < n < 10**9 + 50 and n % 7 == 3")
        def bounded(n: int) -> None: ...

        @requires("len(xs) > 5 and xs == sorted(xs) and len(set(xs)) == len(xs)")
        @requires("0 <= i < len(xs)")
        def ordered(xs: list[int], i: int) -> None: ...

        @require(lambda s: re.fullmatch(r"[A-Z]{3}-\d{4}(-x)?", s))
        def matching(s: str) -> None: ...

        @requires("len(a) == len(b) == 4 and all(x > 100 for x in a)")
        def paired(a: list[int], b: list[str]) -> None: ...

        @requires("len(m) > 1 and all(len(row) == len(m[0]) for row in m)")
        @requires("all(0 <= c <= 3 for row in m for c in row)")
        def matrix(m: list[list[int]]) -> None: ...

        @requires("all(n in g for ns in g.values() for n in ns) and start in g")
        def graph(g: dict[int, list[int]], start: int) -> None: ...

        @requires("low + 10 < high and x in (low, high)")
        def related(x: int, low: int, high: int) -> None: ...

        @requires("s.isdigit() and len(s) == 8 and s.startswith('19')")
        def digits(s: str) -> None: ...

        @require(lambda text: set(text) <= set("ACGT"))
        @require(lambda text: len(text) > 6)
        def alphabet(text: str) -> None: ...
        """,
    )
    assert {name: verdict.outcome.value for name, verdict in found.items()} == dict.fromkeys(
        found, "passed"
    )
    assert {
        name: verdict.examples for name, verdict in found.items() if verdict.examples < 100
    } == {}


@pytest.mark.sandbox
def test_values_come_from_every_kind_of_annotation(tmp_path: Path) -> None:
    """The standard types, and classes that are made by calling them."""
    found = _judge(
        tmp_path,
        """
        import enum
        from collections import deque
        from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
        from dataclasses import dataclass
        from datetime import date
        from decimal import Decimal
        from typing import Any, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

        class Colour(enum.Enum):
            RED = 1
            BLUE = 2

        class Point(NamedTuple):
            x: int
            y: int = 0

        class Person(TypedDict, total=False):
            name: str
            age: int

        @dataclass
        class Tree:
            value: int
            left: Optional["Tree"] = None

        Key = NewType("Key", str)
        T = TypeVar("T")

        @ensures("isinstance(c, Colour) and isinstance(p, Point) and isinstance(who, dict)")
        @ensures("isinstance(t, Tree) and isinstance(key, str)")
        def classes(c: Colour, p: Point, who: Person, t: Tree, key: Key) -> None: ...

        @ensures("a is None or isinstance(a, int)")
        @ensures("isinstance(b, (int, str)) and c in ('x', 3)")
        def unions(a: Optional[int], b: Union[int, str], c: Literal["x", 3]) -> None: ...

        @ensures("type(a) is tuple and len(b) == 2 and type(c) is set and type(d) is frozenset")
        @ensures("all(isinstance(k, str) for k in e) and type(f) is deque")
        def containers(
            a: tuple[int, ...], b: tuple[int, str], c: set[int], d: frozenset[str],
            e: Mapping[str, int], f: deque[int],
        ) -> None: ...

        @ensures("isinstance(a, Decimal) and isinstance(b, date) and isinstance(c, bytes)")
        @ensures("isinstance(d, bool) and isinstance(e, float) and e == e")
        def scalars(a: Decimal, b: date, c: bytes, d: bool, e: float) -> None: ...

        @ensures("len(result) == len(xs)")
        def functions(f: Callable[[int], int], xs: Sequence[int]) -> list[int]:
            return [f(x) for x in xs]

        @ensures("result == sum(xs) + len(more)")
        def variadic(*xs: int, **more: int) -> int:
            return sum(xs) + len(more)

        @ensures("result == xs[::-1]")
        def unknown(xs):
            return list(reversed(xs)) if isinstance(xs, list) else xs[::-1]

        @ensures("result is x")
        def anything(x: Any, y: T = None) -> Any:
            return x

        @ensures("result == n")
        async def waits(n: int) -> int:
            return n

        @ensures("result == list(range(n))")
        def yields(n: int) -> Iterator[int]:
            yield from range(n)

        class Opaque:
            def __init__(self, handle: "Nowhere") -> None: ...

        @ensures("True")
        def made_of_nothing(x: type(NotImplemented)) -> None: ...
        """,
    )
    assert found.pop("made_of_nothing").outcome is Outcome.ERROR
    assert {name: v.message for name, v in found.items() if v.outcome is not Outcome.PASSED} == {}


@pytest.mark.sandbox
def test_what_counts_as_a_wrong_exception(tmp_path: Path) -> None:
    """Undeclared ones do; declared ones, and wrong types for untyped parameters, do not."""
    found = _judge(
        tmp_path,
        '''
        @ensures("True")
        def undeclared(d: dict[str, int]) -> int:
            return d["key"]

        @raises(ZeroDivisionError, "y == 0")
        def declared(x: int, y: int) -> float:
            return x / y

        @raises(ValueError, "x < 0")
        def silent(x: int) -> int:
            return x

        @ensures("True")
        def google(x: int) -> int:
            """Give it back.

            Raises:
                ValueError: it is negative.
            """
            if x < 0:
                raise ValueError
            return x

        @ensures("True")
        def sphinx(x: int) -> int:
            """Give it back.

            :raises ValueError: it is negative.
            """
            if x < 0:
                raise ValueError
            return x

        @ensures("True")
        def untyped(x):
            return x + 1

        @ensures("True")
        def deep(n: int) -> int:
            return 0 if n <= 0 else 1 + deep(n - 1)

        @ensures("True")
        def bottomless(n: int) -> int:
            return bottomless(n + 1)

        @ensures("True")
        def exits(n: int) -> int:
            raise SystemExit
        ''',
    )
    refuted = {name for name, verdict in found.items() if verdict.outcome is Outcome.REFUTED}
    assert refuted == {"undeclared", "silent", "bottomless", "exits"}
    assert {verdict.outcome for name, verdict in found.items() if name not in refuted} == {
        Outcome.PASSED
    }
    assert "raised KeyError: 'key', at program.py:" in found["undeclared"].message
    assert "did not raise ValueError, though `x < 0`" in found["silent"].message


@pytest.mark.sandbox
def test_classes_are_tried_by_sequences_of_calls(tmp_path: Path) -> None:
    """An invariant that only a second call breaks is found, with the calls that do it."""
    found = _judge(
        tmp_path,
        """
        @invariant(lambda self: self.level < 3)
        class Tank:
            def __init__(self) -> None:
                self.level = 0

            def fill(self) -> None:
                self.level += 1

            def drain(self) -> None:
                self.level = 0

        @invariant(lambda self: len(self.items) <= 2)
        class Shelf(DBC):
            @require(lambda items: len(items) <= 2)
            def __init__(self, items: list[int]) -> None:
                self.items = items

            @require(lambda self: len(self.items) < 2)
            @snapshot(lambda self: len(self.items), name="count")
            @ensure(lambda self, OLD: len(self.items) == OLD.count + 1)
            def put(self, item: int) -> None:
                self.items.append(item)

        class Top(Shelf):
            def put(self, item: int) -> None:
                pass

        @ensures("result <= 2")
        def size(shelf: Shelf) -> int:
            return len(shelf.items)
        """,
    )
    assert found["Tank"].outcome is Outcome.REFUTED
    assert found["Tank"].counterexample == "Tank() after .fill() after .fill() after .fill()"
    assert {name: v.message for name, v in found.items() if v.outcome is not Outcome.PASSED} == {
        "Tank": "`fill` broke the invariant `self.level < 3`"
    }


@pytest.mark.sandbox
def test_state_that_outlives_a_call_is_found(tmp_path: Path) -> None:
    """A default that a function changes, and answers that differ for the same input."""
    found = _judge(
        tmp_path,
        """
        @ensures("result == [x]")
        def collects(x: int, into: list[int] = []) -> list[int]:
            into.append(x)
            return into

        CALLS = []

        @ensures("result == x")
        def tires(x: int) -> int:
            CALLS.append(x)
            return x + (len(CALLS) == 30)
        """,
    )
    assert {verdict.outcome for verdict in found.values()} == {Outcome.REFUTED}
    assert "though not at every call" in found["tires"].message


@pytest.mark.sandbox
def test_the_same_seed_finds_the_same(tmp_path: Path) -> None:
    """Two runs with one seed agree."""
    code = "@ensures('sum(xs) < 400')\ndef f(xs: list[int], s: str) -> int: return 1\n"
    first, second = [_judge(tmp_path, code, seed=7) for _ in range(2)]
    assert first == second
    assert first["f"].outcome is Outcome.REFUTED


@pytest.mark.sandbox
def test_a_file_that_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    """Every contract in it gets an error that says why."""
    found = _judge(tmp_path, "import nowhere_to_be_found\n@requires('x')\ndef f(x): ...\n")
    assert found["f"].outcome is Outcome.ERROR
    assert "cannot be imported: ModuleNotFoundError" in found["f"].message


@pytest.mark.sandbox
def test_modules_find_their_neighbours(tmp_path: Path) -> None:
    """A file in a package, one that hides a standard module, and imports from folders above."""
    package = tmp_path / "shop" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text("LIMIT = 3\n")
    head = "from lattice_lock.gauntlet.decorators import ensures\n"
    body = "@ensures('result == 3')\ndef f(x: int) -> int:\n    return LIMIT\n"
    (package / "queue.py").write_text(f"from . import LIMIT\n{head}{body}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "queue.py").write_text(f"from shop.inner import LIMIT\n{head}{body}")
    (tmp_path / "other" / "my-file.py").write_text(f"LIMIT = 3\n{head}{body}")
    reports = _reports(tmp_path)
    assert {Path(path).name: report.passed for path, report in reports.items()} == {
        "queue.py": True,
        "my-file.py": True,
    }
    assert len(reports) == 3
    assert all(report.passed for report in reports.values())


@pytest.mark.sandbox
def test_cancelling_ends_the_worker(tmp_path: Path) -> None:
    """A search that is cancelled leaves no process and no task behind."""
    path = tmp_path / "slow.py"
    path.write_text(
        f"{_HEAD}import time\n@ensures('True')\ndef f(x: int) -> None: time.sleep(60)\n",
        encoding="utf-8",
    )
    files = find_contract_files(path)

    async def cancel() -> None:
        task = asyncio.create_task(judge_files(files, seed=0))
        done, _ = await asyncio.wait([task], timeout=1.0)
        assert not done
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(cancel())
    children = Path("/proc/self/task").glob("*/children")
    running = {pid for each in children for pid in each.read_text().split()}
    commands = [Path("/proc", pid, "cmdline").read_bytes() for pid in running]
    assert not any(b"_attached_worker" in command for command in commands)


def test_contracts_are_found_by_reading(tmp_path: Path) -> None:
    """Whatever the decorators are called there, and nothing that only looks like them."""
    path = tmp_path / "program.py"
    path.write_text(
        textwrap.dedent(
            """
            import icontract as ic
            import lattice_lock.gauntlet.decorators
            from icontract import require as needs
            from elsewhere import ensure, requires

            @ic.ensure(lambda x: x)
            def one(x): ...

            @lattice_lock.gauntlet.decorators.ensures("x")
            async def two(x): ...

            if True:
                @needs(lambda x: x)
                def three(x): ...

            @ensure(lambda x: x)
            @requires("x")
            def not_ours(x): ...

            @ic.invariant(lambda self: True)
            class Four:
                class Inner:
                    @staticmethod
                    @needs(lambda x: x)
                    def five(x): ...
            """
        ),
        encoding="utf-8",
    )
    (file,) = find_contract_files(path)
    names = [target.name for target in file.targets]
    assert names == ["one", "two", "three", "Four", "Four.Inner.five"]
    (narrowed,) = select([file], ["Four"])
    assert [target.name for target in narrowed.targets] == ["Four", "Four.Inner.five"]
    with pytest.raises(UsageError, match="nothing named `six` has a contract"):
        select([file], ["six"])


def test_what_is_no_python_is_refused_only_when_named(tmp_path: Path) -> None:
    """A folder may hold templates; a file that was named must parse."""
    path = tmp_path / "broken.py"
    path.write_text("import icontract\ndef (", encoding="utf-8")
    assert find_contract_files(tmp_path) == ()
    with pytest.raises(UsageError, match="at line 2"):
        find_contract_files(path)
    with pytest.raises(UsageError, match="there is no"):
        find_contract_files(tmp_path / "none.py")
