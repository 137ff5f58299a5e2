"""The search for what breaks a contract, without the sandbox that it runs in elsewhere.

So every program of every page can be searched, and coverage sees the search.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from contract_pairs import programs
from lattice_lock.gauntlet._attached_search import Effort
from lattice_lock.gauntlet.attached import find_contract_files
from lattice_lock.gauntlet.verdict import Outcome

_PAGES = sorted(Path(__file__).with_name("pairs").glob("*.md"))
_EFFORT = Effort(edges=900, draws=900, search_s=6.0, shrink_s=0.3, call_s=3.0)
# A process of its own, because what is searched may change whatever it can reach.
_SEARCH = """
import json, sys
from lattice_lock.gauntlet._attached_worker import Bench
for line in sys.stdin:
    order = json.loads(line)
    bench = Bench(order)
    print(json.dumps([bench.judge(target) for target in order["targets"]]), flush=True)
"""


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_no_right_program_is_refuted_and_every_wrong_one_is(page: Path, tmp_path: Path) -> None:
    """All programs of the page are told apart, with a counterexample for each that is wrong."""
    wanted = {}
    for name, is_right, text in programs(page):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        wanted[name] = is_right
    files = find_contract_files(tmp_path)
    assert {file.path.stem for file in files} == set(wanted)
    orders = [
        {
            "seed": 0,
            "effort": asdict(_EFFORT),
            "file": str(file.path),
            "text": None,
            "module": file.module,
            "import_path": [str(folder) for folder in file.import_path],
            "targets": [target.name for target in file.targets if not target.unreachable],
        }
        for file in files
    ]
    done = subprocess.run(
        [sys.executable, "-c", _SEARCH],
        input="".join(json.dumps(order) + "\n" for order in orders),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for file, line in zip(files, done.stdout.splitlines(), strict=True):
        answers = json.loads(line)
        outcomes = {Outcome(answer["outcome"]) for answer in answers}
        if wanted[file.path.stem]:
            assert outcomes == {Outcome.PASSED}, (file.path.stem, answers)
        else:
            assert Outcome.REFUTED in outcomes, (file.path.stem, answers)
            assert all(
                answer["counterexample"]
                for answer in answers
                if answer["outcome"] == Outcome.REFUTED.value
            )
