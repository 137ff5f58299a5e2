"""Sheriff beside ruff and semgrep on installed packages: banned imports and missing annotations.

All are measured as processes of their own, start-up included, in turns, so that a busy moment hits
all. Cold means without a cache, warm a second run in which no file has changed. Memory is the
largest of any one process. `CPython parses` is one process that parses every file and builds no
tree: no checker that runs on CPython's parser takes less processor time. semgrep, which keeps no
cache, is left out where `make bench-peers` has not been run; it looks at return types alone.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES: Final = (
    *("openai", "google", "anthropic", "pip", "mypy", "pygments", "setuptools", "pydantic"),
    *("hypothesis", "_pytest", "botocore", "opentelemetry", "rich"),
)
_QUICK: Final = ("rich",)
_RUNS: Final = 3
_PARTS: Final = (4, 2, 1)
"""What part of the files is checked to learn how time grows: a quarter, a half, all."""

_COLD_FACTOR: Final = 3.0
_WARM_FACTOR: Final = 1.0
_SEMGREP_FACTOR: Final = 20.0
_SEMGREP: Final = Path("build/semgrep/bin/semgrep")

_SHERIFF: Final = """\
import sys
from pathlib import Path
from lattice_lock.core.loader import load_lattice
from lattice_lock.sheriff.checker import SheriffContext, check_project
root = Path(sys.argv[1])
context = SheriffContext(lattice=load_lattice(root / "lattice.yaml"))
report = check_project(root, context, cache=root / ".lattice-lock/cache")
print(*(f"{v.file}:{v.line}:{v.column} {v.rule} {v.message}" for v in report.violations), sep="\\n")
"""
_LATTICE: Final = """\
version: v1.0
generated_module: types_v1
config: {source_root: ., forbidden_imports: [requests]}
"""
_RUFF: Final = """\
lint.select = ["TID251", "ANN001", "ANN002", "ANN003", "ANN201", "ANN202", "ANN204", "ANN205"]
exclude = []
include = ["*.py"]
target-version = "py311"
[lint.flake8-tidy-imports.banned-api."requests"]
msg = "forbidden"
"""
_SEMGREP_RULES: Final = """\
rules:
  - id: banned-import
    languages: [python]
    severity: ERROR
    message: banned
    pattern-either:
      - pattern: import requests
      - pattern: import requests.$X
      - pattern: from requests import $X
      - pattern: from requests.$Y import $X
  - id: missing-return-type
    languages: [python]
    severity: ERROR
    message: missing
    patterns:
      - pattern: |
          def $F(...):
              ...
      - pattern-not: |
          def $F(...) -> $T:
              ...
"""
_PARSE: Final = """\
import gc, symtable, sys, warnings
from pathlib import Path
gc.disable()
warnings.simplefilter("ignore")
for path in Path(sys.argv[1]).rglob("*.py"):
    symtable.symtable(path.read_bytes().decode(), "x", "exec")
"""


class _Run(NamedTuple):
    seconds: float
    cpu_s: float
    mib: float


class _Corpus:
    """A folder with copies of packages, and what both need to check it."""

    def __init__(self, folder: Path, packages: tuple[str, ...], *, part: int = 1) -> None:
        self.folder = folder
        source = Path(sysconfig.get_path("purelib"))
        files = [path for name in packages for path in sorted((source / name).rglob("*.py"))]
        self.lines = 0
        for path in files[::part]:
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            self.lines += target.read_bytes().count(b"\n")
        (folder / "lattice.yaml").write_text(_LATTICE, encoding="utf-8")
        (folder / "ruff.toml").write_text(_RUFF, encoding="utf-8")
        (folder / "semgrep.yaml").write_text(_SEMGREP_RULES, encoding="utf-8")
        # In place of the built-in one, which leaves out tests.
        (folder / ".semgrepignore").touch()

    def parse(self) -> _Run:
        """CPython's parser alone."""
        return _measure([sys.executable, "-c", _PARSE, str(self.folder)], self.folder)

    def semgrep(self, program: Path) -> _Run:
        """One run of semgrep, without the network."""
        command = [str(program), "scan", "--config", "semgrep.yaml", "--metrics", "off"]
        command += ["--disable-version-check", "--no-git-ignore", "--max-target-bytes", "0"]
        command += ["--jobs", str(os.cpu_count()), "--quiet", "--json", "."]
        return _measure(command, self.folder)

    def sheriff(self) -> _Run:
        """One run with a cache."""
        return _measure([sys.executable, "-c", _SHERIFF, str(self.folder)], self.folder)

    def ruff(self) -> _Run:
        """One run with a cache."""
        ruff = Path(sys.executable).with_name("ruff")
        command = [str(ruff), "check", "--quiet", "--ignore-noqa", "--no-respect-gitignore"]
        return _measure([*command, "--output-format", "concise", "."], self.folder)

    def forget(self) -> None:
        """Remove both caches."""
        for name in (".lattice-lock", ".ruff_cache"):
            shutil.rmtree(self.folder / name, ignore_errors=True)


def _measure(command: list[str], folder: Path) -> _Run:
    """Wall-clock and processor seconds, and peak resident MiB of one run."""
    # A helper process keeps the peak of this run apart from the peak of the runs before it.
    helper = (
        "import resource, subprocess, sys, time; started = time.perf_counter();"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode;"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss, code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", helper, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, cpu_s, peak, code = done.stdout.split()
    if code not in {"0", "1"}:
        raise SystemExit(f"`{command[0]}` exited with {code}: {done.stderr}")
    per_mib = 1024 * 1024 if sys.platform == "darwin" else 1024
    return _Run(float(seconds), float(cpu_s), float(peak) / per_mib)


def _best(runs: list[_Run]) -> _Run:
    """The fastest run by each measure, and the largest memory."""
    return _Run(
        min(run.seconds for run in runs),
        min(run.cpu_s for run in runs),
        max(run.mib for run in runs),
    )


def _compare(corpus: _Corpus, runs: int, semgrep: Path | None) -> dict[str, _Run]:
    """The best of interleaved runs of all."""
    measured: dict[str, list[_Run]] = {}
    for turn in range(runs):
        corpus.forget()
        for state in ("cold", "warm"):
            measured.setdefault(f"ruff {state}", []).append(corpus.ruff())
            measured.setdefault(f"sheriff {state}", []).append(corpus.sheriff())
        measured.setdefault("CPython parses", []).append(corpus.parse())
        if semgrep is not None and turn == 0:
            # Hundred times as slow as the others, so that once must do.
            measured["semgrep"] = [corpus.semgrep(semgrep)]
    return {name: _best(each) for name, each in measured.items()}


def _exponent(points: list[tuple[int, float]]) -> float:
    """Slope of the logarithm of seconds over that of lines; 1 is linear."""
    xs, ys = [math.log(lines) for lines, _ in points], [math.log(s) for _, s in points]
    return statistics.linear_regression(xs, ys).slope


def _rows(found: dict[str, _Run]) -> Iterator[str]:
    """The measurements as a table, beside ruff in the same state."""
    yield "| run | s | x ruff | processor s | x ruff | MiB |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, run in found.items():
        base = found["ruff warm" if name.endswith("warm") else "ruff cold"]
        yield (
            f"| {name} | {run.seconds:.2f} | {run.seconds / base.seconds:.1f}"
            f" | {run.cpu_s:.2f} | {run.cpu_s / base.cpu_s:.1f} | {run.mib:.0f} |"
        )


def _targets(found: dict[str, _Run], power: float) -> Iterator[str]:
    """What was aimed at, and what it came to."""
    cold, warm = found["sheriff cold"], found["sheriff warm"]
    times = cold.seconds / found["ruff cold"].seconds
    yield f"cold beside ruff: {times:.1f} times as long, target {_COLD_FACTOR:g}"
    times = warm.seconds / found["ruff warm"].seconds
    yield f"nothing changed, beside ruff: {times:.1f} times as long, target {_WARM_FACTOR:g}"
    semgrep = found.get("semgrep")
    if semgrep is not None:
        times = semgrep.seconds / cold.seconds
        yield f"cold beside semgrep: {times:.0f} times as fast, target {_SEMGREP_FACTOR:g}"
        yield f"memory beside semgrep: {cold.mib / semgrep.mib:.2f} times as much, target 1"
    yield f"processor time grows with lines to the power of {power:.2f}, target 1.15"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small package, once")
    parser.add_argument("--semgrep", type=Path, default=_SEMGREP, help="the program")
    options = parser.parse_args()
    semgrep = options.semgrep.absolute() if options.semgrep.exists() else None
    packages, runs = (_QUICK, 1) if options.quick else (_PACKAGES, _RUNS)
    points: list[tuple[int, float]] = []
    for part in _PARTS:
        with tempfile.TemporaryDirectory() as folder:
            corpus = _Corpus(Path(folder), packages, part=part)
            is_whole = part == _PARTS[-1]
            found = _compare(corpus, runs if is_whole else 1, semgrep if is_whole else None)
        points.append((corpus.lines, found["sheriff cold"].cpu_s))
    print(f"{corpus.lines:,} lines of {', '.join(packages)}")
    print(f"{os.cpu_count()} cores, best of {runs} runs; semgrep once\n")
    print(*_rows(found), "", *_targets(found, _exponent(points)), sep="\n")


if __name__ == "__main__":
    main()
