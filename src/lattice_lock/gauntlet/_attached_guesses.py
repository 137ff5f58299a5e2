"""Values for parameters without a type, guessed from how the code uses them."""

from __future__ import annotations

import ast
import itertools
from typing import TYPE_CHECKING, Final

from lattice_lock.gauntlet._attached_collections import Collections, Mappings
from lattice_lock.gauntlet._attached_texts import Texts
from lattice_lock.gauntlet._attached_types import anything
from lattice_lock.gauntlet._attached_values import AnyOf, Booleans, Floats, Integers, Values

if TYPE_CHECKING:
    import inspect

__all__ = ["guessed_values"]


def guessed_values(parameter: inspect.Parameter, trees: list[ast.AST]) -> Values:
    """Values of a parameter without type, guessed from its default and from how it is used."""
    default = parameter.default
    for kind, make in (
        (bool, Booleans),
        (int, Integers),
        (float, Floats),
        (str, Texts),
        (list, lambda: Collections(Integers())),
        (dict, lambda: Mappings(Texts(), Integers())),
    ):
        if type(default) is kind:
            return make()
    votes = _votes(parameter.name, trees)
    if not votes:
        return anything()
    best = max(votes, key=lambda kind: votes[kind])
    values: dict[str, Values] = {
        "number": AnyOf([Integers(), Integers(), Floats()]),
        "whole": Integers(),
        "text": Texts(),
        "list": Collections(AnyOf([Integers()])),
        "mapping": Mappings(Texts(), Integers()),
        "matrix": Collections(Collections(Integers())),
    }
    return values[best]


_METHODS: Final = {
    **dict.fromkeys(("append", "extend", "sort", "insert", "reverse", "remove", "copy"), "list"),
    **dict.fromkeys(("items", "keys", "values", "get", "setdefault"), "mapping"),
    **dict.fromkeys(
        (
            "split",
            "upper",
            "lower",
            "strip",
            "isdigit",
            "isalpha",
            "startswith",
            "endswith",
            "replace",
            "join",
            "isalnum",
            "isupper",
            "islower",
            "title",
            "encode",
            "find",
            "splitlines",
        ),
        "text",
    ),
}


def _votes(  # noqa: C901, PLR0912  # a table of usages
    name: str, trees: list[ast.AST]
) -> dict[str, int]:
    votes: dict[str, int] = {}

    def vote(kind: str, weight: int) -> None:
        votes[kind] = votes.get(kind, 0) + weight

    for node in itertools.chain.from_iterable(map(ast.walk, trees)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=method)) if (
                owner == name and method in _METHODS
            ):
                vote(_METHODS[method], 5)
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=one), kind]) if (
                one == name
            ):
                text = ast.unparse(kind)
                vote(
                    {"str": "text", "list": "list", "dict": "mapping", "int": "whole"}.get(
                        text, "number"
                    ),
                    10,
                )
            case ast.Call(func=ast.Name(id="range"), args=arguments) if any(
                isinstance(each, ast.Name) and each.id == name for each in arguments
            ):
                vote("whole", 4)
            case ast.Call(
                func=ast.Name(id="len" | "sorted" | "sum" | "max" | "min" | "enumerate" | "set"),
                args=[ast.Name(id=one)],
            ) if one == name:
                vote("list", 2)
            case ast.For(iter=ast.Name(id=one)) | ast.comprehension(iter=ast.Name(id=one)) if (
                one == name
            ):
                vote("list", 2)
            case ast.Subscript(value=ast.Subscript(value=ast.Name(id=one))) if one == name:
                vote("matrix", 4)
            case ast.Subscript(value=ast.Name(id=one)) if one == name:
                vote("list", 2)
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                if any(isinstance(one, ast.Name) and one.id == name for one in sides):
                    for side in sides:
                        literal = side.value if isinstance(side, ast.Constant) else None
                        if isinstance(literal, str):
                            vote("text", 2)
                        elif isinstance(literal, int | float):
                            vote("number", 3)
            case ast.BinOp(left=left, op=operator, right=right):
                sides = [left, right]
                if any(isinstance(one, ast.Name) and one.id == name for one in sides):
                    if isinstance(
                        operator,
                        ast.Mod
                        | ast.FloorDiv
                        | ast.BitAnd
                        | ast.BitOr
                        | ast.RShift
                        | ast.LShift
                        | ast.BitXor,
                    ):
                        vote("whole", 3)
                    elif any(
                        isinstance(one, ast.Constant) and isinstance(one.value, str)
                        for one in sides
                    ):
                        vote("text", 3)
                    elif isinstance(operator, ast.Sub | ast.Mult | ast.Div | ast.Pow):
                        vote("number", 2)
            case _:
                continue
    return votes
