"""Runs `_child_main` in the project's interpreter and brings back what it wrote."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, unquote_plus

from lattice_lock.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["described", "project_python", "secrets_of"]

_PROGRAM = Path(__file__).with_name("_child_main.py")
_MAX_BYTES = 32 * 1024 * 1024
_KEPT_BYTES = 64 * 1024
_LINE = re.compile(r'^\s*File "(?P<file>[^"<]+)", line (?P<line>[0-9]+)', re.MULTILINE)


def project_python() -> str:
    """The interpreter of the project here: its active or local environment, else our own."""
    active = os.environ.get("VIRTUAL_ENV")
    for folder in (Path(active) if active else None, Path(".venv")):
        for name in ("bin/python", "Scripts/python.exe"):
            if folder is not None and (folder / name).is_file():
                return str((folder / name).absolute())
    return sys.executable


def described(
    task: Mapping[str, str], *, what: str, python: str, timeout_s: float
) -> dict[str, Any]:
    """What the child found, as plain data with exact numbers.

    Args:
        task: `kind`, and `source` or `url`.
        what: how messages call the source; they hold nothing else of the task.
        python: the interpreter to run.
        timeout_s: seconds after which it is ended.

    Raises:
        UsageError: the interpreter cannot be run, or what it ran failed or never ended.
    """
    with tempfile.TemporaryDirectory(prefix="lattice-lock-import-") as folder:
        target = Path(folder, "found.json")
        errors = Path(folder, "errors.txt")
        with errors.open("wb") as error_file:
            code = _run(
                json.dumps({**task, "target": str(target)}), error_file, what, python, timeout_s
            )
        if code != 0 or not target.is_file():
            raise _failure(errors, what, code, secret=task.get("url", ""))
        if target.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{what} describes too much", hint="Import a part of it.")
        return dict(json.loads(target.read_text(encoding="utf-8"), parse_float=Decimal))


def _run(task: str, error_file: IO[bytes], what: str, python: str, timeout_s: float) -> int:
    arguments = [python, "-X", "utf8", str(_PROGRAM)]
    try:
        # Its own group, so that what it started ends with it.
        process = subprocess.Popen(  # noqa: S603  # the interpreter that the user named
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=error_file,
            start_new_session=True,
        )
    except OSError as error:
        raise UsageError(
            f"`{python}` cannot be run: {error.strerror}", hint="Name another with `--python`."
        ) from error
    with process:
        try:
            process.communicate(task.encode(), timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise UsageError(
                f"{what} did not come to an end within {timeout_s:g} seconds",
                hint="What runs when it is imported must end; see `--timeout`.",
            ) from None
        finally:
            _end_group(process)
    return process.returncode


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing of it is left


def _failure(errors: Path, what: str, code: int, *, secret: str) -> UsageError:
    with errors.open("rb") as file:
        file.seek(max(0, errors.stat().st_size - _KEPT_BYTES))
        text = file.read().decode(errors="replace")
    if code < 0:
        return UsageError(f"{what} crashed the interpreter with signal {-code}")
    start = text.rfind("Traceback (most recent call last):")
    if start < 0:
        return UsageError(
            f"{what} ended the interpreter with exit code {code}",
            hint="What runs when it is imported must not end the process.",
        )
    lines = text[start:].strip().splitlines()
    # The error is the first line that is not indented; notes and long messages follow it.
    reason = next((line for line in lines[1:] if line and not line[0].isspace()), lines[-1])
    place = _place(text[start:])
    return UsageError(f"{what} cannot be read: {_redacted(reason, secret)}{place}")


def _place(trace: str) -> str:
    """Where the project's own code was, if any of it was running."""
    own = [
        found
        for found in _LINE.finditer(trace)
        if "site-packages" not in found["file"]
        and not Path(found["file"]).is_relative_to(_PROGRAM.parent)
        and not Path(found["file"]).is_relative_to(Path(os.__file__).parent)
    ]
    if not own:
        return ""
    return f" (at {os.path.relpath(own[-1]['file'])}:{own[-1]['line']})"


def _redacted(text: str, url: str) -> str:
    """A message without the secrets of a URL."""
    for secret in secrets_of(url):
        text = text.replace(secret, "***")
    return text


def secrets_of(url: str) -> list[str]:
    """Every text of a database URL that must not be shown, the longest first."""
    rest = url.partition("://")[2]
    authority, _, query = rest.partition("?")
    user_info = authority.rpartition("@")[0]
    raw = user_info.partition(":")[2]
    found = {raw, unquote(raw), unquote_plus(raw)}
    for key, value in parse_qsl(query):
        if any(word in key.lower() for word in ("pass", "secret", "token", "key")):
            found.add(value)
    return sorted(found - {""}, key=len, reverse=True)
