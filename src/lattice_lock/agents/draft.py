"""The implementation files of a project as a build would leave them, kept in memory."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lattice_lock.agents.mason import CandidateBody, Unusable, extract_body, splice
from lattice_lock.agents.progress import RejectedBy
from lattice_lock.core.bodies import BodyState, find_body
from lattice_lock.core.emitters.interfaces import implementation_module
from lattice_lock.exceptions import BuildError
from lattice_lock.gauntlet.contracts import contract_request
from lattice_lock.gauntlet.runner import run_contracts
from lattice_lock.gauntlet.verdict import Outcome
from lattice_lock.sheriff.checker import SheriffContext, check_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lattice_lock.core.bodies import Body
    from lattice_lock.core.schema import Interface, Method
    from lattice_lock.core.workspace import Workspace
    from lattice_lock.gauntlet.verdict import GauntletReport

__all__ = ["Candidate", "Draft", "Rejection", "failure_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A body in its place; `text` is the whole file, `digest` that of the body."""

    text: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """What turned a candidate down, and why, worded for whoever mends it."""

    by: RejectedBy
    reason: str


class Draft:
    """The project's implementation files: as they were found, with the bodies accepted so far."""

    def __init__(self, workspace: Workspace, found: Mapping[str, bytes | None]) -> None:
        self.workspace = workspace
        self._has_source_root = workspace.source_root.is_dir()
        self._found = found
        self._context = SheriffContext(
            lattice=workspace.lattice, generated=workspace.compilation.generated
        )
        self._texts = {
            interface.name: _decode(interface.file, data)
            if (data := found[interface.file]) is not None
            else workspace.compilation.scaffolds[interface.file]
            for interface in workspace.lattice.interfaces.values()
        }

    @classmethod
    def load(cls, workspace: Workspace) -> Self:
        """Read every implementation file; one that does not exist starts as its scaffold.

        Raises:
            BuildError: a file is not UTF-8.
        """
        files = (interface.file for interface in workspace.lattice.interfaces.values())
        root = workspace.project.root
        return cls(workspace, {file: _read_bytes(root / file) for file in files})

    def body(self, interface: Interface, method: str) -> Body:
        """State and digest of a method's body in this draft."""
        return find_body(self._texts[interface.name], interface.class_name, method)

    def examine(self, reply: str, interface: Interface, method: Method) -> Candidate | Rejection:
        """A model's reply as a candidate, if it holds a body and Sheriff finds nothing in it."""
        extracted = extract_body(reply, interface, method)
        if not isinstance(extracted, CandidateBody):
            return Rejection(by=RejectedBy.PARSE, reason=extracted.reason)
        text = splice(self._texts[interface.name], interface, method, extracted)
        if isinstance(text, Unusable):
            return Rejection(by=RejectedBy.PARSE, reason=text.reason)
        body = find_body(text, interface.class_name, method.name)
        if body.state is not BodyState.WRITTEN:
            return Rejection(by=RejectedBy.PARSE, reason="the body does nothing")
        # What was wrong before is not the candidate's fault.
        known = self._findings(interface, self._texts[interface.name])
        new = self._findings(interface, text) - known
        if new:
            return Rejection(by=RejectedBy.SHERIFF, reason="; ".join(new))
        return Candidate(text=text, digest=body.digest)

    def _findings(self, interface: Interface, text: str) -> Counter[str]:
        source = self._context.source_file(interface.file, text)
        return Counter(
            f"{one.rule}: {one.message}"
            for one in check_source(source, self._context)
            if one.severity == "error"
        )

    async def judge(
        self,
        interface: Interface,
        methods: tuple[str, ...],
        *,
        seed: int,
        text: str | None = None,
        allow_unsandboxed: bool,
    ) -> GauntletReport:
        """What the contract tests of `methods` say about this draft.

        Args:
            text: the interface's file to judge in place of the draft's.

        Raises:
            GauntletError: there is no sandbox, or the judge failed.
        """
        request = contract_request(
            self.workspace,
            interface.name,
            seed=seed,
            methods=methods,
            allow_unsandboxed=allow_unsandboxed,
        )
        lattice = self.workspace.lattice
        drafts = {
            implementation_module(lattice, one): self._texts[one.name]
            for one in lattice.interfaces.values()
        }
        if text is not None:
            drafts[implementation_module(lattice, interface)] = text
        if not self._has_source_root:  # nothing was compiled yet, and the import root has to exist
            request = dataclasses.replace(request, source_root=self.workspace.project.root)
        modules = {**request.modules, **drafts}
        return await run_contracts(dataclasses.replace(request, modules=modules))

    def text(self, interface: Interface) -> str:
        """The interface's implementation file in this draft."""
        return self._texts[interface.name]

    def set_text(self, interface: Interface, text: str) -> None:
        """Change the interface's implementation file in this draft."""
        self._texts[interface.name] = text

    def changed_files(self) -> dict[str, str]:
        """Path to text of the files that are to be written.

        Raises:
            BuildError: one of them is no longer what it was when it was read.
        """
        changed = {}
        for interface in self.workspace.lattice.interfaces.values():
            text, found = self._texts[interface.name], self._found[interface.file]
            if found == text.encode():
                continue
            if _read_bytes(self.workspace.project.root / interface.file) != found:
                raise BuildError(
                    f"`{interface.file}` was changed while the build ran; nothing was written",
                    hint="Run the build again.",
                )
            changed[interface.file] = text
        return changed


def failure_in(report: GauntletReport) -> str | None:
    """The first thing that the contract tests found, None where all passed."""
    if report.passed:
        return None
    for verdict in report.verdicts:
        if verdict.outcome is not Outcome.PASSED:
            found = verdict.message or f"the test ended as {verdict.outcome.value}"
            return f"with {verdict.counterexample}: {found}" if verdict.counterexample else found
    return "the lattice declares no test of this method"


def _read_bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BuildError(f"cannot read `{path}`: {error.strerror or error}") from error


def _decode(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BuildError(f"`{path}` is not UTF-8", hint="Store the file as UTF-8.") from error
