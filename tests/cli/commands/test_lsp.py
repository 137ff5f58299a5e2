"""`lattice-lock lsp`; what it serves is tested in `tests/lsp`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_process import Outcome

_FRAME = re.compile(rb"Content-Length: (\d+)\r\n(?:[^\r\n]+\r\n)*\r\n")


def _message(method: str, params: object, number: int | None = None) -> bytes:
    identity = {} if number is None else {"id": number}
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params} | identity).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_standard_output_carries_the_protocol_alone(tmp_path: Path) -> None:
    """From the first byte to the last there are messages, whatever is asked, and 0 at the end."""
    pytest.importorskip("pygls", reason="the extra `lsp` is not installed")
    (tmp_path / "lattice.yaml").write_text("version: [")
    document = {"uri": (tmp_path / "a.py").as_uri(), "languageId": "python", "version": 1}
    done = subprocess.run(
        [sys.executable, "-m", "lattice_lock", "lsp"],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        input=_message("initialize", {"capabilities": {}}, 1)
        + _message("initialized", {})
        + _message("textDocument/didOpen", {"textDocument": document | {"text": "x = 1\n"}})
        + _message("no/such/method", {}, 2)
        + _message("shutdown", None, 3)
        + _message("exit", None),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0
    rest, answered = done.stdout, []
    while rest:
        frame = _FRAME.match(rest)
        assert frame is not None, rest
        end = frame.end() + int(frame[1])
        answered.append(json.loads(rest[frame.end() : end]).get("id"))
        rest = rest[end:]
    assert [each for each in answered if each is not None] == [1, 2, 3]


def test_the_extra_that_is_missing_is_named(
    lattice_lock: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `pygls` the error says what to install."""
    monkeypatch.setitem(sys.modules, "lattice_lock.lsp.server", None)
    outcome = lattice_lock("lsp")
    assert outcome.code == 2
    assert "pip install 'lattice-lock[lsp]'" in outcome.err
