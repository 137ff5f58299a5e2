"""What becomes of an entity with `persistence: table`, and what is refused, before any database."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.compiler import compile_lattice
from lattice_lock.core.loader import parse_lattice
from lattice_lock.exceptions import UnsupportedByTargetError

if TYPE_CHECKING:
    from lattice_lock.core.compiler import Compilation

_ID = "id: {type: int, primary_key: true}"


def lattice_with(fields: str, ensures: str = "", more: str = "") -> str:
    """A lattice with one table; its fields stand in line 6, its invariants in line 7."""
    clauses = f"    ensures: [{ensures}]\n" if ensures else ""
    return (
        "version: v1.0\ngenerated_module: types_v1\nentities:\n  Item:\n    persistence: table\n"
        f"    fields: {{{_ID}, {fields}}}\n{clauses}{more}interfaces: {{}}\n"
    )


def compiled(text: str) -> Compilation:
    """What a lattice's text compiles to."""
    return compile_lattice(parse_lattice(text, file="lattice.yaml"))


def tables_of(text: str) -> str:
    """Text of the generated tables module."""
    return compiled(text).generated["src/shared/types_v1_tables.py"]


def test_without_a_table_there_is_no_module() -> None:
    """Entities of the default persistence generate no tables."""
    text = lattice_with("name: str").replace("    persistence: table\n", "")
    assert not any("tables" in path for path in compiled(text).generated)


def test_compiling_needs_neither_sqlmodel_nor_sqlalchemy() -> None:
    """The compiler writes text; only who imports the tables needs their libraries."""
    program = (
        "import sys\nfrom lattice_lock.core.compiler import compile_lattice\n"
        "from lattice_lock.core.loader import parse_lattice\n"
        f"compile_lattice(parse_lattice({lattice_with('name: str')!r}, file='lattice.yaml'))\n"
        "print(*sorted({'sqlalchemy', 'sqlmodel', 'alembic'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("part: Other", "`part` holds `Other`; a column holds no entity"),
        ("parts: 'list[Other]'", "`parts` holds `Other`; a column holds no entity"),
        ("other_id: {type: int, references: Other.key}", "`Other`, which has no table. Add `pers"),
        ("code: {type: str, pattern: '\\d+'}", r"`pattern` of `code` uses `\\d`.* Write `\[0-9\]`"),
        ("size: {type: int, le: 9223372036854775808}", "`le` of `size` lies beyond the 64 bits"),
        ("wait: {type: timedelta, le: P999999999D}", "`le` of `wait` lies beyond the 64 bits"),
        ("metadata: str", "`metadata` is an attribute of every table class"),
        ("Name: str, name: str", "`name` and `Name` are one column to SQLite"),
        (f"{'a' * 64}: str", "makes a name of more than 63 bytes"),
    ],
)
def test_what_a_table_cannot_hold_is_an_error_with_its_place(fields: str, problem: str) -> None:
    """Nothing that the lattice says is left out of a table in silence."""
    other = "  Other:\n    fields: {key: {type: int, primary_key: true}}\n"
    with pytest.raises(UnsupportedByTargetError, match=rf"lattice\.yaml:6:\d+: .*{problem}"):
        compiled(lattice_with(fields, more=other))


@pytest.mark.parametrize(
    ("clause", "part", "column"),
    [
        ("name.lower() == 'a'", "name.lower()", 16),
        ("size / 2 > 1", "size / 2", 16),
        ("size > 0 and max(tags, default='') == 'a'", "max(tags, default='')", 29),
        ("all(len(tag) > 0 for tag in tags)", "all((len(tag) > 0 for tag in tags))", 16),
        ("part ** 2 > 4", "part ** 2", 16),
        ("part + 0.5 > 4", "part + 0.5", 16),
        ("size > part", "size > part", 16),
        ("'a' in tags", "'a' in tags", 16),
        ("name.startswith(more)", "name.startswith(more)", 16),
    ],
)
def test_an_invariant_that_sql_cannot_say_is_an_error_with_its_place(
    clause: str, part: str, column: int
) -> None:
    """The error names the part that has no equal, and its column within the clause."""
    fields = "name: str, more: str, size: int, tags: 'list[str]', part: float"
    place = re.escape(f"lattice.yaml:7:{column}: `{part}` of `")
    with pytest.raises(UnsupportedByTargetError, match=place):
        compiled(lattice_with(fields, f'"{clause}"'))


def test_two_entities_with_one_table_name_are_refused() -> None:
    """`HTTPItem` and `HttpItem` would both be `http_item`."""
    entity = "    persistence: table\n    fields: {id: {type: int, primary_key: true}}\n"
    more = f"  HTTPItem:\n{entity}  HttpItem:\n{entity}"
    with pytest.raises(UnsupportedByTargetError, match=r"`HttpItem` and `HTTPItem` share the tab"):
        compiled(lattice_with("name: str", more=more))


def test_every_problem_is_reported_at_once() -> None:
    """Fields, constraints and invariants are all examined before compiling stops."""
    fields = "tags: {type: 'list[str]', unique_items: true}, metadata: str"
    with pytest.raises(UnsupportedByTargetError) as caught:
        compiled(lattice_with(fields, "\"'a' in tags\""))
    assert len(caught.value.problems) == 3


def names(text: str) -> set[str]:
    """Names of the CHECK constraints."""
    return set(re.findall(r'"(ck_\w+)"', tables_of(text)))


def test_the_name_of_a_check_changes_with_its_condition() -> None:
    """A changed limit gives another name, so that a migration sees it; the rest stays."""
    before = names(lattice_with("size: {type: int, ge: 1, le: 9}"))
    after = names(lattice_with("size: {type: int, ge: 1, le: 10}"))
    assert len(before - after) == len(after - before) == 1
    assert all(re.fullmatch(r"ck_item_(id|size)_[0-9a-f]{8}", one) for one in before | after)


def test_the_name_of_a_check_fits_into_postgresql() -> None:
    """However long table and field are called, 63 bytes are enough and names stay apart."""
    long = "a" * 62
    found = names(
        lattice_with(f"{long}b: {{type: int, ge: 1, le: 9}}, {long}c: {{type: int, ge: 1}}")
    )
    assert len(found) == 9
    assert max(map(len, found)) == 63


def test_an_invariant_may_have_a_name() -> None:
    """The constraint bears it."""
    found = names(lattice_with("size: int", "{name: Size cap, condition: 'size < 9'}, 'size > 0'"))
    assert any(re.fullmatch("ck_item_size_cap_[0-9a-f]{8}", one) for one in found)
    assert any(re.fullmatch("ck_item_invariant_[0-9a-f]{8}", one) for one in found)


def test_a_type_says_what_its_column_can_hold() -> None:
    """A whole number of a table has 64 bits in its type too, one of another entity has none."""
    text = lattice_with("size: int", more="  Plain:\n    fields: {size: int}\n")
    types = compiled(text).generated["src/shared/types_v1.py"]
    stored, plain = types.split("class Plain(")
    assert "size: Annotated[int, Field(ge=-9223372036854775807, le=9223372036854775807)]" in stored
    assert "size: int\n" in plain


def test_an_entity_called_like_a_row_is_refused() -> None:
    """One file may need both classes."""
    more = "  ItemRow:\n    fields: {name: str}\n"
    with pytest.raises(UnsupportedByTargetError, match=r"lattice\.yaml:7:3: .*`ItemRow` too"):
        compiled(lattice_with("name: str", more=more))


def repository_of(entity: str, interface: str, depends_on: str = "") -> str:
    """A lattice with one repository that is the implementation of the one method `add`."""
    methods = f"    methods:\n      add: {{params: {{item: {entity}}}, returns: null}}\n"
    return (
        lattice_with("name: str").replace("Item:", f"{entity}:").replace("interfaces: {}\n", "")
        + f"interfaces:\n  {interface}:\n    file: src/services/shop.py\n{depends_on}"
        + f"    scaffold: repository_pattern\n{methods}"
    )


@pytest.mark.parametrize(("entity", "interface"), [("Session", "IShop"), ("Item", "ISession")])
def test_a_lattice_may_have_a_session_of_its_own(entity: str, interface: str) -> None:
    """SQLModel's class of that name then goes by another."""
    scaffold = compiled(repository_of(entity, interface)).scaffolds["src/services/shop.py"]
    assert "from sqlmodel import Session as DatabaseSession\n" in scaffold
    assert "session: DatabaseSession | None = None" in scaffold


def test_a_dependency_cannot_take_the_place_of_the_session() -> None:
    """Both would be the parameter `session`."""
    text = repository_of("Item", "IShop", "    depends_on: [ISession]\n")
    text += "  ISession:\n    file: src/services/session.py\n    methods: {end: {returns: null}}\n"
    with pytest.raises(UnsupportedByTargetError, match=r"`ISession` would stand for the session"):
        compiled(text)


def test_texts_are_ordered_by_code_point() -> None:
    """Whatever the collation of a PostgreSQL database, as in Python and SQLite."""
    assert '\\"name\\" < \'b\' COLLATE \\"C\\"' in tables_of(
        lattice_with("name: str", "\"name < 'b'\"")
    )
