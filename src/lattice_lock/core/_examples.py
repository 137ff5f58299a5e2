"""Reads the examples of a method and holds them against its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_lock.core._section import Section, named_entries
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._values import INVALID
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode, SequenceNode
from lattice_lock.core.expressions import EvaluationError, evaluate, variables
from lattice_lock.core.schema import Example
from lattice_lock.core.type_refs import (
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lattice_lock.core._typed_elements import Context
    from lattice_lock.core.schema import Clause, Method, Param, Raises, Returns
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["check_examples", "read_examples"]

_KEYS = ("args", "returns", "raises", "description")


def read_examples(
    node: Node | None,
    params: Mapping[str, Param],
    returns: Returns,
    raises: tuple[Raises, ...],
    context: Context,
) -> tuple[Example, ...]:
    """Every example whose values fit the declared types; findings for the others."""
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return ()
    if not isinstance(node, SequenceNode):
        context.findings.add(
            node.location, "`examples` must be a list.", "Write `- {args: {...}, returns: ...}`."
        )
        return ()
    if context.findings.types_broken:
        return ()
    found = (_read_example(item, params, returns, raises, context) for item in node.items)
    return tuple(example for example in found if example is not None)


def _read_example(
    node: Node,
    params: Mapping[str, Param],
    returns: Returns,
    raises: tuple[Raises, ...],
    context: Context,
) -> Example | None:
    section = Section(node, "an example", _KEYS, context.findings)
    if not isinstance(node, MappingNode):
        return None
    before = len(context.findings)
    args = _read_args(section, params, context)
    outcome, error = section.get("returns"), section.get("raises")
    result: object = None
    if outcome is not None and error is not None:
        context.findings.add(
            section.key_location("raises"),
            "An example has both `returns` and `raises`.",
            "Keep the one that happens.",
        )
    elif outcome is None and error is None and returns.type is not None:
        context.findings.add(
            node.location, "An example has no outcome.", "Add `returns` or `raises`."
        )
    elif outcome is not None:
        result = _read_result(outcome, returns, context)
    name = section.text("raises")
    declared = [one.exception for one in raises]
    if name is not None and name not in declared:
        context.findings.add(
            section.key_location("raises"),
            f"The method does not declare that it raises `{name}`.",
            did_you_mean(name, declared) or "Add it to `raises` of the method with its condition.",
        )
    if len(context.findings) > before:
        return None
    return Example(args=args, location=node.location, returns=result, raises=name)


def _read_args(
    section: Section, params: Mapping[str, Param], context: Context
) -> dict[str, object]:
    node = section.get("args")
    args: dict[str, object] = {}
    for name, key, value in named_entries(node, "argument", context.findings):
        param = params.get(name)
        if param is None:
            context.findings.add(
                key.location, f"There is no parameter `{name}`.", did_you_mean(name, params)
            )
        else:
            args[name] = context.values.read(
                value, param.type, f"argument `{name}`", param.constraints
            )
    missing = [f"`{name}`" for name in params if name not in args]
    if missing:
        context.findings.add(
            node.location if node else section.node.location,
            f"An example gives no value for {', '.join(missing)}.",
            "An example names every parameter.",
        )
    return {name: args[name] for name in params if name in args}


def _read_result(node: Node, returns: Returns, context: Context) -> object:
    if returns.type is None:
        if not (isinstance(node, ScalarNode) and node.is_null):
            context.findings.add(
                node.location, "The method returns nothing.", "Leave `returns` out."
            )
        return None
    value = context.values.read(node, returns.type, "the result", returns.constraints)
    return None if value is INVALID else value


def check_examples(method: Method, context: Context) -> None:
    """Note every example that the clauses of its own method or entities contradict."""
    for example in method.examples:
        values = [(method.params[name].type, value) for name, value in example.args.items()]
        if method.returns.type is not None:
            values.append((method.returns.type, example.returns))
        for clause in _broken_invariants(values, context):
            _contradicts(example, clause, "does not satisfy", context)
        for clause in method.requires:
            if _fails(clause, example.args):
                _contradicts(example, clause, "does not satisfy", context)
        _check_raises(method, example, context)
        if example.raises is None:
            _check_result(method, example, context)


def _check_raises(method: Method, example: Example, context: Context) -> None:
    for declared in method.raises:
        holds = _holds(declared.clause, example.args)
        if holds is True and example.raises is None:
            _contradicts(example, declared.clause, "returns, but meets", context)
        elif holds is False and example.raises == declared.exception:
            alternatives = [one for one in method.raises if one.exception == example.raises]
            if not any(_holds(one.clause, example.args) for one in alternatives):
                _contradicts(example, declared.clause, "raises, but does not meet", context)


def _check_result(method: Method, example: Example, context: Context) -> None:
    values = {**example.args, "result": example.returns}
    # What the call may have changed is unknown here; only values that cannot change are judged.
    fixed = {name for name, param in method.params.items() if _is_immutable(param)} | {"result"}
    for clause in method.ensures:
        if variables(clause.expression) <= fixed and _fails(clause, values, old=example.args):
            _contradicts(example, clause, "does not satisfy", context)


def _broken_invariants(values: list[tuple[TypeRef, object]], context: Context) -> Iterator[Clause]:
    stack = list(values)
    while stack:
        kind, value = stack.pop()
        if isinstance(kind, OptionalType):
            stack.append((kind.inner, value))
        elif isinstance(kind, ListType) and isinstance(value, list):
            stack += [(kind.item, item) for item in value]
        elif isinstance(kind, DictType) and isinstance(value, dict):
            stack += [(kind.value, item) for item in value.values()]
        elif isinstance(kind, EntityType) and isinstance(value, dict):
            fields = context.types[kind.name]
            stack += [(fields[name], item) for name, item in value.items()]
            yield from (one for one in context.invariants[kind.name] if _fails(one, value))


def _is_immutable(param: Param) -> bool:
    if isinstance(param.type, ScalarType):
        return param.type.name is not ScalarName.JSON
    return isinstance(param.type, EnumType)


def _fails(
    clause: Clause, values: Mapping[str, object], old: Mapping[str, object] | None = None
) -> bool:
    return _holds(clause, values, old) is False


def _holds(
    clause: Clause, values: Mapping[str, object], old: Mapping[str, object] | None = None
) -> bool | None:
    try:
        return bool(evaluate(clause.expression, values, old=old))
    except EvaluationError:
        return None


def _contradicts(example: Example, clause: Clause, how: str, context: Context) -> None:
    context.findings.add(
        example.location,
        f"This example {how} `{clause.expression.source}` (line {clause.location.line}).",
        "Mend the example or the clause.",
    )
