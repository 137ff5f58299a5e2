"""Passed verdicts of earlier runs, kept for as long as nothing that they depend on changes.

Only whole passes are kept, with what was seen to matter: the request with the contract and the
generated types, what the implementation imports, this package, the interpreter, the installed
distributions, the machine's means of confinement. The files are the user's own and sealed, so that
whoever can write only into the project can neither change nor add one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from lattice_lock.core.seals import replace_file, seal, unseal
from lattice_lock.gauntlet import landlock, seccomp
from lattice_lock.gauntlet.dependencies import Dependency, is_current, trace
from lattice_lock.gauntlet.verdict import GauntletReport, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.gauntlet.dependencies import Traced
    from lattice_lock.gauntlet.runner import GauntletRequest

__all__ = ["VerdictCache"]

_ENDING: Final = ".verdicts"
_MAX_FILES: Final = 512
_MAX_FILE_BYTES: Final = 1024 * 1024
_MAX_PASSES: Final = 8
"""Passes of one request that are kept, the latest first: going back to one costs nothing."""

_METADATA: Final = (".dist-info", ".egg-info", ".egg-link", ".pth", ".py", ".so")


class _Pass(msgspec.Struct, frozen=True, array_like=True):
    dependencies: tuple[Dependency, ...]
    report: GauntletReport


class VerdictCache:
    """The passes in a folder of the user's.

    Args:
        folder: where they are; made when the first is kept.
        key: seals them; see `seals.load_seal_key`.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder: Final = folder
        self._key: Final = key
        self._surroundings: Final = _surroundings()

    def find(self, request: GauntletRequest) -> GauntletReport | None:
        """The report of a pass that still counts for a request; None where it must be judged."""
        name = self._name(request)
        path = self._path(name)
        for one in self._load(name):
            if _is_whole(request, one.report) and is_current(one.dependencies, request.source_root):
                with contextlib.suppress(OSError):
                    os.utime(path)  # what was used last is thrown away last
                return one.report
        return None

    def keep(self, request: GauntletRequest, report: GauntletReport, before: Traced | None) -> None:
        """Keep a report if it is a pass, and if nothing changed while it was judged.

        Args:
            request: what was judged.
            report: what was found.
            before: what `dependencies.trace` said before.
        """
        if before is None or not _is_whole(request, report) or trace(request) != before:
            return
        name = self._name(request)
        new = _Pass(before.dependencies, report)
        others = [one for one in self._load(name) if one.dependencies != new.dependencies]
        data = msgspec.msgpack.encode([new, *others][:_MAX_PASSES])
        # Where nothing can be written, the next check is merely slower.
        with contextlib.suppress(OSError):
            replace_file(self._path(name), seal(data, self._key, purpose=name))
            self._evict()

    def _name(self, request: GauntletRequest) -> str:
        """What identifies everything that is known before looking at the project's files."""
        known = msgspec.msgpack.encode(
            (asdict(request), self._surroundings), order="deterministic", enc_hook=str
        )
        return hashlib.blake2b(known, digest_size=20).hexdigest()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_ENDING}"

    def _load(self, name: str) -> list[_Pass]:
        try:
            with self._path(name).open("rb") as file:
                content = file.read(_MAX_FILE_BYTES)
            data = unseal(content, self._key, purpose=name)
            return [] if data is None else msgspec.msgpack.decode(data, type=list[_Pass])
        except (OSError, msgspec.MsgspecError, RecursionError):
            return []

    def _evict(self) -> None:
        """Delete what was not used for longest, where there are too many."""
        files = [file for file in self._folder.iterdir() if file.suffix == _ENDING]
        if len(files) <= _MAX_FILES:
            return
        ages = []
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # another process deleted it
                ages.append((file.stat().st_mtime_ns, file))
        for _, file in sorted(ages)[:-_MAX_FILES]:
            file.unlink(missing_ok=True)


def _is_whole(request: GauntletRequest, report: GauntletReport) -> bool:
    """Whether every test of a request passed, with examples."""
    heard = [(verdict.test, verdict.method) for verdict in report.verdicts]
    return (
        bool(heard)
        and heard == list(request.selected_tests())
        and all(
            verdict.outcome is Outcome.PASSED and verdict.examples >= 1
            for verdict in report.verdicts
        )
    )


def _surroundings() -> list[str]:
    """What runs the tests, and where: another of any of it may come to another verdict."""
    bubblewrap = shutil.which("bwrap")
    machine = [*os.uname(), str(os.geteuid())]
    machine += [os.environ.get(name, "") for name in ("HOME", "LD_LIBRARY_PATH")]
    confinement = [str(landlock.abi_version()), str(seccomp.is_supported())]
    programs = [one for one in (sys.executable, bubblewrap) if one is not None]
    return [
        *machine,
        *confinement,
        sys.version,
        *(_row(program, Path(program).stat()) for program in programs),
        *sorted(_code(str(Path(__file__).parents[1]))),
        *sorted(_installed()),
    ]


def _code(folder: str) -> Iterator[str]:
    """This package's own files, and when each was changed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _code(entry.path)
            elif entry.name.endswith(".py"):
                yield _row(entry.path, entry.stat())


def _installed() -> Iterator[str]:
    """The installed distributions: names of everything, and when each was installed."""
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(_METADATA):
                    yield _row(entry.path, entry.stat())
                elif entry.name != "__pycache__":
                    yield entry.path


def _row(path: str, state: os.stat_result) -> str:
    return f"{path} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"
