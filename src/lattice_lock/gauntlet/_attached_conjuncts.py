"""What preconditions say about single parameters, so that inputs are built to satisfy them.

`0 <= i < len(xs)` becomes two bounds on `i`, which can be worked out once `xs` has a value;
`all(x > 0 for x in xs)` a bound on the items of `xs`. Nothing here has to be complete or even
right: every input is checked against the conditions themselves before it is used.
"""

from __future__ import annotations

import ast
import copy
import functools
import itertools
from typing import TYPE_CHECKING, Final

from lattice_lock.gauntlet import _attached_narrowing as narrowing
from lattice_lock.gauntlet._attached_fences import Bound, Fence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lattice_lock.gauntlet._attached_inputs import Value

__all__ = ["Fences", "split_conjunction"]

_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_OPERATORS: Final[dict[type[ast.cmpop], str]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "==",
    ast.IsNot: "!=",
}
_NEGATED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_MATCHERS: Final = frozenset({"match", "fullmatch", "search"})


def split_conjunction(tree: ast.expr) -> Iterator[ast.expr]:
    """The parts of a condition that must all be true."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        for part in tree.values:
            yield from split_conjunction(part)
    elif isinstance(tree, ast.Compare) and len(tree.ops) > 1:
        sides = [tree.left, *tree.comparators]
        for (left, right), operator in zip(itertools.pairwise(sides), tree.ops, strict=True):
            yield ast.copy_location(ast.Compare(left, [operator], [right]), tree)
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        yield from _negated(tree)
    elif (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)
        and tree.func.id == "bool"
        and len(tree.args) == 1
    ):
        yield from split_conjunction(tree.args[0])
    else:
        yield tree


def _negated(tree: ast.UnaryOp) -> Iterator[ast.expr]:
    inner = tree.operand
    if isinstance(inner, ast.UnaryOp) and isinstance(inner.op, ast.Not):
        yield from split_conjunction(inner.operand)
    elif isinstance(inner, ast.BoolOp) and isinstance(inner.op, ast.Or):
        for part in inner.values:
            yield from split_conjunction(ast.UnaryOp(ast.Not(), part))
    elif isinstance(inner, ast.Compare) and len(inner.ops) == 1:
        operator = _NEGATED[type(inner.ops[0])]()
        yield ast.Compare(inner.left, [operator], inner.comparators)
    else:
        yield tree


class Fences:
    """What all preconditions of one function say.

    Args:
        conditions: expressions over the parameters.
        names: the parameters.
        scope: globals that the expressions may speak of, by expression.
    """

    def __init__(
        self, conditions: Iterable[tuple[ast.expr, Mapping[str, Value]]], names: Iterable[str]
    ) -> None:
        self._names = frozenset(names)
        self.bounds: list[Bound] = []
        for tree, scope in conditions:
            reader = _Reader(self._names, scope, self.bounds)
            for part in split_conjunction(tree):
                reader.read(part, {})

    def depends_on_itself(self, name: str) -> bool:
        """Whether parts of a parameter are bounded by other parts of it."""
        return any(bound.name == name and name in bound.needs for bound in self.bounds)

    def of(self, name: str, values: Mapping[str, object], base: Fence | None = None) -> Fence:
        """The fence of a parameter when some others have values, within `base`.

        With a draft of the parameter itself among the values, its parts are bounded by that.
        """
        fence = copy.deepcopy(base) if base is not None else Fence()
        for bound in self.bounds:
            if bound.name == name and bound.needs <= values.keys():
                try:
                    bound.narrow(fence.at(bound.path), bound.other(values))
                except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
                    continue
                except (NameError, AssertionError):
                    continue
        return fence


_Part = tuple[str, tuple[str, ...]]


class _Reader:
    """Reads conjuncts into bounds.

    Args:
        names: the parameters.
        scope: globals of the condition.
        bounds: what was found is added here.
    """

    def __init__(
        self, names: frozenset[str], scope: Mapping[str, Value], bounds: list[Bound]
    ) -> None:
        self._names = names
        self._scope = scope
        self._bounds = bounds

    def read(self, tree: ast.expr, loop: Mapping[str, _Part]) -> None:
        """Take what one conjunct says; `loop` has what loop variables stand for."""
        match tree:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                self._read_comparison(left, type(operator), right, loop)
            case ast.Call(func=ast.Name(id="all"), args=[ast.GeneratorExp() as each]):
                self._read_all(each, loop)
            case ast.Call(func=ast.Name(id="isinstance"), args=[value, kind]):
                self._add(value, loop, kind, narrowing.narrow_kind)
            case ast.UnaryOp(
                op=ast.Not(),
                operand=ast.Call(func=ast.Name(id="isinstance"), args=[value, kind]),
            ):
                self._add(value, loop, kind, narrowing.narrow_not_kind)
            case ast.UnaryOp(op=ast.Not(), operand=value):
                self._add(value, loop, ast.Constant(0), narrowing.narrow_empty)
            case ast.Call(func=ast.Attribute(attr=name)):
                self._read_method(tree, name, loop)
            case ast.Name():
                self._add(tree, loop, ast.Constant(1), narrowing.narrow_truthy)
            case _:
                return

    def _part(self, tree: ast.expr, loop: Mapping[str, _Part]) -> _Part | None:
        """The part of a parameter that an expression is."""
        match tree:
            case ast.Name(id=name):
                return loop.get(name) or ((name, ()) if name in self._names else None)
            case ast.Call(func=ast.Name(id="len"), args=[inner]):
                part = self._part(inner, loop)
                return part and (part[0], (*part[1], "length"))
            case ast.Subscript(value=inner, slice=ast.Name(id=index)) if index in loop:
                part = self._part(inner, loop)
                step = "values" if loop[index][1][-1:] == ("items",) else "items"
                return part and (part[0], (*part[1], step))
            case _:
                return None

    def _add(
        self,
        target: ast.expr,
        loop: Mapping[str, _Part],
        other: ast.expr,
        narrow: Callable[[Fence, Value], None],
    ) -> None:
        part = self._part(target, loop)
        names = {node.id for node in ast.walk(other) if isinstance(node, ast.Name)}
        if part is None or names & loop.keys():
            return
        needs = frozenset(names & self._names)
        scope = self._scope
        whole = ast.fix_missing_locations(ast.Expression(other))
        code = compile(whole, "<bound>", "eval")

        def compute(values: Mapping[str, object]) -> Value:
            # The values are globals of the expression: comprehensions see nothing else.
            return eval(code, {**scope, **values})  # noqa: S307  # the author's own condition

        self._bounds.append(Bound(part[0], part[1], narrow, needs, compute))

    def _read_comparison(
        self,
        left: ast.expr,
        kind: type[ast.cmpop],
        right: ast.expr,
        loop: Mapping[str, _Part],
    ) -> None:
        operator = _OPERATORS[kind]
        if self._read_order(left, operator, right) or self._read_rows(left, operator, right, loop):
            return
        if self._read_match(left, right, operator, loop):
            return
        if operator in ("in", "not in"):
            self._read_membership(left, operator, right, loop)
            return
        for target, relation, other in (
            (left, operator, right),
            (right, _FLIPPED[operator], left),
        ):
            self._isolate(target, relation, other, loop)

    def _read_membership(
        self, left: ast.expr, operator: str, right: ast.expr, loop: Mapping[str, _Part]
    ) -> None:
        self._add(left, loop, right, functools.partial(narrowing.narrow_by, operator))
        contains = narrowing.narrow_contains if operator == "in" else narrowing.narrow_lacks
        self._add(right, loop, left, contains)

    def _isolate(  # noqa: C901  # a table of syntax
        self, target: ast.expr, operator: str, other: ast.expr, loop: Mapping[str, _Part]
    ) -> None:
        """Bring a part of a parameter alone to one side."""
        match target:
            case ast.BinOp(left=one, op=ast.Add(), right=two):
                self._isolate(one, operator, ast.BinOp(other, ast.Sub(), two), loop)
                self._isolate(two, operator, ast.BinOp(other, ast.Sub(), one), loop)
            case ast.BinOp(left=one, op=ast.Sub(), right=two):
                self._isolate(one, operator, ast.BinOp(other, ast.Add(), two), loop)
                flipped = _FLIPPED[operator]
                self._isolate(two, flipped, ast.BinOp(one, ast.Sub(), other), loop)
            case ast.BinOp(left=one, op=ast.Mod(), right=divisor) if operator == "==":
                pair = ast.Tuple([divisor, other], ast.Load())
                self._add(one, loop, pair, functools.partial(narrowing.narrow_by, "%"))
            case ast.Call(func=ast.Attribute(value=owner, attr="count"), args=[piece]):
                if operator in ("==", ">=", ">"):
                    self._add(owner, loop, piece, narrowing.narrow_contains)
            case ast.Call(func=ast.Name(id="abs"), args=[inner]) if operator in ("<", "<="):
                self._isolate(inner, operator, other, loop)
                negative = ast.UnaryOp(ast.USub(), other)
                self._isolate(inner, _FLIPPED[operator], negative, loop)
            case ast.Call(func=ast.Name(id=("min" | "max") as name), args=[inner]):
                low = operator in (">", ">=")
                if low is (name == "min") and operator in _FLIPPED and operator not in ("==", "!="):
                    part = self._part(inner, loop)
                    items = {"_": (part[0], (*part[1], "items"))} if part else {}
                    self._add(
                        ast.Name("_"),
                        {**loop, **items},
                        other,
                        functools.partial(narrowing.narrow_by, operator),
                    ) if part else None
                    self._add(inner, loop, ast.Constant(1), narrowing.narrow_truthy)
            case ast.Call(func=ast.Name(id="set"), args=[inner]) if operator == "<=":
                part = self._part(inner, loop)
                if part:
                    items = {"_": (part[0], (*part[1], "items"))}
                    self._add(ast.Name("_"), {**loop, **items}, other, narrowing.narrow_subset)
            case _:
                self._add(target, loop, other, functools.partial(narrowing.narrow_by, operator))

    def _read_order(self, left: ast.expr, operator: str, right: ast.expr) -> bool:
        """`xs == sorted(xs)`, `len(set(xs)) == len(xs)`, and the same turned round."""
        if operator != "==":
            return False
        for one, other in ((left, right), (right, left)):
            match one:
                case ast.Call(func=ast.Name(id="sorted"), args=[inner], keywords=keywords):
                    same = ast.dump(inner) == ast.dump(_without_list(other))
                    if same and self._part(inner, {}):
                        order = -1 if any(word.arg == "reverse" for word in keywords) else 1
                        self._mark(inner, functools.partial(narrowing.narrow_order, order))
                        return True
                case ast.Call(
                    func=ast.Name(id="len"),
                    args=[ast.Call(func=ast.Name(id="set" | "frozenset"), args=[inner])],
                ):
                    length = ast.Call(ast.Name("len", ast.Load()), [inner], [])
                    if ast.dump(other) == ast.dump(length):
                        self._mark(inner, narrowing.narrow_unique)
                        return True
                case _:
                    continue
        return False

    def _mark(self, target: ast.expr, narrow: Callable[[Fence, Value], None]) -> None:
        self._add(target, {}, ast.Constant(None), narrow)

    def _read_rows(
        self, left: ast.expr, operator: str, right: ast.expr, loop: Mapping[str, _Part]
    ) -> bool:
        """`len(row) == len(m[0])` for every row of `m`, `len({len(row) for row in m}) == 1`."""
        if operator not in ("==", "<="):
            return False
        for one, other in ((left, right), (right, left)):
            match one:
                case ast.Call(
                    func=ast.Name(id="len"),
                    args=[ast.SetComp() | ast.Call(func=ast.Name(id="set")) as lengths],
                ) if isinstance(other, ast.Constant) and other.value == 1:
                    inner = lengths if isinstance(lengths, ast.SetComp) else lengths.args[0]
                    match inner:
                        case (
                            ast.SetComp(elt=ast.Call(func=ast.Name(id="len")), generators=[each])
                            | ast.GeneratorExp(
                                elt=ast.Call(func=ast.Name(id="len")), generators=[each]
                            )
                        ):
                            self._mark(each.iter, functools.partial(narrowing.narrow_rows, "equal"))
                            return True
            part = self._part(one, loop)
            if part is None or part[1][-2:] != ("items", "length"):
                continue
            owner = self._part_owner(part)
            match other:
                case ast.Call(
                    func=ast.Name(id="len"), args=[ast.Subscript(value=ast.Name(id=name))]
                ) if name == part[0]:
                    self._mark(owner, functools.partial(narrowing.narrow_rows, "equal"))
                    return True
                case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)]) if name == part[0]:
                    self._mark(owner, functools.partial(narrowing.narrow_rows, "square"))
                    return True
                case _:
                    continue
        return False

    @staticmethod
    def _part_owner(part: _Part) -> ast.expr:
        return ast.Name(part[0], ast.Load())

    def _read_match(
        self, left: ast.expr, right: ast.expr, operator: str, loop: Mapping[str, _Part]
    ) -> bool:
        """`re.match(...) is not None`."""
        if operator != "!=" or not (isinstance(right, ast.Constant) and right.value is None):
            return False
        match left:
            case ast.Call(func=ast.Attribute(attr=name)) if name in _MATCHERS:
                self._read_method(left, name, loop)
                return True
            case _:
                return False

    def _read_all(self, each: ast.GeneratorExp, loop: Mapping[str, _Part]) -> None:
        inside = dict(loop)
        for generator in each.generators:
            if self._read_neighbours(each.elt, generator):
                return
            found = self._loop_over(generator.target, generator.iter, inside)
            if found is None or generator.ifs:
                return
            inside |= found
        for part in split_conjunction(each.elt):
            self.read(part, inside)

    def _loop_over(
        self, target: ast.expr, source: ast.expr, loop: Mapping[str, _Part]
    ) -> dict[str, _Part] | None:
        match target, source:
            case ast.Name(id=name), ast.Call(
                func=ast.Name(id="range"),
                args=[ast.Call(func=ast.Name(id="len"), args=[inner])],
            ):
                part = self._part(inner, loop)
                return part and {name: (part[0], (*part[1], "index"))}
            case ast.Tuple(elts=[_, ast.Name(id=name)]), ast.Call(
                func=ast.Name(id="enumerate"), args=[inner]
            ):
                part = self._part(inner, loop)
                return part and {name: (part[0], (*part[1], "items"))}
            case ast.Name(id=name), ast.Call(func=ast.Attribute(value=inner, attr=view), args=[]):
                part = self._part(inner, loop)
                step = {"keys": "items", "values": "values"}.get(view)
                return (part and step and {name: (part[0], (*part[1], step))}) or None
            case ast.Tuple(elts=[ast.Name(id=key), ast.Name(id=value)]), ast.Call(
                func=ast.Attribute(value=inner, attr="items"), args=[]
            ):
                part = self._part(inner, loop)
                return part and {
                    key: (part[0], (*part[1], "items")),
                    value: (part[0], (*part[1], "values")),
                }
            case ast.Name(id=name), inner:
                part = self._part(inner, loop)
                return part and {name: (part[0], (*part[1], "items"))}
            case _:
                return None

    def _read_neighbours(self, tree: ast.expr, generator: ast.comprehension) -> bool:
        """`all(xs[i] <= xs[i + 1] ...)` and `all(a <= b for a, b in zip(xs, xs[1:]))`."""
        if not (isinstance(tree, ast.Compare) and len(tree.ops) == 1):
            return False
        order = {ast.LtE: 1, ast.GtE: -1, ast.Lt: 2, ast.Gt: -2}.get(type(tree.ops[0]))
        if order is None:
            return False
        match generator.target, generator.iter, tree.left, tree.comparators[0]:
            case (
                ast.Tuple(elts=[ast.Name(id=first), ast.Name(id=second)]),
                ast.Call(args=[owner, *_]) as call,
                ast.Name(id=left),
                ast.Name(id=right),
            ) if {left, right} == {first, second} and _is_pairwise(call):
                sign = 1 if left == first else -1
            case (
                ast.Name(id=index),
                ast.Call(func=ast.Name(id="range")),
                ast.Subscript(value=owner, slice=one),
                ast.Subscript(value=other, slice=two),
            ) if ast.dump(owner) == ast.dump(other) and {
                _offset(one, index),
                _offset(two, index),
            } in (
                {0, 1},
                {-1, 0},
            ):
                sign = 1 if (_offset(one, index) or 0) < (_offset(two, index) or 0) else -1
            case _:
                return False
        self._mark(owner, functools.partial(narrowing.narrow_order, sign * order))
        return True

    def _read_method(self, tree: ast.Call, name: str, loop: Mapping[str, _Part]) -> None:
        assert isinstance(tree.func, ast.Attribute)  # noqa: S101  # whoever calls has matched it
        owner = tree.func.value
        arguments = tree.args
        if name in narrowing.CHARACTER_CLASSES and not arguments:
            self._add(owner, loop, ast.Constant(name), narrowing.narrow_class)
        elif name in ("startswith", "endswith") and len(arguments) == 1:
            narrow = narrowing.narrow_prefix if name == "startswith" else narrowing.narrow_suffix
            self._add(owner, loop, arguments[0], narrow)
        elif name == "issubset" and len(arguments) == 1:
            match owner:
                case ast.Call(func=ast.Name(id="set"), args=[_]):
                    self._isolate(owner, "<=", arguments[0], loop)
                case _:
                    return
        elif name in _MATCHERS and isinstance(owner, ast.Name) and owner.id == "re":
            if len(arguments) >= 2:  # noqa: PLR2004  # pattern, text
                flags = arguments[2] if len(arguments) > 2 else ast.Constant(0)  # noqa: PLR2004
                pair = ast.Tuple([arguments[0], flags, ast.Constant(name)], ast.Load())
                self._add(arguments[1], loop, pair, narrowing.narrow_pattern)
        elif name in _MATCHERS and len(arguments) == 1:
            pair = ast.Tuple([owner, ast.Constant(0), ast.Constant(name)], ast.Load())
            self._add(arguments[0], loop, pair, narrowing.narrow_pattern)


def _without_list(tree: ast.expr) -> ast.expr:
    match tree:
        case ast.Call(func=ast.Name(id="list"), args=[inner]):
            return inner
        case _:
            return tree


def _is_pairwise(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "pairwise":
        return True
    match call.args:
        case [first, ast.Subscript(value=second, slice=ast.Slice(lower=ast.Constant(value=1)))]:
            return name == "zip" and ast.dump(_without_slice(first)) == ast.dump(second)
        case _:
            return False


def _without_slice(tree: ast.expr) -> ast.expr:
    return tree.value if isinstance(tree, ast.Subscript) else tree


def _offset(tree: ast.expr, index: str) -> int | None:
    match tree:
        case ast.Name(id=name) if name == index:
            return 0
        case ast.BinOp(left=ast.Name(id=name), op=ast.Add(), right=ast.Constant(value=1)) if (
            name == index
        ):
            return 1
        case ast.BinOp(left=ast.Name(id=name), op=ast.Sub(), right=ast.Constant(value=1)) if (
            name == index
        ):
            return -1
        case _:
            return None
