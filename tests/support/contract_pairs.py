"""Programs with contracts, right ones and wrong ones, from the pages in `tests/gauntlet/pairs`.

A page holds programs as Python blocks. Each is right; each of its lines that ends in `# wrong: ...`
yields one wrong program, in which the text after the mark stands instead of that line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
_MARK = re.compile(r"\s+# wrong: (.*)$")


def programs(page: Path) -> Iterator[tuple[str, bool, str]]:
    """Name, whether it is right, and text of each program of a page."""
    for number, block in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8"))):
        lines = block.splitlines()
        right = [_MARK.sub("", line) for line in lines]
        yield f"{page.stem}_{number}_right", True, "\n".join(right) + "\n"
        for place, line in enumerate(lines):
            if found := _MARK.search(line):
                indent = line[: len(line) - len(line.lstrip())]
                wrong = [*right[:place], indent + found[1], *right[place + 1 :]]
                yield f"{page.stem}_{number}_wrong_{place}", False, "\n".join(wrong) + "\n"
