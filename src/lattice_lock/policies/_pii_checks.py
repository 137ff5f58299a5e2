"""Check digits and structures of identifiers; every function takes the bare signs of one."""

# ruff: noqa: PLR2004  # the numbers are those of the check that each function cites

from __future__ import annotations

import re
from datetime import date
from typing import Final

__all__ = [
    "is_aadhaar",
    "is_bsn",
    "is_card",
    "is_chinese_id",
    "is_cnpj",
    "is_codice_fiscale",
    "is_cpf",
    "is_dni",
    "is_german_card_id",
    "is_hetu",
    "is_korean_id",
    "is_medicare",
    "is_my_number",
    "is_nhs",
    "is_nino",
    "is_nir",
    "is_nric",
    "is_personnummer",
    "is_pesel",
    "is_sin",
    "is_south_african_id",
    "is_ssn",
    "is_steuer_id",
    "is_tfn",
    "luhn",
]


_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit by ISO/IEC 7812-1, annex B."""
    single = sum(map(int, digits[::-2]))
    return (single + sum(map(_DOUBLED.__getitem__, map(int, digits[-2::-2])))) % 10 == 0


# Issuers' prefixes with the lengths of their numbers.
# Source: https://en.wikipedia.org/wiki/Payment_card_number#Issuer_identification_number_(IIN)
_ISSUERS: Final = (
    (r"4", (13, 16, 19)),
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
    (r"3[47]", (15,)),
    (r"3(?:0[0-59]|[689])", (14,)),
    (r"3(?:0[0-59]|[689])", (16, 19)),
    (r"6011|64[4-9]|65|62[24-68]", (16, 19)),
    (r"35", (16, 19)),
    (r"2131|1800", (15, 16)),
    (r"62|81", (16, 17, 18, 19)),
    (r"50[1238]|5[6-8]|6304|6390|67|0604", (12, 13, 14, 15, 16, 17, 18, 19)),
    (r"220[0-4]", (16, 17, 18, 19)),
    (r"60|82|508|353|356", (16,)),
    (r"50[0-9]|636|63[7-9]|627780|606282|9792", (16,)),
    (r"506[01]", (16, 18, 19)),
)
_BY_SIZE: Final = {
    size: re.compile("|".join(prefix for prefix, sizes in _ISSUERS if size in sizes))
    for size in range(12, 20)
}


def is_card(digits: str) -> bool:
    """Whether an issuer gives out such numbers, and the check digit is right."""
    prefixes = _BY_SIZE.get(len(digits))
    if prefixes is None or prefixes.match(digits) is None:
        return False
    return len(set(digits)) > 1 and luhn(digits)


def is_ssn(digits: str, *, named: bool = False) -> bool:
    """Whether the Social Security Administration or the tax office gives out such numbers.

    `named` says that the text calls it one: then only what no number can be is refused.

    Source: https://www.ssa.gov/employer/randomization.html and
    https://www.irs.gov/irm/part3/irm_03-021-263r
    """
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area == "000" or group == "00" or serial == "0000" or len(set(digits)) == 1:
        return False
    if area == "666":
        return False
    return area < "900" or named or group in _ITIN_GROUPS


_ITIN_GROUPS: Final = frozenset(
    str(group) for group in range(50, 100) if group not in {66, 67, 68, 69, 89, 93}
)


def _weighed(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def is_nhs(digits: str) -> bool:
    """A British NHS number. Source: https://www.datadictionary.nhs.uk/attributes/nhs_number.html."""
    check = 11 - _weighed(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return len(set(digits)) > 1 and check != 10 and check % 11 == int(digits[9])


def is_sin(digits: str) -> bool:
    """A Canadian social insurance number; none begins with 8.

    Source: https://en.wikipedia.org/wiki/Social_Insurance_Number
    """
    return digits[0] != "8" and len(set(digits)) > 1 and luhn(digits)


def is_bsn(digits: str) -> bool:
    """A Dutch citizen number. Source: https://nl.wikipedia.org/wiki/Burgerservicenummer."""
    return len(set(digits)) > 1 and _weighed(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def is_tfn(digits: str) -> bool:
    """An Australian tax file number. Source: https://en.wikipedia.org/wiki/Tax_file_number."""
    return len(set(digits)) > 1 and _weighed(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def is_medicare(digits: str) -> bool:
    """An Australian Medicare number, of 10 or 11 digits.

    Source: https://en.wikipedia.org/wiki/Medicare_card_(Australia)
    """
    return digits[0] in "23456" and _weighed(digits, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(
        digits[8]
    )


def is_steuer_id(digits: str) -> bool:
    """A German tax number of a person: one digit comes twice or thrice, ISO 7064 mod 11,10.

    Source: https://de.wikipedia.org/wiki/Steuerliche_Identifikationsnummer
    """
    counts = sorted(digits[:10].count(one) for one in set(digits[:10]))
    if digits[0] == "0" or counts[-1] not in {2, 3} or counts[:-1].count(1) != len(counts) - 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_pesel(digits: str) -> bool:
    """A Polish PESEL. Source: https://en.wikipedia.org/wiki/PESEL."""
    century = {"8": 1800, "9": 1800, "0": 1900, "1": 1900, "2": 2000, "3": 2000}.get(digits[2])
    if century is None:
        return False
    month = int(digits[2:4]) % 20
    return _is_date(century + int(digits[:2]), month, int(digits[4:6])) and (
        _weighed(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0
    )


def is_cpf(digits: str) -> bool:
    """A Brazilian CPF. Source: https://pt.wikipedia.org/wiki/Cadastro_de_Pessoas_F%C3%ADsicas."""
    if len(set(digits)) == 1:
        return False
    first = _weighed(digits[:9], tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = _weighed(digits[:10], tuple(range(11, 1, -1))) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def is_cnpj(digits: str) -> bool:
    """A Brazilian CNPJ, which sole traders have too.

    Source: https://pt.wikipedia.org/wiki/Cadastro_Nacional_da_Pessoa_Jur%C3%ADdica
    """
    if len(set(digits)) == 1:
        return False
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    first = (11 - _weighed(digits[:12], weights[1:]) % 11) % 11 % 10
    second = (11 - _weighed(digits[:13], weights) % 11) % 11 % 10
    return digits[12:] == f"{first}{second}"


_PRODUCT: Final = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_PERMUTED: Final = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def is_aadhaar(digits: str) -> bool:
    """An Indian Aadhaar number, by Verhoeff's check.

    Source: https://en.wikipedia.org/wiki/Verhoeff_algorithm and https://uidai.gov.in
    """
    if digits[0] in "01" or len(set(digits)) == 1:
        return False
    check = 0
    for index, digit in enumerate(reversed(digits)):
        check = int(_PRODUCT[check][int(_PERMUTED[index % 8][int(digit)])])
    return check == 0


def is_my_number(digits: str) -> bool:
    """A Japanese individual number. Source: https://en.wikipedia.org/wiki/Individual_Number."""
    total = _weighed(digits[:11], (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(digits[11]) == (0 if total <= 1 else 11 - total)


def is_personnummer(digits: str) -> bool:
    """A Swedish personal number, of 10 or 12 digits.

    Source: https://en.wikipedia.org/wiki/Personal_identity_number_(Sweden)
    """
    if len(digits) == 12:
        if digits[:2] not in {"18", "19", "20"}:
            return False
        digits = digits[2:]
    day = int(digits[4:6])
    return _is_date(2000, int(digits[2:4]), day - 60 if day > 60 else day) and luhn(digits)


def is_south_african_id(digits: str) -> bool:
    """A South African identity number.

    Source: https://en.wikipedia.org/wiki/South_African_identity_card
    """
    return (
        _is_date(2000, int(digits[2:4]), int(digits[4:6]))
        and digits[10] in "012"
        and luhn(digits)
        and len(set(digits)) > 3
    )


def is_korean_id(digits: str) -> bool:
    """A Korean resident number; since 2020 its last digits are random.

    Source: https://en.wikipedia.org/wiki/Resident_registration_number
    """
    return digits[6] in "12345678" and _is_date(2000, int(digits[2:4]), int(digits[4:6]))


def is_nir(signs: str) -> bool:
    """A French social security number with its key; Corsica writes 2A and 2B.

    Source: https://fr.wikipedia.org/wiki/Num%C3%A9ro_de_s%C3%A9curit%C3%A9_sociale_en_France
    """
    if signs[0] not in "123478" or not (
        "01" <= signs[3:5] <= "12" or "20" <= signs[3:5] <= "42" or signs[3:5] >= "50"
    ):
        return False
    body = signs[:13].upper().replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body) % 97 == int(signs[13:])


_CHINESE_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def is_chinese_id(signs: str) -> bool:
    """A Chinese resident number. Source: https://en.wikipedia.org/wiki/Resident_Identity_Card."""
    if not (signs[0] in "12345678" and "1850" < signs[6:10] < "2100"):
        return False
    if not _is_date(int(signs[6:10]), int(signs[10:12]), int(signs[12:14])):
        return False
    return "10X98765432"[_weighed(signs[:17], _CHINESE_WEIGHTS) % 11] == signs[17].upper()


def is_nino(signs: str) -> bool:
    """A British national insurance number, upper case.

    Source: https://www.gov.uk/hmrc-internal-manuals/national-insurance-manual/nim39110
    """
    return (
        not set(signs[:2]) & set("DFIQUV")
        and signs[1] != "O"
        and signs[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
        and signs[8] in "ABCD"
    )


def is_dni(signs: str) -> bool:
    """A Spanish DNI or NIE, upper case.

    Source: https://es.wikipedia.org/wiki/N%C3%BAmero_de_identificaci%C3%B3n_fiscal
    """
    number = signs[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == signs[-1]


def is_hetu(signs: str) -> bool:
    """A Finnish personal identity code, upper case.

    Source: https://dvv.fi/en/personal-identity-code
    """
    return (
        _is_date(2000, int(signs[2:4]), int(signs[:2]))
        and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(signs[:6] + signs[7:10]) % 31] == signs[10]
    )


def is_nric(signs: str) -> bool:
    """A Singaporean NRIC or FIN, upper case.

    Source: https://en.wikipedia.org/wiki/National_Registration_Identity_Card
    """
    total = _weighed(signs[1:8], (2, 7, 6, 5, 4, 3, 2))
    first = signs[0]
    total += 4 if first in "TG" else 3 if first == "M" else 0
    if first == "M":
        return "XWUTRQPNJLK"[10 - total % 11] == signs[8]
    return ("JZIHGFEDCBA" if first in "ST" else "XWUTRQPNMLK")[total % 11] == signs[8]


_ODD: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21),
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10),
            *(22, 25, 24, 23),
        ),
        strict=True,
    )
)


def is_codice_fiscale(signs: str) -> bool:
    """An Italian tax code, upper case. Source: https://it.wikipedia.org/wiki/Codice_fiscale."""
    total = 0
    for index, sign in enumerate(signs[:15]):
        if index % 2 == 0:
            total += _ODD[sign]
        else:
            total += int(sign) if sign.isdigit() else ord(sign) - ord("A")
    return chr(ord("A") + total % 26) == signs[15]


def is_german_card_id(signs: str) -> bool:
    """The number of a German identity card or passport with its check digit, upper case.

    Source: https://de.wikipedia.org/wiki/Ausweisnummer
    """
    total = sum(
        (int(sign) if sign.isdigit() else ord(sign) - 55) * (7, 3, 1)[index % 3]
        for index, sign in enumerate(signs[:9])
    )
    return total % 10 == int(signs[9])


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
