"""The rule `undeclared-member`."""

from __future__ import annotations

import ast
import difflib
import enum
import re
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from lattice_lock.core.emitters.python_text import enum_member
from lattice_lock.core.type_refs import EntityType, EnumType
from lattice_lock.sheriff.fixes import Edit, Fix
from lattice_lock.sheriff.inference import (
    INFERENCE_NODE_TYPES,
    GeneratedNames,
    Inference,
    InterfaceType,
)
from lattice_lock.sheriff.module import may_mention
from lattice_lock.sheriff.rule import ModuleRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["PYDANTIC_MEMBERS", "UndeclaredMember"]

PYDANTIC_MEMBERS: Final = frozenset(
    {
        "construct",
        "copy",
        "dict",
        "from_orm",
        "json",
        "parse_file",
        "parse_obj",
        "parse_raw",
        "schema",
        "schema_json",
        "update_forward_refs",
        "validate",
    }
)
"""Public members of every Pydantic model whose names do not begin with `model_`."""

_ENUM_MEMBERS: Final = frozenset({*dir(enum.StrEnum), "name", "value"})


class UndeclaredMember(ModuleRule):
    """Reports use of a member that the lattice does not declare on a generated type.

    Reported are a field that its entity does not have (`order.pirce`, `Order(pirce=...)`,
    `order.model_copy(update={"pirce": ...})`), a member or value that its enum does not have, a
    method or parameter that its interface does not have, and a name that the generated module does
    not hold.

    Only where annotations leave no doubt about the type: parameters and variables annotated with a
    generated class, what such a class is called for, fields of entities, items of lists, results of
    declared methods, attributes of `self` assigned once from one of these. What is bound more than
    once, or tested with `isinstance`, `hasattr` or `match`, is left alone.

    ## Why it matters

    The lattice is the one list of what there is. Code that was written against another version of
    it, or from memory, fails only when the line runs.

    ## What to do

    Use the member that the hint names, or add it to the lattice and run `lattice-lock compile`.
    """

    id: ClassVar[str] = "LLS010"
    name: ClassVar[str] = "undeclared-member"
    node_types: ClassVar[frozenset[type[ast.AST]]] = INFERENCE_NODE_TYPES | {
        ast.Attribute,
        ast.Compare,
        ast.ImportFrom,
        ast.Subscript,
    }

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        generated = context.lattice.generated_module
        return self.node_types if may_mention(source.text, generated) else frozenset()

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        lattice = context.lattice
        if not module.mentions(lattice.generated_module):
            return
        check = _Check(self, module, context, GeneratedNames(lattice))
        for node, scope in module.nodes(
            ast.Attribute, ast.Call, ast.Compare, ast.ImportFrom, ast.Subscript
        ):
            match node:
                case ast.Attribute():
                    yield from check.attribute(node, scope)
                case ast.Call():
                    yield from check.call(node, scope)
                case ast.Compare():
                    yield from check.comparison(node, scope)
                case ast.ImportFrom():
                    yield from check.imported(node)
                case ast.Subscript():
                    yield from check.item(node, scope)


class _Check:
    """The rule at work on one file."""

    def __init__(
        self,
        rule: UndeclaredMember,
        module: Module,
        context: SheriffContext,
        names: GeneratedNames,
    ) -> None:
        self._rule: Final = rule
        self._module: Final = module
        self._lattice: Final = context.lattice
        self._names: Final = names
        self._types: Final = Inference(module, names)
        root = context.lattice.config.source_root
        self._texts: Final = {
            name: context.generated.get(f"{root}/{name.replace('.', '/')}.py")
            for name in (names.types_module, names.protocols_module)
        }

    def imported(self, node: ast.ImportFrom) -> Iterator[Violation]:
        module = self._module.absolute(node)
        if module is not None and module in self._texts:
            for alias in node.names:
                if alias.name != "*":
                    yield from self._module_member(alias, module, alias.name)

    def _module_member(
        self, node: ast.alias | ast.expr, module: str, name: str
    ) -> Iterator[Violation]:
        # What the generated file imports itself can be imported from it too.
        text = self._texts[module]
        if text is None or name.startswith("__") or re.search(rf"\b{name}\b", text):
            return
        known = [*self._lattice.entities, *self._lattice.interfaces]
        yield self._violation(node, f"`{module}` has no `{name}`", name, known)

    def attribute(self, node: ast.Attribute, scope: Scope) -> Iterator[Violation]:
        name = node.attr
        if name.startswith("__"):
            return
        for module in self._texts.keys() & self._module.resolve(node.value, scope):
            yield from self._module_member(node, module, name)
        match self._types.class_of(node.value, scope):
            case EnumType() as enumeration:
                yield from self._enum_member(node, enumeration, name)
                return
            case _:
                pass
        match self._types.type_of(node.value, scope):
            case EntityType(entity):
                fields = self._lattice.entities[entity].fields
                own = name.startswith(("model_", "_")) or name in PYDANTIC_MEMBERS
                if name not in fields and not own:
                    yield self._violation(node, f"`{entity}` has no field `{name}`", name, fields)
            case InterfaceType(interface):
                if name not in interface.methods:
                    what = f"`{interface.name}` has no method `{name}`"
                    yield self._violation(node, what, name, interface.methods)
            case EnumType() as enumeration if name not in _ENUM_MEMBERS:
                yield from self._enum_member(node, enumeration, name)
            case _:
                pass

    def _enum_member(self, node: ast.expr, enumeration: EnumType, name: str) -> Iterator[Violation]:
        members = [enum_member(enumeration, value) for value in enumeration.values]
        if name not in members and name not in _ENUM_MEMBERS:
            yield self._violation(
                node, f"`{enumeration.name}` has no member `{name}`", name, members
            )

    def call(self, node: ast.Call, scope: Scope) -> Iterator[Violation]:
        match self._types.class_of(node.func, scope):
            case EntityType(entity):
                yield from self._fields_given(node, entity)
                return
            case EnumType() as enumeration if len(node.args) == 1:
                yield from self._enum_value(node.args[0], enumeration)
                return
            case _:
                pass
        if not isinstance(node.func, ast.Attribute):
            return
        match self._types.type_of(node.func.value, scope), node.func.attr:
            case InterfaceType(interface), method if method in interface.methods:
                params = interface.methods[method].params
                for keyword in node.keywords:
                    if keyword.arg is not None and keyword.arg not in params:
                        what = f"`{interface.name}.{method}` has no parameter `{keyword.arg}`"
                        yield self._violation(keyword, what, keyword.arg, params)
            case EntityType(entity), "model_copy":
                yield from self._fields_updated(node, entity)
            case _:
                pass

    def _fields_given(self, node: ast.Call, entity: str) -> Iterator[Violation]:
        fields = self._lattice.entities[entity].fields
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in fields:
                what = f"`{entity}` has no field `{keyword.arg}`"
                yield self._violation(keyword, what, keyword.arg, fields)

    def _fields_updated(self, node: ast.Call, entity: str) -> Iterator[Violation]:
        fields = self._lattice.entities[entity].fields
        for keyword in node.keywords:
            if keyword.arg == "update" and isinstance(keyword.value, ast.Dict):
                for key in keyword.value.keys:
                    match key:
                        case ast.Constant(value=str(name)) if name not in fields:
                            what = f"`{entity}` has no field `{name}`"
                            yield self._violation(key, what, name, fields)
                        case _:
                            pass

    def _enum_value(self, node: ast.expr, enumeration: EnumType) -> Iterator[Violation]:
        match node:
            case ast.Constant(value=str(value)) if value not in enumeration.values:
                what = f"`{enumeration.name}` has no value `{value}`"
                yield self._violation(node, what, value, enumeration.values)
            case _:
                pass

    def comparison(self, node: ast.Compare, scope: Scope) -> Iterator[Violation]:
        """A value of an enum is never equal to a text that is none of its values."""
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            if not isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                continue
            for one, other in ((left, right), (right, left)):
                match self._types.type_of(one, scope):
                    case EnumType() as enumeration:
                        texts = [other]
                        if isinstance(other, ast.List | ast.Tuple | ast.Set):
                            texts = other.elts
                        elif isinstance(operator, ast.In | ast.NotIn):
                            texts = []
                        for text in texts:
                            yield from self._enum_value(text, enumeration)
                    case _:
                        pass

    def item(self, node: ast.Subscript, scope: Scope) -> Iterator[Violation]:
        match self._types.class_of(node.value, scope), node.slice:
            case EnumType() as enumeration, ast.Constant(value=str(name)):
                yield from self._enum_member(node.slice, enumeration, name)
            case _:
                pass

    def _violation(
        self,
        node: ast.alias | ast.expr | ast.keyword,
        what: str,
        name: str,
        known: Iterable[str],
    ) -> Violation:
        names = list(known)
        close = difflib.get_close_matches(name, names, n=1)
        listed = ", ".join(f"`{each}`" for each in names) or "nothing"
        hint = f"Did you mean `{close[0]}`?" if close else f"The lattice declares {listed}."
        span = self._module.span(node)
        likely = difflib.get_close_matches(name, names, n=2)
        fix = _fix(self._module, node, name, likely[0]) if len(likely) == 1 else None
        return self._rule.violation(self._module, span, f"{what}.", hint=hint, fix=fix)


def _fix(
    module: Module, node: ast.alias | ast.expr | ast.keyword, name: str, other: str
) -> Fix | None:
    """The node with another name in it; None where the text does not show it plainly."""
    span = module.span(node)
    line = span.line
    match node:
        case ast.Attribute():
            line, start = span.end_line, span.end_column - len(name)
        case ast.Constant():
            start = span.column + 1
        case _:
            start = span.column
    end = start + len(name)
    text = module.excerpt(line)
    around = text[start - 2 : start - 1], text[end - 1 : end]
    if text[start - 1 : end - 1] != name:
        return None
    if isinstance(node, ast.Constant) and (
        around not in {("'", "'"), ('"', '"')} or span[3] != end + 1
    ):
        return None
    return Fix(title=f"Use `{other}`", edits=(Edit(line, start, line, end, other),))
