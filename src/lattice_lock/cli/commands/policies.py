"""Policies: what they are, what they say of a text, and what a change of them would do."""

from __future__ import annotations

import inspect
import json
import sys
from bisect import bisect_right
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from lattice_lock.bootstrap import project_policies
from lattice_lock.cli.output import ExitCode, OutputFormat, emit, format_option, format_table, note
from lattice_lock.cli.progress import working
from lattice_lock.core.policies import load_policy_file
from lattice_lock.exceptions import UsageError
from lattice_lock.policies.base import Action, Context, Outcome, Policy, Source, Subject, Window
from lattice_lock.policies.declarations import failing_cases
from lattice_lock.policies.discovery import policy_class, policy_names
from lattice_lock.policies.placeholders import Placeholders
from lattice_lock.policies.policy_set import Enforced, PolicySet, scan
from lattice_lock.policies.stream import judge
from lattice_lock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lattice_lock.policies.policy_set import Objection, Verdict

__all__ = ["command"]

_MAX_BYTES = 64 * 1024 * 1024
_SHOWN = 60
_policies_option = click.option(
    "--policies",
    "policy_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take the policies of this file in place of the project's.",
)


@click.group("policies")
def command() -> None:
    """Look at policies, try them on texts, and replay traffic under other ones."""


@command.command("list")
@format_option
def list_policies(output_format: OutputFormat) -> ExitCode:
    """List every built-in policy, where it looks by default, and what it does."""
    kinds = [_kind(name) for name in policy_names()]
    emit(
        {"policies": [_description(kind) for kind in kinds]},
        output_format,
        text=lambda: format_table(
            ("policy", "looks at", "by default", "action", "holds back of a stream"),
            [
                (
                    kind.name,
                    ", ".join(kind.subjects),
                    ", ".join(kind.defaults),
                    kind.default_action,
                    kind.holds,
                )
                for kind in kinds
            ],
        ),
    )
    return ExitCode.OK


@command.command("explain")
@click.argument("name")
@format_option
def explain(*, name: str, output_format: OutputFormat) -> ExitCode:
    """Say what the policy NAME objects to, what it takes, and what it is known to miss."""
    kind = policy_class(name)
    if kind is None:
        known = ", ".join(f"`{one}`" for one in policy_names())
        raise UsageError(f"There is no policy `{name}`.", hint=f"There are {known}.")
    emit(_description(kind), output_format, text=lambda: _explained(kind))
    return ExitCode.OK


@command.command("test")
@_policies_option
@format_option
def test(*, policy_file: Path | None, output_format: OutputFormat) -> ExitCode:
    """Run the cases of every policy: the project's own, and all that are built in."""
    built_in = [msgspec.convert(kind.sample, kind) for kind in map(_kind, policy_names())]
    results: list[dict[str, Any]] = [
        {
            "policy": policy.name,
            "cases": len(policy.cases),
            "failed": [
                {"text": case.text, "expected": case.rules, "found": found}
                for case, found in failing_cases(policy)
            ],
        }
        for policy in built_in
    ]
    results += [
        {"policy": one.policy.name, "cases": len(one.policy.cases), "failed": []}
        for one in _declared(policy_file).enforced  # loading them has run their cases
        if policy_class(one.policy.name) is None
    ]
    failed = any(one["failed"] for one in results)
    emit({"policies": results}, output_format, text=lambda: _tested(results))
    return ExitCode.FINDINGS if failed else ExitCode.OK


@command.command("run")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--on",
    "subject",
    type=click.Choice([one.value for one in Subject]),
    help="What the files hold; by default code for `.py`, and otherwise an answer.",
)
@click.option(
    "--policy",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this policy, with its defaults if none is declared; may be repeated.",
)
@_policies_option
@click.option("--redacted", is_flag=True, help="Print what may pass of each text.")
@format_option
def run(
    *,
    files: tuple[Path, ...],
    subject: str | None,
    names: tuple[str, ...],
    policy_file: Path | None,
    redacted: bool,
    output_format: OutputFormat,
) -> ExitCode:
    """Judge FILES by the project's policies; `-` reads standard input.

    Without a lattice or a policy file, every built-in policy that needs no parameters looks. Exits
    with 1 where any of them objects.
    """
    policies = _chosen(_declared(policy_file), names) if names else _policies(policy_file)
    results = []
    with working("Reading ...") as say:
        for path in files:
            say(f"Reading {path} ...")
            text = _read(path)
            about = Subject(subject) if subject else _subject(path)
            context = Context(subject=about, path=_in_project(path))
            verdict = judge(text, policies.on(about), context, Placeholders())
            found, _ = scan(policies.on(about), Window(text), context)
            found.sort(key=lambda one: (one.finding, one.policy))
            results.append(_result(path, about, text, verdict, found))
    if redacted and output_format == "text":
        for one in results:
            click.echo(one["text"], nl=False)
    else:
        emit({"files": results}, output_format, text=lambda: _report(results))
    objected = any(one["findings"] for one in results)
    return ExitCode.FINDINGS if objected else ExitCode.OK


@command.command("replay")
@click.argument("log", type=click.Path(path_type=Path, allow_dash=True))
@_policies_option
@format_option
def replay(*, log: Path, policy_file: Path | None, output_format: OutputFormat) -> ExitCode:
    """Judge the recorded traffic of LOG anew, and show what would change.

    LOG has a JSON object a line: `text` with `subject` (code, prompt, response), or a chat request
    with `messages`, or an answer with `response`; `outcome` says what was decided then. Where that
    is missing, `--policies` is compared with the project's. Exits with 1 where anything changes.
    """
    new = _policies(policy_file)
    old = _policies(None) if policy_file is not None else PolicySet()
    changes: list[dict[str, object]] = []
    counts: Counter[str] = Counter()
    with working("Replaying ...") as say:
        for number, record in _records(log):
            say(f"Replaying line {number} ...")
            for context, text in _recorded_texts(record, number, log):
                verdict = _judged(text, new, context)
                recorded = record.get("outcome")
                before = (
                    Outcome(recorded)
                    if recorded is not None
                    else _judged(text, old, context).outcome
                )
                counts[f"{before.value} -> {verdict.outcome.value}"] += 1
                if before is not verdict.outcome:
                    changes.append(_change(number, context.subject, before, verdict))
    emit(
        {"texts": sum(counts.values()), "outcomes": dict(counts), "changes": changes},
        output_format,
        text=lambda: _replayed(counts, changes),
    )
    return ExitCode.FINDINGS if changes else ExitCode.OK


def _kind(name: str) -> type[Policy]:
    kind = policy_class(name)
    if kind is None:
        raise UsageError(f"There is no policy `{name}`.")
    return kind


def _policies(path: Path | None) -> PolicySet:
    """The policies of a file or of the project; else all that need no parameters and no texts."""
    found = _declared(path)
    if found or path is not None or Path("lattice.yaml").is_file():
        return found
    found_by_default = (_default(name) for name in policy_names())
    return PolicySet(
        tuple(
            one
            for one in found_by_default
            if one is not None and not one.policy.needs_documents  # a file brings none
        )
    )


def _declared(path: Path | None) -> PolicySet:
    return project_policies(Settings.load()) if path is None else load_policy_file(path)


def _default(name: str) -> Enforced | None:
    kind = _kind(name)
    try:
        policy = msgspec.convert({}, kind)
    except msgspec.ValidationError:
        return None
    return Enforced(policy=policy, subjects=kind.defaults, action=kind.default_action)


def _chosen(declared: PolicySet, names: Sequence[str]) -> PolicySet:
    """Those that are named; a built-in one that is not declared looks everywhere it can.

    Raises:
        UsageError: there is no such policy, or it needs parameters.
    """
    chosen: list[Enforced] = []
    for name in names:
        found = [one for one in declared.enforced if one.policy.name == name]
        if not found:
            default = _default(name)
            if default is None:
                raise UsageError(
                    f"`{name}` needs parameters.",
                    hint="Declare it in a policy file, and name that with `--policies`.",
                )
            everywhere = msgspec.structs.replace(default, subjects=default.policy.subjects)
            found = [everywhere]
        chosen += found
    return PolicySet(tuple(chosen))


def _in_project(path: Path) -> str:
    """`path` as the patterns of policies write it: from the working folder, where it lies there."""
    folder = Path.cwd()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _subject(path: Path) -> Subject:
    return Subject.CODE if path.suffix in {".py", ".pyi"} else Subject.RESPONSE


def _read(path: Path) -> str:
    """The text of a file or of standard input; what is no UTF-8 is replaced.

    Raises:
        UsageError: it cannot be read, or is too long.
    """
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror}.") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"`{path}` is longer than {_MAX_BYTES // 1024 // 1024} MiB.")
    return content.decode(errors="replace")


def _result(
    path: Path, subject: Subject, text: str, verdict: Verdict, found: Sequence[Objection]
) -> dict[str, Any]:
    lines = [0]
    lines += [at + 1 for at, character in enumerate(text) if character == "\n"]
    return {
        "file": str(path),
        "subject": subject,
        "outcome": verdict.outcome,
        "findings": [_fields(one, lines) for one in found],
        "text": verdict.text,
    }


def _fields(objection: Objection, lines: Sequence[int]) -> dict[str, object]:
    finding = objection.finding
    line = bisect_right(lines, finding.start)
    return {
        "line": line,
        "column": finding.start - lines[line - 1] + 1,
        "policy": objection.policy,
        "rule": finding.rule,
        "action": objection.action,
        "severity": finding.severity,
        "start": finding.start,
        "end": finding.end,
        "message": finding.message,
        "fix": finding.fix,
    }


def _report(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"{one['file']}:{found['line']}:{found['column']}: {found['action']} "
        f"[{found['policy']}/{found['rule']}] {found['message']}"
        + (f" {found['fix']}" if found["fix"] else "")
        for one in results
        for found in one["findings"]
    ]
    counts = Counter(str(one["outcome"].value) for one in results)
    summary = ", ".join(f"{counts[one]} {_CALLED[one]}" for one in _CALLED if counts[one])
    return "\n".join([*lines, f"{len(results)} texts: {summary}."])


_CALLED = {
    Outcome.DENY.value: "refused",
    Outcome.REDACT.value: "redacted",
    Outcome.FLAG.value: "flagged",
    Outcome.ALLOW.value: "allowed",
}


def _description(kind: type[Policy]) -> dict[str, object]:
    return {
        "name": kind.name,
        "summary": (kind.__doc__ or "").strip().splitlines()[0],
        "subjects": kind.subjects,
        "defaults": kind.defaults,
        "action": kind.default_action,
        "redacts": kind.redacts,
        "holds": kind.holds,
        "rules": dict(kind.rules),
        "parameters": [field.name for field in msgspec.structs.fields(kind)],
        "limits": kind.limits,
    }


def _explained(kind: type[Policy]) -> str:
    passing = [case for case in kind.cases if not case.rules]
    violating = [case for case in kind.cases if case.rules]
    parts = [
        inspect.cleandoc(kind.__doc__ or ""),
        (
            f"Looks at {', '.join(kind.subjects)}; by default at {', '.join(kind.defaults)}, to "
            f"{kind.default_action.value}. Holds back of a stream: {kind.holds.value}."
        ),
        format_table(("rule", "objects to"), sorted(kind.rules.items())),
        "Passes:\n" + "\n".join(f"  {_shown(case.text)}" for case in passing),
        "Does not pass:\n"
        + "\n".join(f"  {_shown(case.text)}  [{', '.join(case.rules)}]" for case in violating),
    ]
    if kind.limits:
        parts.append("Known limits:\n" + "\n".join(f"  {limit}" for limit in kind.limits))
    return "\n\n".join(parts)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _tested(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"{one['policy']}: {_shown(case['text'])} should answer {_named(case['expected'])}, "
        f"and answers {_named(case['found'])}."
        for one in results
        for case in one["failed"]
    ]
    cases = sum(one["cases"] for one in results)
    lines.append(f"{len(results)} policies, {cases} cases, {len(lines)} failed.")
    return "\n".join(lines)


def _named(rules: Iterable[str]) -> str:
    return ", ".join(f"`{rule}`" for rule in rules) or "nothing"


def _records(log: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every record with its line number.

    Raises:
        UsageError: a line is no JSON object.
    """
    for number, line in enumerate(_read(log).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{log}:{number}: this is no JSON: {error}.") from error
        if not isinstance(record, dict):
            raise UsageError(f"{log}:{number}: each line has to be a JSON object.")
        yield number, record


def _recorded_texts(
    record: dict[str, Any], number: int, log: Path
) -> Iterator[tuple[Context, str]]:
    """The texts of a record, with what is known of them.

    Raises:
        UsageError: there is none, or it is none that can be read.
    """
    found: list[tuple[Subject, Source | None, str]] = []
    try:
        if record.get("outcome") is not None:
            Outcome(record["outcome"])
        if "text" in record:
            source = Source(record["source"]) if "source" in record else None
            found.append((Subject(record["subject"]), source, _text(record["text"])))
        for message in record.get("messages", ()):
            source = Source(_ROLES.get(message["role"], message["role"]))
            found += [(Subject.PROMPT, source, text) for text in _contents(message.get("content"))]
        if "response" in record:
            for text in _contents(record["response"]):
                found.append((Subject.RESPONSE, Source.ASSISTANT, text))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{log}:{number}: {type(error).__name__}: {error}.",
            hint="`lattice-lock policies replay --help` says what a line has.",
        ) from error
    if not found:
        note(f"{log}:{number}: no text in this line.")
    given = tuple(
        text
        for subject, source, text in found
        if subject is Subject.PROMPT and source is not Source.ASSISTANT
    )
    for subject, source, text in found:
        yield Context(subject=subject, source=source, documents=given), text


_ROLES = {"developer": Source.SYSTEM, "function": Source.TOOL}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("`text` is no text")
    return value


def _judged(text: str, policies: PolicySet, context: Context) -> Verdict:
    looking = policies.on(context.subject)
    if context.subject is Subject.RESPONSE and context.source in _UNREAD:
        looking = tuple(one for one in looking if one.policy.everywhere)
    return judge(text, looking, context, Placeholders())


_UNREAD = {Source.REASONING, Source.TOOL_ARGUMENTS}


def _contents(content: object) -> Iterator[str]:
    """The texts of a message's content, as chat protocols write it."""
    match content:
        case str():
            yield content
        case list():
            for part in content:
                yield from _contents(part)
        case {"text": str(text)}:
            yield text
        case {"content": inner}:
            yield from _contents(inner)
        case {"choices": list(choices)}:
            yield from _contents([choice.get("message") for choice in choices])


def _change(number: int, subject: Subject, before: Outcome, verdict: Verdict) -> dict[str, object]:
    rules = {f"{one.policy}/{one.finding.rule}": one.action for one in verdict.objections}
    return {
        "line": number,
        "subject": subject,
        "before": before,
        "after": verdict.outcome,
        "rules": sorted(rules),
        "retries": any(one in {Action.RETRY, Action.ANOTHER_MODEL} for one in rules.values()),
    }


def _replayed(counts: Counter[str], changes: Sequence[dict[str, Any]]) -> str:
    table = format_table(
        ("line", "subject", "before", "after", "rules"),
        [
            (
                one["line"],
                one["subject"].value,
                one["before"].value,
                one["after"].value,
                ", ".join(one["rules"]) or "none",
            )
            for one in changes
        ],
    )
    total = sum(counts.values())
    summary = f"{total} texts, {len(changes)} would change."
    return f"{table}\n{summary}" if changes else summary
