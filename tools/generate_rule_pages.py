"""Write docs/reference/rules from the docstrings of Sheriff's rules and their checked examples."""

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING

from generated_file import ROOT, write_or_check

from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from lattice_lock.sheriff.rule import Rule

_FOLDER = "docs/reference/rules"
_EXAMPLES = "tests/sheriff/rules"

_INDEX = """\
# Rules of Sheriff

Generated from `src/lattice_lock/sheriff/rules` by `make generate`; edit those files instead.

| id | rule | what it does | can be ignored |
|---|---|---|---|
"""

_PAGE = """\
# `{rule.name}` ({rule.id})

Generated from `{source}` and `{examples}` by `make generate`; edit those files instead.

{documentation}

## Examples

The tests run these examples. A line that ends `# error: [rule]` is reported, and no other line is.
A `yaml` block is the lattice of the code below it; code that names no path stands in
`src/snippet.py`. A block marked `fixed` is what `lattice-lock sheriff --fix` makes of the one
before it.

{page}"""


def _documentation(rule: Rule) -> str:
    return inspect.getdoc(type(rule)) or ""


def index() -> str:
    """The page that lists all rules, in the order of their identifiers."""
    return _INDEX + "".join(
        f"| {rule.id} | [`{rule.name}`]({rule.name}.md) |"
        f" {_documentation(rule).splitlines()[0]} | {'yes' if rule.suppressible else 'no'} |\n"
        for rule in load_rules()
    )


def page(rule: Rule) -> str:
    """The page of one rule; its examples' headings stand one level lower than in their file."""
    examples = f"{_EXAMPLES}/{rule.name}.md"
    text = (ROOT / examples).read_text(encoding="utf-8")
    return _PAGE.format(
        rule=rule,
        source=f"src/{type(rule).__module__.replace('.', '/')}.py",
        examples=examples,
        documentation=_documentation(rule),
        page=re.sub(r"^##", "###", text, flags=re.MULTILINE),
    )


def main() -> int:
    """Write or check every page; 1 when one is stale."""
    pages = {f"{_FOLDER}/README.md": index()}
    pages |= {f"{_FOLDER}/{rule.name}.md": page(rule) for rule in load_rules()}
    stale = [write_or_check(path, text, description=__doc__) for path, text in pages.items()]
    return max(stale)


if __name__ == "__main__":
    sys.exit(main())
