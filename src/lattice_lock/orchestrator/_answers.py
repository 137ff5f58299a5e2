"""What an answer votes for, read out of its text, and which answers are equal.

Readers raise `ValueError` with a clause that says why an answer does not count.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

__all__ = [
    "canonical",
    "find_label",
    "normalised",
    "read_json",
    "read_ranking",
    "similar_groups",
    "without_fence",
]

# What NFKC leaves apart although people mean the same by it; a long dash parts words.
_PLAIN = str.maketrans("‘’‚“”„‐‑‒–−—", "''''''----- ")  # noqa: RUF001  # the point of it
_NUMBER = re.compile(r"[+-]?(?!0\d)(?:\d{1,3}(?:,\d{3})+|\d+|(?=\.))(?:\.\d+)?")
_MEANINGFUL = "#%&@/\\"  # punctuation to Unicode, but `C#` is not `C`
_IN_A_WORD = rf"[\w'+\-{re.escape(_MEANINGFUL)}]"
_LIST_MARK = re.compile(r"\s*(?:\d+[.):]|[-*•])\s+")  # "2. ", "- "
_ARRAY = re.compile(r"\[.*\]", re.DOTALL)
_FENCED = re.compile(r"\s*```\w*\n(.*)\n```\s*", re.DOTALL)
_ROUNDING = 1e-9


def normalised(text: str) -> str:
    """`text` without what does not change its meaning: equal results are equal answers.

    Unicode NFKC, case folded, one blank between words, no punctuation around words (within it
    counts: `don't`, `a-b`), and numbers by value: `42.`, `42.0` and `1,042` are 42, 42 and 1042,
    while `007` is no number. A text of punctuation alone keeps it.
    """
    words = _folded(text).split()
    return " ".join(filter(None, map(_word, words))) or " ".join(words)


def find_label(text: str, labels: Sequence[str]) -> str:
    """The one of `labels` that an answer names.

    The answer is a label; or exactly one stands in it, or else in its last line, as words of their
    own. Where one label is part of another, as `spam` of `not spam`, the longer one stands there.

    Raises:
        ValueError: none is named, or several are.
    """
    by_text = {normalised(label): label for label in labels}
    if (label := by_text.get(normalised(text))) is not None:
        return label
    by_words = {" ".join(_folded(label).split()): label for label in labels}
    longest_first = sorted(by_words, key=len, reverse=True)
    pattern = re.compile(
        rf"(?<!{_IN_A_WORD})(?:{'|'.join(map(re.escape, longest_first))})(?!{_IN_A_WORD})"
    )
    several = False
    for part in (text, *text.strip().splitlines()[-1:]):
        found = set(pattern.findall(" ".join(_folded(part).split())))
        if len(found) == 1:
            return by_words[found.pop()]
        several = several or len(found) > 1
    raise ValueError("it names several labels" if several else "it names none of the labels")


def read_ranking(text: str, options: Sequence[str]) -> tuple[str, ...]:
    """The options that an answer lists, best first: a JSON array, or one a line, maybe numbered.

    Not every option has to be there.

    Raises:
        ValueError: none is listed, one is listed twice, or something else is listed.
    """
    by_text = {normalised(option): option for option in options}
    ranking = []
    for entry, must_be_option in _entries(text):
        option = by_text.get(normalised(entry))
        if option is not None:
            ranking.append(option)
        elif must_be_option:
            raise ValueError("it ranks something that is no option")
    if not ranking:
        raise ValueError("it ranks none of the options")
    if len(set(ranking)) < len(ranking):
        raise ValueError("it ranks an option twice")
    return tuple(ranking)


def _entries(text: str) -> list[tuple[str, bool]]:
    """What may be options, and whether it has to be, because it is listed."""
    if (array := _ARRAY.search(text)) is not None:
        try:
            return [(entry, True) for entry in msgspec.json.decode(array[0], type=list[str])]
        except (ValueError, RecursionError):
            pass  # brackets in prose
    lines = [line for line in text.splitlines() if line.strip()]
    return [(_LIST_MARK.sub("", line, count=1), bool(_LIST_MARK.match(line))) for line in lines]


def read_json(text: str) -> tuple[Any, Any]:
    """The JSON value of an answer, maybe in a code fence; and again with exact numbers.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        plain = without_fence(text)
        return msgspec.json.decode(plain), _EXACT.decode(plain)
    except ValueError:  # half of a character, or an integer that Python refuses, too
        raise ValueError("it is not JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


_EXACT = msgspec.json.Decoder(float_hook=Decimal)


def canonical(value: object) -> Hashable:
    """What is equal for equal JSON: numbers by value, objects in any order, texts as they are.

    Args:
        value: JSON whose numbers are integers and `Decimal`.
    """
    match value:
        case dict():
            return ("object", frozenset((key, canonical(one)) for key, one in value.items()))
        case list():
            return ("array", tuple(map(canonical, value)))
        case bool() | None:  # before numbers: to Python, True is 1
            return ("constant", str(value))
        case int() | Decimal():
            return ("number", Decimal(value))
        case _:
            return ("text", value)


def without_fence(text: str) -> str:
    """What stands in the code fence that `text` consists of, or `text`."""
    fenced = _FENCED.fullmatch(text)
    return text if fenced is None else fenced[1]


def similar_groups(
    vectors: Mapping[str, Sequence[float]], threshold: float
) -> dict[str, tuple[str, ...]]:
    """For each text the group it belongs to, itself included; the order of `vectors` is nothing.

    Within a group any two texts have a cosine of at least `threshold`. The groups that are
    most alike, by the two texts least alike in them, are joined first; of equals, those that come
    first in the alphabet. Texts alike only by way of a third are not joined.
    """
    texts = sorted(vectors)
    units = {text: _unit(vectors[text]) for text in texts}
    cosines = {
        (one, other): math.fsum(a * b for a, b in zip(units[one], units[other], strict=True))
        for one, other in itertools.combinations(texts, 2)
    }

    def likeness(pair: tuple[tuple[str, ...], tuple[str, ...]]) -> float:
        crossing = itertools.product(*pair)
        return min(cosines[min(one, other), max(one, other)] for one, other in crossing)

    groups: list[tuple[str, ...]] = [(text,) for text in texts]
    while len(groups) > 1:
        best = max(itertools.combinations(groups, 2), key=likeness)
        if likeness(best) < threshold - _ROUNDING:
            break
        joined = tuple(sorted(best[0] + best[1]))
        groups = sorted([joined, *(group for group in groups if group not in best)])
    return {text: group for group in groups for text in group}


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length if length else 0.0 for value in vector]


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).translate(_PLAIN)


def _word(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_wrapping(text[end - 1]):
        end -= 1
    while start < end and _is_wrapping(text[start]) and not _NUMBER.fullmatch(text, start, end):
        start += 1
    word = text[start:end]
    if _NUMBER.fullmatch(word) is None:
        return word
    number = f"{Decimal(word.replace(',', '')):f}"
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return "0" if number == "-0" else number


def _is_wrapping(character: str) -> bool:
    if character in _MEANINGFUL:
        return False
    return unicodedata.category(character)[0] == "P" or character == "`"
