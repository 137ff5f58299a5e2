"""The words that tell what a prompt asks for, as `_analyzer_cues.txt` lists them."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from lattice_lock.orchestrator.tasks import TaskType

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "AnySign",
    "Cue",
    "CueTable",
    "Sign",
    "_listed_cues",
    "cue_table",
    "fold",
    "unspaced_scripts",
]


class Sign(StrEnum):
    """What a word is, where it does not speak for a task by itself.

    The verb of a request and what it makes: `MAKE`, and an object of code, of prose, of testing.
    What is named: a programming language, a human `LANGUAGE`, a `NUMBER`. Questions: for a way, for
    a `COUNT`, for a `FACT`. `ADVICE` is somebody speaking of themselves, and `CONTRAST` what is
    otherwise than it was meant to be. `CONSTRAINT`, `HARD` and `EASY` say how hard a task is.
    """

    MAKE = "make"
    CODE_OBJECT = "code_object"
    TEXT_OBJECT = "text_object"
    TEST_OBJECT = "test_object"
    PROGRAMMING = "programming"
    LANGUAGE = "language"
    NUMBER = "number"
    HOW_TO = "how_to"
    COUNT = "count"
    FACT = "fact"
    GREETING = "greeting"
    EXPLAIN = "explain"
    ADVICE = "advice"
    CONTRAST = "contrast"
    CONSTRAINT = "constraint"
    HARD = "hard"
    EASY = "easy"


AnySign: TypeAlias = TaskType | Sign

_SECTION: Final = re.compile(r"\[(\w+) ([\d.]+)\]")

# Read with the module, because an event loop may be running when the first prompt is analysed.
_TEXT: Final = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")


def _listed_cues() -> Iterator[tuple[AnySign, float, str]]:
    """Every cue as it is written, with its sign and its weight; 0 says that it is only a sign."""
    sign: AnySign = TaskType.GENERAL
    weight = 0.0
    for line in _TEXT.splitlines():
        section = _SECTION.fullmatch(line)
        if section is not None:
            name = section[1]
            sign = Sign(name) if name in set(Sign) else TaskType(name)
            weight = float(section[2])
        elif not line.startswith("#"):
            for cue in line.split(";"):
                if cue.strip():
                    yield sign, weight, cue.strip()


_STEM_CHARS: Final = 3
_MARKS: Final = re.compile(r"[\u0300-\u036f\u0640\u064b-\u065f]+")
_PLAIN: Final = str.maketrans(
    {"\u0131": "i", "\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u00df": "ss", "\u00e6": "ae"}
)
_SPELT: Final = (
    ("c++", " cplusplus "),
    ("c#", " csharp "),
    ("f#", " fsharp "),
    (".net", " dotnet "),
    ("tl;dr", " tldr "),
)
_WORD: Final = re.compile(r"[^\W_]+\*?")

# Scripts that do not divide words, or glue others to them: the first and the last letter.
_SCRIPTS: Final = (
    ("arabic", "\u0600", "\u06ff"),
    ("devanagari", "\u0900", "\u097f"),
    ("hangul", "\uac00", "\ud7af"),
    ("kana", "\u3040", "\u30ff"),
    ("han", "\u3400", "\u9fff"),
)


def fold(text: str) -> str:
    """`text` without capitals and accents, so that people need not type them."""
    text = text.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFKD", text)))
        text = text.translate(_PLAIN)
    for name, word in _SPELT:
        if name in text:
            text = text.replace(name, word)
    return text


def unspaced_scripts(text: str) -> list[str]:
    """Which scripts there are in `text` of those whose words stand together."""
    if text.isascii():
        return []
    letters = [letter for letter in set(text) if letter >= _SCRIPTS[0][1]]
    return [name for name, first, last in _SCRIPTS if any(first <= one <= last for one in letters)]


class Cue(msgspec.Struct, frozen=True):
    """Words in a row, each with whether any ending may follow; `number` tells cues apart."""

    first: str
    rest: tuple[tuple[str, bool], ...]
    sign: AnySign
    weight: float
    number: int


class CueTable(msgspec.Struct, frozen=True):
    """Every cue, where it can be found quickly.

    Attributes:
        whole: by the first word, then by the second; the empty text is whatever second word.
        stems: the same, by the first letters of the first word.
        unspaced: by script, as texts to be looked for.
    """

    whole: dict[str, dict[str, list[Cue]]]
    stems: dict[str, dict[str, list[Cue]]]
    unspaced: dict[str, list[Cue]]

    def knows(self, word: str) -> bool:
        """Whether a cue may begin with `word`."""
        return word in self.whole or word[:_STEM_CHARS] in self.stems

    def beginning(self, word: str, second: str) -> Iterator[Cue]:
        """Cues whose first word is `word`, and whose second may be `second`."""
        cues = self.whole.get(word)
        if cues is not None:
            yield from cues.get("", ())
            yield from cues.get(second, ())
        cues = self.stems.get(word[:_STEM_CHARS])
        if cues is not None:
            for cue in (*cues.get("", ()), *cues.get(second, ())):
                if word.startswith(cue.first):
                    yield cue


@cache
def cue_table() -> CueTable:
    """The table of all cues."""
    table = CueTable({}, {}, {name: [] for name, _, _ in _SCRIPTS})
    for number, (sign, weight, listed) in enumerate(_listed_cues()):
        text = fold(listed)
        scripts = unspaced_scripts(text)
        if scripts:
            # Japanese is written with Chinese characters too.
            for script in ("han", "kana") if scripts == ["han"] else scripts[:1]:
                table.unspaced[script].append(Cue(text, (), sign, weight, number))
            continue
        (first, stem), *rest = [
            (word.rstrip("*"), word.endswith("*")) for word in _WORD.findall(text)
        ]
        second = rest[0][0] if rest and not rest[0][1] else ""
        into, key = (table.stems, first[:_STEM_CHARS]) if stem else (table.whole, first)
        cues = into.setdefault(key, {}).setdefault(second, [])
        cues.append(Cue(first, tuple(rest), sign, weight, number))
    return table
