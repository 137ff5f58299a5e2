"""Texts as a model may read them: folded, with what is invisible or encoded brought to light."""

from __future__ import annotations

import base64
import binascii
import html
import re
from bisect import bisect_right
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lattice_lock.policies._folding import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LETTERS", "Reading", "encoded_runs", "hidden_runs", "open_run", "undisguised"]

_FOREIGN = re.compile(r"[^\x00-\x7f]+")


class _Letters(dict[str, str]):
    """What each character reads as, looked up once."""

    def __missing__(self, character: str) -> str:
        small = character.lower()
        found = self[character] = _ALSO_ALIKE.get(small) or fold(small).text
        return found


_ALSO_ALIKE = dict(zip("тмквн", "tmkbh", strict=True))  # their capitals look so
LETTERS = _Letters()


class Reading:
    """A folded text after a line break, and where its characters came from.

    Attributes:
        text: the folded form, lines kept.
        regular: whether each character stands for one of the original.
    """

    __slots__ = ("_from", "_shifts", "_to", "regular", "text")

    def __init__(self, text: str) -> None:
        self.regular = True
        self._from = [-1]  # where stretches begin in the original, in the folded text,
        self._to = [0]
        self._shifts = [True]  # and whether characters correspond there
        if text.isascii():
            self.text = "\n" + text.lower()
            return
        pieces: list[str] = ["\n"]
        at = 0
        size = 1
        for begin, end in _foreign(text):
            letters = [LETTERS[one] for one in text[begin:end]]
            read = "".join(letters)
            pieces.append(text[at:begin].lower())
            pieces.append(read)
            size += begin - at
            if len(read) != end - begin or any(len(one) != 1 for one in letters):
                self.regular = False
                for offset, one in enumerate(letters):
                    if len(one) != 1:
                        self._from += (begin + offset, begin + offset + 1)
                        self._to += (size, size + len(one))
                        self._shifts += (False, True)
                    size += len(one)
            else:
                size += end - begin
            at = end
        pieces.append(text[at:].lower())
        self.text = "".join(pieces)

    def place(self, index: int) -> int:
        """The offset in the original text of character `index` of the folded one."""
        if self.regular:
            return max(0, index - 1)
        at = bisect_right(self._to, index) - 1
        place = self._from[at]
        return max(0, place + index - self._to[at] if self._shifts[at] else place)

    def index(self, place: int) -> int:
        """The first character of the folded text that comes from `place` or later."""
        if self.regular:
            return place + 1
        at = bisect_right(self._from, place) - 1
        index = self._to[at]
        return index + place - self._from[at] if self._shifts[at] else index


def _foreign(text: str) -> Iterator[tuple[int, int]]:
    """Runs of characters that are not ASCII."""
    for at in range(0, len(text), _STRETCH):
        if not text[at : at + _STRETCH].isascii():
            for found in _FOREIGN.finditer(text, at, at + _STRETCH):
                yield found.span()


_STRETCH = 256
_TAGS = "\U000e0000-\U000e007f"
_NOTHING = "\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_BEGINS = re.compile(f"[\U0001f3f4\u202d\u202e{_TAGS}{_NOTHING}{_SELECTORS}]")
_SHORT, _LONG = (
    re.compile(
        "\U0001f3f4[\U000e0020-\U000e007e]{3,7}\U000e007f"  # a flag, such as Scotland's
        f"|(?P<bad>(?<![{_TAGS}])[{_TAGS}]{{1,{most}}}"
        f"|(?<![{_NOTHING}])[{_NOTHING}]{{4,{most}}}"
        f"|(?<![{_SELECTORS}])[{_SELECTORS}]{{3,{most}}}"
        f"|(?<![{_NOTHING}][A-Za-z])(?:[\u200b\u200c\u2060\ufeff][A-Za-z]){{4,{most // 2}}}"
        f"|(?<![\u202d\u202e])[\u202d\u202e]{{1,{most}}})"
    )
    for most in (240, 65_536)
)


def hidden_runs(text: str, *, short: bool) -> Iterator[tuple[int, int]]:
    """Where characters that nobody sees may carry a message; `short` ends each after 240."""
    runs = _SHORT if short else _LONG
    at = 0
    for start, stop in _foreign(text):
        at = max(at, start)
        while (begin := _BEGINS.search(text, at, stop)) is not None:
            found = runs.match(text, begin.start())
            at = begin.end() if found is None else found.end()
            if found is not None and found["bad"] is not None:
                yield found.span()


_RUN = 24
_NUMBERS = 40


def _table(inside: str) -> bytes:
    return bytes(97 if chr(code) in inside else 32 for code in range(256))


_LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_CODED = _table(_LETTERS_AND_DIGITS + "+/=_-%\\&;#")
_SPACED_NUMBERS = _table("0123456789abcdefABCDEFxX, ")
_ESCAPE = re.compile(r"\\+(?:u|x)\{?([0-9a-fA-F]{2,4})\}?")
_HEX = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2}){12,})")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_BASE32 = re.compile(r"[A-Z2-7]{24,}={0,6}")
_NUMBER_WORDS = re.compile(r"[0-9a-fA-FxX]+")
_LEAST_PRINTABLE = 0.9
_DEPTH = 2


def encoded_runs(text: str, limit: int) -> Iterator[tuple[int, int, str]]:
    """Where something is encoded, with what it says; of each run `limit` characters are read."""
    mask = text.encode("latin-1", "replace")
    for table, least in ((_CODED, _RUN), (_SPACED_NUMBERS, _NUMBERS)):
        masked = mask.translate(table)
        wanted = b"a" * least
        at = masked.find(wanted)
        while at >= 0:
            stop = masked.find(b" ", at)
            stop = len(text) if stop < 0 else stop
            end = min(stop, at + limit)
            decoders = _decoded if least == _RUN else _from_numbers
            for one in decoders(text[at:end]):
                yield at, end, one
            at = masked.find(wanted, stop)


def open_run(text: str, limit: int) -> int:
    """Where something encoded that may go on begins; the end of the text if there is none."""
    size = len(text)
    tail = text[-limit - 1 :].encode("latin-1", "replace")
    begins = [tail.translate(table).rfind(b" ") + 1 for table in (_CODED, _SPACED_NUMBERS)]
    return size - len(tail) + min((one for one in begins if one), default=len(tail))


def _decoded(run: str, depth: int = 0) -> Iterator[str]:
    if "%" in run:
        yield unquote(run, errors="replace")
    if "\\" in run:
        yield _ESCAPE.sub(lambda found: chr(int(found[1], 16)), run)
    if "&#" in run:
        yield html.unescape(run)
    bare = run.strip("=;&#-_")
    found = _HEX.fullmatch(bare)
    if found is not None:
        yield from _readable(bytes.fromhex(found[1]))
    for match in _BASE32.finditer(run):
        coded = match[0].rstrip("=")
        coded = coded[: len(coded) // 8 * 8]
        yield from _readable(base64.b32decode(coded))
    for match in _BASE64.finditer(run):
        coded = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        coded = coded[: len(coded) - 1] if len(coded) % 4 == 1 else coded
        try:
            data = binascii.a2b_base64(coded + "=" * (-len(coded) % 4))
        except binascii.Error:
            continue
        for one in _readable(data):
            yield one
            if depth < _DEPTH and " " not in one.strip():
                yield from _decoded(one.strip(), depth + 1)


def _from_numbers(run: str) -> Iterator[str]:
    words = _NUMBER_WORDS.findall(run)
    for base, prefix in ((16, "0x"), (10, ""), (2, "0b")):
        values = [_value(one.lower().removeprefix(prefix), base) for one in words]
        kept = [one for one in values if one is not None]
        if len(kept) > len(words) // 2:
            yield from _readable(bytes(kept))


def _value(word: str, base: int) -> int | None:
    try:
        value = int(word, base)
    except ValueError:
        return None
    return value if 0 <= value <= 255 else None  # noqa: PLR2004  # a byte


def _readable(data: bytes) -> Iterator[str]:
    text = data.decode("utf-8", "ignore")
    if len(text) >= len(data) * _LEAST_PRINTABLE / 2 and text:
        shown = sum(one.isprintable() or one in "\n\t" for one in text)
        if shown >= len(text) * _LEAST_PRINTABLE:
            yield text


_ROT13 = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
_LEET = str.maketrans("1!0345$7@", "iioeassta")
_SINGLE = re.compile(r"(?<![a-z])[a-z](?:[ ._*|/,-]{1,2}[a-z](?![a-z])){3,}")
_BETWEEN = re.compile(r"[ ._*|/,-]")


def undisguised(text: str, how: str) -> str:
    """A folded text as it was before it was disguised by `how`."""
    if how == "rot13":
        return text.translate(_ROT13)
    if how == "reversed":
        return text[::-1]
    if how == "leet":
        return text.translate(_LEET)
    return " ".join(_BETWEEN.sub("", found[0]) for found in _SINGLE.finditer(text))
