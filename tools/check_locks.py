"""Keep requirements/*.lock in step with pyproject.toml; `--write` adds what they lack.

The check needs no network: every requirement must be met by a locked version, every version must
carry hashes, the locks must agree with each other, and no line may name a host.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")
_FOREIGN = re.compile(r"://|^\s*--(?!hash=sha256:[0-9a-f]{64}\b)|^\s*#")

# Lock name -> what it is compiled from; later locks keep the versions of earlier ones.
_SOURCES = {
    "build": ["requirements/build.in"],
    "base": ["pyproject.toml", "--extra", "all"],
    "dev": ["pyproject.toml", "--extra", "all", "--group", "dev"],
}


def main() -> int:
    """Check or write the locks; 1 when they are out of step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="lock what lacks, keep the rest")
    parser.add_argument("--upgrade", action="store_true", help="lock the newest versions of all")
    options = parser.parse_args()
    if options.write or options.upgrade:
        write(upgrade=options.upgrade)
    findings = check()
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def write(*, upgrade: bool) -> None:
    """Resolve every lock for every platform, without addresses or remarks; needs the network.

    Versions that are locked stay as they are where they still fit, unless `upgrade`.
    """
    for name, sources in _SOURCES.items():
        constraints = [f"--constraint=requirements/{other}.lock" for other in _earlier(name)]
        subprocess.run(
            [
                *(sys.executable, "-m", "uv", "--no-config", "pip", "compile", "--quiet"),
                *("--universal", "--python-version", "3.11", "--generate-hashes"),
                *(("--upgrade",) if upgrade else ()),
                *("--no-header", "--no-annotate", "--no-emit-package", "lattice-lock"),
                *constraints,
                *("--output-file", f"requirements/{name}.lock"),
                *sources,
            ],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def check() -> list[str]:
    """What is wrong with the locks, one sentence each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    direct = {
        "build": [*project["build-system"]["requires"], *_lines(FOLDER / "build.in")],
        "base": [*project["project"]["dependencies"], *(r for e in extras.values() for r in e)],
        "dev": project["dependency-groups"]["dev"],
    }
    findings = []
    versions: dict[str, dict[str, set[str]]] = {}
    for name in _SOURCES:
        text = (FOLDER / f"{name}.lock").read_text(encoding="utf-8")
        findings += [f"requirements/{name}.lock: {problem}" for problem in _problems(text)]
        versions[name] = _pinned(text)
        findings += [
            f"requirements/{name}.lock: `{requirement}` of pyproject.toml is not met; `make lock`."
            for requirement in direct[name]
            if not _met(Requirement(requirement), versions[name])
        ]
    findings += [
        f"requirements/dev.lock: `{package}` differs from requirements/{other}.lock; `make lock`."
        for other in _earlier("dev")
        for package, pinned in versions[other].items()
        if versions["dev"].get(package, pinned) != pinned
    ]
    return findings


def _earlier(name: str) -> list[str]:
    names = list(_SOURCES)
    return names[: names.index(name)]


def _lines(path: Path) -> Iterable[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return (line for line in lines if line and not line.startswith("#"))


def _problems(text: str) -> Iterable[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if _FOREIGN.search(line):
            yield f"line {number} is neither a pinned package nor a hash."
    for entry in re.split(r"\n(?=\S)", text):
        if _PINNED.match(entry) and "--hash=sha256:" not in entry:
            yield f"`{entry.split()[0]}` has no hash."


def _pinned(text: str) -> dict[str, set[str]]:
    pinned: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := _PINNED.match(line):
            pinned.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return pinned


def _met(requirement: Requirement, pinned: dict[str, set[str]]) -> bool:
    name = canonicalize_name(requirement.name)
    if name == "lattice-lock":
        return True  # an extra that gathers other extras
    return name in pinned and all(
        requirement.specifier.contains(Version(version)) for version in pinned[name]
    )


if __name__ == "__main__":
    sys.exit(main())
