"""The bytes of a `lattice.yaml`."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from lattice_lock.core._yaml_tree import MAX_BYTES
from lattice_lock.exceptions import ProjectError, ProjectNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_lattice_file"]


def read_lattice_file(path: Path) -> bytes:
    """What stands in the file, or of a file that is too long enough to tell.

    Raises:
        ProjectNotFoundError: there is no such file.
        ProjectError: it is not a regular file or may not be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ProjectError(
                f"`{path}` is not a file.", hint="Name the `lattice.yaml` of a project."
            )
        with path.open("rb") as file:
            # One byte over the limit is enough to know; a huge file is never read.
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ProjectNotFoundError(
            f"There is no `{path}`.",
            hint="Run `lattice-lock init NAME`, or go to a folder that has a `lattice.yaml`.",
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ProjectError(f"`{path}` cannot be read: {reason}.") from error
