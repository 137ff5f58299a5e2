"""Examines many files: by the cache if they are unchanged, in several processes if it pays.

The processes are plain subprocesses that run `serve` below, so that neither threads nor the
`__main__` of the caller matter to them. One that fails costs time only: its share is done here.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from lattice_lock.sheriff.cache import Entry, content_digest
from lattice_lock.sheriff.examination import (
    Examination,
    FileReport,
    examine_data,
    link_data,
)
from lattice_lock.sheriff.module import Unparsable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lattice_lock.sheriff.cache import ReportCache
    from lattice_lock.sheriff.context import SheriffContext
    from lattice_lock.sheriff.files import FileState, ProjectFiles
    from lattice_lock.sheriff.reexports import Reexports

__all__ = ["examine_files", "link_files", "serve"]

_BYTES_PER_PROCESS: Final = 1024 * 1024
"""Source text that takes longer to examine than a process takes to start."""

_MAX_PROCESSES: Final = 16

_BYTES_PER_COLLECTION: Final = 16 * 1024 * 1024
"""Source text whose trees may wait in memory until they are freed."""

_CHILD: Final = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer);"
    "from lattice_lock.sheriff.pool import serve; serve()"
)


class _Job(NamedTuple):
    """What one process does.

    `handed_on` is None where files are examined; otherwise only the links of those files are found
    that may have to do with it.
    """

    paths: Sequence[str]
    files: ProjectFiles
    context: SheriffContext
    handed_on: Reexports | None


class _Looked(NamedTuple):
    """One file, and what was found in its content; no digest where it could not be read."""

    path: str
    examination: Examination
    state: FileState | None
    digest: bytes


def examine_files(
    paths: Iterable[str], files: ProjectFiles, context: SheriffContext, known: ReportCache
) -> dict[str, Examination]:
    """What is found in each of the files, which must exist."""
    return _run(paths, files, context, known, None)


def link_files(
    paths: Iterable[str],
    files: ProjectFiles,
    context: SheriffContext,
    known: ReportCache,
    handed_on: Reexports,
) -> dict[str, bytes]:
    """The encoded links of the files that may have to do with what others hand on."""
    linked = _run(paths, files, context, known, handed_on)
    return {path: each.links for path, each in linked.items() if each.links}


def _run(
    paths: Iterable[str],
    files: ProjectFiles,
    context: SheriffContext,
    known: ReportCache,
    handed_on: Reexports | None,
) -> dict[str, Examination]:
    found: dict[str, Examination] = {}
    sizes: dict[str, int] = {}
    for path in paths:
        state = files.state(path)
        entry = None if state is None else _known(path, state, files, known)
        if entry is None:
            sizes[path] = 0 if state is None else state.size
        else:
            found[path] = entry.examination
    for looked in _examine(sizes, files, context, handed_on):
        found[looked.path] = looked.examination
        if looked.state is not None:
            known.keep(looked.path, _entry(looked, looked.state))
    return found


def _known(path: str, state: FileState, files: ProjectFiles, known: ReportCache) -> Entry | None:
    entry = known.find(path, state)
    if entry is None and known.holds(path):
        data = files.read(path)
        if not isinstance(data, Unparsable):
            entry = known.find_content(path, state, content_digest(data))
    return entry


def _entry(looked: _Looked, state: FileState) -> Entry:
    report = looked.examination.report
    return Entry(
        state=state,
        digest=looked.digest,
        violations=report.violations,
        suppressions=report.suppressions,
        links=looked.examination.links,
        hands_on=looked.examination.hands_on,
    )


def _examine(
    sizes: dict[str, int],
    files: ProjectFiles,
    context: SheriffContext,
    handed_on: Reexports | None,
) -> list[_Looked]:
    mine, *others = [_Job(share, files, context, handed_on) for share in _shares(sizes)]
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(_Child(job)) for job in others]
        found = _work(mine)
        for child in children:
            found += child.result()
    return found


def _shares(sizes: dict[str, int]) -> list[list[str]]:
    """The files, split so that each process has about as many bytes; at least one, maybe empty."""
    total = sum(sizes.values())
    count = max(1, min(len(os.sched_getaffinity(0)), total // _BYTES_PER_PROCESS, _MAX_PROCESSES))
    shares: list[list[str]] = [[] for _ in range(count)]
    loads = [0] * count
    for path in sorted(sizes, key=lambda path: (-sizes[path], path)):
        least = loads.index(min(loads))
        shares[least].append(path)
        loads[least] += sizes[path]
    return shares


class _Child:
    """A process that does a job; its input and output are files, so that neither side waits."""

    def __init__(self, job: _Job) -> None:
        self._job: Final = job

    def __enter__(self) -> Self:
        self._input = tempfile.TemporaryFile()
        self._output = tempfile.TemporaryFile()
        self._input.write(pickle.dumps(sys.path) + pickle.dumps(self._job))
        self._input.seek(0)
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, and a text of our own
            [sys.executable, "-c", _CHILD],
            stdin=self._input,
            stdout=self._output,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._input.close()
        self._output.close()

    def result(self) -> list[_Looked]:
        """What the process found; where it failed, the job is done here."""
        if self._process.wait():
            return _work(self._job)
        self._output.seek(0)
        found: list[_Looked] = pickle.load(self._output)  # noqa: S301  # our own process wrote it
        return found


def serve() -> None:
    """Do the job on standard input and write what was found to standard output."""
    job: _Job = pickle.load(sys.stdin.buffer)  # noqa: S301  # bytes of our own process
    sys.stdout.buffer.write(pickle.dumps(_work(job)))


def _work(job: _Job) -> list[_Looked]:
    """Examine the files of a job, with the garbage collector run by bytes instead of objects.

    A tree is many objects at once, and looking through it while it is built frees nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        found: list[_Looked] = []
        pending = 0
        # Folder by folder, of which each is then looked up once.
        for path in sorted(job.paths):
            looked = _look(path, job)
            found.append(looked)
            pending += looked.state.size if looked.state is not None else 0
            if pending > _BYTES_PER_COLLECTION:
                gc.collect()
                pending = 0
        return found
    finally:
        if was_enabled:
            gc.enable()


def _look(path: str, job: _Job) -> _Looked:
    state = job.files.state(path)
    data = job.files.read(path)
    if job.handed_on is None:
        examination = examine_data(path, data, job.context)
    else:
        examination = Examination(FileReport(), link_data(path, data, job.context, job.handed_on))
    if isinstance(data, Unparsable) or state != job.files.state(path):
        return _Looked(path, examination, None, b"")
    return _Looked(path, examination, state, content_digest(data))
