"""Name what untrusted code attempts, and end the process before it can hide the attempt.

The kernel refuses a file outside the sandbox with an ordinary error, which a body may swallow and
then answer correctly. The interpreter's audit events tell of the attempt itself. This is a witness,
not the fence: code that gets around it still stands before Landlock and the system call filter.

Source: https://docs.python.org/3/library/audit_events.html
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lattice_lock.gauntlet._channel import Json

__all__ = ["FORBIDDEN_ATTEMPT", "make_observer", "watch_attempts"]

FORBIDDEN_ATTEMPT: Final = 86
"""Exit status of a process that attempted something forbidden."""

_WRITE_FLAGS: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_NETWORK: Final = "use the network"
_PROCESS: Final = "start a process"
_SIGNAL: Final = "signal a process"
_CHANGE: Final = "change the file system"

# What an event means, by its full name or by the part before the first dot.
_FORBIDDEN: Final = {
    **dict.fromkeys(("socket", "urllib", "http", "ftplib", "smtplib", "imaplib"), _NETWORK),
    **dict.fromkeys(("poplib", "nntplib", "telnetlib", "webbrowser"), _NETWORK),
    **dict.fromkeys(("subprocess", "pty", "os.system", "os.exec", "os.fork"), _PROCESS),
    **dict.fromkeys(("os.forkpty", "os.posix_spawn", "os.spawn"), _PROCESS),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), _SIGNAL),
    **dict.fromkeys(("os.truncate", "os.chmod", "os.chown", "os.chflags", "os.lockf"), _CHANGE),
    **dict.fromkeys(("os.utime", "os.setxattr", "os.removexattr", "os.link"), _CHANGE),
    **dict.fromkeys(("os.symlink", "os.mkdir", "os.remove", "os.rename", "os.rmdir"), _CHANGE),
    "os.getxattr": "read a file's attributes",
    "os.listxattr": "read a file's attributes",
    "ctypes": "call native code through ctypes",
    "fcntl": "control a file descriptor",
    "gc": "search the interpreter's memory",
    "resource": "change a resource limit",
    "sys.addaudithook": "watch the interpreter",
    "sys.setprofile": "watch the interpreter",
    "sys.settrace": "watch the interpreter",
    "syslog": "write to the system log",
}
_LISTS_A_FOLDER: Final = frozenset({"os.listdir", "os.scandir", "os.chdir"})


def watch_attempts(readable: Iterable[str], report: Callable[[str], None]) -> None:
    """Call `report` with what was tried, as in "open `/etc/passwd`", then end the process.

    The watch cannot be taken off again. It expects `/` to be the current folder.

    Args:
        readable: files and folders that may be read.
        report: tells the judge. The process ends with `FORBIDDEN_ATTEMPT` even if it raises.
    """
    attempt_of, leave = make_observer(readable), os._exit

    def hook(event: str, arguments: tuple[Json, ...]) -> None:
        attempt = attempt_of(event, arguments)
        if attempt is None:
            return
        try:
            report(attempt)
        finally:
            leave(FORBIDDEN_ATTEMPT)

    sys.addaudithook(hook)


def make_observer(readable: Iterable[str]) -> Callable[[str, tuple[Json, ...]], str | None]:
    """A function from an audit event to the forbidden thing it attempts, None for anything else.

    Everything is captured here: whoever replaces a builtin must not change what it sees.
    """
    forbidden, lists_a_folder = dict(_FORBIDDEN), _LISTS_A_FOLDER
    path_text, type_, int_ = _make_path_reader(), type, int
    paths = tuple(readable)
    prefixes = tuple(root.rstrip("/") + "/" for root in (*paths, *map(os.path.realpath, paths)))

    def outside(path: Json) -> str | None:
        text = path_text(path)
        return None if text is None or (text + "/").startswith(prefixes) else text

    def attempt_of(event: str, arguments: tuple[Json, ...]) -> str | None:
        if event == "open":
            path, _mode, flags = arguments
            if type_(flags) is int_ and flags & _WRITE_FLAGS and path_text(path) is not None:
                return f"write to `{path_text(path)}`"
            denied = outside(path)
            return None if denied is None else f"open `{denied}`"
        if event in lists_a_folder:
            denied = outside(arguments[0])
            return None if denied is None else f"look into `{denied}`"
        if event == "sqlite3.connect":
            return None if arguments[0] == ":memory:" else "open a database file"
        return forbidden.get(event) or forbidden.get(event.partition(".")[0])

    return attempt_of


def _make_path_reader() -> Callable[[Json], str | None]:
    str_, bytes_, int_, type_, issubclass_ = str, bytes, int, type, issubclass

    def absolute(path: str) -> str:
        parts: list[str] = []
        for part in path.split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in {"", "."}:
                parts.append(part)
        return "/" + "/".join(parts)

    def path_text(path: Json) -> str | None:
        """The absolute path, None for a descriptor that is open already."""
        cls = type_(path)
        if path is None:
            return "/"
        if issubclass_(cls, bytes_):
            return absolute(bytes_.decode(path, "utf-8", "replace"))
        if issubclass_(cls, str_):
            return absolute(str_.__str__(path))
        return None if issubclass_(cls, int_) else "?"

    return path_text
