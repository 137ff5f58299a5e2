"""The annotations for GitHub."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from lattice_lock.sheriff.checker import SheriffReport
from lattice_lock.sheriff.reports.github import render_annotations
from lattice_lock.sheriff.rule import Violation

if TYPE_CHECKING:
    from tests.sheriff.reports.conftest import Report


def test_an_annotation_stands_beside_its_line(report: Report) -> None:
    """An annotation names the file from the root of the repository, the place and the rule."""
    assert render_annotations(report(), "services") == (
        "::error file=services/src/shop.py,line=3,endLine=3,col=8,endColumn=16,"
        "title=forbidden-import (LLS001)::No.%0ADo without."
    )


def test_columns_are_left_out_over_several_lines(report: Report) -> None:
    """GitHub refuses columns where an annotation spans lines, so there are none."""
    text = render_annotations(report(end_line=4, hint=None, severity="warning"))
    assert (
        text == "::warning file=src/shop.py,line=3,endLine=4,title=forbidden-import (LLS001)::No."
    )


def test_nothing_found_is_nothing_said(clean: SheriffReport) -> None:
    """A clean report annotates nothing."""
    assert render_annotations(clean) == ""


def _unescaped(text: str) -> str:
    codes = {"%25": "%", "%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}
    return re.sub("%(?:25|0D|0A|3A|2C)", lambda match: codes[match.group()], text)


_HOSTILE = st.text(st.sampled_from("a%:,\r\n;=2503AC"))


@given(_HOSTILE, _HOSTILE)
@example("%2C", "%0A")
def test_text_cannot_leave_its_place(file: str, message: str) -> None:
    """No file name or message ends a line, a property or the command, and all of it arrives."""
    violation = Violation(
        rule="r",
        id="X",
        file=file,
        line=1,
        column=1,
        end_line=1,
        end_column=2,
        message=message,
    )
    found = SheriffReport(violations=(violation,), suppressions=(), files_checked=1)
    (line,) = re.split("[\r\n]", render_annotations(found))
    _, command, data = line.split("::", 2)
    properties = dict(each.split("=", 1) for each in command.removeprefix("error ").split(","))
    assert list(properties) == ["file", "line", "endLine", "col", "endColumn", "title"]
    assert _unescaped(properties["file"]) == file
    assert _unescaped(data) == message
