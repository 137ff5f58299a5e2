"""Methods that a lattice declares, for measuring how strong their contracts are."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lattice_lock.core.emitters.interfaces import implementation_module
from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet._comparison_tests import comparison_tests
from lattice_lock.gauntlet._differences import COMPARISON_MARK, Difference
from lattice_lock.gauntlet._mutants import find_function, normal_text
from lattice_lock.gauntlet._strength_values import Comparison
from lattice_lock.gauntlet.contracts import contract_request, declared_methods
from lattice_lock.gauntlet.runner import run_contracts
from lattice_lock.gauntlet.verdict import ANY_METHOD, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.core.schema import Interface
    from lattice_lock.core.workspace import Workspace
    from lattice_lock.gauntlet._strength_values import StrengthOptions
    from lattice_lock.gauntlet.verdict import TestVerdict

__all__ = ["LatticeSubject", "functions_of_project"]

_EXAMPLES: Final = 300
_LARGEST: Final = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class LatticeSubject:
    """A method of an interface and the text of its implementation."""

    workspace: Workspace
    interface: Interface
    method: str
    text: str
    options: StrengthOptions

    @property
    def name(self) -> str:
        """As the lattice calls it."""
        return f"{self.interface.name}.{self.method}"

    @property
    def file(self) -> str:
        """Where it stands."""
        return self.interface.file

    @property
    def function(self) -> str:
        """Its qualified name within the file."""
        return f"{self.interface.class_name}.{self.method}"

    @property
    def clauses(self) -> tuple[str, ...]:
        """What the lattice promises of it."""
        declared = self.interface.methods[self.method]
        ensured = [clause.expression.source for clause in declared.ensures]
        raised = [f"{one.exception} if {one.clause.expression.source}" for one in declared.raises]
        return (*ensured, *raised)

    async def judge(self, text: str, timeout_s: float | None = None) -> tuple[TestVerdict, ...]:
        """What the Gauntlet says of it in a text of the file."""
        verdicts = await self._judge_by(text, self.method, timeout_s)
        suite = self.workspace.compilation.contracts[self.interface.name]
        in_sequences = any(test.method == ANY_METHOD for test in suite.tests)
        if in_sequences and all(one.outcome is Outcome.PASSED for one in verdicts):
            verdicts += await self._judge_by(text, ANY_METHOD, timeout_s)
        return verdicts

    async def _judge_by(
        self, text: str, method: str, timeout_s: float | None
    ) -> tuple[TestVerdict, ...]:
        """What the tests of one method say, or those that call all in any order."""
        request = contract_request(
            self.workspace,
            self.interface.name,
            seed=self.options.seed,
            implementation=text,
            methods=(method,),
            max_examples=self.options.max_examples,
            allow_unsandboxed=self.options.allow_unsandboxed,
        )
        if timeout_s is not None:
            limits = replace(request.limits, total_timeout_s=timeout_s)
            request = replace(request, limits=limits)
        return (await run_contracts(request)).verdicts

    async def compare(self, text: str) -> Comparison:
        """An input for which it does something else in another text of the file.

        The two stand side by side as two modules of the worker, and the judge calls both.
        """
        module = implementation_module(self.workspace.lattice, self.interface)
        beside = f"{module}_mutant"
        suite = self.workspace.compilation.contracts[self.interface.name]
        contract, names = comparison_tests(
            suite.text,
            tests={test.name for test in suite.tests if test.method == self.method},
            cls=self.interface.class_name,
            method=self.method,
            parameters=tuple(self.interface.methods[self.method].params),
            mutant_module=beside,
            constants=[*_constants(self.text, self.function), *_constants(text, self.function)],
        )
        if not names:
            return Comparison(unknown="no test calls the method with inputs of its own")
        request = contract_request(
            self.workspace,
            self.interface.name,
            seed=self.options.seed,
            implementation=self.text,
            max_examples=self.options.max_examples or _EXAMPLES,
            allow_unsandboxed=self.options.allow_unsandboxed,
        )
        report = await run_contracts(
            replace(
                request,
                modules={**request.modules, beside: text},
                implementation_modules=(*request.implementation_modules, beside),
                contract_text=contract,
                expected_tests=tuple((name, self.method) for name in names),
            )
        )
        return _compared(report.verdicts)


def functions_of_project(
    workspace: Workspace, names: Sequence[str], options: StrengthOptions
) -> Iterator[LatticeSubject]:
    """The named methods, all for none.

    Raises:
        UsageError: a name is not in the lattice, or there is no implementation.
    """
    for name, methods in declared_methods(workspace, names).items():
        interface = workspace.lattice.interfaces[name]
        text = workspace.project.read_text(interface.file)
        if text is None:
            raise UsageError(
                f"there is no `{interface.file}`, which implements `{name}`",
                hint="Run `lattice-lock compile`, then write it or run `lattice-lock build`.",
            )
        for method in methods:
            yield LatticeSubject(
                workspace=workspace,
                interface=interface,
                method=method,
                text=normal_text(text),
                options=options,
            )


def _compared(verdicts: Sequence[TestVerdict]) -> Comparison:
    unknown = ""
    for verdict in verdicts:
        if verdict.message.startswith(COMPARISON_MARK):
            found = json.loads(verdict.message.removeprefix(COMPARISON_MARK))
            shown = verdict.counterexample or "no arguments"
            return Comparison(difference=Difference(**found), shown_input=shown)
        if verdict.outcome in {Outcome.REFUTED, Outcome.ERROR}:
            unknown = unknown or verdict.message.partition("\n")[0]
    if all(verdict.outcome is Outcome.VACUOUS for verdict in verdicts):
        unknown = unknown or "no input reached the method"
    return Comparison(unknown=unknown)


def _constants(text: str, function: str) -> list[int]:
    node = find_function(ast.parse(text), function)
    values = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)] if node else []
    return [one for one in values if type(one) is int and abs(one) < _LARGEST]
