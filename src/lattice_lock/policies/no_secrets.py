"""`no-secrets`: keys, tokens, passwords and what else gives access, wherever they are written."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import ahocorasick_rs
from typing_extensions import override

from lattice_lock.policies._secret_assignments import NAME_ANCHORS, REACH, Look, Span, named_values
from lattice_lock.policies._secret_contexts import CONTEXTS
from lattice_lock.policies._secret_formats import FORMATS
from lattice_lock.policies.base import (
    Case,
    Context,
    Finding,
    Hold,
    Policy,
    Scan,
    Severity,
    Window,
    last_word,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lattice_lock.policies._secret_formats import Format

__all__ = ["NoSecrets"]

_LOOK_BEHIND: Final = REACH + 96
_LEFT: Final = 96
_NEAR: Final = REACH + 310
_MANY: Final = 2000
_MOST_ALLOWED: Final = 1000
_LONGEST_ALLOWED: Final = 512
_SHORTEST_ALLOWED: Final = 4
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class _Kind(NamedTuple):
    """What a rule says of what it finds."""

    phrase: str
    severity: Severity = Severity.CRITICAL
    label: str = "SECRET"


_KINDS: Final = {
    "private-key": _Kind("the private part of a key", label="PRIVATE_KEY"),
    "ai-provider-key": _Kind("a key of a provider of models", label="API_KEY"),
    "cloud-key": _Kind("a key of a cloud or hosting provider", label="API_KEY"),
    "source-host-token": _Kind("a token of a host of source, packages or builds", label="TOKEN"),
    "chat-token": _Kind("a token or webhook of a chat service", label="TOKEN"),
    "payment-key": _Kind("a key of a payment or shop service", label="API_KEY"),
    "mail-key": _Kind("a key of a mail or message service", label="API_KEY"),
    "service-token": _Kind("a token of a service that runs, watches or organises", label="TOKEN"),
    "jwt": _Kind("a signed token (JWT)", Severity.HIGH, "JWT"),
    "authorization": _Kind("the value of an authorization header", Severity.HIGH, "CREDENTIALS"),
    "password-hash": _Kind(
        "the hash of a password, which can be guessed from it", Severity.MEDIUM, "PASSWORD_HASH"
    ),
    "connection-string": _Kind("the password in an address", label="PASSWORD"),
    "command-line-password": _Kind("a password on a command line", Severity.HIGH, "PASSWORD"),
    "login-call": _Kind("a password in a call that logs in", Severity.HIGH, "PASSWORD"),
    "assigned-password": _Kind(
        "a value given to the name of a password", Severity.HIGH, "PASSWORD"
    ),
    "assigned-secret": _Kind(
        "a value that looks generated, given to the name of a secret", Severity.HIGH, "SECRET"
    ),
}
_RANK: Final = {rule: rank for rank, rule in enumerate(_KINDS)}
_FIX: Final = "Read it from the environment or a secret store, and revoke this one."


class _Anchors(NamedTuple):
    """Every literal with which a secret, or what leads to one, begins."""

    automaton: ahocorasick_rs.BytesAhoCorasick
    looks: tuple[tuple[Look, ...], ...]
    formats: tuple[tuple[Format, ...], ...]


@cache
def _anchors() -> _Anchors:
    by_text: dict[str, list[Format]] = {text: [] for text in (*NAME_ANCHORS, *CONTEXTS)}
    for one in FORMATS:
        for text in one.anchors:
            by_text.setdefault(text, []).append(one)
    texts = tuple(by_text)
    automaton = ahocorasick_rs.BytesAhoCorasick(
        [text.encode() for text in texts], implementation=ahocorasick_rs.Implementation.DFA
    )
    names = frozenset(NAME_ANCHORS)
    looks = tuple(
        ((CONTEXTS[text],) if text in CONTEXTS else ()) + ((named_values,) if text in names else ())
        for text in texts
    )
    return _Anchors(automaton, looks, tuple(tuple(by_text[text]) for text in texts))


_RANDOM: Final = "q7RkT2mVx9LpZ4sWd8NfYb3HcJg6XnQv5BtMrK1wPzSyDjLhGe0uFoCiUa"


def _made(prefix: str, size: int, alphabet: str = _RANDOM) -> str:
    """A value of a secret's form; written apart, so that no file contains anything like one."""
    return prefix + (alphabet * (size // len(alphabet) + 1))[:size]


_HEX: Final = "9f3ab07c5d2e8146"
_PEM_LINE: Final = "MIIEvQ" + _RANDOM
_CASES: Final = (
    Case(
        text="-----BEGIN EC PRIVATE KEY-----\n" + _PEM_LINE + "\n-----END EC PRIVATE KEY-----",
        rules=("private-key",),
    ),
    Case(text="key: " + _made("sk-ant-api03-", 90) + "!", rules=("ai-provider-key",)),
    Case(text="(" + _made("AKIA", 16, "Z3MGWQ7RT2XLPB5K") + ")", rules=("cloud-key",)),
    Case(text="xx" + _made("ghp_", 36) + ", revoke it", rules=("source-host-token",)),
    Case(
        text="https://hooks." + "slack.com/services/T0A1B2C3D/B4E5F6G7H/" + _made("", 24),
        rules=("chat-token",),
    ),
    Case(text='stripe = "' + _made("sk_live_", 24) + '"', rules=("payment-key",)),
    Case(text=_made("SG.", 22) + "." + _made("", 43, _RANDOM[::-1]), rules=("mail-key",)),
    Case(text="VAULT " + _made("hvs.", 90), rules=("service-token",)),
    Case(text=_made("eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiI0MiJ9.", 43), rules=("jwt",)),
    Case(text="Authorization: Basic " + "Ym9iOmh1bnRlcjIy", rules=("authorization",)),
    Case(text="bob:" + _made("$2y$" + "10$", 53), rules=("password-hash",)),
    Case(
        text="postgres" + "://app:" + "Tr0ub4dor" + "@db.internal/shop",
        rules=("connection-string",),
    ),
    Case(
        text="curl -u bob:" + "Tr0ub4dor" + " https://api.internal/",
        rules=("command-line-password",),
    ),
    Case(text='session.login("bob@shop.org", "' + "letmein" + '")', rules=("login-call",)),
    Case(text='password = "' + "correct-h0rse" + '"', rules=("assigned-password",)),
    Case(text="DB_PASSWORD=" + "letmein" + "\n", rules=("assigned-password",)),
    Case(
        text="machine git.internal login bob password " + "Tr0ub4dor" + "\n",
        rules=("assigned-password",),
    ),
    Case(text="- name: API_TOKEN\n  value: " + _made("", 32, _HEX), rules=("assigned-secret",)),
    Case(text="password: str = Field(min_length=8)"),
    Case(text='password = os.environ["DB_PASSWORD"]'),
    Case(text="API_KEY=${API_KEY}\nTOKEN=<your-token>\nSECRET=changeme\nPASSWORD=xxxxxxxx\n"),
    Case(text='"password": "Passwort", "forgot_password": "Passwort vergessen?"'),
    Case(text="password: must have at least eight characters"),
    Case(text="AKIA" + "IOSFODNN7EXAMPLE is the key of the documentation."),
    Case(text="commit " + _made("", 40, _HEX) + "\nsha512-" + _made("", 86) + "=="),
    Case(text="-----BEGIN CERTIFICATE-----\n" + _PEM_LINE + "\n-----END CERTIFICATE-----"),
    Case(text="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + _made("", 43) + " bob@laptop"),
    Case(text="max_tokens = 4096; next_token = parser.token; sort_key=created_at"),
    Case(text="https://user:password@example.com/ and git@github.com:org/name.git"),
)


class NoSecrets(Policy, frozen=True, kw_only=True):
    """Refuses keys, tokens, passwords, private keys and connection strings with a password.

    What issuers gave a prefix, structure or checksum is known by that. Anything else is judged by
    the name that it is given to and by how it looks.

    Attributes:
        kinds: the rules that apply; all if it is empty.
        allow: values that are no secrets: as they are, with `*` for any characters, or as
            `sha256:` and the digest of the value, so that the policy does not contain it.
    """

    name: ClassVar[str] = "no-secrets"
    look_behind: ClassVar[int] = _LOOK_BEHIND
    holds: ClassVar[Hold] = Hold.WORD
    everywhere: ClassVar[bool] = True
    rules: ClassVar[dict[str, str]] = {rule: kind.phrase for rule, kind in _KINDS.items()}

    limits: ClassVar[tuple[str, ...]] = (
        "A secret without a prefix, structure or telling name is not seen.",
        (
            "A checksum makes a token certain, but a token whose checksum fails is refused too if"
            " it looks drawn."
        ),
        (
            "A password that is a word about passwords, such as `secret`, passes as a "
            "placeholder, and so do well-known values of documentation."
        ),
        (
            "Whether a string of a test or an example is a real password cannot be seen: it is "
            "refused if it looks like one."
        ),
        (
            "A bare word in a program is taken for a name, so a password without quotation marks "
            "needs digits or signs there."
        ),
        (
            "`sk-` and a few other short prefixes count only at the beginning of a word, unless "
            "what follows mixes upper case, lower case and digits."
        ),
        (
            "Of a private key at most 16 KiB are taken, and a stream holds back that much for it;"
            " a quoted value with spaces may have 300 characters."
        ),
        (
            "On 319 leaks and 178 harmless texts of our own, 286 leaks (90%) and 2 harmless texts"
            " (1%) were refused at first sight, and 314 (98%) and none after the rules were "
            "corrected by them."
        ),
    )
    cases: ClassVar[tuple[Case, ...]] = _CASES

    kinds: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in _KINDS:
                raise ValueError(f"`kinds` has no `{kind}`; there are {', '.join(_KINDS)}")
        if len(self.allow) > _MOST_ALLOWED:
            raise ValueError(f"`allow` may have at most {_MOST_ALLOWED:,} entries")
        for entry in self.allow:
            if not _SHORTEST_ALLOWED <= len(entry.replace("*", "")) <= _LONGEST_ALLOWED:
                raise ValueError(
                    f"an entry of `allow` needs 4 to {_LONGEST_ALLOWED} characters besides `*`"
                )
            if entry.startswith("sha256:") and not _DIGEST.match(entry):
                raise ValueError("`sha256:` in `allow` needs 64 hexadecimal digits in lower case")

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        text, start = window.text, window.start
        settled = last_word(window)
        low = max(0, start - REACH)
        anchors = _anchors()
        hits = _hits(anchors, text[low:] if low else text)
        if not hits:
            return Scan((), settled)
        spans: list[Span] = []
        for span in _spans(
            hits, anchors, window, low, context.path, whole=not (self.kinds or self.allow)
        ):
            if span.end is None:
                if span.start >= start:
                    settled = min(settled, span.start)
            elif span.start >= start and (not self.kinds or span.rule in self.kinds):
                spans.append(span)
        if not spans:
            return Scan((), settled)
        findings = [
            _finding(begin, end, rule)
            for begin, end, rule in _merged(spans)
            if begin < settled or window.final
            if not (self.allow and _allows(self.allow, text[begin:end]))
        ]
        return Scan(tuple(findings), settled)


def _hits(anchors: _Anchors, text: str) -> list[tuple[int, int, int]]:
    """Which anchor stands where in `text`: its number, beginning and end, in order of the ends.

    Bytes are searched twice as fast as characters; few places have to be counted back.
    """
    data = text.encode("utf-8", "surrogatepass")
    hits = anchors.automaton.find_matches_as_indexes(data, overlapping=True)
    if len(data) == len(text) or not hits:
        return hits
    counted: list[tuple[int, int, int]] = []
    at = characters = 0
    for index, begin, end in hits:
        characters += len(data[at:end].decode("utf-8", "surrogatepass"))
        at = end
        size = len(data[begin:end].decode("utf-8", "surrogatepass"))
        counted.append((index, characters - size, characters))
    return counted


def _spans(
    hits: list[tuple[int, int, int]],
    anchors: _Anchors,
    window: Window,
    low: int,
    path: str | None,
    *,
    whole: bool,
) -> Iterator[Span]:
    text, final = window.text, window.final
    done: dict[int, int] = {}
    seen: dict[tuple[Look, int, int, str], tuple[Span, ...]] | None = (
        {} if len(hits) > _MANY else None
    )
    checked: dict[tuple[int, str], bool] = {}
    covered = 0  # what stands inside of a finding would only become one with it
    for index, begin, stop in hits:
        at, end = low + begin, low + stop
        for one in anchors.formats[index]:
            if at < done.get(id(one), 0):
                continue
            span = _formatted(one, text, at, checked)
            if span is not None and span.end is not None:
                done[id(one)] = span.end
                yield span
        for look in anchors.looks[index]:
            if seen is None:
                yield from look(text, at, end, final, path)
            elif at >= covered:
                for span in _seen_before(seen, look, text, at, end, final, path):
                    if whole and span.end is not None:
                        covered = max(covered, span.end)
                    yield span


def _seen_before(  # noqa: PLR0917  # what looks, and what it looks at
    seen: dict[tuple[Look, int, int, str], tuple[Span, ...]],
    look: Look,
    text: str,
    at: int,
    anchor_end: int,
    final: bool,  # noqa: FBT001  # the signature of what looks
    path: str | None,
) -> Iterable[Span]:
    """What `look` finds, judged once for all places that look alike: repetitive texts are many."""
    begin = max(0, at - _LEFT)
    near = text[begin : at + _NEAR]
    inside = at - begin
    key = (look, inside, anchor_end - at, near)
    found = seen.get(key)
    if found is None:
        found = tuple(look(near, inside, inside + anchor_end - at, False, path))  # noqa: FBT003
        if any(span.end is None for span in found):  # what is near does not say it all
            return look(text, at, anchor_end, final, path)
        if len(seen) < _MANY:
            seen[key] = found
    return [Span(s.start + begin, s.end and s.end + begin, s.rule) for s in found]


def _formatted(
    one: Format, text: str, at: int, checked: dict[tuple[int, str], bool]
) -> Span | None:
    begin = at
    if one.back:
        before = text[max(0, at - one.back) : at]
        begin = at - (len(before) - len(before.rstrip(one.behind)))
    match = one.pattern.match(text, begin)
    while match is None and begin < at:
        begin += 1
        match = one.pattern.match(text, begin)
    if match is None:
        return None
    group = "v" if "v" in one.pattern.groupindex else 0
    value = match[group]
    key = (id(one), value)
    fine = checked.get(key)
    if fine is None:
        fine = one.check(value)
        if len(value) < _NEAR and len(checked) < _MANY:
            checked[key] = fine
    if not fine:
        return None
    return Span(match.start(group), match.end(group), one.rule)


def _merged(spans: list[Span]) -> Iterator[tuple[int, int, str]]:
    """Spans that share characters as one, called by the most specific of their rules."""
    begin = end = -1
    rule = ""
    for span in sorted(spans):
        stop = span.end or 0
        if span.start < end:
            end = max(end, stop)
            rule = min(rule, span.rule, key=_RANK.__getitem__)
            continue
        if rule:
            yield begin, end, rule
        begin, end, rule = span.start, stop, span.rule
    if rule:
        yield begin, end, rule


def _finding(begin: int, end: int, rule: str) -> Finding:
    kind = _KINDS[rule]
    return Finding(
        start=begin,
        end=end,
        rule=rule,
        message=f"it contains {kind.phrase}.",
        severity=kind.severity,
        label=kind.label,
        fix=_FIX,
    )


def _allows(allow: tuple[str, ...], value: str) -> bool:
    digest = "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return any(
        _fits(entry.split("*"), value) if "*" in entry else entry in {value, digest}
        for entry in allow
    )


def _fits(parts: list[str], value: str) -> bool:
    """Whether `value` is the parts in their order, with anything between them."""
    first, *middle, last = parts
    if len(value) < len(first) + len(last):
        return False
    if not value.startswith(first) or not value.endswith(last):
        return False
    at, end = len(first), len(value) - len(last)
    for part in middle:
        found = value.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
