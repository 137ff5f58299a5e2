"""Places of Lattice Lock, in characters from 1, as places of the Language Server Protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lsprotocol import types

from lattice_lock.sheriff.module import source_lines

if TYPE_CHECKING:
    from pygls.workspace import PositionCodec

    from lattice_lock.sheriff.fixes import Edit
    from lattice_lock.sheriff.rule import Violation

__all__ = ["Positions"]


class Positions:
    """Turns places in one text into those of a client, which counts in units of its own choice."""

    def __init__(self, text: str, codec: PositionCodec) -> None:
        self.lines: Final = source_lines(text)
        self._codec: Final = codec

    def range_of(self, place: Violation | Edit) -> types.Range:
        """The range from a first line and column to a last one."""
        return types.Range(
            start=self.position(place.line, place.column),
            end=self.position(place.end_line, place.end_column),
        )

    def position(self, line: int, column: int) -> types.Position:
        """The position of a character; one beyond the text is moved to its end."""
        number = min(line, len(self.lines)) - 1
        before = self.lines[number][: column - 1] if number == line - 1 else self.lines[number]
        return types.Position(line=number, character=self._codec.client_num_units(before))

    def column(self, position: types.Position) -> int:
        """The column of a position in its line, from 1."""
        line = self.lines[position.line] if position.line < len(self.lines) else ""
        units = 0
        for column, character in enumerate(line, start=1):
            if units >= position.character:
                return column
            units += self._codec.client_num_units(character)
        return len(line) + 1
