"""Bugs that only a sequence of calls shows, and implementations that keep state rightly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from compiled_contracts import compiled_request
from lattice_lock.gauntlet.runner import Limits, run_contracts
from lattice_lock.gauntlet.verdict import ANY_METHOD, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from lattice_lock.gauntlet.verdict import GauntletReport

LATTICE = """
version: v1.0
generated_module: types_v1
entities:
  Note:
    fields:
      note_id: {type: int, primary_key: true}
      status: {enum: [open, done, dropped]}
  Line:
    persistence: table
    fields:
      order: {type: int, primary_key: true, ge: 0}
      pos: {type: int, primary_key: true, ge: 0}
      label: {type: str, max_length: 3, unique: true}
interfaces:
  IShelf:
    file: src/services/shelf.py
    methods:
      add: {params: {note: Note}, returns: Note, ensures: ["result == note"]}
      find:
        params: {note_id: int}
        returns: Note | null
        ensures: ["result is None or result.note_id == note_id"]
  IDesk:
    file: src/services/desk.py
    methods:
      fill:
        params: {note: Note}
        returns: Note
        requires: ["note.status == 'open'"]
        ensures: ["result.status == 'done'", "result.note_id == note.note_id"]
      cancel:
        params: {note: Note}
        returns: Note
        ensures: ["result.status == 'dropped'"]
        raises: {ValueError: "note.status == 'done'"}
  IStock:
    file: src/services/stock.py
    methods:
      put:
        params: {count: {type: int, ge: 1, le: 10}}
        returns: int
        ensures: ["result >= count"]
      take:
        params: {code: str, count: {type: int, ge: 1, le: 10}}
        returns: {type: int, ge: 0}
        requires: ["len(code) >= count"]
  ILines:
    file: src/services/lines.py
    scaffold: repository_pattern
    methods:
      add: {params: {line: Line}, returns: null}
      find: {params: {order: int, pos: int}, returns: Line | null}
      list: {params: {}, returns: "list[Line]"}
      update: {params: {line: Line}, returns: bool}
      remove: {params: {order: int, pos: int}, returns: bool}
"""

SHELF = """
class Shelf:
    def __init__(self):
        self._notes = {}

    def add(self, note):
        self._notes[note.note_id] = note
        return note

    def find(self, note_id):
        return self._notes.get(note_id)
"""

DESK = """
from shared.types_v1 import NoteStatus


class Desk:
    def __init__(self):
        self._first_seen = {}

    def fill(self, note):
        self._first_seen.setdefault(note.note_id, note)
        return note.model_copy(update={"status": NoteStatus.DONE})

    def cancel(self, note):
        if note.status == "done":
            raise ValueError("done")
        return note.model_copy(update={"status": NoteStatus.DROPPED})
"""

STOCK = """
class Stock:
    def __init__(self):
        self._count = 0

    def put(self, count):
        self._count += count
        return self._count

    def take(self, code, count):
        assert len(code) >= count
        taken = min(count, self._count)
        self._count -= taken
        return taken
"""

LINES = """
class Lines:
    def __init__(self):
        self._lines = {}

    def add(self, line):
        if any(one.label == line.label for one in self._lines.values()):
            raise RuntimeError("the label is taken")
        assert (line.order, line.pos) not in self._lines
        self._lines[line.order, line.pos] = line

    def find(self, order, pos):
        return self._lines.get((order, pos))

    def list(self):
        return [*self._lines.values()]

    def update(self, line):
        if (line.order, line.pos) not in self._lines:
            return False
        self._lines[line.order, line.pos] = line
        return True

    def remove(self, order, pos):
        return self._lines.pop((order, pos), None) is not None
"""

RIGHT = {"IShelf": SHELF, "IDesk": DESK, "IStock": STOCK, "ILines": LINES}


async def _judge(
    interface: str, text: str, source_root: Path, *, limits: Limits | None = None
) -> GauntletReport:
    module = f"services.{interface.removeprefix('I').lower()}"
    request = compiled_request(LATTICE, interface, {module: text}, source_root=source_root)
    if limits is not None:
        request = compiled_request(
            LATTICE, interface, {module: text}, source_root=source_root, limits=limits
        )
    return await run_contracts(request)


@pytest.mark.parametrize("interface", list(RIGHT))
async def test_state_that_is_kept_rightly_passes(interface: str, source_root: Path) -> None:
    """No right implementation is refuted, with preconditions and unique values respected."""
    report = await _judge(interface, RIGHT[interface], source_root)
    assert [one.message for one in report.verdicts if one.message] == []
    assert report.outcome is Outcome.PASSED
    (sequences,) = [one for one in report.verdicts if one.method == ANY_METHOD]
    assert sequences.examples >= 30


WRONG = {
    "adding twice loses the first": (
        "IShelf",
        (
            ("self._notes[note.note_id] = note", "self._note = note"),
            ("self._notes.get(note_id)", 'getattr(self, "_note", None)'),
        ),
        "interfaces.IShelf.methods.find.ensures[0]",
        "find(",
    ),
    "cancelling after filling": (
        "IDesk",
        (
            (
                'if note.status == "done"',
                'if self._first_seen.get(note.note_id, note).status == "done"',
            ),
        ),
        "interfaces.IDesk.methods.cancel.raises.ValueError",
        "cancel(",
    ),
    "a limit that is kept for one call only": (
        "IStock",
        (("min(count, self._count)", "count"), ("return taken", "return self._count + 10")),
        "interfaces.IStock.methods.",
        "(",
    ),
    "a repository that loses the first": (
        "ILines",
        (
            (
                "self._lines[line.order, line.pos] = line\n\n    def find",
                ("self._lines = {(line.order, line.pos): line}\n\n    def find"),
            ),
        ),
        "interfaces.ILines.methods.",
        "(",
    ),
    "a removal that removes nothing": (
        "ILines",
        (("self._lines.pop((order, pos), None) is not None", "(order, pos) in self._lines"),),
        "interfaces.ILines.methods.",
        "(",
    ),
}


@pytest.mark.parametrize("name", list(WRONG))
async def test_what_only_a_sequence_shows_is_refuted(name: str, source_root: Path) -> None:
    """Every method passes alone; the shortest sequence that goes wrong is shown call by call."""
    interface, changes, clause, last = WRONG[name]
    text = RIGHT[interface]
    for right, wrong in changes:
        assert right in text
        text = text.replace(right, wrong)
    report = await _judge(interface, text, source_root)
    *alone, sequences = report.verdicts
    assert {one.outcome for one in alone} == {Outcome.PASSED}
    assert (sequences.method, sequences.outcome) == (ANY_METHOD, Outcome.REFUTED)
    assert sequences.clause is not None
    assert sequences.clause.startswith(clause)
    assert 2 <= len(sequences.calls) <= 5
    assert last in sequences.calls[-1]
    assert all(" -> " in call for call in sequences.calls)
    lines = str(sequences.counterexample).splitlines()
    assert lines[0] == "these calls of one object:"
    assert lines[1].startswith("    1. ")
    assert len(lines) == 1 + len(sequences.calls)
    assert sequences.suggestion.startswith("Change `")


SECOND_CALL = {
    "ends": ("import os; os._exit(0)", "ended its process with exit status 0"),
    "hangs": ("while True: pass", "did not answer within 1 s"),
    "reaches out": ("import socket; socket.socket()", "tried to use the network"),
    "is undeclared": ("raise RuntimeError('twice')", "raised RuntimeError: twice"),
}


@pytest.mark.parametrize("name", list(SECOND_CALL))
async def test_mischief_in_a_later_call_is_refuted(name: str, source_root: Path) -> None:
    """What a body does the second time counts as much, and the calls before it are shown."""
    mischief, message = SECOND_CALL[name]
    text = SHELF.replace(
        "        return self._notes.get(note_id)",
        f"        if hasattr(self, 'again'):\n            {mischief}\n"
        "        self.again = True\n        return self._notes.get(note_id)",
    )
    limits = Limits(call_timeout_s=1.0)
    report = await _judge("IShelf", text, source_root, limits=limits)
    *alone, sequences = report.verdicts
    assert {one.outcome for one in alone} == {Outcome.PASSED}
    assert sequences.outcome is Outcome.REFUTED
    assert message in sequences.message
    assert sum(call.startswith("find(") for call in sequences.calls) >= 2
    assert sequences.suggestion


async def test_sequences_wait_until_every_method_passes_alone(source_root: Path) -> None:
    """A method that is wrong alone is told once, and the sequences say what they wait for."""
    text = SHELF.replace("return note\n", "return None\n")
    report = await _judge("IShelf", text, source_root)
    *_, sequences = report.verdicts
    assert sequences.outcome is Outcome.VACUOUS
    assert sequences.message == "not tried, because `add` did not pass alone"
    assert report.outcome is Outcome.REFUTED


def test_sequences_are_judged_with_all_methods_or_not_at_all(source_root: Path) -> None:
    """Methods that are not to be judged are not called, for they may not be written yet."""
    request = compiled_request(
        LATTICE, "IShelf", {"services.shelf": SHELF}, source_root=source_root
    )
    names = [method for _, method in request.selected_tests()]
    assert names == ["add", "find", ANY_METHOD]
    for methods, expected in [
        (("add",), ["add"]),
        (("add", "find"), ["add", "find", ANY_METHOD]),
        ((ANY_METHOD,), [ANY_METHOD]),
    ]:
        one = compiled_request(
            LATTICE,
            "IShelf",
            {"services.shelf": SHELF},
            source_root=source_root,
            methods=methods,
        )
        assert [method for _, method in one.selected_tests()] == expected
