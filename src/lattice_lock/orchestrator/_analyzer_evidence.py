"""Finds cues in prose, and weighs them by where they stand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from lattice_lock.orchestrator._analyzer_chunks import OPENERS, divide
from lattice_lock.orchestrator._analyzer_cues import (
    AnySign,
    Sign,
    cue_table,
    fold,
    unspaced_scripts,
)
from lattice_lock.orchestrator.tasks import TaskType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lattice_lock.orchestrator._analyzer_cues import Cue

__all__ = ["AT_START", "Evidence", "find_evidence"]

AT_START: Final = 1.15
"""What a cue that is only a sign weighs at least where a sentence begins with it."""

_MATERIAL_CHARS: Final = 2000  # what is searched of the material
_FIRST_WORDS: Final = 3
_IMPERATIVE: Final = 1.35  # what a cue counts where a sentence begins with it
_UNSPACED: Final = 1.2  # and where nobody can tell whether one does
_NEAR_WORDS: Final = 9  # between a verb and what it makes
_COUNTED_CUES: Final = 5
_LATER: Final = 0.6  # what each further cue of a sign counts beside the one before
_WORD_CHARS: Final = 3  # of a word in a script that does not divide them, about

_TOKEN: Final = re.compile("[^\\W_]+|[.!?;:\\n\u3002\uff01\uff1f\uff1a\u061f\u0964]")
_NUMBER: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_QUESTIONS: Final = "?\uff1f\u061f"
_STATEMENTS: Final = ".!\u3002\uff01\u0964"
_ENDS: Final = frozenset(_QUESTIONS + _STATEMENTS + ";:\n\uff1a")
_AFTER_QUESTION: Final = " \n\"'\u201d\u00bb)"
_BEFORE_LANGUAGE: Final = frozenset(
    {
        *("into", "to", "in", "ins", "auf", "en", "al", "para", "naar", "na", "на", "по"),
        *("the", "brazilian"),
    }
)
# Verbs of making that are something else later in a sentence.
_AMBIGUOUS: Final = frozenset(
    {
        *("code", "program", "design", "port", "edit", "complete", "turn", "put", "draft"),
        *("craft", "build", "make"),
    }
)
_MADE: Final = frozenset(
    {
        Sign.CODE_OBJECT,
        Sign.TEXT_OBJECT,
        Sign.TEST_OBJECT,
        TaskType.SUMMARISATION,
        TaskType.TRANSLATION,
    }
)


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one text.

    Attributes:
        weights: for each sign the weights of its cues, no cue counted twice.
        made: what a verb of making makes, with what the place of that verb counts.
        words: folded words, as far as they were searched.
        material: those of them that are not in an instruction.
        n_words: number of `words`; where a script does not divide them, a guess.
        questions, statements: sentences, by the mark they end with.
        numbers: written in digits in an instruction.
        ends_asking: the last sentence is a question.
        into_language: a human language is named after a word such as "into".
    """

    weights: dict[AnySign, list[float]]
    made: dict[AnySign, float]
    words: list[str]
    material: list[str]
    n_words: int
    questions: int
    statements: int
    numbers: int
    ends_asking: bool
    into_language: bool

    def total(self, sign: AnySign) -> float:
        """The weights of a sign together; each further cue says less."""
        total, share = 0.0, 1.0
        for weight in sorted(self.weights.get(sign, ()), reverse=True)[:_COUNTED_CUES]:
            total += weight * share
            share *= _LATER
        return total

    def has(self, sign: AnySign, at_least: float = 0.0) -> bool:
        """Whether a cue of this sign weighs so much."""
        return any(weight >= at_least for weight in self.weights.get(sign, ()))

    def count(self, sign: AnySign) -> int:
        """Number of different cues of this sign."""
        return len(self.weights.get(sign, ()))


def find_evidence(prose: str) -> Evidence:
    """What the cues in `prose` say."""
    folded = fold(prose)
    search = _Search(unspaced_scripts(folded))
    for chunk, share in divide(folded):
        search.read(chunk, share)
    return search.evidence(ends_asking=folded.rstrip(_AFTER_QUESTION).endswith(tuple(_QUESTIONS)))


class _Search:
    """Reads pieces of one text and keeps what it finds."""

    def __init__(self, scripts: Sequence[str]) -> None:
        self._table = cue_table()
        self._unspaced = [cue for script in scripts for cue in self._table.unspaced[script]]
        self._texts: dict[float, str] = {}
        self._found: dict[int, tuple[float, Cue]] = {}
        self._places: list[tuple[int, AnySign, float]] = []
        self._words: list[str] = []
        self._material: list[str] = []
        self._unread = _MATERIAL_CHARS
        self._questions = self._statements = self._numbers = 0
        self._into_language = False

    def read(self, chunk: str, share: float) -> None:
        """Search a piece of the text, in which a cue counts `share`."""
        instructs = share == 1.0
        if instructs:
            self._numbers += len(_NUMBER.findall(chunk))
        else:
            chunk = chunk[: self._unread]
            self._unread -= len(chunk)
        tokens = _TOKEN.findall(chunk)
        if self._unspaced:
            self._texts[share] = self._texts.get(share, "") + chunk
        begin = 0
        for index, token in enumerate(tokens):
            if token in _ENDS:
                begin = index + 1
                self._questions += token in _QUESTIONS
                self._statements += token in _STATEMENTS
                continue
            if begin == index and token in OPENERS:
                begin += 1
            if self._table.knows(token):
                self._read_word(tokens, index, share, first=index - begin < _FIRST_WORDS)
        self._words += tokens
        if not instructs:
            self._material += tokens

    def _read_word(self, tokens: Sequence[str], at: int, share: float, *, first: bool) -> None:
        """Keep the cues that begin with a word.

        Args:
            first: a sentence begins with it.
        """
        token, second = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        instructs = share == 1.0
        for cue in self._table.beginning(token, second):
            if cue.rest and not _follows(tokens, at + 1, cue.rest):
                continue
            if cue.sign is Sign.MAKE and not first and token in _AMBIGUOUS:
                continue
            scale = share * (_IMPERATIVE if first and instructs else 1.0)
            self._keep(cue, len(self._words) + at, share, scale)
            if cue.sign is Sign.LANGUAGE and instructs and at:
                self._into_language |= tokens[at - 1] in _BEFORE_LANGUAGE

    def _keep(self, cue: Cue, place: int, share: float, scale: float) -> None:
        self._places.append((place, cue.sign, share))
        if scale > self._found.get(cue.number, (0.0, cue))[0]:
            self._found[cue.number] = (scale, cue)

    def _read_unspaced(self) -> None:
        # Not chunk by chunk, of which there may be thousands.
        for share, text in self._texts.items():
            for cue in self._unspaced:
                at = text.find(cue.first)
                if at >= 0:
                    self._keep(cue, at // _WORD_CHARS, share, share * _UNSPACED)

    def evidence(self, *, ends_asking: bool) -> Evidence:
        """All that was found."""
        self._read_unspaced()
        weights: dict[AnySign, list[float]] = {}
        for scale, cue in self._found.values():
            weights.setdefault(cue.sign, []).append(scale * (cue.weight or 1.0))
        words = [word for word in self._words if word not in _ENDS]
        n_words = len(words)
        if self._unspaced:
            n_words += sum(len(word) - 1 for word in words if not word.isascii()) // _WORD_CHARS
        return Evidence(
            weights=weights,
            made=_made(self._places),
            words=words,
            material=self._material,
            n_words=n_words,
            questions=self._questions,
            statements=self._statements,
            numbers=self._numbers,
            ends_asking=ends_asking,
            into_language=self._into_language,
        )


def _follows(tokens: Sequence[str], at: int, rest: Sequence[tuple[str, bool]]) -> bool:
    return at + len(rest) <= len(tokens) and all(
        token.startswith(word) if stem else token == word
        for token, (word, stem) in zip(tokens[at:], rest, strict=False)
    )


def _made(places: list[tuple[int, AnySign, float]]) -> dict[AnySign, float]:
    """What is nearest after a verb of making; before it, where a language puts verbs last."""
    things = sorted((at, sign) for at, sign, _ in places if sign in _MADE)
    made: dict[AnySign, float] = {}
    for at, share in [(at, share) for at, sign, share in places if sign is Sign.MAKE]:
        near = [place for place, _ in things if 0 <= place - at <= _NEAR_WORDS]
        near = near[:1] or [place for place, _ in things if 0 < at - place <= _NEAR_WORDS][-1:]
        for place, sign in things:
            if place in near:
                made[sign] = max(made.get(sign, 0.0), share)
    return made
