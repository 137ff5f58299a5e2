"""`lattice.lock`: what the lattice said, what was generated from it, whose bodies were accepted.

The file is JSON with sorted keys, so that the same project gives the same bytes everywhere and a
change reads well in a diff. Lattice elements are kept as short texts, not as digests: the lock
can then say which clause changed, from what to what.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Literal

from lattice_lock.core.table_structure import parse_tables, plain_tables
from lattice_lock.exceptions import LockfileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.table_structure import Table

__all__ = [
    "Acceptance",
    "LockFile",
    "MigrationRecord",
    "dump_lock",
    "parse_lock",
    "text_digest",
]

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A method body that passed Sheriff and Gauntlet, and where it came from.

    Attributes:
        body_digest: see `bodies.body_digest`.
        contract_digest: see `elements.contract_digest`; the contract under which it passed.
        author: who wrote it.
        model: model id, None for a person's body.
        attempts: candidates tried until this one passed, itself included; 0 for a person's.
        cost_usd: None where the price is unknown.
        seeds: Hypothesis seeds with which it was accepted.
        examples: number of examples that passed under those seeds.
    """

    file: str
    body_digest: str
    contract_digest: str
    author: Literal["model", "person"]
    model: str | None = None
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    seeds: tuple[int, ...] = ()
    examples: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRecord:
    """What the migrations written so far lead to: the next one begins there.

    Attributes:
        folder: of the migrations, relative to the lattice.
    """

    folder: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """Everything that `lattice.lock` records.

    Attributes:
        elements: element path (`entities.Order.fields.price`) to a one-line description.
        generated: path to SHA-256 of the text.
        accepted: `Interface.method` to its acceptance.
        migrations: None where none were ever asked for.
    """

    lattice_digest: str
    elements: Mapping[str, str]
    generated: Mapping[str, str]
    accepted: Mapping[str, Acceptance] = field(default_factory=dict)
    migrations: MigrationRecord | None = None


def text_digest(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def dump_lock(lock: LockFile) -> str:
    """The file's text."""
    document: dict[str, object] = {
        "format": _FORMAT,
        "lattice": {"sha256": lock.lattice_digest, "elements": dict(lock.elements)},
        "generated": dict(lock.generated),
        "accepted": {
            name: {**asdict(one), "cost_usd": None if one.cost_usd is None else str(one.cost_usd)}
            for name, one in lock.accepted.items()
        },
    }
    if lock.migrations is not None:
        document["migrations"] = {
            "folder": lock.migrations.folder,
            "tables": plain_tables(lock.migrations.tables),
        }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def parse_lock(text: str, *, file: str) -> LockFile:
    """Read the file's text.

    Raises:
        LockfileError: the text is not a lock file of a known format.
    """
    hint = "Restore it from version control, or delete it and run `lattice-lock compile`."
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT:
            raise LockfileError(
                f"`{file}` has format {document['format']!r}; this version reads {_FORMAT}",
                hint="Use the version of Lattice Lock that wrote it.",
            )
        return LockFile(
            lattice_digest=_text(document["lattice"]["sha256"]),
            elements=_texts(document["lattice"]["elements"]),
            generated=_texts(document["generated"]),
            accepted={
                _text(name): _acceptance(record) for name, record in document["accepted"].items()
            },
            migrations=_migrations(document.get("migrations")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LockfileError(f"`{file}` is not a lock file: {error!r}", hint=hint) from error
    except InvalidOperation as error:
        raise LockfileError(f"`{file}` holds a cost that is no number", hint=hint) from error


def _migrations(record: object) -> MigrationRecord | None:
    if record is None:
        return None
    if not isinstance(record, dict):
        raise TypeError("`migrations` is not a mapping")
    return MigrationRecord(folder=_text(record["folder"]), tables=parse_tables(record["tables"]))


def _acceptance(record: dict[str, object]) -> Acceptance:
    values = dict(record)
    cost = values.pop("cost_usd")
    seeds = values.pop("seeds")
    if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
        raise TypeError("`seeds` is not a list of whole numbers")
    for name in ("file", "body_digest", "contract_digest", "author"):
        _text(values[name])
    for name in ("attempts", "input_tokens", "output_tokens", "examples"):
        if not isinstance(values[name], int):
            raise TypeError(f"`{name}` is not a whole number")
    return Acceptance(
        cost_usd=None if cost is None else Decimal(_text(cost)),
        seeds=tuple(seeds),
        **values,  # type: ignore[arg-type]  # checked above; an unknown name is a TypeError
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a mapping, found {value!r}")
    return {_text(name): _text(text) for name, text in value.items()}
