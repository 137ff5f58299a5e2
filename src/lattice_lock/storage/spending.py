"""Calls to models and what they cost, in one SQLite file that several processes may write at once.

Money is kept as the text of its `Decimal`: a token may cost 1.875e-8 US dollars, which no whole
number of nano-dollars is and no float adds up exactly. Sums are made over decimals, unrounded.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Context, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import StorageError
from lattice_lock.messages import ModelId, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Dimension", "Outcome", "RecordedCall", "Spending", "SpendingStore"]

_FILE = "spending.sqlite3"
_VERSION = 1
_BUSY_S = 5.0
_MOST_TOKENS = 10**12  # no call has more; what a vendor counts beyond could not be summed up
_EXACT = Context(prec=1000)  # far more digits than any sum of dollars has

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    task TEXT,
    project TEXT,
    fresh_input_tokens INTEGER,
    cached_input_tokens INTEGER,
    cache_write_tokens INTEGER,
    visible_output_tokens INTEGER,
    reasoning_tokens INTEGER,
    attempts INTEGER,
    latency_ms REAL NOT NULL,
    outcome TEXT NOT NULL,
    cost_usd TEXT
)
"""
_PLACES = ", ".join("?" * 15)
_INSERT = f"INSERT INTO calls VALUES ({_PLACES}) ON CONFLICT (id) DO NOTHING"  # noqa: S608  # constant


class Outcome(StrEnum):
    """How a call ended; a stream that its reader closed early is `CANCELLED`."""

    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Dimension(StrEnum):
    """What spending can be grouped by; days are those of UTC."""

    MODEL = "model"
    PROVIDER = "provider"
    TASK = "task"
    PROJECT = "project"
    DAY = "day"


_EXPRESSIONS = {
    Dimension.MODEL: "provider || '/' || model",
    Dimension.PROVIDER: "provider",
    Dimension.TASK: "task",
    Dimension.PROJECT: "project",
    Dimension.DAY: "substr(at, 1, 10)",
}


class RecordedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call as its caller saw it, retries included.

    Attributes:
        at: when it began.
        task, project: the caller's labels.
        usage: tokens, None where nobody said.
        attempts: requests sent, None where nobody counted them to the end.
        latency_ms: milliseconds until the last byte or the error.
        cost_usd: US dollars; None is unknown, zero is known to be free.
    """

    id: str
    at: datetime
    model: ModelId
    task: str | None
    project: str | None
    usage: Usage | None
    attempts: int | None
    latency_ms: float
    outcome: Outcome
    cost_usd: Decimal | None

    @property
    def day(self) -> str:
        """The day in UTC on which it began, such as `2026-11-24`."""
        return self.at.astimezone(UTC).date().isoformat()


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What a group of calls used and cost; its five classes of tokens are disjoint.

    Attributes:
        group: its value in each dimension that was asked for; None is without a label.
        cost_usd: US dollars of the calls whose cost is known.
        unknown_cost_calls: how many calls cost nobody knows what.
    """

    group: tuple[str | None, ...]
    calls: int
    fresh_input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    visible_output_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal
    unknown_cost_calls: int


class SpendingStore:
    """The file `spending.sqlite3` of a data folder, such as `Settings.data_dir`.

    Every method opens it anew and blocks: call it in a thread. A file that was moved away or
    deleted meanwhile is made again, and any number of threads and processes may use it at once.

    Raises:
        StorageError: by every method: the file cannot be used; the message says which and why.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder.absolute() / _FILE

    def add(self, calls: Sequence[RecordedCall]) -> None:
        """Keep `calls`, all or none, on the disk when this returns; one kept before is ignored."""
        rows = [_row(call) for call in calls]
        with self._errors_named():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect("rwc")) as connection:
                self._prepare(connection)
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(_INSERT, rows)

    def spending(
        self,
        by: Sequence[Dimension] = (),
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        project: str | None = None,
    ) -> list[Spending]:
        """What calls cost, one entry for each group that has any, in the order of its values.

        Without `by` all calls are one group. Nothing is created where there is no file.

        Args:
            since: only calls that began then or later.
            until: only calls that began before.
            project: only calls with this label.
        """
        columns = [_EXPRESSIONS[dimension] for dimension in by]
        wanted = [
            ("at >= ?", since and _instant(since)),
            ("at < ?", until and _instant(until)),
            ("project = ?", project),
        ]
        given = [(text, value) for text, value in wanted if value is not None]
        # What is put together here are constants of this module; values are bound.
        query = " ".join(
            [
                f"SELECT {', '.join([*columns, *_SUMS])} FROM calls",  # noqa: S608  # see above
                f"WHERE {' AND '.join(text for text, _ in given)}" if given else "",
                f"GROUP BY {', '.join(columns)}" if columns else "",
                "HAVING count(*) > 0" if not columns else "",
                f"ORDER BY {', '.join(columns)}" if columns else "",
            ]
        )
        with self._errors_named():
            try:
                self.path.stat()
            except FileNotFoundError:
                return []
            with closing(self._connect("ro")) as connection:
                if not _version(connection):
                    return []  # another process is about to make it
                self._check_version(connection)
                connection.create_aggregate("exact_sum", 1, _ExactSum)  # type: ignore[arg-type]  # typeshed wants ints
                rows = connection.execute(query, [value for _, value in given]).fetchall()
        return [_spending(row, len(columns)) for row in rows]

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=_BUSY_S, isolation_level=None
        )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the table where there is none."""
        connection.execute("PRAGMA synchronous = FULL")
        if _version(connection) != _VERSION:
            self._check_version(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_SCHEMA)
                connection.execute("CREATE INDEX IF NOT EXISTS calls_at ON calls (at)")
                connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _check_version(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        if version not in {0, _VERSION}:
            raise StorageError(
                f"`{self.path}` has version {version} of its format, and this Lattice Lock knows "
                f"{_VERSION}.",
                hint="Update Lattice Lock, or move the file away: a new one is made.",
            )

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            hint = next((text for start, text in _HINTS if name.startswith(start)), None)
            raise StorageError(
                f"`{self.path}` cannot be used: {error} ({name or type(error).__name__}).",
                hint=hint,
            ) from error
        except OSError as error:
            raise StorageError(
                f"`{self.path}` cannot be used: {error.strerror}.", hint=_ELSEWHERE
            ) from error


_ELSEWHERE = "Make its folder writable, or name another in `LATTICE_LOCK_DATA_DIR`."
_ANEW = "Move the file away: a new one is made."
_HINTS = (
    ("SQLITE_NOTADB", _ANEW),
    ("SQLITE_CORRUPT", _ANEW),
    ("SQLITE_FULL", "Free some space on its disk."),
    ("SQLITE_IOERR", "See whether its disk is full or broken."),
    ("SQLITE_BUSY", "Close the program that keeps it locked."),
    ("SQLITE_READONLY", _ELSEWHERE),
    ("SQLITE_CANTOPEN", _ELSEWHERE),
    ("SQLITE_PERM", _ELSEWHERE),
)
_SUMS = (
    "count(*)",
    "coalesce(sum(fresh_input_tokens), 0)",
    "coalesce(sum(cached_input_tokens), 0)",
    "coalesce(sum(cache_write_tokens), 0)",
    "coalesce(sum(visible_output_tokens), 0)",
    "coalesce(sum(reasoning_tokens), 0)",
    "exact_sum(cost_usd)",
    "count(*) - count(cost_usd)",
)


class _ExactSum:
    """The SQL function `exact_sum`: decimals as text, added without rounding; null is skipped."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, value: str | None) -> None:
        if value is not None:
            self._sum = _EXACT.add(self._sum, Decimal(value))

    def finalize(self) -> str:
        return str(self._sum)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _instant(at: datetime) -> str:
    """Text of fixed width that sorts as time does."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _row(call: RecordedCall) -> tuple[object, ...]:
    usage = call.usage
    tokens: tuple[int | None, ...] = (None,) * 5
    if usage is not None:
        classes = (
            usage.fresh_input_tokens,
            usage.cached_input_tokens,
            usage.cache_write_tokens,
            usage.visible_output_tokens,
            usage.reasoning_tokens,
        )
        tokens = tuple(min(count, _MOST_TOKENS) for count in classes)
    return (
        call.id,
        _instant(call.at),
        call.model.provider,
        call.model.name,
        call.task,
        call.project,
        *tokens,
        call.attempts,
        call.latency_ms,
        call.outcome.value,
        None if call.cost_usd is None else str(call.cost_usd),
    )


def _spending(row: tuple[object, ...], dimensions: int) -> Spending:
    group, sums = row[:dimensions], row[dimensions:]
    return msgspec.convert(
        dict(zip(Spending.__struct_fields__, (group, *sums), strict=True)), Spending
    )
