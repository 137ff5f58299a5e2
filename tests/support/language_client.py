"""A real client of the language server, which speaks to it over standard input and output."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from lsprotocol import types
from pygls.lsp.client import LanguageClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_TIMEOUT_S = 60.0


class Editor:
    """What the tests do in place of a person at an editor."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._published: defaultdict[str, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self._versions: dict[str, int] = {}
        self.registered: list[Any] = []

        def published(params: Any) -> None:
            self._published[params.uri].put_nowait(params)

        def registered(params: Any) -> None:
            self.registered += params.registrations

        def logged(_: Any) -> None: ...

        client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(published)
        client.feature(types.CLIENT_REGISTER_CAPABILITY)(registered)
        client.feature(types.WINDOW_LOG_MESSAGE)(logged)

    @classmethod
    @asynccontextmanager
    async def started(
        cls, folder: Path, cache: Path, *, encodings: list[str] | None = None
    ) -> AsyncIterator[Self]:
        """An editor that has started the server in `folder`, and ends it properly."""
        editor = cls(LanguageClient("test", "1"))
        client = editor.client
        measured = {key: one for key, one in os.environ.items() if key.startswith("COVERAGE")}
        environment = measured | {"XDG_CACHE_HOME": str(cache), "PATH": "/usr/bin:/bin"}
        await client.start_io(
            *(sys.executable, "-m", "lattice_lock", "lsp", "--stdio"), cwd=folder, env=environment
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                watching = types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True)
                capabilities = types.ClientCapabilities(
                    general=types.GeneralClientCapabilities(position_encodings=encodings),
                    workspace=types.WorkspaceClientCapabilities(did_change_watched_files=watching),
                )
                await client.initialize_async(types.InitializeParams(capabilities=capabilities))
                client.initialized(types.InitializedParams())
            yield editor
            async with asyncio.timeout(_TIMEOUT_S):
                await client.shutdown_async(None)
                client.exit(None)
                await client._server.wait()
            assert client._server.returncode == 0
        finally:
            if client._server.returncode is None:
                client._server.kill()
            await client._server.wait()
            await client.stop()
            # The library leaves the pipes of the process to the garbage collector.
            client._server._transport.close()

    def open(self, path: Path, text: str | None = None) -> str:
        """Open a file, with another text than its own if one is given."""
        uri = path.as_uri()
        self._versions[uri] = 1
        document = types.TextDocumentItem(
            uri=uri,
            language_id="yaml" if path.suffix == ".yaml" else "python",
            version=1,
            text=path.read_text() if text is None else text,
        )
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        return uri

    def type(self, uri: str, text: str) -> None:
        """Replace what a document says, without saving it."""
        self._versions[uri] += 1
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self._versions[uri], uri),
                [types.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    def save(self, uri: str) -> None:
        """Say that a document was saved; the test has written the file."""
        self.client.text_document_did_save(
            types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri))
        )

    def close(self, uri: str) -> None:
        """Close a document."""
        self.client.text_document_did_close(
            types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri))
        )

    def changed_on_disk(self, path: Path) -> None:
        """Say that a file changed without the editor's doing."""
        event = types.FileEvent(path.as_uri(), types.FileChangeType.Changed)
        self.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))

    async def published(self, uri: str) -> Any:
        """The next diagnostics for a document."""
        async with asyncio.timeout(_TIMEOUT_S):
            return await self._published[uri].get()

    def pending(self, uri: str) -> int:
        """How many diagnostics for a document have come that nobody has asked for."""
        return self._published[uri].qsize()

    async def codes(self, uri: str) -> list[str]:
        """The rules of the next diagnostics for a document."""
        return [each.code for each in (await self.published(uri)).diagnostics]

    async def actions(self, uri: str, line: int, *, only: list[str] | None = None) -> list[Any]:
        """What can be done about the line, counted from 1."""
        async with asyncio.timeout(_TIMEOUT_S):
            found = await self.client.text_document_code_action_async(
                types.CodeActionParams(
                    text_document=types.TextDocumentIdentifier(uri),
                    range=types.Range(types.Position(line - 1, 0), types.Position(line - 1, 999)),
                    context=types.CodeActionContext(diagnostics=[], only=only),
                )
            )
        return list(found or ())

    async def hover(self, uri: str, line: int, column: int) -> str | None:
        """What is shown at a place, counted from 1."""
        async with asyncio.timeout(_TIMEOUT_S):
            found = await self.client.text_document_hover_async(
                types.HoverParams(
                    types.TextDocumentIdentifier(uri), types.Position(line - 1, column - 1)
                )
            )
        return None if found is None else str(found.contents.value)
