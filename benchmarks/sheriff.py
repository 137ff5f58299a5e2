"""Sheriff beside ruff on installed packages: the same two rules, cold and with nothing changed.

Both are measured as processes of their own, start-up included, in turns, so that a busy moment hits
both. Cold means without a cache, warm a second run in which no file has changed. Memory is the
largest of any one process.
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
from typing import Final, NamedTuple

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


def _median(runs: list[_Run]) -> _Run:
    return _Run(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu_s for run in runs),
        max(run.mib for run in runs),
    )


def _compare(corpus: _Corpus, runs: int) -> dict[str, _Run]:
    """Medians of interleaved runs of both, cold and warm."""
    measured: dict[str, list[_Run]] = {}
    for _ in range(runs):
        corpus.forget()
        for state in ("cold", "warm"):
            measured.setdefault(f"ruff {state}", []).append(corpus.ruff())
            measured.setdefault(f"sheriff {state}", []).append(corpus.sheriff())
    return {name: _median(each) for name, each in measured.items()}


def _exponent(points: list[tuple[int, float]]) -> float:
    """Slope of the logarithm of seconds over that of lines; 1 is linear."""
    xs, ys = [math.log(lines) for lines, _ in points], [math.log(s) for _, s in points]
    return statistics.linear_regression(xs, ys).slope


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small package, once")
    quick = parser.parse_args().quick
    packages, runs = (_QUICK, 1) if quick else (_PACKAGES, _RUNS)
    points: list[tuple[int, float]] = []
    for part in _PARTS:
        with tempfile.TemporaryDirectory() as folder:
            corpus = _Corpus(Path(folder), packages, part=part)
            found = _compare(corpus, runs if part == 1 else 1)
        points.append((corpus.lines, found["sheriff cold"].cpu_s))
    print(f"sheriff: {corpus.lines:,} lines of {', '.join(packages)};")
    print(f"forbidden imports and annotations, {os.cpu_count()} cores, median of {runs} runs")
    print(f"{'':<13} {'s':>7} {'x ruff':>7} {'cpu s':>7} {'MiB':>6}  target")
    for state, factor in (("cold", _COLD_FACTOR), ("warm", _WARM_FACTOR)):
        base = found[f"ruff {state}"].seconds
        for tool in ("ruff", "sheriff"):
            run = found[f"{tool} {state}"]
            target = f"< {factor:g} x ruff" if tool == "sheriff" else ""
            row = f"{tool + ' ' + state:<13} {run.seconds:>7.2f} {run.seconds / base:>7.1f}"
            print(f"{row} {run.cpu_s:>7.2f} {run.mib:>6.0f}  {target}".rstrip())
    power = _exponent(points)
    print(f"cold processor time grows with lines to the power of {power:.2f}  target < 1.15")


if __name__ == "__main__":
    main()
