"""`schema`: an answer has to be JSON that follows a JSON Schema."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from lattice_lock.policies.base import (
    Action,
    Case,
    Context,
    Finding,
    Hold,
    Policy,
    Scan,
    Severity,
    Subject,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.protocols import Validator

__all__ = ["Schema"]

_LONGEST_SHOWN = 4_000
_TEXT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class Schema(Policy, frozen=True, kw_only=True):
    """Refuses answers that are not JSON, or not as the schema says; by default it asks again.

    Attributes:
        schema: a JSON Schema of draft 2020-12, or of the draft that its `$schema` names.
    """

    name: ClassVar[str] = "schema"
    subjects: ClassVar[tuple[Subject, ...]] = (Subject.RESPONSE,)
    defaults: ClassVar[tuple[Subject, ...]] = (Subject.RESPONSE,)
    default_action: ClassVar[Action] = Action.RETRY
    redacts: ClassVar[bool] = False
    holds: ClassVar[Hold] = Hold.ALL
    rules: ClassVar[dict[str, str]] = {
        "no-json": "an answer that is not JSON as a whole",
        "mismatch": "JSON that the schema does not allow",
    }
    limits: ClassVar[tuple[str, ...]] = (
        "JSON inside of other text, such as a code block, is not taken out of it.",
        "References to other documents are not fetched: such a schema is refused.",
    )
    sample: ClassVar[dict[str, object]] = {"schema": _TEXT}
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text='{"n": 1}'),
        Case(text=' {"n": 2, "more": []}\n'),
        Case(text='{"n": "1"}', rules=("mismatch",)),
        Case(text="[]", rules=("mismatch",)),
        Case(text='```json\n{"n": 1}\n```', rules=("no-json",)),
        Case(text="", rules=("no-json",)),
    )

    schema: dict[str, Any]

    def __post_init__(self) -> None:
        _validator(_written(self.schema))

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        if not window.final:
            return Scan((), window.start)
        end = len(window.text)
        if window.start or window.position:
            return Scan((), end)
        written = _written(self.schema)
        try:
            value = json.loads(window.text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return Scan((_finding("no-json", "it is not JSON.", written),), end)
        try:
            error = next(iter(_validator(written).iter_errors(value)), None)
        except RecursionError:
            return Scan((_finding("mismatch", "it is nested too deeply.", written),), end)
        if error is None:
            return Scan((), end)
        message = f"its JSON breaks `{error.validator}` of the schema at `{error.json_path}`."
        return Scan((_finding("mismatch", message, written),), end)


def _finding(rule: str, message: str, schema: str) -> Finding:
    shown = f" {schema}" if len(schema) <= _LONGEST_SHOWN else ""
    return Finding(
        start=0,
        end=0,
        rule=rule,
        message=message,
        severity=Severity.MEDIUM,
        fix=f"Answer with nothing but JSON that follows this JSON Schema:{shown}."
        if shown
        else "Answer with nothing but JSON that follows the JSON Schema.",
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _written(schema: dict[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True, ensure_ascii=False)


@lru_cache(maxsize=32)
def _validator(written: str) -> Validator:
    """What judges by the schema.

    Raises:
        ValueError: it is no JSON Schema, or refers to another document.
    """
    from jsonschema import SchemaError, validators  # noqa: PLC0415  # for this policy only
    from referencing import Registry  # noqa: PLC0415

    schema = json.loads(written)
    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        kind.check_schema(schema)
        made: Validator = kind(schema, registry=Registry())
    except SchemaError as error:
        raise ValueError(f"`schema` is no JSON Schema: {error.message}") from error
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise ValueError(f"`schema` refers to `{reference}`, which is not in it")
    return made


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(item, str):
                yield item
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
