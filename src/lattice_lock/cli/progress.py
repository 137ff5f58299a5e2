"""Show that something is going on, on standard error and only as much as it can show.

On a terminal a spinner or a bar moves; elsewhere each step is one line, so that a log stays a log.
Standard output is never touched.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lattice_lock.cli.output import note, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["byte_progress", "working"]


@contextmanager
def working(message: str) -> Iterator[Callable[[str], None]]:
    """Say `message` while the block runs; the value given says something else instead."""
    if not sys.stderr.isatty():
        note(message)
        yield note
        return
    # rich takes as long to import as all the rest of the command line.
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Console(stderr=True).status(Text(printable(message))) as status:
        yield lambda text: status.update(Text(printable(text)))


@contextmanager
def byte_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far a transfer is: call the value given with step, bytes done and bytes in all."""
    if not sys.stderr.isatty():
        announced: set[str] = set()

        def announce(step: str, _done_bytes: int, total_bytes: int) -> None:
            if step not in announced:
                announced.add(step)
                note(f"{step}: {total_bytes / 1e6:.0f} MB")

        yield announce
        return
    from rich.console import Console  # noqa: PLC0415  # see `working`
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {}

        def update(step: str, done_bytes: int, total_bytes: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total_bytes)
            progress.update(tasks[step], completed=done_bytes)

        yield update
