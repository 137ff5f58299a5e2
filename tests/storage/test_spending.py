"""The file that keeps what calls cost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_lock.exceptions import StorageError
from lattice_lock.messages import ModelId, Usage
from lattice_lock.storage import spending
from lattice_lock.storage.spending import (
    Dimension,
    Outcome,
    RecordedCall,
    Spending,
    SpendingStore,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
_NUMBERS = count()

_WRITER = """\
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from lattice_lock.messages import ModelId
from lattice_lock.storage.spending import Outcome, RecordedCall, SpendingStore

store = SpendingStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    store.add([
        RecordedCall(
            id=f"{sys.argv[2]}-{number}", at=datetime.now(tz=UTC), task=None, project=sys.argv[2],
            model=ModelId(provider="openai", name="m"), usage=None, attempts=1, latency_ms=1.0,
            outcome=Outcome.ANSWERED, cost_usd=Decimal("0.1"),
        )
    ])
"""
_FULL_DISK = """\
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from lattice_lock.exceptions import StorageError
from lattice_lock.messages import ModelId
from lattice_lock.storage.spending import Outcome, RecordedCall, SpendingStore

resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
store = SpendingStore(Path(sys.argv[1]))
call = dict(
    at=datetime.now(tz=UTC), task="x" * 1000, project=None, usage=None, attempts=1,
    model=ModelId(provider="openai", name="m"), latency_ms=1.0, outcome=Outcome.FAILED,
    cost_usd=None,
)
kept = 0
try:
    while True:
        store.add([RecordedCall(id=f"{kept}-{n}", **call) for n in range(10)])
        kept += 10
except StorageError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
assert sum(one.calls for one in store.spending()) == kept > 0
"""


def call(**changes: Any) -> RecordedCall:
    """A call that cost a cent, with changes."""
    fields: dict[str, Any] = {
        "id": str(next(_NUMBERS)),
        "at": NOON,
        "model": ModelId.parse("openai/gpt-6-luna"),
        "task": "reasoning",
        "project": "shop",
        "usage": Usage(
            input_tokens=100,
            cached_input_tokens=30,
            cache_write_tokens=20,
            output_tokens=10,
            reasoning_tokens=4,
        ),
        "attempts": 1,
        "latency_ms": 12.5,
        "outcome": Outcome.ANSWERED,
        "cost_usd": Decimal("0.01"),
    }
    return RecordedCall(**(fields | changes))


def test_what_is_added_is_summed_up(tmp_path: Path) -> None:
    """Calls, the five classes, known costs and the number of unknown ones come back."""
    store = SpendingStore(tmp_path / "new" / "folder")
    store.add([call(), call(cost_usd=None), call(usage=None, cost_usd=Decimal(0))])
    assert store.spending() == [
        Spending(
            group=(),
            calls=3,
            fresh_input_tokens=100,
            cached_input_tokens=60,
            cache_write_tokens=40,
            visible_output_tokens=12,
            reasoning_tokens=8,
            cost_usd=Decimal("0.01"),
            unknown_cost_calls=1,
        )
    ]


def test_a_row_holds_every_field(tmp_path: Path) -> None:
    """The table is as it is documented, with times in UTC and money as exact text."""
    store = SpendingStore(tmp_path)
    at = NOON.astimezone(timezone(timedelta(hours=13)))
    one = call(id="a", at=at, cost_usd=Decimal("0.0000000187500"), outcome=Outcome.CANCELLED)
    store.add([one])
    with closing(sqlite3.connect(store.path)) as connection:
        connection.row_factory = sqlite3.Row
        (row,) = connection.execute("SELECT * FROM calls")
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    assert dict(row) == {
        "id": "a",
        "at": "2026-11-24T12:00:00.000000+00:00",
        "provider": "openai",
        "model": "gpt-6-luna",
        "task": "reasoning",
        "project": "shop",
        "fresh_input_tokens": 50,
        "cached_input_tokens": 30,
        "cache_write_tokens": 20,
        "visible_output_tokens": 6,
        "reasoning_tokens": 4,
        "attempts": 1,
        "latency_ms": 12.5,
        "outcome": "cancelled",
        "cost_usd": "1.87500E-8",
    }
    assert mode == "wal"
    assert one.day == "2026-11-24"


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ([Dimension.MODEL], [("local/a/b",), ("openai/gpt-6-luna",)]),
        ([Dimension.PROVIDER], [("local",), ("openai",)]),
        ([Dimension.TASK], [(None,), ("reasoning",)]),
        ([Dimension.PROJECT], [("blog",), ("shop",)]),
        ([Dimension.DAY], [("2026-11-24",), ("2026-11-25",)]),
        (
            [Dimension.DAY, Dimension.PROJECT],
            [("2026-11-24", "blog"), ("2026-11-24", "shop"), ("2026-11-25", "shop")],
        ),
    ],
)
def test_calls_are_grouped(
    tmp_path: Path, by: list[Dimension], groups: list[tuple[str | None, ...]]
) -> None:
    """Each dimension, and several together, give one entry for each of their values, in order."""
    store = SpendingStore(tmp_path)
    other = ModelId(provider="local", name="a/b")
    store.add([call(), call(at=NOON + timedelta(hours=12)), call(model=other, project="blog")])
    store.add([call(task=None)])
    found = store.spending(by)
    assert [one.group for one in found] == groups
    assert sum(one.calls for one in found) == 4
    assert sum((one.cost_usd for one in found), Decimal(0)) == Decimal("0.04")


def test_a_period_has_a_begin_and_no_end_of_its_own(tmp_path: Path) -> None:
    """`since` is part of the period and `until` is not, in whatever time zone they are."""
    store = SpendingStore(tmp_path)
    store.add([call(at=NOON + timedelta(microseconds=n)) for n in (-1, 0, 1)])
    zone = timezone(timedelta(hours=-7))
    later = NOON + timedelta(microseconds=1)
    assert [one.calls for one in store.spending(since=NOON.astimezone(zone))] == [2]
    assert [one.calls for one in store.spending(until=later.astimezone(zone))] == [2]
    assert [one.calls for one in store.spending(since=NOON, until=later, project="shop")] == [1]
    assert store.spending(project="other") == []


def test_a_call_is_kept_once(tmp_path: Path) -> None:
    """Adding a call again, as after an error that came too late, changes nothing."""
    store = SpendingStore(tmp_path)
    one = call()
    store.add([one, one])
    store.add([one, call()])
    assert [found.calls for found in store.spending()] == [2]


@settings(max_examples=25)
@given(
    costs=st.lists(
        st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=13)
        | st.integers(0, 10**30).map(lambda n: Decimal(n).scaleb(-25)),
        max_size=20,
    )
)
def test_sums_are_exact(costs: list[Decimal]) -> None:
    """No digit of any amount is lost, in whatever order and of whatever size they are."""
    with TemporaryDirectory() as folder:
        store = SpendingStore(Path(folder))
        store.add([call(cost_usd=cost) for cost in costs])
        found = store.spending()
        total = found[0].cost_usd if found else Decimal(0)
        assert Fraction(total) == sum(map(Fraction, costs))


def test_absurd_counts_do_not_spoil_the_sum(tmp_path: Path) -> None:
    """A count that no call can have is kept as the most that is believed."""
    store = SpendingStore(tmp_path)
    store.add([call(usage=Usage(input_tokens=10**30)) for _ in range(3)])
    assert store.spending()[0].fresh_input_tokens == 3 * 10**12


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """Where nothing was kept there is nothing, and asking does not change that."""
    store = SpendingStore(tmp_path / "data")
    assert store.spending([Dimension.MODEL]) == store.spending() == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").mkdir()
    store.path.touch()  # as another process leaves it for a moment
    assert store.spending() == []


def test_a_file_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    """Nothing is written into a file that no one can find."""
    store = SpendingStore(tmp_path)
    store.add([call()])
    store.path.rename(tmp_path / "old")
    store.add([call(), call()])
    assert [one.calls for one in store.spending()] == [2]


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    """Processes that make the file together and write into it together lose nothing."""
    with_pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(number), "20"], **with_pipes
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    found = SpendingStore(tmp_path).spending([Dimension.PROJECT])
    assert [(one.calls, one.cost_usd) for one in found] == [(20, Decimal("2.0"))] * 4


def test_a_full_disk_is_named_and_nothing_is_half_kept(tmp_path: Path) -> None:
    """Where no byte more can be written the error names the file, and what was kept stays."""
    # What measures coverage could not write either.
    environment = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"[LL-750] `{tmp_path / 'spending.sqlite3'}` cannot be used: " in done.stdout
    assert "disk" in done.stdout


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """Whoever reads or writes is told what to do with the file, which is left as it is."""
    store = SpendingStore(tmp_path)
    store.path.write_text("This is a letter, and no database at all. " * 100)
    for use in (lambda: store.add([call()]), store.spending):
        with pytest.raises(StorageError, match=r"spending.sqlite3` cannot be used") as caught:
            use()
        assert caught.value.hint == "Move the file away: a new one is made."
    assert store.path.read_text().startswith("This is a letter")


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    """What a later version wrote is neither read nor changed."""
    store = SpendingStore(tmp_path)
    store.add([call()])
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    for use in (lambda: store.add([call()]), store.spending):
        with pytest.raises(StorageError, match="has version 2 of its format") as caught:
            use()
        assert "Update Lattice Lock" in (caught.value.hint or "")


def test_a_folder_that_cannot_be_written_is_named() -> None:
    """The error says where the data folder can be chosen."""
    store = SpendingStore(Path("/proc/lattice"))
    with pytest.raises(StorageError, match=r"`/proc/lattice/spending.sqlite3`") as caught:
        store.add([call()])
    assert "LATTICE_LOCK_DATA_DIR" in (caught.value.hint or "")
    assert store.spending() == []


def test_a_file_that_stays_locked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for another writer ends after some seconds; readers do not wait for it at all."""
    monkeypatch.setattr(spending, "_BUSY_S", 0.01)
    store = SpendingStore(tmp_path)
    store.add([call()])
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="database is locked") as caught:
            store.add([call()])
        assert "locked" in (caught.value.hint or "")
        assert [one.calls for one in store.spending()] == [1]
    store.add([call()])
    assert [one.calls for one in store.spending()] == [2]
