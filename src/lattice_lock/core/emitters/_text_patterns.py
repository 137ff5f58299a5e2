r"""Regular expressions for what JSON carries as text: decimals, dates, instants, durations.

They use only what ECMAScript, Python, Java, .NET and PCRE read alike. `^` and `END` bound the
whole text; `$` would let a last newline pass in Python.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from lattice_lock.core.emitters._portable_pattern import portable_pattern
from lattice_lock.core.type_refs import ScalarName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

__all__ = [
    "SHAPES",
    "bounded_date",
    "bounded_decimal",
    "multiple_decimal",
    "precise_decimal",
    "scaled_decimal",
    "whole_text",
]

END = r"(?![\s\S])"
"""The end of a text, which no character follows."""

_DAY = (
    r"(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_OFFSET = r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"

SHAPES = {
    ScalarName.DECIMAL: rf"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?{END}",
    ScalarName.UUID: rf"^[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}{END}",
    ScalarName.DATE: f"^{_DAY}{END}",
    ScalarName.DATETIME: f"^{_DAY}T{_TIME}{_OFFSET}{END}",
    # The numbers of digits keep every duration within what a `timedelta` can hold.
    ScalarName.TIMEDELTA: (
        r"^-?P(?=[0-9T])(?:[0-9]{1,6}Y)?(?:[0-9]{1,8}D)?"
        r"(?:T(?=[0-9])(?:[0-9]{1,5}H)?(?:[0-9]{1,6}M)?(?:[0-9]{1,8}(?:\.[0-9]{1,6})?S)?)?"
        f"{END}"
    ),
}
"""What every text of a type looks like."""


def whole_text(pattern: str) -> str:
    """A lattice's pattern as one that finds exactly the texts that it matches as a whole.

    Raises:
        PatternError: it uses what regular expression languages understand differently.
    """
    text = portable_pattern(pattern).replace(r"\A", "^").replace(r"\Z", END)
    for character in " !\"#%&',:;<=>@_`~":  # these mean themselves everywhere
        text = text.replace(f"\\u{ord(character):04x}", character)
    for character in "$*+./?(){}|\\":
        text = text.replace(f"\\u{ord(character):04x}", f"\\{character}")
    return _without_long_escapes(text)


def _without_long_escapes(text: str) -> str:
    r"""`\U0001F600` is Python's own; the character itself is understood everywhere."""
    first, *others = text.split("\\U")
    return first + "".join(chr(int(one[:8], 16)) + one[8:] for one in others)


def bounded_date(kind: str, bound: str) -> dict[str, object]:
    """Schema of the dates on one side of a bound; `kind` is `gt`, `ge`, `lt` or `le`."""
    later = [f"^{bound[:place]}{digit}" for place, digit in _greater(bound)]
    reached = [*later, f"^{bound}"] if kind in {"ge", "lt"} else later
    pattern = "|".join(reached)
    if kind in {"gt", "ge"}:
        return {"pattern": pattern} if reached else {"not": {}}
    return {"not": {"pattern": pattern}} if reached else {}


def bounded_decimal(kind: str, bound: Decimal) -> dict[str, object]:
    """Schema of the decimals, in plain notation, on one side of a bound."""
    positive = _magnitudes(abs(bound), reached=False), _magnitudes(abs(bound), reached=True)
    greater, at_least = (f"^{one}" for one in positive)
    below, at_most = (f"^-{one}" for one in positive)  # the same below zero
    match kind:
        case "gt":
            return {"pattern": greater} if bound >= 0 else {"not": {"pattern": at_most}}
        case "ge":
            return {"pattern": at_least} if bound > 0 else {"not": {"pattern": below}}
        case "lt":
            return {"pattern": below} if bound <= 0 else {"not": {"pattern": at_least}}
        case _:
            return {"pattern": at_most} if bound < 0 else {"not": {"pattern": greater}}


def _magnitudes(limit: Decimal, *, reached: bool) -> str:
    """Pattern of how a number above `limit`, or also `limit` itself, begins.

    A number without leading zeros that has more whole digits is greater, so what follows the
    first difference does not matter.
    """
    whole, _, fraction = f"{limit:f}".partition(".")
    fraction = fraction.rstrip("0")
    found = [f"[1-9][0-9]{{{len(whole)}}}"] if whole != "0" else []
    for place, digit in _greater(whole):
        # Without leading zeros a longer number begins with another digit than 0.
        found.append(f"{whole[:place]}{digit}{_digits(len(whole) - place - 1)}")
    found += [rf"{whole}\.{fraction[:place]}{digit}" for place, digit in _greater(fraction)]
    if not reached:
        found.append(rf"{whole}\.{fraction}[0-9]*[1-9]")
    else:
        found.append(rf"{whole}\.{fraction}" if fraction else whole)
    return f"(?:{'|'.join(found)})"


def _greater(text: str) -> Iterator[tuple[int, str]]:
    """Every place at which a digit could be greater, and the set of those digits."""
    for place, character in enumerate(text):
        if character.isdigit() and character != "9":
            low = int(character) + 1
            yield place, "9" if low == 9 else f"[{low}-9]"  # noqa: PLR2004 -- the last digit


def _digits(count: int) -> str:
    return f"[0-9]{{{count}}}" if count else ""


def scaled_decimal(scale: int) -> str:
    """Pattern of the decimals with at most `scale` places; zeros at the end do not count."""
    return rf"^-?[0-9]+(?:\.[0-9]{{0,{scale}}}0*)?{END}"


def precise_decimal(precision: int, scale: int | None) -> str:
    """Pattern of the decimals with at most `precision` digits, of which `scale` are reserved."""
    if scale is not None:
        # `scale` has a pattern of its own, so that only whole digits are left to count.
        whole = precision - scale
        # A single 0 before the point is no digit.
        return rf"^-?(?:0\.|[0-9]{{1,{whole}}}(?:\.|{END}))" if whole else r"^-?0\."
    choices = [rf"0(?:\.[0-9]{{0,{precision}}}0*)?"]
    choices += [
        rf"[0-9]{{{whole}}}(?:\.[0-9]{{0,{precision - whole}}}0*)?"
        for whole in range(1, precision + 1)
    ]
    return f"^-?(?:{'|'.join(choices)}){END}"


_MOST_TAILS = 100


def multiple_decimal(step: Decimal) -> str | None:
    """Pattern of the multiples of `step`, None where their last digits are no short list.

    `0.05`, `25` and `0.125` divide a power of ten, so that a few last digits decide; with `3` or
    `0.7` all digits do.
    """
    places = 0
    while (Fraction(step) * 10**places).denominator != 1:
        places += 1
    units = int(Fraction(step) * 10**places)
    length = next((count for count in range(len(str(units)) * 4) if 10**count % units == 0), None)
    if length is None or 10**length // units > _MOST_TAILS:
        return None
    tails = [f"{tail:0{length}}" if length else "" for tail in range(0, 10**length, units)]
    choices: list[str] = []
    for tail in tails:
        if length <= places:
            choices.append(_fraction(tail, places - length))
            continue
        whole, fraction = tail[: length - places], tail[length - places :]
        choices.append(f"(?:[0-9]*{whole}|{whole.lstrip('0') or '0'}){_fraction(fraction, 0)}")
    start = "[0-9]+" if length <= places else ""
    return f"^-?{start}(?:{'|'.join(choices)}){END}"


def _fraction(digits: str, free: int) -> str:
    """A fraction of `free` arbitrary digits, then `digits`, then zeros; a zero may be left out."""
    kept = digits.rstrip("0")
    if kept:
        return rf"\.{_digits(free)}{kept}0*"
    return rf"(?:\.[0-9]{{0,{free}}}0*)?"
