"""Whether a value satisfies constraints, and whether any value can."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from lattice_lock.core.type_refs import INT, OptionalType, ScalarName, ScalarType

if TYPE_CHECKING:
    from lattice_lock.core.schema import Bound, Constraints
    from lattice_lock.core.type_refs import TypeRef

__all__ = [
    "broken_constraint",
    "contradiction",
    "decimal_shape",
    "largest_magnitude",
    "without_null",
]

_LONGEST_MATCHED = 1_000


def without_null(kind: TypeRef) -> TypeRef:
    """`T` for `T | null`, anything else as it is."""
    return kind.inner if isinstance(kind, OptionalType) else kind


def broken_constraint(value: object, constraints: Constraints) -> str | None:
    """The constraint that `value` breaks, as a phrase such as "must be greater than 0".

    Null breaks nothing: whether it is allowed is a matter of the type.
    """
    if value is None:
        return None
    return (
        _broken_bound(value, constraints)
        or _broken_digits(value, constraints)
        or _broken_size(value, constraints)
    )


def _broken_bound(value: object, constraints: Constraints) -> str | None:
    # The loader allows bounds only on types that they can be compared with.
    bounds: tuple[tuple[Bound | None, str, tuple[int, ...]], ...] = (
        (constraints.gt, "greater than", (1,)),
        (constraints.ge, "at least", (0, 1)),
        (constraints.lt, "less than", (-1,)),
        (constraints.le, "at most", (-1, 0)),
    )
    for bound, words, accepted in bounds:
        if bound is not None and _order(value, bound) not in accepted:
            return f"must be {words} {bound}"
    return None


def _order(value: object, bound: Bound) -> int:
    """-1, 0 or 1 as `value` is below, at or above `bound`."""
    if isinstance(value, float) and isinstance(bound, Decimal):
        value, bound = Fraction(value), Fraction(float(bound))  # type: ignore[assignment]
    return int(value > bound) - int(value < bound)  # type: ignore[operator]  # same ordered type


def _broken_digits(value: object, constraints: Constraints) -> str | None:
    if not isinstance(value, int | Decimal):
        return None
    step = constraints.multiple_of
    if step is not None and Fraction(value) % Fraction(step) != 0:
        return f"must be a multiple of {step}"
    digits, places = decimal_shape(Decimal(value))
    if constraints.scale is not None and places > constraints.scale:
        return f"must have at most {constraints.scale} digits after the decimal point"
    if constraints.precision is not None:
        if digits > constraints.precision:
            return f"must have at most {constraints.precision} digits"
        # As in SQL's NUMERIC: places that `scale` reserves are not free for whole digits.
        whole = constraints.precision - (constraints.scale or 0)
        if digits - places > whole:
            return f"must have at most {whole} digits before the decimal point"
    return None


def decimal_shape(value: Decimal) -> tuple[int, int]:
    """Digits in all and digits after the decimal point; zeros at the end do not count."""
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return 0, 0
    kept = len(digits)
    while exponent < 0 and kept > 1 and digits[kept - 1] == 0:
        kept, exponent = kept - 1, exponent + 1
    if kept == 1 and digits[0] == 0:
        return 1, 0
    places = max(0, -exponent)
    return max(kept + max(exponent, 0), places), places


def _broken_size(value: object, constraints: Constraints) -> str | None:
    if isinstance(value, str | bytes | list | tuple | dict):
        size = len(value)
        if constraints.min_length is not None and size < constraints.min_length:
            return f"must have a length of at least {constraints.min_length}, this has {size}"
        if constraints.max_length is not None and size > constraints.max_length:
            return f"must have a length of at most {constraints.max_length}, this has {size}"
    if isinstance(value, str) and constraints.pattern is not None:
        if len(value) > _LONGEST_MATCHED:
            return f"is too long to be matched with `{constraints.pattern}`"
        if re.fullmatch(constraints.pattern, value) is None:
            return f"must match `{constraints.pattern}`"
    if isinstance(value, list) and constraints.unique_items:
        return "must hold each item once" if _repeats(value) else None
    return None


def _repeats(items: list[object]) -> bool:
    try:
        return len(set(items)) < len(items)
    except TypeError:
        # Entities and lists are not hashable; comparing each with each would be quadratic.
        return len(set(map(repr, items))) < len(items)


def contradiction(kind: TypeRef, constraints: Constraints) -> str | None:
    """Why no value can satisfy the constraints, as a sentence; None when some value may."""
    kind = without_null(kind)
    low, high = _limits(constraints)
    shortest, longest = constraints.min_length, constraints.max_length
    if shortest is not None and longest is not None and shortest > longest:
        return f"`min_length` {shortest} is larger than `max_length` {longest}."
    precision, scale = constraints.precision, constraints.scale
    if precision is not None and scale is not None and scale > precision:
        return f"`scale` {scale} is larger than `precision` {precision}, which counts all digits."
    if low is not None and high is not None and type(low) is type(high) and low > high:  # type: ignore[operator]  # same type
        return f"No value lies between {low} and {high}."
    strict = constraints.gt is not None or constraints.lt is not None
    if low is not None and low == high and strict:
        return f"No value lies between {low} and {high}, the limits themselves left out."
    if isinstance(kind, ScalarType) and kind.name in (ScalarName.INT, ScalarName.DECIMAL):
        return _no_number(kind, constraints)
    return None


def _limits(constraints: Constraints) -> tuple[Bound | None, Bound | None]:
    low = constraints.gt if constraints.gt is not None else constraints.ge
    high = constraints.lt if constraints.lt is not None else constraints.le
    return low, high


def _no_number(kind: ScalarType, constraints: Constraints) -> str | None:
    low, high = _limits(constraints)
    largest = largest_magnitude(constraints)
    if largest is not None:
        if isinstance(low, Decimal) and low > largest:
            return f"{low} has more digits than `precision` and `scale` allow."
        if isinstance(high, Decimal) and high < -largest:
            return f"{high} has more digits than `precision` and `scale` allow."
    step = _step(kind, constraints)
    if step is None or not (isinstance(low, Decimal) and isinstance(high, Decimal)):
        return None
    first = math.ceil(Fraction(low) / step) * step
    if constraints.gt is not None and first == Fraction(low):
        first += step
    over = first >= Fraction(high) if constraints.lt is not None else first > Fraction(high)
    return (
        f"No {kind} in steps of {_decimal(step)} lies between {low} and {high}." if over else None
    )


def _decimal(step: Fraction) -> Decimal:
    return Decimal(step.numerator) / Decimal(step.denominator)


def _step(kind: ScalarType, constraints: Constraints) -> Fraction | None:
    steps = []
    if kind == INT:
        steps.append(Fraction(1))
    if constraints.multiple_of is not None:
        steps.append(Fraction(constraints.multiple_of))
    if constraints.scale is not None:
        steps.append(Fraction(1, 10**constraints.scale))
    if not steps:
        return None
    # The least common multiple of fractions: that of numerators over the gcd of denominators.
    return Fraction(
        math.lcm(*(step.numerator for step in steps)),
        math.gcd(*(step.denominator for step in steps)),
    )


def largest_magnitude(constraints: Constraints) -> Decimal | None:
    """The largest number that `precision` and `scale` leave room for; None without `precision`."""
    if constraints.precision is None:
        return None
    # From text: arithmetic would round to the 28 digits of the default context.
    return Decimal(f"{'9' * constraints.precision}E-{constraints.scale or 0}")
