"""Names that stand for what was taken out of a text, the same one for the same value."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["Placeholders", "Restoring"]

_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]{0,39}_[1-9][0-9]{0,8}\]")
_LONGEST = 52
_OPEN = re.compile(r"\[(?:[A-Z][A-Z0-9_]*)?\Z")


class Placeholders:
    """What was taken out during one call, and what stands for it, such as `[EMAIL_1]`."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._taken: set[str] = set()

    @property
    def restores(self) -> bool:
        """Whether there is anything to put back."""
        return bool(self._values)

    def avoid(self, text: str) -> None:
        """Give out no name that `text` contains: it would be taken for one of ours."""
        if "[" in text:
            self._taken.update(_PLACEHOLDER.findall(text))

    def hide(self, label: str, value: str, *, restore: bool = False) -> str:
        """What stands for `value`, which is a `label`; `restore` lets it be put back."""
        name = self._names.get((label, value))
        while name is None:
            self._counts[label] += 1
            candidate = f"[{label}_{self._counts[label]}]"
            if candidate not in self._taken:
                name = self._names[label, value] = candidate
        if restore:
            self._values[name] = value
        return name

    def restore(self, text: str) -> str:
        """`text` with every value back in its place; a name that was never given out stays."""
        if not self._values or "[" not in text:
            return text
        return _PLACEHOLDER.sub(lambda found: self._values.get(found[0], found[0]), text)


class Restoring:
    """`Placeholders.restore` for a text that comes in pieces."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be passed on; a placeholder that may be under way is held back."""
        text = self._held + piece
        bracket = text.rfind("[", max(0, len(text) - _LONGEST))
        if bracket >= 0 and _OPEN.match(text, bracket):
            text, self._held = text[:bracket], text[bracket:]
        else:
            self._held = ""
        return self._placeholders.restore(text)

    def finish(self) -> str:
        """The rest."""
        text, self._held = self._held, ""
        return self._placeholders.restore(text)
