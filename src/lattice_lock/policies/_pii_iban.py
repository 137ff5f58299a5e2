"""International bank account numbers: their countries, structures and check digits."""

# ruff: noqa: E501, SIM905  # the registry, in its own notation

from __future__ import annotations

import re
from functools import cache
from typing import Final

__all__ = ["iban_at"]

# What follows the country and two check digits: n digits, a letters, c both.
# Source: SWIFT, IBAN Registry, https://www.swift.com/standards/data-standards/iban-international-bank-account-number
_STRUCTURES: Final = {
    one[:2]: one[2:]
    for one in (
        "AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c BI23n BR23n1a1c BY4c4n16c "
        "CH5n12c CR18n CY8n16c CZ20n DE18n DJ23n DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n "
        "FR10n11c2n GB4a14n GE2a16n GI4a15c GL14n GR7n16c GT4c20c HN4a20n HR17n HU24n IE4a14n IL19n "
        "IQ4a15n IS22n IT1a10n12c JO4a4n18c KW4a22c KZ3n13c LB4n20c LC4a24c LI5n12c LT16n LU3n13c "
        "LV4a13c LY21n MC10n11c2n MD2c18c ME18n MK3n10c2n MN16n MR23n MT4a5n18c MU4a19n3a NI4a20n "
        "NL4a10n NO11n OM3n16c PK4a16c PL24n PS4a21c PT21n QA4a21c RO4a16c RS18n RU14n15c SA2n18c "
        "SC4a20n3a SD14n SE20n SI15n SK20n SM1a10n12c SO19n ST21n SV4a20n TL19n TN20n TR5n1n16c "
        "UA6n19c VA18n VG4a16n XK16n YE4a4n18c "
        "AO21n BF2c22n BJ2c22n CF23n CG23n CI2a22n CM23n CV21n DZ22n GA23n GQ23n GW2c19n IR22n KM23n "
        "MA24n MG23n ML2c22n MZ21n NE2a22n SN2a22n TD23n TG2a22n"
    ).split()
}
_SIZES: Final = {
    country: sum(map(int, re.findall("[0-9]+", structure)))
    for country, structure in _STRUCTURES.items()
}
_CLASSES: Final = {"n": "[0-9]", "a": "[A-Za-z]", "c": "[A-Za-z0-9]"}
_GAP: Final = "[ \\-\u00a0\u202f]?"
_SEPARATORS: Final = str.maketrans("", "", " -\u00a0\u202f")


@cache
def _structure(country: str) -> re.Pattern[str]:
    parts = re.findall(r"([0-9]+)([nac])", _STRUCTURES[country])
    return re.compile("".join(f"{_CLASSES[kind]}{{{count}}}" for count, kind in parts))


@cache
def _spaced(size: int) -> re.Pattern[str]:
    return re.compile(
        f"[A-Za-z]{{2}}{_GAP}[0-9]{_GAP}[0-9](?:{_GAP}[A-Za-z0-9]){{{size}}}(?![A-Za-z0-9_])"
    )


def iban_at(text: str, start: int) -> int:
    """Where the account number that begins at `start` ends; 0 if there is none."""
    country = text[start : start + 2].upper()
    size = _SIZES.get(country)
    if size is None:
        return 0
    match = _spaced(size).match(text, start)
    if match is None:
        return 0
    if not match[0].isupper() and any(sign.isspace() for sign in match[0]):
        return 0
    signs = match[0].translate(_SEPARATORS).upper()
    if _structure(country).fullmatch(signs, 4) is None:
        return 0
    number = int("".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4]))
    return match.end() if number % 97 == 1 and signs[4:].strip("0") else 0
