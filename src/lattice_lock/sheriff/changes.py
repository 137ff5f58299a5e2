"""Where a project is in its git checkout, and which of its files have changed."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from lattice_lock.exceptions import SheriffError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["changed_files", "folder_in_checkout"]


def changed_files(root: Path, base: str = "HEAD") -> frozenset[str]:
    """Files under `root` that differ from a commit, untracked ones included, deleted ones not.

    Args:
        root: a folder in a git checkout.
        base: commit, branch or tag to compare the working tree with.

    Returns:
        Paths relative to `root`, with forward slashes.

    Raises:
        SheriffError: git is missing, `root` is in no checkout, or `base` is no commit.
    """
    if _git(root, "rev-parse", "--is-inside-work-tree").stdout.strip() != b"true":
        raise SheriffError(
            f"`{root}` is not in a git checkout, so that nobody knows what has changed.",
            hint="Leave out `--changed` to check every file.",
        )
    commit = _git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}"
    )
    if commit.returncode:
        raise SheriffError(
            f"git knows no commit `{base}`.",
            hint="Name a commit, branch or tag: `--changed=main`.",
        )
    sha = commit.stdout.decode().strip()
    # Submodules are projects of their own.
    differing = _git(
        root,
        *("diff", "-z", "--name-only", "--relative", "--ignore-submodules"),
        *("--diff-filter=d", sha, "--", "."),
    )
    untracked = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", ".")
    for done in (differing, untracked):
        if done.returncode:
            raise SheriffError(
                f"git failed: {os.fsdecode(done.stderr).strip()}",
                hint="Leave out `--changed` to check every file.",
            )
    listed = (differing.stdout + untracked.stdout).split(b"\0")
    return frozenset(os.fsdecode(path) for path in listed if path)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603  # git, with arguments of our own and a verified base
            ["git", *arguments],  # noqa: S607  # the git that the person uses
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise SheriffError(
            f"git cannot be run: {error.strerror}.",
            hint="Install git, or leave out `--changed` to check every file.",
        ) from error


def folder_in_checkout(root: Path) -> str:
    """A folder as seen from the top of its git checkout; empty where it is the top, or in none."""
    for parent in (root, *root.parents):
        if (parent / ".git").exists():
            return root.relative_to(parent).as_posix() if parent != root else ""
    return ""
