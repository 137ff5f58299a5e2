"""What a call costs, beside raw aiohttp and, where they are installed, other clients.

Each client runs in processes of its own against one server in another, in turns, so that a busy
moment hits all alike; every number is the median of the rounds. `make bench-peers` installs the
peers into an environment of their own. `--quick` only shows that everything runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

from _server import running
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
_CLIENTS = Path(__file__).with_name("_clients.py")
_PEERS = ROOT / "build" / "peers" / "bin" / "python"
_RAW, _OURS = "aiohttp", "lattice-lock"
_SLOW = 5  # peers do a fifth of the work, which is enough to measure what takes so long
# What the project promises: of each number, at most so many times the raw library's, or so much.
_TARGETS = {
    "CPU ms per call, 1 at a time": "at most 1.5 x aiohttp",
    "CPU ms per call, 64 at a time": "at most 1.5 x aiohttp",
    "CPU us per streamed chunk": "at most 1.5 x aiohttp",
    "ms to the first token": "at most 0.3 ms later than aiohttp",
    "s from start to first reply": "at most 0.35 s",
}


def _run(client: str, address: str, mode: str, number: int, concurrency: int) -> dict[str, float]:
    python = sys.executable if client in {_RAW, _OURS} else str(_PEERS)
    number = number if client in {_RAW, _OURS} else max(1, number // _SLOW)
    began = time.perf_counter()
    done = subprocess.run(
        [python, str(_CLIENTS), client, address, mode, str(number), str(concurrency)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{client} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"wall_s": time.perf_counter() - began}


def _costs(clients: list[str], address: str, *, rounds: int, calls: int) -> None:
    measured: dict[str, dict[str, list[float]]] = {
        name: {client: [] for client in clients} for name in _TARGETS
    }
    one, many, chunk, first, cold = measured.values()
    for _ in range(rounds):
        for client in clients:
            one[client].append(_run(client, address, "calls", calls, 1)["cpu_ms"])
            many[client].append(_run(client, address, "calls", 2 * calls, 64)["cpu_ms"])
            cold[client].append(_run(client, address, "once", 1, 1)["wall_s"])
            if client != "anthropic":  # the server streams OpenAI's format alone
                streamed = _run(client, address, "stream", max(1, calls // 10), 1)
                chunk[client].append(streamed["cpu_us_per_chunk"])
                first[client].append(streamed["first_ms"])
    print(f"{'':<32}" + "".join(f"{client:>14}" for client in clients) + "  target")
    for name, target in _TARGETS.items():
        medians = {c: statistics.median(found) for c, found in measured[name].items() if found}
        cells = "".join(
            f"{medians[c]:>8.2f}{_ratio(medians, c)}" if c in medians else f"{'-':>14}"
            for c in clients
        )
        print(f"{name:<32}{cells}  {target}")


def _ratio(medians: dict[str, float], client: str) -> str:
    return f" ({medians[client] / medians[_RAW]:.1f}x)".rjust(6)


def _memory(address: str, number: int) -> None:
    found = _run(_OURS, address, "memory", number, 64)
    print(f"\nresident memory after 64 at a time: {found['after_64_mib']:.1f} MiB (at most 45)")
    print(f"  grown over {number - number // 10} calls: {found['calls_growth_mib']:+.2f} MiB")
    streams = number // 10 - number // 100
    print(f"  grown over {streams} streams: {found['streams_growth_mib']:+.2f} MiB")


def imported_distributions(address: str) -> dict[str, float]:
    """MB installed of each distribution that one call imports, but for Lattice Lock's own."""
    code = (
        "import runpy, sys\n"
        "before = set(sys.modules)\n"
        f"sys.argv = ['_clients.py', 'lattice-lock', {address!r}, 'once', '1', '1']\n"
        f"runpy.run_path({str(_CLIENTS)!r}, run_name='__main__')\n"
        "print('\\n'.join({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    owners = packages_distributions()
    names = {owner for top in done.stdout.split() for owner in owners.get(top, ())}
    return {name: _size_mb(name) for name in sorted(names - {"lattice-lock"})}


def _base_install() -> set[str]:
    """Every distribution that `pip install lattice-lock` brings, itself included."""
    found: set[str] = set()
    left = ["lattice-lock"]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                left.append(wanted.name.lower())
    return found


def _size_mb(name: str) -> float:
    files = distribution(name).files or []
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def _sizes(address: str) -> None:
    imported = imported_distributions(address)
    total = sum(imported.values())
    print(
        f"\none call imports {len(imported)} distributions, {total:.1f} MB (at most 14, 20 MB): "
        + ", ".join(f"{name} {size:.1f}" for name, size in imported.items())
    )
    base = _base_install()
    size = sum(_size_mb(name) for name in base - {"lattice-lock"}) + _source_mb()
    print(f"base install: {len(base)} distributions, {size:.1f} MB (at most 80 MB)")


def _source_mb() -> float:
    files = (path for path in (ROOT / "src").rglob("*") if path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def _installed(peers: Iterable[str]) -> list[str]:
    if not _PEERS.is_file():
        print("no peers: `make bench-peers` installs them")
        return []
    return list(peers)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few calls of each kind")
    quick = parser.parse_args().quick
    peers = [] if quick else _installed(("openai", "anthropic", "litellm"))
    with running() as address:
        _costs(
            [_RAW, _OURS, *peers], address, rounds=1 if quick else 5, calls=20 if quick else 2000
        )
        _memory(address, 1000 if quick else 111_000)
        _sizes(address)


if __name__ == "__main__":
    main()
