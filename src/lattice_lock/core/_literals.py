"""Reading scalar values from their text: exact numbers, ISO 8601 dates and durations."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING
from uuid import UUID

from lattice_lock.core.type_refs import ScalarName

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORMATS", "TEXT_PARSERS", "parse_decimal", "parse_duration"]

_LARGEST_EXPONENT = 400  # beyond the range of a float; keeps `1e999999` from becoming a huge int
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4})?", re.ASCII)
_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,12}(?:\.\d{1,6})?)S)?)?",
    re.ASCII,
)


def parse_decimal(text: str) -> Decimal:
    """The exact value of a decimal number.

    Raises:
        ValueError: not a finite number, or an exponent beyond 400.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"`{text}` is not a decimal number")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"`{text}` is not a decimal number") from error
    if number and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError(f"`{text}` is out of range")
    return number


def parse_duration(text: str) -> timedelta:
    """The duration that an ISO 8601 text such as `PT15M` or `P1DT12H` stands for.

    Years and months have no fixed length and are refused.

    Raises:
        ValueError: not such a text, or longer than a timedelta can hold.
    """
    found = _DURATION.fullmatch(text)
    if found is None or text.endswith(("P", "T")):
        raise ValueError(f"`{text}` is not an ISO 8601 duration")
    parts = {name: value for name, value in found.groupdict().items() if value and name != "sign"}
    seconds, _, fraction = parts.pop("seconds", "0").partition(".")
    whole = {name: int(value) for name, value in parts.items()}
    try:
        length = timedelta(
            **whole, seconds=int(seconds), microseconds=int(fraction.ljust(6, "0") or "0")
        )
    except OverflowError as error:
        raise ValueError(f"`{text}` is too long for a duration") from error
    return -length if found["sign"] else length


def _parse_datetime(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"`{text}` has no time zone")
    return moment


def _parse_uuid(text: str) -> UUID:
    return UUID(text)


TEXT_PARSERS: dict[ScalarName, Callable[[str], object]] = {
    ScalarName.DATE: date.fromisoformat,
    ScalarName.DATETIME: _parse_datetime,
    ScalarName.TIMEDELTA: parse_duration,
    ScalarName.UUID: _parse_uuid,
}
"""Scalar types whose values are written as strings; each raises ValueError."""

FORMATS: dict[ScalarName, str] = {
    ScalarName.DATE: "'2024-12-31'",
    ScalarName.DATETIME: "'2024-12-31T23:59:59Z', with a time zone",
    ScalarName.TIMEDELTA: "'PT15M' or 'P1DT12H' (ISO 8601)",
    ScalarName.UUID: "'12345678-1234-5678-1234-567812345678'",
}
"""How a value of each of those types is written."""
