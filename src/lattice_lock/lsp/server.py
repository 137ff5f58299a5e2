"""The language server: what an editor tells it, and what it answers.

Documents are checked as they stand in the editor, one at a time and in one thread of their own, so
that the protocol is answered meanwhile. A check that was overtaken by a change is dropped.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

import lattice_lock
from lattice_lock.core.project import LATTICE_NAME, LOCK_NAME
from lattice_lock.lsp.diagnostics import (
    SOURCE,
    default_pages_folder,
    lattice_diagnostics,
    violation_diagnostic,
    write_rule_pages,
)
from lattice_lock.lsp.governed import GovernedProject, find_root, lattice_problems
from lattice_lock.lsp.hover import hover_text
from lattice_lock.lsp.positions import Positions
from lattice_lock.lsp.suppressing import suppression
from lattice_lock.sheriff.baseline import BASELINE_NAME
from lattice_lock.sheriff.fixes import Edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lattice_lock.sheriff.fixes import Fix
    from lattice_lock.sheriff.rule import Violation

__all__ = ["LatticeServer", "build_server", "serve_stdio"]

_Result = TypeVar("_Result")

_QUIET_S: Final = 0.15
"""A document is checked when nobody has typed for this long."""

_FIX_ALL: Final = "source.fixAll.latticeLock"
_WATCHED: Final = (f"**/{LATTICE_NAME}", f"**/{LOCK_NAME}", f"**/{BASELINE_NAME}", "**/*.py")


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found in one version of a document."""

    text: str
    violations: tuple[Violation, ...]


class LatticeServer(LanguageServer):
    """Checks the documents that are open in an editor against the lattices around them."""

    def __init__(self) -> None:
        # Whole texts, as the library splits lines at characters where the protocol does not.
        super().__init__(
            SOURCE,
            lattice_lock.__version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
        )
        self._worker: Final = ThreadPoolExecutor(1, thread_name_prefix="sheriff")
        self._projects: Final[dict[Path, asyncio.Task[GovernedProject]]] = {}
        self._tasks: Final[dict[str, asyncio.Task[None]]] = {}
        self._rereading: Final[set[asyncio.Task[None]]] = set()
        self._checked: Final[dict[str, _Checked]] = {}
        self._published: Final[set[str]] = set()
        self._pages: Final[dict[str, str]] = {}

    async def prepare(self) -> None:
        """Write the pages about rules, and ask to be told of files that change on disk."""
        self._pages.update(await self._work(lambda: write_rule_pages(default_pages_folder())))
        workspace = self.client_capabilities.workspace
        watched = workspace.did_change_watched_files if workspace else None
        if watched is not None and watched.dynamic_registration:
            watchers = [types.FileSystemWatcher(glob_pattern=each) for each in _WATCHED]
            options = types.DidChangeWatchedFilesRegistrationOptions(watchers=watchers)
            registration = types.Registration(
                id="lattice-lock-files",
                method=types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
                register_options=options,
            )
            await self.client_register_capability_async(
                types.RegistrationParams(registrations=[registration])
            )

    def stop(self) -> None:
        """Drop what is not done yet."""
        for task in (*self._tasks.values(), *self._rereading, *self._projects.values()):
            task.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def _work(self, function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)

    def check_later(self, uri: str, *, delay_s: float = _QUIET_S) -> None:
        """Check a document when it has rested for a while, instead of what was planned for it."""
        self._drop(uri)
        self._tasks[uri] = asyncio.create_task(self._check(uri, delay_s))

    def _drop(self, uri: str) -> None:
        self._checked.pop(uri, None)
        task = self._tasks.pop(uri, None)
        if task is not None:
            task.cancel()

    async def _check(self, uri: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        path = _path(uri)
        project = None if path is None else await self._project(path)
        if path is None or project is None:
            return
        document = self.workspace.get_text_document(uri)
        version, text = document.version, document.source
        positions = Positions(text, document.position_codec)
        if path.name == LATTICE_NAME:
            problems = await self._work(lambda: lattice_problems(text))
            self._publish(uri, version, lattice_diagnostics(problems, positions))
            return
        found = await self._work(lambda: project.check(path, text))
        self._checked[uri] = _Checked(text, found)
        self._publish(
            uri, version, (violation_diagnostic(each, positions, self._pages) for each in found)
        )

    async def _project(self, path: Path) -> GovernedProject | None:
        """The project of a file, read when its first file is opened; None where it has none."""
        root = await self._work(lambda: find_root(path))
        if root is None:
            return None
        if root not in self._projects:
            self._projects[root] = asyncio.create_task(self._open(root))
        # A check that is dropped must not take the project along that others wait for.
        return await asyncio.shield(self._projects[root])

    async def _open(self, root: Path) -> GovernedProject:
        project = await self._work(lambda: GovernedProject(root))
        self._tell(project)
        return project

    def _tell(self, project: GovernedProject) -> None:
        if project.failure is not None:
            message = f"{project.failure} The last state that could be read still counts."
            self.window_log_message(
                types.LogMessageParams(type=types.MessageType.Warning, message=message)
            )

    def _publish(
        self, uri: str, version: int | None, diagnostics: Iterable[types.Diagnostic]
    ) -> None:
        self._published.add(uri)
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri=uri, version=version, diagnostics=list(diagnostics))
        )

    def close(self, uri: str) -> None:
        """Forget a document and what was said about it."""
        self._drop(uri)
        if uri in self._published:
            self._publish(uri, None, ())
            self._published.discard(uri)

    def changed_on_disk(self, uris: Iterable[str]) -> None:
        """Read again what files on disk say, and check what is open against that."""
        paths = [path for uri in uris if (path := _path(uri)) is not None]
        if paths:
            task = asyncio.create_task(self._read_again(paths))
            self._rereading.add(task)
            task.add_done_callback(self._rereading.discard)

    async def _read_again(self, paths: Sequence[Path]) -> None:
        for root, opened in list(self._projects.items()):
            project = await opened
            inside = [path for path in paths if path.is_relative_to(root)]
            if any(path.suffix != ".py" for path in inside):
                await self._work(project.reload)
                self._tell(project)
            elif inside:
                await self._work(project.refresh)
        for uri in list(self.workspace.text_documents):
            self.check_later(uri, delay_s=0)

    async def _current(self, uri: str) -> _Checked | None:
        """What is found in a document as it stands now."""
        document = self.workspace.get_text_document(uri)
        if uri not in self._checked or self._checked[uri].text != document.source:
            self.check_later(uri, delay_s=0)
            await asyncio.wait([self._tasks[uri]])
        return self._checked.get(uri)

    async def actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """What can be done about the violations in a range, and about all of a document."""
        uri = params.text_document.uri
        path = _path(uri)
        checked = await self._current(uri)
        project = None if path is None else await self._project(path)
        if path is None or project is None or checked is None:
            return []
        only = params.context.only
        document = self.workspace.get_text_document(uri)
        positions = Positions(checked.text, document.position_codec)
        actions: list[types.CodeAction] = []
        if _is_wanted(types.CodeActionKind.QuickFix, only):
            for violation in checked.violations:
                diagnostic = violation_diagnostic(violation, positions, self._pages)
                if not _touch(diagnostic.range, params.range):
                    continue
                comment = await self._work(
                    functools.partial(_comment_for, violation, checked.text, project, path)
                )
                actions += [
                    types.CodeAction(
                        title=fix.title,
                        kind=types.CodeActionKind.QuickFix,
                        diagnostics=[diagnostic],
                        is_preferred=fix.certain,
                        edit=_workspace_edit(uri, _text_edits(fix, positions)),
                    )
                    for fix in (violation.fix, comment)
                    if fix is not None
                ]
        if _is_wanted(_FIX_ALL, only) and any(_is_certain(each) for each in checked.violations):
            mended = await self._work(lambda: project.mended(path, checked.text))
            last = len(positions.lines)
            whole = Edit(1, 1, last, len(positions.lines[-1]) + 1, mended)
            actions.append(
                types.CodeAction(
                    title="Mend everything that Sheriff can mend with certainty",
                    kind=_FIX_ALL,
                    edit=_workspace_edit(
                        uri, [types.TextEdit(range=positions.range_of(whole), new_text=mended)]
                    ),
                )
            )
        return actions

    async def hover(self, params: types.HoverParams) -> types.Hover | None:
        """What is known about the place that is pointed at."""
        uri = params.text_document.uri
        path = _path(uri)
        project = None if path is None else await self._project(path)
        if path is None or project is None:
            return None
        document = self.workspace.get_text_document(uri)
        positions = Positions(document.source, document.position_codec)
        if params.position.line >= len(positions.lines):
            return None
        line = positions.lines[params.position.line]
        interfaces = await self._work(lambda: project.interfaces(path))
        text = hover_text(line, positions.column(params.position), interfaces)
        if text is None:
            return None
        return types.Hover(types.MarkupContent(kind=types.MarkupKind.Markdown, value=text))


def _path(uri: str) -> Path | None:
    """The file of a document, None for one that is no file."""
    path = to_fs_path(uri)
    return Path(path) if path else None


def _is_certain(violation: Violation) -> bool:
    return violation.fix is not None and violation.fix.certain


def _comment_for(
    violation: Violation, text: str, project: GovernedProject, path: Path
) -> Fix | None:
    return suppression(violation, text, lambda tried: project.check(path, tried))


def _text_edits(fix: Fix, positions: Positions) -> list[types.TextEdit]:
    return [
        types.TextEdit(range=positions.range_of(edit), new_text=edit.text) for edit in fix.edits
    ]


def _workspace_edit(uri: str, edits: list[types.TextEdit]) -> types.WorkspaceEdit:
    return types.WorkspaceEdit(changes={uri: edits})


def _is_wanted(kind: str, only: Sequence[str] | None) -> bool:
    """Whether a client that asks for some kinds, such as `source`, wants this one."""
    return only is None or any(kind == each or kind.startswith(f"{each}.") for each in only)


def _touch(one: types.Range, other: types.Range) -> bool:
    return one.start <= other.end and other.start <= one.end


def build_server() -> LatticeServer:
    """A server that has not begun to speak."""
    server = LatticeServer()

    @server.feature(types.INITIALIZED)
    async def initialized(_: types.InitializedParams) -> None:
        await server.prepare()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.check_later(params.text_document.uri, delay_s=0)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.check_later(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        server.changed_on_disk([params.text_document.uri])

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        server.close(params.text_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def changed_on_disk(params: types.DidChangeWatchedFilesParams) -> None:
        server.changed_on_disk(each.uri for each in params.changes)

    kinds = [types.CodeActionKind.QuickFix, _FIX_ALL]

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=kinds)
    )
    async def actions(params: types.CodeActionParams) -> list[types.CodeAction]:
        return await server.actions(params)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        return await server.hover(params)

    @server.feature(types.SHUTDOWN)
    def shut_down(_: None) -> None:
        server.stop()

    return server


def serve_stdio() -> None:
    """Speak the protocol over standard input and output until the editor ends it.

    Whatever else would be written to standard output goes to standard error meanwhile.
    """
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as output:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        build_server().start_io(sys.stdin.buffer, output)
