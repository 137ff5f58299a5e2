"""How many wrong programs `lattice-lock gauntlet PATH` refutes, and whether any right one.

The programs are those of `tests/gauntlet/pairs`, or of the pages named on the command line.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from lattice_lock.gauntlet.attached import find_contract_files, judge_files
from lattice_lock.gauntlet.verdict import Outcome

_TESTS = Path(__file__).parent.parent / "tests"
sys.path.append(str(_TESTS / "support"))

from contract_pairs import programs  # noqa: E402  # found by the line above


def main() -> None:
    """Print what was judged otherwise than it should have been, then the totals."""
    pages = [Path(name) for name in sys.argv[1:]]
    pages = pages or sorted((_TESTS / "gauntlet" / "pairs").glob("*.md"))
    with tempfile.TemporaryDirectory() as folder:
        is_right = {}
        for page in pages:
            for name, right, text in programs(page):
                path = Path(folder, f"{name}.py")
                path.write_text(text, encoding="utf-8")
                is_right[str(path)] = right
        started = time.perf_counter()
        reports = asyncio.run(judge_files(find_contract_files(Path(folder)), seed=0))
        elapsed_s = time.perf_counter() - started
    refuted = {
        path
        for path, report in reports.items()
        if any(verdict.outcome is Outcome.REFUTED for verdict in report.verdicts)
    }
    for name, right in is_right.items():
        if right is (name in refuted):
            print(f"{'refuted' if right else 'missed'}: {Path(name).stem}")
    rights = [name for name, right in is_right.items() if right]
    wrongs = [name for name, right in is_right.items() if not right]
    searches = sum(len(report.verdicts) for report in reports.values())
    print(f"right programs refuted: {len(refuted.intersection(rights))} of {len(rights)}")
    print(f"wrong programs refuted: {len(refuted.intersection(wrongs))} of {len(wrongs)}")
    print(f"{searches} contracts in {elapsed_s:.1f} s, two at once")


if __name__ == "__main__":
    main()
