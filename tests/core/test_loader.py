"""Reading a complete lattice, and everything about a file that must be refused."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from lattice_lock.core.loader import load_lattice, parse_lattice
from lattice_lock.core.schema import Constraints, Default, Reference
from lattice_lock.core.type_refs import (
    EntityType,
    EnumType,
    OptionalType,
    ScalarName,
    ScalarType,
)
from lattice_lock.exceptions import (
    LatticeSyntaxError,
    ProjectError,
    ProjectNotFoundError,
    SourceLocation,
)

EXCHANGE = Path(__file__).parent / "payloads" / "exchange.yaml"
HEAD = "version: v1.0\ngenerated_module: types_v1\n"


def syntax_problem(text: str | bytes) -> tuple[int, int, str, str]:
    """Line, column, message and hint of the first problem of a file that must be refused."""
    with pytest.raises(LatticeSyntaxError) as caught:
        parse_lattice(text, file="lattice.yaml")
    first = caught.value.problems[0]
    return first.location.line, first.location.column, first.message, first.hint or ""


def test_a_complete_lattice_is_read() -> None:
    """Every part of the format arrives in the typed schema, numbers exact, places kept."""
    lattice = load_lattice(EXCHANGE)
    assert lattice.version == "v2.1"
    assert lattice.generated_module == "types_v2"
    assert lattice.digest == hashlib.sha256(EXCHANGE.read_bytes()).hexdigest()
    assert lattice.file == str(EXCHANGE)
    assert lattice.warnings == ()
    assert lattice.config.forbidden_imports == ("requests", "psycopg2", "sqlite3", "float")
    order = lattice.entities["LimitOrder"]
    assert list(order.fields) == ["order_id", "price", "quantity", "status", "customer_id"]
    assert order.persistence == "table"
    assert order.fields["price"].constraints == Constraints(gt=Decimal(0), scale=8)
    assert order.fields["status"].type == EnumType(
        "LimitOrderStatus", ("pending", "filled", "cancelled")
    )
    assert order.fields["status"].default == Default(value="pending")
    assert order.fields["customer_id"].references == Reference(entity="Customer", field="id")
    assert order.fields["quantity"].location == SourceLocation(
        file=str(EXCHANGE), line=16, column=7
    )
    assert order.transitions == {"status": {"pending": ("filled", "cancelled")}}
    assert [clause.expression.source for clause in order.ensures] == [
        "price <= 1000000",
        "quantity > 0",
    ]
    assert order.ensures[0].name == "price_cap"
    assert order.ensures[0].description == "fat-finger guard"
    assert order.ensures[1].path == "entities.LimitOrder.ensures[1]"


def test_interfaces_and_policies_are_read() -> None:
    """Methods carry typed parameters, clauses with paths, errors, examples; policies their data."""
    lattice = load_lattice(EXCHANGE)
    service = lattice.interfaces["IExecutionService"]
    assert service.class_name == "ExecutionService"
    assert service.file == "src/services/execution_service.py"
    assert service.scaffold == "repository_pattern"
    assert service.depends_on == ("IOrderRepository",)
    fill = service.methods["fill"]
    assert fill.params["order"].type == EntityType("LimitOrder")
    assert fill.returns.type == EntityType("LimitOrder")
    assert fill.requires[0].path == "interfaces.IExecutionService.methods.fill.requires[0]"
    assert fill.ensures[1].expression.source == "result.quantity == old(order.quantity) - qty"
    assert fill.raises[0].exception == "ValueError"
    assert fill.raises[0].clause.path == (
        "interfaces.IExecutionService.methods.fill.raises.ValueError"
    )
    (example,) = fill.examples
    assert example.raises == "ValueError"
    order = example.args["order"]
    assert isinstance(order, dict)
    assert order["status"] == "pending"
    assert order["order_id"] == UUID("12345678-1234-5678-1234-567812345678")
    get = lattice.interfaces["IOrderRepository"].methods["get"]
    assert get.returns.type == OptionalType(EntityType("LimitOrder"))
    assert get.params["id"].type == ScalarType(ScalarName.UUID)
    uses = [(one.use, one.on, one.action, one.parameters) for one in lattice.policies]
    assert uses[1] == ("no-pii", ("response",), "redact", {"kinds": ["email", "card"]})
    assert uses[3] == (
        "model-allow",
        (),
        None,
        {"providers": ["local", "anthropic"], "max_cost_usd": "0.05"},
    )


def test_a_lattice_can_be_sent_to_another_process() -> None:
    """Sheriff checks in several processes, so the whole value survives pickling."""
    lattice = load_lattice(EXCHANGE)
    copy = pickle.loads(pickle.dumps(lattice))  # noqa: S301 -- our own bytes
    assert copy.entities["LimitOrder"].fields == lattice.entities["LimitOrder"].fields
    assert copy.digest == lattice.digest


def test_text_and_bytes_give_the_same_lattice() -> None:
    """The digest is that of the bytes, whichever way the text came in; a BOM is not content."""
    content = EXCHANGE.read_bytes()
    one = parse_lattice(content, file="l.yaml")
    two = parse_lattice(content.decode(), file="l.yaml")
    assert one.digest == two.digest
    assert parse_lattice(b"\xef\xbb\xbf" + content, file="l.yaml").version == "v2.1"


def test_keys_such_as_on_stay_words() -> None:
    """YAML 1.1 would turn `on`, `yes` and `no` into booleans."""
    lattice = parse_lattice(
        HEAD + "entities: {A: {fields: {on: int, no: {enum: [yes, no, off, y]}}}}", file="l.yaml"
    )
    assert list(lattice.entities["A"].fields) == ["on", "no"]
    assert lattice.entities["A"].fields["no"].type == EnumType("ANo", ("yes", "no", "off", "y"))


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("", 1, 1, "The lattice is empty", "version"),
        ("# only a comment\n", 1, 1, "The lattice is empty", "version"),
        ("a: b: c", 1, 5, "mapping values are not allowed", "quotes"),
        ("a:\n\t- x", 2, 1, "cannot start any token", "Indent with spaces"),
        ("a: [1, 2\nb: 3", 2, 2, "not YAML", ""),
        ("a: 'unclosed", 1, 13, "unexpected end of stream", ""),
        ("a: &x [1]", 1, 4, "`&x` is a YAML anchor", "Write the value out"),
        ("a: *x", 1, 4, "`*x` is a YAML anchor or alias", "quotes"),
        ("a: !!python/object:os.system x", 1, 4, "The tag", "Remove it"),
        ("a: !local {}", 1, 4, "The tag `!local`", "Remove it"),
        ("a: 1\n---\nb: 2", 2, 1, "A second YAML document", "one document"),
        ("a: {b: 1, c: 2,\n b: 3}", 2, 2, "`b` stands here for the second time", "Keep one"),
        ("? [a]\n: b", 1, 3, "A key must be a plain word", ""),
        ("a: \x07", 1, 4, "U+0007 cannot stand in a YAML file", "Remove it"),
        ("a: b\n\x00", 2, 1, "U+0000 cannot stand", "Remove it"),
        ("ok: 1\nx: \ud800", 1, 1, "half of a surrogate pair", ""),
        (b"a: b\nc: \xff", 2, 4, "Byte 0xff is not UTF-8", "UTF-8"),
        ("a: b".encode("utf-16"), 1, 1, "is not UTF-8", "UTF-8"),
        ("[" * 60, 1, 51, "nested more than 50 levels", ""),
        ("- " * 60, 1, 101, "nested more than 50 levels", ""),
        ("a: [" + "x," * 100_001 + "]", 1, 199_999, "more than 100000 values", ""),
        ("a: " + "x" * 1_100_000, 1, 1, "larger than 1024 KiB", "Keep data elsewhere"),
    ],
)
def test_a_file_that_is_not_the_yaml_of_a_lattice_is_refused(
    text: str | bytes, line: int, column: int, message: str, hint: str
) -> None:
    """What YAML allows but a lattice does not use is refused at its place, with the way out."""
    found_line, found_column, found, found_hint = syntax_problem(text)
    assert message in found
    assert hint in found_hint
    assert (found_line, found_column) == (line, column)


def test_a_duplicate_key_names_both_places() -> None:
    """The message says where the first one stands."""
    _, _, message, _ = syntax_problem("a: 1\nb: 2\n  \na: 3")
    assert "the first is at line 1, column 1" in message


def test_an_alias_bomb_dies_at_once() -> None:
    """A billion laughs in 300 bytes cost no time and no memory."""
    lines = ['a: &a ["lol", "lol"]']
    lines += [f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]" for n in range(24)]
    start = time.perf_counter()
    _, _, message, _ = syntax_problem("\n".join(lines))
    assert "anchor" in message
    assert time.perf_counter() - start < 2.0


def test_a_hundred_problems_are_enough() -> None:
    """A file full of nonsense is not answered with a hundred thousand lines."""
    with pytest.raises(LatticeSyntaxError) as caught:
        parse_lattice("a: 1\n" * 10_000, file="l.yaml")
    assert len(caught.value.problems) == 100
    assert caught.value.hint is not None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No lattice is another error than a wrong lattice, and says what to do."""
    with pytest.raises(ProjectNotFoundError, match=r"lattice\.yaml.*lattice-lock init"):
        load_lattice(tmp_path / "lattice.yaml")


def test_a_folder_is_not_a_lattice(tmp_path: Path) -> None:
    """A folder of that name is refused without reading it."""
    with pytest.raises(ProjectError, match="is not a file"):
        load_lattice(tmp_path)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would wait for ever."""
    os.mkfifo(tmp_path / "lattice.yaml")
    with pytest.raises(ProjectError, match="is not a file"):
        load_lattice(tmp_path / "lattice.yaml")


def test_an_impossible_path_is_a_project_error() -> None:
    """A path that the system refuses ends in the project's own error."""
    with pytest.raises(ProjectError, match="cannot be read"):
        load_lattice(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A file without permission is an error with the system's reason."""
    path = tmp_path / "lattice.yaml"
    path.write_text(HEAD)
    path.chmod(0)
    with pytest.raises(ProjectError, match="Permission denied"):
        load_lattice(path)


def test_a_huge_file_is_refused_at_once(tmp_path: Path) -> None:
    """A sparse file of one gigabyte is not read."""
    path = tmp_path / "lattice.yaml"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)
    start = time.perf_counter()
    with pytest.raises(LatticeSyntaxError, match="larger than 1024 KiB"):
        load_lattice(path)
    assert time.perf_counter() - start < 2.0
