"""The protocol around the tools: official SDK in, answers and errors out.

The only module that needs the extra `mcp`. An error that Lattice Lock raises on purpose is an
answer that the agent can act on; what breaks the protocol is an error of the protocol.
"""

from __future__ import annotations

import io
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import msgspec
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from typing_extensions import override

from lattice_lock import __version__
from lattice_lock.exceptions import CompileError, LatticeError, LatticeLockError
from lattice_lock.mcp.pages import contract_page, errors_page, explanation, rules_page
from lattice_lock.mcp.tools import (
    Answer,
    CheckArguments,
    CompileArguments,
    ExplainArguments,
    ProjectTools,
    ProposalArguments,
    RunContractArguments,
)
from lattice_lock.sheriff.registry import load_rules
from mcp import types

if TYPE_CHECKING:
    import socket

__all__ = ["MAX_MESSAGE_BYTES", "build_server", "serve_http", "serve_stdio"]

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Longest message that is read, over either transport."""

_SCHEME: Final = "lattice-lock://"
_INVALID_PARAMS: Final = -32602
_NOT_FOUND: Final = -32002
_INSTRUCTIONS: Final = (
    "`lattice.yaml` is the truth about this project; its types and contract tests are generated."
    " Read a contract before you write an implementation, call `check` after every change, and"
    " propose changes of the lattice with `propose_lattice_change` instead of editing what is"
    " generated."
)

_Call: TypeAlias = Callable[[Any], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """One tool as agents see it, with what answers it."""

    name: str
    description: str
    arguments: type[msgspec.Struct]
    call: _Call
    read_only: bool = True

    def described(self) -> types.Tool:
        (_,), components = msgspec.json.schema_components([self.arguments])
        schema = components[self.arguments.__name__]
        return types.Tool(
            name=self.name,
            description=self.description,
            input_schema={
                key: schema[key] for key in schema if key not in {"title", "description"}
            },
            annotations=types.ToolAnnotations(
                read_only_hint=self.read_only, idempotent_hint=True, open_world_hint=False
            ),
        )


def build_server(tools: ProjectTools) -> Server[Any]:
    """A server that answers for one project, not yet connected to anything."""
    table = {tool.name: tool for tool in _tools(tools)}

    async def list_tools(_: object, __: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.described() for tool in table.values()])

    async def call_tool(_: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = table.get(params.name)
        if tool is None:
            raise MCPError(_INVALID_PARAMS, f"There is no tool `{params.name[:100]}`.")
        return await _call(tool, params.arguments or {})

    async def list_resources(_: object, __: object) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=await _resources(tools))

    async def read_resource(
        _: object, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        text, mime_type = await _read(tools, params.uri)
        content = types.TextResourceContents(uri=params.uri, mime_type=mime_type, text=text)
        return types.ReadResourceResult(contents=[content])

    return Server(
        "lattice-lock",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
    )


def _tools(tools: ProjectTools) -> tuple[_Tool, ...]:
    return (
        _Tool(
            name="check",
            description="Check the whole project: what drifted from the lattice, what the static"
            " rules find, which contracts the code breaks, with a counterexample for each.",
            arguments=CheckArguments,
            call=tools.check,
        ),
        _Tool(
            name="compile",
            description="Generate types, interfaces, scaffolds and contract tests from the"
            " lattice. Writes generated files only, all or none; code that people wrote stays.",
            arguments=CompileArguments,
            call=tools.compile,
            read_only=False,
        ),
        _Tool(
            name="explain",
            description="Explain a rule or an error code: what it means and what to do.",
            arguments=ExplainArguments,
            call=tools.explain,
        ),
        _Tool(
            name="propose_lattice_change",
            description="Try a change of the lattice: answers with the diff and every problem as"
            " file:line:column. Writes nothing; show the diff to a person, who decides.",
            arguments=ProposalArguments,
            call=tools.propose_lattice_change,
        ),
        _Tool(
            name="run_contract",
            description="Judge the implementation of one method by its contract, in a sandbox.",
            arguments=RunContractArguments,
            call=tools.run_contract,
        ),
    )


async def _call(tool: _Tool, arguments: dict[str, object]) -> types.CallToolResult:
    try:
        answer = await tool.call(msgspec.convert(arguments, tool.arguments))
    except msgspec.ValidationError as error:
        return _result(
            f"`{tool.name}` was called wrongly: {error}.", {"message": str(error)}, failed=True
        )
    except LatticeLockError as error:
        return _result(str(error), _error(error), failed=True)
    return _result(answer.text, answer.data, failed=False)


def _result(text: str, data: object, *, failed: bool) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(text=text)],
        structured_content=msgspec.to_builtins(data),
        is_error=failed,
    )


def _error(error: LatticeLockError) -> dict[str, object]:
    problems = error.problems if isinstance(error, LatticeError | CompileError) else ()
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "problems": problems,
    }


async def _resources(tools: ProjectTools) -> list[types.Resource]:
    listed = [
        _resource("lattice", "The lattice: what data looks like and what code must do.", _YAML),
        _resource("rules", "The rules that code is checked by."),
        _resource("errors", "What error codes mean."),
    ]
    try:
        workspace = await tools.workspace()
    except LatticeLockError:
        interfaces: list[str] = []  # `check` says what is wrong with the lattice
    else:
        interfaces = list(workspace.lattice.interfaces)
    listed += [
        _resource(f"contracts/{name}", f"What an implementation of {name} must do.")
        for name in interfaces
    ]
    listed += [_resource(f"rules/{rule.name}", f"The rule {rule.name}.") for rule in load_rules()]
    return listed


_YAML: Final = "application/yaml"
_MARKDOWN: Final = "text/markdown"


def _resource(path: str, description: str, mime_type: str = _MARKDOWN) -> types.Resource:
    return types.Resource(
        uri=f"{_SCHEME}{path}", name=path, description=description, mime_type=mime_type
    )


async def _read(tools: ProjectTools, uri: str) -> tuple[str, str]:
    """Text and media type of a resource; a name is looked up, never made into a path."""
    path = uri.removeprefix(_SCHEME) if uri.startswith(_SCHEME) else ""
    folder, _, name = path.partition("/")
    try:
        match (folder, name):
            case ("lattice", ""):
                return await tools.lattice_text(), _YAML
            case ("rules", ""):
                return rules_page(), _MARKDOWN
            case ("errors", ""):
                return errors_page(), _MARKDOWN
            case ("rules", _):
                return explanation(name), _MARKDOWN
            case ("contracts", _):
                lattice = (await tools.workspace()).lattice
                if name in lattice.interfaces:
                    return contract_page(lattice, lattice.interfaces[name]), _MARKDOWN
    except LatticeLockError as error:
        raise MCPError(_NOT_FOUND, str(error), {"uri": uri[:200]}) from error
    raise MCPError(_NOT_FOUND, f"There is no resource `{uri[:200]}`.", {"uri": uri[:200]})


class _BoundedLines(io.TextIOWrapper):
    """Lines of which a too long one is read to its end but never kept."""

    @override
    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # as in typeshed
        del size
        line = super().readline(MAX_MESSAGE_BYTES)
        if len(line) < MAX_MESSAGE_BYTES or line.endswith("\n"):
            return line
        while (rest := super().readline(MAX_MESSAGE_BYTES)) and not rest.endswith("\n"):
            pass
        return "a message that is too long\n"  # no JSON, so the SDK refuses it


async def serve_stdio(server: Server[Any]) -> None:
    """Serve the client at standard input and output until it goes.

    Meanwhile descriptor 0 is empty and descriptor 1 is standard error, so that nothing that is run
    here can read or disturb the protocol.
    """
    wire = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    lines = _BoundedLines(io.FileIO(wire), encoding="utf-8", errors="replace")
    async with stdio_server(stdin=anyio.wrap_file(lines)) as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def serve_http(server: Server[Any], listening: socket.socket) -> None:
    """Serve clients at `/mcp` of a bound loopback socket until interrupted.

    There is no authentication. What keeps web pages out is that `Host` must name this address and
    `Origin`, where there is one, too.
    """
    port = listening.getsockname()[1]
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    app = server.streamable_http_app(
        max_request_body_size=MAX_MESSAGE_BYTES,
        transport_security=TransportSecuritySettings(
            allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts]
        ),
    )
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on")
    await uvicorn.Server(config).serve(sockets=[listening])
