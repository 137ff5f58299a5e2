"""The rule `forbidden-import`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from lattice_lock.sheriff.annotations import annotation_names
from lattice_lock.sheriff.names import BUILTIN_NAMES
from lattice_lock.sheriff.rule import ModuleRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SheriffContext
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["ForbiddenImport"]

_IMPORTERS: Final = frozenset(
    {
        "builtins.__import__",
        "importlib.__import__",
        "importlib.import_module",
        "pkgutil.resolve_name",
        "runpy.run_module",
    }
)
"""Functions that import the module whose name is their first argument."""

_NAME_KEYWORDS: Final = ("name", "mod_name")

_TYPE_TESTS: Final = frozenset({"builtins.isinstance", "builtins.issubclass"})


class ForbiddenImport(ModuleRule):
    """Reports use of a module or built-in that `config.forbidden_imports` lists.

    A listed module is forbidden with everything below it: `requests` covers `requests.adapters`,
    not `requests_html`. It is found in `import` and `from ... import` at any place (in functions,
    in `try`, under `TYPE_CHECKING`), under any alias, through relative imports, and where its name
    is a literal handed to `importlib.import_module`, `__import__`, `runpy.run_module` or
    `pkgutil.resolve_name`, themselves under any alias.

    The name of a built-in, such as `float`, forbids it in annotations (written as strings too), as
    a base class, in calls, and handed to a call as an argument. Testing for it with `isinstance`
    is allowed, and so is the name where the file binds it to something else.

    ## Why it matters

    The list says which doors a project keeps closed: a driver that would bypass the repository
    interfaces, a library that is being retired, binary floating point where money is counted.

    ## What to do

    Do without it: depend on an interface of the lattice, or use the type that the lattice names.
    """

    id: ClassVar[str] = "LLS001"
    name: ClassVar[str] = "forbidden-import"
    node_types: ClassVar[frozenset[type[ast.AST]]] = frozenset(
        {ast.Import, ast.ImportFrom, ast.Call, ast.ClassDef}
    )

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        forbidden = context.lattice.config.forbidden_imports
        if not forbidden:
            return
        builtin = frozenset(f"builtins.{name}" for name in forbidden if name in BUILTIN_NAMES)
        check = _Check(self, module, frozenset(forbidden) | builtin, builtin)
        yield from check.imports()
        yield from check.importing_calls()
        if any(module.mentions(name.removeprefix("builtins.")) for name in builtin):
            yield from check.annotations()
            yield from check.builtin_uses()


class _Check:
    """The rule at work on one file.

    `forbidden` holds dotted names; those of built-ins, `builtins.float`, are also in `builtin`.
    """

    def __init__(
        self,
        rule: ForbiddenImport,
        module: Module,
        forbidden: frozenset[str],
        builtin: frozenset[str],
    ) -> None:
        self._rule: Final = rule
        self._module: Final = module
        self._forbidden: Final = forbidden
        self._builtin: Final = builtin

    def imports(self) -> Iterator[Violation]:
        for node, _ in self._module.nodes(ast.Import, ast.ImportFrom):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._import(alias, alias.name)
            elif isinstance(node, ast.ImportFrom):
                yield from self._import_from(node)

    def _import_from(self, node: ast.ImportFrom) -> Iterator[Violation]:
        source = self._module.absolute(node)
        if not source:
            return
        if _covering(source, self._forbidden):
            yield from self._import(node, source)
            return
        for alias in node.names:
            # What is imported may be a module too.
            yield from self._import(alias, f"{source}.{alias.name}")

    def _import(self, node: ast.stmt | ast.alias | ast.expr, name: str) -> Iterator[Violation]:
        covering = _covering(name, self._forbidden)
        if covering is not None:
            reason = "it" if covering == name else f"`{covering}`"
            yield self._violation(
                node, f"`{name}` may not be imported: the lattice forbids {reason}.", covering
            )

    def importing_calls(self) -> Iterator[Violation]:
        if not any(self._module.mentions(name.rpartition(".")[2]) for name in _IMPORTERS):
            return
        for node, scope in self._module.nodes(ast.Call):
            if isinstance(node, ast.Call):
                importers = self._module.resolve(node.func, scope) & _IMPORTERS
                name = self._imported_name(node, scope) if importers else None
                if name is not None:
                    yield from self._import(node, name)

    def _imported_name(self, call: ast.Call, scope: Scope) -> str | None:
        """Absolute name that a call of an importer imports, where it is a literal."""
        name = self._literal_argument(call, scope, 0, _NAME_KEYWORDS)
        if name is None or not name.startswith("."):
            return name and name.replace(":", ".")
        package = self._literal_argument(call, scope, 1, ("package",))
        if package is None:
            return None
        bare = name.lstrip(".")
        kept = package.split(".")
        kept = kept[: len(kept) - (len(name) - len(bare) - 1)]
        return ".".join([*kept, bare] if bare else kept)

    def _literal_argument(
        self, call: ast.Call, scope: Scope, position: int, keywords: tuple[str, ...]
    ) -> str | None:
        given = [keyword.value for keyword in call.keywords if keyword.arg in keywords]
        if len(call.args) > position:
            given = [call.args[position]]
        return self._module.literal(given[0], scope) if given else None

    def annotations(self) -> Iterator[Violation]:
        for annotation, scope in self._module.annotations:
            for name, written in annotation_names(self._module, annotation, scope):
                yield from self._use(name, scope, written)

    def builtin_uses(self) -> Iterator[Violation]:
        for node, scope in self._module.nodes(ast.Call, ast.ClassDef):
            used: list[ast.expr] = []
            if isinstance(node, ast.ClassDef):
                used = node.bases
            elif isinstance(node, ast.Call):
                used = [node.func]
                if not self._module.resolve(node.func, scope) & _TYPE_TESTS:
                    used = [node.func, *node.args, *(each.value for each in node.keywords)]
            for expression in used:
                yield from self._use(expression, scope, expression)

    def _use(self, name: ast.expr, scope: Scope, written: ast.expr) -> Iterator[Violation]:
        for meaning in sorted(self._module.resolve(name, scope)):
            covering = _covering(meaning, self._builtin)
            if covering is not None:
                builtin = covering.removeprefix("builtins.")
                yield self._violation(
                    written, f"the lattice forbids the built-in `{builtin}`.", covering
                )
                return

    def _violation(
        self, node: ast.stmt | ast.alias | ast.expr, message: str, covering: str
    ) -> Violation:
        listed = covering.removeprefix("builtins.") if covering in self._builtin else covering
        hint = f"Do without `{listed}`, which `config.forbidden_imports` of the lattice lists."
        return self._rule.violation(self._module, self._module.span(node), message, hint=hint)


def _covering(name: str, forbidden: frozenset[str]) -> str | None:
    """The forbidden name that is `name` or a package around it."""
    end = len(name)
    while end > 0:
        if name[:end] in forbidden:
            return name[:end]
        end = name.rfind(".", 0, end)
    return None
