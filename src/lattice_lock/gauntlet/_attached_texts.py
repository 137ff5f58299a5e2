"""Values of `str` and `bytes`."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lattice_lock.gauntlet._attached_inputs import Bag, Plan, UnfitError, Value
from lattice_lock.gauntlet._attached_patterns import sample_pattern
from lattice_lock.gauntlet._attached_values import (
    ANYWHERE,
    RETRIES,
    Context,
    chosen_among,
    fits,
    length_of,
    lengths,
    whole_bounds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.gauntlet._attached_fences import Fence

__all__ = ["Bytes", "Texts"]

_NON_ASCII: Final = "é"
_ALPHABETS: Final = ("ab", "abc", "aAbB", "01", "0123456789", "abcdefghijklmnopqrstuvwxyz", "a b")
_LONGEST: Final = 300


class Texts:
    """Values of `str`."""

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(str, kinds)

    def edges(self, context: Context, fence: Fence) -> list[str]:
        fence = _by_character(fence)
        found = chosen_among(fence, str) if fence.alphabet is None else None
        if found is not None:
            return found
        if fence.patterns:
            base = [text for _ in range(40) for text in [self._matching(context, fence)] if text]
            return [text for text in dict.fromkeys(base) if self._allowed(text, fence)]
        constants = context.constants.texts[:30]
        letters = fence.alphabet if fence.alphabet is not None else "ab"
        letters = "".join(c for c in letters if c not in fence.forbidden)[:6] or "a"
        base = ["", letters[0], letters[-1], letters[0] * 2]
        base += ["".join(two) for two in itertools.product(letters[:3], repeat=2)]
        base += constants
        base += context.related(str, ANYWHERE)
        base += ["".join(three) for three in itertools.product(letters[:2], repeat=3)]
        base += [letters[0] * n for n in lengths(context, fence)]
        base += [(letters * 40)[:n] for n in lengths(context, fence)]
        if fence.alphabet is None:
            base += [" ", "  ", "0", "1", "a b", " a", "a ", "A", "Ab", "aA", "-1", "abc", "aba"]
            base += ["a1", "1a", "_", ".", "\n", "a\nb", ",", "-", "a,b", "12", _NON_ASCII]
            base += [one + other for one in constants[:6] for other in (*constants[:6], "a", "1")]
            for pattern in context.constants.patterns[:8]:
                base += [sample_pattern(pattern, context.random) or "" for _ in range(4)]
        base = [self._dressed(text, context, fence) for text in base]
        return [text for text in dict.fromkeys(base) if self._allowed(text, fence)]

    def draw(self, context: Context, fence: Fence) -> str:
        fence = _by_character(fence)
        random = context.random
        for _ in range(RETRIES):
            text = self._dressed(self._any(context, fence), context, fence)
            if self._allowed(text, fence):
                return text
        if context.chance(0.5) and (edges := self.edges(context, fence)):
            return random.choice(edges)
        raise UnfitError("no text lies within the precondition")

    def _any(self, context: Context, fence: Fence) -> str:
        random = context.random
        found = chosen_among(fence, str) if fence.alphabet is None else None
        if found is not None:
            return str(random.choice(found))
        if fence.patterns:
            return self._matching(context, fence) or ""
        related = context.related(str, ANYWHERE)
        if related and context.chance(0.25):
            return str(random.choice(related))
        constants, patterns = context.constants.texts, context.constants.patterns
        if fence.alphabet is None and patterns and context.chance(0.2):
            text = sample_pattern(random.choice(patterns), random) or ""
            return self._mutated(text, context) if context.chance(0.25) else text
        if fence.alphabet is None and constants and context.chance(0.25):
            return "".join(
                random.choice(constants)
                if context.chance(0.6)
                else self._random(context, fence, random.randint(0, 3))
                for _ in range(random.randint(1, 5))
            )
        text = self._random(context, fence, length_of(context, fence))
        return random.choices((text, text + text, text + text[::-1]), (10, 1, 1))[0]

    def _random(self, context: Context, fence: Fence, length: int) -> str:
        random = context.random
        if fence.alphabet is not None:
            letters = fence.alphabet
            if len(set(letters)) > 1 and context.chance(0.5):
                letters = "".join(random.sample(sorted(set(letters)), 2))
        else:
            own = context.constants.characters
            letters = random.choice(_ALPHABETS)
            if own and context.chance(0.5):
                letters = own if context.chance(0.5) else letters + own
            elif context.chance(0.2):
                letters = "aZ09 _-.,;:!?\"'()[]{}<>/\\\n\t" + _NON_ASCII
        return "".join(random.choice(letters) for _ in range(length)) if letters else ""

    def _mutated(self, text: str, context: Context) -> str:
        if not text:
            return text
        place = context.random.randrange(len(text))
        new = context.random.choice(("", text[place] * 2, "a", "0", " "))
        return text[:place] + new + text[place + 1 :]

    def _matching(self, context: Context, fence: Fence) -> str | None:
        pattern, flags, _ = fence.patterns[-1]
        return sample_pattern(pattern, context.random, flags=flags)

    def _dressed(self, text: str, context: Context, fence: Fence) -> str:
        """The text with prefix, suffix and required parts, fitted to its length."""
        if fence.patterns:
            return text
        if fence.alphabet is not None:
            text = "".join(
                c if c in fence.alphabet or not fence.alphabet else fence.alphabet[0] for c in text
            )
        for piece in fence.parts:
            if isinstance(piece, str) and piece not in text:
                place = context.random.randint(0, len(text))
                text = text[:place] + piece + text[place:]
        low, high = whole_bounds(fence.length) if fence.length else (None, None)
        outside = len(fence.prefix) + len(fence.suffix)
        if high is not None and len(text) + outside > high >= outside:
            text = text[: high - outside]
        if low is not None and len(text) + outside < low <= _LONGEST:
            filler = (text or (fence.alphabet or "a")) * low
            text = (text + filler)[: low - outside]
        if fence.prefix and not text.startswith(fence.prefix):
            text = fence.prefix + text
        if fence.suffix and not text.endswith(fence.suffix):
            text += fence.suffix
        return text

    def _allowed(self, text: str, fence: Fence) -> bool:
        if fence.length is not None and not fence.length.admits(len(text)):
            return False
        if fence.alphabet is not None:
            return text not in fence.excluded
        return fence.admits(text) and not any(bad in text for bad in fence.forbidden)


def _by_character(fence: Fence) -> Fence:
    """The fence with what is said about the items of a text turned to its characters."""
    items = fence.items
    if items is None:
        return fence
    listed = None if items.choices is None else "".join(sorted(map(str, items.choices)))
    alphabet = fence.alphabet or listed or items.alphabet
    forbidden = [*fence.forbidden, *(one for one in items.excluded if isinstance(one, str))]
    return replace(fence, items=None, alphabet=alphabet, forbidden=forbidden)


class Bytes:
    """Values of `bytes`, or of what is made from them.

    Args:
        kind: `bytes`, `bytearray`.
    """

    def __init__(self, kind: type = bytes) -> None:
        self._kind = kind

    def accepts(self, kinds: tuple[type, ...]) -> bool:
        return fits(self._kind, kinds)

    def edges(self, context: Context, fence: Fence) -> list[Plan]:
        base = [b"", b"\x00", b"a", b"\xff", b"ab", b"aa", *context.constants.blobs]
        base += [b"a" * length for length in lengths(context, fence)]
        return [self._plan(blob) for blob in dict.fromkeys(base) if self._fits(blob, fence)]

    def draw(self, context: Context, fence: Fence) -> Plan:
        length = length_of(context, fence)
        letters = context.random.choice((b"ab", bytes(range(256)), b"\x00\x01\xff", b"0123"))
        return self._plan(bytes(context.random.choice(letters) for _ in range(length)))

    def _plan(self, blob: bytes) -> Plan:
        return blob if self._kind is bytes else Bag(_made_from_bytes(self._kind), [blob])

    def _fits(self, blob: bytes, fence: Fence) -> bool:
        return fence.length is None or fence.length.admits(len(blob))


def _made_from_bytes(kind: type) -> Callable[[list[Value]], Value]:
    def make(blobs: list[Value]) -> Value:
        return kind(blobs[0] if blobs else b"")

    make.__name__ = kind.__name__
    return make
