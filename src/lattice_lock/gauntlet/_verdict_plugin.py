"""The pytest plugin that turns what happens to contract tests into verdicts."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis.errors import (
    FailedHealthCheck,
    Flaky,
    HypothesisException,
    StopTest,
    Unsatisfiable,
    UnsatisfiedAssumption,
)
from pydantic import ValidationError

from lattice_lock.gauntlet._proxies import (
    CandidateFailedError,
    CandidateStoppedError,
    Implementation,
    is_remote,
)
from lattice_lock.gauntlet.verdict import Outcome, TestVerdict, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping

    from lattice_lock.gauntlet._codec import Value

__all__ = ["VerdictPlugin"]

_MAX_MESSAGE: Final = 4000
_CLAUSE: Final = re.compile(r"((?:entities|interfaces)\.[\w.\[\]]+): ")
_GRAVEST_FIRST: Final = (Outcome.REFUTED, Outcome.ERROR, Outcome.VACUOUS, Outcome.PASSED)
_SKIPPING_MARKS: Final = ("skip", "skipif", "xfail")


@dataclass(slots=True)
class _Record:
    """What is known about one test function so far."""

    method: str
    pending: int = 0
    examples: int = 0
    counterexample: str | None = None
    reached: bool = False
    findings: list[tuple[Outcome, str, str | None]] = field(default_factory=list)


class VerdictPlugin:
    """Counts examples, reads failures, and reports a verdict when a test function is done.

    Args:
        implementation: what the tests call.
        expected: method by name of the test function, for all tests of the contract file.
        selected: names of the test functions to run.
        report: takes each verdict.

    Attributes:
        collection_errors: why the contract file could not be collected.
        unexpected: test functions that are not expected.
    """

    def __init__(
        self,
        implementation: Implementation,
        expected: Mapping[str, str],
        selected: Collection[str],
        report: Callable[[TestVerdict], None],
    ) -> None:
        self._implementation = implementation
        self._expected = expected
        self._selected = frozenset(selected)
        self._report = report
        self._records: dict[str, _Record] = {}
        self.collection_errors: list[str] = []
        self.unexpected: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why the contract file could not be collected."""
        if report.failed:
            self.collection_errors.append(report.longreprtext[-_MAX_MESSAGE:])

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the selected tests, and watch their examples."""
        self.unexpected = sorted({_function_name(item) for item in items} - self._expected.keys())
        kept = [item for item in items if _function_name(item) in self._selected]
        items[:] = kept
        for item in kept:
            name = _function_name(item)
            record = self._records.setdefault(name, _Record(method=self._expected[name]))
            record.pending += 1
            self._watch(item, record)
            record.findings += [
                (Outcome.ERROR, f"the test is marked `{mark}`, so it proves nothing", None)
                for mark in _SKIPPING_MARKS
                if item.get_closest_marker(mark)
            ]

    def _watch(self, item: pytest.Item, record: _Record) -> None:
        handle = getattr(getattr(item, "obj", None), "hypothesis", None)
        if handle is not None:
            if record.pending == 1:  # cases of one parametrised test share the function
                handle.inner_test = self._counted(handle.inner_test, record)
        elif isinstance(item, pytest.Function):
            item.obj = self._counted(item.obj, record)

    def _counted(self, test: Callable[..., Value], record: _Record) -> Callable[..., Value]:
        signature = inspect.signature(test)

        @functools.wraps(test)
        def run(*positional: Value, **named: Value) -> None:
            self._implementation.begin_example()
            arguments = signature.bind(*positional, **named).arguments
            shown = ", ".join(f"{name}={_show(value)}" for name, value in arguments.items())
            try:
                test(*positional, **named)
            except (StopTest, UnsatisfiedAssumption):
                raise
            except BaseException:
                record.counterexample = shown[:_MAX_MESSAGE] or None
                record.reached = bool(self._implementation.answered)
                raise
            record.examples += bool(self._implementation.answered[record.method])

        return run

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """After the test, see that the worker has not been up to anything."""
        self._implementation.begin_test()
        yield
        if _function_name(item) in self._records:
            self._implementation.end_test()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judge one phase of one test."""
        report = yield
        record = self._records[_function_name(item)]
        if call.excinfo is not None:
            record.findings.append(_judge(call.excinfo.value, record, phase=call.when))
        if call.when == "teardown":
            record.pending -= 1
            if not record.pending:
                self._report(_conclude(_function_name(item), record))
        return report


def _show(value: object) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"<{type(value).__name__} too large to show>"


def _function_name(item: pytest.Item) -> str:
    return getattr(item, "originalname", None) or item.name


def _conclude(test: str, record: _Record) -> TestVerdict:
    if not record.findings and not record.examples:
        record.findings.append(
            (Outcome.VACUOUS, f"no example called `{record.method}`, so nothing was tested", None)
        )
    shown = record.counterexample
    outcome, message, clause = min(
        record.findings or [(Outcome.PASSED, "", None)],
        key=lambda finding: _GRAVEST_FIRST.index(finding[0]),
    )
    return TestVerdict(
        test=test,
        method=record.method,
        outcome=outcome,
        examples=record.examples,
        message=printable(message[:_MAX_MESSAGE]),
        counterexample=printable(shown) if shown and outcome is Outcome.REFUTED else None,
        clause=clause,
    )


def _judge(error: BaseException, record: _Record, *, phase: str) -> tuple[Outcome, str, str | None]:
    if isinstance(error, CandidateStoppedError | CandidateFailedError):
        return Outcome.REFUTED, str(error), None
    if isinstance(error, Flaky):
        return Outcome.REFUTED, "gave different answers to the same input", None
    if isinstance(error, BaseExceptionGroup) and not is_remote(error):
        return _judge(error.exceptions[0], record, phase=phase)
    if isinstance(error, Unsatisfiable | FailedHealthCheck):
        return Outcome.VACUOUS, f"hardly any input satisfies the precondition: {error}", None
    if is_remote(error):
        return Outcome.REFUTED, "\n".join(error.__notes__[:1]), None
    if isinstance(error, pytest.skip.Exception | HypothesisException) or phase != "call":
        return Outcome.ERROR, f"the test did not run: {type(error).__name__}: {error}", None
    if isinstance(error, ValidationError):
        return Outcome.REFUTED, f"the result is not what was declared: {error}", None
    if isinstance(error, AssertionError | pytest.fail.Exception):
        found = _CLAUSE.match(str(error))
        return Outcome.REFUTED, str(error), found and found[1]
    text = f"the test failed with {type(error).__name__}: {error}"
    return (Outcome.REFUTED if record.reached else Outcome.ERROR), text, None
