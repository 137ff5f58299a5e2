"""Recording bodies that people wrote: only what passes Sheriff and Gauntlet is accepted."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lattice_lock.core.bodies import BodyState, find_body
from lattice_lock.core.elements import contract_digest
from lattice_lock.core.lockfile import Acceptance
from lattice_lock.gauntlet.contracts import contract_request, declared_methods
from lattice_lock.gauntlet.runner import run_contracts
from lattice_lock.gauntlet.verdict import ANY_METHOD, Outcome
from lattice_lock.sheriff.checker import SheriffContext, check_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.core.schema import Interface
    from lattice_lock.core.workspace import Workspace
    from lattice_lock.gauntlet.verdict import GauntletReport

__all__ = ["Refusal", "Review", "review_bodies"]

_SEED_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a body is not accepted."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a review found: records for the lock by `Interface.method`, and refusals."""

    accepted: dict[str, Acceptance]
    refused: tuple[Refusal, ...]


async def review_bodies(
    workspace: Workspace, names: Sequence[str], *, allow_unsandboxed: bool = False
) -> Review:
    """Judge the bodies that stand in the implementation files; changes nothing.

    A body that the lock already records keeps its author and its model while it is unchanged.

    Raises:
        UsageError: a name is not in the lattice.
        SandboxUnavailableError: nothing here confines the code.
    """
    accepted: dict[str, Acceptance] = {}
    refused: list[Refusal] = []
    for interface_name, methods in declared_methods(workspace, names).items():
        interface = workspace.lattice.interfaces[interface_name]
        text = workspace.project.read_text(interface.file)
        problem = _static_problem(workspace, interface, text)
        if problem is not None or text is None:
            refused += [
                Refusal(name=f"{interface_name}.{method}", reason=problem or "there is no file")
                for method in methods
            ]
            continue
        unwritten = [
            method
            for method in methods
            if find_body(text, interface.class_name, method).state is not BodyState.WRITTEN
        ]
        refused += [
            Refusal(name=f"{interface_name}.{method}", reason="there is no body yet")
            for method in unwritten
        ]
        written = tuple(method for method in methods if method not in unwritten)
        if not written:
            continue
        seed = secrets.randbits(_SEED_BITS)
        report = await run_contracts(
            contract_request(
                workspace,
                interface_name,
                seed=seed,
                implementation=text,
                methods=written,
                allow_unsandboxed=allow_unsandboxed,
            )
        )
        for method in written:
            name = f"{interface_name}.{method}"
            body = find_body(text, interface.class_name, method)
            reason = _reason(report, method)
            if reason is not None:
                refused.append(Refusal(name=name, reason=reason))
            else:
                accepted[name] = _record(workspace, interface, method, body.digest, report)
    return Review(accepted=accepted, refused=tuple(refused))


def _static_problem(workspace: Workspace, interface: Interface, text: str | None) -> str | None:
    if text is None:
        return f"there is no `{interface.file}`"
    context = SheriffContext(lattice=workspace.lattice, generated=workspace.generated)
    violations = check_source(context.source_file(interface.file, text), context)
    if not violations:
        return None
    first = violations[0]
    return f"{first.file}:{first.line}:{first.column} {first.rule}: {first.message}"


def _reason(report: GauntletReport, method: str) -> str | None:
    """Why a method did not pass, None where it did; a method without tests has not passed.

    Where the methods fail only together, any of them may be to blame, and none has passed.
    """
    verdicts = [verdict for verdict in report.verdicts if verdict.method == method]
    if not verdicts:
        return "no contract test judges it"
    for verdict in [*verdicts, *(one for one in report.verdicts if one.method == ANY_METHOD)]:
        if verdict.outcome is not Outcome.PASSED:
            shown = f" with {verdict.counterexample}" if verdict.counterexample else ""
            return f"{verdict.outcome.value}: {verdict.message}{shown}"
    return None


def _record(
    workspace: Workspace, interface: Interface, method: str, digest: str, report: GauntletReport
) -> Acceptance:
    name = f"{interface.name}.{method}"
    contract = contract_digest(workspace.lattice, interface.name, method)
    known = workspace.lock.accepted.get(name) if workspace.lock else None
    examples = sum(one.examples for one in report.verdicts if one.method == method)
    if known is not None and known.body_digest == digest:
        return replace(
            known,
            file=interface.file,
            contract_digest=contract,
            seeds=(report.seed,),
            examples=examples,
        )
    return Acceptance(
        file=interface.file,
        body_digest=digest,
        contract_digest=contract,
        author="person",
        seeds=(report.seed,),
        examples=examples,
    )
