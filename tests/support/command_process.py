"""The `lattice-lock` command as a process of its own, for tests that serve it meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@asynccontextmanager
async def started(folder: Path, *arguments: str, **environment: str) -> AsyncIterator[Process]:
    """The command, running in `folder` without models, keys or servers but those given."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lattice_lock", *arguments),
        cwd=folder,
        env=os.environ | isolated(folder) | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def finished(process: Process) -> Outcome:
    """What `process` did in the end."""
    async with asyncio.timeout(_TIMEOUT_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


async def run(folder: Path, *arguments: str, **environment: str) -> Outcome:
    """Run the command to its end; see `started`."""
    async with started(folder, *arguments, **environment) as process:
        return await finished(process)


def isolated(folder: Path) -> dict[str, str]:
    """An environment in which no model can be found."""
    keys = {name: "" for name in os.environ if name.endswith("_API_KEY")}
    return keys | {
        "LATTICE_LOCK_DATA_DIR": str(folder / "data"),
        "LATTICE_LOCK_EMBEDDED_MODELS": "",
        "LATTICE_LOCK_LOCAL_URL": "http://127.0.0.1:9/v1",  # the discard port: nothing answers
    }
