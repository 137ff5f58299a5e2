"""The build loop: models propose bodies, Sheriff and the Gauntlet decide, what passed is written.

For each method, models are asked from the cheapest upward. A candidate is accepted only after it
passed under Hypothesis seeds that were drawn for that purpose: whoever saw a failure cannot have
fitted the body to the seed that found it. Files are written once, at the end, all or none.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lattice_lock.agents.attempts import Budget, BuildLimits, ChatModel, MethodBuild, fresh_seed
from lattice_lock.agents.draft import Draft, failure_in
from lattice_lock.agents.progress import (
    BuildReport,
    MethodFinished,
    MethodReport,
    MethodStarted,
    MethodStatus,
)
from lattice_lock.core.bodies import BodyState
from lattice_lock.core.elements import contract_digest
from lattice_lock.core.project import LOCK_NAME, find_project
from lattice_lock.core.workspace import open_workspace
from lattice_lock.exceptions import UsageError
from lattice_lock.gauntlet.contracts import declared_methods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from lattice_lock.agents.progress import BuildEvent
    from lattice_lock.core.lockfile import Acceptance
    from lattice_lock.core.project import Project
    from lattice_lock.core.schema import Interface, Lattice, Method
    from lattice_lock.core.workspace import Workspace
    from lattice_lock.messages import ModelId

__all__ = ["BuildLimits", "BuildRequest", "ChatModel", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build, and with what.

    Attributes:
        path: the project's folder, or its lattice.
        models: models to ask, cheapest first.
        methods: `Interface` or `Interface.method` to build; empty for all.
        replace_written: whether bodies are built anew that people wrote or that were accepted.
    """

    path: Path
    chat: ChatModel
    models: tuple[ModelId, ...]
    methods: tuple[str, ...] = ()
    replace_written: bool = False
    allow_unsandboxed: bool = False
    limits: BuildLimits = field(default_factory=BuildLimits)


async def build(request: BuildRequest, notify: Callable[[BuildEvent], None]) -> BuildReport:
    """Have models write the methods that have no accepted body, and write to disk what passed.

    The project is held for the whole build. Cancelling, or an error, leaves every file as it was.

    Args:
        notify: called with each event, on the event loop.

    Raises:
        ProjectBusyError: another command holds the project.
        LatticeError: the lattice cannot be used.
        UsageError: there is no model, or `methods` names what the lattice does not declare.
        GauntletError: contracts cannot be judged here.
        BuildError: an implementation file cannot be read, or was changed meanwhile.
        ProjectWriteError: the result could not be written.
    """
    started = time.monotonic()
    if not request.models:
        raise UsageError("there is no model to ask", hint="Name one with `--model`.")
    project = await asyncio.to_thread(find_project, request.path)
    async with _held(project):
        # Loaded under the lock: what another build has just written counts.
        workspace = await asyncio.to_thread(open_workspace, project.lattice_path)
        draft = await asyncio.to_thread(Draft.load, workspace)
        builder = _Builder(request, draft, notify)
        reports = await builder.build_methods(_chosen(workspace, request.methods))
        written: tuple[str, ...] = ()
        if builder.accepted:
            written = await _write_to_end(workspace, draft, builder.accepted)
    return BuildReport(methods=reports, written=written, duration_s=time.monotonic() - started)


class _Builder:
    """The work of one build, between reading the project and writing it."""

    def __init__(
        self, request: BuildRequest, draft: Draft, notify: Callable[[BuildEvent], None]
    ) -> None:
        self._request = request
        self._draft = draft
        self._notify = notify
        self._budget = Budget(request.limits)
        self.accepted: dict[str, Acceptance] = {}

    async def build_methods(
        self, chosen: Sequence[tuple[Interface, Method]]
    ) -> tuple[MethodReport, ...]:
        """Build every method, and confirm those of each interface together."""
        reports: dict[str, MethodReport] = {}
        number = itertools.count(1)
        for _, group in itertools.groupby(chosen, key=lambda pair: pair[0].name):
            pairs = tuple(group)
            interface = pairs[0][0]
            before = self._draft.text(interface)
            for _, method in pairs:
                name = f"{interface.name}.{method.name}"
                self._notify(MethodStarted(method=name, number=next(number), total=len(chosen)))
                reports[name] = await self._build_method(interface, method)
                self._notify(MethodFinished(report=reports[name]))
            new = [f"{interface.name}.{method.name}" for _, method in pairs]
            new = [name for name in new if name in self.accepted]
            problem = await self._confirm(interface, new)
            if problem is not None:
                self._draft.set_text(interface, before)
                for name in new:
                    del self.accepted[name]
                    reports[name] = replace(
                        reports[name], status=MethodStatus.FAILED, model=None, reason=problem
                    )
                    self._notify(MethodFinished(report=reports[name]))
        return tuple(reports.values())

    async def _build_method(self, interface: Interface, method: Method) -> MethodReport:
        name = f"{interface.name}.{method.name}"
        settled = self._settled(interface, method) or self._blocked(interface, method)
        if settled is not None:
            return settled
        work = MethodBuild(
            draft=self._draft,
            interface=interface,
            method=method,
            chat=self._request.chat,
            budget=self._budget,
            notify=self._notify,
            allow_unsandboxed=self._request.allow_unsandboxed,
        )
        report, acceptance = await work.run(self._request.models)
        if acceptance is not None:
            self.accepted[name] = acceptance
        return report

    def _settled(self, interface: Interface, method: Method) -> MethodReport | None:
        """What there is to say of a method that already has a body which stays."""
        name = f"{interface.name}.{method.name}"
        workspace = self._draft.workspace
        body = self._draft.body(interface, method.name)
        if body.state is not BodyState.WRITTEN or self._request.replace_written:
            return None
        record = workspace.lock.accepted.get(name) if workspace.lock else None
        if record is not None and record.body_digest == body.digest:
            contract = contract_digest(workspace.lattice, interface.name, method.name)
            if record.contract_digest == contract:
                return _report(name, MethodStatus.UP_TO_DATE)
            if record.author == "model":
                return None
        return _report(name, MethodStatus.KEPT, "a person wrote it; `--replace` has it built anew")

    def _blocked(self, interface: Interface, method: Method) -> MethodReport | None:
        """Why there is no use in asking for a method, None where there is."""
        name = f"{interface.name}.{method.name}"
        if self._draft.body(interface, method.name).state is BodyState.MISSING:
            return _report(
                name,
                MethodStatus.FAILED,
                f"`{interface.file}` has no method `{method.name}` in a class "
                f"`{interface.class_name}`; add it with `raise NotImplementedError`",
            )
        for other in interface.depends_on:
            needed = self._draft.workspace.lattice.interfaces[other]
            for one in needed.methods:
                if self._draft.body(needed, one).state is not BodyState.WRITTEN:
                    reason = f"it depends on `{other}.{one}`, which has no body"
                    return _report(name, MethodStatus.FAILED, reason)
        return None

    async def _confirm(self, interface: Interface, new: Sequence[str]) -> str | None:
        """Judge the accepted bodies of an interface once more, together, as they will be written.

        Each passed alone; a body that tampers with another method shows only now.
        """
        if not new:
            return None
        lock = self._draft.workspace.lock
        known = lock.accepted if lock else {}
        methods = [
            method
            for method in interface.methods
            if (name := f"{interface.name}.{method}") in new
            or (
                name in known
                and self._draft.body(interface, method).digest == known[name].body_digest
            )
        ]
        seed = fresh_seed({one for name in new for one in self.accepted[name].seeds})
        report = await self._draft.judge(
            interface,
            tuple(methods),
            seed=seed,
            allow_unsandboxed=self._request.allow_unsandboxed,
        )
        problem = failure_in(report)
        if problem is not None:
            return f"passed alone, but not together with the other methods: {problem}"
        for name in new:
            method = name.partition(".")[2]
            examples = sum(one.examples for one in report.verdicts if one.method == method)
            was = self.accepted[name]
            self.accepted[name] = replace(
                was, seeds=(*was.seeds, seed), examples=was.examples + examples
            )
        return None


@asynccontextmanager
async def _held(project: Project) -> AsyncIterator[None]:
    """Hold the project, taking and leaving its lock on a thread; it is left whatever happens."""
    lock = project.exclusive()
    taking = asyncio.ensure_future(asyncio.to_thread(lock.__enter__))
    try:
        await asyncio.shield(taking)
    except asyncio.CancelledError:
        await asyncio.wait([taking])
        if taking.exception() is None:
            await asyncio.to_thread(lock.__exit__, None, None, None)
        raise
    try:
        yield
    finally:
        await asyncio.shield(asyncio.to_thread(lock.__exit__, None, None, None))


def _report(name: str, status: MethodStatus, reason: str = "") -> MethodReport:
    return MethodReport(method=name, status=status, reason=reason)


def _chosen(workspace: Workspace, names: tuple[str, ...]) -> list[tuple[Interface, Method]]:
    """The methods that `names` means, interfaces after those that they depend on."""
    wanted = declared_methods(workspace, names)
    return [
        (interface, method)
        for interface in _in_order(workspace.lattice)
        for method in interface.methods.values()
        if method.name in wanted.get(interface.name, ())
    ]


def _in_order(lattice: Lattice) -> Iterator[Interface]:
    done: set[str] = set()

    def visit(name: str) -> Iterator[Interface]:
        if name not in done:
            done.add(name)
            for other in lattice.interfaces[name].depends_on:
                yield from visit(other)
            yield lattice.interfaces[name]

    for name in lattice.interfaces:
        yield from visit(name)


def _write(workspace: Workspace, draft: Draft, accepted: dict[str, Acceptance]) -> tuple[str, ...]:
    files = {**workspace.plan(accepted=accepted), **draft.changed_files()}
    files[LOCK_NAME] = files.pop(LOCK_NAME)  # last, for it vouches for the others
    return workspace.project.write_files(files)


async def _write_to_end(
    workspace: Workspace, draft: Draft, accepted: dict[str, Acceptance]
) -> tuple[str, ...]:
    """Write on a thread and wait for it even when cancelled, while the project is still held."""
    task = asyncio.ensure_future(asyncio.to_thread(_write, workspace, draft, accepted))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
