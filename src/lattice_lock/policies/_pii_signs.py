"""Personal data that is one word: mail addresses, lettered identifiers, IPv6, hardware, coins."""

# ruff: noqa: C901, PLR2004  # each function weighs one form against what only looks like it

from __future__ import annotations

import hashlib
import re
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from lattice_lock.policies import _pii_checks as checks
from lattice_lock.policies._pii_context import Names
from lattice_lock.policies._pii_iban import iban_at
from lattice_lock.policies._pii_numbers import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "address_of_coin",
    "bech32",
    "code_around",
    "colons",
    "dashed_mac",
    "email_at",
    "lettered",
]

_MAIL_SIGN: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u00c0-\u1fff-"
_NOT_LOCAL = re.compile(rf".*[^{_MAIL_SIGN}]", re.DOTALL)
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9\u00c0-\u1fff](?:[A-Za-z0-9\u00c0-\u1fff-]{0,62}[A-Za-z0-9\u00c0-\u1fff])?\.){1,8}"
    r"(?:[A-Za-z\u00c0-\u1fff]{2,24}|xn--[A-Za-z0-9-]{2,40})(?![A-Za-z0-9\u00c0-\u1fff_@]|-[A-Za-z0-9]|\.[A-Za-z0-9])"
)
_NOT_MAIL: Final = re.compile(
    r"(?:git|hg|svn|ssh)@|.*\.(?:git|so|py|js|ts|tsx|png|jpe?g|gif|svg|webp|css|html?|json|xml|ya?ml|service|socket|timer|target|mount)\Z",
    re.IGNORECASE,
)
_VERSION = re.compile(r"v?[0-9]+(?:\.[0-9]+)+\.[A-Za-z0-9]+\Z")
_LOGIN = re.compile(r"://(?:[^\s/@:]{0,64}:)?\Z")
_LEADING: Final = "!#$%&'*+/=?^`{|}~.-"


def email_at(text: str, at: int) -> Found | None:
    """The mail address around the `@` at `at`."""
    domain = _DOMAIN.match(text, at + 1)
    if domain is None:
        return None
    start = max(0, at - 64)
    other = _NOT_LOCAL.match(text, start, at)
    if other is not None:
        start = other.end()
    found = text[start:at]
    for sign in "=/|`&?{}'":  # what stands before belongs to what surrounds the address
        cut = found.rfind(sign)
        if cut >= 0 and not (sign == "'" and cut and found[cut - 1].isalpha()):
            start += cut + 1
            found = found[cut + 1 :]
    kept = found.lstrip(_LEADING)
    start += len(found) - len(kept)
    found = kept
    if not found or found[-1] == "." or ".." in found:
        return None
    if _NOT_MAIL.match(text, start, domain.end()) and text[domain.end() : domain.end() + 1] in ":/":
        return None
    if _VERSION.match(text, at + 1, domain.end()):
        return None
    if _NOT_MAIL.match(text, at + 1, domain.end()):
        return None
    if text[domain.end() : domain.end() + 1] == "(":
        return None  # a call in code
    if _LOGIN.search(text, max(0, start - 80), start):
        return None  # who logs in at an address of the web
    return Found(start, domain.end(), "email")


_UPPER = str.upper
_GAP: Final = "[ -]?"
_LETTERED: Final[tuple[tuple[re.Pattern[str], Callable[[str], bool], str | None], ...]] = (
    (
        re.compile(
            rf"(?:[A-Z]{{2}}(?:{_GAP}[0-9]{{2}}){{3}}{_GAP}[A-D]|[a-z]{{2}}[0-9]{{6}}[a-d])"
            r"(?![A-Za-z0-9_])"
        ),
        checks.is_nino,
        None,
    ),
    (re.compile(r"[XYZxyz]-?[0-9]{7}-?[A-Za-z](?![A-Za-z0-9_])"), checks.is_dni, None),
    (re.compile(r"[0-9]{8}[- ]?[A-Za-z](?![A-Za-z0-9_])"), checks.is_dni, None),
    (re.compile(r"[STFGM][0-9]{7}[A-Z](?![A-Za-z0-9_])"), checks.is_nric, None),
    (
        re.compile(r"[CFGHJKLMNPRTVWXYZ][0-9]{9}(?![A-Za-z0-9_])"),
        checks.is_german_card_id,
        "ausweis",
    ),
)
_HETU = re.compile(r"[0-9]{6}[-+ABCDEFUVWXY][0-9]{3}[0-9A-FHJ-NPR-Y](?![A-Za-z0-9_])")
_NIR_CORSICA = re.compile(
    r"[12] ?[0-9]{2} ?[0-9]{2} ?2[AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}(?![A-Za-z0-9_])"
)
_DIGITS_FIRST = re.compile(
    r"[0-9]{8}[- ]?[A-Za-z]|[0-9]{6}[-+ABCDEFUVWXY]|[12] ?[0-9]{2} ?[0-9]{2} ?2[AB]"
)
_STRIP = str.maketrans("", "", " -")
_WORD_BEFORE = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z]{1,2}[ -]?\Z")
_IBAN_START = re.compile(r"(?<![A-Za-z0-9_])(?:[A-Z]{2}[ ]?|[A-Za-z]{2})[0-9]{2}")
_BEFORE_IBAN: Final = 28
_CODES = re.compile(
    r"(?<![A-Za-z0-9_])(?:(?P<pan>[A-Z]{3}[ABCFGHLJPT][A-Z][0-9]{4}[A-Z])|(?P<cf>[A-Z]{6}[0-9]{2}[A-EHLMPR-T][0-9]{2}[A-Z][0-9]{3}[A-Z]))(?![A-Za-z0-9_])"
)


def lettered(text: str, start: int, end: int) -> Iterator[Found]:
    """Account numbers and lettered identifiers around the run of digits at `start`."""
    for match in _IBAN_START.finditer(text, max(0, start - _BEFORE_IBAN), end):
        stop = iban_at(text, match.start())
        if stop > start:
            yield Found(match.start(), stop, "iban")
    before = _WORD_BEFORE.search(text, max(0, start - 3), start)
    if before is None and _DIGITS_FIRST.match(text, start) is None:
        return
    begin = start if before is None else before.start()
    for place in dict.fromkeys((begin, start)):
        if (
            place
            and (text[place - 1].isalnum() or text[place - 1] == "_")
            and text[place - 1] < "\u2e80"
        ):
            continue
        for pattern, check, words in _LETTERED:
            found = pattern.match(text, place)
            if found is None or not check(found[0].translate(_STRIP).upper()):
                continue
            if words is None or Names(text, place).last(words) >= 0:
                yield Found(place, found.end(), "national-id")
                return
    if start and text[start - 1].isalnum() and text[start - 1] < "\u2e80":
        return
    found = _HETU.match(text, start)
    if found is not None and checks.is_hetu(found[0]):
        yield Found(start, found.end(), "national-id")
    found = _NIR_CORSICA.match(text, start)
    if found is not None and checks.is_nir(found[0].replace(" ", "")):
        yield Found(start, found.end(), "national-id")


def code_around(text: str, at: int) -> Found | None:
    """The Indian PAN or the Italian tax code whose first digit is at `at`."""
    match = _CODES.search(text, max(0, at - 6), at + 12)
    if match is None or match.end() <= at:
        return None
    if match["cf"] is not None and not checks.is_codice_fiscale(match[0]):
        return None
    return Found(*match.span(), "national-id")


_LONGEST_COLONS: Final = 45
_COLONS = re.compile(r"[0-9A-Fa-f:.]{2,45}+")
_NOT_COLONS = re.compile(r".*[^0-9A-Fa-f:]", re.DOTALL)
_DIGIT = re.compile("[0-9]")
_MAC = re.compile(
    r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![0-9A-Za-z_:-])"
)


def colons(text: str, at: int) -> Found | None:
    """The IPv6 or hardware address that the colon at `at` is part of."""
    begin = max(0, at - _LONGEST_COLONS)
    other = _NOT_COLONS.match(text, begin, at)
    if other is not None:
        begin = other.end()
    elif begin:
        return None
    if begin and (text[begin - 1].isalnum() or text[begin - 1] in "_.-"):
        return None
    match = _COLONS.match(text, begin)
    if match is None:
        return None
    mac = _MAC.match(text, begin)
    if mac is not None:
        return Found(begin, mac.end(), "mac") if _is_real_mac(mac[0]) else None
    found = match[0].rstrip(".:")
    if match[0].startswith("::"[: len(match[0])]) and found == "":
        return None
    end = begin + len(found)
    if end < len(text) and (text[end].isalnum() or text[end] == "_"):
        return None
    if found.count(":") < 2 or len(found) < 6 or _DIGIT.search(found) is None:
        return None
    try:
        address = IPv6Address(found)
    except ValueError:
        return None
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        return None
    return Found(begin, end, "ip")


def dashed_mac(text: str, at: int) -> Found | None:
    """The hardware address whose first dash is at `at`."""
    begin = at - 2
    if begin < 0 or (begin and (text[begin - 1].isalnum() or text[begin - 1] in "_-")):
        return None
    match = _MAC.match(text, begin)
    if match is None or not _is_real_mac(match[0]):
        return None
    return Found(begin, match.end(), "mac")


def _is_real_mac(found: str) -> bool:
    return len({*found.lower()} - {":", "-"}) > 1 and _DIGIT.search(found) is not None


_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_ADDRESS = re.compile(r"bc1[02-9ac-hj-np-z]{11,71}(?![A-Za-z0-9_])")
_ETHEREUM = re.compile(r"0x[0-9A-Fa-f]{40}(?![0-9A-Za-z_])")


def address_of_coin(found: str) -> bool:
    """Whether `found` is a Bitcoin address with its right check sum.

    Source: https://en.bitcoin.it/wiki/Base58Check_encoding
    """
    number = 0
    for sign in found:
        number = number * 58 + _ALPHABET.index(sign)
    try:
        data = number.to_bytes(25, "big")
    except OverflowError:
        return False
    digest = hashlib.sha256(hashlib.sha256(data[:21]).digest()).digest()
    return data[0] in {0, 5} and digest[:4] == data[21:]


def bech32(text: str, at: int) -> Found | None:
    """The Bitcoin or Ethereum address that begins at `at`.

    Source: https://github.com/bitcoin/bips/blob/master/bip-0350.mediawiki
    """
    if at and (text[at - 1].isalnum() or text[at - 1] == "_"):
        return None
    match = _ETHEREUM.match(text, at)
    if match is not None:
        return Found(at, match.end(), "crypto") if len(set(match[0])) > 6 else None
    match = _BECH32_ADDRESS.match(text, at)
    if match is None:
        return None
    check = 1
    for value in (3, 3, 0, 2, 3, *map(_BECH32.index, match[0][3:])):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for index, generator in enumerate(
            (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
        ):
            check ^= generator if top >> index & 1 else 0
    return Found(at, match.end(), "crypto") if check in {1, 0x2BC830A3} else None
