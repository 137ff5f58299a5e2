"""Personal data that is written in digits: what a run of groups of digits is, if anything.

A run is judged by itself and by a few words before it, so that it does not matter where looking
began. Groups are read from left to right; what one number has taken is not read again.
"""

# ruff: noqa: E501, PLR2004, C901  # forms of numbers: their sizes are what the rules are about

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.policies import _pii_checks as checks
from lattice_lock.policies._pii_context import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "LONGEST_RUN",
    "RUN",
    "SEPARATORS",
    "Found",
    "numbers_in",
]

LONGEST_RUN: Final = 64
SPACES: Final = " \u00a0\u2007\u2009\u202f"
SEPARATORS: Final = rf"{SPACES}./()\-\u2010-\u2015"
RUN: Final = rf"[0-9]++(?:[{SEPARATORS}]{{1,3}}[0-9]++)*+"
_GROUP = re.compile("[0-9]+")
_ACCOUNT = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z]{2}\Z")
_TOKEN = re.compile(rf"[^{SPACES}]+")
_EXTENSION = re.compile(
    r"[ \u00a0,;]{0,2}\(?(?:x|ext(?:n|ension)?\.?|#|poste|durchwahl|dw|int(?:erno)?\.?|ramal|toestel"
    r"|anexo|wew\.?|\u0434\u043e\u0431\.?)[ .:]{0,2}[0-9]{1,6}(?![0-9A-Za-z_]|[-./][0-9])\)?",
    re.IGNORECASE,
)
_GLUED = re.compile("x[0-9]|ext", re.IGNORECASE)
_WORD: Final = "A-Za-z0-9_\u00c0-\u024f"

_DATE = re.compile(
    r"(?:(?:1[5-9]|20)[0-9]{2}([-./])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12][0-9]|3[01])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])([-./])(?:0?[1-9]|[12][0-9]|3[01])\2(?:(?:1[89]|20)[0-9]{2}|[0-9]{2}))"
    r"(?![0-9]|[-./][0-9])(?: [0-2]?[0-9](?=:[0-9]))?"
)
_DOTTED = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])(?!\.[0-9])")
_VERSION = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){2,}(?![0-9])(?![-/\u2013][0-9])")
_DOTTED_PHONE = re.compile(r"(?:1\.)?[0-9]{3}\.[0-9]{3}\.[0-9]{4}(?![0-9]|\.[0-9])")
_STOP: Final = f"(?!(?!(?i:x[0-9]|ext))[{_WORD}])"  # an extension may follow at once
_D: Final = "[-./\u2010-\u2015]"
_S: Final = f"[-./\u2010-\u2015{SPACES}]"
_NANP = re.compile(
    rf"(?:1{_S})?\(?(?P<area>[0-9]{{3}})(?:\)[-.{SPACES}]?|[{SPACES}]?{_D}[{SPACES}]?)"
    rf"(?P<office>[0-9]{{3}})[{SPACES}]?{_S}[{SPACES}]?[0-9]{{4}}{_STOP}"
)
_NANP_SPACES = re.compile(
    rf"(?:1{_S})?(?P<area>[2-9][0-9]{{2}})[{SPACES}](?P<office>[2-9][0-9]{{2}})[-.{SPACES}][0-9]{{4}}{_STOP}"
)
_PAIRS = re.compile(
    rf"0[1-9](?:(?P<s>{_S})[0-9]{{2}}(?:(?P=s)[0-9]{{2}}){{3}})(?!(?!(?i:x[0-9]|ext))[{_WORD}]|{_S}[0-9]{{2}}(?![0-9]))"
)
_SHAPES: Final = (
    # Brazil, Russia, China, India, and the freephone and service numbers of many countries.
    rf"[0-9]{{2}}[{SPACES}]9?[0-9]{{4}}-[0-9]{{4}}{_STOP}",
    rf"8[-{SPACES}]\(?[0-9]{{3}}\)?[-{SPACES}][0-9]{{3}}[-{SPACES}]?[0-9]{{2}}[-{SPACES}]?[0-9]{{2}}{_STOP}",
    rf"1[3-9][0-9](?P<a>[-{SPACES}])[0-9]{{4}}(?P=a)[0-9]{{4}}{_STOP}",
    rf"[6-9][0-9]{{4}}[-{SPACES}][0-9]{{5}}{_STOP}",
    rf"1[38]00[-{SPACES}][0-9]{{3}}[-{SPACES}][0-9]{{3}}{_STOP}",
)
_SHAPED = re.compile("|".join(_SHAPES))
_TRUNK = re.compile(rf"0[0-9]{{1,5}}\)?{_S}{{1,3}}[0-9]{{2,8}}(?:{_S}[0-9]{{2,8}}){{0,4}}{_STOP}")
_BARE_MOBILE = re.compile(r"(?:07[0-9]{9}|01[567][0-9]{8,9}|0[67][0-9]{8})(?![0-9])")
_PARENTHESES = re.compile(
    rf"(?!(?:19|20)[0-9]{{2}}\))[0-9]{{2,5}}\)[{SPACES}]?[0-9]{{2,8}}(?:{_S}[0-9]{{2,5}}){{0,4}}{_STOP}"
)
_SSN = re.compile(
    rf"([0-9]{{3}})([-{SPACES}.\u2010-\u2015])([0-9]{{2}})\2([0-9]{{4}})(?![{_WORD}]|[-./][0-9])"
)
_COUNTRY_CODES: Final = re.compile(
    r"1|7|2(?:0|7|1[1-368]|2\d|3\d|4\d|5[0-8]|6\d|9[017-9])|3[0-469]|3(?:5\d|7\d|8[0-35-79])|4[013-9]|42[013]"
    r"|5[1-8]|5(?:0\d|9\d)|6[0-6]|6(?:7[0234-9]|8\d|9[0-2])|8[1246]|8(?:0[08]|5[02356]|7[08]|8[0168])|9[0-58]|9(?:6[0-8]|7[0-79]|9[2-68])"
)
_CARD_SEPARATORS: Final = frozenset(f"|-{SPACES}\u2010\u2011")
_MOST_GROUPS: Final = 8


class Found(NamedTuple):
    """A place in a text, and the rule that objects to it."""

    start: int
    end: int
    rule: str


class _Span(NamedTuple):
    """A few neighbouring groups of digits, as one number."""

    end: int
    digits: str
    groups: tuple[int, ...]
    separators: str


def numbers_in(text: str, start: int, end: int, regions: tuple[str, ...]) -> Iterator[Found]:
    """What stands in the run of digits between `start` and `end`."""
    if end - start <= LONGEST_RUN:
        yield from _parsed(text, start, end, regions)
        return
    for token in _TOKEN.finditer(text, start, end):
        if 6 <= token.end() - token.start() <= LONGEST_RUN:
            for group in _GROUP.finditer(text, *token.span()):
                yield from _parsed(text, group.start(), token.end(), regions)
                break


def _parsed(text: str, start: int, end: int, regions: tuple[str, ...]) -> Iterator[Found]:
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    if (
        len(groups) > _MOST_GROUPS
        and all(last - first < 3 for first, last in groups)
        and text[start] != "0"
        and (not start or text[start - 1] != "+")
    ):
        return  # an enumeration
    at = 0
    while at < len(groups):
        begin = groups[at][0]
        before = text[begin - 1] if begin else " "
        if (before.isalnum() and before < "\u2e80") or before == "_":
            if _ACCOUNT.search(text, max(0, begin - 3), begin) and groups[0][1] - begin == 2:
                return  # an account number, right or not
            at += 1
            continue
        skip = _DATE.match(text, begin, end + 1) or _VERSION.match(text, begin, end)
        if (
            skip is not None
            and _PAIRS.match(text, begin) is None
            and (_DOTTED_PHONE.match(text, begin) is None or _version_before(text, begin))
        ):
            dotted = _DOTTED.fullmatch(skip[0])
            if dotted and _is_public(text, begin, skip[0]):
                yield Found(begin, skip.end(), "ip")
            past = skip.end()
        else:
            found = _number(text, groups, at, regions)
            if found is None:
                at += 1
                continue
            yield found
            past = found.end
        while at < len(groups) and groups[at][0] < past:
            at += 1


def _number(
    text: str, groups: list[tuple[int, int]], at: int, regions: tuple[str, ...]
) -> Found | None:
    spans = _spans(text, groups, at)
    if not spans or len(spans[-1].digits) < 7:
        return None
    begin = groups[at][0]
    plus = begin > 0 and text[begin - 1] == "+"
    before = text[begin - 1] if begin else " "
    joined = before in "./-\u2010\u2011\u2012\u2013" and begin > 1 and text[begin - 2].isalnum()
    if plus:
        return _international(text, begin - 1, spans)
    names = Names(text, begin)
    for span in reversed(spans):
        if len(span.digits) < 12:
            break
        if _is_card(text, span, names) and (not joined or names.card):
            return Found(begin, span.end, "card")
    if not joined:
        ssn = _ssn(text, begin, spans, names)
        if ssn is not None:
            return ssn
        for span in reversed(spans):
            if (span.groups in _SHAPES_OF_IDS or len(span.digits) == 17) and _is_id(
                text, span, names
            ):
                end = span.end
                if len(span.digits) == 17:
                    end += 1
                return Found(begin, end, "national-id")
    return _phone(text, begin, spans, names, regions, joined=joined)


def _spans(text: str, groups: list[tuple[int, int]], at: int) -> list[_Span]:
    """The group at `at`, and what it makes of seven digits or more with those after it."""
    near = groups[at : at + _MOST_GROUPS]
    begin, end = near[0]
    if near[-1][1] - begin < 7 or end - begin > 19:
        return []
    digits = text[begin:end]
    sizes: tuple[int, ...] = (end - begin,)
    separators = ""
    spans = [_Span(end, digits, sizes, separators)]
    for first, last in near[1:]:
        if len(digits) + last - first > 19:
            break
        separators += text[end:first] + "|"
        digits += text[first:last]
        sizes += (last - first,)
        end = last
        if len(digits) >= 7:
            spans.append(_Span(end, digits, sizes, separators))
    if _letter_at(text, end) and not _is_sign_of_id(text, spans[-1]):
        spans.pop()  # a digit that a letter follows ends no number
    return spans


def _letter_at(text: str, at: int) -> bool:
    return at < len(text) and (
        text[at] == "_"
        or (text[at].isalnum() and text[at] < "\u2e80" and _GLUED.match(text, at) is None)
    )


def _is_sign_of_id(text: str, span: _Span) -> bool:
    return len(span.digits) == 17 and text[span.end : span.end + 1] in {"X", "x"}


def _followed(text: str, at: int) -> bool:
    """Whether a sign joins more digits to a number that ends at `at`."""
    return at + 1 < len(text) and text[at] in "-./_" and text[at + 1].isdigit()


def _is_card(text: str, span: _Span, names: Names) -> bool:
    size = len(span.digits)
    if len(span.groups) > 1 and not (3 <= min(span.groups[:-1]) <= max(span.groups) <= 8):
        return False
    if max(map(len, span.separators.split("|"))) > 1 or set(span.separators) - _CARD_SEPARATORS:
        return False
    if _followed(text, span.end) or not checks.is_card(span.digits):
        return False
    if size == 12 and span.groups == (4, 4, 4) and checks.is_aadhaar(span.digits):
        return names.card
    if span.groups == (6, 7) and checks.is_korean_id(span.digits):
        return names.card
    return names.card or not (names.other or (size == 12 and names.phone))


def _ssn(text: str, begin: int, spans: list[_Span], names: Names) -> Found | None:
    match = _SSN.match(text, begin)
    if match is not None:
        digits = match[1] + match[3] + match[4]
        spaced = match[2] not in "-\u2010\u2011\u2012\u2013"
        if spaced and not names.ssn and (match[2] == "." or names.phone or names.other):
            return None
        if checks.is_ssn(digits, named=names.ssn):
            return Found(begin, match.end(), "ssn")
        return None
    first = spans[0]
    if (
        len(first.digits) == 9
        and names.ssn
        and not _followed(text, first.end)
        and checks.is_ssn(first.digits, named=True)
    ):
        return Found(begin, first.end, "ssn")
    return None


# How its digits are grouped, what a word before it must say (nothing if empty), and its check.
_Groups = tuple[int, ...]
_IDS: Final[tuple[tuple[tuple[_Groups, ...], tuple[str, ...], Callable[[str], bool]], ...]] = (
    (((3, 3, 4), (10,)), ("nhs",), checks.is_nhs),
    (((3, 3, 3), (9,)), ("sin",), checks.is_sin),
    (((9,), (4, 2, 3), (3, 3, 3)), ("bsn", "identity"), checks.is_bsn),
    (((3, 3, 3), (9,)), ("tfn",), checks.is_tfn),
    (((4, 5, 1), (10,), (4, 5, 1, 1), (11,), (4, 5, 2)), ("medicare",), checks.is_medicare),
    (((2, 3, 3, 3), (11,)), ("steuer",), checks.is_steuer_id),
    (((11,),), ("pesel", "identity"), checks.is_pesel),
    (((11,),), ("cpf", "identity"), checks.is_cpf),
    (((12,),), ("aadhaar", "identity"), checks.is_aadhaar),
    (((4, 4, 4),), (), checks.is_aadhaar),
    (((4, 4, 4), (12,)), ("my-number",), checks.is_my_number),
    (((6, 4), (8, 4)), (), checks.is_personnummer),
    (((10,), (12,)), ("personnummer", "identity"), checks.is_personnummer),
    (((13,), (6, 4, 3), (6, 4, 2, 1)), ("south-african", "identity"), checks.is_south_african_id),
    (((6, 7),), (), checks.is_korean_id),
    (((14,),), ("cnpj",), checks.is_cnpj),
    (((1, 2, 2, 2, 3, 3, 2), (15,), (13, 2)), (), checks.is_nir),
    (((18,), (6, 8, 4)), (), checks.is_chinese_id),
)
_BY_GROUPS: Final[dict[_Groups, list[tuple[tuple[str, ...], Callable[[str], bool]]]]] = {
    groups: [(words, check) for shapes, words, check in _IDS if groups in shapes]
    for groups in {groups for shapes, _, _ in _IDS for groups in shapes}
}
_FORMATTED: Final[dict[_Groups, tuple[str, Callable[[str], bool]]]] = {
    (3, 3, 3, 2): (".|.|-|", checks.is_cpf),
    (2, 3, 3, 4, 2): (".|.|/|-|", checks.is_cnpj),
}
_SHAPES_OF_IDS: Final = _BY_GROUPS.keys() | _FORMATTED.keys()


def _is_id(text: str, span: _Span, names: Names) -> bool:
    digits = span.digits
    if len(digits) == 17:
        sign = text[span.end : span.end + 1]
        return sign in {"X", "x"} and len(span.groups) == 1 and checks.is_chinese_id(digits + sign)
    if _followed(text, span.end):
        return False
    formatted = _FORMATTED.get(span.groups)
    if formatted is not None and span.separators == formatted[0]:
        return formatted[1](digits)
    if max(map(len, span.separators.split("|"))) > 1 or set(span.separators) & set("./()"):
        return False
    for words, check in _BY_GROUPS.get(span.groups, ()):
        if not words:
            if len(span.groups) == 2 and "-" not in span.separators:
                continue
        elif not names.last(*words) >= max(0, names.last("phone")):
            continue
        if check(digits):
            return True
    return False


def _phone(
    text: str,
    begin: int,
    spans: list[_Span],
    names: Names,
    regions: tuple[str, ...],
    *,
    joined: bool,
) -> Found | None:
    if joined and text[begin - 1] == "." and text[begin - 2].isdigit():
        return None
    opened = begin > 0 and text[begin - 1] == "("
    start = begin - 1 if opened and ")" in text[begin : spans[-1].end] else begin
    if opened and start:
        plus = start - 1
        if text[plus] == "+":
            start = plus
    digits = spans[-1].digits
    if digits.startswith(("00", "011")) and not joined:
        found = _international(text, start, spans)
        if found is not None and (len(spans) > 1 or names.phone):
            return found
    end = 0
    if not joined or names.phone:
        end = _shaped(text, begin, spans, names, regions, opened=start < begin)
    if not end and names.phone:
        end = _named(spans)
    if not end:
        return None
    if _followed(text, end) or (joined and not names.phone):
        return None
    if names.other and not names.phone:
        return None
    return Found(start, _extended(text, end), "phone")


def _shaped(
    text: str,
    begin: int,
    spans: list[_Span],
    names: Names,
    regions: tuple[str, ...],
    *,
    opened: bool,
) -> int:
    match = _NANP.match(text, begin) or _NANP_SPACES.match(text, begin)
    if match is not None and (opened or ")" not in match[0].split("(")[0]):
        return match.end()
    match = _SHAPED.match(text, begin)
    if match is not None:
        return match.end()
    if text[begin] == "0":
        match = _PAIRS.match(text, begin)
        if match is not None:
            return match.end() if not _pair_before(text, begin) else 0
        match = _BARE_MOBILE.match(text, begin)
        if match is not None and match.end() == spans[0].end:
            return match.end()
        match = _TRUNK.match(text, begin)
        if match is not None:
            return _trunk(spans, regions, named=names.phone)
    if opened:
        match = _PARENTHESES.match(text, begin)
        if match is not None and 8 <= sum(map(str.isdigit, match[0])) <= 13:
            return match.end()
    return 0


def _pair_before(text: str, begin: int) -> bool:
    return (
        begin >= 3
        and text[begin - 1] in f"{SPACES}.-"
        and text[begin - 3 : begin - 1].isdigit()
        and not (begin >= 4 and text[begin - 4].isdigit())
    )


def _trunk(spans: list[_Span], regions: tuple[str, ...], *, named: bool) -> int:
    """The end of a number with a leading zero that is grouped."""
    for span in reversed(spans):
        size = len(span.digits)
        if not 9 <= size <= 12 or len(span.groups) < 2 or min(span.groups[1:]) < 2:
            continue
        if span.digits[1] == "0":
            continue
        if max(span.groups) == 2 or (span.groups == (5, 4) and not named):
            continue
        plain = size in {10, 11} and max(span.groups) < 9 and "." not in span.separators
        if plain or named or _is_valid(span.digits, regions):
            return span.end
    return 0


def _named(spans: list[_Span]) -> int:
    """The end of what the words before it call a telephone number."""
    best = 0
    for index, span in enumerate(spans):
        size = len(span.digits)
        last = span.separators.split("|")[-2:-1]
        if size > 15 or (index and span.groups[-1] < 2 and size > 8):
            break
        if (
            best
            and last
            and last[0] in SPACES
            and any(sign in span.separators for sign in "-./")
            and not any(sign in span.separators.split("|")[0] for sign in "-./")
        ):
            break
        if size >= 7:
            best = span.end
    return best


def _international(text: str, start: int, spans: list[_Span]) -> Found | None:
    """A number with the code of its country, from its `+` or zeros on."""
    if start and text[start] == "+" and (text[start - 1].isalnum() and text[start - 1] < "\u2e80"):
        return None
    best: _Span | None = None
    if text[start] == "+" and _COUNTRY_CODES.match(spans[-1].digits):
        best = _whole(spans)
    for span in () if best else reversed(spans):
        digits = span.digits
        if text[start] != "+":
            digits = digits[3:] if digits.startswith("011") else digits[2:]
        if not 8 <= len(digits) <= 16 or not _COUNTRY_CODES.match(digits):
            continue
        if "(0)" in text[start : span.end]:
            digits = "".join(_GROUP.findall(text[start : span.end].replace("(0)", " "))).lstrip("0")
        if len(digits) > 15:
            continue
        if _is_valid("+" + digits, ("ZZ",)):
            best = span
            break
        if best is None:
            best = span
    if best is None or _followed(text, best.end):
        return None
    return Found(start, _extended(text, best.end), "phone")


def _whole(spans: list[_Span]) -> _Span | None:
    """The number that the groups after a `+` plainly are, without asking for its country's plan."""
    if spans[0].digits[0] == "1":
        return next((span for span in spans if len(span.digits) == 11), None)
    last = spans[-1]
    if 9 <= len(last.digits) <= 13 and (len(spans) == 1 or last.groups[-1] > 2):
        return last
    return None


@lru_cache(maxsize=1024)
def _is_valid(digits: str, regions: tuple[str, ...]) -> bool:
    import phonenumbers  # noqa: PLC0415  # costs time to load, and most texts have no such number

    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(digits, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _extended(text: str, end: int) -> int:
    match = _EXTENSION.match(text, end)
    return end if match is None else match.end()


_NEVER_PUBLIC = re.compile(
    r"0\.|10\.|127\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|255\.|192\.0\.[02]\.|198\.51\.100\.|203\.0\.113\."
    r"|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|198\.1[89]\.|8\.8\.(?:8\.8|4\.4)\Z|1\.(?:1\.1\.1|0\.0\.1)\Z|9\.9\.9\.9\Z|1\.3\.|2\.5\.29\."
)
_VERSION_WORDS = re.compile(
    r"(?:version|ver\.?|release|build|firmware|chrome|chromium|safari|edg|section|clause|oid|v|[<>=~^]=|[<>~^])[ :=/\"'-]{0,4}\Z",
    re.IGNORECASE,
)


def _is_public(text: str, begin: int, address: str) -> bool:
    parts = address.split(".")
    if _NEVER_PUBLIC.match(address) or not all(
        int(part) <= 255 and (part == "0" or part[0] != "0") for part in parts
    ):
        return False
    if _version_before(text, begin):
        return False
    if text.startswith(" - ", begin + len(address)):
        return True  # a line of a web server's log
    return max(map(len, parts)) > 2 or Names(text, begin).last("ip") >= 0


def _version_before(text: str, begin: int) -> bool:
    return _VERSION_WORDS.search(text, max(0, begin - 12), begin) is not None
