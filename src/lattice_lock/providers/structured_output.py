"""Checks that an answer follows the JSON Schema that was asked for.

Providers promise it, some only mean to, and servers at home often ignore it. Nothing is fetched:
a `$ref` that leads out of the schema is refused. Errors name the place and the broken keyword and
never quote what the model said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lattice_lock.exceptions import InvalidResponseError
from lattice_lock.messages import UNREADABLE_JSON, FinishReason

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

    from lattice_lock.messages import ChatRequest, ChatResponse, ResponseSchema

__all__ = ["check_answer", "schema_validator"]

_COMPLETE = {FinishReason.STOP, FinishReason.UNKNOWN}


def schema_validator(request: ChatRequest, wanted: ResponseSchema) -> Validator:
    """What judges answers by the schema `wanted`; imports `jsonschema`, so not for an event loop.

    Raises:
        InvalidRequestError: it is no JSON Schema.
    """
    # Imported here because few calls need it and it takes longer to import than all the rest.
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    schema = dict(wanted.schema)  # no other mapping is an object to the library
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise request.refusal(
            "response_schema",
            f"`{wanted.name}` is no JSON Schema: `{error.json_path}` breaks `{error.validator}`.",
        ) from None
    # A registry of one's own does not fetch what it does not know.
    return kind(schema, registry=Registry())


def check_answer(
    validator: Validator, request: ChatRequest, wanted: ResponseSchema, answer: ChatResponse
) -> None:
    """Refuse an answer that breaks the schema.

    An answer that says itself why it is no such JSON (cut off, refused, calls of tools) passes.

    Raises:
        InvalidResponseError: the answer is not JSON, or breaks the schema; names the path.
        InvalidRequestError: the schema refers to something outside itself.
    """
    from jsonschema.exceptions import best_match  # noqa: PLC0415  # as above
    from referencing.exceptions import Unresolvable  # noqa: PLC0415  # as above

    if answer.finish_reason not in _COMPLETE:
        return
    try:
        value = msgspec.json.decode(answer.text)
        error = best_match(validator.iter_errors(value))
    except RecursionError:
        raise _broken(wanted, answer, "it is nested too deeply") from None
    except UNREADABLE_JSON:
        raise _broken(wanted, answer, "it is not JSON") from None
    except Unresolvable as unknown:
        raise request.refusal(
            "response_schema",
            f"`{wanted.name}` refers to `{unknown.ref}`, which is not in it.",
            hint="Put what it refers to into its `$defs`.",
        ) from None
    if error is not None:
        raise _broken(wanted, answer, f"`{error.json_path}` breaks `{error.validator}`")


def _broken(wanted: ResponseSchema, answer: ChatResponse, what: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"The answer does not follow the schema `{wanted.name}`: {what}.",
        provider=answer.model.provider,
        model=answer.model.name,
        request_id=answer.request_id,
    )
