"""Runs the examples of `rules/*.md`, which the reference pages show.

A `yaml` block is the lattice of the Python blocks after it. A Python block names its path after
the language, `src/snippet.py` if it names none; with `expected` before the path it is what the
compiler would write there. A line that ends `# error: [rule]` must be reported, no other may be.
With `fixed` it is what the certain fixes make of the Python block before it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.checker import SheriffContext, check_source
from lattice_lock.sheriff.fixes import apply_fixes
from lattice_lock.sheriff.registry import load_rules
from lattice_lock.sheriff.repair import mend_content

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = sorted(Path(__file__).with_name("rules").glob("*.md"))
_BLOCK = re.compile(
    r"^```(yaml|python)(?: (expected|fixed))?(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"# error: ((?:\[[a-z-]+\] ?)+)$")


class Example(NamedTuple):
    """One Python block with the lattice and the generated files that hold there."""

    name: str
    path: str
    text: str
    lattice: str
    generated: dict[str, str]
    fixed: str | None = None

    @property
    def context(self) -> SheriffContext:
        """The project of the example."""
        lattice = parse_lattice(self.lattice, file="lattice.yaml")
        return SheriffContext(lattice=lattice, generated=self.generated)


def _examples(page: Path) -> Iterator[Example]:
    markdown = page.read_text(encoding="utf-8")
    lattice, generated = "", dict[str, str]()
    example: Example | None = None
    for block in _BLOCK.finditer(markdown):
        language, expected, path, text = block.groups()
        if language == "yaml":
            lattice, generated = text, {}
        elif expected == "expected":
            generated[path] = text
        elif expected == "fixed":
            assert example is not None
            yield example._replace(fixed=text)
            example = None
        else:
            if example is not None:
                yield example
            line = markdown.count("\n", 0, block.start()) + 1
            path = path or "src/snippet.py"
            example = Example(f"{page.name}:{line}", path, text, lattice, dict(generated))
    if example is not None:
        yield example


EXAMPLES = [example for page in PAGES for example in _examples(page)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_reported_where_it_says_so(example: Example) -> None:
    """Exactly the marked lines are reported, each by exactly the marked rules."""
    context = example.context
    found = check_source(context.source_file(example.path, example.text), context)
    expected = {
        (number, rule)
        for number, line in enumerate(example.text.splitlines(), start=1)
        if (mark := _MARK.search(line))
        for rule in re.findall(r"[a-z-]+", mark[1])
    }
    assert {(violation.line, violation.rule) for violation in found} == expected


def _found(example: Example, text: str) -> Counter[tuple[str, str]]:
    context = example.context
    found = check_source(context.source_file(example.path, text), context)
    return Counter((violation.rule, violation.message) for violation in found)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_certain_fixes_mend_and_change_nothing_else(example: Example) -> None:
    """What may be mended without asking is gone after it, nothing is new, and twice is once."""
    context = example.context
    found = check_source(context.source_file(example.path, example.text), context)
    certain = [each for each in found if each.fix is not None and each.fix.certain]
    after, mended = mend_content(example.path, example.text.encode(), context)
    assert mended == len(certain)
    text = after.decode()
    left = Counter((each.rule, each.message) for each in found if each not in certain)
    assert _found(example, text) == left
    assert mend_content(example.path, after, context) == (after, 0)
    assert (text != example.text) == bool(certain)
    if example.fixed is not None:
        assert text == example.fixed
    if certain:
        assert _code(text) == _code(example.text)


def _code(text: str) -> str:
    """The code of a file without what fixes may change: annotations, imports and comments."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.returns = None
            case ast.arg():
                node.annotation = None
            case _:
                pass
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
    return ast.dump(tree)


OFFERED = [
    (example, number)
    for example in EXAMPLES
    for number, violation in enumerate(
        check_source(example.context.source_file(example.path, example.text), example.context)
    )
    if violation.fix is not None and not violation.fix.certain
]


@pytest.mark.parametrize(
    ("example", "number"), OFFERED, ids=[f"{each.name}-{number}" for each, number in OFFERED]
)
def test_an_offered_fix_mends_its_violation(example: Example, number: int) -> None:
    """After a fix that editors offer the file still parses and that violation is gone."""
    context = example.context
    found = check_source(context.source_file(example.path, example.text), context)
    violation = found[number]
    assert violation.fix is not None
    text, count = apply_fixes(example.text, [violation.fix])
    assert count == 1
    key = (violation.rule, violation.message)
    assert _found(example, text)[key] < _found(example, example.text)[key]


def test_every_block_of_a_page_is_run() -> None:
    """No fenced block is overlooked because its first line is misspelt."""
    for page in PAGES:
        markdown = page.read_text(encoding="utf-8")
        assert len(_BLOCK.findall(markdown)) * 2 == len(
            re.findall(r"^```", markdown, re.MULTILINE)
        ), page


def test_every_rule_has_a_page_with_a_case_of_it_and_a_case_without() -> None:
    """Each page is named for a rule, and shows both what breaks the rule and what does not."""
    assert {page.stem for page in PAGES} == {rule.name for rule in load_rules()}
    for page in PAGES:
        texts = [example.text for example in _examples(page)]
        assert any(f"[{page.stem}]" in text for text in texts), page
        assert any(f"[{page.stem}]" not in text for text in texts), page


def test_the_reference_has_a_page_for_every_rule_and_no_other(root: Path) -> None:
    """A rule that is removed takes its reference page along."""
    pages = {page.stem for page in (root / "docs/reference/rules").glob("*.md")}
    assert pages == {"README", *(rule.name for rule in load_rules())}
