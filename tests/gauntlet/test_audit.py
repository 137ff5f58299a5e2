"""What the audit events of the interpreter are taken for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from lattice_lock.gauntlet._audit import make_observer

if TYPE_CHECKING:
    from pathlib import Path


class LyingPath(str):
    """A path that claims to lie inside."""

    __slots__ = ()

    @override
    def __str__(self) -> str:
        return "/project/inside.py"

    @override
    def split(self, *_: object) -> list[str]:
        """Claim other parts."""
        return ["project", "inside.py"]

    @override
    def startswith(self, *_: object) -> bool:
        """Claim any prefix."""
        return True


READ = os.O_RDONLY | os.O_CLOEXEC

EVENTS = [
    ("open", ("/project/a.py", "r", READ), None),
    ("open", ("/project", "r", READ), None),
    ("open", (b"/project/a.py", "r", READ), None),
    ("open", ("project/a.py", "r", READ), None),
    ("open", ("/project/./b/../a.py", "r", READ), None),
    ("open", (3, "r", READ), None),
    ("open", ("/projection/a.py", "r", READ), "open `/projection/a.py`"),
    ("open", ("/project/../etc/passwd", "r", READ), "open `/etc/passwd`"),
    ("open", ("../../etc/passwd", "r", READ), "open `/etc/passwd`"),
    ("open", (b"/etc/\xff", "r", READ), "open `/etc/�`"),
    ("open", (LyingPath("/etc/passwd"), "r", READ), "open `/etc/passwd`"),
    ("open", ("/project/a.py", "w", os.O_WRONLY), "write to `/project/a.py`"),
    ("open", ("/project/a.py", None, os.O_RDWR), "write to `/project/a.py`"),
    ("open", (3, "w", os.O_WRONLY), None),
    ("os.listdir", ("/project",), None),
    ("os.listdir", (None,), "look into `/`"),
    ("os.scandir", ("/root",), "look into `/root`"),
    ("os.chdir", ("/",), "look into `/`"),
    ("sqlite3.connect", (":memory:",), None),
    ("sqlite3.connect", ("/project/a.db",), "open a database file"),
    ("socket.__new__", (), "use the network"),
    ("os.fork", (), "start a process"),
    ("subprocess.Popen", (), "start a process"),
    ("os.remove", ("/project/a.py",), "change the file system"),
    ("ctypes.dlsym", (), "call native code through ctypes"),
    ("import", ("os",), None),
    ("compile", (), None),
    ("os.putenv", (), None),
]


@pytest.mark.parametrize(("event", "arguments", "attempt"), EVENTS)
def test_an_event_is_taken_for_what_it_attempts(
    event: str, arguments: tuple[object, ...], attempt: str | None
) -> None:
    """Reading inside the project is fine; anything else has a name."""
    assert make_observer(["/project"])(event, arguments) == attempt


def test_a_folder_may_be_named_by_its_real_path(tmp_path: Path) -> None:
    """What is readable through a link is readable by its real path too."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    observe = make_observer([str(tmp_path / "link")])
    assert observe("open", (str(tmp_path / "real" / "a"), "r", READ)) is None
    assert observe("open", (str(tmp_path / "other"), "r", READ)) is not None
