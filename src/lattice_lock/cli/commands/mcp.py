"""Serve a project to coding agents over the Model Context Protocol."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from contextlib import nullcontext
from pathlib import Path

import click

from lattice_lock.cli.judging import sandbox_option
from lattice_lock.cli.output import ExitCode, note
from lattice_lock.core.project import find_project
from lattice_lock.exceptions import UsageError

__all__ = ["command"]

_ADDRESS = re.compile(r"(?:(127\.0\.0\.1|localhost|\[::1\]):)?([0-9]{1,5})")
_MAX_PORT = 65_535


@click.command("mcp")
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--http",
    "address",
    metavar="[HOST:]PORT",
    help="Serve HTTP at this loopback address instead of standard input and output.",
)
@sandbox_option
def command(path: Path, address: str | None, *, allow_unsandboxed: bool) -> ExitCode:
    """Serve the project at PATH to a coding agent, which starts this command itself.

    Needs the extra `mcp`. Standard output carries the protocol and nothing else. Agents can check,
    compile, explain, judge one method and try changes of the lattice; they name no paths.
    """
    try:
        from lattice_lock.mcp.server import (  # noqa: PLC0415  # the SDK is an extra
            build_server,
            serve_http,
            serve_stdio,
        )
        from lattice_lock.mcp.tools import ProjectTools  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(
            f"`lattice-lock mcp` needs the package `{error.name}`, which is not installed.",
            hint="Install it with `pip install 'lattice-lock[mcp]'`.",
        ) from error
    project = find_project(path)
    server = build_server(ProjectTools(project, allow_unsandboxed=allow_unsandboxed))
    with nullcontext() if address is None else _listen(address) as listening:
        os.chdir(project.root)  # so that every message names files relative to the project
        if listening is None:
            asyncio.run(serve_stdio(server))
            return ExitCode.OK
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        note(f"Serving `{project.root.name}` at http://{shown}:{port}/mcp; stop it with Ctrl-C.")
        asyncio.run(serve_http(server, listening))
    return ExitCode.OK


def _listen(address: str) -> socket.socket:
    """A socket bound to a loopback address; port 0 takes a free one."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match[2]) > _MAX_PORT:
        raise UsageError(
            f"`{address}` is no loopback address with a port.",
            hint="Use `8000`, `127.0.0.1:8000` or `[::1]:8000`: without authentication, nobody"
            " but this machine may reach the server.",
        )
    family = socket.AF_INET6 if match[1] == "[::1]" else socket.AF_INET
    host = "::1" if family is socket.AF_INET6 else "127.0.0.1"
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, int(match[2])))
    except OSError as error:
        listening.close()
        raise UsageError(
            f"Cannot serve at `{address}`: {error.strerror}.", hint="Choose another port."
        ) from error
    return listening
