"""From a model's reply to a method body, and from a body to the file that holds it.

Nothing of a reply is ever run here: it is parsed, and what is kept is written anew from its
syntax tree. A comment of the model's, such as one that silences a rule, is therefore lost on the
way, and so is every invisible character.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from lattice_lock.core.bodies import find_method

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.core.schema import Interface, Method

__all__ = ["MAX_REPLY_CHARACTERS", "CandidateBody", "Unusable", "extract_body", "splice"]

MAX_REPLY_CHARACTERS: Final = 32 * 1024
"""How much of a reply is read; what follows is cut off."""

_MAX_TRIES: Final = 12
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_FENCE = re.compile(r"[ \t>]*(?P<run>`{3,}|~{3,})(?P<info>.*)")
_CODE_START = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class|from|import|@)\b", re.MULTILINE)
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateBody:
    """The body of a method as a model proposes it.

    Attributes:
        text: its statements without indentation, formatting normalised.
        imports: statements outside the method that bring names into its scope.
    """

    text: str
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a reply cannot be tried, worded for whoever wrote it."""

    reason: str


def extract_body(reply: str, interface: Interface, method: Method) -> CandidateBody | Unusable:
    """The body of `method` that a reply proposes.

    Code is looked for in fenced blocks of any kind, closed or not, then in the whole text; the
    first usable one counts. It may be a class, a function with or without `self`, or bare
    statements. What follows a syntax error is cut off.
    """
    text = _THOUGHTS.sub("", reply[:MAX_REPLY_CHARACTERS].lstrip("\ufeff"))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    problem = Unusable("the reply holds no Python code")
    has_code = False
    for block in _code_blocks(text):
        for tree in _parse_leniently(block):
            found = _body_in(tree, interface, method)
            if isinstance(found, CandidateBody):
                return found
            if not has_code:
                problem, has_code = found, True
    return problem


def splice(
    source: str, interface: Interface, method: Method, body: CandidateBody
) -> str | Unusable:
    """`source` with the body of `method` replaced; all other text stays as it is.

    A docstring stays. The body's imports become its first statements, so that they change nothing
    for the rest of the file; those that the file makes itself are left out.
    """
    place = f"`{interface.class_name}.{method.name}`"
    function = find_method(source, interface.class_name, method.name)
    if function is None:
        return Unusable(f"{place} is not in `{interface.file}`")
    present = {ast.unparse(one) for node in ast.parse(source).body for one in _single_imports(node)}
    imports = [statement for statement in body.imports if statement not in present]
    statements = "\n".join([*imports, body.text])
    result = _replace_statements(source, function, statements)
    placed = find_method(result, interface.class_name, method.name)
    expected = [ast.dump(node) for node in ast.parse(statements).body]
    if placed is None or [ast.dump(node) for node in _without_docstring(placed)] != expected:
        return Unusable(f"the body cannot be written into {place} without changing its meaning")
    return result


def _code_blocks(text: str) -> Iterator[str]:
    """Contents of fenced blocks in order, then the text without fence lines."""
    fence = ""
    block: list[str] = []
    everything: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.fullmatch(line)
        if match is None and fence and line.rstrip().endswith(fence):
            block.append(line.rstrip().removesuffix(fence))  # closed at the end of a code line
            everything.append(block[-1])
            yield "\n".join(block)
            fence, block = "", []
        elif match is None:
            everything.append(line)
            if fence:
                block.append(line)
        else:
            if block:
                yield "\n".join(block)
            closes = fence and match["run"].startswith(fence) and not match["info"].strip()
            fence, block = "" if closes else match["run"], []
    if block:
        yield "\n".join(block)
    yield "\n".join(everything)


def _parse_leniently(block: str) -> Iterator[ast.Module]:
    """What parses of a block, and of it from its first line of code on; whole texts first."""
    start = _CODE_START.search(block)
    texts = [block] if start is None or not start.start() else [block, block[start.start() :]]
    texts.extend(text.expandtabs(4) for text in tuple(texts) if "\t" in text)
    for tries in (1, _MAX_TRIES):
        for text in texts:
            tree = _parse_beginning(textwrap.dedent(text).strip("\n"), tries)
            if tree is not None and tree.body:
                yield tree


def _parse_beginning(text: str, tries: int) -> ast.Module | None:
    """The tree of as many leading lines as parse; each try but the first cuts some off."""
    for _ in range(tries):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the reply's own literals
                return ast.parse(text)
        except SyntaxError as error:
            lines = text.split("\n")
            cut = min(error.lineno or 1, len(lines)) - 1
            if cut < 1:
                return None
            text = "\n".join(lines[:cut])
        except (ValueError, RecursionError, MemoryError):
            return None
    return None


def _body_in(tree: ast.Module, interface: Interface, method: Method) -> CandidateBody | Unusable:
    functions = list(_functions_in(tree, interface))
    named = [function for function in functions if function.name == method.name]
    if named:
        function = named[-1]
        if isinstance(function, ast.AsyncFunctionDef):
            return Unusable(f"`{method.name}` must be a plain `def`, not `async def`")
        given = _parameters(function)
        if given != list(method.params):
            wanted = ", ".join(method.params)
            return Unusable(
                f"the parameters of `{method.name}` are ({', '.join(given)}), not ({wanted})"
            )
        return _normalised(_without_docstring(function), tree)
    bare = [node for node in tree.body if not _is_import(node)]
    returns_nothing = method.returns.type is None and bare and not functions
    if returns_nothing or any(_leaves(node) for node in bare):
        return _normalised(bare, tree)
    if functions:
        names = ", ".join(dict.fromkeys(f"`{function.name}`" for function in functions))
        return Unusable(f"the reply defines {names}, not `{method.name}`")
    return Unusable(f"the reply holds no body of `{method.name}`")


def _functions_in(tree: ast.Module, interface: Interface) -> Iterator[_Function]:
    """Functions of the module, then of its classes, those of the implementation last."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    classes.sort(key=lambda node: node.name == interface.class_name)
    for body in (tree.body, *(node.body for node in classes)):
        yield from (
            node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )


def _parameters(function: _Function) -> list[str]:
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names.extend(f"*{one.arg}" for one in (arguments.vararg, arguments.kwarg) if one is not None)
    return names[1:] if names[:1] == ["self"] else names


def _leaves(statement: ast.stmt) -> bool:
    """Whether a statement holds a `return` or `raise` of its own, not of a nested function's."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return | ast.Raise):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _normalised(statements: Sequence[ast.stmt], tree: ast.Module) -> CandidateBody | Unusable:
    if all(_is_placeholder(statement) for statement in statements):
        return Unusable("the body is empty")
    module = ast.Module(body=list(statements), type_ignores=[])
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.body = _without_docstring(node) or [ast.Pass()]
    try:
        text = _without_doubled_parentheses(ast.unparse(module))
        return CandidateBody(text=text, imports=tuple(_imports_for(module, tree)))
    except _UNPARSABLE:
        return Unusable("the body cannot be read: it is nested too deeply")


def _is_placeholder(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass)


def _imports_for(module: ast.Module, tree: ast.Module) -> Iterator[str]:
    """The reply's module-level imports of names that the body uses, one statement for each."""
    used = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    for node in tree.body:
        for one in _single_imports(node):
            alias = one.names[0]
            if (alias.asname or alias.name.partition(".")[0]) in used:
                yield ast.unparse(one)


def _single_imports(node: ast.stmt) -> Iterator[ast.Import | ast.ImportFrom]:
    """An import statement as one statement for each name; nothing for other statements."""
    if isinstance(node, ast.Import):
        yield from (ast.Import(names=[alias]) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield ast.ImportFrom(module=node.module, names=[alias], level=node.level)


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _without_docstring(node: _Function | ast.ClassDef) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body


def _without_doubled_parentheses(text: str) -> str:
    """`sum((x for x in y))`, as `ast.unparse` writes it, becomes `sum(x for x in y)`."""
    lines = text.encode().split(b"\n")
    marks: list[tuple[int, int]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
            inner = node.args[0]
            if isinstance(inner, ast.GeneratorExp) and inner.end_col_offset and inner.end_lineno:
                marks.append((inner.lineno, inner.col_offset))
                marks.append((inner.end_lineno, inner.end_col_offset - 1))
    for line, column in sorted(marks, reverse=True):
        content = lines[line - 1]
        lines[line - 1] = content[:column] + content[column + 1 :]
    result = b"\n".join(lines).decode()
    try:
        same = ast.dump(ast.parse(result)) == ast.dump(ast.parse(text))
    except SyntaxError:
        same = False
    return result if same else text


def _replace_statements(source: str, function: _Function, statements: str) -> str:
    """Put `statements` where those of `function` stand, with their indentation and line ends."""
    # Columns of the tree count bytes; lines end where Python says, while `splitlines` knows more.
    lines = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", source.encode())
    old = _without_docstring(function)
    if old:
        first, column = _first_line(old[0]), old[0].col_offset
        last = old[-1].end_lineno or first
    else:  # nothing but a docstring: go on behind it
        first = last = function.body[0].end_lineno or function.lineno
        column = function.body[0].end_col_offset or 0
    before, old_last = lines[first - 1][:column], lines[last - 1]
    end = old_last[len(old_last.rstrip(b"\r\n")) :]
    newline = lines[function.lineno - 1][len(lines[function.lineno - 1].rstrip(b"\r\n")) :] or b"\n"
    indent = _indentation(lines, function)
    text = textwrap.indent(statements, indent.decode()).encode().replace(b"\n", newline)
    if before.strip(b" \t"):  # behind a colon, a docstring or a semicolon
        text = before.rstrip(b" \t;") + newline + text
    return b"".join([*lines[: first - 1], text + end, *lines[last:]]).decode()


def _first_line(statement: ast.stmt) -> int:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return min(node.lineno for node in (statement, *statement.decorator_list))
    return statement.lineno


def _indentation(lines: Sequence[bytes], function: _Function) -> bytes:
    """White space before the statements of `function`, as the file has it or as is usual."""
    first = function.body[0]
    before = lines[_first_line(first) - 1][: first.col_offset]
    if not before.strip(b" \t"):
        return before
    return lines[function.lineno - 1][: function.col_offset] + b"    "
