"""`lattice-lock mcp`."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from command_process import started

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from command_process import Outcome

_LATTICE = "version: v1.0\ngenerated_module: types_v1\n"
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


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose lattice says next to nothing."""
    (tmp_path / "lattice.yaml").write_text(_LATTICE)
    return tmp_path


def test_absent_extra_is_named(project: Path) -> None:
    """Without the SDK, the error says what to install."""
    code = (
        "import sys; sys.modules['mcp'] = None\n"
        "from lattice_lock.cli.main import run; sys.exit(run(['mcp', '.']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "[LL-802]" in done.stderr
    assert "pip install 'lattice-lock[mcp]'" in done.stderr


def test_folder_without_a_lattice_is_refused(
    tmp_path: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """There is nothing to serve."""
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    outcome = lattice_lock("mcp", str(tmp_path))
    assert (outcome.code, outcome.out, "[LL-131]" in outcome.err) == (2, "", True)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8000", "example.com:80", "::1:80", "127.0.0.1", "99999", "-1", "", "1.1:1"]
)
def test_only_loopback_addresses_are_served(
    address: str, project: Path, lattice_lock: Callable[..., Outcome]
) -> None:
    """Whatever another machine could reach, or is no address, is refused."""
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    outcome = lattice_lock("mcp", str(project), f"--http={address}")
    assert (outcome.code, outcome.out, "[LL-802]" in outcome.err) == (2, "", True)


async def test_http_answers_this_machine_and_no_web_page(project: Path) -> None:
    """Requests are answered, those with a foreign `Host` or `Origin` or a huge body refused."""
    mcp = pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    async with started(project, "mcp", ".", "--http", "0") as process:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
        found = re.search(r"http://127\.0\.0\.1:([0-9]+)/mcp", line)
        assert found is not None
        port = int(found[1])
        async with mcp.Client(found[0]) as client:
            answer = await client.call_tool("compile", {"check_only": True})
        assert not answer.is_error
        cases: list[tuple[Mapping[str, str], bytes, int]] = [
            ({}, json.dumps(_HELLO).encode(), 200),
            ({"Host": "evil.example"}, json.dumps(_HELLO).encode(), 421),
            ({"Host": f"127.0.0.1:{port}.evil.example"}, json.dumps(_HELLO).encode(), 421),
            ({"Origin": "http://evil.example"}, json.dumps(_HELLO).encode(), 403),
            ({"Origin": "null"}, json.dumps(_HELLO).encode(), 403),
            ({}, b"no json", 400),
            ({}, b" " * (4 * 1024 * 1024 + 1), 413),
        ]
        for headers, body, status in cases:
            assert await asyncio.to_thread(_post, port, headers, body) == status, headers
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
        assert (process.returncode, out) == (130, b"")


def _post(port: int, headers: Mapping[str, str], body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    accepted = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    connection.request("POST", "/mcp", body, accepted | dict(headers))
    response = connection.getresponse()
    connection.close()
    return response.status


def test_snippets_of_the_page_start_this_command(root: Path) -> None:
    """Every configuration on the page parses, and starts `lattice-lock mcp` in one folder."""
    page = (root / "docs" / "how-to" / "connect-an-agent.md").read_text(encoding="utf-8")
    snippets = re.findall(r"^```(json|toml)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(snippets) == 5
    for kind, text in snippets:
        parsed = json.loads(text) if kind == "json" else tomllib.loads(text)
        (servers,) = parsed.values()
        server = servers["lattice-lock"]
        assert server["command"] == "lattice-lock"
        command, folder = server["args"]
        assert command == "mcp"
        assert folder in {".", "${workspaceFolder}"}
