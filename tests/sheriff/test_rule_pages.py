"""Runs the examples of `rules/*.md`, which the reference pages show.

A `yaml` block is the lattice of the Python blocks after it. A Python block names its path after
the language, `src/snippet.py` if it names none; with `expected` before the path it is what the
compiler would write there. A line that ends `# error: [rule]` must be reported, no other may be.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.sheriff.checker import SheriffContext, check_source
from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = sorted(Path(__file__).with_name("rules").glob("*.md"))
_BLOCK = re.compile(
    r"^```(yaml|python)(?: (expected))?(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"# error: ((?:\[[a-z-]+\] ?)+)$")


class Example(NamedTuple):
    """One Python block with the lattice and the generated files that hold there."""

    name: str
    path: str
    text: str
    lattice: str
    generated: dict[str, str]


def _examples(page: Path) -> Iterator[Example]:
    markdown = page.read_text(encoding="utf-8")
    lattice, generated = "", dict[str, str]()
    for block in _BLOCK.finditer(markdown):
        language, expected, path, text = block.groups()
        if language == "yaml":
            lattice, generated = text, {}
        elif expected:
            generated[path] = text
        else:
            line = markdown.count("\n", 0, block.start()) + 1
            path = path or "src/snippet.py"
            yield Example(f"{page.name}:{line}", path, text, lattice, dict(generated))


EXAMPLES = [example for page in PAGES for example in _examples(page)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_reported_where_it_says_so(example: Example) -> None:
    """Exactly the marked lines are reported, each by exactly the marked rules."""
    lattice = parse_lattice(example.lattice, file="lattice.yaml")
    context = SheriffContext(lattice=lattice, generated=example.generated)
    found = check_source(context.source_file(example.path, example.text), context)
    expected = {
        (number, rule)
        for number, line in enumerate(example.text.splitlines(), start=1)
        if (mark := _MARK.search(line))
        for rule in re.findall(r"[a-z-]+", mark[1])
    }
    assert {(violation.line, violation.rule) for violation in found} == expected


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
