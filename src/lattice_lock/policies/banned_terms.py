"""`banned-terms`: words and phrases that must not occur."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from ahocorasick_rs import AhoCorasick
from typing_extensions import override

from lattice_lock.policies._folding import fold
from lattice_lock.policies.base import Case, Context, Finding, Hold, Policy, Scan, Severity, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BannedTerms"]

_LONGEST_TERM = 100
_MOST_TERMS = 10_000
_INVISIBLE_INSIDE = 2  # for each character of a term, one that nobody sees, and a mark


class BannedTerms(Policy, frozen=True, kw_only=True):
    """Refuses texts that contain one of the given terms, whatever the case of their letters.

    Attributes:
        terms: words or phrases, each up to 100 characters.
        inside_words: whether a term also counts within a longer word.
    """

    name: ClassVar[str] = "banned-terms"
    holds: ClassVar[Hold] = Hold.PHRASE
    everywhere: ClassVar[bool] = True
    look_behind: ClassVar[int] = _LONGEST_TERM * (1 + _INVISIBLE_INSIDE) + 1
    rules: ClassVar[dict[str, str]] = {"term": "one of the terms, also written with look-alikes"}
    limits: ClassVar[tuple[str, ...]] = (
        "Other forms of a word are other words: list `plan` and `plans`.",
        "Letters with and without accents count as the same.",
        "Two spaces where a term has one make another phrase.",
    )
    sample: ClassVar[dict[str, object]] = {"terms": ["Project Nightingale", "nightingale", "acme"]}
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="The nightingales of Acmeton sing."),
        Case(text="Our project is called a project."),
        Case(text="ACME announced it.", rules=("term",)),
        Case(text="Ask about project\nnightingale today", rules=("term",)),
        Case(text="a night\u200bingale, \u0430cme", rules=("term", "term")),
        Case(text="(acme)acme-acme", rules=("term", "term", "term")),
    )

    terms: tuple[str, ...]
    inside_words: bool = False

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("`terms` is empty")
        if len(self.terms) > _MOST_TERMS:
            raise ValueError(f"`terms` has more than {_MOST_TERMS:,} entries")
        seen: dict[str, str] = {}
        for term in self.terms:
            folded = fold(term).text
            if not folded.strip() or folded != folded.strip():
                raise ValueError(f"{term!r} is no term")
            if len(folded) > _LONGEST_TERM:
                raise ValueError(f"`{term[:30]}...` is longer than {_LONGEST_TERM} characters")
            if folded in seen:
                raise ValueError(f"`{term}` is the same as `{seen[folded]}`: it is never reached")
            seen[folded] = term

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        finder, ordered, longest = _compiled(self.terms)
        text = window.text
        begin = max(0, window.start - self.look_behind)
        part = text[begin:]
        folded = fold(part)
        settled = len(text)
        if not window.final:
            pending = folded.place(self._pending(folded.text, ordered, longest))
            settled = max(window.start, pending + begin)
        findings: list[Finding] = []
        end = -1
        for _, first, last in sorted(
            finder.find_matches_as_indexes(folded.text, overlapping=True),
            key=lambda match: (match[1], -match[2]),
        ):
            if last <= end or not self._stands_alone(folded.text, first, last):
                continue
            end = last
            start, stop = folded.place(first) + begin, folded.place(last - 1) + 1 + begin
            if window.start <= start < settled:
                findings.append(_finding(start, stop))
        return Scan(tuple(findings), settled)

    def _stands_alone(self, text: str, first: int, last: int) -> bool:
        if self.inside_words:
            return True
        before = text[first - 1] if first else " "
        after = text[last] if last < len(text) else " "
        return not (
            (_joins(before) and _joins(text[first])) or (_joins(after) and _joins(text[last - 1]))
        )

    def _pending(self, text: str, ordered: tuple[str, ...], longest: int) -> int:
        """Where the earliest term that may still be under way begins."""
        for at in self._beginnings(text, longest):
            tail = text[at:]
            index = bisect_left(ordered, tail)
            if index < len(ordered) and ordered[index].startswith(tail):
                return at
        return len(text)

    def _beginnings(self, text: str, longest: int) -> Iterator[int]:
        for at in range(max(0, len(text) - longest), len(text)):
            if self.inside_words or not at or not (_joins(text[at - 1]) and _joins(text[at])):
                yield at


def _joins(character: str) -> bool:
    return character.isalnum() or character == "_"


def _finding(start: int, end: int) -> Finding:
    return Finding(
        start=start,
        end=end,
        rule="term",
        message="it contains a term that is banned.",
        severity=Severity.MEDIUM,
        label="TERM",
        fix="Say it without that term.",
    )


@cache
def _compiled(terms: tuple[str, ...]) -> tuple[AhoCorasick, tuple[str, ...], int]:
    folded = tuple(sorted(fold(term).text for term in terms))
    return AhoCorasick(folded), folded, max(map(len, folded))
