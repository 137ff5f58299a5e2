"""Functions whose contracts stand beside them, for measuring how strong these are."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lattice_lock.gauntlet._differences import Difference
from lattice_lock.gauntlet._mutants import find_function, normal_text
from lattice_lock.gauntlet._mutations import FunctionNode
from lattice_lock.gauntlet._strength_values import Comparison
from lattice_lock.gauntlet.attached import AttachedLimits, compare_function, judge_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lattice_lock.gauntlet._strength_values import StrengthOptions
    from lattice_lock.gauntlet.attached import ContractFile
    from lattice_lock.gauntlet.verdict import TestVerdict

__all__ = ["FileSubject", "functions_of_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSubject:
    """A function of a file, with the targets that judge it: itself, its class, or both."""

    judged: ContractFile
    function: str
    text: str
    clauses: tuple[str, ...]
    options: StrengthOptions

    @property
    def name(self) -> str:
        """As reports call it."""
        return f"{self.judged.path}:{self.function}"

    @property
    def file(self) -> str:
        """Where it stands."""
        return str(self.judged.path)

    @property
    def _limits(self) -> AttachedLimits:
        limits = AttachedLimits()
        return replace(limits, max_examples=self.options.max_examples or limits.max_examples)

    async def judge(self, text: str, timeout_s: float | None = None) -> tuple[TestVerdict, ...]:
        """What the Gauntlet says of it in a text of the file."""
        limits = self._limits
        if timeout_s is not None:
            timeout_s = min(timeout_s, limits.target_timeout_s)
            limits = replace(limits, target_timeout_s=timeout_s)
        reports = await judge_files(
            [replace(self.judged, text=text)],
            seed=self.options.seed,
            limits=limits,
            allow_unsandboxed=self.options.allow_unsandboxed,
        )
        return reports[self.file].verdicts

    async def compare(self, text: str) -> Comparison:
        """An input for which it does something else in another text of the file."""
        answer = await compare_function(
            replace(self.judged, text=self.text),
            self.function,
            text,
            seed=self.options.seed,
            limits=self._limits,
            allow_unsandboxed=self.options.allow_unsandboxed,
        )
        if "difference" in answer:
            fields = {name: str(value) for name, value in answer["difference"].items()}
            difference = Difference(**fields)
            return Comparison(difference=difference, shown_input=str(answer["input"]))
        return Comparison(unknown=str(answer.get("unknown", "")))


def functions_of_files(
    files: Sequence[ContractFile], options: StrengthOptions
) -> Iterator[FileSubject]:
    """Every function that a contract or the invariants of its class judge."""
    for file in files:
        text = _decoded(file.path.read_bytes())
        tree = ast.parse(text)
        for function in _functions(file, tree):
            owner = function.rpartition(".")[0]
            targets = tuple(one for one in file.targets if one.name in {function, owner})
            yield FileSubject(
                judged=replace(file, targets=targets),
                function=function,
                text=text,
                clauses=tuple(_clauses(tree, function)),
                options=options,
            )


def _decoded(data: bytes) -> str:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return normal_text(data.decode(encoding))


def _functions(file: ContractFile, tree: ast.Module) -> list[str]:
    """Qualified names, each once, in the order of the file."""
    found: dict[str, None] = {}
    for target in file.targets:
        cls = _find_class(tree, target.name)
        if cls is None:
            found[target.name] = None
            continue
        for node in cls.body:
            if isinstance(node, FunctionNode) and _is_called(node.name):
                found[f"{target.name}.{node.name}"] = None
    return list(found)


def _is_called(name: str) -> bool:
    return name in {"__init__", "__new__"} or not name.startswith("_")


def _find_class(tree: ast.Module, name: str) -> ast.ClassDef | None:
    body: list[ast.stmt] = tree.body
    found: ast.ClassDef | None = None
    for part in name.split("."):
        inside = [node for node in body if isinstance(node, ast.ClassDef) and node.name == part]
        if not inside:
            return None
        found = inside[-1]
        body = found.body
    return found


def _clauses(tree: ast.Module, function: str) -> Iterator[str]:
    """What decorators of the function and of its class say about what comes out."""
    nodes = [find_function(tree, function), _find_class(tree, function.rpartition(".")[0])]
    for node in nodes:
        for decorator in node.decorator_list if node is not None else ():
            if not isinstance(decorator, ast.Call) or not decorator.args:
                continue
            kind = ast.unparse(decorator.func).rpartition(".")[2]
            if not kind.startswith("require"):
                texts = [_condition_text(argument) for argument in decorator.args]
                yield " if ".join(texts) if kind == "raises" else texts[0]


def _condition_text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ast.unparse(node)
