"""Show what calls to models used and cost, by model, provider, task, project or day."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, format_table
from lattice_lock.exceptions import UsageError
from lattice_lock.settings import Settings
from lattice_lock.storage.spending import Dimension, SpendingStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.storage.spending import Spending

__all__ = ["command"]

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
_BARS = 30
_BAR_WIDTH = 40
_LEAST_SHOWN = Decimal("0.000001")


@click.command("cost")
@click.option(
    "--by",
    type=click.Choice([one.value for one in Dimension]),
    multiple=True,
    help="Group by it; may be repeated.  [default: model]",
)
@click.option("--since", metavar="WHEN", help="Only calls from then on: 2026-11-01, 7d or 24h ago.")
@click.option("--until", metavar="WHEN", help="Only calls until then; a date includes its day.")
@click.option("--project", metavar="NAME", help="Only calls of this project.")
@format_option
def command(
    by: tuple[str, ...],
    since: str | None,
    until: str | None,
    project: str | None,
    output_format: OutputFormat,
) -> ExitCode:
    """Show what calls to models used and cost.

    Costs are US dollars, days are those of UTC. Calls whose cost is unknown are counted apart.
    """
    dimensions = [Dimension(one) for one in dict.fromkeys(by)] or [Dimension.MODEL]
    chart_by = dimensions[0] if by else Dimension.DAY
    now = datetime.now(tz=UTC)
    begin = None if since is None else _instant("--since", since, now)
    end = None if until is None else _instant("--until", until, now, end_of_day=True)
    store = SpendingStore(Settings.load().data_dir)

    def spent(*groups: Dimension) -> list[Spending]:
        return store.spending(groups, since=begin, until=end, project=project)

    rows, total = _ordered(dimensions, spent(*dimensions)), spent()
    emit(
        {
            "since": begin,
            "until": end,
            "project": project,
            "by": dimensions,
            "groups": [_fields(dimensions, row) for row in rows],
            "total": _fields((), total[0]) if total else None,
        },
        output_format,
        text=lambda: (
            f"{_table(dimensions, [*rows, *total])}\n\n{_chart(chart_by, spent(chart_by))}"
            if total
            else f"No calls are recorded{_narrowed(since, until, project)} in `{store.path}`."
        ),
    )
    return ExitCode.OK


def _instant(option: str, text: str, now: datetime, *, end_of_day: bool = False) -> datetime:
    """The moment that `text` means: the begin or end of a day, or so long ago.

    Raises:
        UsageError: it means none.
    """
    try:
        if ago := re.fullmatch(r"([0-9]{1,6})([hd])", text):
            return now - int(ago[1]) * _UNITS[ago[2]]
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day + timedelta(days=1) if end_of_day else day
    except (ValueError, OverflowError):
        pass  # a day that no calendar has
    raise UsageError(
        f"`{option}` is {text!r}, which is no moment.",
        hint="Write a date such as `2026-11-01`, or how long ago, such as `7d` or `24h`.",
    )


def _ordered(by: Sequence[Dimension], rows: list[Spending]) -> list[Spending]:
    """Days as they passed, everything else the dearest first."""
    if Dimension.DAY in by:
        return rows
    return sorted(rows, key=lambda row: (-row.cost_usd, -row.calls))


def _table(by: Sequence[Dimension], rows: list[Spending]) -> str:
    """`rows`, of which the last is the total."""
    headings = ("calls", "input", "cached", "written", "output", "reasoning", "cost $", "unknown")
    names = ["total", *[""] * (len(by) - 1)]
    return format_table(
        [*by, *headings],
        (
            (
                *(row.group or names),
                row.calls,
                row.fresh_input_tokens,
                row.cached_input_tokens,
                row.cache_write_tokens,
                row.visible_output_tokens,
                row.reasoning_tokens,
                _dollars(row),
                row.unknown_cost_calls or "",
            )
            for row in rows
        ),
    )


def _chart(by: Dimension, rows: list[Spending]) -> str:
    """A bar for each row: what it cost, or how many calls it had where nothing cost anything."""
    rows = _ordered([by], rows)
    shown = rows[-_BARS:] if by is Dimension.DAY else rows[:_BARS]
    costs = any(row.cost_usd > 0 for row in shown)
    most = max(row.cost_usd if costs else row.calls for row in shown)
    bar = "█" if _can_print("█") else "#"
    lines = []
    for row in shown:
        length = (row.cost_usd if costs else Decimal(row.calls)) / most * _BAR_WIDTH
        cells = int(length.to_integral_value()) or int(length > 0)
        lines.append((row.group[0], bar * cells, _dollars(row) if costs else row.calls))
    title = f"{'cost $' if costs else 'calls'} by {by}"
    left_out = len(rows) - len(shown)
    more = f"\nand {left_out} {'days before' if by is Dimension.DAY else 'more'}"
    return format_table((by, title, ""), lines) + (more if left_out else "")


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _dollars(row: Spending) -> str:
    """The known cost, to a millionth; a dash where no call's is known."""
    if row.unknown_cost_calls == row.calls:
        return "-"
    if 0 < row.cost_usd < _LEAST_SHOWN:
        return f"<{_LEAST_SHOWN:f}"
    return f"{row.cost_usd:.6f}"


def _narrowed(since: str | None, until: str | None, project: str | None) -> str:
    return " that fit" if since or until or project else ""


def _fields(by: Sequence[Dimension], row: Spending) -> dict[str, object]:
    """What `--format json` prints of a group; null is without a label."""
    return {
        **dict(zip(by, row.group, strict=True)),
        "calls": row.calls,
        "fresh_input_tokens": row.fresh_input_tokens,
        "cached_input_tokens": row.cached_input_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "visible_output_tokens": row.visible_output_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "cost_usd": f"{row.cost_usd:f}",
        "unknown_cost_calls": row.unknown_cost_calls,
    }
