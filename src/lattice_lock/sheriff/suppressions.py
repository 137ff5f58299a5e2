"""Suppression comments: `# lattice:ignore[rule-name] until=2027-01-31 owner=anna reason`.

`until` and `owner` may be left out; they stand before the reason, in any order. The date is the
last day on which the comment counts. What a comment means does not depend on the day it is read:
`lattice_lock.sheriff.audit` compares it with a date.

A comment at the end of a line covers what is reported on that line. On the first or the last line
of a statement that spans several lines it covers the whole statement; of a compound statement
(`def`, `class`, `if`) that is the header, not the body. A comment on a line of its own belongs to
the next line of code. Comments are found with Python's tokenizer, so that strings are never
mistaken for them.
"""

from __future__ import annotations

import difflib
import re
import tokenize
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.sheriff.file_names import printable_name
from lattice_lock.sheriff.fixes import Edit, Fix
from lattice_lock.sheriff.module import Span
from lattice_lock.sheriff.rule import Complaint, Violation

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from lattice_lock.sheriff.module import Module

__all__ = ["Suppression", "apply_suppressions"]

_OPENING: Final = re.compile(r"#+\s*lattice\s*[:-]\s*ignore", re.IGNORECASE)
_WELL_FORMED: Final = re.compile(r"# ?lattice:ignore\[(?P<rules>[^\[\]]*)\](?P<reason>.*)")
_MISSPELT: Final = re.compile(
    r"#+\s*lattice\s*[:-]\s*ignore\s*\[(?P<rules>[\w\s,-]+)\]", re.IGNORECASE
)
_RULE_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
_FIELD: Final = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>\S*)\s*")
_MISPLACED_FIELD: Final = re.compile(r"(?<!\S)(?P<name>until|owner)=", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OWNER: Final = re.compile(r"@?\w[\w.+/@-]*")
"""A name, an address or a team, such as `anna`, `anna@example.com` or `@shop/payments`."""

_FORM: Final = "Write `# lattice:ignore[rule-name] until=2027-01-31 owner=anna reason`."
_NEXT_COMMENT: Final = re.compile(r"\s#\s*[A-Za-z]")
"""Where the reason ends and another tool's comment begins; `#123` belongs to the reason."""

_BETWEEN_STATEMENTS: Final = frozenset(
    {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """One rule silenced by one comment, for the audit report.

    Attributes:
        span: where the comment stands.
        excerpt: the line on which it stands.
        owner: who answers for it, None where it does not say.
        until: last day on which it counts, None for always.
        silenced: the violations that it silenced, at least one.
    """

    file: str
    span: Span
    excerpt: str
    rule: str
    reason: str
    owner: str | None = None
    until: date | None = None
    silenced: tuple[Violation, ...]

    @property
    def line(self) -> int:
        """Line of the comment."""
        return self.span.line

    def is_expired(self, today: date) -> bool:
        """Whether it no longer counts."""
        return self.until is not None and self.until < today

    def to_dict(self) -> dict[str, str | int | None]:
        """The fields of the report as plain JSON values."""
        return {
            "file": printable_name(self.file),
            "line": self.line,
            "rule": self.rule,
            "reason": self.reason,
            "owner": self.owner,
            "until": None if self.until is None else self.until.isoformat(),
            "suppressed": len(self.silenced),
        }


class _Comment(NamedTuple):
    text: str
    span: Span
    lines: range
    """The lines that it covers."""


class _Directive(NamedTuple):
    text: str
    span: Span
    lines: range
    rules: tuple[str, ...]
    reason: str
    owner: str | None
    until: date | None


def apply_suppressions(
    module: Module, violations: Sequence[Violation], rules: Mapping[str, bool]
) -> tuple[list[Violation], list[Suppression], list[Complaint]]:
    """Sort out what the comments of a file silence.

    Args:
        module: the file.
        violations: what was found in it.
        rules: every rule name, and whether that rule may be suppressed.

    Returns:
        The violations that remain, the suppressions that were used, and what is wrong with others.
    """
    if "lattice" not in module.source.text.lower():
        return list(violations), [], []
    by_rule: dict[str, list[Violation]] = {}
    for violation in sorted(violations, key=_line):
        by_rule.setdefault(violation.rule, []).append(violation)
    silenced: set[int] = set()
    used: list[Suppression] = []
    complaints: list[Complaint] = []
    for directive in _directives(module, complaints):
        for rule in directive.rules:
            reported = by_rule.get(rule, [])
            first = bisect_left(reported, directive.lines.start, key=_line)
            hits = reported[first : bisect_left(reported, directive.lines.stop, key=_line)]
            complaint = _complaint(module, directive, rule, rules, used=bool(hits))
            if complaint is not None:
                complaints.append(complaint)
                continue
            silenced.update(map(id, hits))
            used.append(
                Suppression(
                    file=module.source.path,
                    span=directive.span,
                    excerpt=module.excerpt(directive.span.line),
                    rule=rule,
                    reason=directive.reason,
                    owner=directive.owner,
                    until=directive.until,
                    silenced=tuple(hits),
                )
            )
    return [v for v in violations if id(v) not in silenced], used, complaints


def _line(violation: Violation) -> int:
    return violation.line


def _complaint(
    module: Module, directive: _Directive, rule: str, rules: Mapping[str, bool], *, used: bool
) -> Complaint | None:
    if rule not in rules:
        allowed = [name for name, may in rules.items() if may]
        known = ", ".join(f"`{name}`" for name in allowed)
        return Complaint(
            directive.span,
            f"there is no rule `{rule}`.",
            f"Rules to ignore are {known}.",
            _correction(directive, rule, difflib.get_close_matches(rule, allowed)),
        )
    if not rules[rule]:
        return Complaint(
            directive.span,
            f"`{rule}` cannot be ignored.",
            "Remove the comment and mend what the rule reports.",
            _removal(module, directive, rule, certain=False),
        )
    if not used:
        return Complaint(
            directive.span,
            f"nothing here breaks `{rule}`, so this comment ignores nothing.",
            "Remove the comment.",
            _removal(module, directive, rule, certain=True),
        )
    return None


def _correction(directive: _Directive, rule: str, close: Sequence[str]) -> Fix | None:
    """The comment with the one rule whose name is like `rule`."""
    if len(close) != 1:
        return None
    names = [close[0] if name == rule else name for name in directive.rules]
    return Fix(title=f"Ignore `{close[0]}` instead", edits=(_listing(directive, names),))


def _removal(module: Module, directive: _Directive, rule: str, *, certain: bool) -> Fix:
    """The comment without a rule; no comment where that was its only one."""
    others = [name for name in directive.rules if name != rule]
    if others:
        edit = _listing(directive, others)
        return Fix(title=f"Do not ignore `{rule}`", edits=(edit,), certain=certain)
    edit = _deletion(module, directive)
    return Fix(title=f"Remove the comment that ignores `{rule}`", edits=(edit,), certain=certain)


def _listing(directive: _Directive, names: Sequence[str]) -> Edit:
    start, end = directive.text.index("[") + 1, directive.text.index("]")
    line, column = directive.span.line, directive.span.column
    return Edit(line, column + start, line, column + end, ", ".join(dict.fromkeys(names)))


def _deletion(module: Module, directive: _Directive) -> Edit:
    """Takes out the comment, with its line where nothing else stands there."""
    number, lines = directive.span.line, module.lines
    line = lines[number - 1]
    start = directive.span.column - 1
    opening = directive.text.index("]") + 1
    following = _NEXT_COMMENT.search(directive.text, opening)
    end = start + (following.start() if following else len(directive.text))
    before, after = line[:start], line[end:]
    if after.strip():
        # Another tool's comment takes its place.
        return Edit(number, start + 1, number, end + len(after) - len(after.lstrip()) + 1, "")
    if before.strip():
        return Edit(number, len(before.rstrip()) + 1, number, len(line) + 1, "")
    if number < len(lines):
        return Edit(number, 1, number + 1, 1, "")
    if number == 1:
        return Edit(1, 1, 1, len(line) + 1, "")
    # The file does not end in a line break, and is to stay so.
    return Edit(number - 1, len(lines[number - 2]) + 1, number, len(line) + 1, "")


def _directives(module: Module, complaints: list[Complaint]) -> Iterator[_Directive]:
    """The valid comments; what is wrong with the others goes to `complaints`."""
    try:
        comments = list(_comments(module))
    except (tokenize.TokenError, SyntaxError):
        # Seen only where the pure-Python tokenizer and the parser disagree about a file.
        complaints.append(
            Complaint(
                Span(1, 1, 1, 1),
                "Python's tokenizer cannot read the comments of this file.",
                "Remove unusual control characters from it.",
            )
        )
        return
    for comment in comments:
        parsed = _parse(comment)
        if isinstance(parsed, Complaint):
            complaints.append(parsed)
        else:
            yield parsed


def _parse(comment: _Comment) -> _Directive | Complaint:
    match = _WELL_FORMED.match(comment.text)
    names = [name.strip() for name in match["rules"].split(",")] if match else []
    if match is None or not all(_RULE_NAME.fullmatch(name) for name in names):
        return Complaint(
            comment.span,
            "this comment does not say what it ignores.",
            "Write `# lattice:ignore[rule-name] reason`.",
            _respelling(comment),
        )
    text = _NEXT_COMMENT.split(match["reason"], maxsplit=1)[0].strip()
    fields: dict[str, str] = {}
    while field := _FIELD.match(text):
        name, value = field.groups()
        problem = _field_problem(name, value, known=fields)
        if problem is not None:
            return Complaint(comment.span, problem, _FORM)
        fields[name] = value
        text = text[field.end() :]
    if misplaced := _MISPLACED_FIELD.search(text):
        return Complaint(
            comment.span,
            f"`{misplaced['name']}=` stands in the reason, where it does not count.",
            f"Put it directly after the bracket. {_FORM}",
        )
    if not any(character.isalnum() for character in text):
        return Complaint(
            comment.span,
            f"this comment ignores {', '.join(names)} without a reason.",
            "Say after the bracket why the rule may be broken here.",
        )
    until = date.fromisoformat(fields["until"]) if "until" in fields else None
    rules = tuple(dict.fromkeys(names))
    return _Directive(
        comment.text, comment.span, comment.lines, rules, text, fields.get("owner"), until
    )


def _respelling(comment: _Comment) -> Fix | None:
    """The comment in the one spelling that counts, where all that is wrong is the spelling."""
    match = _MISSPELT.match(comment.text)
    if match is None:
        return None
    names = [name.strip().lower().replace("_", "-") for name in match["rules"].split(",")]
    if not all(_RULE_NAME.fullmatch(name) for name in names):
        return None
    line, column = comment.span.line, comment.span.column
    written = f"# lattice:ignore[{', '.join(names)}]"
    edit = Edit(line, column, line, column + match.end(), written)
    return Fix(title=f"Write `{written}`", edits=(edit,))


def _field_problem(name: str, value: str, *, known: Container[str]) -> str | None:
    """What is wrong with `name=value` before a reason."""
    if name not in {"until", "owner"}:
        return f"there is no `{name}=`; a comment may say `until=` and `owner=`."
    if name in known:
        return f"this comment says `{name}=` twice."
    if name == "owner" and not _OWNER.fullmatch(value):
        return f"`{value}` is not a name, an address or a team."
    if name == "until" and not _is_date(value):
        return f"`{value}` is not a date."
    return None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return _DATE.fullmatch(text) is not None


def _comments(module: Module) -> Iterator[_Comment]:
    """Every suppression comment with the lines that it covers."""
    found: list[tokenize.TokenInfo] = []
    code_lines: list[int] = []
    statements: list[range] = []
    start = 0
    lines = (line + "\n" for line in module.lines)
    for token in tokenize.generate_tokens(lines.__next__):
        if token.type == tokenize.COMMENT:
            if _OPENING.search(token.string):
                found.append(token)
        elif token.type == tokenize.NEWLINE:
            statements.append(range(start, token.start[0] + 1))
            start = 0
        elif token.type not in _BETWEEN_STATEMENTS:
            start = start or token.start[0]
            code_lines.append(token.start[0])
    for token in found:
        yield from _split(token, _covered(token, code_lines, statements))


def _split(token: tokenize.TokenInfo, lines: range) -> Iterator[_Comment]:
    """One comment per directive, as several may share a comment token."""
    starts = [match.start() for match in _OPENING.finditer(token.string)]
    for start, end in zip(starts, [*starts[1:], len(token.string)], strict=True):
        text = token.string[start:end].rstrip()
        line, column = token.start[0], token.start[1] + start + 1
        yield _Comment(text, Span(line, column, line, column + len(text)), lines)


def _covered(
    token: tokenize.TokenInfo, code_lines: Sequence[int], statements: Sequence[range]
) -> range:
    line = token.start[0]
    own_line = not token.line[: token.start[1]].strip()
    if own_line:
        following = bisect_right(code_lines, line)
        if following == len(code_lines):
            return range(0)
        line = code_lines[following]
    statement = _statement_at(line, statements)
    inside = own_line and token.start[0] in statement
    whole = not inside and line in {statement.start, statement.stop - 1}
    return statement if whole else range(line, line + 1)


def _statement_at(line: int, statements: Sequence[range]) -> range:
    """The statement that a line of code belongs to; the last one, where `;` joins several."""
    index = bisect_right(statements, line, key=lambda statement: statement.start) - 1
    return statements[index] if index >= 0 else range(line, line + 1)
