"""Every import of a file: statements, and calls that import what a literal names."""

from __future__ import annotations

import ast
import functools
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from lattice_lock.sheriff.context import SourceFile
from lattice_lock.sheriff.literals import elements
from lattice_lock.sheriff.module import Module, parse_module, spelling
from lattice_lock.sheriff.names import BUILTIN_NAMES
from lattice_lock.sheriff.reexports import STAR, covering

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lattice_lock.sheriff.reexports import Reexports
    from lattice_lock.sheriff.scopes import Scope

__all__ = [
    "DYNAMIC_NODE_TYPES",
    "STATEMENT_NODE_TYPES",
    "ImportedName",
    "builds_names",
    "dynamic_imports",
    "may_import",
    "may_import_dynamically",
    "may_reach",
    "may_read",
    "statement_imports",
]

_Node: TypeAlias = ast.stmt | ast.alias | ast.expr

STATEMENT_NODE_TYPES: Final[frozenset[type[ast.AST]]] = frozenset({ast.Import, ast.ImportFrom})
"""What `statement_imports` asks `Module.nodes` for."""

DYNAMIC_NODE_TYPES: Final[frozenset[type[ast.AST]]] = frozenset({ast.Call, ast.Subscript})
"""What `dynamic_imports` asks `Module.nodes` for."""


class ImportedName(NamedTuple):
    """One import.

    Attributes:
        node: where it stands.
        name: absolute dotted name of the module; for `from a import b`, of `a`.
        members: for `from a import b, c`, where each stands and `a.b`, `a.c`, which may be modules.
    """

    node: _Node
    name: str
    members: tuple[tuple[ast.alias, str], ...] = ()


class _Importer(NamedTuple):
    """Where a function takes the name of the module that it imports, and of the package."""

    position: int = 0
    keywords: tuple[str, ...] = ("name", "fullname")
    package: int | None = None


_IMPORTERS: Final[Mapping[str, _Importer]] = MappingProxyType(
    {
        "builtins.__import__": _Importer(),
        "imp.find_module": _Importer(),
        "imp.load_module": _Importer(),
        "imp.load_source": _Importer(),
        "importlib.__import__": _Importer(),
        "importlib.find_loader": _Importer(),
        "importlib.import_module": _Importer(package=1),
        "importlib.machinery.PathFinder.find_spec": _Importer(),
        "importlib.machinery.SourceFileLoader": _Importer(),
        "importlib.resources.contents": _Importer(keywords=("package",)),
        "importlib.resources.files": _Importer(keywords=("anchor", "package")),
        "importlib.resources.open_binary": _Importer(keywords=("anchor", "package")),
        "importlib.resources.open_text": _Importer(keywords=("anchor", "package")),
        "importlib.resources.path": _Importer(keywords=("anchor", "package")),
        "importlib.resources.read_binary": _Importer(keywords=("anchor", "package")),
        "importlib.resources.read_text": _Importer(keywords=("anchor", "package")),
        "importlib.util.find_spec": _Importer(package=1),
        "importlib.util.spec_from_file_location": _Importer(),
        "importlib.util.spec_from_loader": _Importer(),
        "pkgutil.find_loader": _Importer(),
        "pkgutil.get_data": _Importer(keywords=("package",)),
        "pkgutil.get_loader": _Importer(keywords=("module_or_name",)),
        "pkgutil.resolve_name": _Importer(),
        "pydoc.locate": _Importer(keywords=("path",)),
        "pytest.importorskip": _Importer(keywords=("modname",)),
        "runpy.run_module": _Importer(keywords=("mod_name",)),
        "sys.modules.__getitem__": _Importer(keywords=()),
        "sys.modules.get": _Importer(keywords=()),
        "sys.modules.pop": _Importer(keywords=()),
        "sys.modules.setdefault": _Importer(keywords=()),
    }
)
"""Functions that import, find or hand out the module that one argument names."""

_EVALUATORS: Final = frozenset({"builtins.compile", "builtins.eval", "builtins.exec"})
_HANDERS_ON: Final = frozenset({"builtins.map", "functools.partial"})

_DOORS: Final = (
    *("__import__", "__builtins__", "importorskip"),
    *("load_module", "load_source", "find_module"),
)
"""Words that alone may mean an import by other means than statements."""

_FUNCTIONS: Final = (
    *("import_module", "find_spec", "find_loader", "SourceFileLoader", "resources", "spec_from_"),
    *("getattr", "vars", "__dict__"),
)
"""Words of which a file that uses `importlib` to import has at least one."""

_MODULE_TABLE: Final = (
    re.compile(r"[.'\"][\s\\]*modules\b"),
    re.compile(r"from[\s\\]+sys\b"),
    re.compile(r"vars\b(?<![.\w]vars)"),
    re.compile(r"__dict__[\s\\)]*\["),
)
"""In a file that uses `sys.modules`, however it reads it."""

_EVALUATOR_NAMES: Final = tuple(
    (name, re.compile(rf"{name}\b(?<![.\w]{name})")) for name in ("exec", "eval", "compile")
)
"""What evaluates text; parts of other words and methods of that name are none."""

_LISTED: Final = re.compile(r"[\w\s,]*")
_LIST_GOES_ON: Final = re.compile(r"\s*(?:[,)#]|as\b|\Z)|[^\S\n]*\\?\r?\n")

_STAR_IMPORT: Final = re.compile(r"import[\s\\]*\*")

_NAME_BUILDERS: Final = ("getattr", "vars", "__dict__", "globals", "locals")
"""Words of which a file has one if it reads a name that is put together."""

_MAX_NESTING: Final = 3
"""Deepest `exec` of a text that itself holds an `exec` that is read."""


@functools.lru_cache(maxsize=4)
def may_import_dynamically(text: str) -> bool:
    """Whether `dynamic_imports` can find anything in a file; False is certain."""
    text = spelling(text)
    if any(word in text for word in _DOORS):
        return True
    if any(may_import(text, module) for module in ("builtins", "pkgutil", "pydoc", "runpy")):
        return True
    if may_import(text, "importlib") and any(word in text for word in _FUNCTIONS):
        return True
    has_table = "modules" in text or "vars" in text or "__dict__" in text
    if has_table and may_import(text, "sys") and any(way.search(text) for way in _MODULE_TABLE):
        return True
    return any(name in text and bare.search(text) for name, bare in _EVALUATOR_NAMES)


@functools.lru_cache(maxsize=4)
def may_reach(source: SourceFile, forbidden: frozenset[str]) -> bool:
    """Whether a file can name what is forbidden, by whatever means; False is certain.

    Args:
        source: the file.
        forbidden: dotted names, as `forbidden_names` gives them. What another module of the
            project hands on is left out.
    """
    # A relative import does not spell the packages around the file.
    if covering(source.module, forbidden) or may_import_dynamically(source.text):
        return True
    text = spelling(source.text)
    for name in forbidden:
        package, _, last = name.rpartition(".")
        if last in text:
            if package or name in BUILTIN_NAMES or may_import(text, name):
                return True
        elif package and builds_names(text):
            return True
    return False


def may_read(source: SourceFile, handed_on: Reexports) -> bool:
    """Whether a file can read a name that a module of the project hands on; False is certain.

    Args:
        source: a file that imports by statements only.
        handed_on: what the modules hand on.
    """
    text = spelling(source.text)
    for module, names in handed_on.items():
        last = module.rpartition(".")[2]
        # A relative import does not spell the packages around the file.
        is_around = source.module == module or source.module.startswith(f"{module}.")
        if not is_around and last not in text:
            continue
        is_named = any(name in text for name in names if name != STAR) or builds_names(text)
        is_taken = is_named or (STAR in names and _STAR_IMPORT.search(text) is not None)
        if is_taken and (is_around or may_import(text, last)):
            return True
    return False


def builds_names(text: str) -> bool:
    """Whether a file can read a name that it puts together; False is certain."""
    return any(word in text for word in _NAME_BUILDERS)


def may_import(text: str, name: str) -> bool:
    """Whether a statement can import `name`, be it one of several; False is certain.

    Args:
        text: what `spelling` gives.
        name: one part of a dotted name.
    """
    if name not in text:
        return False
    # Told by its beginning, a name is found much faster than behind a word boundary.
    for found in re.finditer(rf"{name}\b(?<!\w{name})", text):
        start = text.rfind("\n", 0, found.start()) + 1
        line = text[start : found.start()]
        is_joined = text[max(start - 3, 0) : start].rstrip().endswith("\\")
        if is_joined or "import" in line or "from" in line:
            return True
        # In a list of names that goes over several lines.
        if _LISTED.fullmatch(line) and _LIST_GOES_ON.match(text, found.end()):
            return True
    return False


def statement_imports(module: Module) -> Iterator[ImportedName]:
    """What `import` and `from ... import` statements import, at any place of a file."""
    for node, _ in module.nodes(ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield ImportedName(alias, alias.name)
        elif isinstance(node, ast.ImportFrom):
            source = module.absolute(node)
            if source:
                members = tuple((alias, f"{source}.{alias.name}") for alias in node.names)
                yield ImportedName(node, source, members)


@functools.lru_cache(maxsize=1)
def dynamic_imports(module: Module) -> tuple[ImportedName, ...]:
    """What calls import, where the name is a literal or put together from literals.

    Args:
        module: the file, parsed with `DYNAMIC_NODE_TYPES`; several rules ask for the same one.
    """
    return tuple(_dynamic_imports(module, 0))


def _dynamic_imports(module: Module, nesting: int) -> Iterator[ImportedName]:
    if not may_import_dynamically(module.source.text):
        return
    for node, scope in module.nodes(ast.Call, ast.Subscript):
        if isinstance(node, ast.Subscript):
            yield from _read_from_table(module, node, scope)
        elif isinstance(node, ast.Call):
            for function in sorted(module.resolve(node.func, scope)):
                if function in _IMPORTERS:
                    for name in _names(module, node, scope, _IMPORTERS[function]):
                        yield ImportedName(node, name)
                elif function in _EVALUATORS and nesting < _MAX_NESTING:
                    yield from _evaluated(module, node, scope, nesting)
                elif function in _HANDERS_ON:
                    yield from _handed_on(module, node, scope, function)


def _read_from_table(module: Module, node: ast.Subscript, scope: Scope) -> Iterator[ImportedName]:
    """`sys.modules["name"]` where it is read."""
    if not isinstance(node.ctx, ast.Load) or isinstance(node.slice, ast.Slice):
        return
    if "sys.modules" in module.resolve(node.value, scope):
        for name in sorted(module.literals(node.slice, scope)):
            yield ImportedName(node, name)


def _names(module: Module, call: ast.Call, scope: Scope, importer: _Importer) -> Iterator[str]:
    """Absolute names that a call imports."""
    for name in sorted(_argument(module, call, scope, importer.position, importer.keywords)):
        if not name.startswith("."):
            yield name.replace(":", ".")
        elif importer.package is not None:
            packages = _argument(module, call, scope, importer.package, ("package",))
            packages |= _own_package(module, call, scope, importer.package)
            for package in sorted(packages):
                yield _absolute(name, package)


def _absolute(name: str, package: str) -> str:
    bare = name.lstrip(".")
    kept = package.split(".")
    kept = kept[: len(kept) - (len(name) - len(bare) - 1)]
    return ".".join([*kept, bare] if bare else kept)


def _given(call: ast.Call, position: int, keywords: tuple[str, ...]) -> ast.expr | None:
    if len(call.args) > position:
        return call.args[position]
    given = [keyword.value for keyword in call.keywords if keyword.arg in keywords]
    return given[0] if given else None


def _argument(
    module: Module, call: ast.Call, scope: Scope, position: int, keywords: tuple[str, ...]
) -> frozenset[str]:
    given = _given(call, position, keywords)
    return frozenset() if given is None else module.literals(given, scope)


def _own_package(module: Module, call: ast.Call, scope: Scope, position: int) -> frozenset[str]:
    """The file's own package, where it is handed on as `__package__` or `__name__`."""
    given = _given(call, position, ("package",))
    if not isinstance(given, ast.Name) or scope.owner(given.id) is not None:
        return frozenset()
    if given.id == "__package__":
        return frozenset((module.package,))
    return frozenset((module.source.module,)) if given.id == "__name__" else frozenset()


def _evaluated(
    module: Module, call: ast.Call, scope: Scope, nesting: int
) -> Iterator[ImportedName]:
    """What a text that is handed to `exec`, `eval` or `compile` imports, placed at the call."""
    for text in sorted(_argument(module, call, scope, 0, ("source",))):
        inner = parse_module(
            SourceFile(path=module.source.path, module=module.source.module, text=text.strip()),
            wanted=STATEMENT_NODE_TYPES | DYNAMIC_NODE_TYPES,
        )
        if isinstance(inner, Module):
            for found in (*statement_imports(inner), *_dynamic_imports(inner, nesting + 1)):
                yield ImportedName(call, found.name)
                yield from (ImportedName(call, name) for _, name in found.members)


def _handed_on(
    module: Module, call: ast.Call, scope: Scope, function: str
) -> Iterator[ImportedName]:
    """`partial(import_module, "name")` and `map(import_module, ["name"])`."""
    match call.args:
        case [first, second, *_] if module.resolve(first, scope) & _IMPORTERS.keys():
            given = [(second, scope)]
            if function == "builtins.map":
                given = list(elements(second, scope))
            for each, where in given:
                for name in sorted(module.literals(each, where)):
                    yield ImportedName(call, name)
        case _:
            pass
