"""The server as a process, spoken to by the official client and by hand."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from command_process import isolated

mcp = pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def _client(project: Path) -> Any:
    """A client whose server is started in another folder than the project."""
    command = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "lattice_lock", "mcp", str(project)],
        cwd=str(project.parent),
        env=os.environ | isolated(project.parent),
    )
    return mcp.Client(command, read_timeout_seconds=60)


async def test_client_finds_tools_and_reads_resources(project: Path) -> None:
    """Five tools with closed schemas; every listed resource can be read."""
    async with _client(project) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        listed = (await client.list_resources()).resources
        texts = {one.uri: (await client.read_resource(one.uri)).contents[0].text for one in listed}
    assert set(tools) == {
        "check",
        "compile",
        "explain",
        "propose_lattice_change",
        "run_contract",
    }
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())
    writing = [name for name, tool in tools.items() if not tool.annotations.read_only_hint]
    assert writing == ["compile"]
    lattice = await asyncio.to_thread((project / "lattice.yaml").read_text)
    assert texts["lattice-lock://lattice"] == lattice
    assert texts["lattice-lock://contracts/ITwice"].startswith("# `ITwice`")
    assert texts["lattice-lock://rules/forbidden-import"].startswith("# `forbidden-import`")
    assert "| LL-102 |" in texts["lattice-lock://errors"]
    assert "forbidden-import" in texts["lattice-lock://rules"]


async def test_agent_mends_what_check_names(project: Path) -> None:
    """A violation is told as text and data, mended, and gone; the sandbox runs meanwhile."""
    wire = project / "src" / "wire.py"
    await asyncio.to_thread(wire.write_text, "import requests\n")
    async with _client(project) as client:
        found = await client.call_tool("check", {})
        await asyncio.to_thread(wire.unlink)
        mended = await client.call_tool("check", {})
    assert (found.is_error, found.structured_content["passed"]) == (False, False)
    assert found.structured_content["violations"][0]["file"] == "src/wire.py"
    assert "src/wire.py:1:8 forbidden-import" in found.content[0].text
    assert mended.structured_content["passed"] is True


async def test_errors_are_answers_with_code_and_place(project: Path) -> None:
    """A broken lattice fails the call with file:line:column; the server goes on."""
    lattice = project / "lattice.yaml"
    text = await asyncio.to_thread(lattice.read_text)
    await asyncio.to_thread(lattice.write_text, text.replace("version: v1.0", "version: 1"))
    async with _client(project) as client:
        broken = await client.call_tool("compile", {})
        resources = (await client.list_resources()).resources
        await asyncio.to_thread(lattice.write_text, text)
        mended = await client.call_tool("compile", {})
    assert broken.is_error
    assert broken.structured_content["code"] == "LL-102"
    (problem,) = broken.structured_content["problems"]
    assert problem["location"] == {"file": "lattice.yaml", "line": 1, "column": 10}
    assert "lattice.yaml:1:10: " in broken.content[0].text
    assert "contracts" not in "".join(one.uri for one in resources)
    assert not mended.is_error


_HOSTILE = [
    ("check", {"path": "/etc"}),
    ("compile", {"check_only": "no"}),
    ("explain", {}),
    ("explain", {"name": "x" * 101}),
    ("explain", {"name": "../../etc/passwd"}),
    ("run_contract", {"method": "../../etc/passwd"}),
    ("run_contract", {"method": "ITwice.nothing"}),
    ("run_contract", {"method": "ITwice.double\n"}),
    ("propose_lattice_change", {"patch": "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a"}),
    ("propose_lattice_change", {"lattice": "x" * 2_000_000}),
    ("propose_lattice_change", {"lattice": 5}),
]


async def test_hostile_arguments_are_refused_and_nothing_changes(project: Path) -> None:
    """Each is answered as an error of the call, and the project stays as it was."""
    before = await asyncio.to_thread(_content, project)
    async with _client(project) as client:
        for tool, arguments in _HOSTILE:
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error, (tool, arguments)
            assert len(answer.content[0].text) < 1000
    assert await asyncio.to_thread(_content, project) == before


async def test_unknown_names_are_errors_of_the_protocol(project: Path) -> None:
    """No other tool, and no resource outside what is listed."""
    async with _client(project) as client:
        with pytest.raises(mcp.MCPError, match="no tool `rm`"):
            await client.call_tool("rm", {})
        for uri in (
            "lattice-lock://contracts/../../../etc/passwd",
            "lattice-lock://rules/..%2f..%2fetc",
            "lattice",
            "file:///etc/passwd",
        ):
            with pytest.raises(mcp.MCPError):
                await client.read_resource(uri)


async def test_calls_at_once_all_succeed(project: Path) -> None:
    """Compilations sent together wait for one another instead of failing as busy."""
    async with _client(project) as client:
        answers = await asyncio.gather(*(client.call_tool("compile", {}) for _ in range(6)))
    assert [answer.is_error for answer in answers] == [False] * 6


async def test_garbage_is_survived_and_standard_output_is_protocol_only(project: Path) -> None:
    """What is no message is ignored, whatever its length, and every line out is JSON-RPC."""
    call = {"name": "run_contract", "arguments": {"method": "ITwice.double"}}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lattice_lock", "mcp", str(project)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    garbage = [b"no json\n", b"[1,\n", b"\xff\xfe\n", b"{" * 100_000 + b"\n", b"x" * 9_000_000]
    process.stdin.write(b"".join(garbage) + b"\n")
    for message in (
        _HELLO,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "nothing/like/it"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": 5}},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call},
    ):
        process.stdin.write(json.dumps(message).encode() + b"\n")
    await process.stdin.drain()
    answers: dict[int, Mapping[str, Any]] = {}
    async with asyncio.timeout(60):
        while len(answers) < 4:
            answer = json.loads(await process.stdout.readline())
            answers[answer["id"]] = answer
        process.stdin.close()
        rest = await process.stdout.read()
        assert (await process.wait(), rest) == (0, b"")
    assert answers[0]["result"]["serverInfo"]["name"] == "lattice-lock"
    assert answers[1]["error"]["code"] == -32601
    assert answers[2]["error"]["code"] == -32602
    assert answers[3]["result"]["structuredContent"]["passed"] is True


def _content(project: Path) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_long_line_is_never_kept() -> None:
    """A line over the limit comes out short and is no message; the line after it comes whole."""
    server = importlib.import_module("lattice_lock.mcp.server")
    limit = server.MAX_MESSAGE_BYTES
    text = b"a" * (limit - 1) + b"\n" + b"b" * (3 * limit) + b"\n{}\n" + b"c" * limit
    lines = list(server._BoundedLines(io.BytesIO(text), encoding="utf-8"))
    assert [len(line) for line in lines[::2]] == [limit, 3]
    for line in lines[1::2]:
        assert len(line) < 100
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(line)
