"""What holds whatever the text: every file has a verdict, at exact places, in linear work."""

from __future__ import annotations

import ast
import enum
import inspect
import itertools
import pickle
import subprocess
import sys
import typing
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.checker import SheriffContext, check_source, examine_source
from lattice_lock.sheriff.module import MAX_SOURCE_BYTES
from lattice_lock.sheriff.registry import load_rules
from lattice_lock.sheriff.rule import ModuleRule
from lattice_lock.sheriff.scopes import Walk

if TYPE_CHECKING:
    from types import ModuleType

    from tests.sheriff.conftest import Check

# Pieces that are rare in arbitrary text and common in trouble.
_PIECES = st.sampled_from(
    [
        "import requests",
        "from . import x",
        "from .... import *",
        "def f(a, /, *b: 'float', **c):",
        "class Shop(float):",
        "    def total(self, price: 'Decimal') -> \"list['",
        "x: list[()] = float",
        "x: TypeAlias = 'float['",
        "# lattice:ignore[forbidden-import]",
        "# lattice:ignore[",
        "__import__(name)",
        "name = f'{name}{'",
        "global float",
        "match x:\n    case {**float}: pass",
        "lambda: (yield)",
        "[float := 1 for _ in ()]",
        "\\",
        "'''",
        "(",
        "\x0c",
        "\r",
        "\u2028",
        "\ufeff",
        "\ud800",
        "\0",
        "é",
        "# coding: utf-7",
    ]
)
_TEXTS = st.one_of(
    st.text(),
    st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=12).map("\n".join),
    st.lists(_PIECES, max_size=8).map(" ".join),
)
_CONTEXT = SheriffContext(
    lattice=parse_lattice(
        """\
version: v1.0
generated_module: types_v1
config: {forbidden_imports: [requests, float]}
interfaces:
  IShop:
    file: src/shop.py
    methods:
      total: {params: {price: "decimal | null"}, returns: "dict[str, list[decimal]]"}
""",
        file="lattice.yaml",
    )
)


@settings(deadline=None)
@given(_TEXTS)
@example("name = f'{name}'\n__import__(name)")
@example("(\\\n):\\(=")
@example("@é")
@example("A = 'A'\nclass Shop:\n    def total(self, price: A) -> A: ...")
def test_any_text_has_a_verdict(text: str) -> None:
    """Whatever the text, the check ends, and every violation lies within the file."""
    found = check_source(_CONTEXT.source_file("src/shop.py", text), _CONTEXT)
    for violation in found:
        assert 1 <= violation.line <= text.count("\n") + text.count("\r") + 1
        assert 1 <= violation.column <= len(violation.excerpt) + 1
        start, end = (violation.line, violation.column), (violation.end_line, violation.end_column)
        assert start <= end


@settings(deadline=None)
@given(st.sampled_from(["dict[str, list[decimal]]", "decimal | null"]), _TEXTS)
def test_any_annotation_has_a_verdict(lattice_type: str, annotation: str) -> None:
    """Whatever is written as an annotation, in quotes or not, the check ends."""
    lattice = parse_lattice(
        "version: v1.0\ngenerated_module: t\nconfig: {forbidden_imports: [float]}\ninterfaces:\n"
        "  IShop: {file: src/shop.py, methods: {total: {params: {}, returns: "
        f"'{lattice_type}'}}}}}}\n",
        file="lattice.yaml",
    )
    context = SheriffContext(lattice=lattice)
    for written in (annotation, repr(annotation)):
        text = f"class Shop:\n    def total(self) -> {written}: ...\n"
        found = check_source(context.source_file("src/shop.py", text), context)
        assert {violation.rule for violation in found} & {
            "interface-conformance",
            "missing-annotation",
            "unparsable-file",
        }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("x = 1\ny = '\0'\n", 2, id="NUL"),
        pytest.param("x = 1\r\n\ny = '\ud800'", 3, id="lone surrogate"),
        pytest.param("#!/bin/python\n# -*- coding: latin-1 -*-\n", 1, id="other encoding"),
        pytest.param("# coding: klingon\n", 1, id="unknown encoding"),
        pytest.param("(" * 100_000, None, id="open brackets"),
        pytest.param("x = " + "(" * 5_000 + ")" * 5_000, None, id="nested brackets"),
        pytest.param("x = " + "-" * 100_000 + "1", None, id="nested operators"),
        pytest.param("x = " + "+".join("1" * 100_000), None, id="long sum"),
        pytest.param("x" + ".x" * 100_000, None, id="long attribute chain"),
        pytest.param("\n".join(" " * n + "if 1:" for n in range(500)), None, id="deep blocks"),
        pytest.param("x = 1\n" * (MAX_SOURCE_BYTES // 6 + 1), 1, id="too large"),
    ],
)
def test_what_cannot_be_examined_is_one_finding(check: Check, text: str, line: int | None) -> None:
    """A text that is no Python source, or too much of it, is reported and nothing else is."""
    (violation,) = check(text)
    assert (violation.rule, violation.id) == ("unparsable-file", "LLS000")
    assert line in {None, violation.line}
    assert violation.message
    assert violation.hint


@pytest.mark.parametrize("encoding", ["utf-8", "utf8", "UTF_8", "us-ascii"])
def test_declaring_utf_8_is_allowed(check: Check, encoding: str) -> None:
    """A `coding:` comment is no finding where Python reads the same text with it."""
    assert check(f"# -*- coding: {encoding} -*-\nx = 1\n") == ()


def test_a_large_file_within_the_limit_is_examined(check: Check) -> None:
    """Just below the size limit, the last line is still looked at."""
    filler = "# " + "x" * 997 + "\n"
    text = filler * ((MAX_SOURCE_BYTES - 100) // len(filler)) + "import requests\n"
    assert [violation.rule for violation in check(text)] == ["forbidden-import"]


def test_deprecated_syntax_is_no_concern_of_the_check(check: Check) -> None:
    """What Python only warns about neither stops the check nor leaks a warning."""
    assert check("x = '\\d'\ny = 1if 1else 2\n") == ()


def test_columns_count_characters(check: Check) -> None:
    """Columns count characters, not bytes, and the excerpt is the line as written."""
    (violation,) = check('x = "é😀"; y = float("1")\n')
    assert (violation.line, violation.column) == (1, 15)
    assert (violation.end_line, violation.end_column) == (1, 20)
    assert violation.excerpt[14:19] == "float"


def test_a_definition_is_reported_at_its_name(check: Check) -> None:
    """Decorators, `async` and blanks before the name do not move the report away from it."""
    (violation,) = check("@print\nasync  def  total (price: int): ...\n")
    assert (violation.line, violation.column, violation.end_column) == (2, 13, 18)


def test_a_definition_whose_name_is_on_another_line_is_reported_all_the_same(check: Check) -> None:
    """A continuation between `def` and the name leaves the report on the line of `def`."""
    (violation,) = check("def \\\n    total(price: int): ...\n")
    assert (violation.line, violation.column, violation.rule) == (1, 1, "missing-annotation")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of Python 3.12")
def test_type_parameters_and_aliases_are_understood(check: Check) -> None:
    """PEP 695: an alias hides no forbidden type, and a type parameter is no built-in."""
    text = """\
type Money = float
type Other[float] = list[float]
def total[T: float](price: Money, more: T) -> int: ...
def free[float](price: float) -> float: ...
class Box[float](list[float]):
    size: float
    def read(self) -> float: ...
def real(price: float) -> int: ...
"""
    assert [violation.line for violation in check(text)] == [1, 3, 8]


def test_line_endings_are_those_of_python(check: Check) -> None:
    """Carriage returns end lines, form feeds and other Unicode separators do not."""
    places = [(v.line, v.column) for v in check("x = '\u2028'\x0c\rimport requests\r\nfloat(1)")]
    assert places == [(2, 8), (3, 1)]


def test_violations_come_in_the_order_of_the_file(check: Check) -> None:
    """Violations are ordered by place, whichever rule found them."""
    found = check("def f(a): float(a)\nimport requests\ndef g(b) -> float: ...\n")
    places = [(violation.line, violation.column) for violation in found]
    assert places == sorted(places)
    assert [violation.id for violation in found] == [
        "LLS002",
        "LLS002",
        "LLS001",
        "LLS001",
        "LLS002",
        "LLS001",
    ]


def test_a_use_of_a_suppression_is_recorded(context: SheriffContext) -> None:
    """Each silenced rule is recorded with its reason and the number of its violations."""
    directive = "lattice:ignore[missing-annotation, missing-annotation]"
    text = f"def f(a, b): ...  # {directive}  a template calls it # noqa\n"
    report = examine_source(context.source_file("src/a.py", text), context)
    assert report.violations == ()
    assert [use.to_dict() for use in report.suppressions] == [
        {
            "file": "src/a.py",
            "line": 1,
            "rule": "missing-annotation",
            "reason": "a template calls it",
            "owner": None,
            "until": None,
            "suppressed": 3,
        }
    ]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("unparsable-file", "cannot be ignored"),
        ("no-such-rule", "there is no rule"),
        ("missing-annotation", "ignores nothing"),
    ],
)
def test_a_useless_suppression_says_why(check: Check, rules: str, words: str) -> None:
    """The message tells what cannot be ignored from what does not exist and what is not there."""
    (violation,) = check(f"x = 1  # lattice:ignore[{rules}] for a reason\n")
    assert words in violation.message


def test_a_type_that_only_looks_right_is_told_apart(check: Check) -> None:
    """Where the annotation reads like the lattice, the message names what it should mean."""
    text = "Decimal = int\nclass Shop:\n    def total(self, price: Decimal) -> 'Decimal': ...\n"
    for violation in check(text, "src/shop.py"):
        assert violation.rule == "interface-conformance"
        assert "not with the meaning of `decimal.Decimal`" in violation.message
    assert len(check(text, "src/shop.py")) == 2


def test_names_that_stand_for_each_other_are_given_up(check: Check) -> None:
    """Aliases in a circle, with two ways on at every step, end after each was seen once."""
    names = [f"a{n}" for n in range(30)]
    text = "".join(f"{a} = {b}\n" for a, b in itertools.permutations(names, 2))
    assert [violation.line for violation in check(f"{text}a0 = float\na3(1)\n")] == [872]


def test_results_travel_between_processes(context: SheriffContext) -> None:
    """Context, source and report survive pickling, as a pool of processes needs."""
    source = context.source_file("src/shop.py", "import requests")
    sent_source, sent_context = pickle.loads(pickle.dumps((source, context)))  # noqa: S301  # our own bytes
    report = examine_source(sent_source, sent_context)
    assert pickle.loads(pickle.dumps(report)) == examine_source(source, context)  # noqa: S301  # our own bytes


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("src/shop/orders.py", "shop.orders"),
        ("src/shop/__init__.py", "shop"),
        ("tests/test_orders.py", "tests.test_orders"),
        ("setup.py", "setup"),
        ("src/__init__.py", ""),
    ],
)
def test_module_names_start_at_the_source_root(
    context: SheriffContext, path: str, module: str
) -> None:
    """Files below the source root are named from there, others from the project."""
    assert context.source_file(path, "").module == module


_LINES = """\
import json as float_{n}
alias_{n} = float
def f_{n}(a: float, b: "list['float']" = float(1)) -> int:
    global g_{n}
    g_{n} = alias_{n}(a); x = [float(y) for y in (1, 2)]  # lattice:ignore[forbidden-import] why not
    return __import__("requests").get(x)
"""


def test_work_grows_linearly_with_the_file(check: Check) -> None:
    """Twice the lines make at most twice the calls, so that no rule is quadratic."""

    def calls(lines: int) -> int:
        text = "".join(_LINES.format(n=n) for n in range(lines))
        counted = 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal counted
            counted += event in {"call", "c_call"}

        check(text[:0])  # whatever is set up once
        previous = sys.getprofile()
        sys.setprofile(count)
        try:
            found = check(text)
        finally:
            sys.setprofile(previous)
        assert len(found) >= 4 * lines
        return counted

    assert calls(120) <= 2.1 * calls(60)


@pytest.mark.parametrize("module", [ast, enum, typing], ids=lambda module: module.__name__)
def test_the_walk_meets_every_node_once(module: ModuleType) -> None:
    """No definition, import or call of a real file is missed by the walk or met twice."""
    tree = ast.parse(inspect.getsource(module))
    wanted = frozenset().union(
        *(rule.node_types for rule in load_rules() if isinstance(rule, ModuleRule))
    )
    walk = Walk(tree, package=(), wanted=wanted)
    met = [id(node) for nodes in walk.nodes.values() for node, _ in nodes]
    assert sorted(met) == sorted(id(node) for node in ast.walk(tree) if type(node) in wanted)
    assert {ast.Call, ast.ClassDef, ast.FunctionDef, ast.Import} <= set(walk.nodes)


def test_the_check_needs_no_heavy_module() -> None:
    """Loading Sheriff with its rules loads neither pydantic nor YAML nor anything for networks."""
    heavy = ["pydantic", "yaml", "asyncio", "socket", "hypothesis", "rich"]
    script = (
        "import sys; before = set(sys.modules);"
        "from lattice_lock.sheriff import checker, registry; registry.load_rules();"
        f"print(*(name for name in {heavy} if name in set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
