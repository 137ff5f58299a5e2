"""The lattice as typed values: what `loader.load_lattice` returns and everything else reads.

All values are immutable. Mappings keep the order of the file. Every element carries the place
it was written at, so that whoever finds fault with it later can say where.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.expressions import Expression
    from lattice_lock.core.type_refs import TypeRef
    from lattice_lock.exceptions import Problem, SourceLocation
    from lattice_lock.policies.base import Action, Subject

__all__ = [
    "Bound",
    "Clause",
    "Config",
    "Constraints",
    "Default",
    "Entity",
    "Example",
    "Field",
    "Interface",
    "Lattice",
    "Method",
    "ModelAlias",
    "ModelDeclaration",
    "Param",
    "PolicyDeclaration",
    "ProjectModels",
    "Raises",
    "Reference",
    "Returns",
]

Bound: TypeAlias = Decimal | date | datetime | timedelta
"""A limit of an ordered type; numbers are `Decimal` whatever the field's own type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a value must satisfy beyond its type; None means not constrained.

    Length limits count characters of a str, bytes of a bytes, entries of a list or dict. `scale`
    is the largest number of digits after the decimal point, `precision` the largest number of
    digits in all. `pattern` is a regular expression that must match the whole string.
    """

    gt: Bound | None = None
    ge: Bound | None = None
    lt: Bound | None = None
    le: Bound | None = None
    multiple_of: Decimal | None = None
    precision: int | None = None
    scale: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    unique_items: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A field's default: a value of the field's own type (enum values as str), or null."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key."""

    entity: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One condition.

    Attributes:
        path: where it stands in the lattice, as `interfaces.IShop.methods.total.ensures[0]`.
        name: name given by the author, if any; used in messages.
        expression: the checked condition, always of type bool.
    """

    path: str
    expression: Expression
    location: SourceLocation
    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an entity.

    Attributes:
        renamed_from: its name in the version before.
        backfill: what a migration writes into rows that have no value which may stay.
    """

    name: str
    type: TypeRef
    location: SourceLocation
    constraints: Constraints = Constraints()
    default: Default | None = None
    description: str | None = None
    primary_key: bool = False
    unique: bool = False
    index: bool = False
    references: Reference | None = None
    renamed_from: str | None = None
    backfill: Default | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity.

    Attributes:
        renamed_from: its name in the version before.
        transitions: per enum field, the states that may follow each state.
        ensures: invariants; the entity's fields are in scope by their bare names.
    """

    name: str
    fields: Mapping[str, Field]
    location: SourceLocation
    description: str | None = None
    persistence: Literal["none", "table"] = "none"
    renamed_from: str | None = None
    transitions: Mapping[str, Mapping[str, tuple[str, ...]]]
    ensures: tuple[Clause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter of a method."""

    name: str
    type: TypeRef
    location: SourceLocation
    constraints: Constraints = Constraints()
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """What a method returns; `type` is None for a method that returns nothing."""

    type: TypeRef | None
    location: SourceLocation
    constraints: Constraints = Constraints()
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raises:
    """A declared error: raised exactly when the condition holds before the call.

    `exception` names a built-in exception class.
    """

    exception: str
    clause: Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call with its outcome: either `returns` (may hold None) or the name in `raises`.

    Values are plain data as written, scalars already converted to the declared types (Decimal,
    UUID, datetime ...), entities as mappings from field name to value.
    """

    args: Mapping[str, object]
    location: SourceLocation
    returns: object = None
    raises: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method of an interface.

    `requires` sees parameters; `ensures` also `result` and `old(...)`; `raises` parameters.
    """

    name: str
    params: Mapping[str, Param]
    returns: Returns
    location: SourceLocation
    description: str | None = None
    requires: tuple[Clause, ...] = ()
    ensures: tuple[Clause, ...] = ()
    raises: tuple[Raises, ...] = ()
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One service interface.

    Attributes:
        file: path of the implementation, relative to the lattice, with forward slashes.
    """

    name: str
    file: str
    methods: Mapping[str, Method]
    location: SourceLocation
    description: str | None = None
    scaffold: Literal["plain", "repository_pattern"] = "plain"
    depends_on: tuple[str, ...] = ()

    @property
    def class_name(self) -> str:
        """Name of the implementing class: `IShop` gives `Shop`, `Shop` gives `ShopImpl`."""
        if len(self.name) > 1 and self.name[0] == "I" and self.name[1].isupper():
            return self.name[1:]
        return f"{self.name}Impl"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDeclaration:
    """One Gauntlet policy as declared; `parameters` holds plain YAML values.

    Attributes:
        on: where it looks; empty for the policy's own places.
        action: what is done about findings; None for the policy's own action.
        restore: whether answers get back what was taken out of the prompt.
        places: where each key stands.
    """

    use: str
    on: tuple[Subject, ...]
    action: Action | None
    restore: bool
    parameters: Mapping[str, object]
    location: SourceLocation
    places: Mapping[str, SourceLocation] = field(default_factory=dict)

    def place(self, key: str | None) -> SourceLocation:
        """Where `key` stands, or the declaration as a whole."""
        return self.location if key is None else self.places.get(key, self.location)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDeclaration:
    """One model that a project adds, or corrects, with plain YAML values.

    Attributes:
        fields: `provider` and `name`, which are texts, and whatever else was written.
        places: where each value stands, by its path such as `$.prices[0].input`; `$` is the whole.
    """

    fields: Mapping[str, object]
    places: Mapping[str, SourceLocation]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAlias:
    """A project's own name for `model`, which is written `provider/name`."""

    model: str
    location: SourceLocation


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectModels:
    """The models that a project adds to those that are known, and its names for models."""

    models: tuple[ModelDeclaration, ...] = ()
    aliases: Mapping[str, ModelAlias] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Project-wide settings of a lattice.

    Attributes:
        forbidden_imports: module names; the name of a built-in (`float`) bans that built-in in
            annotations and calls.
        max_suppressions: how many rules comments may ignore in all; None for any number.
        documents: what is written for those who do not read Python, see `core.documents`.
        migrations: folder of Alembic migrations, relative to the lattice; None for no migrations.
        source_root: folder of the project's packages, relative to the lattice.
    """

    forbidden_imports: tuple[str, ...] = ()
    max_suppressions: int | None = None
    documents: tuple[Literal["json_schema", "typescript", "markdown"], ...] = ()
    migrations: str | None = None
    orm_engine: Literal["sqlmodel"] = "sqlmodel"
    source_root: str = "src"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """A complete, checked lattice.

    Attributes:
        file: path as given to the loader, used in messages.
        digest: SHA-256 of the file's bytes, hexadecimal.
        version: as written, such as `v2.1`.
        generated_module: module written under `<source_root>/shared/`.
        models: models and aliases for calls; nothing is generated from them.
        warnings: older spellings that were understood, with the modern form.
    """

    file: str
    digest: str
    version: str
    generated_module: str
    config: Config
    entities: Mapping[str, Entity]
    interfaces: Mapping[str, Interface]
    policies: tuple[PolicyDeclaration, ...] = ()
    models: ProjectModels = ProjectModels()
    warnings: tuple[Problem, ...] = ()

    @property
    def policy_files(self) -> tuple[Path, ...]:
        """The Python files that its own policies are made of."""
        folder = Path(self.file).parent
        return tuple(folder / one.use for one in self.policies if one.use.endswith(".py"))
