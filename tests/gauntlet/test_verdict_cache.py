"""Passes that are kept: found again while nothing has changed, and never made up."""

from __future__ import annotations

import dataclasses
import itertools
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.seals import seal
from lattice_lock.gauntlet import verdict_cache
from lattice_lock.gauntlet.dependencies import trace
from lattice_lock.gauntlet.runner import GauntletRequest, Limits
from lattice_lock.gauntlet.verdict import GauntletReport, Outcome, TestVerdict
from lattice_lock.gauntlet.verdict_cache import VerdictCache

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(range(32))
TESTS = (("test_total", "total"), ("test_tax", "tax"))


@pytest.fixture
def request_(tmp_path: Path) -> GauntletRequest:
    """A request to judge one module."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "shop.py").write_text("import helper\n")
    (tmp_path / "src" / "helper.py").write_text("")
    return GauntletRequest(
        source_root=tmp_path / "src",
        modules={"shared.types_v1": "import decimal"},
        trusted_modules=frozenset({"shared.types_v1"}),
        implementation_modules=("shop",),
        contract_file="test_shop.py",
        contract_text="assert True",
        expected_tests=TESTS,
        seed=0,
        methods=("total", "tax"),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where passes are kept."""
    return tmp_path / "verdicts"


def report(*outcomes: Outcome, examples: int = 100) -> GauntletReport:
    """A report with these outcomes, passes for none."""
    return GauntletReport(
        verdicts=tuple(
            TestVerdict(test=test, method=method, outcome=outcome, examples=examples)
            for (test, method), outcome in zip(
                TESTS, outcomes or [Outcome.PASSED] * 2, strict=False
            )
        ),
        sandbox="landlock+seccomp",
        seed=0,
        duration_s=1.5,
    )


def keep(folder: Path, request: GauntletRequest, found: GauntletReport | None = None) -> None:
    """Keep what was found, nothing having changed meanwhile."""
    VerdictCache(folder, KEY).keep(request, found or report(), trace(request))


def test_a_pass_is_found_again(folder: Path, request_: GauntletRequest) -> None:
    """The very same report, by another process as well, from one file of the owner's."""
    assert VerdictCache(folder, KEY).find(request_) is None
    keep(folder, request_)
    assert VerdictCache(folder, KEY).find(request_) == report()
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_each_part_of_the_request_counts(folder: Path, request_: GauntletRequest) -> None:
    """Contract, generated types, seed, examples, limits and sandbox must be the same."""
    keep(folder, request_)
    changes: dict[str, object] = {
        "source_root": request_.source_root / ".",
        "modules": {"shared.types_v1": "import enum"},
        "implementation_modules": ("shop", "helper"),
        "contract_file": "test_other.py",
        "contract_text": "assert 1",
        "expected_tests": TESTS[:1],
        "seed": 1,
        "max_examples": 10,
        "limits": Limits(call_timeout_s=1.0),
        "allow_unsandboxed": True,
        "methods": ("total",),
        "trusted_modules": frozenset[str](),
    }
    assert changes.keys() == {field.name for field in dataclasses.fields(request_)}
    del changes["source_root"]  # another spelling of the same folder is the same
    for name, value in changes.items():
        other = dataclasses.replace(request_, **{name: value})  # type: ignore[arg-type]  # any field
        assert VerdictCache(folder, KEY).find(other) is None, name
    assert VerdictCache(folder, KEY).find(request_) is not None


def test_what_runs_the_tests_counts(
    folder: Path, request_: GauntletRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another interpreter, engine, distribution, kernel or library path judges anew."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere")
    keep(folder, request_)
    assert VerdictCache(folder, KEY).find(request_) is not None
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    assert VerdictCache(folder, KEY).find(request_) is None
    surroundings = verdict_cache._surroundings()
    text = "\n".join(surroundings)
    assert "gauntlet/_trial.py " in text
    assert "core/emitters/pytest_contracts.py " in text
    assert "/hypothesis-" in text
    assert "/pytest-" in text


@pytest.mark.parametrize("place", ["engine", "installed"])
def test_a_changed_file_of_engine_or_libraries_counts(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit, a new file, a new version and a deletion are all seen."""
    package = tmp_path / "site"
    (package / "one-1.0.dist-info").mkdir(parents=True)
    (package / "module.py").write_text("1")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(package))
    read = (
        verdict_cache._installed
        if place == "installed"
        else lambda: verdict_cache._code(str(package))
    )
    seen = [set(read())]
    (package / "module.py").write_text("2")
    seen.append(set(read()))
    (package / "more.py").touch()
    seen.append(set(read()))
    (package / "module.py").unlink()
    seen.append(set(read()))
    if place == "installed":
        (package / "one-1.0.dist-info").rename(package / "one-1.1.dist-info")
        seen.append(set(read()))
        (package / "another").mkdir()
        seen.append(set(read()))
    assert all(one != two for one, two in itertools.pairwise(seen))


@pytest.mark.parametrize(
    "found",
    [
        report(Outcome.PASSED, Outcome.REFUTED),
        report(Outcome.PASSED, Outcome.VACUOUS),
        report(Outcome.PASSED, Outcome.ERROR),
        report(Outcome.PASSED),
        report(examples=0),
        dataclasses.replace(report(), verdicts=()),
        dataclasses.replace(report(), verdicts=report().verdicts[::-1]),
        dataclasses.replace(report(), verdicts=report().verdicts * 2),
    ],
)
def test_only_whole_passes_are_kept(
    found: GauntletReport, folder: Path, request_: GauntletRequest
) -> None:
    """A failure, an error, an unheard test or one without examples is judged again."""
    keep(folder, request_, found)
    assert not folder.exists()


def test_what_changed_while_it_was_judged_is_not_kept(
    folder: Path, request_: GauntletRequest
) -> None:
    """Not even if it was changed back, nor where nobody knows what it depends on."""
    helper = request_.source_root / "helper.py"
    cache = VerdictCache(folder, KEY)
    before = trace(request_)
    helper.write_text("wrong = True")
    helper.write_text("")
    cache.keep(request_, report(), before)
    cache.keep(request_, report(), None)
    assert not folder.exists()
    cache.keep(request_, report(), trace(request_))
    assert cache.find(request_) == report()


def test_going_back_to_what_passed_costs_nothing(folder: Path, request_: GauntletRequest) -> None:
    """Eight states of the code are remembered, each found only in that state."""
    helper = request_.source_root / "helper.py"
    for number in range(9):
        helper.write_text(f"number = {number}")
        assert VerdictCache(folder, KEY).find(request_) is None
        keep(folder, request_, report(examples=number + 1))
    for number in range(8, 0, -1):
        helper.write_text(f"number = {number}")
        found = VerdictCache(folder, KEY).find(request_)
        assert found is not None
        assert found.verdicts[0].examples == number + 1
    helper.write_text("number = 0")
    assert VerdictCache(folder, KEY).find(request_) is None
    helper.unlink()
    assert VerdictCache(folder, KEY).find(request_) is None
    assert len(list(folder.iterdir())) == 1


def test_forged_and_damaged_entries_are_ignored(folder: Path, request_: GauntletRequest) -> None:
    """Nothing counts that was not sealed with this key, for this request, whole."""
    keep(folder, request_)
    (file,) = folder.iterdir()
    good = file.read_bytes()
    other = dataclasses.replace(request_, seed=1)
    keep(folder, other)
    (moved,) = (each for each in folder.iterdir() if each != file)
    forged = [
        b"",
        b"\0" * 10_000,
        good[:-1],
        good + b"\0",
        good[:40] + b"\xff" + good[41:],
        good[32:],
        moved.read_bytes(),
        seal(good[32:], KEY[::-1], purpose=file.stem),
        seal(b"\xc1", KEY, purpose=file.stem),
        seal(b"\x91\x92\x90\x80", KEY, purpose=file.stem),
        seal(b"\x91" * 100_000, KEY, purpose=file.stem),
    ]
    for content in forged:
        file.write_bytes(content)
        assert VerdictCache(folder, KEY).find(request_) is None
    file.write_bytes(good)
    assert VerdictCache(folder, KEY).find(request_) == report()
    assert VerdictCache(folder, KEY[::-1]).find(request_) is None


def test_a_file_in_the_way_is_no_error(tmp_path: Path, request_: GauntletRequest) -> None:
    """Where nothing can be kept, everything is judged again."""
    (tmp_path / "file").touch()
    keep(tmp_path / "file" / "below", request_)
    assert VerdictCache(tmp_path / "file" / "below", KEY).find(request_) is None


def test_what_was_not_used_for_longest_is_thrown_away(
    folder: Path, request_: GauntletRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder stays small, and being used saves an entry."""
    monkeypatch.setattr(verdict_cache, "_MAX_FILES", 3)
    requests = [dataclasses.replace(request_, seed=seed) for seed in range(4)]
    for request in requests[:3]:
        keep(folder, request)
    assert VerdictCache(folder, KEY).find(requests[0]) is not None
    keep(folder, requests[3])
    found = [VerdictCache(folder, KEY).find(request) is not None for request in requests]
    assert found == [True, False, True, True]
    assert len(list(folder.iterdir())) == 3


def test_many_at_once_leave_whole_entries(folder: Path, request_: GauntletRequest) -> None:
    """Whoever reads finds a whole pass or none, and no scrap stays behind."""

    def work(_: int) -> GauntletReport | None:
        keep(folder, request_)
        return VerdictCache(folder, KEY).find(request_)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(40))) == {report()}
    assert len(list(folder.iterdir())) == 1
