"""Texts as a reader takes them: letters that look alike become one, invisible ones disappear."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["INVISIBLE", "Folded", "fold"]

INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
"""Characters that take no room.

Source: https://www.unicode.org/reports/tr44/ (Default_Ignorable)
"""

# Letters of other alphabets that are drawn like a Latin one.
# Source: https://www.unicode.org/reports/tr39/#Confusable_Detection
_ALIKE = {
    **dict(
        zip("авсԁеһіјӏорԛѕтѵԝхуАВСЕНІЈКМОРЅТХУ", "abcdehijlopqstvwxyabcehijkmopstxy", strict=True)
    ),
    **dict(zip("αειονρτυχγκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeiovptuxykabezhikmnoptyx", strict=True)),
    **dict(zip("ɑɡıⅼ", "agil", strict=True)),  # noqa: RUF001  # that is the point
}


class Folded:
    """A folded text, and where its characters came from.

    Attributes:
        text: the folded form.
    """

    __slots__ = ("_places", "text")

    def __init__(self, text: str, places: list[int] | None) -> None:
        self.text = text
        self._places = places

    def place(self, index: int) -> int:
        """The offset in the original text of character `index` of the folded one."""
        return index if self._places is None else self._places[index]


def fold(text: str) -> Folded:
    """`text` in small letters, with plain spaces, look-alikes unified and nothing invisible."""
    if text.isascii():
        return Folded(text.lower().translate(_SPACES), None)
    pieces = list(map(_folded, text))
    if all(len(piece) == 1 for piece in pieces):
        return Folded("".join(pieces), None)
    places: list[int] = []
    for at, piece in enumerate(pieces):
        places.extend([at] * len(piece))
    places.append(len(text))
    return Folded("".join(pieces), places)


_SPACES = str.maketrans("\t\n\r\f\v", "     ")


@cache
def _folded(character: str) -> str:
    if INVISIBLE.match(character) or unicodedata.combining(character):
        return ""
    if character.isspace():
        return " "
    alike = _ALIKE.get(character)
    if alike is not None:
        return alike
    plain = unicodedata.normalize("NFKD", character)
    bare = "".join(one for one in plain if not unicodedata.combining(one)) or plain
    return "".join(_ALIKE.get(one, one) for one in bare.casefold())
