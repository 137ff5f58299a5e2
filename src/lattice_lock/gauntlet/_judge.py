"""The judge: runs contract tests against proxies and writes verdicts that only it can write.

It is a process of its own, never imports the implementation, and hands its result to the runner
over a pipe that the worker does not have: one JSON object per line, a `verdict` for each test
function, then a conclusion. Whatever is missing from that was not passed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import math
import os
import resource
import shutil
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lattice_lock.gauntlet._confine import Confinement
from lattice_lock.gauntlet._worker_process import UnconfinedError, WorkerProcess
from lattice_lock.gauntlet.sandbox import Sandbox, bootstrap, readable_paths, worker_command

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["main"]

_JUDGE_MEMORY_BYTES: Final = 4 * 1024**3
_INPUT: Final = 0
_OUTPUT: Final = 1
_ERRORS: Final = 2


def main() -> None:
    """Run as a process of its own: the order on standard input, the manifest on the output."""
    manifest = os.dup(_OUTPUT)  # not inherited by the worker
    os.dup2(_ERRORS, _OUTPUT)  # what pytest prints is no part of it
    resource.setrlimit(resource.RLIMIT_AS, (_JUDGE_MEMORY_BYTES, _JUDGE_MEMORY_BYTES))
    order = json.loads(_read_line())
    folder = Path(order["folder"])
    _make_folder(folder, Path(order["cache"]))
    threading.Thread(target=_die_with_runner, args=(folder,), daemon=True).start()
    os.chdir(folder)
    deadline = time.monotonic() + order["limits"]["total_timeout_s"]
    starter = _WorkerStarter(order)
    first = starter.start()  # it imports while pytest and Hypothesis are imported here
    gc.disable()  # imports leave no garbage, and looking for it takes a tenth of a second
    trial = importlib.import_module("lattice_lock.gauntlet._trial")
    gc.freeze()
    gc.enable()
    try:
        conclusion = trial.hold_trial(
            order,
            starter.start,
            first,
            deadline=deadline,
            report=lambda verdict: _write(manifest, {"verdict": asdict(verdict)}),
        )
    except UnconfinedError as error:
        conclusion = {"unconfined": str(error)}
    _write(manifest, conclusion)


def _read_line() -> bytes:
    """The order; standard input then stays open for as long as the runner lives."""
    data = bytearray()
    while not data.endswith(b"\n"):
        chunk = os.read(_INPUT, 65536)
        if not chunk:
            sys.exit("the order ended early")
        data += chunk
    return bytes(data)


def _make_folder(folder: Path, cache: Path) -> None:
    """Make the private folder, with Hypothesis's tables of Unicode in a place where they stay.

    Working them out takes more than a second for every run that generates text.
    """
    folder.mkdir(mode=0o700)
    storage = folder / "hypothesis"
    storage.mkdir()
    with contextlib.suppress(OSError):  # without a cache it is only slower
        for name in ("tmp", "unicode_data"):
            (cache / name).mkdir(parents=True, exist_ok=True)
            (storage / name).symlink_to(cache / name)


def _die_with_runner(folder: Path) -> None:
    """When the runner is gone, end this process and the worker, and clean up after them."""
    os.read(_INPUT, 1)
    group = os.getpgrp()
    if os.fork() == 0:
        os.setsid()
        os.killpg(group, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def _write(manifest: int, entry: Mapping[str, Any]) -> None:
    data = memoryview(json.dumps(entry).encode() + b"\n")
    while data:
        data = data[os.write(manifest, data) :]


class _WorkerStarter:
    """Starts workers as an order says."""

    def __init__(self, order: dict[str, Any]) -> None:
        limits = order["limits"]
        sandbox = Sandbox(**order["sandbox"])
        readable = readable_paths(
            Path(order["source_root"]), home=Path(order["home"]), import_path=sys.path
        )
        confinement = Confinement(
            readable=readable,
            landlock_abi=sandbox.landlock_abi,
            seccomp=sandbox.seccomp,
            memory_mib=limits["memory_mib"],
            cpu_s=math.ceil(limits["total_timeout_s"]) + 1,
        )
        self._limits = limits
        self._command = worker_command(sandbox, ["-c", bootstrap("_worker")], readable)
        self._environment = order["worker_environment"]
        self._order = {
            "confinement": asdict(confinement),
            "message_bytes": limits["message_bytes"],
            **{key: order[key] for key in ("modules", "trusted", "implementation", "source_root")},
        }

    def start(self) -> WorkerProcess:
        """Start one; it begins to import on its own."""
        return WorkerProcess(
            self._command,
            environment=self._environment,
            order=self._order,
            message_bytes=self._limits["message_bytes"],
            output_bytes=self._limits["output_bytes"],
        )
