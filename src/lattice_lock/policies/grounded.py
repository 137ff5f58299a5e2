"""`grounded`: numbers and quotes of an answer have to occur in what the model was given."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

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

__all__ = ["Grounded"]

_NUMBER = re.compile(r"(?<![\w.,])\d{1,30}(?:[.,]\d{1,30}){0,10}(?![\w]|[.,]\d)")
_LIST_MARK = re.compile(r"[.)](?:\s|\Z)")
_LONGEST_QUOTE = 300
_QUOTES = {'"': '"', "\u201c": "\u201d", "\u201e": "\u201c", "\u00ab": "\u00bb"}
_QUOTE = re.compile(
    '(?<![\\w"])"(?=\\S)(?P<straight>[^"\\n]{1,300})(?<=\\S)"(?!\\w)'
    "|[\u201c\u201e](?P<curly>[^\u201c\u201d\u201e\\n]{1,300})[\u201c\u201d]"
    "|\u00ab(?P<angle>[^\u00ab\u00bb\\n]{1,300})\u00bb"
)
_OPENERS = re.compile('(?<![\\w"])"(?=\\S|\\Z)|[\u201c\u201e\u00ab]')
_CLOSERS = {'"': '"', "\u201c": "\u201d\u201c", "\u201e": "\u201c\u201d", "\u00ab": "\u00bb"}
_SPACES = re.compile(r"\s+")


class Grounded(Policy, frozen=True, kw_only=True):
    """Objects to numbers and quotes that the texts of the prompt and of tools do not contain.

    Attributes:
        above: numbers up to this one are not looked at; they count, enumerate and approximate.
        words: quotes of fewer words are not looked at; they are names and turns of speech.
    """

    name: ClassVar[str] = "grounded"
    subjects: ClassVar[tuple[Subject, ...]] = (Subject.RESPONSE,)
    defaults: ClassVar[tuple[Subject, ...]] = (Subject.RESPONSE,)
    default_action: ClassVar[Action] = Action.FLAG
    needs_documents: ClassVar[bool] = True
    holds: ClassVar[Hold] = Hold.PHRASE
    look_behind: ClassVar[int] = 2
    rules: ClassVar[dict[str, str]] = {
        "number": "a number that stands nowhere in what was given",
        "quote": "words in quotation marks that stand nowhere in what was given",
    }
    limits: ClassVar[tuple[str, ...]] = (
        "A number that was computed from given ones is not given itself.",
        "Numbers in words are not looked at, and units are not: `5 km` is grounded by `5 miles`.",
        "Where nothing was given, every number is objected to.",
        "A quote longer than 300 characters, or over several lines, is not looked at.",
    )
    sample: ClassVar[dict[str, object]] = {}
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="It has 1,250.50 units since 2019.", documents=("1250.5 units (2019)",)),
        Case(text="1. First\n2) Second, and 3 more", documents=()),
        Case(text="The sky is blue, v2.14.77 says.", documents=("nothing",)),
        Case(
            text='She said "we will not be\tmoved", twice.',
            documents=("We will not  be moved.",),
        ),
        Case(text="They grew by 47 percent.", documents=("by 46 percent",), rules=("number",)),
        Case(text="In 1984, 12 or 13.5 apples", documents=("12",), rules=("number", "number")),
        Case(
            text='He wrote "nothing of this is true".',
            documents=("All of this is true.",),
            rules=("quote",),
        ),
        Case(
            text="\u201eDas ist so nicht wahr\u201c", documents=("Das ist wahr",), rules=("quote",)
        ),
    )

    above: int = 10
    words: int = 3

    def __post_init__(self) -> None:
        if self.above < 0 or self.words < 1:
            raise ValueError("`above` must be at least 0, and `words` at least 1")

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        settled = _settled(window)
        numbers, texts = _given(context.documents)
        findings = [
            finding
            for finding in (
                *self._numbers(window, numbers),
                *self._quotes(window, texts),
            )
            if finding.start < settled
        ]
        return Scan(tuple(sorted(findings)), settled)

    def _numbers(self, window: Window, given: frozenset[Decimal]) -> Iterator[Finding]:
        text = window.text
        for match in _NUMBER.finditer(text, window.start):
            begin, end = match.span()
            readings = _readings(match[0])
            if min(readings) <= self.above or given & readings:
                continue
            if (begin == 0 or text[begin - 1] == "\n") and _LIST_MARK.match(text, end):
                continue
            yield Finding(
                start=begin,
                end=end,
                rule="number",
                message="a number that was not given.",
                severity=Severity.MEDIUM,
                label="NUMBER",
                fix="Use numbers of the given texts only.",
            )

    def _quotes(self, window: Window, given: tuple[str, ...]) -> Iterator[Finding]:
        for match in _QUOTE.finditer(window.text, window.start):
            quoted = _plain(match["straight"] or match["curly"] or match["angle"])
            if len(quoted.split()) >= self.words and not any(quoted in text for text in given):
                yield Finding(
                    start=match.start(),
                    end=match.end(),
                    rule="quote",
                    message="a quote that was not given.",
                    severity=Severity.MEDIUM,
                    label="QUOTE",
                    fix="Quote the given texts word by word, or leave the quotation marks out.",
                )


def _settled(window: Window) -> int:
    settled = last_word(window)
    if window.final:
        return settled
    text = window.text
    line = max(window.start, text.rfind("\n") + 1, len(text) - _LONGEST_QUOTE - 2)
    at = line
    while (opener := _OPENERS.search(text, at)) is not None:
        closed = _QUOTE.match(text, opener.start())
        if closed is None:
            closers = _CLOSERS[opener[0]]
            if not any(one in text[opener.end() :] for one in closers):
                return min(settled, opener.start())
            at = opener.end()
        elif closed.end() == len(text):
            return min(settled, opener.start())
        else:
            at = closed.end()
    return settled


def _readings(written: str) -> frozenset[Decimal]:
    """What a number may mean: `1,250` is a thousand and more, or one and a quarter."""
    plain = {written.replace(",", "")}
    if written.count(",") == 1:
        plain.add(written.replace(".", "").replace(",", "."))
    if "." in written and written.count(".") > 1:
        plain = {written.replace(".", "").replace(",", "."), written.replace(".", "")}
    return frozenset(
        Decimal(one).normalize() for one in plain if one.count(".") <= 1 and "," not in one
    ) or frozenset({Decimal(re.sub(r"[.,]", "", written))})


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text).strip(" .,;:!?").casefold()


@lru_cache(maxsize=8)
def _given(documents: tuple[str, ...]) -> tuple[frozenset[Decimal], tuple[str, ...]]:
    numbers = frozenset(
        reading
        for text in documents
        for match in _NUMBER.finditer(text)
        for reading in _readings(match[0])
    )
    return numbers, tuple(map(_plain, documents))
