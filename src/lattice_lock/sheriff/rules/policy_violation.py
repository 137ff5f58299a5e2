"""The rule `policy-violation`."""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lattice_lock.policies.base import Action, Context, Subject, Window
from lattice_lock.policies.policy_set import scan
from lattice_lock.sheriff.module import Span
from lattice_lock.sheriff.rule import ModuleRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.policies.policy_set import Objection
    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation

__all__ = ["PolicyViolation"]

_LINE_END = re.compile(r"\r\n|\r|\n")  # where Python ends a line, and nowhere else


class PolicyViolation(ModuleRule):
    """Reports what a policy of the lattice objects to in code.

    That is every policy whose declaration has `code` among its places, such as `no-secrets` or
    `no-direct-db-access`. `lattice-lock policies list` names all that there are. A policy whose
    action is `flag` warns.

    ## Why it matters

    A key in the source is copied with every clone, and SQL beside the repositories goes round
    whatever they promise. Code that a model wrote is judged by this rule before it is written.

    ## What to do

    Do as the message says. Where the policy is wrong about a line, ignore it there with a reason;
    where it is wrong about the project, change its parameters in the lattice.
    """

    id: ClassVar[str] = "LLS011"
    name: ClassVar[str] = "policy-violation"
    node_types: ClassVar[frozenset[type[ast.AST]]] = frozenset({ast.Module})

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        found = _objections(source, context)
        return self.node_types if found else frozenset()

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        text = module.source.text
        found = _objections(module.source, context)
        starts = [0, *(end.end() for end in _LINE_END.finditer(text))] if found else []
        for objection in found:
            finding = objection.finding
            line, column = _place(starts, finding.start)
            end_line, end_column = _place(starts, max(finding.end, finding.start))
            violation = self.violation(
                module,
                Span(line, column, end_line, end_column),
                f"`{objection.policy}` objects ({finding.rule}): {finding.message}",
                hint=finding.fix,
            )
            flagged = objection.action is Action.FLAG
            yield replace(violation, severity="warning") if flagged else violation


def _objections(source: SourceFile, context: SheriffContext) -> list[Objection]:
    if not context.lattice.policies:
        return []
    from lattice_lock.core.policies import policies_of  # noqa: PLC0415  # it reads YAML

    policies = policies_of(context.lattice).on(Subject.CODE)
    about = Context(subject=Subject.CODE, path=source.path)
    found, _ = scan(policies, Window(source.text), about)
    return sorted(found, key=lambda one: (one.finding, one.policy))


def _place(starts: list[int], offset: int) -> tuple[int, int]:
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1
