"""The language server, as an editor sees it."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from language_client import Editor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _edited(action: Any, uri: str, text: str) -> str:
    """A text, of characters that each count as one, after what an action does."""
    lines = text.split("\n")
    starts = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]

    def offset(position: Any) -> int:
        return int(starts[position.line] + position.character)

    for edit in sorted(
        action.edit.changes[uri],
        key=lambda edit: (edit.range.start.line, edit.range.start.character),
        reverse=True,
    ):
        text = text[: offset(edit.range.start)] + edit.new_text + text[offset(edit.range.end) :]
    return text


async def test_what_is_typed_is_checked(editor: Editor, project: Path) -> None:
    """The text in the editor counts, saved or not; closing the document takes all back."""
    uri = editor.open(project / "src/shop.py")
    assert await editor.codes(uri) == []
    editor.type(uri, "import requests\n" + (project / "src/shop.py").read_text())
    found = await editor.published(uri)
    assert found.version == 2
    (diagnostic,) = found.diagnostics
    assert (diagnostic.code, diagnostic.source, diagnostic.severity) == (
        "forbidden-import",
        "lattice-lock",
        1,
    )
    assert "forbids" in diagnostic.message
    assert str(diagnostic.range) == "0:7-0:15"
    editor.close(uri)
    assert await editor.codes(uri) == []


async def test_a_rule_is_explained_on_a_page(editor: Editor, project: Path) -> None:
    """The code of a diagnostic links to a file that holds the page about its rule."""
    uri = editor.open(project / "src/a.py", "import requests\n")
    (diagnostic,) = (await editor.published(uri)).diagnostics
    path = urlsplit(diagnostic.code_description.href).path
    assert _page(path).startswith("# `forbidden-import` (LLS001)")
    assert not path.startswith(str(project))


def _page(path: str) -> str:
    return pathlib.Path(path).read_text(encoding="utf-8")


async def test_a_check_that_was_overtaken_is_dropped(editor: Editor, project: Path) -> None:
    """Of many changes in a row only the last is told of."""
    uri = editor.open(project / "src/a.py", "")
    assert await editor.codes(uri) == []
    for number in range(20):
        editor.type(uri, f"x = {number}\n" * number + "import requests\n")
    found = await editor.published(uri)
    assert (found.version, found.diagnostics[0].range.start.line) == (21, 19)
    assert await editor.actions(uri, 20)
    assert editor.pending(uri) == 0


@pytest.mark.parametrize(
    ("encodings", "column"), [(None, 14), (["utf-8"], 16), (["utf-32", "utf-16"], 13)]
)
async def test_columns_are_counted_as_the_editor_counts(
    encodings: list[str] | None, column: int, project: Path, tmp_path: Path
) -> None:
    """Places are in the units that were agreed on, UTF-16 where nothing was."""
    text = "'\N{GRINNING FACE}'; import requests\n\f\nimport requests\n"
    async with Editor.started(project, tmp_path / "cache", encodings=encodings) as editor:
        uri = editor.open(project / "src/a.py", text)
        first, second = (await editor.published(uri)).diagnostics
        assert str(first.range) == f"0:{column - 1}-0:{column + 7}"
        assert str(second.range) == "2:7-2:15"
        (action,) = await editor.actions(uri, 1)
        (edit,) = action.edit.changes[uri]
        assert edit.range.start.character == column + 7


async def test_certain_fixes_are_preferred(editor: Editor, project: Path) -> None:
    """A certain fix, and a comment that ignores the rule, are offered where the fault is."""
    text = "def f(a: int):\n    print(a)\n\n\nx = 1\n"
    uri = editor.open(project / "src/a.py", text)
    assert await editor.codes(uri) == ["missing-annotation"]
    fix, comment = await editor.actions(uri, 1, only=["quickfix"])
    assert (fix.title, fix.kind, fix.is_preferred) == ("Write `-> None`", "quickfix", True)
    assert fix.diagnostics[0].code == "missing-annotation"
    assert _edited(fix, uri, text) == text.replace("):", ") -> None:")
    assert not comment.is_preferred
    assert _edited(comment, uri, text).splitlines()[0] == (
        "def f(a: int):  # lattice:ignore[missing-annotation] "
    )
    assert await editor.actions(uri, 5, only=["quickfix"]) == []


async def test_what_is_not_certain_is_offered(editor: Editor, project: Path) -> None:
    """A likely fix is offered without being preferred."""
    text = (project / "src/shop.py").read_text().replace("order.price", "order.prices")
    uri = editor.open(project / "src/shop.py", text)
    assert await editor.codes(uri) == ["undeclared-member"]
    fix, _ = await editor.actions(uri, 10)
    assert not fix.is_preferred
    assert _edited(fix, uri, text) == (project / "src/shop.py").read_text()


async def test_everything_can_be_mended_at_once(editor: Editor, project: Path) -> None:
    """The action that editors run on saving makes all certain fixes, and is given if asked for."""
    text = "def f():\n    print(1)\n\n\ndef g():\n    print(2)\n\nimport requests\n"
    uri = editor.open(project / "src/a.py", text)
    assert len(await editor.codes(uri)) == 3
    (action,) = await editor.actions(uri, 4, only=["source.fixAll"])
    assert _edited(action, uri, text) == text.replace("):", "): ").replace("): ", ") -> None:")
    assert await editor.actions(uri, 4, only=["refactor"]) == []


_ABOVE = """\
def f() -> None:
    # lattice:ignore[forbidden-import]\N{SPACE}
    x = __import__("requests"), '''
    '''
"""
_LISTED = "def f(a) -> None: import requests  # lattice:ignore[forbidden-import] legacy\n"


@pytest.mark.parametrize(
    ("text", "line", "suppressed"),
    [
        ("import requests\n", 1, "import requests  # lattice:ignore[forbidden-import] \n"),
        (_LISTED, 1, _LISTED.replace("import]", "import, missing-annotation]")),
        (_ABOVE.replace("    # lattice:ignore[forbidden-import] \n", ""), 2, _ABOVE),
    ],
)
async def test_a_rule_can_be_ignored_where_a_comment_counts(
    text: str, line: int, suppressed: str, editor: Editor, project: Path
) -> None:
    """The comment is put where it silences the violation once a reason is written."""
    uri = editor.open(project / "src/a.py", text)
    assert len(await editor.codes(uri)) == 1
    (action,) = await editor.actions(uri, line)
    assert action.title.startswith("Ignore `")
    assert _edited(action, uri, text) == suppressed


async def test_what_cannot_be_ignored_offers_no_comment(editor: Editor, project: Path) -> None:
    """A generated file that was edited is named, and nothing is offered."""
    uri = editor.open(project / "src/shared/types_v1.py", "x = 1\n")
    assert await editor.codes(uri) == ["edited-generated-file"]
    assert await editor.actions(uri, 1) == []


async def test_a_contract_is_shown_where_it_is_implemented(editor: Editor, project: Path) -> None:
    """Pointing at a method shows its contract, at an ignored rule what the rule is about."""
    text = (project / "src/shop.py").read_text() + "x = 1  # lattice:ignore[forbidden-import] why\n"
    uri = editor.open(project / "src/shop.py", text)
    contract = await editor.hover(uri, 7, 12)
    assert contract is not None
    assert contract.splitlines()[0] == ("**`IShop.total(order: Order, count: int) -> decimal`**")
    assert "- the caller ensures `count > 0`" in contract
    assert "- raises `ValueError` exactly when `count > 100`" in contract
    rule = await editor.hover(uri, 11, 30)
    assert rule is not None
    assert rule.startswith("Reports use of a module")
    assert await editor.hover(uri, 7, 3) is None
    assert await editor.hover(uri, 99, 1) is None


async def test_a_lattice_is_checked_while_it_is_typed(editor: Editor, project: Path) -> None:
    """Mistakes in the lattice stand at their places, with what to write instead."""
    uri = editor.open(project / "lattice.yaml")
    assert await editor.codes(uri) == []
    text = (project / "lattice.yaml").read_text()
    editor.type(uri, text.replace("price: decimal", "price: decimall"))
    (diagnostic,) = (await editor.published(uri)).diagnostics
    assert diagnostic.severity == 1
    assert str(diagnostic.range) == "3:35-3:43"
    assert "Did you mean `decimal`?" in diagnostic.message
    editor.type(uri, "version: [")
    (diagnostic,) = (await editor.published(uri)).diagnostics
    assert diagnostic.range.start.line == 0
    editor.type(
        uri,
        text.replace('        raises: {ValueError: "count > 100"}\n', "").replace(
            '        ensures: ["result == order.price * count"]\n', ""
        ),
    )
    (warning,) = (await editor.published(uri)).diagnostics
    assert (warning.severity, "has no contract" in warning.message) == (2, True)


async def test_a_saved_lattice_counts_for_open_files(editor: Editor, project: Path) -> None:
    """Saving the lattice checks what is open again; a broken one leaves the last that was read."""
    lattice = project / "lattice.yaml"
    code = editor.open(project / "src/a.py", "import requests, sqlite3\n")
    assert await editor.codes(code) == ["forbidden-import"]
    uri = editor.open(lattice)
    await editor.published(uri)
    text = lattice.read_text()
    lattice.write_text(text.replace("requests", "json"))
    editor.save(uri)
    assert await editor.codes(code) == []
    lattice.write_text(text.replace("requests", "requests, sqlite3"))
    editor.changed_on_disk(lattice)
    assert await editor.codes(code) == ["forbidden-import", "forbidden-import"]
    lattice.write_text("version: [")
    editor.save(uri)
    assert await editor.codes(code) == ["forbidden-import", "forbidden-import"]
    assert {each.method for each in editor.registered} == {"workspace/didChangeWatchedFiles"}


async def test_a_saved_file_counts_for_others(editor: Editor, project: Path) -> None:
    """What one file hands on is found in another as soon as the first is saved."""
    shop = editor.open(project / "src/desk.py", "from wire import requests\n")
    assert await editor.codes(shop) == []
    (project / "src/wire.py").write_text("import requests\n")
    wire = editor.open(project / "src/wire.py")
    await editor.published(wire)
    editor.save(wire)
    assert await editor.codes(shop) == ["forbidden-import"]


async def test_files_without_a_lattice_are_left_alone(
    editor: Editor, project: Path, tmp_path: Path
) -> None:
    """Nothing is said of a file outside of every project, in a skipped folder, or not on disk."""
    outside = editor.open(tmp_path / "outside.py", "import requests\n")
    skipped = editor.open(project / ".venv/lib/a.py", "import requests\n")
    inside = editor.open(project / "src/a.py", "import requests\n")
    assert await editor.codes(skipped) == []
    assert await editor.codes(inside) == ["forbidden-import"]
    assert await editor.actions(outside, 1) == []
    assert await editor.hover(outside, 1, 1) is None
    editor.close(outside)
    editor.close(inside)
    assert await editor.codes(inside) == []
    assert editor.pending(outside) == 0


async def test_many_files_of_several_projects(editor: Editor, project: Path) -> None:
    """Each file is checked against the lattice nearest to it."""
    inner = project / "inner"
    (inner / "src").mkdir(parents=True)
    (inner / "lattice.yaml").write_text("version: v1.0\ngenerated_module: types_v1\n")
    uris = [
        editor.open(folder / f"src/a{number}.py", "import requests\n")
        for folder in (project, inner)
        for number in range(30)
    ]
    found = [await editor.codes(uri) for uri in uris]
    assert found == [["forbidden-import"]] * 30 + [[]] * 30
