"""What compiling writes, and refuses, of migrations; that they run is shown in integration."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lattice_lock.core.elements import contract_digest
from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.lockfile import dump_lock, parse_lock
from lattice_lock.core.workspace import Workspace, open_workspace
from lattice_lock.exceptions import (
    CompileError,
    LatticeSchemaError,
    LockfileError,
    UnsupportedByTargetError,
)

GOLDEN = Path(__file__).parent / "golden_migrations"
HEAD = "version: v1.0\ngenerated_module: types_v1\nconfig: {migrations: migrations}\nentities:\n"
THING = """\
  Thing:
    persistence: table
    fields:
      id: {type: int, primary_key: true}
      name: str
      kind: {enum: [a, b]}
"""


def compiled(root: Path, text: str, *, allow_drop: bool = False) -> tuple[str, ...]:
    """Make `text` the lattice of the project, compile, and return the paths that changed."""
    (root / "lattice.yaml").write_text(text)
    workspace = open_workspace(root)
    return workspace.project.write_files(workspace.plan(allow_drop=allow_drop))


def refused(root: Path, text: str, *, allow_drop: bool = False) -> str:
    """What compiling says against `text`, after which every file is as it was."""
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    before.pop(root / "lattice.yaml", None)
    with pytest.raises(CompileError) as caught:
        compiled(root, text, allow_drop=allow_drop)
    (root / "lattice.yaml").unlink()
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    return str(caught.value).replace(f"{root}/", "")


def revisions(root: Path) -> list[Path]:
    """Files of the revisions, oldest first."""
    return sorted((root / "migrations" / "versions").glob("*.py"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose first migration was written."""
    compiled(tmp_path, HEAD + THING)
    return tmp_path


def test_migrations_equal_their_golden_form(tmp_path: Path) -> None:
    """A change of what is written shows in review; run `golden_migrations/update.py`."""
    for name in ("before", "after"):
        compiled(tmp_path, (GOLDEN / f"{name}.yaml").read_text(), allow_drop=True)
    expected = {
        str(path.relative_to(GOLDEN / "expected")).removesuffix(".txt"): path.read_text()
        for path in (GOLDEN / "expected").rglob("*.txt")
    }
    found = [*(tmp_path / "migrations").rglob("*.*"), tmp_path / "alembic.ini"]
    assert {str(path.relative_to(tmp_path)): path.read_text() for path in found} == expected


def test_compiling_again_writes_nothing(root: Path) -> None:
    """Nor does a change that concerns no table, nor the order of fields."""
    assert compiled(root, HEAD + THING) == ()
    swapped = "      name: str\n      kind: {enum: [a, b]}\n"
    first, second = swapped.splitlines(keepends=True)
    text = HEAD + THING.replace(swapped, second + first).replace(
        "name: str", "name: {type: str, default: x}"
    )
    compiled(root, HEAD + THING.replace(swapped, second + first))
    assert len(revisions(root)) == 1
    compiled(root, text)
    assert len(revisions(root)) == 2


def test_ids_are_the_same_everywhere_and_follow_their_parent(root: Path, tmp_path: Path) -> None:
    """The same history gives the same files; the same change after another parent does not."""
    more = "      more: int | null\n"
    other = tmp_path / "other"
    other.mkdir()
    compiled(other, HEAD + THING)
    assert [one.name for one in revisions(other)] == [one.name for one in revisions(root)]
    between = "      between: int | null\n"
    compiled(other, HEAD + THING + between)
    compiled(root, HEAD + THING + more)
    compiled(other, HEAD + THING + between + more)
    ids = [one.stem.partition("_")[2] for one in (*revisions(root), *revisions(other))]
    assert len(set(ids)) == 4
    assert f'down_revision = "{ids[3]}"' in revisions(other)[2].read_text()


def test_files_of_a_person_are_written_once(root: Path) -> None:
    """`env.py`, its template and `alembic.ini` are never overwritten."""
    for name in ("alembic.ini", "migrations/env.py", "migrations/script.py.mako"):
        (root / name).write_text("mine\n")
    compiled(root, HEAD + THING + "      more: int | null\n")
    assert (root / "alembic.ini").read_text() == "mine\n"
    assert (root / "migrations" / "env.py").read_text() == "mine\n"
    assert not _workspace(root).drift()


def test_without_tables_of_alembic(tmp_path: Path) -> None:
    """Compiling imports neither Alembic nor SQLAlchemy."""
    (tmp_path / "lattice.yaml").write_text(HEAD + THING)
    code = (
        "import sys; from pathlib import Path\n"
        "from lattice_lock.core.workspace import open_workspace\n"
        "open_workspace(Path('.')).plan()\n"
        "assert not {'alembic', 'sqlalchemy', 'sqlmodel'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def _workspace(root: Path) -> Workspace:
    return open_workspace(root)


# What holds data ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "  Other:\n    persistence: table\n    fields: {id: {type: int, primary_key: true}}\n",
            ["lattice.yaml:1:1: the table `thing` would be dropped with its rows."],
        ),
        (
            THING.replace("      name: str\n", ""),
            ["lattice.yaml:5:3: the column `name` of `thing` would be dropped"],
        ),
        (
            THING.replace("[a, b]", "[c]"),
            [
                "lattice.yaml:10:7: `kind` of `thing` would lose the value `a`.",
                "`kind` of `thing` would lose the value `b`.",
            ],
        ),
        (THING.replace("name: str", "title: str | null"), ["the column `name` of `thing`"]),
        (THING.replace("persistence: table", "persistence: none"), ["the table `thing`"]),
    ],
)
def test_drops_are_named_and_need_leave(root: Path, text: str, said: list[str]) -> None:
    """Each thing that would go is named with its place; `allow_drop` lets it."""
    message = refused(root, HEAD + text)
    assert all(one in message for one in said)
    assert "lattice-lock compile --allow-drop" in message
    compiled(root, HEAD + text, allow_drop=True)
    assert len(revisions(root)) == 2


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("more: int", "lattice.yaml:11:7: `more` is new and required: rows of `thing`"),
        ("more: {type: int, unique: true}", "Declare it as `T | null` first"),
        ("more: {type: int, references: Thing.id}", "Declare it as `T | null` first"),
        ("more: {type: int | null, renamed_from: nam}", "renamed from `nam`, which the table"),
    ],
)
def test_what_rows_cannot_have_is_refused(root: Path, field: str, said: str) -> None:
    """A required field needs a value for the rows that are there, and a rename its source."""
    assert said in refused(root, f"{HEAD}{THING}      {field}\n", allow_drop=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [("str", "json"), ("int", "timedelta"), ("bytes", "str"), ("bool", "str"), ("date", "int")],
)
def test_a_type_without_a_certain_form_is_refused(tmp_path: Path, before: str, after: str) -> None:
    """Values are not guessed: the message says what the type can become."""
    text = f"{HEAD}{THING}      more: {before}\n"
    compiled(tmp_path, text)
    (tmp_path / "lattice.yaml").write_text(text.replace(f"more: {before}", f"more: {after}"))
    with pytest.raises(UnsupportedByTargetError, match=rf":11:7: `more` was {before}; its values"):
        _workspace(tmp_path).plan(allow_drop=True)


# The chain ---------------------------------------------------------------------------------------


def test_a_missing_or_edited_revision_is_named(root: Path) -> None:
    """Compiling refuses to build on it and writes nothing; `verify` names it too."""
    compiled(root, HEAD + THING + "      more: int | null\n")
    first, second = revisions(root)
    first.write_text(first.read_text() + "# later\n")
    second.unlink()
    names = [f"migrations/versions/{one.name}" for one in (first, second)]
    drift = {one.path: one for one in _workspace(root).drift()}
    assert drift[names[0]].message == f"generated file `{names[0]}` was edited"
    assert drift[names[1]].message == f"generated file `{names[1]}` is missing"
    assert all("version control" in drift[name].hint for name in names)
    message = refused(root, HEAD + THING + "      more: int | null\n      x: int | null\n")
    assert f"{names[0]}:1:1: the migration `{names[0]}` was edited" in message
    assert f"the migration `{names[1]}` is missing" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("revision = 'x'\ndown_revision = None\n", "both follow nothing"),
        ("revision = 'x'\ndown_revision = 'y'\n", "follows revision `y`, which leads to no first"),
        ("revision = 'x'\ndown_revision = ('y', 'z')\n", "does not say which one revision it is"),
        ("revision = 'x'\ndown_revision = 'x'\n", "leads to no first"),
        ("revision =", "does not say which one revision it is"),
        ("", "does not say which one revision it is"),
        ('"""Generated by Lattice Lock."""\n', "was generated, but is not in `lattice.lock`"),
    ],
)
def test_revisions_that_make_no_line_are_named(root: Path, text: str, said: str) -> None:
    """A second head, a lost parent or a file that is no revision is an error with its path."""
    (root / "migrations" / "versions" / "zz.py").write_text(text)
    message = refused(root, HEAD + THING + "      more: int | null\n")
    assert "migrations/versions/zz.py:1:1" in message
    assert said in message


def test_a_lost_lock_is_no_first_migration(root: Path) -> None:
    """What was generated is not taken for another person's, nor made again."""
    (root / "lattice.lock").unlink()
    assert "is not in `lattice.lock`" in refused(root, HEAD + THING)


def test_a_folder_may_move(root: Path) -> None:
    """Revisions go on in the new folder, once they were moved there."""
    moved = HEAD.replace("{migrations: migrations}", "{migrations: db/steps}")
    assert "Move the folder `migrations` to `db/steps`" in refused(root, moved + THING)
    (root / "db").mkdir()
    shutil.move(root / "migrations", root / "db" / "steps")
    compiled(root, moved + THING + "      more: int | null\n")
    assert len(list((root / "db" / "steps" / "versions").glob("*.py"))) == 2
    assert not _workspace(root).drift()


def test_who_leaves_and_comes_back_goes_on(root: Path) -> None:
    """Without `migrations` the revisions stay, guarded; with it the next one covers all since."""
    plain = HEAD.replace("config: {migrations: migrations}\n", "")
    compiled(root, plain + THING + "      one: int | null\n")
    assert len(revisions(root)) == 1
    assert (root / "migrations" / "lattice_env.py").exists()  # for what was written so far
    assert not _workspace(root).drift()
    compiled(root, HEAD + THING + "      one: int | null\n      two: int | null\n")
    text = revisions(root)[1].read_text()
    assert '"one"' in text
    assert '"two"' in text


def test_a_lock_with_tables_survives_its_text(root: Path) -> None:
    """What the lock says of tables reads back equal, and nonsense there is refused."""
    text = (root / "lattice.lock").read_text()
    lock = parse_lock(text, file="lattice.lock")
    assert lock.migrations is not None
    assert dump_lock(lock) == text
    for old, new in (('"entity": "Thing"', '"entity": 5'), ('"tables": [', '"tables": [7, ')):
        with pytest.raises(LockfileError, match=r"`lattice\.lock` is not a lock file"):
            parse_lock(text.replace(old, new), file="lattice.lock")


# What a lattice may say --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("migrations: migrations", "migrations: ../out", "3:10: `../out` is not a folder inside"),
        ("migrations: migrations", "migrations: src", "`src` is a folder of other files"),
        ("migrations: migrations", "migrations: alembic", "would hide the module `alembic`"),
        ("migrations: migrations", "migrations: true", "must be text, this is the boolean true"),
        ("name: str", "name: {type: str, renamed_from: name}", "cannot be the former name"),
        ("name: str", "name: {type: str, renamed_from: id}", "which still exists"),
        (
            "name: str",
            "name: {type: str, backfill: null}",
            "9:35: `backfill` of field `name` is null",
        ),
        ("name: str", "name: {type: str, backfill: 5}", "The backfill of field `name` must be str"),
        ("name: str", "name: {type: str, max_length: 1, backfill: ab}", "at most 1"),
        ("name: str", "name: {type: str, unique: true, backfill: ab}", "but `name` is unique"),
        ("persistence: table", "renamed_from: Thing", "cannot be the former name of `Thing`"),
        ("persistence: table", "renamed_from: no-name", "cannot be the former name of `Thing`"),
        (
            "persistence: table",
            "renamed_from: [a]",
            "`renamed_from` of entity `Thing` must be text",
        ),
        ("persistence: table", "renamed_from: Other", "`Other`, which still exists"),
    ],
)
def test_nonsense_has_its_place(old: str, new: str, said: str) -> None:
    """Each is refused with file, line and column."""
    other = "  Other:\n    fields: {a: int}\n"
    with pytest.raises(LatticeSchemaError) as caught:
        parse_lattice(
            HEAD + THING.replace(old, new, 1) + other
            if old in THING
            else HEAD.replace(old, new) + THING,
            file="lattice.yaml",
        )
    assert said in str(caught.value)


def test_two_entities_cannot_both_be_one_that_was() -> None:
    """A rename has one target, and a backfill a table."""
    text = (
        f"{HEAD}  A: {{renamed_from: X, fields: {{n: int}}}}\n"
        "  B: {renamed_from: X, fields: {n: {type: int, backfill: 1}}}\n"
    )
    with pytest.raises(LatticeSchemaError) as caught:
        parse_lattice(text, file="lattice.yaml")
    assert "`B` and `A` were both renamed from `X`" in str(caught.value)
    assert "`n` has a `backfill`, but `B` has no table" in str(caught.value)


def test_a_contract_is_not_what_a_migration_needs() -> None:
    """`renamed_from` and `backfill` leave the bodies accepted under a contract as they are."""
    interface = (
        "interfaces:\n  IShop:\n    file: src/shop.py\n    methods:\n"
        "      get: {params: {thing: Thing}, returns: int}\n"
    )
    told = THING.replace(
        "persistence: table", "persistence: table\n    renamed_from: Former"
    ).replace("name: str", "name: {type: str, renamed_from: former, backfill: x}")
    plain, more = (
        parse_lattice(HEAD + one + interface, file="lattice.yaml") for one in (THING, told)
    )
    assert contract_digest(plain, "IShop", "get") == contract_digest(more, "IShop", "get")
