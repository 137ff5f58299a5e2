"""Tokens as vendors count them, made into numbers whose parts fit into their wholes."""

from __future__ import annotations

__all__ = ["count", "whole"]


def count(value: int | None) -> int:
    """A vendor's count; none where it says nothing, or less than nothing."""
    return max(0, value or 0)


def whole(total: int, *parts: int) -> int:
    """`total` with all of `parts` inside; parts that exceed it were counted beside it."""
    inside = sum(parts)
    return total if inside <= total else total + inside
