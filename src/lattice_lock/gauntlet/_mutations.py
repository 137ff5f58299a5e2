"""What can be changed in the body of a function: one small mistake at a time."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FunctionNode", "Insertion", "Mutation", "Replacement", "mutations_of"]

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Replacement:
    """Put `text` in the place of a node."""

    node: ast.expr | ast.stmt
    text: str


@dataclass(frozen=True, slots=True)
class Insertion:
    """Put a statement before another."""

    before: ast.stmt
    text: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change, and what kind it is."""

    operator: str
    change: Replacement | Insertion


_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_ORDERED: Final = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift)
_SIBLINGS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
_CONVERSIONS: Final = frozenset(
    {"abs", "frozenset", "list", "reversed", "round", "set", "sorted", "tuple"}
)
_NEUTRAL: Final = {
    "int": "0",
    "float": "0.0",
    "str": "''",
    "bytes": "b''",
    "bool": "False",
    "list": "[]",
    "List": "[]",
    "Sequence": "[]",
    "Iterable": "[]",
    "dict": "{}",
    "Dict": "{}",
    "Mapping": "{}",
    "set": "set()",
    "Set": "set()",
    "frozenset": "frozenset()",
    "tuple": "()",
    "Tuple": "()",
    "Decimal": "Decimal(0)",
    "timedelta": "timedelta(0)",
}
_IMPORTED: Final = frozenset({"Decimal", "timedelta"})
_NUMBERS: Final = frozenset({"int", "float", "Decimal"})
_EMPTIED: Final = frozenset({"list", "List", "dict", "Dict", "set", "Set"})
_LAST_DIGIT: Final = re.compile(r"\d(?=\D*$)")
_NOT_MINE: Final = {
    ast.AnnAssign: ("annotation",),
    ast.Assert: ("msg",),
    ast.AsyncFunctionDef: ("args", "decorator_list", "returns"),
    ast.ClassDef: ("bases", "decorator_list", "keywords"),
    ast.FunctionDef: ("args", "decorator_list", "returns"),
    ast.JoinedStr: ("values",),  # before Python 3.12 what is inside does not know where it stands
    ast.Raise: ("cause", "exc"),  # contracts speak of the type, never of the message
}


def mutations_of(function: FunctionNode, module: ast.Module) -> Iterator[Mutation]:
    """Every change of a function's body, in the order of the text."""
    body = _without_docstring(function.body)
    if not body:
        return
    scene = _Scene(function, module, body)
    yield from scene.at_start()
    for node in _walk(body):
        for kind, look in _LOOKS.items():
            if isinstance(node, kind):
                for operator, place, text in look(node, scene):
                    yield Mutation(operator, Replacement(place, text))


_Found: TypeAlias = Iterator[tuple[str, ast.expr | ast.stmt, str]]


class _Scene:
    """What is known of the function around a node."""

    def __init__(self, function: FunctionNode, module: ast.Module, body: list[ast.stmt]) -> None:
        every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        self.types = {one.arg: _text(one.annotation) for one in every}
        self.returns = _text(function.returns)
        self.body = body
        self.names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
        self.names |= {
            alias.asname or alias.name
            for node in ast.walk(module)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.is_generator = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _walk(body))
        changed = {node.target for node in _walk(body) if isinstance(node, ast.AugAssign)}
        self._stored = [
            node.id
            for node in _walk(body)
            if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)
            and node not in changed
        ]

    def at_start(self) -> Iterator[Mutation]:
        """Returning at once, and not listening to an argument."""
        first = self.body[0]
        if len(self.body) > 1 and not self.is_generator:
            for text in self.neutral(self.returns):
                yield Mutation("early return", Insertion(first, f"return {text}"))
        used = {node.id for node in _walk(self.body) if isinstance(node, ast.Name)}
        for name, annotation in self.types.items():
            for text in self.neutral(annotation)[:1] if name in used else ():
                yield Mutation("argument ignored", Insertion(first, f"{name} = {text}"))

    def neutral(self, annotation: str) -> list[str]:
        """Expressions of a type that say nothing; none where the type is unknown."""
        parts = [part.strip() for part in annotation.strip("'\"").split("|")]
        found = ["None"] if "None" in parts or annotation.startswith("Optional[") else []
        for part in parts:
            base = _base(part)
            if base in _NEUTRAL and (base not in _IMPORTED or base in self.names):
                found.append(_NEUTRAL[base])
            if base == "bool":
                found.append("True")
        return found

    def alike(self, name: str) -> list[str]:
        """Other parameters of the same type."""
        wanted = self.types.get(name)
        return [other for other, kind in self.types.items() if kind == wanted and other != name]

    def is_known_before(self, target: ast.expr) -> bool:
        """Whether a name has a value without this assignment, so that dropping it can matter."""
        if not isinstance(target, ast.Name):
            return True
        return target.id in self.types or self._stored.count(target.id) > 1


def _text(node: ast.AST | None) -> str:
    return "" if node is None else ast.unparse(node)


def _base(annotation: str) -> str:
    return annotation.partition("[")[0].rpartition(".")[2]


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return body[1:] if isinstance(first.value.value, str) else body
    return body


def _walk(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in body:
        yield node
        left_out = _NOT_MINE.get(type(node), ())
        for name, value in ast.iter_fields(node):
            if name in left_out:
                continue
            inside = value if isinstance(value, list) else [value]
            yield from _walk(one for one in inside if isinstance(one, ast.AST))


def _comparison(node: ast.Compare, _scene: _Scene) -> _Found:
    for number, old in enumerate(node.ops):
        for new in _COMPARISONS[type(old)]:
            ops = [*node.ops[:number], new(), *node.ops[number + 1 :]]
            changed = ast.Compare(left=node.left, ops=ops, comparators=node.comparators)
            yield "comparison", node, ast.unparse(changed)


def _constant(node: ast.Constant, _scene: _Scene) -> _Found:
    value = node.value
    if isinstance(value, bool):
        yield "constant", node, str(not value)
    elif isinstance(value, int):
        yield from (("constant", node, str(changed)) for changed in (value + 1, value - 1))
    elif isinstance(value, float):
        yield "constant", node, repr(value + 1)
    elif isinstance(value, str):
        more = _LAST_DIGIT.sub(lambda found: str((int(found[0]) + 1) % 10), value)
        yield "constant", node, repr(more if more != value else f"{value}x")
        if value:
            yield "constant", node, "''"


def _arithmetic(node: ast.BinOp, _scene: _Scene) -> _Found:
    other = _ARITHMETIC.get(type(node.op))
    if other is not None:
        changed = ast.BinOp(left=node.left, op=other(), right=node.right)
        yield "arithmetic", node, ast.unparse(changed)
    if isinstance(node.op, _ORDERED):
        changed = ast.BinOp(left=node.right, op=node.op, right=node.left)
        yield "swapped operands", node, ast.unparse(changed)
    yield "operand dropped", node, ast.unparse(node.left)


def _augmented(node: ast.AugAssign, scene: _Scene) -> _Found:
    other = _ARITHMETIC.get(type(node.op))
    if other is not None:
        changed = ast.AugAssign(target=node.target, op=other(), value=node.value)
        yield "arithmetic", node, ast.unparse(changed)
    yield from _dropped(node, scene)


def _boolean(node: ast.BoolOp, _scene: _Scene) -> _Found:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield "boolean", node, ast.unparse(ast.BoolOp(op=other, values=node.values))
    for number in range(len(node.values)):
        rest = node.values[:number] + node.values[number + 1 :]
        kept = rest[0] if len(rest) == 1 else ast.BoolOp(op=node.op, values=rest)
        yield "condition dropped", node, ast.unparse(kept)


def _unary(node: ast.UnaryOp, _scene: _Scene) -> _Found:
    yield "negation", node, ast.unparse(node.operand)


def _branch(node: ast.If | ast.IfExp, _scene: _Scene) -> _Found:
    if not isinstance(node.test, ast.UnaryOp | ast.Compare):
        yield "negation", node.test, ast.unparse(ast.UnaryOp(op=ast.Not(), operand=node.test))
    if isinstance(node, ast.IfExp):
        yield "removed branch", node, ast.unparse(node.body)
        yield "removed branch", node, ast.unparse(node.orelse)
    else:
        yield "removed branch", node.test, "False"
        yield "removed branch", node.test, "True"


def _loop(node: ast.For | ast.AsyncFor, _scene: _Scene) -> _Found:
    yield "removed branch", node.iter, "()"


def _while(node: ast.While, _scene: _Scene) -> _Found:
    yield "removed branch", node.test, "False"


def _returned(node: ast.Return, scene: _Scene) -> _Found:
    if node.value is None or scene.is_generator:
        return
    value, base = ast.unparse(node.value), _base(scene.returns.strip("'\""))
    neutral = scene.neutral(scene.returns)
    same = [name for name, kind in scene.types.items() if kind and kind == scene.returns]
    for text in [*neutral, *same] or ["None"]:
        yield "returned value", node, f"return {text}"
    if base in _NUMBERS:
        plus = ast.BinOp(left=node.value, op=ast.Add(), right=ast.Constant(1))
        yield "returned value", node, f"return {ast.unparse(plus)}"
    if base == "bool":
        opposite = ast.UnaryOp(op=ast.Not(), operand=node.value)
        yield "returned value", node, f"return {ast.unparse(opposite)}"
    for name, kind in scene.types.items():
        if _base(kind) in _EMPTIED:
            yield "mutated argument", node, f"return ({value}, {name}.clear())[0]"


def _dropped(node: ast.stmt, scene: _Scene) -> _Found:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return
    targets: list[ast.expr] = [node.target] if isinstance(node, ast.AnnAssign) else []
    targets = node.targets if isinstance(node, ast.Assign) else targets
    if all(scene.is_known_before(target) for target in targets):
        yield "dropped statement", node, "pass"


def _raised(node: ast.Raise, scene: _Scene) -> _Found:
    yield from _dropped(node, scene)
    if node.exc is not None and "RuntimeError" not in _text(node.exc):
        yield "exception", node, "raise RuntimeError"


def _name(node: ast.Name, scene: _Scene) -> _Found:
    if isinstance(node.ctx, ast.Load) and scene.types.get(node.id):
        yield from (("other argument", node, other) for other in scene.alike(node.id))


def _call(node: ast.Call, scene: _Scene) -> _Found:
    arguments = node.args
    function = node.func
    if isinstance(function, ast.Name):
        if function.id in _SIBLINGS:
            yield "call", function, _SIBLINGS[function.id]
        if function.id in _CONVERSIONS and len(arguments) == 1 and not node.keywords:
            yield "call", node, ast.unparse(arguments[0])
    elif isinstance(function, ast.Attribute) and not arguments and not node.keywords:
        yield "call", node, ast.unparse(function.value)
    for number in range(len(arguments) - 1):
        pair = arguments[number : number + 2]
        kinds = [scene.types.get(one.id, "") if isinstance(one, ast.Name) else "" for one in pair]
        if not any(isinstance(one, ast.Starred) for one in pair) and kinds[0] == kinds[1]:
            swapped = [*arguments[:number], pair[1], pair[0], *arguments[number + 2 :]]
            changed = ast.Call(func=function, args=swapped, keywords=node.keywords)
            yield "swapped arguments", node, ast.unparse(changed)
    for number in range(len(node.keywords)):
        rest = node.keywords[:number] + node.keywords[number + 1 :]
        changed = ast.Call(func=function, args=arguments, keywords=rest)
        yield "argument dropped", node, ast.unparse(changed)


def _mapping(node: ast.Dict, _scene: _Scene) -> _Found:
    for number in range(len(node.keys)):
        keys = node.keys[:number] + node.keys[number + 1 :]
        values = node.values[:number] + node.values[number + 1 :]
        yield "item dropped", node, ast.unparse(ast.Dict(keys=keys, values=values))


def _sequence(node: ast.List, _scene: _Scene) -> _Found:
    for number in range(len(node.elts) if isinstance(node.ctx, ast.Load) else 0):
        rest = node.elts[:number] + node.elts[number + 1 :]
        yield "item dropped", node, ast.unparse(ast.List(elts=rest, ctx=ast.Load()))


def _slice(node: ast.Subscript, _scene: _Scene) -> _Found:
    if isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
        yield "slice", node, ast.unparse(node.value)


def _comprehension(
    node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, _scene: _Scene
) -> _Found:
    for number, one in enumerate(node.generators):
        for drop in range(len(one.ifs)):
            fewer = ast.comprehension(
                target=one.target,
                iter=one.iter,
                ifs=one.ifs[:drop] + one.ifs[drop + 1 :],
                is_async=one.is_async,
            )
            generators = [*node.generators[:number], fewer, *node.generators[number + 1 :]]
            fields = {**dict(ast.iter_fields(node)), "generators": generators}
            yield "condition dropped", node, ast.unparse(type(node)(**fields))


_LOOKS: Final[dict[Any, Callable[[Any, _Scene], _Found]]] = {
    ast.Compare: _comparison,
    ast.Constant: _constant,
    ast.BinOp: _arithmetic,
    ast.AugAssign: _augmented,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.If | ast.IfExp: _branch,
    ast.For | ast.AsyncFor: _loop,
    ast.While: _while,
    ast.Return: _returned,
    ast.Expr | ast.Assign | ast.AnnAssign | ast.Delete | ast.Assert: _dropped,
    ast.Break | ast.Continue: _dropped,
    ast.Raise: _raised,
    ast.Name: _name,
    ast.Call: _call,
    ast.Dict: _mapping,
    ast.List: _sequence,
    ast.Subscript: _slice,
    ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp: _comprehension,
}
