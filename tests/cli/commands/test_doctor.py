"""`lattice-lock doctor`."""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING

from command_process import run
from lattice_lock.gauntlet.sandbox import detect_sandbox
from wire_server import answer, serving

if TYPE_CHECKING:
    from pathlib import Path


async def test_doctor_looks_at_everything(tmp_path: Path) -> None:
    """Python, git, the sandbox and every provider are there with what was really found."""
    listed = {"object": "list", "data": [{"id": "qwen"}]}
    async with serving(answer(listed)) as server:
        outcome = await run(
            tmp_path, "doctor", "--format", "json", LATTICE_LOCK_LOCAL_URL=server.url
        )
    checks = {check["name"]: check for check in outcome.json["checks"]}
    assert platform.python_version() in checks["python"]["detail"]
    assert checks["git"]["detail"].startswith("git version")
    assert checks["provider local"]["state"] == "ok"
    assert checks["provider local"]["detail"].startswith("1 model;")
    assert checks["provider embedded"]["state"] == "missing"
    assert checks["provider embedded"]["hint"] == "Run `lattice-lock models pull embedded`."
    sandbox = await asyncio.to_thread(detect_sandbox)
    assert sandbox.name in checks["sandbox"]["detail"]
    assert checks["sandbox"]["state"] == ("ok" if sandbox.confines else "problem")
    assert outcome.code == (0 if sandbox.confines else 1)


async def test_doctor_says_what_to_do(tmp_path: Path) -> None:
    """What is missing is in the table, and what to do about it below."""
    outcome = await run(tmp_path, "doctor", PATH=str(tmp_path))
    table, hints = outcome.out.split("\n\n")
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["what", "state", "detail"]
    assert ["git", "missing", "not", "installed"] in rows
    assert "provider local: Start the server" in hints


async def test_doctor_shows_no_key(tmp_path: Path) -> None:
    """A key that is set is shown in neither format."""
    canary = "canary" + "-0123456789"
    for format_ in ("text", "json"):
        outcome = await run(
            tmp_path, "doctor", "--format", format_, LATTICE_LOCK_LOCAL_API_KEY=canary
        )
        assert "provider local" in outcome.out
        assert canary not in outcome.out + outcome.err
