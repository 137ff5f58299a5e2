"""The pytest plugin that turns what happens to contract tests into verdicts."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeGuard

import pytest
from hypothesis.errors import (
    FailedHealthCheck,
    Flaky,
    HypothesisException,
    StopTest,
    Unsatisfiable,
    UnsatisfiedAssumption,
)
from hypothesis.stateful import RuleBasedStateMachine
from pydantic import ValidationError

from lattice_lock.gauntlet._proxies import (
    CandidateFailedError,
    CandidateStoppedError,
    Implementation,
    NoAnswerError,
    OutOfTimeError,
    is_remote,
    show,
)
from lattice_lock.gauntlet._suggestions import suggestion
from lattice_lock.gauntlet.verdict import ANY_METHOD, Outcome, TestVerdict, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    from lattice_lock.gauntlet._codec import Value

__all__ = ["VerdictPlugin"]

_MAX_MESSAGE: Final = 4000
_CLAUSE: Final = re.compile(r"((?:entities|interfaces)\.[\w.\[\]]+): ")
_GRAVEST_FIRST: Final = (Outcome.REFUTED, Outcome.ERROR, Outcome.VACUOUS, Outcome.PASSED)
_SKIPPING_MARKS: Final = ("skip", "skipif", "xfail")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that speaks against a pass."""

    outcome: Outcome
    message: str
    clause: str | None = None


@dataclass(slots=True)
class _Record:
    """What is known about one test function so far."""

    method: str
    pending: int = 0
    examples: int = 0
    counterexample: str | None = None
    calls: tuple[str, ...] = ()
    reached: bool = False
    findings: list[Finding] = field(default_factory=list)


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
                Finding(Outcome.ERROR, f"the test is marked `{mark}`, so it proves nothing")
                for mark in _SKIPPING_MARKS
                if item.get_closest_marker(mark)
            ]

    def _watch(self, item: pytest.Item, record: _Record) -> None:
        handle = getattr(getattr(item, "obj", None), "hypothesis", None)
        if record.method == ANY_METHOD and isinstance(item, pytest.Function):
            for one in vars(item.module).values():
                if _is_machine(one):
                    self._watch_machine(one, record)
            item.obj = self._recorded(item.obj, record)
        elif handle is not None:
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
            shown = ", ".join(f"{name}={show(value)}" for name, value in arguments.items())
            try:
                test(*positional, **named)
            except (StopTest, UnsatisfiedAssumption):
                raise
            except BaseException:
                record.calls = tuple(self._implementation.history)
                told = [shown, *(f"    {call}" for call in record.calls)]
                record.counterexample = "\n".join(told)[:_MAX_MESSAGE] or None
                record.reached = bool(self._implementation.answered)
                raise
            record.examples += bool(self._implementation.answered[record.method])

        return run

    def _watch_machine(self, machine: type[RuleBasedStateMachine], record: _Record) -> None:
        """See every sequence of calls begin, and with it the one before end."""
        begin = machine.__init__

        def begin_sequence(instance: RuleBasedStateMachine) -> None:
            self._count_sequence(record)
            self._implementation.begin_example()
            begin(instance)

        type.__setattr__(machine, "__init__", begin_sequence)

    def _count_sequence(self, record: _Record) -> None:
        record.examples += bool(self._implementation.answered)
        self._implementation.answered.clear()

    def _recorded(self, test: Callable[[], None], record: _Record) -> Callable[[], None]:
        """A test of sequences; the last that was run is the shortest that fails.

        Whatever breaks its contract alone would be all that it finds, so it then waits.
        """

        @functools.wraps(test)
        def run() -> None:
            blamed = sorted({f"`{one.method}`" for one in self._records.values() if one.findings})
            if blamed:
                message = f"not tried, because {', '.join(blamed)} did not pass alone"
                record.findings.append(Finding(Outcome.VACUOUS, message))
                return
            self._implementation.begin_example()
            self._implementation.is_recording = True
            try:
                test()
            except BaseException:
                record.calls = tuple(self._implementation.history)
                record.counterexample = _numbered(record.calls)
                record.reached = bool(self._implementation.answered)
                raise
            finally:
                self._implementation.is_recording = False
            self._count_sequence(record)

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
            gave_up = self._implementation.gave_up
            if record.findings[-1].outcome is Outcome.VACUOUS and gave_up:
                record.findings[-1] = Finding(Outcome.VACUOUS, gave_up)
        if call.when == "teardown":
            record.pending -= 1
            if not record.pending:
                self._report(_conclude(_function_name(item), record))
        return report


def _is_machine(value: object) -> TypeGuard[type[RuleBasedStateMachine]]:
    return (
        isinstance(value, type)
        and issubclass(value, RuleBasedStateMachine)
        and value is not RuleBasedStateMachine
    )


def _numbered(calls: Sequence[str]) -> str | None:
    """A sequence of calls for people, those of dependencies under the call that made them."""
    lines = []
    number = 0
    for call in calls:
        is_nested = call.startswith(" ")
        number += not is_nested
        lines.append(f"      {call}" if is_nested else f"    {number}. {call}")
    return "\n".join(["these calls of one object:", *lines])[:_MAX_MESSAGE] if lines else None


def _function_name(item: pytest.Item) -> str:
    return getattr(item, "originalname", None) or item.name


def _conclude(test: str, record: _Record) -> TestVerdict:
    if not record.findings and not record.examples:
        called = "any method" if record.method == ANY_METHOD else f"`{record.method}`"
        message = f"no example called {called}, so nothing was tested"
        record.findings.append(Finding(Outcome.VACUOUS, message))
    found = min(
        record.findings or [Finding(Outcome.PASSED, "")],
        key=lambda finding: _GRAVEST_FIRST.index(finding.outcome),
    )
    is_refuted = found.outcome is Outcome.REFUTED
    shown = record.counterexample if is_refuted else None
    return TestVerdict(
        test=test,
        method=record.method,
        outcome=found.outcome,
        examples=record.examples,
        message=printable(found.message[:_MAX_MESSAGE]),
        counterexample=printable(shown) if shown else None,
        clause=found.clause,
        suggestion=printable(
            suggestion(found.outcome, found.message, clause=found.clause, method=record.method)
        ),
        calls=tuple(printable(one[:_MAX_MESSAGE]) for one in record.calls) if is_refuted else (),
    )


def _judge(error: BaseException, record: _Record, *, phase: str) -> Finding:
    if isinstance(error, OutOfTimeError | NoAnswerError):
        is_late = isinstance(error, OutOfTimeError)
        return Finding(Outcome.ERROR if is_late else Outcome.VACUOUS, str(error))
    if isinstance(error, CandidateStoppedError | CandidateFailedError):
        return _refuted(str(error))
    if isinstance(error, Flaky):
        return Finding(Outcome.REFUTED, "gave different answers to the same input")
    if isinstance(error, BaseExceptionGroup) and not is_remote(error):
        return _judge(error.exceptions[0], record, phase=phase)
    if isinstance(error, Unsatisfiable | FailedHealthCheck):
        return Finding(Outcome.VACUOUS, f"hardly any input satisfies the precondition: {error}")
    if is_remote(error):
        return Finding(Outcome.REFUTED, "\n".join(error.__notes__[:1]))
    if isinstance(error, pytest.skip.Exception | HypothesisException) or phase != "call":
        return Finding(Outcome.ERROR, f"the test did not run: {type(error).__name__}: {error}")
    if isinstance(error, ValidationError):
        return Finding(Outcome.REFUTED, f"the result is not what was declared: {error}")
    if isinstance(error, AssertionError | pytest.fail.Exception):
        return _refuted(str(error))
    text = f"the test failed with {type(error).__name__}: {error}"
    return Finding(Outcome.REFUTED if record.reached else Outcome.ERROR, text)


def _refuted(message: str) -> Finding:
    found = _CLAUSE.match(message)
    return Finding(Outcome.REFUTED, message, found and found[1])
