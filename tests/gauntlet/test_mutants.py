"""Mutants: small changes of one function, and nothing else."""

from __future__ import annotations

import ast
import textwrap

import pytest

from lattice_lock.gauntlet._mutants import find_function, make_mutants

_EVERYTHING = '''
"""A module."""
from decimal import Decimal


class Shop:
    def total(self, first: int, second: int, names: list[str], plain: bool) -> int:
        """Do everything."""
        if first < second and not plain:
            raise ValueError(f"{first} < {second + 1} 2")
        rows = {"a": [name.strip() for name in names if name]}
        for name in sorted(names):
            first += len(name[1:])
        while first > 100:
            first = max(first // 2, 3)
        swapped = self.add(first, second, scale=2.5) if plain else -first
        first = swapped * 2
        return first + len(rows)
'''


def _changes(body: str, *, signature: str = "value: int, other: int", most: int = 100) -> set[str]:
    """What replaces what in a function with this body, as `before -> after`."""
    text = f"def f({signature}):\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
    found = set()
    for mutant in make_mutants(text, "f", most=most).chosen:
        lines = mutant.diff.split("\n")
        sides = (" ".join(x[1:].strip() for x in lines if x.startswith(sign)) for sign in "-+")
        found.add(" -> ".join(sides))
    return found


def test_every_mutant_is_another_program_that_compiles() -> None:
    """Each text compiles, differs from all others, and leaves the rest of the module alone."""
    mutants = make_mutants(_EVERYTHING, "Shop.total", most=1000).chosen
    texts = [mutant.text for mutant in mutants]
    assert len(set(texts)) == len(texts) > 60
    head = _EVERYTHING.index("        if first")
    for mutant in mutants:
        compile(mutant.text, "mutant", "exec")
        assert mutant.text[:head] == _EVERYTHING[:head]
        changed = [line for line in mutant.diff.split("\n") if line.startswith("-")]
        assert len(changed) <= 1, mutant.diff
        if changed:
            assert _EVERYTHING.split("\n")[mutant.line - 1] == changed[0][1:]


def test_every_kind_of_change_gets_its_turn() -> None:
    """With as many mutants as there are kinds, there is one of each kind."""
    kinds = {mutant.operator for mutant in make_mutants(_EVERYTHING, "Shop.total", most=999).chosen}
    assert kinds >= {
        "argument dropped",
        "argument ignored",
        "arithmetic",
        "boolean",
        "call",
        "comparison",
        "condition dropped",
        "constant",
        "dropped statement",
        "early return",
        "exception",
        "item dropped",
        "mutated argument",
        "negation",
        "operand dropped",
        "other argument",
        "removed branch",
        "returned value",
        "slice",
        "swapped operands",
    }
    few = make_mutants(_EVERYTHING, "Shop.total", most=len(kinds))
    assert {mutant.operator for mutant in few.chosen} == kinds
    assert few.possible > len(few.chosen)


def test_the_choice_depends_on_the_text_alone() -> None:
    """Two calls choose the same, and a comment elsewhere changes nothing about it."""
    first = make_mutants(_EVERYTHING, "Shop.total", most=9)
    assert first == make_mutants(_EVERYTHING, "Shop.total", most=9)


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ("return value < other", "return value < other -> return value <= other"),
        ("return value == other", "return value == other -> return value != other"),
        ("return (value + 1) * other", "return (value + 1) * other -> return (value - 1) * other"),
        ("return value * (other)", "return value * (other) -> return value + other"),
        ("return value - other", "return value - other -> return other - value"),
        ("return -value ** 2", "return -value ** 2 -> return value ** 2"),
        (
            "return f'é{value}', value + 1",
            "return f'é{value}', value + 1 -> return f'é{value}', value - 1",
        ),
        ("return value and other", "return value and other -> return value or other"),
        ("value.append(1); return value", "value.append(1); return value -> pass; return value"),
        ("return g(value, other)", "return g(value, other) -> return g(other, value)"),
        ("return g(a=value, b=1)", "return g(a=value, b=1) -> return g(a=value)"),
        ("return sorted(value)", "return sorted(value) -> return value"),
        ("return value.lower()", "return value.lower() -> return value"),
        ("return min(value)", "return min(value) -> return max(value)"),
        (
            "return [x for x in value if x]",
            "return [x for x in value if x] -> return [x for x in value]",
        ),
        ("return value[1:]", "return value[1:] -> return value"),
        ("return '0.19'", "return '0.19' -> return '0.10'"),
        ("return value", "return value -> return other"),
        ("if value:\n    return 1", "if value: -> if False:"),
        ("raise KeyError(value)", "raise KeyError(value) -> raise RuntimeError"),
    ],
)
def test_a_change_is_written_as_its_author_would(body: str, change: str) -> None:
    """Only what changes is written anew, with parentheses where they are needed."""
    assert change in _changes(body)


@pytest.mark.parametrize(
    ("signature", "change"),
    [
        ("n: int) -> int", " -> return 0"),
        ("n: int) -> int", " -> n = 0"),
        ("n: str) -> str | None", " -> return None"),
        ("n: Decimal) -> Decimal", " -> return Decimal(0)"),
    ],
)
def test_types_say_what_is_neutral(signature: str, change: str) -> None:
    """Returning at once and ignoring an argument use a value of the declared type."""
    text = f"from decimal import Decimal\ndef f({signature}:\n    n += n\n    return n\n"
    diffs = {
        mutant.diff.replace("+    ", " -> ") for mutant in make_mutants(text, "f", most=99).chosen
    }
    assert change in diffs


def test_a_type_that_is_not_imported_is_not_used() -> None:
    """`Decimal(0)` is only written where the module knows `Decimal`."""
    text = "def f(n: 'Decimal') -> 'Decimal':\n    n += n\n    return n\n"
    assert not any("Decimal(0)" in one.text for one in make_mutants(text, "f", most=99).chosen)


def test_a_function_on_one_line_is_changed_too() -> None:
    """A statement is put before others on the same line."""
    texts = {one.text for one in make_mutants("def f(n: int): return n\n", "f", most=9).chosen}
    assert "def f(n: int): n = 0; return n\n" in texts


def test_what_compiles_to_the_same_is_no_mutant() -> None:
    """A constant that comes out the same makes no mutant, and the same mutant is made once."""
    changes = _changes("return 2 * 2")
    assert "return 2 * 2 -> return 2 + 2" not in changes
    values = [change.partition(" -> return ")[2] for change in changes]
    assert sorted(str(eval(value)) for value in values) == ["2", "6", "None"]  # noqa: S307  # ours


def test_messages_and_annotations_are_left_alone() -> None:
    """What no contract speaks of is not changed: messages, docstrings, types, f-strings."""
    body = '''
    """Text 1."""
    found: list[int, 1] = g()
    assert found, "text 1"
    raise KeyError(f"text {1}", 1)
    '''
    assert {change for change in _changes(body) if "1" in change} == {
        'raise KeyError(f"text {1}", 1) -> pass',
        'raise KeyError(f"text {1}", 1) -> raise RuntimeError',
        'assert found, "text 1" -> pass',
    }


def test_the_definition_that_counts_is_found() -> None:
    """Of several definitions the last one is changed, in nested classes and branches too."""
    tree = ast.parse(
        "class A:\n class B:\n  def f(self): return 1\n  if True:\n   def f(self): return 2\n"
    )
    found = find_function(tree, "A.B.f")
    assert found is not None
    assert found.lineno == 5
    assert find_function(tree, "A.f") is None
    assert make_mutants("x = 1", "f", most=3).chosen == ()
