"""The JUnit report."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # reads what our own code wrote

from hypothesis import given
from hypothesis import strategies as st

from lattice_lock.sheriff.checker import SheriffReport
from lattice_lock.sheriff.reports.junit import render_junit
from lattice_lock.sheriff.rule import Violation

if TYPE_CHECKING:
    from tests.sheriff.conftest import Check


def _parse(report: SheriffReport, folder: str = "") -> ET.Element:
    return ET.fromstring(render_junit(report, folder).encode())  # noqa: S314  # our own document


def test_violations_are_failures_grouped_by_file(check: Check) -> None:
    """Each violation is a failed test case with its text, and all totals agree."""
    violations = (*check("float(1)"), *check("float(1)\nx = float('<&>')", "src/b.py"))
    root = _parse(
        SheriffReport(violations=violations, suppressions=(), files_checked=9), "services"
    )
    assert root.tag == "testsuites"
    suites = list(root)
    assert [suite.get("name") for suite in suites] == [
        "services/src/snippet.py",
        "services/src/b.py",
    ]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "3", "0")
    assert [(suite.get("tests"), suite.get("failures")) for suite in suites] == [
        ("1", "1"),
        ("2", "2"),
    ]
    case = suites[1][1]
    assert case.attrib == {
        "classname": "services/src/b.py",
        "name": "forbidden-import at 2:5",
        "file": "services/src/b.py",
        "line": "2",
    }
    (failure,) = case
    assert failure.attrib == {
        "type": "LLS001",
        "message": "the lattice forbids the built-in `float`.",
    }
    assert failure.text is not None
    assert "x = float('<&>')" in failure.text


def test_nothing_found_is_a_test_that_passed(clean: SheriffReport) -> None:
    """A clean report has one test case without failure, as servers refuse an empty report."""
    root = _parse(clean)
    assert (root.get("tests"), root.get("failures")) == ("1", "0")
    (case,) = root.iter("testcase")
    assert list(case) == []


@given(st.text(), st.text())
def test_any_text_is_valid_xml(file: str, message: str) -> None:
    """Whatever stands in a file name or a message, the document parses and keeps what XML can."""
    violation = Violation(
        rule="r",
        id="X",
        file=file,
        line=1,
        column=1,
        end_line=1,
        end_column=1,
        message=message,
        excerpt=message,
    )
    found = SheriffReport(violations=(violation,), suppressions=(), files_checked=1)
    document = render_junit(found).encode()
    root = ET.fromstring(document)  # noqa: S314  # our own document
    (failure,) = root.iter("failure")
    kept = failure.get("message") or ""
    assert len(kept.split()) <= len(message.split()) + 1
    if message.isprintable() and message.isascii():
        assert kept == message


def test_control_characters_are_replaced() -> None:
    """What XML cannot hold, escaped or not, is replaced instead of breaking the document."""
    violation = Violation(
        rule="r",
        id="X",
        file="a\x00.py",
        line=1,
        column=1,
        end_line=1,
        end_column=1,
        message="\x1b[2J\ufffe\udc80\"'",
    )
    found = SheriffReport(violations=(violation,), suppressions=(), files_checked=1)
    root = _parse(found)
    (failure,) = root.iter("failure")
    assert root[0].get("name") == "a\ufffd.py"
    assert failure.get("message") == "\ufffd[2J\ufffd\ufffd\"'"
