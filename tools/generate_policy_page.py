"""Write docs/reference/policies.md from the classes of the built-in policies."""

from __future__ import annotations

import inspect
import json
import re
import sys
import typing
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from generated_file import write_or_check
from secret_scan import scan

from lattice_lock.policies.base import LONGEST_RUN, Hold
from lattice_lock.policies.discovery import policy_class, policy_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lattice_lock.policies.base import Case, Policy

__all__ = ["page"]

_SHOWN = 60
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n     +.*)*)", re.MULTILINE)
_TYPES = {
    str: "text",
    int: "whole number",
    bool: "`true` or `false`",
    Decimal: "number",
    type(None): "nothing",
}
_HOLDS = {
    Hold.NOTHING: "nothing: text passes as it comes",
    Hold.WORD: "the last word: text passes up to the last white space",
    Hold.PHRASE: "the last words, at most 300 characters",
    Hold.BLOCK: "the code block that is open; prose passes up to the last word",
    Hold.ALL: "the whole answer: it comes in one piece at its end",
}

_INTRODUCTION = f"""\
# Policies

Generated from `src/lattice_lock/policies` by `make generate`; edit those files instead.

A policy says what code, prompts and the answers of models may contain.
[How to use policies](../how-to/use-policies.md) shows them at work.

## Declarations

Policies stand under `policies` in `lattice.yaml`, or in a file of their own that has only that key
and is named by the variable `LATTICE_LOCK_POLICIES_FILE`. Those of both apply together.

```yaml
policies:
  - {{use: no-secrets}}
  - {{use: max-length, on: [prompt], characters: 20000}}
  - {{use: banned-terms, on: [prompt], action: redact, restore: true, terms: [Nightingale]}}
  - use: schema
    action: retry
    schema: {{type: object, properties: {{total: {{type: number}}}}, required: [total]}}
```

| key | meaning |
|---|---|
| `use` | required; the name of a policy below, `expression`, or the path of a Python file |
| `on` | where it looks: a list of `code`, `prompt`, `response`; left out, the policy's default |
| `action` | what is done about a finding; left out, the policy's default |
| `restore` | `true`: answers get back what `redact` took out of the prompt; default `false` |
| anything else | a parameter of the policy |

| action | what is done |
|---|---|
| `deny` | the text is refused; of a streamed answer, what stands before the finding passes |
| `redact` | a placeholder such as `[EMAIL_1]` stands in its place; never in code |
| `flag` | the text passes, and the log or Sheriff warns |
| `retry` | of answers: the same model is asked again with what was wrong, twice; then as `deny` |
| `another-model` | of answers: the next candidate is asked; where there is none, as `deny` |

A refusal is the error `PolicyViolationError` (LL-402). An answer under `retry` or `another-model`
streams only once it is whole, whatever the policies hold back.

What cannot be enforced is refused with its line when the lattice or the file is loaded: a name or
a parameter that does not exist, a place where a policy cannot look, two declarations that
contradict each other, one that would never be reached.

A policy that breaks down while it looks refuses what it could not judge, by the rule
`policy-error`. Policies that look at words hold back the last word of a stream, as it may go on; a
word of more than {LONGEST_RUN:,} characters is refused by the rule `unbroken-text`, in a stream or
not.

## Policies of your own

All of them need texts that show what the policy does, at least one that passes and one that does
not. If one of them has another outcome, nothing loads.

An **expression** over `text`, `path`, `source` and `model`, in the
[language of contracts](lattice.md#expressions), is true of what is refused. It judges whole texts,
so that a stream waits for its end, and it cannot redact.

```yaml
policies:
  - use: expression
    name: no-print
    refuses: "'print(' in text"
    message: "it prints."
    on: [code]
    passes: ["total = 1"]
    violates: ["print(total)"]
```

`source` is whose words the text is: `system`, `user`, `assistant`, `tool`, `reasoning` or
`tool_arguments`. What is not known is empty: `source` of code, `path` of anything else.

A **Python file** of the project, named by its path from the lattice, defines one `Policy` of
`lattice_lock.policies.base`, which documents what its `scan` owes; its fields are the parameters.
The file is run when the lattice is loaded, with everything that Python can do: review it as any
other code.

```yaml
policies:
  - {{use: policies/no_acme.py, on: [response], action: deny}}
```

A **policy file** holds such a list under `policies`, outside of any lattice: for a whole team, or
for programs that have none. Paths in it count from its own folder.

```bash
export LATTICE_LOCK_POLICIES_FILE=/etc/acme/policies.yaml
```

## Built-in policies

| policy | what it does | looks by default at | default action |
|---|---|---|---|
"""


def page() -> str:
    """The page: declarations, then every built-in policy in alphabetical order."""
    kinds = [kind for name in policy_names() if (kind := policy_class(name)) is not None]
    rows = "".join(
        f"| [`{kind.name}`](#{kind.name}) | {_summary(kind)} | {_names(kind.defaults)} |"
        f" `{kind.default_action}` |\n"
        for kind in kinds
    )
    return "\n".join([_INTRODUCTION + rows, *map(_section, kinds)])


def _section(kind: type[Policy]) -> str:
    parts = [
        f"### `{kind.name}`",
        inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:")[0],
        _parameters(kind),
        _facts(kind),
        "| rule | objects to |\n|---|---|\n"
        + "\n".join(f"| `{rule}` | {_cell(what)} |" for rule, what in kind.rules.items()),
        _cases(kind),
    ]
    if kind.limits:
        parts.append("Known limits:\n\n" + _items(kind.limits))
    return "\n\n".join(parts) + "\n"


def _summary(kind: type[Policy]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _parameters(kind: type[Policy]) -> str:
    fields = msgspec.structs.fields(kind)
    if not fields:
        return "It takes no parameters."
    meanings = {
        name: " ".join(text.split())
        for name, text in _ATTRIBUTE.findall(inspect.cleandoc(kind.__doc__ or ""))
    }
    rows = "\n".join(
        f"| `{field.encode_name}` | {_type(field.type)} | {_default(field)} |"
        f" {_cell(meanings[field.name])} |"
        for field in fields
    )
    return f"| parameter | value | default | meaning |\n|---|---|---|---|\n{rows}"


def _type(kind: Any) -> str:  # noqa: ANN401  # what an annotation says
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return _names(arguments)
    if origin is tuple:
        inner = _type(arguments[0])
        return "list of texts" if inner == "text" else f"list of {inner}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return (
            "any mapping" if arguments[1] is Any else f"mapping of texts to {_type(arguments[1])}"
        )
    if arguments:
        return ", or ".join(_type(one) for one in arguments if one is not type(None))
    return _TYPES.get(kind, f"`{kind}`")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return "none"
    match field.default:
        case msgspec.NODEFAULT:
            return "required"
        case None | ():
            return "none"
        case bool() as value:
            return f"`{str(value).lower()}`"
        case tuple() as values:
            return _names(values)
        case value:
            return f"`{value}`"


def _facts(kind: type[Policy]) -> str:
    where = _names(kind.subjects)
    if kind.subjects != kind.defaults:
        where += f", by default at {_names(kind.defaults)}"
    facts = [f"Looks at {where}.", f"Default action: `{kind.default_action}`."]
    if kind.redacts:
        facts.append("Its findings can be redacted.")
    if kind.everywhere:
        facts.append("It also looks at reasoning, arguments of tool calls and a provider's data.")
    if kind.needs_documents:
        facts.append("It compares answers with the texts of the prompt and of tools.")
    if "response" in kind.subjects:
        facts.append(f"A stream holds back {_HOLDS[kind.holds]}.")
    return _items(facts)


def _cases(kind: type[Policy]) -> str:
    passing = [case for case in kind.cases if not case.rules]
    violating = [case for case in kind.cases if case.rules]
    sample = json.dumps(kind.sample, ensure_ascii=False)
    with_sample = f" with {_span(sample)}" if kind.sample else ""
    return (
        f"Passes{with_sample}:\n\n{_items(map(_case, passing))}\n\n"
        f"Does not pass{with_sample}:\n\n{_items(map(_case, violating))}"
    )


def _case(case: Case) -> str:
    known = [
        f"{what} {_span(str(value))}"
        for what, value in (
            ("as", case.subject and case.subject.value),
            ("from", case.source and case.source.value),
            ("in", case.path),
            ("of", case.model),
            ("answered in", ", ".join(case.regions)),
            ("for at most", case.max_cost_usd and f"{case.max_cost_usd} USD"),
        )
        if value
    ]
    if case.documents:
        known.append(f"given {', '.join(_span(_literal(text)) for text in case.documents)}")
    text = _span(_literal(case.text)) if case.text or not known else "a call"
    objecting = f": {_names(case.rules)}" if case.rules else ""
    return f"{' '.join([text, *known])}{objecting}"


def _literal(text: str) -> str:
    """`text` as a literal, cut where it is long or might be taken for a real secret."""
    size = _SHOWN
    while True:
        shown = repr(text[:size]) + ("..." if len(text) > size else "")
        if not any(scan("", shown.encode())):
            return shown
        size = min(size, len(text)) // 2


def _span(text: str) -> str:
    """`text` as code, whatever marks of code it has itself."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{space}{text}{space}{fence}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _names(values: Iterable[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _items(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def main() -> int:
    """Write or check the page; 1 when it is stale."""
    return write_or_check("docs/reference/policies.md", page(), description=__doc__)


if __name__ == "__main__":
    sys.exit(main())
