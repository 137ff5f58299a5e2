"""The outline of a file says of its functions what the tree says, or nothing."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.sheriff.context import SourceFile
from lattice_lock.sheriff.outline import Outline, Parameter, Signature

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = (
    *("a", "b: int", "c=1", "d: 'x' = ')'", "e=(1, [2, {3: 4}])", "f: dict[str, int] = {}"),
    *("g=lambda x, y: x", 'h="it\'s \\" ok"', "i=f'{1}'", "j: a.b", "k=-1.5", "l=x == y"),
    *("m  =  1  # a, comment: )", 'n="""),"""', "o=r'\\d'", "p: int | None=None", "q=''"),
)


def _outline(text: str) -> Outline:
    return Outline(SourceFile(path="a.py", module="a", text=text))


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Parameter]:
    def given(stars: str, arguments: list[ast.arg]) -> Iterator[Parameter]:
        for each in arguments:
            yield Parameter(stars, each.arg, each.annotation is not None)

    arguments = node.args
    yield from given("", arguments.posonlyargs)
    if arguments.posonlyargs:
        yield Parameter("/", "", is_annotated=False)
    yield from given("", arguments.args)
    if arguments.vararg is not None:
        yield from given("*", [arguments.vararg])
    elif arguments.kwonlyargs:
        yield Parameter("*", "", is_annotated=False)
    yield from given("", arguments.kwonlyargs)
    if arguments.kwarg is not None:
        yield from given("**", [arguments.kwarg])


def _signatures(tree: ast.Module) -> Iterator[Signature]:
    """What the tree says."""
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, in_class = pending.pop()
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Signature(in_class, tuple(_parameters(node)), node.returns is not None)
        inner = isinstance(node, ast.ClassDef) or (in_class and not is_function)
        pending += [(child, inner) for child in ast.iter_child_nodes(node)]


def _assert_agrees(text: str) -> list[Signature | None]:
    found = list(_outline(text).signatures())
    expected = set(_signatures(ast.parse(text)))
    assert {each for each in found if each is not None} <= expected
    if None not in found:
        assert set(found) == expected
    return found


@given(
    parts=st.lists(st.sampled_from(_PARTS), max_size=4, unique=True),
    start=st.sampled_from(["", "self, ", "z, /, ", "*args, ", "*, y, ", "*args: int, **kw, "]),
    layout=st.sampled_from([", ", ",\n    ", " ,  ", ", # why (\n    ", ",\\\n  "]),
    returns=st.sampled_from(["", " -> int", "->'x'", " -> (\n  int\n)"]),
    where=st.sampled_from(["{}", "class A:\n {}", "if x:\n  async {}", "class A:\n if x:\n  {}"]),
)
def test_a_header_is_read_as_the_tree_has_it(
    parts: list[str], start: str, layout: str, returns: str, where: str
) -> None:
    """Whatever stands in a header, the outline says of it what the tree says, or nothing."""
    parts = [f"{part}\n" if "#" in part else part for part in parts]
    text = where.format(f"def f({start}{layout.join(parts)}){returns}: pass\n")
    try:
        ast.parse(text)
    except SyntaxError:
        assert not _outline(text).is_parsable
        return
    _assert_agrees(text)


@pytest.mark.parametrize(
    "text",
    [
        "def f() -> int:\n    def g(a): pass\n    return lambda x: x\n",
        "@decorated(\n  1\n)\ndef f(a): return [x for x in a]\n",
        "x = '''\ndef f(a): pass\n'''\ndef g(b: int) -> None: pass\n",
        "class A:\r\n    def f(self, a: int) -> int:\r\n        return a\r\n",
        "def f(a): pass\rdef g(b: int): pass\r",
        "def genexpr(a): return (x for x in a)\n",
        "\fdef f(größe): pass\n",
        "async  def f(a): pass\n",
        "async def f(\n    a,  # first\n    *,\n    b: int = 2,\n) -> None: pass\n",
    ],
)
def test_a_file_is_read_as_the_tree_has_it(text: str) -> None:
    """Nested, decorated and quoted functions are told apart, however lines end."""
    assert None not in _assert_agrees(text)


@pytest.mark.parametrize(
    "header",
    ["def f(a=lambda x, y: x): pass", "def f(a=f'{1}'): pass", "def \\\n f(): pass"],
)
def test_an_unclear_header_is_none(header: str) -> None:
    """Where commas and quotes may not be what they seem, nothing is said."""
    assert list(_outline(f"{header}\n").signatures()) == [None]


@pytest.mark.parametrize("text", ["def f(:\n", "x = 1\n\0", "# coding: latin-1\n", "x = '\ud800'"])
def test_what_cannot_be_examined_has_no_outline(text: str) -> None:
    """A text that is no Python source, or is not read as UTF-8, is not parsable."""
    outline = _outline(text)
    assert not outline.is_parsable
    assert list(outline.signatures()) == [None]
