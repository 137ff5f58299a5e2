"""Entities with `persistence: table` as SQLModel tables.

What a database checks is decided here, as text; nothing of SQLAlchemy is imported. Every condition
has one meaning in Python, PostgreSQL and SQLite, or compiling fails at the place it was written.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.core import python_types
from lattice_lock.core.emitters._field_checks import stored_type
from lattice_lock.core.emitters._sql_text import microseconds
from lattice_lock.core.emitters._table_checks import (
    LONGEST_NAME,
    server_default,
    table_checks,
    table_name,
)
from lattice_lock.core.emitters.pydantic_types import CLASS_HOMES
from lattice_lock.core.emitters.python_text import (
    LINE_LENGTH,
    Imports,
    docstring,
    header,
    quoted,
)
from lattice_lock.core.type_refs import (
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
    entities_in,
)
from lattice_lock.exceptions import Problem, UnsupportedByTargetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lattice_lock.core.schema import Constraints, Entity, Field, Lattice
    from lattice_lock.core.type_refs import TypeRef

__all__ = [
    "DECIMAL_FUNCTIONS",
    "emit_tables",
    "row_class",
    "stored_entities",
    "table_name",
    "tables_module",
    "with_storage_limits",
]

_LARGEST_INTEGER = 2**63 - 1

# Attributes of every table class; a column of that name would hide or break them.
_TAKEN = frozenset({"BaseModel", "ClassVar", "TypeAdapter", "metadata", "registry", "to_entity"})
_TAKEN_PREFIXES = ("sqlmodel_", "model_")

_COLUMN_TYPES = {
    ScalarName.STR: "_sa.Text()",
    ScalarName.INT: "_sa.BigInteger()",
    ScalarName.DECIMAL: "_Exact()",
    ScalarName.FLOAT: "_sa.Double()",
    ScalarName.BOOL: "_sa.Boolean()",
    ScalarName.UUID: "_sa.Uuid()",
    ScalarName.DATE: "_sa.Date()",
    ScalarName.DATETIME: "_Instant()",
    ScalarName.TIMEDELTA: "_Duration()",
    ScalarName.BYTES: "_sa.LargeBinary()",
}


def tables_module(lattice: Lattice) -> str:
    """Dotted name of the generated module with the tables."""
    return f"{python_types.SHARED_PACKAGE}.{lattice.generated_module}_tables"


def row_class(entity: str) -> str:
    """Name of the class whose objects are rows of an entity's table."""
    return f"{entity}Row"


def stored_entities(lattice: Lattice) -> tuple[Entity, ...]:
    """The entities that have a table, in the order of the lattice."""
    return tuple(one for one in lattice.entities.values() if one.persistence == "table")


def with_storage_limits(lattice: Lattice) -> Lattice:
    """The lattice, with whole numbers and durations of tables held to the 64 bits of a column.

    The types are emitted from this too, so that no value is valid there that no row can hold.
    """
    entities = dict(lattice.entities)
    for entity in stored_entities(lattice):
        limited = {
            name: replace(one, constraints=_limited(one)) for name, one in entity.fields.items()
        }
        entities[entity.name] = replace(entity, fields=limited)
    return replace(lattice, entities=entities)


def _limited(field: Field) -> Constraints:
    limits = field.constraints
    kind = stored_type(field)
    largest: Decimal | timedelta
    if kind == ScalarType(ScalarName.INT):
        largest = Decimal(_LARGEST_INTEGER)
    elif kind == ScalarType(ScalarName.TIMEDELTA):
        largest = timedelta(microseconds=_LARGEST_INTEGER)
    else:
        return limits
    if limits.gt is None and limits.ge is None:
        limits = replace(limits, ge=-largest)
    if limits.lt is None and limits.le is None:
        limits = replace(limits, le=largest)
    return limits


def emit_tables(lattice: Lattice) -> str | None:
    """Text of the generated tables module; None where no entity has a table.

    Args:
        lattice: as `with_storage_limits` returns it.

    Raises:
        UnsupportedByTargetError: a database cannot hold or check what the lattice says.
    """
    entities = stored_entities(lattice)
    if not entities:
        return None
    problems = list(_name_problems(entities, lattice))
    imports = Imports(home=tables_module(lattice))
    rows = [_row(entity, lattice, imports, problems) for entity in entities]
    if problems:
        raise UnsupportedByTargetError(problems)
    body = "".join(f"\n\n{one}" for one in rows)
    support = [text for mark, text in _SUPPORT if any(word in body for word in mark)]
    prepare = (
        _PREPARE_EXACT + DECIMAL_FUNCTIONS if "_Exact(" in body or "decimal_" in body else _PREPARE
    )
    body = "\n\n".join([_METADATA, prepare, _MEMORY, *support]) + body
    imports.add([("typing", "Any"), ("typing", "ClassVar"), ("typing", "Self")])
    for name in ("Decimal", "Fraction", "UUID", "StrEnum"):
        imports.add([(_HOMES[name], name)])
    imports.add([("decimal", "MAX_PREC"), ("decimal", "localcontext")])
    imports.add([("datetime", "UTC"), ("datetime", "datetime"), ("datetime", "timedelta")])
    imports.add(
        [("pydantic", "BaseModel"), ("pydantic", "ConfigDict"), ("pydantic", "TypeAdapter")]
    )
    imports.add([("sqlalchemy.orm", "registry")])
    imports.add(
        [("sqlmodel", "Field as _Field"), ("sqlmodel", "SQLModel"), ("sqlmodel", "Session")]
    )
    imports.add([(python_types.SHARED_PACKAGE, f"{lattice.generated_module} as _types")])
    imports.add_module("json")
    imports.add_module("sqlalchemy as _sa")
    exported = sorted((*(row_class(one.name) for one in entities), *_EXPORTED), key=str.lower)
    names = "".join(f'    "{name}",\n' for name in exported)
    text = header(lattice, f"Tables of the lattice, as of {lattice.version}.")
    return f"{text}\n{imports.render(body)}\n\n__all__ = [\n{names}]\n\n{body}"


_EXPORTED = ("memory_session", "metadata", "prepare_engine")
_HOMES = {"Decimal": "decimal", "Fraction": "fractions", "StrEnum": "enum", "UUID": "uuid"}


# What cannot be stored ---------------------------------------------------------------------------


def _name_problems(entities: Iterable[Entity], lattice: Lattice) -> Iterator[Problem]:
    tables: dict[str, Entity] = {}
    for entity in entities:
        other = tables.setdefault(table_name(entity.name), entity)
        if other is not entity:
            message = (
                f"`{entity.name}` and `{other.name}` share the table `{table_name(other.name)}`."
            )
            yield Problem(location=entity.location, message=message, hint="Rename one of them.")
        if row_class(entity.name) in lattice.entities:
            yield Problem(
                location=lattice.entities[row_class(entity.name)].location,
                message=f"rows of `{entity.name}` are of a class `{row_class(entity.name)}` too.",
                hint="Rename it.",
            )
        if len(table_name(entity.name)) > LONGEST_NAME:
            yield _too_long(entity)
        columns: dict[str, Field] = {}
        for field in entity.fields.values():
            yield from _column_name_problems(field)
            first = columns.setdefault(field.name.lower(), field)
            if first is not field:
                yield Problem(
                    location=field.location,
                    message=f"`{field.name}` and `{first.name}` are one column to SQLite.",
                    hint="Rename one of them.",
                )


def _column_name_problems(field: Field) -> Iterator[Problem]:
    if field.name in _TAKEN or field.name.startswith(_TAKEN_PREFIXES):
        yield Problem(
            location=field.location,
            message=f"`{field.name}` is an attribute of every table class and names no column.",
            hint=f"Write `{field.name}_` or a more telling name.",
        )
    if len(field.name) > LONGEST_NAME:
        yield _too_long(field)


def _too_long(named: Entity | Field) -> Problem:
    return Problem(
        location=named.location,
        message=f"`{named.name}` makes a name of more than {LONGEST_NAME} bytes in the database.",
        hint="Shorten it.",
    )


def _field_problems(field: Field, lattice: Lattice) -> Iterator[Problem]:
    for name in dict.fromkeys(entities_in(field.type)):
        yield Problem(
            location=field.location,
            message=f"`{field.name}` holds `{name}`; a column holds no entity, because a database"
            " could not check what it says.",
            hint=f"Give `{name}` a table and refer to its key: `references: {name}.<key>`.",
        )
    reference = field.references
    if reference is not None and lattice.entities[reference.entity].persistence != "table":
        yield Problem(
            location=field.location,
            message=f"`{field.name}` refers to `{reference.entity}`, which has no table.",
            hint=f"Add `persistence: table` to `{reference.entity}`.",
        )
    if _is_integer(stored_type(field)):
        limits = field.constraints
        for name in ("gt", "ge", "lt", "le", "multiple_of"):
            limit = getattr(limits, name)
            size = microseconds(limit) if isinstance(limit, timedelta) else limit
            if size is not None and not -_LARGEST_INTEGER <= size <= _LARGEST_INTEGER:
                yield Problem(
                    location=field.location,
                    message=f"`{name}` of `{field.name}` lies beyond the 64 bits of its column.",
                    hint="Write a smaller limit, or make it a decimal with `scale: 0`.",
                )


def _is_integer(kind: TypeRef) -> bool:
    return kind in (ScalarType(ScalarName.INT), ScalarType(ScalarName.TIMEDELTA))


# One table ---------------------------------------------------------------------------------------


def _row(entity: Entity, lattice: Lattice, imports: Imports, problems: list[Problem]) -> str:
    name = row_class(entity.name)
    head = f"class {name}(_Row, table=True):\n"
    head += docstring(f"A row of `{table_name(entity.name)}`.", indent="    ")
    head += f"\n    __tablename__ = {quoted(table_name(entity.name))}\n"
    constraints = "".join(_constraints(entity, problems))
    if constraints:
        head += f"    __table_args__ = (\n{constraints}    )\n"
    head += f"\n    _entity: ClassVar[type[BaseModel]] = _types.{entity.name}\n\n"
    for field in entity.fields.values():
        problems.extend(_field_problems(field, lattice))
        head += _column(field, entity, imports)
    return (
        f"{head}\n    def to_entity(self) -> _types.{entity.name}:\n"
        '        """The row as a value of its type, checked anew."""\n'
        f"        return _types.{entity.name}.model_validate(self._values())\n"
    )


def _constraints(entity: Entity, problems: list[Problem]) -> Iterator[str]:
    """One text for each condition, or one for each database where the condition differs."""
    for name, check in table_checks(entity, problems):
        if check.postgresql == check.sqlite:
            yield f"        _check({quoted(name)}, {quoted(check.sqlite)}),\n"
            continue
        for dialect in ("postgresql", "sqlite"):
            text = getattr(check, dialect)
            if text:
                yield _call("_check", [quoted(name), quoted(text), quoted(dialect)], indent=8)


def _call(function: str, arguments: list[str], *, indent: int) -> str:
    space = " " * indent
    line = f"{space}{function}({', '.join(arguments)}),\n"
    if len(line) <= LINE_LENGTH:
        return line
    inner = "".join(f"{space}    {one},\n" for one in arguments)
    return f"{space}{function}(\n{inner}{space}),\n"


def _column(field: Field, entity: Entity, imports: Imports) -> str:
    annotation, column_type = (
        _unhidden(text, entity, imports) for text in (_qualified(field.type), _column_type(field))
    )
    imports.add(
        (module, name)
        for module, name in python_types.imports(field.type, generated_module="")
        if not module.startswith(python_types.SHARED_PACKAGE)
    )
    arguments = [quoted(field.name), column_type]
    if field.references is not None:
        target = f"{table_name(field.references.entity)}.{field.references.field}"
        arguments.append(f"_sa.ForeignKey({quoted(target)})")
    if field.primary_key:
        arguments += ["primary_key=True", "autoincrement=False"]
    nullable = isinstance(field.type, OptionalType)
    arguments.append(f"nullable={nullable}")
    arguments += [f"{key}=True" for key in ("unique", "index") if getattr(field, key)]
    default = server_default(field)
    if default is not None:
        arguments.append(f"server_default=_sa.literal_column({quoted(default)})")
    start = f"    {field.name}: {annotation} = _Field("
    line = f"{start}sa_column=_sa.Column({', '.join(arguments)}))\n"
    if len(line) <= LINE_LENGTH:
        return line
    inner = "".join(f"            {one},\n" for one in arguments)
    return f"{start}\n        sa_column=_sa.Column(\n{inner}        )\n    )\n"


def _column_type(field: Field) -> str:
    kind = stored_type(field)
    match kind:
        case EnumType(name, _):
            return f"_Choice(_types.{name})"
        case ScalarType(name) if name in _COLUMN_TYPES:
            return _COLUMN_TYPES[name]
        case _:
            nullable = isinstance(field.type, OptionalType)
            return f"_Json(TypeAdapter({_qualified(kind)}, config=_JSON), nullable={nullable})"


def _qualified(kind: TypeRef) -> str:
    """The annotation, with what the types module defines by its place there."""
    match kind:
        case EnumType() | EntityType():
            return f"_types.{kind.name}"
        case ListType(item):
            return f"list[{_qualified(item)}]"
        case DictType(value):
            return f"dict[str, {_qualified(value)}]"
        case OptionalType(inner):
            return f"{_qualified(inner)} | None"
        case ScalarType():
            return python_types.annotation(kind)


def _unhidden(text: str, entity: Entity, imports: Imports) -> str:
    """The text, with other names for classes that fields of those names would hide."""
    for name in sorted(set(entity.fields) & CLASS_HOMES.keys()):
        changed = re.sub(rf"(?<![\w.]){name}\b(?!=)", f"_{name}", text)
        if changed != text:
            imports.add([(CLASS_HOMES[name], f"{name} as _{name}")])
        text = changed
    return text


# Support code of the generated module ------------------------------------------------------------

_METADATA = '''metadata = _sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of this version; earlier versions have their own."""


class _Row(SQLModel, registry=registry(metadata=metadata)):
    """A row, which is checked where it is made as its type is."""

    _entity: ClassVar[type[BaseModel]]

    def __init__(self, **values: Any) -> None:
        super().__init__(**dict(self._entity(**values)))

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """A row of what the type makes of `obj`, which may be a value of the type."""
        return cls(**dict(cls._entity.model_validate(obj, **options)))

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._entity.model_fields}


def _check(name: str, condition: str, dialect: str | None = None) -> _sa.CheckConstraint:
    constraint = _sa.CheckConstraint(_sa.literal_column(condition), name=name)
    if dialect is not None:
        constraint.ddl_if(dialect=dialect)
    return constraint
'''

_PREPARE = '''def prepare_engine(engine: _sa.Engine) -> _sa.Engine:
    """The engine, whose SQLite connections keep foreign keys; call it before the first use.

    Other databases need nothing.
    """
    if engine.dialect.name == "sqlite":
        _sa.event.listen(engine, "connect", _prepare_connection)
    return engine


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
'''

_PREPARE_EXACT = '''def prepare_engine(engine: _sa.Engine) -> _sa.Engine:
    """The engine, whose SQLite connections keep foreign keys and compare decimals exactly.

    Call it before the first use. Other databases need nothing.
    """
    if engine.dialect.name == "sqlite":
        _sa.event.listen(engine, "connect", _prepare_connection)
    return engine


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.create_collation("decimal", _compare)
    for function in (decimal_add, decimal_sub, decimal_mul, decimal_cmp, is_multiple):
        connection.create_function(function.__name__, 2, function, deterministic=True)


'''

DECIMAL_FUNCTIONS = '''def _compare(left: str, right: str) -> int:
    first, second = Decimal(left), Decimal(right)
    return (first > second) - (first < second)


def decimal_cmp(left: str | int | None, right: str | int | None) -> int | None:
    """-1, 0 or 1 as the left number is below, at or above the right one."""
    return None if left is None or right is None else _compare(str(left), str(right))


def decimal_add(left: str | int | None, right: str | int | None) -> str | None:
    """The exact sum."""
    if left is None or right is None:
        return None
    with localcontext(prec=MAX_PREC):
        return format(Decimal(left) + Decimal(right), "f")


def decimal_sub(left: str | int | None, right: str | int | None) -> str | None:
    """The exact difference."""
    if left is None or right is None:
        return None
    with localcontext(prec=MAX_PREC):
        return format(Decimal(left) - Decimal(right), "f")


def decimal_mul(left: str | int | None, right: str | int | None) -> str | None:
    """The exact product."""
    if left is None or right is None:
        return None
    with localcontext(prec=MAX_PREC):
        return format(Decimal(left) * Decimal(right), "f")


def is_multiple(value: str | int | None, step: str) -> bool | None:
    """Whether a number is a multiple of another, exactly."""
    return None if value is None else Fraction(value) % Fraction(step) == 0
'''
"""Python of what SQLite does not know of decimals."""

_MEMORY = '''def memory_session() -> Session:
    """A session on an empty SQLite database in memory, which keeps no foreign keys.

    Whoever keeps the rows of one table can so be judged without those of the others.
    """
    engine = _sa.create_engine(
        "sqlite://", poolclass=_sa.StaticPool, connect_args={"check_same_thread": False}
    )
    with prepare_engine(engine).connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    metadata.create_all(engine)
    return Session(engine)
'''

_EXACT = '''class _Exact(_sa.TypeDecorator[Decimal]):
    """A decimal of any size: NUMERIC, or text that SQLite compares as the number it is."""

    impl = _sa.Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: _sa.Dialect) -> _sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(_sa.Text(collation="decimal"))
        return dialect.type_descriptor(_sa.Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: _sa.Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return format(Decimal(value), "f")

    def process_result_value(self, value: Any, dialect: _sa.Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)
'''

_INSTANT = '''class _Instant(_sa.TypeDecorator[datetime]):
    """A moment: with its time zone, or in SQLite as the text of its UTC time."""

    impl = _sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: _sa.Dialect) -> _sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(_sa.DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: _sa.Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: _sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
'''

_DURATION = '''class _Duration(_sa.TypeDecorator[timedelta]):
    """A duration as a whole number of microseconds, which every database orders alike."""

    impl = _sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: _sa.Dialect) -> int | None:
        return None if value is None else value // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: _sa.Dialect) -> timedelta | None:
        return None if value is None else timedelta(microseconds=value)
'''

_CHOICE = '''class _Choice(_sa.TypeDecorator[StrEnum]):
    """One of the values of an enum, as text."""

    impl = _sa.Text
    cache_ok = True

    def __init__(self, choices: type[StrEnum]) -> None:
        super().__init__()
        self.choices = choices

    def process_bind_param(self, value: str | None, dialect: _sa.Dialect) -> str | None:
        return None if value is None else self.choices(value).value

    def process_result_value(self, value: Any, dialect: _sa.Dialect) -> StrEnum | None:
        return None if value is None else self.choices(value)
'''

_JSON = '''_JSON = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class _Json(_sa.TypeDecorator[Any]):
    """A list, a dict or any JSON value, kept as the text that it was: JSON, or TEXT in SQLite."""

    impl = _sa.JSON
    cache_ok = True

    def __init__(self, adapter: TypeAdapter[Any], *, nullable: bool) -> None:
        super().__init__()
        self.adapter = adapter
        self.nullable = nullable

    def load_dialect_impl(self, dialect: _sa.Dialect) -> _sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(_sa.JSON(none_as_null=self.nullable))
        return dialect.type_descriptor(_sa.Text())

    def process_bind_param(self, value: Any, dialect: _sa.Dialect) -> Any:
        if value is None and self.nullable:
            return None  # elsewhere it is the JSON value null
        plain = self.adapter.dump_python(value, mode="json")
        return plain if dialect.name == "postgresql" else json.dumps(plain)

    def process_result_value(self, value: Any, dialect: _sa.Dialect) -> Any:
        if value is None and self.nullable:
            return None
        text = json.dumps(value) if dialect.name == "postgresql" else value
        return self.adapter.validate_json(text)
'''

_SUPPORT = (
    (("_Exact(",), _EXACT),
    (("_Instant(",), _INSTANT),
    (("_Duration(",), _DURATION),
    (("_Choice(",), _CHOICE),
    (("_Json(",), _JSON),
)
