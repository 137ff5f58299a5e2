"""How long the command line and the package take to start, beside a bare interpreter.

Every row is the median of interleaved runs on this machine, so that a busy moment hits all alike.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

_RUNS = 15
_ROWS = {
    "python -c pass": ("-c", "pass"),
    "import lattice_lock": ("-c", "import lattice_lock"),
    "lattice-lock --version": ("-m", "lattice_lock", "--version"),
    "lattice-lock --help": ("-m", "lattice_lock", "--help"),
}
# Seconds and MiB that the project promises on an idle core.
_TARGETS = {"import lattice_lock": (0.100, 40.0), "lattice-lock --help": (0.150, None)}


def measure(arguments: tuple[str, ...]) -> tuple[float, float]:
    """Wall-clock seconds and peak resident MiB of one run of the interpreter."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"`python {' '.join(arguments)}` exited with {process.returncode}.")
    kib_per_unit = 1 / 1024 if sys.platform == "darwin" else 1
    return elapsed_s, usage.ru_maxrss * kib_per_unit / 1024


def main() -> None:
    """Print the table."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in _ROWS}
    for _ in range(_RUNS):
        for name, arguments in _ROWS.items():
            runs[name].append(measure(arguments))
    bare_s = statistics.median(elapsed_s for elapsed_s, _ in runs["python -c pass"])
    print(f"start-up: median of {_RUNS} runs")
    print(f"{'':<26} {'ms':>6} {'x bare':>7} {'MiB':>6}  target")
    for name, measured in runs.items():
        elapsed_s = statistics.median(elapsed_s for elapsed_s, _ in measured)
        memory_mib = statistics.median(memory_mib for _, memory_mib in measured)
        target_s, target_mib = _TARGETS.get(name, (None, None))
        target = f"< {target_s * 1000:.0f} ms" if target_s else ""
        target += f", < {target_mib:.0f} MiB" if target_mib else ""
        numbers = f"{elapsed_s * 1000:>6.0f} {elapsed_s / bare_s:>7.1f} {memory_mib:>6.1f}"
        print(f"{name:<26} {numbers}  {target}".rstrip())


if __name__ == "__main__":
    main()
