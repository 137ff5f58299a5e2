"""TypeScript types of entities, checked by TypeScript's own compiler where there is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.emitters.typescript import emit_typescript
from lattice_lock.core.loader import load_lattice, parse_lattice
from lattice_lock.exceptions import UnsupportedByTargetError

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "compiler-outputs.md"
GOLDEN = Path(__file__).parent / "golden"

USES = """\
import type {{ DateText, DecimalText, Order, OrderState, UuidText }} from "./lattice";

const price = "1.50" as DecimalText;
const order: Order = {{
  number: 5,
  customer: "12345678-1234-5678-1234-567812345678" as UuidText,
  price,
  moment: "2024-12-31T00:00:00Z" as Order["moment"],
  raw: "abc",
  any: {{ deep: [1, null, {{ more: "x" }}] }},
  note: null,
}};
const state: OrderState = order.state ?? "open";
const text: string = order.price;
{wrong}
export {{ order, state, text }};
"""


def emitted(entities: str) -> str:
    """Types of a lattice with these entities."""
    text = f"version: v1.0\ngenerated_module: types_v1\nentities:\n{entities or '  {}'}\n"
    return emit_typescript(parse_lattice(text, file="lattice.yaml"))


WRONG = {
    "an unknown state": 'const a: OrderState = "lost";',
    "a text that is not marked": 'const a: DecimalText = "1.50";',
    "another marked text": 'const a: DateText = "2024-12-31" as UuidText;',
    "a write": "order.number = 6;",
    "a write into a list": 'order.tags?.push("x");',
    "an unknown field": "const a: Order = { ...order, more: 1 };",
    "undefined for null": "const a: Order = { ...order, note: undefined };",
    "undefined for a default": "const a: Order = { ...order, state: undefined };",
    "a missing field": "const { note, ...rest } = order; const a: Order = rest;",
}


def test_types_can_be_used_and_hardly_misused(tsc: Callable[..., str], tmp_path: Path) -> None:
    """The compiler accepts the types and an order as JSON has it, and refuses each wrong use."""
    (tmp_path / "lattice.d.ts").write_text(emit_typescript(load_lattice(GOLDEN / "lattice.yaml")))
    (tmp_path / "empty.d.ts").write_text(emitted(""))
    [example] = re.findall(r"```typescript\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "docs").mkdir()
    line = "  Line: {fields: {price: decimal, count: int}}"
    (tmp_path / "docs" / "lattice.d.ts").write_text(emitted(line))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "example.ts").write_text(example)
    (tmp_path / "right.ts").write_text(USES.format(wrong=""))
    for number, line in enumerate(WRONG.values()):
        (tmp_path / f"wrong_{number}.ts").write_text(USES.format(wrong=line))
    told = tsc(*sorted(tmp_path.rglob("*.ts")))
    faulty = set(re.findall(r"(\w+)(?:\.d)?\.ts\(\d+,\d+\): error TS", told))
    assert faulty == {f"wrong_{number}" for number in range(len(WRONG))}, told


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("str", "readonly value: string;"),
        ("decimal | null", "readonly value: DecimalText | null;"),
        ("{type: int, default: 3}", "/** @defaultValue `3` */\n  readonly value?: number;"),
        ('"list[str | null]"', "readonly value: readonly (string | null)[];"),
        (
            '"dict[str, list[bool]]"',
            "readonly value: { readonly [key: string]: readonly boolean[] };",
        ),
        ('"list[Item] | null"', "readonly value: readonly Item[] | null;"),
        ("{enum: [a, 'b \"c']}", 'export type ItemValue = "a" | "b \\"c";'),
        ("{type: str, description: 'a */ b'}", "/** a *\\/ b */"),
        ("{type: json, default: {a: 0.5}}", '/** @defaultValue `{"a": 0.5}` */'),
    ],
)
def test_a_field_has_its_type(field: str, line: str) -> None:
    """Each lattice type has one TypeScript type; a default makes the field optional."""
    assert line in emitted(f"  Item: {{fields: {{value: {field}}}}}\n")


def test_a_long_union_is_broken_into_lines() -> None:
    """A union that does not fit a line has a line for each value."""
    values = [f"value number {number}" for number in range(9)]
    text = emitted(f"  Item: {{fields: {{value: {{enum: {values}}}}}}}\n")
    assert 'export type ItemValue =\n  | "value number 0"\n  | "value number 1"' in text


def test_a_lattice_without_entities_is_a_module() -> None:
    """Without entities there is still a module, which exports nothing."""
    assert emitted("").endswith("\nexport {};\n")


@pytest.mark.parametrize("name", ["string", "Json", "DecimalText", "interface"])
def test_a_name_that_typescript_needs_is_refused(name: str) -> None:
    """A name of the language, or of a type that the file defines, cannot name an entity."""
    with pytest.raises(UnsupportedByTargetError, match=rf"lattice\.yaml:4:3: .*`{name}`"):
        emitted(f"  {name}: {{fields: {{value: int}}}}\n")
