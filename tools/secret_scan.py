"""Find secrets in the tracked files and in every commit; exit 1 when there is one.

A finding is shown by place, kind and fingerprint, never by its text. What is no secret goes by its
exact fingerprint, with the reason, into tools/secret_scan_allowed.toml; an entry there that matches
nothing is a finding too.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from secret_rules import RULES
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ALLOWED = PurePosixPath("tools/secret_scan_allowed.toml")
_ENV_EXAMPLE = ".env.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A secret at a place, known by `fingerprint` alone."""

    place: str
    rule: str
    fingerprint: str

    @override
    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.place}: {self.rule} [{self.fingerprint}]"


def main() -> int:
    """Scan the repository in the current folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", action="store_true", help="leave out the history")
    tree_only: bool = parser.parse_args().tree
    root = Path(_git("rev-parse", "--show-toplevel").decode().strip())
    allowed = _allowed(root / _ALLOWED)

    sources = [*_tree(root)]
    if not tree_only:
        if _git("rev-parse", "--is-shallow-repository").strip() == b"true":
            print("This clone is shallow, so its history cannot be scanned; fetch all of it.")
            return 1
        sources += _history()
    findings = [finding for place, data in sources for finding in scan(place, data)]
    unused = allowed.keys() - {finding.fingerprint for finding in findings}
    lines = [str(finding) for finding in findings if finding.fingerprint not in allowed]
    lines += [*_env_files(sources)]
    if not tree_only:
        lines += [f"{_ALLOWED}: `{fingerprint}` allows nothing." for fingerprint in sorted(unused)]
    for line in dict.fromkeys(lines):
        print(line)
    print(f"secret scan: {len(sources)} texts read, {len(lines)} findings")
    return 1 if lines else 0


def scan(place: str, data: bytes) -> Iterator[Finding]:
    """Every secret in one text."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", errors="replace").encode()
    for rule in RULES:
        for offset, secret in rule.matches(data):
            line = data.count(b"\n", 0, offset) + 1
            yield Finding(
                place=f"{place}:{line}",
                rule=rule.name,
                fingerprint=hashlib.sha256(rule.name.encode() + b"\0" + secret).hexdigest()[:20],
            )


def _tree(root: Path) -> Iterator[tuple[str, bytes]]:
    for name in _git("ls-files", "-z", cwd=root).decode().split("\0"):
        path = root / name
        if name and path.is_file():
            yield name, path.read_bytes()


def _history() -> Iterator[tuple[str, bytes]]:
    """Every file version, commit and tag that any reference reaches, each once."""
    listed = _git("rev-list", "--objects", "--all").decode(errors="replace").splitlines()
    paths = dict(line.partition(" ")[::2] for line in listed)
    process = subprocess.Popen(
        ["git", "cat-file", "--batch", "--buffer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        output, _ = process.communicate("\n".join(paths).encode() + b"\n")
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        name, kind, size = output[position:end].decode().split()
        data = output[end + 1 : end + 1 + int(size)]
        position = end + 2 + int(size)
        if kind == "blob":
            yield f"{paths[name] or '(file)'}@{name[:12]}", data
        elif kind in {"commit", "tag"}:
            yield f"{kind} {name[:12]}", data


def _env_files(sources: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    for place, data in sources:
        name = PurePosixPath(place.partition("@")[0]).name
        if name == _ENV_EXAMPLE:
            if re.search(rb"(?m)^[^#\n=]+=[ \t]*[^\s#]", data):
                yield f"{place}: an example must leave every value empty."
        elif name.startswith(".env"):
            yield f"{place}: environment files are never tracked."


def _allowed(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("allowed", [])
    return {entry["fingerprint"]: entry["reason"] for entry in entries}


def _git(*arguments: str, cwd: Path | None = None) -> bytes:
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True).stdout


if __name__ == "__main__":
    sys.exit(main())
