"""The policies of a lattice or of a policy file, checked before anything is enforced.

Besides the built-in policies a project can bring its own, in two forms:

    - {use: expression, name: no-print, refuses: "'print(' in text", message: "it prints.",
       passes: ["total = 1"], violates: ["print(total)"]}
    - {use: policies/no_acme.py}     # a Python file with one `Policy`, run when it is loaded

Neither loads unless it brings at least one text that passes and one that does not, and both do.
"""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import msgspec
from typing_extensions import override

from lattice_lock.core._config import read_policies
from lattice_lock.core._findings import Findings
from lattice_lock.core._lattice_file import read_lattice_file
from lattice_lock.core._section import Section
from lattice_lock.core._yaml_tree import MappingNode, compose, decode
from lattice_lock.core.expressions import Expression, Scope, evaluate, parse_expression
from lattice_lock.core.type_refs import STR
from lattice_lock.exceptions import (
    ExpressionError,
    InvalidPolicyError,
    Problem,
)
from lattice_lock.policies.base import Case, Context, Finding, Hold, Policy, Scan, Window
from lattice_lock.policies.declarations import Declared, enforce, failing_cases
from lattice_lock.policies.policy_set import PolicySet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from lattice_lock.core.schema import Lattice, PolicyDeclaration

__all__ = [
    "check_policies",
    "load_lattice_policies",
    "load_policy_file",
    "policies_of",
]

_SCOPE = Scope(variables={"text": STR, "path": STR, "source": STR, "model": STR})


_BUDGET_STEPS = 1_000_000
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class _ExpressionPolicy(Policy, frozen=True, kw_only=True):
    """A condition over the whole text, written in the lattice."""

    redacts: ClassVar[bool] = False
    holds: ClassVar[Hold] = Hold.ALL

    condition: Expression
    message: str

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        if not window.final:
            return Scan((), window.start)
        names = {
            "text": window.text,
            "path": context.path or "",
            "source": context.source or "",
            "model": str(context.model or ""),
        }
        end = len(window.text)
        if not evaluate(self.condition, names, budget=_BUDGET_STEPS + end):
            return Scan((), end)
        rule = next(iter(self.rules))
        finding = Finding(start=window.start, end=window.start, rule=rule, message=self.message)
        return Scan((finding,), end)


class _Expression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of `use: expression`."""

    name: str
    refuses: str
    message: str
    passes: tuple[str, ...]
    violates: tuple[str, ...]


def check_policies(
    declarations: Sequence[PolicyDeclaration], folder: Path | None = None
) -> PolicySet:
    """What `declarations` ask for, ready to be enforced.

    Args:
        folder: where paths of Python files are counted from; None if there can be none.

    Raises:
        InvalidPolicyError: a policy is unknown, wrongly set up, contradicts another, or brings no
            cases that show what it does; every problem with its place.
    """
    declared = [
        Declared(
            use=one.use,
            on=one.on,
            action=one.action,
            restore=one.restore,
            parameters=one.parameters,
        )
        for one in declarations
    ]
    places = {id(made): one for made, one in zip(declared, declarations, strict=True)}
    # One class for what is declared twice, so that its declarations are compared as of one policy.
    expressions: dict[_Expression, Policy] = {}
    kinds: dict[str, type[Policy]] = {}

    def custom(one: Declared) -> Policy | None:
        if one.use == "expression":
            given = msgspec.convert(dict(one.parameters), _Expression, strict=True)
            if given not in expressions:
                expressions[given] = _expression_policy(given, places[id(one)])
            return expressions[given]
        if one.use.endswith(".py"):
            if one.use not in kinds:
                kinds[one.use] = _python_policy(one.use, folder)
            return msgspec.convert(dict(one.parameters), kinds[one.use], strict=True)
        return None

    found, faults = enforce(declared, custom)
    problems = [
        Problem(
            location=declarations[fault.index].place(fault.key),
            message=fault.message,
            hint=fault.hint,
        )
        for fault in faults
    ]
    if problems:
        raise InvalidPolicyError(problems)
    return found


def policies_of(lattice: Lattice) -> PolicySet:
    """`check_policies` for a lattice, remembered while it and its Python files stay the same."""
    if not lattice.policies:
        return PolicySet()
    folder = Path(lattice.file).parent
    key = (str(folder.resolve()), lattice.digest, _written_last(lattice))
    found = _REMEMBERED.get(key)
    if found is None:
        _REMEMBERED.clear()  # one project at a time
        found = _REMEMBERED[key] = check_policies(lattice.policies, folder)
    return found


_REMEMBERED: dict[tuple[str, str, tuple[int, ...]], PolicySet] = {}


def _written_last(lattice: Lattice) -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in lattice.policy_files)


def load_policy_file(path: Path) -> PolicySet:
    """The policies of a YAML file with the key `policies`, as in a lattice.

    Raises:
        ProjectNotFoundError: there is no such file.
        LatticeError: it is not the YAML that a lattice is written in, or has other keys.
        InvalidPolicyError: as for `check_policies`.
    """
    root = compose(decode(read_lattice_file(path), str(path)), str(path))
    findings = Findings()
    section = Section(root, "the policy file", ("policies",), findings)
    declarations = read_policies(section.get("policies"), findings)
    findings.ensure_none()
    return check_policies(declarations, path.parent)


def load_lattice_policies(path: Path) -> PolicySet:
    """The policies of a lattice; what else it says may be wrong.

    Raises:
        ProjectNotFoundError, LatticeError, InvalidPolicyError: as for `load_policy_file`.
    """
    root = compose(decode(read_lattice_file(path), str(path)), str(path))
    findings = Findings()
    entries = root.entries if isinstance(root, MappingNode) else ()
    values = {key.text: value for key, value in entries}
    declarations = read_policies(values.get("policies"), findings)
    findings.ensure_none()
    return check_policies(declarations, path.parent)


def _expression_policy(given: _Expression, place: PolicyDeclaration) -> Policy:
    """The policy that an expression makes.

    Raises:
        ValueError: it cannot be read, or its texts show something else.
    """
    if not _NAME.fullmatch(given.name):
        raise ValueError(f"`{given.name}` cannot name a policy; write it like `no-print`")
    try:
        condition = parse_expression(given.refuses, scope=_SCOPE, location=place.place("refuses"))
    except ExpressionError as error:
        reasons = " ".join(f"{one.message} {one.hint or ''}".strip() for one in error.problems)
        raise ValueError(f"`refuses` of `{given.name}`: {reasons}") from error
    kind = msgspec.defstruct(
        "ExpressionPolicy",
        [],
        bases=(_ExpressionPolicy,),
        namespace={
            "name": given.name,
            "rules": {given.name: given.refuses},
            "cases": (
                *(Case(text=text) for text in given.passes),
                *(Case(text=text, rules=(given.name,)) for text in given.violates),
            ),
        },
        frozen=True,
        kw_only=True,
    )
    made = cast("Policy", kind(condition=condition, message=given.message))
    _ensure_shown(made)
    return made


def _python_policy(use: str, folder: Path | None) -> type[Policy]:
    """The policy that the Python file `use` of the project defines; the file is run.

    Raises:
        ValueError: the file cannot be run, does not define one policy, or its cases show
            something else.
    """
    if folder is None:
        raise ValueError("a file can only be named by a lattice that is a file itself")
    path = (folder / use).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("the file has to lie in the project")
    module = _run(path)
    kinds = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Policy)
        and value.__module__ == module.__name__
    ]
    if len(kinds) != 1:
        raise ValueError(f"it has to define one `Policy`, and defines {len(kinds)}")
    kind = kinds[0]
    lacking = [one for one in ("name", "rules", "cases") if not hasattr(kind, one)]
    if lacking:
        raise ValueError(f"`{kind.__name__}` has no `{'`, no `'.join(lacking)}`")
    sample = msgspec.convert(kind.sample, kind, strict=True)
    _ensure_shown(sample)
    return kind


def _run(path: Path) -> ModuleType:
    """The module that the file makes; whatever it raises is what is wrong with the policy."""
    name = f"lattice_lock_policy_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError("it is no Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module  # msgspec looks annotations up there
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError as error:
        del sys.modules[name]
        raise ValueError(f"there is no file `{path.name}` there") from error
    except Exception as error:
        del sys.modules[name]
        lines = [
            one.lineno
            for one in traceback.extract_tb(error.__traceback__)
            if one.filename == str(path)
        ]
        where = f" at line {lines[-1]}" if lines else ""
        raise ValueError(
            f"running it failed{where} with {type(error).__name__}: {error}"
        ) from error
    return module


def _ensure_shown(policy: Policy) -> None:
    """Refuse a policy that does not show what it does.

    Raises:
        ValueError: no text passes, none is refused, or one has another outcome.
    """
    if not any(case.rules for case in policy.cases):
        raise ValueError(f"`{policy.name}` brings no text that it refuses")
    if all(case.rules for case in policy.cases):
        raise ValueError(f"`{policy.name}` brings no text that passes")
    for case, found in failing_cases(policy):
        shown = case.text if len(case.text) <= _SHOWN else f"{case.text[:_SHOWN]}..."
        raise ValueError(
            f"`{policy.name}` should answer {_rules(case.rules)} to {shown!r}, and answers "
            f"{_rules(found)}"
        )


_SHOWN = 60


def _rules(rules: tuple[str, ...]) -> str:
    return ", ".join(f"`{rule}`" for rule in rules) or "nothing"
