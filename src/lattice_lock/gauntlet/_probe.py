"""Attack the sandbox from inside, to see that it holds; runs as a throwaway process."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lattice_lock.gauntlet._confine import Confinement, confine_process

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

_DENIED: Final = 1
_UNCONFINED: Final = 2


def main() -> None:
    """Read the order from standard input, write the list of successful attacks to the output."""
    order = json.load(sys.stdin)
    secret = order["secret"]
    attacks: dict[str, Callable[[], object]] = {
        "a file outside can be read": lambda: Path(secret).read_bytes(),
        "a folder outside can be listed": lambda: list(Path(secret).parent.iterdir()),
        "a file outside can be written": lambda: Path(secret).write_bytes(b""),
        "a file can be created": lambda: os.mknod(f"{secret}-2"),
        "a file's mode can be changed": lambda: Path(secret).chmod(0o777),
        "another process can be read": lambda: Path(f"/proc/{order['pid']}/environ").read_bytes(),
        "another process can be signalled": lambda: os.kill(os.getppid(), 0),
        "a socket can be opened": socket.socket,
        "a process can be forked": os.fork,
        "a program can be executed": lambda: os.execv(sys.executable, ["-"]),  # noqa: S606
        "native code can trace": _trace_parent,
        "memory is unlimited": lambda: bytearray(1 << 31),
    }
    holes = [name for name, attack in attacks.items() if not _is_denied(attack, order)]
    json.dump(holes, sys.stdout)


def _trace_parent() -> None:
    ptrace_attach = 16
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(ptrace_attach, os.getppid(), None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def _is_denied(attack: Callable[[], object], order: dict[str, Any]) -> bool:
    """Whether a child of this process, confined like the worker, fails in an attack."""
    child = os.fork()
    if child == 0:
        os._exit(_attempt(attack, order))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGSYS
    if os.WEXITSTATUS(status) == _UNCONFINED:
        sys.exit(_UNCONFINED)
    return os.WEXITSTATUS(status) == _DENIED


def _attempt(attack: Callable[[], object], order: dict[str, Any]) -> int:
    try:
        confine_process(Confinement(**order["confinement"]))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return _UNCONFINED
    try:
        attack()
    except (OSError, MemoryError):
        return _DENIED
    return 0
