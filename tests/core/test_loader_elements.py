"""What entities, interfaces and policies may say, and how a wrong one is answered."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from lattice_lock.core.loader import parse_lattice
from lattice_lock.core.schema import Constraints
from lattice_lock.core.type_refs import (
    INT,
    JSON,
    STR,
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)
from lattice_lock.exceptions import ExpressionError, LatticeError, LatticeSchemaError, Problem

if TYPE_CHECKING:
    from lattice_lock.core.schema import Field, Lattice, Method

HEAD = "version: v1.0\ngenerated_module: types_v1\n"
DECIMAL = ScalarType(ScalarName.DECIMAL)


def load(body: str) -> Lattice:
    """A lattice with the usual head."""
    return parse_lattice(HEAD + body, file="lattice.yaml")


def problems(body: str) -> tuple[Problem, ...]:
    """Everything wrong with a lattice."""
    with pytest.raises(LatticeError) as caught:
        load(body)
    return caught.value.problems


def field_of(declaration: str) -> Field:
    """The field `x` of an entity, beside an entity `Other`."""
    lattice = load(
        "entities:\n  Other: {fields: {id: {type: int, primary_key: true}}}\n"
        f"  A: {{fields: {{x: {declaration}}}}}"
    )
    return lattice.entities["A"].fields["x"]


def field_problem(declaration: str) -> Problem:
    """The one problem of a field, its column counted from the declaration."""
    (problem,) = problems(
        "entities:\n  Other: {fields: {id: {type: int, primary_key: true}, n: str}}\n"
        f"  A:\n    fields:\n      x: {declaration}"
    )
    return problem


def method_of(declaration: str) -> Method:
    """The method `m` of an interface."""
    body = f"interfaces:\n  IShop:\n    file: src/shop.py\n    methods:\n      m: {declaration}"
    entity = "entities: {Order: {fields: {total: decimal, note: str | null}}}\n"
    return load(entity + body).interfaces["IShop"].methods["m"]


def method_problem(declaration: str) -> Problem:
    """The one problem of a method."""
    with pytest.raises(LatticeError) as caught:
        method_of(declaration)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((name.value, ScalarType(name)) for name in ScalarName),
        ("Other", EntityType("Other")),
        ("'list[Other]'", ListType(EntityType("Other"))),
        ("'dict[str, int]'", DictType(INT)),
        ("int | null", OptionalType(INT)),
        ("null | int", OptionalType(INT)),
        ("'list[ str|null ] | null'", OptionalType(ListType(OptionalType(STR)))),
        ("'dict[str, list[dict[str, Other]]]'", DictType(ListType(DictType(EntityType("Other"))))),
        ("json | null", JSON),
        ("{enum: [a, b-c, 'no']}", EnumType("AX", ("a", "b-c", "no"))),
        ("{type: enum | null, enum: [a, b]}", OptionalType(EnumType("AX", ("a", "b")))),
        ("{type: 'list[enum]', enum: [a, b]}", ListType(EnumType("AX", ("a", "b")))),
        ("{type: decimal}", DECIMAL),
    ],
)
def test_a_type_is_read(text: str, expected: object) -> None:
    """Every spelling of a type that the format has arrives as a value."""
    assert field_of(text).type == expected


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [
        ("decimall", 0, "`decimall` is neither a type nor an entity", "Did you mean `decimal`?"),
        ("Othr", 0, "`Othr` is neither", "Did you mean `Other`?"),
        ("string", 0, "`string` is neither", "Write `str`"),
        ("Optional[int]", 0, "`Optional` is neither", "Write `T | null`"),
        ("int?", 3, "is not a type", "Write `int | null`"),
        ("int | str", 6, "combines two types", "json"),
        ("list[int", 8, "expected `]`, found the end", ""),
        ("list[itn]", 5, "`itn` is neither", "`int`"),
        ("'dict[str, itn]'", 11, "`itn` is neither", "`int`"),
        ("'dict[int, int]'", 6, "The keys of a dict are str", "dict[str, T]"),
        ("int int", 4, "`int` is one too much", ""),
        ("'null'", 1, "`null` alone is not a type", "T | null"),
        ("enum", 0, "`enum` needs its values", "{enum: [first, second]}"),
        ("int &", 4, "is not a type", "list[T]"),
        ("list[list[list[list[list[list[list[list[list[list[int]]]]]]]]]]", 45, "levels deep", ""),
        ("{gt: 1}", 0, "Field `x` has no `type`", "type: decimal"),
        ("{type: [int]}", 7, "must be text, this is a list", ""),
        ("[int]", 0, "must be a mapping, this is a list", ""),
        ("{type: int, enum: [a]}", 7, "its type `int` does not use them", "list[enum]"),
        ("{enum: []}", 7, "has no values", ""),
        ("{enum: [a, a]}", 11, "twice", ""),
        ("{enum: [on, true]}", 12, "this is the boolean true", "quotes"),
        ("{enum: [1]}", 8, "this is the number `1`", "quotes"),
    ],
)
def test_a_wrong_type_is_answered_at_its_character(
    text: str, offset: int, message: str, hint: str
) -> None:
    """The place is that of the word inside of the type, the hint says what to write."""
    problem = field_problem(text)
    assert message in problem.message
    assert hint in (problem.hint or "")
    assert (problem.location.line, problem.location.column) == (7, 10 + offset)


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ("{type: int, gt: 0, le: 10}", Constraints(gt=Decimal(0), le=Decimal(10))),
        ("{type: float, ge: -0.5, lt: 1e3}", Constraints(ge=Decimal("-0.5"), lt=Decimal(1000))),
        (
            "{type: decimal, precision: 12, scale: 2, multiple_of: 0.05}",
            Constraints(precision=12, scale=2, multiple_of=Decimal("0.05")),
        ),
        ("{type: decimal, ge: '0.10'}", Constraints(ge=Decimal("0.10"))),
        ("{type: date, gt: 2024-01-01}", Constraints(gt=date(2024, 1, 1))),
        (
            "{type: datetime, ge: '2024-01-01T00:00:00Z'}",
            Constraints(ge=datetime(2024, 1, 1, tzinfo=timezone.utc)),  # noqa: UP017 -- plain
        ),
        ("{type: timedelta, le: PT90M}", Constraints(le=timedelta(minutes=90))),
        (
            "{type: str, min_length: 1, max_length: 9, pattern: '[A-Z]{3}-\\d+'}",
            Constraints(min_length=1, max_length=9, pattern="[A-Z]{3}-\\d+"),
        ),
        ("{type: 'list[int]', unique_items: true}", Constraints(unique_items=True)),
        ("{type: int | null, gt: 0}", Constraints(gt=Decimal(0))),
        ("{type: 'dict[str, int]', max_length: 3}", Constraints(max_length=3)),
        ("{type: bytes, max_length: 3}", Constraints(max_length=3)),
    ],
)
def test_constraints_are_read(declaration: str, expected: Constraints) -> None:
    """Every constraint arrives exact and in the type that it is compared with."""
    assert field_of(declaration).constraints == expected


@pytest.mark.parametrize(
    ("declaration", "message", "hint"),
    [
        ("{type: str, gt: 1}", "`gt` does not apply to str", "int, timedelta"),
        ("{type: float, scale: 2}", "`scale` does not apply to float", "applies to decimal"),
        ("{type: int, pattern: a}", "`pattern` does not apply to int", "applies to str"),
        ("{type: str, unique_items: true}", "does not apply to str", "lists"),
        ("{type: Other, gt: 1}", "`gt` does not apply to Other", ""),
        ("{type: int, gte: 1}", "Field `x` has no key `gte`", "Write `ge`"),
        ("{type: int, minimun: 1}", "has no key `minimun`", ""),
        ("{type: int, gt: abc}", "`gt` of field `x` must be an int, this is the text `abc`", ""),
        ("{type: int, gt: 1.5}", "must be an int, this is the number `1.5`", ""),
        ("{type: date, gt: 1.5}", "must be a date", "'2024-12-31'"),
        ("{type: datetime, gt: 2024-01-01T00:00:00}", "must be a datetime", "time zone"),
        ("{type: int, multiple_of: 0}", "must be an int greater than 0", ""),
        ("{type: float, le: 1e400}", "must be a float", ""),
        ("{type: int, gt: 5, ge: 5}", "has both `gt` and `ge`", "narrower"),
        ("{type: int, ge: 5, le: 4}", "can have no value: No value lies between 5 and 4", ""),
        ("{type: int, gt: 5, le: 5}", "the limits themselves left out", ""),
        ("{type: int, gt: 5, lt: 6}", "No int in steps of 1 lies between 5 and 6", ""),
        ("{type: decimal, scale: 2, gt: 0, lt: 0.01}", "in steps of 0.01", ""),
        ("{type: int, multiple_of: 7, ge: 1, le: 6}", "in steps of 7", ""),
        ("{type: decimal, precision: 3, scale: 2, ge: 10}", "more digits than `precision`", ""),
        ("{type: decimal, precision: 1, scale: 2}", "`scale` 2 is larger than `precision` 1", ""),
        ("{type: str, min_length: 3, max_length: 2}", "`min_length` 3 is larger", ""),
        ("{type: str, min_length: -1}", "whole number from 0 to 1000000", ""),
        ("{type: str, pattern: '['}", "is not a regular expression", ""),
        ("{type: str, pattern: '[[a]'}", "is not a regular expression: Possible nested set", ""),
        ("{type: str, pattern: '(a+)+b'}", "exponential time", "inner"),
        ("{type: str, pattern: '((a|b)*c?)*'}", "exponential time", "inner"),
        ("{type: str, pattern: 'a{99999}'}", "more than 1000 times", ""),
        ("{type: date, gt: 2024-02-30}", "must be a date, this is the text `2024-02-30`", ""),
        ("{type: int, primary_key: yes}", "must be true or false, this is the text `yes`", "true"),
        ("{type: int | null, primary_key: true}", "A primary key cannot be null", ""),
        ("{type: 'list[int]', unique: true}", "`unique` does not apply to list[int]", ""),
        ("{type: int, default: abc}", "The default of field `x` must be int", ""),
        ("{type: int, default: 3, gt: 3}", "must be greater than 3; this is the number `3`", ""),
        ("{type: int, default: null}", "must be int, this is null", ""),
        ("{type: str, default: 5}", "must be str, this is the number `5`", "quotes"),
        ("{type: str, default: ab, pattern: '[A-Z]+'}", "must match `[A-Z]+`", ""),
        ("{enum: [a, b], default: c}", "must be a value of AX, this is the text `c`", "`a`, `b`"),
        ("{type: 'list[int]', default: [1, x]}", "Item 1 of the default", ""),
        ("{type: Other, default: {id: 1}}", "An entity cannot be a default", "T | null"),
        ("{type: int, references: Othr.id}", "`Othr`, which is not an entity", "`Other`"),
        ("{type: int, references: Other.idd}", "`Other` has no such field", "`id`"),
        ("{type: str, references: Other.n}", "neither the primary key nor unique", "unique"),
        ("{type: str, references: Other.id}", "`x` is str, but `Other.id` is int", "`int`"),
        ("{type: int, references: Other}", "`Other` is not a reference", "Customer.id"),
        ("{type: int, renamed_from: x}", "cannot be the former name of `x`", ""),
        ("{type: A}", "holds one of itself: A -> A", "`A | null`"),
        ("{type: 'list[A]', min_length: 1}", "holds one of itself", ""),
    ],
)
def test_a_wrong_field_is_answered(declaration: str, message: str, hint: str) -> None:
    """A limit that does not fit, or fits no value, is one problem with what to do instead."""
    problem = field_problem(declaration)
    assert message in problem.message
    assert hint in (problem.hint or "")
    assert problem.location.line == 7


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("{type: decimal, default: 0.10}", Decimal("0.10")),
        ("{type: float, default: 1}", 1.0),
        ("{type: 'list[int]', default: [1, 2]}", [1, 2]),
        ("{type: 'list[Other]', default: []}", []),
        ("{type: Other | null, default: null}", None),
        ("{type: bytes, default: abc}", b"abc"),
        ("{type: timedelta, default: -P1DT2H}", -timedelta(days=1, hours=2)),
        ("{type: json, default: {a: [1, 1.5, on, null]}}", {"a": [1, Decimal("1.5"), "on", None]}),
        ("{type: bool, default: false}", False),
    ],
)
def test_a_default_has_the_type_of_its_field(declaration: str, value: object) -> None:
    """Defaults are converted and exact."""
    default = field_of(declaration).default
    assert default is not None
    assert default.value == value
    assert type(default.value) is type(value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("entities: []", ["Expected a mapping from entity name to entity, found a list."]),
        ("entities: {A: {}}", ["Entity `A` has no fields."]),
        ("entities: {A: 3}", ["Entity `A` must be a mapping, this is the number `3`."]),
        ("entities: {class: {fields: {x: int}}}", ["`class` is a Python keyword"]),
        ("entities: {A: {fields: {_x: int, y: int}}}", ["`_x` cannot name a field"]),
        ("entities: {A: {fields: {'a b': int, y: int}}}", ["`a b` cannot name a field"]),
        ("entities: {A: {fields: {copy: int}}}", ["`copy` is an attribute of every Pydantic"]),
        (
            "entities: {A: {fields: {x: B}}, B: {fields: {y: C}}, C: {fields: {z: A}}}",
            ["holds one of itself: A -> B -> C -> A"],
        ),
        (
            "entities: {A: {persistence: tabel, fields: {x: int}}}",
            ["`tabel` is not a persistence"],
        ),
        (
            "entities: {A: {persistence: table, fields: {x: int}}}",
            ["is stored in a table but no field is its primary key"],
        ),
        (
            "entities: {A: {fields: {x: {enum: [a, b]}}, transitions: {x: {a: [c], d: [b]}}}}",
            ["`c` is not a value of `x`", "`d` is not a value of `x`"],
        ),
        (
            "entities: {A: {fields: {x: int}, transitions: {x: {a: [b]}, y: {}}}}",
            ["`x` is int; only an enum has states", "Entity `A` has no field `y`"],
        ),
        (
            "entities: {AX: {fields: {y: int}}, A: {fields: {x: {enum: [a]}}}}",
            ["would be called `AX`, as the entity is"],
        ),
        (
            "entities: {A: {fields: {b_c: {enum: [a]}}}, AB: {fields: {c: {enum: [b]}}}}",
            ["would be called `ABC`, as the one at line 3 with other values"],
        ),
        (
            "entities: {A: {fields: {x: {type: int, renamed_from: y}, y: int}}}",
            ["`x` was renamed from `y`, which still exists"],
        ),
        ("config: {source_root: ../src}", ["`../src` is not a folder inside of the project"]),
        ("config: {forbidden_imports: ['a b', 3]}", ["`a b` is not the name", "must be text"]),
        ("config: {max_suppressions: -1}", ["must be a whole number from 0, this is the number"]),
        ("config: {max_suppressions: true}", ["must be a whole number from 0, this is the boo"]),
        ("config: {orm_engine: peewee}", ["`peewee` is not a supported `orm_engine`"]),
        ("polices: []", ["The lattice has no key `polices`."]),
        ("policies: [{on: [code]}]", ["A policy has no `use`."]),
        ("policies: [{use: No Secrets}]", ["`No Secrets` cannot name a policy"]),
        ("policies: [{use: a, on: [cod]}]", ["`cod` is not a place where a policy looks"]),
        ("policies: [{use: a, action: log}]", ["`log` is not an action"]),
        ("<<: {a: b}", ["The lattice has no key `<<`."]),
        (
            "entities: {A: {fields: {x: A}}, B: {fields: {x: C}}, C: {fields: {x: B}}}",
            ["holds one of itself: A -> A", "holds one of itself: B -> C -> B"],
        ),
        (
            "entities: {A: {description: 5, fields: {x: int}}}",
            ["`description` of entity `A` must be text, this is the number `5`."],
        ),
        ("policies: {use: a}", ["`policies` must be a list."]),
        ("config: {orm_engine: [a]}", ["`orm_engine` of `config` must be text, this is a list."]),
        ("entities: {A: {fields: {x: int}, persistence: [a]}}", ["must be text, this is a list"]),
        (
            "entities: {A: {fields: {x: {enum: [a]}}, transitions: {x: [a]}}}",
            ["The transitions of `x` must be a mapping, this is a list."],
        ),
        (
            (
                "entities: {A: {fields: {x: {type: int, renamed_from: z},"
                " y: {type: int, renamed_from: z}}}}"
            ),
            ["`y` and `x` were both renamed from `z`"],
        ),
        (
            "entities: {A: {fields: {x: int}, ensures: [" + "x > 1, " * 201 + "]}}",
            ["There are 201 clauses here; 200 are allowed."],
        ),
        (
            "entities: {A: {fields: {x: {enum: ["
            + ",".join(f"a{n}" for n in range(1001))
            + "]}}}}",
            ["Field `x` has 1001 values; 1000 are allowed."],
        ),
        (
            "entities: {A: {fields: {x: {enum: [a], values: [b]}}}}",
            ["Field `x` has both `enum` and `values`."],
        ),
    ],
)
def test_a_wrong_element_is_answered(body: str, expected: list[str]) -> None:
    """Everything wrong is listed, in the order of the file."""
    found = [problem.message for problem in problems(body)]
    assert len(found) == len(expected)
    for message, part in zip(found, expected, strict=True):
        assert part in message


@pytest.mark.parametrize(
    ("version", "hint"),
    [("2.1", "`version: v2.1`"), ("v2.x", "such as `v2.1`"), ("null", ""), ("'1'", "v")],
)
def test_a_wrong_version_is_answered(version: str, hint: str) -> None:
    """The hint shows the version that was likely meant."""
    with pytest.raises(LatticeSchemaError) as caught:
        parse_lattice(f"version: {version}\ngenerated_module: types_v1", file="l.yaml")
    assert hint in (caught.value.problems[0].hint or "")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("../x.py", "is not a path inside of the project"),
        ("/src/x.py", "is not a path inside of the project"),
        ("src/../../x.py", "is not a path inside of the project"),
        ("C:/src/x.py", "is not a path inside of the project"),
        ("src\\x.py", "contains a backslash"),
        ("src//x.py", "is not a path inside of the project"),
        ("src/x.txt", "is not a Python file"),
        ("lib/x.py", "lies outside of `source_root`, which is `src`"),
        ("src/a-b.py", "`a-b` of `src/a-b.py` cannot be imported"),
        ("src/class/x.py", "`class` of"),
        ("src/__init__.py", "cannot be imported"),
        ("src/shared/types_v1.py", "is a generated file"),
        ("src/shared/types_v1_interfaces.py", "is a generated file"),
    ],
)
def test_a_file_must_be_an_importable_place_in_the_project(file: str, message: str) -> None:
    """What an implementation is written to lies inside of the source folder, and only there."""
    body = f"interfaces: {{IShop: {{file: '{file}', methods: {{m: {{}}}}}}}}"
    (problem,) = problems(body)
    assert message in problem.message
    assert problem.hint


@pytest.mark.parametrize(
    ("interfaces", "message"),
    [
        ("{IA: {methods: {m: {}}}}", "Interface `IA` has no `file`"),
        ("{IA: {file: src/a.py}}", "Interface `IA` has no methods"),
        (
            "{IA: {file: src/a.py, depends_on: [IB], methods: {m: {}}}}",
            "depends on `IB`, which is not an interface",
        ),
        (
            (
                "{IA: {file: src/a.py, depends_on: [IB], methods: {m: {}}},"
                " IB: {file: src/b.py, depends_on: [IC], methods: {m: {}}},"
                " IC: {file: src/c.py, depends_on: [IB], methods: {m: {}}}}"
            ),
            "`depends_on` runs in a circle: IB -> IC -> IB",
        ),
        (
            "{IA: {file: src/a.py, depends_on: [IA], methods: {m: {}}}}",
            "`depends_on` runs in a circle: IA -> IA",
        ),
        (
            (
                "{IShop: {file: src/a.py, methods: {m: {}}}, ShopImpl: {file: src/b.py, methods:"
                " {m: {}}}, Shop: {file: src/a.py, methods: {m: {}}}, IShopImpl: {file: src/a.py,"
                " methods: {m: {}}}}"
            ),
            "are both implemented by class `ShopImpl` in `src/a.py`",
        ),
        ("{Order: {file: src/a.py, methods: {m: {}}}}", "is the name of an entity or enum already"),
        ("{IOrder: {file: src/a.py, methods: {m: {}}}}", "`Order` of interface `IOrder`"),
        ("{IA: {file: src/a.py, scaffold: repo, methods: {m: {}}}}", "`repo` is not a scaffold"),
    ],
)
def test_a_wrong_interface_is_answered(interfaces: str, message: str) -> None:
    """Places, dependencies and class names are checked across interfaces."""
    (problem,) = problems(f"entities: {{Order: {{fields: {{x: int}}}}}}\ninterfaces: {interfaces}")
    assert message in problem.message


@pytest.mark.parametrize(
    ("declaration", "message", "hint"),
    [
        ("{returns: decimall}", "`decimall` is neither", "`decimal`"),
        ("{params: {class: int}}", "`class` is a Python keyword", "class_"),
        ("{params: {result: int}}", "`result` has a meaning of its own", "result_"),
        ("{raises: {ValueEror: 'True'}}", "`ValueEror` is not a built-in", "`ValueError`"),
        ("{raises: {KeyboardInterrupt: 'True'}}", "is not a built-in exception", ""),
        ("{raises: ValueError}", "`raises` must be a mapping from exception", "{ValueError"),
        ("{params: 'a int'}", "`a int` is not a parameter of its own", "params: {order"),
        ("{params: 'a: int, a: str'}", "`a: str` is not a parameter of its own", ""),
        ("{params: 'a: itn'}", "`itn` is neither", "`int`"),
        ("[a]", "Method `m` must be a mapping, this is a list", "`params`"),
        ("{examples: {}}", "`examples` must be a list", "args"),
        ("{examples: [a]}", "An example must be a mapping", "`args`"),
        ("{examples: [{args: {}, returns: 1}]}", "The method returns nothing", "out"),
        (
            (
                "{returns: int, raises: {OSError: 'False'}, examples:"
                " [{args: {}, returns: 1, raises: OSError}]}"
            ),
            "An example has both `returns` and `raises`",
            "Keep",
        ),
        ("{returns: int, examples: [{args: {}, returns: x}]}", "The result must be int", ""),
        ("{require: ['True']}", "Method `m` has no key `require`", "`requires`"),
        ("{returns: int, examples: [{args: {}}]}", "An example has no outcome", "`returns`"),
        (
            "{params: {a: int}, examples: [{args: {}}]}",
            "An example gives no value for `a`",
            "every parameter",
        ),
        (
            "{params: {aa: int}, examples: [{args: {ab: 1, aa: 2}}]}",
            "There is no parameter `ab`",
            "`aa`",
        ),
        (
            "{params: {a: {type: int, gt: 0}}, examples: [{args: {a: 0}}]}",
            "Argument `a` must be greater than 0",
            "",
        ),
        (
            "{params: {o: Order}, examples: [{args: {o: {note: x}}}]}",
            "Argument `o` has no `total`, which Order needs",
            "",
        ),
        (
            "{params: {o: Order}, examples: [{args: {o: {total: 1, noet: x}}}]}",
            "Order has no field `noet`",
            "`note`",
        ),
        (
            "{params: {a: int}, requires: ['a > 5'], examples: [{args: {a: 1}}]}",
            "This example does not satisfy `a > 5`",
            "Mend",
        ),
        (
            (
                "{params: {a: int}, returns: int, ensures: ['result == a'],"
                " examples: [{args: {a: 1}, returns: 2}]}"
            ),
            "This example does not satisfy `result == a`",
            "Mend",
        ),
        (
            (
                "{params: {a: int}, returns: int, raises: {ValueError: 'a > 1'},"
                " examples: [{args: {a: 2}, returns: 2}]}"
            ),
            "This example returns, but meets `a > 1`",
            "",
        ),
        (
            (
                "{params: {a: int}, raises: {ValueError: 'a > 1'},"
                " examples: [{args: {a: 1}, raises: ValueError}]}"
            ),
            "This example raises, but does not meet `a > 1`",
            "",
        ),
        (
            "{raises: {ValueError: 'True'}, examples: [{args: {}, raises: KeyError}]}",
            "does not declare that it raises `KeyError`",
            "`ValueError`",
        ),
    ],
)
def test_a_wrong_method_is_answered(declaration: str, message: str, hint: str) -> None:
    """Parameters, errors and examples are held against each other."""
    problem = method_problem(declaration)
    assert message in problem.message
    assert hint in (problem.hint or "")


def test_an_example_of_a_changing_method_is_not_judged_by_values_after_the_call() -> None:
    """What the method does to the order is not known from the arguments of the example."""
    method = method_of(
        "{params: {o: Order}, ensures: ['o.total == old(o.total) + 1'],"
        " examples: [{args: {o: {total: 1}}}]}"
    )
    assert method.examples[0].args == {"o": {"total": Decimal(1), "note": None}}


def test_an_example_must_satisfy_the_invariants_of_its_entities() -> None:
    """Values that could not be built are not examples."""
    (problem,) = problems(
        "entities: {A: {fields: {x: int}, ensures: ['x > 3']}}\n"
        "interfaces: {IB: {file: src/b.py, methods: {m: {params: {a: 'list[A]'},"
        " examples: [{args: {a: [{x: 4}, {x: 3}]}}]}}}}"
    )
    assert "This example does not satisfy `x > 3`" in problem.message


def test_enum_classes_are_named_after_their_owner() -> None:
    """Fields, parameters and results each give their enum a name of its own."""
    method = (
        load(
            "interfaces: {IShop: {file: src/s.py, methods: {place_order: "
            "{params: {side: {enum: [buy, sell]}}, returns: {enum: [ok, full]}}}}}"
        )
        .interfaces["IShop"]
        .methods["place_order"]
    )
    assert method.params["side"].type == EnumType("PlaceOrderSide", ("buy", "sell"))
    assert method.returns.type == EnumType("PlaceOrderResult", ("ok", "full"))


@pytest.mark.parametrize(
    ("clause", "source"),
    [
        ("{field: x, constraint: gte, value: 0.5}", "x >= 0.5"),
        ("{field: x, constraint: lt, value: 1e3}", "x < 1000"),
        ("{field: y, constraint: le, value: 3}", "y is None or y <= 3"),
        ("{field: y, constraint: ne, value: 3}", "y != 3"),
        ("{field: n, constraint: eq, value: it's}", 'n == "it\'s"'),
        ("{field: n, constraint: in, value: [a, b]}", "n in ['a', 'b']"),
        ("{field: n, constraint: not_in, value: [a]}", "n not in ['a']"),
        ("{field: n, constraint: min_length, value: 2}", "len(n) >= 2"),
        ("{field: d, constraint: gt, value: 2024-01-01}", "d > '2024-01-01'"),
        ("{field: o.id, constraint: gt, value: 0}", "o.id > 0"),
        ("{name: cap, condition: x > 0}", "x > 0"),
        ("{name: cap, expr: x > 0}", "x > 0"),
    ],
)
def test_a_clause_object_is_an_expression(clause: str, source: str) -> None:
    """Clause objects and plain expressions are one language."""
    lattice = load(
        "entities: {O: {fields: {id: int}}, A: {fields: {x: decimal, y: int | null, n: str,"
        f" d: date, o: O}}, ensures: [{clause}]}}}}"
    )
    assert lattice.entities["A"].ensures[0].expression.source == source


@pytest.mark.parametrize(
    ("clause", "column", "message"),
    [
        ("{field: xx, constraint: gt, value: 1}", 8, "`xx` is not known here"),
        ("{field: x, constraint: gtt, value: 1}", 23, "`gtt` is not a constraint of a clause"),
        ("{field: x, constraint: pattern, value: a}", 23, "`pattern` is not a constraint"),
        ("{field: x, constraint: gt, value: a}", 34, "have no order"),
        ("{field: x, constraint: gt, value: {a: b}}", 34, "must be a value or a list"),
        ("{field: x, constraint: gt}", 0, "needs either `condition`, or `field`"),
        ("{condition: x > 0, field: x}", 0, "needs either `condition`, or `field`"),
        ("{conditon: x > 0}", 1, "A clause has no key `conditon`"),
        ("[x > 0]", 0, "A clause must be a mapping, this is a list"),
    ],
)
def test_a_wrong_clause_object_is_answered(clause: str, column: int, message: str) -> None:
    """The place is that of the part that is wrong."""
    first = problems(f"entities:\n  A:\n    fields: {{x: int}}\n    ensures:\n      - {clause}")
    assert any(message in one.message for one in first)
    (place,) = {one.location.column for one in first if message in one.message}
    assert place == 9 + column


@pytest.mark.parametrize(
    ("scalar", "column"),
    [
        ("nope > 1", 9),
        ("x > 1 and nope > 1", 19),
        ('"x > 1 and nope > 1"', 20),
        ("'x > 1 and nope > 1'", 20),
        ("'n == ''a'' and nope > 1'", 25),
        (r'"n == \"a\" and nope > 1"', 25),
        (r'"n == \x22a\u0022 and nope > 1"', 31),
        ('"  nope > 1"', 12),
        (">-\n        x > 1 and\n        nope > 1", 9),
        ("|\n        x > 1 and\n        nope > 1", 9),
        ("x > 1 and\n        nope > 1", 9),
    ],
)
def test_a_fault_in_a_clause_is_located_inside_of_its_scalar(scalar: str, column: int) -> None:
    """Quotes and escapes are counted; a clause over several lines is located at its start."""
    with pytest.raises(ExpressionError) as caught:
        load(f"entities:\n  A:\n    fields: {{x: int, n: str}}\n    ensures:\n      - {scalar}\n")
    (problem,) = caught.value.problems
    assert (problem.location.line, problem.location.column) == (7, column)


def test_schema_and_clause_problems_come_together() -> None:
    """One run names everything, in the order of the file."""
    with pytest.raises(LatticeSchemaError) as caught:
        load(
            "entities:\n  A:\n    fields: {x: {type: int, gte: 1}}\n    ensures: [y > 1, x > 'a']\n"
            "interfaces:\n  IB: {file: src/a.txt, methods: {m: {ensures: ['result > 1']}}}"
        )
    lines = [problem.location.line for problem in caught.value.problems]
    assert lines == [5, 6, 6, 8, 8]


def test_a_broken_type_does_not_blame_clauses() -> None:
    """Clauses over a field whose type is unknown are not judged until the type is mended."""
    found = problems("entities: {A: {fields: {x: itn}, ensures: [x > 1, y > 1]}}")
    assert [re.sub(r"\.$", "", one.message) for one in found] == [
        "`itn` is neither a type nor an entity of this lattice"
    ]


@pytest.mark.parametrize(
    ("text", "modern"),
    [
        ("version: v2\ngenerated_module: t", "Write `version: v2.0`."),
        (HEAD + "forbidden_imports: [requests]", "Write `config: {forbidden_imports: [...]}`."),
        (HEAD + "file_structure_lock: {src: true}", "Remove it"),
        (HEAD + "entities: {A: {fields: {x: {type: enum, values: [a]}}}}", "{enum: [first"),
        (HEAD + "entities: {A: {fields: {x: list}}}", "Write `list[json]`"),
        (HEAD + "entities: {A: {fields: {x: dict}}}", "Write `dict[str, json]`"),
        (
            HEAD + "interfaces: {IA: {file_structure_lock: src/a.py, methods: {m: {}}}}",
            "Write `file: src/services/order_service.py`.",
        ),
        (
            HEAD + "interfaces: {IA: {file: src/a.py, methods: {m: {params: 'a: list[int], b:"
            " dict[str, int] | null'}}}}",
            "Write `params: {a: list[int], b: dict[str, int] | null}`.",
        ),
    ],
)
def test_an_older_spelling_loads_with_a_warning(text: str, modern: str) -> None:
    """Lattices of earlier drafts keep working and say how to write them today."""
    lattice = parse_lattice(text, file="l.yaml")
    (warning,) = lattice.warnings
    assert modern in (warning.hint or "")


def test_older_spellings_mean_what_the_modern_ones_mean() -> None:
    """The values are the same whichever way they were written."""
    lattice = parse_lattice(
        "version: v2\ngenerated_module: t\nforbidden_imports: [a.b]\n"
        "config: {forbidden_imports: [c, a.b]}\n"
        "entities: {A: {fields: {x: {type: enum, values: [a, b]}, y: list}}}\n"
        "interfaces: {IB: {file: src/a.py, methods: {m: {params: 'a: A, b: dict[str, int]'}}}}",
        file="l.yaml",
    )
    assert lattice.version == "v2.0"
    assert lattice.config.forbidden_imports == ("a.b", "c")
    assert lattice.entities["A"].fields["x"].type == EnumType("AX", ("a", "b"))
    assert lattice.entities["A"].fields["y"].type == ListType(JSON)
    params = lattice.interfaces["IB"].methods["m"].params
    assert [(name, param.type) for name, param in params.items()] == [
        ("a", EntityType("A")),
        ("b", DictType(INT)),
    ]
    assert len(lattice.warnings) == 5
