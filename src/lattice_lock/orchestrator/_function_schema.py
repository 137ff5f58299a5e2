"""Python callables as tools: their JSON Schema from type hints, their arguments from JSON."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import msgspec
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from lattice_lock.exceptions import UsageError
from lattice_lock.messages import ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Function", "UnusableValueError"]

# What OpenAI, Anthropic, Google and Bedrock all take as the name of a tool.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SECTION: Final = re.compile(
    r"(?:(?:Keyword )?(?:Args|Arguments)|Attributes|Examples?|Notes?|Raises|References|Returns?|"
    r"See Also|Source|Warnings?|Yields?):\s*"
)
_ARGUMENT: Final = re.compile(r"\*{0,2}(?P<name>\w+)(?: *\([^)]*\))?: *(?P<text>.*)")
_NAMED: Final = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
_WRONG_VALUES: Final = 10  # of one parameter; more would not help the model to mend them


class UnusableValueError(ValueError):
    """Arguments or a result that cannot be passed on; the message is written for the model."""


class _UntitledSchema(GenerateJsonSchema):
    """JSON Schema without a title that repeats the name of each field, which models pay for."""

    @override
    def field_title_should_be_set(self, schema: object) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    """One parameter; pydantic reads its values, or msgspec where there is no `adapter`."""

    annotation: Any
    description: str | None
    default: Any
    adapter: TypeAdapter[Any] | None

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    def decode(self, json: bytes) -> object:
        if self.adapter is not None:
            return self.adapter.validate_json(json, strict=True)
        return msgspec.json.decode(json, type=self.annotation)


class Function:
    """A Python callable that a model may call.

    Parameters whose names `functools.partial` has bound are hidden from the model.

    Args:
        call: a function, a coroutine function, a bound method, or an object that can be called.
        name: what the model calls it; None is its own name.
        description: what it does; None is its docstring up to the first section.

    Attributes:
        call: the callable itself.
        definition: what the model is told.
        is_coroutine: whether calling it does nothing yet but make a coroutine.

    Raises:
        UsageError: the name cannot be sent, a parameter has no type or one that JSON cannot say,
            can be given by position only, or there may be any number of them.
    """

    def __init__(
        self,
        call: Callable[..., object],
        *,
        name: str | None = None,
        description: str | None = None,
    ) -> None:
        self.call = call
        bound: set[str] = set()
        named: Any = call
        while isinstance(named, partial):
            bound |= named.keywords.keys()
            named = named.func
        written = inspect.unwrap(named)
        if not inspect.isroutine(written):
            written = type(written).__call__
        tool_name = getattr(named, "__name__", "") if name is None else name
        label = f"`{tool_name or repr(named)}`"
        if not _NAME.fullmatch(tool_name):
            raise UsageError(
                f"{label} cannot be the name of a tool.",
                hint="Pass `name=`: up to 64 ASCII letters, digits, `_` and `-`, no digit first.",
            )
        if isinstance(named, type):
            raise UsageError(f"{label} is a class.", hint="Register a function that makes one.")
        if inspect.isgeneratorfunction(written) or inspect.isasyncgenfunction(written):
            raise UsageError(f"{label} yields.", hint="Return a list instead.")
        self.is_coroutine = inspect.iscoroutinefunction(written)
        summary, described = _docstring(inspect.getdoc(written) or "")
        self._parameters = dict(_parameters(label, call, written, described, bound))
        self.definition = ToolDefinition(
            name=tool_name,
            description=summary if description is None else description,
            parameters=_schema(self._parameters),
        )

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.definition.name

    def arguments(self, raw: str) -> dict[str, Any]:
        """The keyword arguments that the JSON object `raw` gives, made anew at each call.

        A text is no number, `1.0` is no whole number, and there are no other names than those of
        parameters.

        Raises:
            UnusableValueError: they are not what the parameters ask for; it says all that is wrong.
        """
        try:
            given = msgspec.json.decode(raw.strip() or "{}", type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise UnusableValueError(f"The arguments are no JSON object: {error}.") from error
        except RecursionError as error:
            raise UnusableValueError("The arguments are nested too deeply.") from error
        unknown = [name for name in given if name not in self._parameters]
        faults = [f"`{name}`: there is no such parameter" for name in unknown]
        arguments: dict[str, Any] = {}
        for name, parameter in self._parameters.items():
            if name not in given:
                if parameter.required:
                    faults.append(f"`{name}`: is required")
                continue
            try:
                arguments[name] = parameter.decode(bytes(given[name]))
            except ValidationError as error:
                faults.extend(_faults(name, error))
            except msgspec.DecodeError as error:
                faults.append(f"`{name}`: {error}")
        if faults:
            raise UnusableValueError("The arguments are wrong. " + "; ".join(faults) + ".")
        return arguments


def _faults(name: str, error: ValidationError) -> Iterator[str]:
    wrong = error.errors(include_url=False, include_context=False, include_input=False)
    for fault in wrong[:_WRONG_VALUES]:
        path = ".".join(str(step) for step in (name, *fault["loc"]))
        yield f"`{path}`: {fault['msg']}"


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the first Google section, and what `Args:` says of each parameter."""
    lines = text.splitlines()
    heads = [n for n, line in enumerate(lines) if _SECTION.fullmatch(line)]
    summary = "\n".join(lines[: heads[0]] if heads else lines).strip()
    described: dict[str, str] = {}
    for head, end in pairwise([*heads, len(lines)]):
        if lines[head].rstrip(": ").endswith(("Args", "Arguments")):
            described |= _described("\n".join(lines[head + 1 : end]))
    return summary, described


def _described(section: str) -> dict[str, str]:
    described: dict[str, str] = {}
    name = None
    for line in inspect.cleandoc(section).splitlines():
        if match := _ARGUMENT.fullmatch(line):
            name = match["name"]
            described[name] = match["text"]
        elif name is not None:  # the description goes on, further in
            described[name] = f"{described[name]} {line.strip()}".strip()
    return described


def _parameters(
    label: str,
    call: Callable[..., object],
    written: Callable[..., object],
    described: dict[str, str],
    bound: set[str],
) -> Iterator[tuple[str, _Parameter]]:
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{label} does not say which parameters it has.") from error
    for name, parameter in signature.parameters.items():
        if name in bound:
            continue
        where = f"The parameter `{name}` of {label}"
        if parameter.kind not in _NAMED:
            raise UsageError(
                f"{where} cannot be given by name.", hint="Models name each argument: spell it out."
            )
        if parameter.annotation is parameter.empty:
            raise UsageError(f"{where} has no type.", hint="Annotate it; `Any` takes every JSON.")
        annotation = _resolved(where, parameter.annotation, written)
        words = [one for one in getattr(annotation, "__metadata__", ()) if isinstance(one, str)]
        yield (
            name,
            _Parameter(
                annotation=annotation,
                description=words[0] if words else described.get(name),
                default=parameter.default,
                adapter=_adapter(where, annotation),
            ),
        )


def _resolved(where: str, annotation: object, written: Callable[..., object]) -> object:
    # One by one, because a return type may be imported for type checkers only.
    holder = SimpleNamespace(__annotations__={"it": annotation})
    names = getattr(written, "__globals__", {})
    try:
        return get_type_hints(holder, globalns=names, include_extras=True)["it"]
    except (AttributeError, NameError, SyntaxError, TypeError) as error:
        raise UsageError(
            f"{where} has the type `{annotation}`, which cannot be looked up: {error}.",
            hint="Types of parameters have to exist at module level when the program runs.",
        ) from error


def _adapter(where: str, annotation: Any) -> TypeAdapter[Any] | None:  # noqa: ANN401  # a type, or what typing makes of one
    """What reads values of the type; None leaves it to msgspec, which has types of its own."""
    own = any(isinstance(one, msgspec.Meta) for one in getattr(annotation, "__metadata__", ()))
    refusal: Exception | None = None
    if not own:
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(annotation)
            adapter.json_schema()
        except (PydanticUndefinedAnnotation, PydanticUserError) as error:
            refusal = error
        else:
            return adapter
    try:
        msgspec.json.schema_components([annotation])
    except (NameError, TypeError) as error:
        reason = str(refusal or error).partition("\n")[0]
        raise UsageError(
            f"{where} has the type `{annotation}`, which JSON cannot say: {reason}",
            hint="Use a type that pydantic or msgspec can read from JSON, or bind the parameter "
            "with `functools.partial`.",
        ) from error
    return None


def _schema(parameters: dict[str, _Parameter]) -> dict[str, Any]:
    read = [(name, one.adapter) for name, one in parameters.items() if one.adapter is not None]
    found, definitions = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in read], schema_generator=_UntitledSchema
    )
    of_msgspec = {name: one.annotation for name, one in parameters.items() if one.adapter is None}
    # Two types of one name are told apart by what reads them.
    components, more = msgspec.json.schema_components(
        of_msgspec.values(), ref_template="#/$defs/msgspec.{name}"
    )
    schemas = {name: schema for (name, _), schema in found.items()}
    schemas |= dict(zip(of_msgspec, components, strict=True))
    properties = {name: schemas[name] for name in parameters}
    for name, parameter in parameters.items():
        if parameter.description:
            properties[name].setdefault("description", parameter.description)
        default = parameter.default
        if isinstance(default, bool | int | str) or (
            isinstance(default, float) and math.isfinite(default)
        ):
            properties[name].setdefault("default", msgspec.to_builtins(default))
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required := [name for name, one in parameters.items() if one.required]:
        schema["required"] = required
    schema["additionalProperties"] = False
    known = definitions.get("$defs", {}) | {f"msgspec.{name}": it for name, it in more.items()}
    return schema | {"$defs": known} if known else schema
