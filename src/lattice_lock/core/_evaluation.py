"""Runs a checked expression over plain values, within a budget and without `eval`."""

from __future__ import annotations

import ast
import operator
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Evaluation", "EvaluationError", "run"]

Value: TypeAlias = Any
"""Whatever the caller hands in; its type was checked together with the expression."""

_LARGEST_BITS = 20_000
_MOST_DIGITS = 6_000


class EvaluationError(ValueError):
    """An expression has no value for these inputs, or computing it would cost too much."""


_BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}

_UNARY: dict[type[ast.unaryop], Callable[[Value], Value]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], Value]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda member, container: member in container,
    ast.NotIn: lambda member, container: member not in container,
}

_CALLS: dict[str, Callable[..., Value]] = {
    "len": len,
    "sum": sum,
    "min": min,
    "max": max,
    "abs": abs,
    "all": all,
    "any": any,
    "sorted": sorted,
    "round": round,
    "set": set,
}

_METHODS: dict[str, Callable[..., Value]] = {
    "lower": str.lower,
    "upper": str.upper,
    "strip": str.strip,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "isdigit": str.isdigit,
    "isalpha": str.isalpha,
    "isalnum": str.isalnum,
    "isupper": str.isupper,
    "islower": str.islower,
    "isspace": str.isspace,
    "count": lambda owner, item: owner.count(item),
    "split": str.split,
    "keys": set,
    "values": lambda owner: list(owner.values()),
    "get": lambda owner, key, default=None: owner.get(key, default),
}


def run(
    tree: ast.expr,
    names: Mapping[str, object],
    old: Mapping[str, object] | None,
    budget: int,
) -> object:
    """The value of a checked tree.

    Raises:
        EvaluationError: see the class.
    """
    return Evaluation(old, budget).run(tree, names)


class Evaluation:
    """One walk over a checked tree.

    Args:
        old: values from before the call, for `old(...)`.
        budget: most steps to spend.
    """

    def __init__(self, old: Mapping[str, object] | None, budget: int) -> None:
        self._old = old
        self._left = budget

    def run(self, tree: ast.expr, names: Mapping[str, object]) -> Value:
        """The value of a whole tree.

        Raises:
            EvaluationError: see the class.
        """
        try:
            return self.value(tree, names)
        except EvaluationError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            # DecimalException is an ArithmeticError; the others are an index or key out of range,
            # `min` of nothing, or a value that is not of the type it was declared with.
            reason = type(error).__name__ if isinstance(error, DecimalException) else str(error)
            raise EvaluationError(f"no value: {reason}") from error
        except (MemoryError, RecursionError) as error:
            raise EvaluationError("too large to evaluate") from error

    def value(self, node: ast.expr, names: Mapping[str, object]) -> Value:
        """The value of one part, with the exceptions of Python."""
        self._spend(1)
        return _HANDLERS[type(node)](self, node, names)

    def _spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise EvaluationError("too many steps")

    def _sized(self, value: Value) -> Value:
        """Charge for a value by its size."""
        if isinstance(value, str | bytes | list | set | tuple | dict):
            self._spend(len(value) // 8)
        return value

    def constant(self, node: ast.Constant, names: Mapping[str, object]) -> Value:
        del names
        return node.value

    def name(self, node: ast.Name, names: Mapping[str, object]) -> Value:
        if node.id not in names:
            raise EvaluationError(f"`{node.id}` has no value")
        return names[node.id]

    def attribute(self, node: ast.Attribute, names: Mapping[str, object]) -> Value:
        return self.value(node.value, names)[node.attr]

    def subscript(self, node: ast.Subscript, names: Mapping[str, object]) -> Value:
        owner = self.value(node.value, names)
        if not isinstance(node.slice, ast.Slice):
            return owner[self.value(node.slice, names)]
        lower = self.value(node.slice.lower, names) if node.slice.lower else None
        upper = self.value(node.slice.upper, names) if node.slice.upper else None
        return self._sized(owner[lower:upper])

    def unary(self, node: ast.UnaryOp, names: Mapping[str, object]) -> Value:
        return _UNARY[type(node.op)](self.value(node.operand, names))

    def binary(self, node: ast.BinOp, names: Mapping[str, object]) -> Value:
        left, right = self.value(node.left, names), self.value(node.right, names)
        if isinstance(left, int) and isinstance(right, int):
            self._bound(node.op, left, right)
        elif isinstance(node.op, ast.Add):
            self._sized(left)
            self._sized(right)
        return _BINARY[type(node.op)](left, right)

    def _bound(self, kind: ast.operator, left: int, right: int) -> None:
        bits = 0
        if isinstance(kind, ast.Mult):
            bits = left.bit_length() + right.bit_length()
        elif isinstance(kind, ast.Pow):
            bits = left.bit_length() * right
        if bits > _LARGEST_BITS:
            raise EvaluationError("a number becomes too large")

    def _bound_digits(self, value: Decimal) -> None:
        # Rounding 1E+999999 to an int writes out a million digits.
        if value and value.adjusted() > _MOST_DIGITS:
            raise EvaluationError("a number becomes too large")

    def boolean(self, node: ast.BoolOp, names: Mapping[str, object]) -> Value:
        stop = isinstance(node.op, ast.Or)
        for part in node.values:
            if bool(self.value(part, names)) is stop:
                return stop
        return not stop

    def conditional(self, node: ast.IfExp, names: Mapping[str, object]) -> Value:
        return self.value(node.body if self.value(node.test, names) else node.orelse, names)

    def compare(self, node: ast.Compare, names: Mapping[str, object]) -> Value:
        left = self.value(node.left, names)
        for kind, part in zip(node.ops, node.comparators, strict=True):
            right = self._sized(self.value(part, names))
            if not _COMPARE[type(kind)](left, right):
                return False
            left = right
        return True

    def call(self, node: ast.Call, names: Mapping[str, object]) -> Value:
        if isinstance(node.func, ast.Attribute):
            owner = self._sized(self.value(node.func.value, names))
            arguments = [self.value(part, names) for part in node.args]
            return _METHODS[node.func.attr](owner, *arguments)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "implies":
            premise, conclusion = node.args
            return not self.value(premise, names) or bool(self.value(conclusion, names))
        if name == "old":
            return self._before(node.args[0], names)
        arguments = [self._argument(part, names) for part in node.args]
        if name == "round" and isinstance(arguments[0], Decimal):
            self._bound_digits(arguments[0])
        keywords = {part.arg: self.value(part.value, names) for part in node.keywords if part.arg}
        return _CALLS[name](*arguments, **keywords)

    def _before(self, node: ast.expr, names: Mapping[str, object]) -> Value:
        if self._old is None:
            raise EvaluationError("there are no values from before the call")
        return self.value(node, {**names, **self._old})

    def _argument(self, node: ast.expr, names: Mapping[str, object]) -> Value:
        if isinstance(node, ast.GeneratorExp):
            return self._generate(node, 0, names)
        return self._sized(self.value(node, names))

    def _generate(
        self,
        node: ast.GeneratorExp | ast.ListComp | ast.SetComp,
        depth: int,
        names: Mapping[str, object],
    ) -> Iterator[Value]:
        if depth == len(node.generators):
            yield self.value(node.elt, names)
            return
        part = node.generators[depth]
        variable = part.target.id if isinstance(part.target, ast.Name) else ""
        for item in self.value(part.iter, names):
            inner = {**names, variable: item}
            if all(self.value(condition, inner) for condition in part.ifs):
                yield from self._generate(node, depth + 1, inner)

    def list_comprehension(self, node: ast.ListComp, names: Mapping[str, object]) -> Value:
        return list(self._generate(node, 0, names))

    def set_comprehension(self, node: ast.SetComp, names: Mapping[str, object]) -> Value:
        return set(self._generate(node, 0, names))

    def list_display(self, node: ast.List, names: Mapping[str, object]) -> Value:
        return [self.value(part, names) for part in node.elts]

    def set_display(self, node: ast.Set, names: Mapping[str, object]) -> Value:
        return {self.value(part, names) for part in node.elts}

    def tuple_display(self, node: ast.Tuple, names: Mapping[str, object]) -> Value:
        return tuple(self.value(part, names) for part in node.elts)

    def dict_display(self, node: ast.Dict, names: Mapping[str, object]) -> Value:
        return {
            self.value(key, names): self.value(part, names)
            for key, part in zip(node.keys, node.values, strict=True)
            if key is not None
        }


_HANDLERS: dict[type[ast.expr], Callable[..., Value]] = {
    ast.Constant: Evaluation.constant,
    ast.Name: Evaluation.name,
    ast.Attribute: Evaluation.attribute,
    ast.Subscript: Evaluation.subscript,
    ast.UnaryOp: Evaluation.unary,
    ast.BinOp: Evaluation.binary,
    ast.BoolOp: Evaluation.boolean,
    ast.IfExp: Evaluation.conditional,
    ast.Compare: Evaluation.compare,
    ast.Call: Evaluation.call,
    ast.ListComp: Evaluation.list_comprehension,
    ast.SetComp: Evaluation.set_comprehension,
    ast.List: Evaluation.list_display,
    ast.Set: Evaluation.set_display,
    ast.Tuple: Evaluation.tuple_display,
    ast.Dict: Evaluation.dict_display,
}
