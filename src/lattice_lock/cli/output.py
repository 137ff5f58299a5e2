"""Print what a command found, as text for a person or as JSON for a program.

A command takes its format from `@format_option`, prints through one call, returns an `ExitCode`:

    @click.command("compile")
    @format_option
    def command(output_format: OutputFormat) -> ExitCode:
        result = ...                                   # a dataclass, model, mapping or list
        emit(result, output_format, text=lambda: render(result))
        return ExitCode.FINDINGS if result.changed else ExitCode.OK

`emit` builds only the form that was asked for. Tables come from `format_table`; a remark beside
the result goes through `note`, which writes to standard error and so never disturbs JSON. A
command raises the errors of `lattice_lock.exceptions` and prints none of them:
`lattice_lock.cli.main.run` does that once, in either format.
"""

from __future__ import annotations

import enum
import functools
import re
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "ExitCode",
    "OutputFormat",
    "emit",
    "format_option",
    "format_option_with",
    "format_table",
    "note",
    "printable",
    "to_json",
    "use_any_character",
]

OutputFormat: TypeAlias = Literal["text", "json"]
_Function = TypeVar("_Function", bound="Callable[..., object]")

# What can move a terminal's cursor, hide text or reverse its order; tab and newline stay.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]"
)


class ExitCode(enum.IntEnum):
    """What a finished command tells its caller."""

    OK = 0
    FINDINGS = 1  # it ran, and something in the project or the answer is not as it should be
    USAGE = 2  # called wrongly, or the lattice or configuration cannot be read
    INTERNAL = 3  # a defect in Lattice Lock, or nothing could be judged
    INTERRUPTED = 130  # 128 + SIGINT
    OUTPUT_CLOSED = 141  # 128 + SIGPIPE


def format_option(function: _Function) -> _Function:
    """Give a command `--format text|json` and pass it as `output_format`."""
    return format_option_with()(function)


def format_option_with(*others: str) -> Callable[[_Function], _Function]:
    """`format_option` for a command that prints itself in `others` besides."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json", *others]),
        default="text",
        show_default=True,
        help="Text for people or JSON for programs"
        + (", the others for the tools that read them." if others else "."),
    )


def emit(result: object, output_format: OutputFormat, *, text: Callable[[], str]) -> None:
    """Write a command's one result to standard output.

    Args:
        result: what `--format json` prints; see `to_json` for what it may consist of.
        output_format: the format that was asked for.
        text: builds what `--format text` prints; an empty string prints nothing.
    """
    if output_format == "json":
        click.echo(to_json(result))
    elif rendered := text():
        click.echo(printable(rendered))


def note(message: str) -> None:
    """Write a remark for the person at the terminal to standard error."""
    click.echo(printable(message), err=True)


def printable(text: str) -> str:
    r"""`text` with control and direction-changing characters shown as escapes such as `\x1b`.

    What models, lattices and tools wrote ends up on a terminal, and must not be able to drive it.
    """
    return _UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text)


def to_json(value: object) -> str:
    """Indented JSON of dataclasses, Pydantic models, enums, paths, decimals, times, plain values.

    Decimals become strings, so that no digit is lost. Sets and mappings are sorted; fields keep
    their order.
    """
    import msgspec  # noqa: PLC0415  # only `--format json` pays for it

    encoder = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")
    return msgspec.json.format(encoder.encode(value), indent=2).decode()


def _plain(value: object) -> object:
    dump: Callable[..., object] | None = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if isinstance(value, PurePath):
        return value.as_posix()
    raise TypeError(f"`{type(value).__qualname__}` has no JSON form.")


def format_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as aligned columns, nothing cut off: `grep` and `awk` see what a person sees."""
    table = [tuple(headings), *(tuple(_cell(cell) for cell in row) for row in rows)]
    widths = [max(_width(row[column]) for row in table) for column in range(len(headings))]
    table.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    )


def _cell(value: object) -> str:
    return printable("-" if value is None else str(value)).replace("\n", " ").replace("\t", " ")


@functools.cache
def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415  # only wide scripts need the width tables

    return cell_len(text)


def use_any_character() -> None:
    """Let output in a narrow encoding escape what it cannot express instead of failing."""
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
