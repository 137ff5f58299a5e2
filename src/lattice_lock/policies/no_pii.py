"""`no-pii`: what tells who a person is, or how to reach or charge one."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cache, lru_cache
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation
from typing_extensions import override

from lattice_lock.policies._pii_iban import iban_at
from lattice_lock.policies._pii_numbers import RUN, SEPARATORS, Found, numbers_in
from lattice_lock.policies._pii_signs import (
    address_of_coin,
    bech32,
    code_around,
    colons,
    dashed_mac,
    email_at,
    lettered,
)
from lattice_lock.policies._pii_words import (
    CONNECTORS,
    LONGEST_ADDRESS,
    NUMBERED_START,
    STREET_START,
    announced,
    numbered_street,
    street_with_number,
    street_word,
    words_of,
)
from lattice_lock.policies.base import (
    Action,
    Case,
    Context,
    Finding,
    Hold,
    Policy,
    Scan,
    Severity,
    Subject,
    Window,
    last_word,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NoPii"]

_LOOK_BEHIND: Final = 320
_LONGEST_WORD: Final = 24
_MOST_ALLOWED: Final = 1000


class _Kind(NamedTuple):
    """What a rule says of what it finds; of two that overlap, the one with the lower rank stays."""

    phrase: str
    message: str
    rank: int
    severity: Severity = Severity.HIGH


_KINDS: Final = {
    "email": _Kind("a mail address", "a mail address.", 0),
    "phone": _Kind("a telephone number", "a telephone number.", 5),
    "card": _Kind("the number of a payment card", "a card number.", 4, Severity.CRITICAL),
    "iban": _Kind("the number of a bank account", "an account number.", 1, Severity.CRITICAL),
    "ssn": _Kind("a social security number of the United States", "an SSN.", 4, Severity.CRITICAL),
    "national-id": _Kind(
        "a number that a state gives to a person",
        "an identity number.",
        3,
        Severity.CRITICAL,
    ),
    "address": _Kind("a postal address", "a postal address.", 6),
    "ip": _Kind("an IP address of the public internet", "a public IP address.", 2, Severity.MEDIUM),
    "name": _Kind("the name of a person", "a name.", 7, Severity.MEDIUM),
    "birth-date": _Kind("a date of birth", "a date of birth.", 3),
    "mac": _Kind("a hardware address", "a hardware address.", 2, Severity.MEDIUM),
    "crypto": _Kind("the address of a wallet", "the address of a wallet.", 1),
}
_DEFAULT_KINDS: Final = tuple(kind for kind in _KINDS if kind != "name")
_IN_RUNS: Final = frozenset({"phone", "card", "ssn", "national-id", "ip", "iban"})

# Runs with six digits or more, dotted numbers of four parts, Bitcoin addresses, and the digits in
# the middle of an Italian tax code and an Indian PAN.
_RUN: Final = rf"(?:[{SEPARATORS}]{{0,3}}[0-9]){{5}}"
_DOTTED: Final = r"[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9.])"
_COIN: Final = r"[1-9A-HJ-NP-Za-km-z]{25,34}(?![A-Za-z0-9_])"
_ACCOUNT: Final = r"(?<=[A-Za-z]{2}.)(?<![A-Za-z0-9_]..[0-9])[0-9](?=[ -]?[A-Za-z0-9]{4})"
_CODE: Final = r"(?<=[A-Z]{5}.)(?:[0-9]{3}[A-Z]|[0-9][A-EHLMPR-T][0-9]{2}[A-Z][0-9]{3}[A-Z])"
_MARKED: Final = (
    rf"[0-9](?:(?={_RUN})(?<=(?P<run>.)){RUN.replace('++', '*+', 1)}"
    rf"|(?P<dotted>{_DOTTED})|(?<=[13])(?<![A-Za-z0-9_].)(?P<coin>{_COIN})"
    rf"|(?P<account>{_ACCOUNT})|(?P<code>{_CODE})"
    rf"|(?P<street>{STREET_START})|(?P<numbered>{NUMBERED_START}))"
)
_PLAIN: Final = (  # digits that are none of those
    rf"(?![0-9](?:{_RUN}|{_DOTTED}|(?<![A-Za-z0-9_].)(?:(?<=[13]){_COIN}"
    rf"|{STREET_START}|{NUMBERED_START})|(?<=[A-Za-z].)(?:{_ACCOUNT}|{_CODE})))[0-9]++"
)
# What logs and data are full of, known without a closer look: short numbers whose neighbours make
# them none of those, times that stand by themselves, and hexadecimal numbers.
_ENDS: Final = rf"(?![A-Za-z0-9_]|[{SEPARATORS}]{{1,3}}[0-9])"
_NOT_JOINED: Final = rf"[^{SEPARATORS}A-Za-z0-9_,]"
_HARMLESS: Final = (
    rf"(?<![a-z.] )(?:[0-9]{{1,3}}+\.[0-9]{{1,2}}+|[0-9]{{1,5}}+)(?={_NOT_JOINED}|,[^ ]|\Z)"
    r"|(?<![^\n\[\"'=:<>|;{\t])20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[T ][0-2][0-9](?=:[0-9])(?::[0-5][0-9]:[0-5][0-9]"
    rf"(?:[.,][0-9]{{3}}Z?{_ENDS}|Z?(?={_NOT_JOINED})))?|{_ENDS})"
    rf"|(?<=[=/])(?:[0-9]{{1,5}}+ (?=[^{SEPARATORS}0-9])"
    rf"|[0-9]{{1,3}}+(?:\.[0-9]{{1,2}}+)?[a-z]{{1,2}}{_ENDS})"
    rf"|(?<=[=:\"'])(?![a-f]{{2}}[0-9]{{2}}|[0-9]+(?![0-9a-f]))[0-9a-f]{{10,24}}{_ENDS}"
)
_DIGITS = re.compile(rf"[^0-9]*+(?:(?:{_HARMLESS}|{_PLAIN})[^0-9]*+){{0,64}}(?:{_MARKED})?")
_ANY = re.compile("[0-9@]")
_IP_START = re.compile("::|:[0-9A-Fa-f]{1,4}:(?=[0-9A-Fa-f]{0,4}:)")
_MAC_START = re.compile(r"-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-")
_BREAK = re.compile(r"[\u2e80-\U0010ffff]")
_SIGNS = re.compile(r"[-\u2010-\u2015./()]+\Z")
_HAS_DIGIT = re.compile("[0-9]")
_JOINS: Final = frozenset("-./")
_GAPS: Final = " \t\n\r,\u00a0\u202f\u2009\u2007"
_NEAR: Final = 64


class NoPii(Policy, frozen=True, kw_only=True):
    """Takes out mail addresses, telephone, card, account and identity numbers, addresses and more.

    Attributes:
        kinds: what to look for: any of `email`, `phone`, `card`, `iban`, `ssn`, `national-id`,
            `address`, `ip`, `name`, `birth-date`, `mac` and `crypto`; all but `name` by default.
        regions: where grouped telephone numbers without a country code may be from, as ISO 3166
            codes; those of more countries are found by their form, or by a word before them.
        allow: what is nobody's: whole values as they are written, or domains of mail addresses.
    """

    name: ClassVar[str] = "no-pii"
    defaults: ClassVar[tuple[Subject, ...]] = (Subject.PROMPT, Subject.RESPONSE)
    default_action: ClassVar[Action] = Action.REDACT
    everywhere: ClassVar[bool] = True
    look_behind: ClassVar[int] = _LOOK_BEHIND
    holds: ClassVar[Hold] = Hold.PHRASE
    rules: ClassVar[dict[str, str]] = {rule: kind.phrase for rule, kind in _KINDS.items()}
    limits: ClassVar[tuple[str, ...]] = (
        (
            "Numbers without separators are telephone numbers only where a word up to 48 "
            "characters before them says so, except mobile numbers of Britain, France and "
            "Germany."
        ),
        (
            "Card, account and identity numbers with wrong check digits pass; passports and "
            "driving licences are found only after the word."
        ),
        (
            "Private, reserved and documentation IP addresses pass, and those of well-known "
            "resolvers; addresses of one and two digits everywhere need a word such as `host` "
            "before them."
        ),
        (
            "Addresses need a street and a number; those of countries other than the United "
            "States, Britain, Germany, France, Spain, Italy, the Netherlands and a few more are "
            "missed."
        ),
        ("Names are found after titles and phrases such as `my name is`, and only if asked for."),
        (
            "Mail addresses whose name or domain is written in ideographs, and obfuscated ones "
            "such as `ann (at) x (dot) org`, are missed."
        ),
        (
            "On 4,200 generated texts of our own in eleven languages and 112 look-alikes, recall "
            "and precision were 0.99 or better on each kind but `name` and `crypto`, which were "
            "not measured; these texts were known while the rules were written."
        ),
        (
            "In 40 million characters of installed Python packages there were 44 findings besides "
            "mail addresses: 22 addresses, 12 telephone numbers, 10 others."
        ),
    )
    sample: ClassVar[dict[str, object]] = {
        "kinds": list(_KINDS),
        "allow": ["example.com", "+1 800 555 0199"],
    }
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="Mail jane.roe+news@mail.acme.co.uk.", rules=("email",)),
        Case(text="@decorator, git@github.com:org/repo, help@example.com, left-pad@1.3.0"),
        Case(text="Call (555) 123-4567 x89 today", rules=("phone",)),
        Case(text="Rufen Sie 0171 1234567 an oder +44 (0)20 7946 0958", rules=("phone", "phone")),
        Case(text="Order 5551234567 of 2024-01-15 12:30, ISBN 978-3-16-148410-0, v1.22.333"),
        Case(text="Our line is +1 800 555 0199."),
        Case(text="Charge 4111 1111 1111 1111, please", rules=("card",)),
        Case(text="Charge 4111 1111 1111 1112, please"),
        Case(text="Pay to DE89 3704 0044 0532 0130 00.", rules=("iban",)),
        Case(text="Pay to DE89 3704 0044 0532 0130 01."),
        Case(text="SSN: 536-22-1234", rules=("ssn",)),
        Case(text="It is part 000-22-1234."),
        Case(text="NHS number 943 476 5919", rules=("national-id",)),
        Case(text="CPF 529.982.247-25, NINO AB 12 34 56 C", rules=("national-id", "national-id")),
        Case(text="My passport is C01X00T47, as said", rules=("national-id",)),
        Case(text="We live at 221B Baker Street, London NW1 6XE.", rules=("address",)),
        Case(text="Musterstra\u00dfe 12a, 12345 Berlin", rules=("address",)),
        Case(text="In 2024 the Street was quiet, 5 of 10 Places too."),
        Case(text="from 93.184.216.34 and 2606:2800:220:1:248:1893:25c8:1946", rules=("ip", "ip")),
        Case(text="localhost is 127.0.0.1 or 10.1.2.3, std::vector, 10:30:00"),
        Case(text="She was born on March 5, 1985", rules=("birth-date",)),
        Case(text="The bridge opened on March 5, 1985"),
        Case(text="Ask Dr. Ada Lovelace", rules=("name",)),
        Case(text="eth0 has 00:1b:44:11:3a:b7", rules=("mac",)),
        Case(text="to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa, coins", rules=("crypto",)),
    )

    kinds: tuple[str, ...] = _DEFAULT_KINDS
    regions: tuple[str, ...] = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "CH", "AT", "AU", "JP")
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("`kinds` is empty")
        for kind in self.kinds:
            if kind not in _KINDS:
                raise ValueError(f"`{kind}` is no kind: there are {', '.join(_KINDS)}")
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError("`kinds` names one twice")
        for region in self.regions:
            if re.fullmatch("[A-Z]{2}", region) is None:
                raise ValueError(f"`{region[:20]}` is no region: write two capital letters")
        if len(self.allow) > _MOST_ALLOWED:
            raise ValueError(f"`allow` has more than {_MOST_ALLOWED:,} entries")
        if not all(one.strip() for one in self.allow):
            raise ValueError("`allow` has an empty entry")

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        text = window.text
        begin = max(0, window.start - _LOOK_BEHIND)
        kinds = _set_of(self.kinds)
        if _ANY.search(text, window.start) is None and "name" not in kinds:
            # Without digit or `@` there is nothing else to find; only what may come counts.
            begin = max(begin, len(text) - LONGEST_ADDRESS - _LONGEST_WORD)
            places = [] if window.final else _places(text, begin, kinds)
            return Scan((), len(text) if window.final else _held(window, places))
        places = _places(text, begin, kinds)
        settled = len(text) if window.final else _held(window, places)
        raw = [*self._candidates(text, begin, kinds, places)]
        if not raw:
            return Scan((), settled)
        raw.sort(key=lambda one: (_KINDS[one.rule].rank, one.start, -one.end))
        if not window.final:
            for one in sorted(raw, reverse=True):
                if one.start < settled < one.end or (one.end == len(text) and one.start < settled):
                    settled = max(window.start, one.start)
        allowed = _allowed(self.allow)
        findings = [
            _finding(one)
            for one in sorted(_kept(raw))
            if one.rule in kinds
            and window.start <= one.start
            and (one.start < settled or window.final)
            and not (allowed and _is_allowed(text[one.start : one.end], one.rule, allowed))
        ]
        return Scan(tuple(findings), settled)

    def _candidates(
        self, text: str, begin: int, kinds: frozenset[str], places: list[tuple[str, int, int]]
    ) -> Iterator[Found]:
        if "email" in kinds:
            at = text.find("@", begin)
            while at >= 0:
                found = email_at(text, at)
                if found is not None:
                    yield found
                at = text.find("@", at + 1)
        yield from self._digits(text, begin)
        if "ip" in kinds or "mac" in kinds:
            yield from _hexadecimal(text, begin)
        table = _words(kinds)
        for word, first, last in places:
            for kind, pattern in table.get(word, ()):
                if kind == "crypto":
                    found = bech32(text, first)
                elif pattern is None:
                    found = street_word(text, first, last)
                else:
                    found = announced(text, first, last, kind, pattern)
                if found is not None:
                    yield found

    def _digits(self, text: str, begin: int) -> Iterator[Found]:
        for match in _DIGITS.finditer(text, begin):
            kind = match.lastgroup
            if kind is None:
                continue
            start, end = match.start(kind) - 1, match.end()
            if kind == "run":
                start += 1
                yield from _around_run(text, start, end)
            if kind in {"run", "dotted"}:
                yield from numbers_in(text, start, end, self.regions)
            else:
                found = _marked(text, start, end, kind)
                if found is not None:
                    yield found


def _around_run(text: str, start: int, end: int) -> Iterator[Found]:
    """What the run of digits between `start` and `end` is a part of."""
    last = end
    while last > start and text[last - 1].isdigit():
        last -= 1
    if text[start - 1 : start] == " " and (found := street_with_number(text, start)) is not None:
        yield found
    if text[last - 1 : last] not in _JOINS and (found := numbered_street(text, last)) is not None:
        yield found
    yield from lettered(text, start, end)


def _marked(text: str, start: int, end: int, kind: str) -> Found | None:
    """What the digits between `start` and `end` belong to, which look like a `kind`."""
    if kind == "coin":
        return Found(start, end, "crypto") if address_of_coin(text[start:end]) else None
    if kind == "account":
        stop = iban_at(text, start - 2)
        return Found(start - 2, stop, "iban") if stop else None
    if kind == "code":
        return code_around(text, start)
    return (street_with_number if kind == "street" else numbered_street)(text, start)


def _hexadecimal(text: str, begin: int) -> Iterator[Found]:
    past = 0
    for match in _IP_START.finditer(text, begin):
        if match.start() >= past:
            found = colons(text, match.start())
            if found is not None:
                past = found.end
                yield found
    for match in _MAC_START.finditer(text, begin):
        found = dashed_mac(text, match.start())
        if found is not None:
            yield found


def _kept(raw: list[Found]) -> Iterator[Found]:
    """Those of `raw`, in the order of ranks, that overlap none of a lower rank.

    Of two of one rank the longer stays where it contains the other. What is left out leaves out
    others all the same: so nothing depends on what is far away.
    """
    lower: list[tuple[int, int]] = []
    rank = -1
    same: list[Found] = []
    until = -1
    for one in raw:
        if _KINDS[one.rule].rank != rank:
            lower = _merged(lower, same)
            rank, same, until = _KINDS[one.rule].rank, [], -1
        same.append(one)
        if one.end <= until:
            continue
        until = one.end
        if not lower or not _overlaps(lower, one):
            yield one


def _merged(spans: list[tuple[int, int]], more: list[Found]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted([*spans, *((one.start, one.end) for one in more)]):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _overlaps(spans: list[tuple[int, int]], one: Found) -> bool:
    index = bisect_left(spans, (one.end, 0))
    return index > 0 and spans[index - 1][1] > one.start


def _held(window: Window, places: list[tuple[str, int, int]]) -> int:
    """Where what may still become or change a finding begins."""
    text = window.text
    end = len(text)
    settled = last_word(window)
    floor = max(window.start, end - LONGEST_ADDRESS)
    before = text[floor:settled].rstrip(_GAPS)
    while before and not before[-1].isspace():
        word = before.rsplit(None, 1)[-1]
        if not word.isascii() and (breaks := _BREAK.split(word))[1:]:
            word = breaks[-1]
        if not word or not _may_belong(word):
            break
        settled = floor + len(before) - len(word)
        before = before[: -len(word)].rstrip(_GAPS)
    for _, first, last in places:
        if last + LONGEST_ADDRESS > end:
            settled = min(settled, first)
    return max(window.start, settled)


def _may_belong(word: str) -> bool:
    """Whether `word` may be part of what has spaces: a number, a name, or what joins them."""
    if word.isalpha():
        return word.lower() != word or word in CONNECTORS
    return (
        _HAS_DIGIT.search(word) is not None
        or word.lower() != word
        or _SIGNS.match(word) is not None
        or word.strip("(,;.:") in CONNECTORS
    )


def _places(text: str, begin: int, kinds: frozenset[str]) -> list[tuple[str, int, int]]:
    """The words from `begin` on that announce something, with their places."""
    finder, texts = _finder(kinds)
    return [
        (texts[index], first + begin, last + begin)
        for index, first, last in finder.find_matches_as_indexes(
            text[begin:] if begin else text, overlapping=True
        )
    ]


@lru_cache(maxsize=64)
def _set_of(kinds: tuple[str, ...]) -> frozenset[str]:
    return frozenset(kinds)


@cache
def _words(kinds: frozenset[str]) -> dict[str, list[tuple[str, re.Pattern[str] | None]]]:
    table: dict[str, list[tuple[str, re.Pattern[str] | None]]] = {}
    for word, kind, pattern in words_of(kinds):
        table.setdefault(word, []).append((kind, pattern))
    if "crypto" in kinds:
        table["bc1"] = table["0x"] = [("crypto", None)]
    return table


@cache
def _finder(kinds: frozenset[str]) -> tuple[AhoCorasick, tuple[str, ...]]:
    texts = tuple(_words(kinds)) or ("\x00",)
    return AhoCorasick(texts, implementation=Implementation.DFA), texts


def _finding(found: Found) -> Finding:
    kind = _KINDS[found.rule]
    return Finding(
        start=found.start,
        end=found.end,
        rule=found.rule,
        message=f"it contains {kind.message}",
        severity=kind.severity,
        label=found.rule.upper().replace("-", "_"),
        fix="Leave it out, or `allow` it if it is nobody's.",
    )


@lru_cache(maxsize=64)
def _allowed(allow: tuple[str, ...]) -> frozenset[str]:
    return frozenset(one.strip().lower().lstrip("@") for one in allow)


def _is_allowed(value: str, rule: str, allowed: frozenset[str]) -> bool:
    value = value.lower()
    if value in allowed:
        return True
    if rule != "email":
        return False
    domain = value.rpartition("@")[2]
    while domain:
        if domain in allowed:
            return True
        domain = domain.partition(".")[2]
    return False
