"""`max-length`: how long a text may be."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lattice_lock.policies.base import Case, Context, Finding, Hold, Policy, Scan, Severity, Window

__all__ = ["MaxLength"]


class MaxLength(Policy, frozen=True, kw_only=True):
    """Refuses what is longer than allowed; of a streamed answer the allowed part passes.

    Attributes:
        characters: the most that may pass.
    """

    name: ClassVar[str] = "max-length"
    redacts: ClassVar[bool] = False
    holds: ClassVar[Hold] = Hold.NOTHING
    rules: ClassVar[dict[str, str]] = {"too-long": "the first character that is too many"}
    limits: ClassVar[tuple[str, ...]] = (
        "Characters are Unicode code points: an emoji may count as several.",
    )
    sample: ClassVar[dict[str, object]] = {"characters": 12}
    cases: ClassVar[tuple[Case, ...]] = (
        Case(text="twelve chars"),
        Case(text=""),
        Case(text="thirteen char", rules=("too-long",)),
    )

    characters: int

    def __post_init__(self) -> None:
        if self.characters < 1:
            raise ValueError("`characters` must be at least 1")

    @override
    def scan(self, window: Window, context: Context) -> Scan:
        end = len(window.text)
        start = self.characters - window.position
        if not window.start <= start < end:
            return Scan((), end)
        finding = Finding(
            start=start,
            end=start + 1,
            rule="too-long",
            message=f"it is longer than {self.characters:,} characters.",
            severity=Severity.LOW,
            fix="Ask for a shorter text, or allow more `characters`.",
        )
        return Scan((finding,), end)
