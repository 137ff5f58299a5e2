"""What agents and people read: contracts, rules and error codes, as Markdown."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from lattice_lock.core.elements import describe_elements
from lattice_lock.errors.remedies import REMEDIES
from lattice_lock.exceptions import LatticeLockError, UsageError
from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.core.schema import Interface, Lattice, Method
    from lattice_lock.sheriff.rule import Rule

__all__ = ["contract_page", "errors_page", "explanation", "rules_page"]


def contract_page(lattice: Lattice, interface: Interface) -> str:
    """What the implementation of an interface must do, method by method."""
    parts = [
        f"# `{interface.name}`",
        interface.description or "",
        f"Implement it as class `{interface.class_name}` in `{interface.file}`.",
    ]
    if interface.depends_on:
        parts.append(f"It is given: {', '.join(f'`{name}`' for name in interface.depends_on)}.")
    for method in interface.methods.values():
        parts += _method(method)
    parts += ["## All that the lattice says of it", _elements(lattice, interface)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _method(method: Method) -> Iterator[str]:
    params = ", ".join(f"{param.name}: {param.type}" for param in method.params.values())
    yield f"## `{method.name}({params}) -> {method.returns.type or 'None'}`"
    yield method.description or ""
    rows = [f"- the caller ensures `{clause.expression.source}`" for clause in method.requires]
    rows += [f"- the result satisfies `{clause.expression.source}`" for clause in method.ensures]
    rows += [
        f"- raises `{declared.exception}` exactly when `{declared.clause.expression.source}`"
        for declared in method.raises
    ]
    yield "\n".join(rows)


def _elements(lattice: Lattice, interface: Interface) -> str:
    prefix = f"interfaces.{interface.name}."
    lines = [
        f"{path.removeprefix(prefix)}: {text}"
        for path, text in describe_elements(lattice).items()
        if path.startswith(prefix)
    ]
    return "\n".join(["```text", *lines, "```"])


def rules_page() -> str:
    """Every rule of Sheriff with the first sentence about it."""
    rows = [f"| {rule.id} | `{rule.name}` | {_summary(rule)} |" for rule in load_rules()]
    return "\n".join(
        ["# Rules of Sheriff", "", "| id | rule | what it does |", "|---|---|---|", *rows]
    )


def errors_page() -> str:
    """Every error code with its meaning."""
    rows = [
        f"| {cls.code} | `{cls.__name__}` | {_summary(cls)} | {_remedy(cls)} |"
        for cls in _errors().values()
    ]
    head = ["# Error codes", "", "| code | error | meaning | what to do |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def explanation(name: str) -> str:
    """The page of a rule, by name or identifier, or of an error code.

    Raises:
        UsageError: it is none of them.
    """
    for rule in load_rules():
        if name.lower() in {rule.name, rule.id.lower()}:
            return _rule_page(rule)
    error = _errors().get(name.upper())
    if error is not None:
        return _error_page(error)
    raise UsageError(
        f"`{name}` is neither a rule of Sheriff nor an error code.",
        hint=f"The rules are {', '.join(f'`{rule.name}`' for rule in load_rules())};"
        " error codes look like `LL-102`.",
    )


def _rule_page(rule: Rule) -> str:
    silence = "cannot be ignored."
    if rule.suppressible:
        silence = f"can be ignored in one line by `# lattice:ignore[{rule.name}] reason`."
    return f"# `{rule.name}` ({rule.id})\n\n{inspect.getdoc(type(rule))}\n\nIt {silence}\n"


def _error_page(error: type[LatticeLockError]) -> str:
    later = "may succeed later without a change" if error.retryable else "fails again as it is"
    return (
        f"# {error.code} `{error.__name__}`\n\n{inspect.getdoc(error)}\n\n"
        f"What to do: {_remedy(error)}\n\n"
        f"The same call {later}. The command line exits with {error.exit_code}.\n"
    )


def _errors() -> dict[str, type[LatticeLockError]]:
    """Every error by its code, in the order of codes."""
    found: dict[str, type[LatticeLockError]] = {}
    pending: list[type[LatticeLockError]] = [LatticeLockError]
    while pending:
        error = pending.pop()
        if "code" in vars(error):
            found[error.code] = error
        pending += error.__subclasses__()
    return dict(sorted(found.items()))


def _remedy(error: type[LatticeLockError]) -> str:
    return REMEDIES.get(error.code, "See the message.")  # another distribution may add errors


def _summary(thing: Rule | type) -> str:
    text = inspect.getdoc(thing if isinstance(thing, type) else type(thing)) or ""
    return text.partition("\n\n")[0].replace("\n", " ")
