"""The rule `blocking-call`."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from lattice_lock.sheriff.annotations import unquote
from lattice_lock.sheriff.imports import builds_names, may_import, may_import_dynamically
from lattice_lock.sheriff.module import may_mention, spelling
from lattice_lock.sheriff.rule import ModuleRule
from lattice_lock.sheriff.scopes import Alias, Declared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["BLOCKING_FUNCTIONS", "BLOCKING_PATH_METHODS", "BlockingCall"]

_TO_THREAD: Final = "Hand the function to `asyncio.to_thread`"

_HTTP_VERBS: Final = ("delete", "get", "head", "options", "patch", "post", "put", "request")

BLOCKING_FUNCTIONS: Final[dict[str, str]] = {
    "time.sleep": "Write `await asyncio.sleep(...)`.",
    **dict.fromkeys(
        (f"{client}.{verb}" for client in ("requests", "httpx") for verb in _HTTP_VERBS),
        "Use an asynchronous client.",
    ),
    **dict.fromkeys(
        (
            "httpx.stream",
            "socket.create_connection",
            "socket.getaddrinfo",
            "socket.gethostbyaddr",
            "socket.gethostbyname",
            "urllib.request.urlopen",
            "urllib.request.urlretrieve",
            "urllib3.request",
        ),
        "Use an asynchronous client, or the event loop's own methods for sockets.",
    ),
    **dict.fromkeys(
        (
            "os.popen",
            "os.system",
            "os.wait",
            "os.waitpid",
            "subprocess.call",
            "subprocess.check_call",
            "subprocess.check_output",
            "subprocess.getoutput",
            "subprocess.getstatusoutput",
            "subprocess.run",
        ),
        "Write `await asyncio.create_subprocess_exec(...)`.",
    ),
    **dict.fromkeys(
        (
            "MySQLdb.connect",
            "mysql.connector.connect",
            "psycopg.connect",
            "psycopg2.connect",
            "pymysql.connect",
            "sqlite3.connect",
        ),
        f"{_TO_THREAD}, or use an asynchronous driver.",
    ),
    **dict.fromkeys(
        (
            "builtins.input",
            "builtins.open",
            "io.open",
            "os.listdir",
            "os.makedirs",
            "os.mkdir",
            "os.open",
            "os.read",
            "os.remove",
            "os.rename",
            "os.replace",
            "os.rmdir",
            "os.scandir",
            "os.unlink",
            "os.walk",
            "os.write",
            "shutil.copy",
            "shutil.copy2",
            "shutil.copyfile",
            "shutil.copytree",
            "shutil.make_archive",
            "shutil.move",
            "shutil.rmtree",
            "shutil.unpack_archive",
        ),
        f"{_TO_THREAD}.",
    ),
}
"""Functions that wait in the thread that calls them, with what to do instead."""

BLOCKING_PATH_METHODS: Final = frozenset(
    {
        "glob",
        "iterdir",
        "mkdir",
        "open",
        "read_bytes",
        "read_text",
        "rename",
        "replace",
        "rglob",
        "rmdir",
        "touch",
        "unlink",
        "write_bytes",
        "write_text",
    }
)
"""Methods of `pathlib.Path` that wait for the disk."""

_COROUTINE: Final = re.compile(r"async[\s\\]+def\b")

_BUILT_IN: Final = tuple(
    (
        name,
        re.compile(rf"{name}\b(?<![.\w]{name})"),
        re.compile(rf"{name}\b(?<![.\w]{name})(?!\s*(?::|=(?!=)))"),
    )
    for name in ("input", "open")
)
"""Blocking built-ins by their names, and where these are no names of fields, arguments or methods.

Only in a file with assignment expressions can a colon follow a name that is given to another.
"""

_FUNCTIONS_BY_PACKAGE: Final = {
    package: {name.rpartition(".")[2] for name in BLOCKING_FUNCTIONS if name.startswith(package)}
    for package in sorted({name.partition(".")[0] for name in BLOCKING_FUNCTIONS} - {"builtins"})
}

_PATHS: Final = frozenset({"pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath"})
_PATH_MAKERS: Final = _PATHS | {"pathlib.Path.cwd", "pathlib.Path.home"}

_MAX_STEPS: Final = 20
"""Most names and `/` that are followed to learn whether an expression is a path."""


class BlockingCall(ModuleRule):
    """Reports a call within a coroutine that makes every other coroutine wait.

    Reported are, directly in the body of an `async def`,

    - `time.sleep`, `input`;
    - HTTP by `requests`, `httpx` (its functions), `urllib.request`, `urllib3.request`;
    - `socket.create_connection` and the lookups of names;
    - `subprocess.run`, `call`, `check_call`, `check_output`, `getoutput`, `getstatusoutput`,
      `os.system`, `os.popen`, `os.wait`, `os.waitpid`;
    - `connect` of `sqlite3`, `psycopg`, `psycopg2`, `pymysql`, `MySQLdb`, `mysql.connector`;
    - files: `open`, `io.open`, the functions of `os` and `shutil` that read, write, list, copy,
      move or remove, and those methods of a `pathlib.Path`.

    A path is what `Path(...)` gives, or what an annotation says is one. Functions and lambdas
    within the coroutine are left out, as they may run in a thread; so is what a function does that
    the coroutine calls.

    ## Why it matters

    An event loop runs one coroutine at a time. Where one waits in this way, everything that the
    process serves stands still, and no test of one request shows it.

    ## What to do

    Await the asynchronous counterpart, or hand the function to `asyncio.to_thread`.
    """

    id: ClassVar[str] = "LLS009"
    name: ClassVar[str] = "blocking-call"
    node_types: ClassVar[frozenset[type[ast.AST]]] = frozenset({ast.Call})

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        return self.node_types if _may_block(source) else frozenset()

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        if not _may_block(module.source):
            return
        for node, scope in module.nodes(ast.Call):
            if isinstance(node, ast.Call) and _runs_in_coroutine(scope):
                for name, hint in _blocking(module, node, scope):
                    yield self.violation(
                        module,
                        module.span(node.func),
                        f"`{name.removeprefix('builtins.')}` blocks the event loop.",
                        hint=hint,
                    )
                    break


def _may_block(source: SourceFile) -> bool:
    """Whether a file can hold what the rule reports; False is certain."""
    # Keywords cannot be written in other characters than their own.
    if "async" not in source.text or not _COROUTINE.search(source.text):
        return False
    text = spelling(source.text)
    if may_import_dynamically(source.text) or "globals" in text or "locals" in text:
        return True
    for name, bare, certain in _BUILT_IN:
        if name in text and (bare if ":=" in text else certain).search(text):
            return True
    if "pathlib" in text and any(name in text for name in BLOCKING_PATH_METHODS):
        return True
    is_building = builds_names(text)
    for package, names in _FUNCTIONS_BY_PACKAGE.items():
        if package in text and (is_building or any(name in text for name in names)):
            own = source.module.partition(".")[0] == package
            if own or may_import(text, package):
                return True
    return False


def _runs_in_coroutine(scope: Scope) -> bool:
    around: Scope | None = scope
    while around is not None and around.kind == "comprehension":
        around = around.parent
    return around is not None and around.is_coroutine


def _blocking(module: Module, call: ast.Call, scope: Scope) -> Iterator[tuple[str, str]]:
    """What blocks in a call, and what to do about it."""
    for name in sorted(module.resolve(call.func, scope)):
        hint = BLOCKING_FUNCTIONS.get(name)
        if hint is not None:
            yield name, hint
    match call.func:
        case ast.Attribute(value=value, attr=method) if method in BLOCKING_PATH_METHODS:
            if may_mention(module.source.text, "pathlib") and _is_path(module, value, scope):
                yield f"pathlib.Path.{method}", f"{_TO_THREAD}."
        case _:
            pass


def _is_path(module: Module, expression: ast.expr, scope: Scope) -> bool:
    """Whether an expression is certainly a `pathlib.Path`."""
    for _ in range(_MAX_STEPS):
        match expression:
            case ast.Call(func=func):
                return not module.resolve(func, scope).isdisjoint(_PATH_MAKERS)
            case ast.BinOp(left=left, op=ast.Div()):
                expression = left
            case ast.Name(id=name):
                match scope.lookup(name):
                    case [Declared(annotation=annotation, scope=where)]:
                        return not module.resolve(unquote(annotation), where).isdisjoint(_PATHS)
                    case [Alias(value=value, scope=where)]:
                        expression, scope = value, where
                    case _:
                        return False
            case _:
                return False
    return False
